"""The arrays `atm`, `bas` and `env` of libcint for one entry of a batch, and calls to its integral drivers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int32

from scfx.errors import InputError

if TYPE_CHECKING:
    from scfx.model.batch import Batch, ShellLayout

# Slots of libcint's arrays (Sun, J. Comput. Chem. 36, 1664 (2015), and include/cint.h).
_ENV_START = 20
_RINV_ORIGIN = slice(4, 7)
_RANGE_OMEGA = 8
_RINV_ATOM = 17
_ECP_OFFSET, _ECP_COUNT = 18, 19
_FRACTIONAL_CHARGE_NUCLEUS = 3


@dataclass(frozen=True, eq=False)
class Environment:
    """One molecule for libcint. `flavour` is the function type that libcint computes in.

    libcint works with all shells spherical or all Cartesian. A basis that mixes them (QM9's) is computed in
    Cartesian functions and `to_ao` [ncart, nao] takes matrices to the AO basis; None when libcint's functions
    are the AOs.
    """

    atm: Int32[np.ndarray, "natm 6"]
    bas: Int32[np.ndarray, "nshell 8"]
    env: Float64[np.ndarray, "nenv"]
    flavour: str
    to_ao: Float64[np.ndarray, "ncart nao"] | None
    core_bas: Int32[np.ndarray, "nterm 8"] | None = None

    def one_electron(self, name: str) -> np.ndarray:
        """Return `int1e_<name>` in the AO basis: [nao, nao] or [component, nao, nao]."""
        from pyscf.gto import moleintor

        found = moleintor.getints(f"int1e_{name}_{self.flavour}", self.atm, self.bas, self.env, hermi=1)
        return found if self.to_ao is None else self.to_ao.T @ found @ self.to_ao

    def core_potential(self) -> Float64[np.ndarray, "nao nao"]:
        """Return the matrix of the effective core potentials of all atoms in the AO basis, hartree."""
        from pyscf.gto import moleintor

        if self.core_bas is None:
            raise InputError("this molecule has no effective core potential in its basis")
        n = len(self.bas)
        bas, env = self._with_core_potentials()
        found = moleintor.getints(
            f"ECPscalar_{self.flavour}", self.atm, bas, env, shls_slice=(0, n, 0, n), hermi=1
        )
        return found if self.to_ao is None else self.to_ao.T @ found @ self.to_ao

    def _with_core_potentials(self) -> tuple[np.ndarray, np.ndarray]:
        # libcgto looks for the potentials behind the shells, guided by two slots of `env`.
        assert self.core_bas is not None
        env = self.env.copy()
        env[[_ECP_OFFSET, _ECP_COUNT]] = len(self.bas), len(self.core_bas)
        return np.vstack([self.bas, self.core_bas]), env

    def bra_derivative(self, name: str, nucleus: int | None = None) -> Float64[np.ndarray, "3 n n"]:
        """Return `<name>`, integrals with the gradient (by the electron) of the bra, in libcint's own functions.

        `nucleus`: the atom at which operators "rinv" stand.
        """
        from pyscf.gto import moleintor

        n = len(self.bas)
        bas, env = self._with_core_potentials() if name.startswith("ECP") else (self.bas, self.env.copy())
        if nucleus is not None:
            env[_RINV_ORIGIN] = env[self.atm[nucleus, 1] :][:3]
            env[_RINV_ATOM] = nucleus
        return moleintor.getints(
            f"{name}_{self.flavour}", self.atm, bas, env, shls_slice=(0, n, 0, n), comp=3, hermi=0
        )

    def in_own_functions(self, matrix: Float64[np.ndarray, "*batch nao nao"]) -> np.ndarray:
        """Return a density matrix of the AO basis in libcint's own functions."""
        return matrix if self.to_ao is None else self.to_ao @ matrix @ self.to_ao.T

    def optimizer(self) -> Any:
        """Return libcint's precomputed pair data for the repulsion integrals, valid as long as this object is."""
        from pyscf.gto import moleintor

        return moleintor.make_cintopt(self.atm, self.bas, self.env, f"int2e_{self.flavour}")

    def repulsion_block(
        self, shell: int, start: int, stop: int, optimizer: Any, out: Float64[np.ndarray, "size"]
    ) -> Float64[np.ndarray, "ni nj nkl"]:
        """Return (ij|kl) for i in `shell`, j in shells `start` to `stop`, all pairs k >= l up to `shell`; lies in
        `out`.
        """
        from pyscf.gto import moleintor

        upper = shell + 1
        return moleintor.getints(
            f"int2e_{self.flavour}", self.atm, self.bas, self.env,
            shls_slice=(shell, upper, start, stop, 0, upper, 0, upper), aosym="s2kl", cintopt=optimizer, out=out,
        )  # fmt: skip

    def diagonal_block(self, a: int, b: int, optimizer: Any) -> Float64[np.ndarray, "ni nj ni nj"]:
        """Return (ij|kl) for i, k in shell `a` and j, l in shell `b`."""
        from pyscf.gto import moleintor

        return moleintor.getints(
            f"int2e_{self.flavour}", self.atm, self.bas, self.env,
            shls_slice=(a, a + 1, b, b + 1, a, a + 1, b, b + 1), cintopt=optimizer,
        )  # fmt: skip


def flavour(layout: ShellLayout) -> str:
    """Return "sph", "cart", or "cart" for a mixture, which is then transformed."""
    return "sph" if layout.all_spherical else "cart"


def function_offsets(layout: ShellLayout) -> Int32[np.ndarray, "offset"]:
    """Return where each shell starts in the basis that libcint computes in."""
    return layout.ao_offset if layout.all_spherical else layout.cartesian_offset


def environment(batch: Batch, entry: int, omega: float = 0.0) -> Environment:
    """Return the arrays of one entry; `omega` > 0 selects the operator erf(omega r12)/r12, 0 the Coulomb operator."""
    layout = batch.layout
    natm, nprim = batch.natm, batch.exponents.shape[1]
    env = np.zeros(_ENV_START + 4 * natm + 2 * nprim)
    env[_RANGE_OMEGA] = omega
    positions = _ENV_START + 3 * np.arange(natm)
    charges = _ENV_START + 3 * natm + np.arange(natm)
    exponents = _ENV_START + 4 * natm
    coefficients = exponents + nprim
    env[_ENV_START : _ENV_START + 3 * natm] = batch.positions[entry].ravel()
    env[charges] = batch.nuclear_charges[entry]
    env[exponents:coefficients] = batch.exponents[entry]
    env[coefficients:] = batch.coefficients[entry]

    atm = np.zeros((natm, 6), dtype=np.int32)
    atm[:, 0] = batch.atomic_numbers[entry]
    atm[:, 1] = positions
    # Charges are read from `env`, so that a nuclear charge need not be an integer.
    atm[:, 2] = _FRACTIONAL_CHARGE_NUCLEUS
    atm[:, 4] = charges

    bas = np.zeros((layout.n_shells, 8), dtype=np.int32)
    start = layout.primitive_offset[:-1]
    bas[:, 0] = layout.atom
    bas[:, 1] = layout.angular_momentum
    bas[:, 2] = layout.n_primitives
    bas[:, 3] = 1
    bas[:, 5] = exponents + start
    bas[:, 6] = coefficients + start
    core_bas, numbers = _core_potentials(batch, entry, env.size)
    env = np.concatenate([env, numbers])
    mixed = not (layout.all_spherical or layout.all_cartesian)
    return Environment(atm, bas, env, flavour(layout), layout.cart_to_ao if mixed else None, core_bas)


def _core_potentials(batch: Batch, entry: int, start: int) -> tuple[np.ndarray | None, np.ndarray]:
    """Rows for libcgto's effective core potentials, and the numbers they point at from `env[start]` on."""
    rows: list[tuple[int, ...]] = []
    numbers: list[float] = []
    for atom, z in enumerate(batch.atomic_numbers[entry]):
        # A ghost atom has no core to replace.
        ghost = batch.nuclear_charges[entry, atom] == 0
        potential = None if ghost else batch.atom_basis[entry][atom].core_potentials.get(int(z))
        for l, power, exponent, coefficient in potential.terms if potential else ():
            at = start + len(numbers)
            # atom, l (-1: local), one primitive, power of r (n - 2 is meant), no spin-orbit part
            rows.append((atom, l, 1, power, 0, at, at + 1, 0))
            numbers += [exponent, coefficient]
    return (np.array(rows, dtype=np.int32) if rows else None), np.array(numbers)


def joined(first: Environment, second: Environment) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return `atm`, `bas`, `env` of two molecules in one, the second's shells after the first's."""
    shift = first.env.size
    atm, bas = second.atm.copy(), second.bas.copy()
    atm[:, [1, 4]] += shift
    bas[:, 0] += len(first.atm)
    bas[:, [5, 6]] += shift
    return np.vstack([first.atm, atm]), np.vstack([first.bas, bas]), np.concatenate([first.env, second.env])
