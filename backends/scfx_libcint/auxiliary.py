"""Two- and three-index integrals over an auxiliary basis, and their derivatives, of one entry of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64, Int64

from scfx.energy.two_electron.fitted import unpacked
from scfx.errors import InputError
from scfx.model.batch import Batch
from scfx_libcint.environment import Environment, environment, joined

if TYPE_CHECKING:
    from scfx.contracts.derivatives import Operator
    from scfx.model.basis import BasisSet


@dataclass(frozen=True, eq=False)
class Fitting:
    """The orbital and the auxiliary functions of one molecule, for one operator.

    libcint works in one kind of function at a time: `flavour` is "sph" where all shells of both basis sets are
    spherical; else all goes through Cartesian functions, and `to_ao` and `to_auxiliary` [ncart, n] take them on.
    """

    orbital: Environment
    auxiliary: Environment
    orbital_batch: Batch
    auxiliary_batch: Batch
    entry: int
    flavour: str

    @classmethod
    def for_entry(
        cls, batch: Batch, entry: int, auxiliary: BasisSet, operator: Operator, omega: float
    ) -> Fitting:
        """Make it for one entry; `AbstractFittingBackend` says what operator and omega are."""
        fitting = Batch.from_systems([batch.systems[entry]], auxiliary)
        signed = _signed_omega(operator, omega)
        spherical = batch.layout.all_spherical and fitting.layout.all_spherical
        return cls(
            environment(batch, entry, signed), environment(fitting, 0, signed), batch, fitting, entry,
            "sph" if spherical else "cart",
        )  # fmt: skip

    @property
    def to_ao(self) -> Float64[np.ndarray, "ncart nao"] | None:
        """Return the matrix [ncart, nao] from Cartesian functions to AOs, or None where none is needed."""
        return None if self.flavour == "sph" else self.orbital_batch.layout.cart_to_ao

    def to_auxiliary(self, shells: tuple[int, int] | None) -> Float64[np.ndarray, "ncart naux"] | None:
        """Return the matrix [ncart, naux] from Cartesian to auxiliary functions, for a range of shells."""
        if self.flavour == "sph":
            return None
        layout, (start, stop) = self.auxiliary_batch.layout, self.range(shells)
        rows = slice(layout.cartesian_offset[start], layout.cartesian_offset[stop])
        return layout.cart_to_ao[rows, layout.ao_offset[start] : layout.ao_offset[stop]]

    def range(self, shells: tuple[int, int] | None) -> tuple[int, int]:
        """Return the auxiliary shells that are meant."""
        return (0, self.auxiliary_batch.layout.n_shells) if shells is None else shells

    def three_index(self, shells: tuple[int, int] | None) -> Float64[np.ndarray, "naux npair"]:
        """Return (P|ij) of pairs j <= i of AOs."""
        triple = self._triples("int3c2e", shells, "s2ij")
        triple = triple.reshape(-1, triple.shape[-1]).T
        to_auxiliary, to_ao = self.to_auxiliary(shells), self.to_ao
        if to_auxiliary is None or to_ao is None:
            return triple
        return _pairs_to_ao(to_auxiliary.T @ triple, to_ao)

    def two_index(self) -> Float64[np.ndarray, "naux naux"]:
        """Return (P|Q)."""
        metric = self._pairs("int2c2e", hermi=1)
        to_auxiliary = self.to_auxiliary(None)
        return metric if to_auxiliary is None else to_auxiliary.T @ metric @ to_auxiliary

    def three_index_gradient(
        self, density: Float64[np.ndarray, "naux npair"], shells: tuple[int, int] | None
    ) -> Float64[np.ndarray, "natm 3"]:
        """Return Σ Γ_P,ij ∂(P|ij)/∂R, from (∇i j|P) alone: a common move of all three centres changes nothing."""
        full = unpacked(density)
        to_auxiliary, to_ao = self.to_auxiliary(shells), self.to_ao
        if to_auxiliary is not None and to_ao is not None:
            full = np.tensordot(to_auxiliary, to_ao @ full @ to_ao.T, axes=1)
        rows = np.empty((full.shape[1], 3))
        centres = np.empty((full.shape[0], 3))
        for x, triple in enumerate(self._triples("int3c2e_ip1", shells, "s1")):
            # Memory runs over the differentiated function first; both orders of i and j count.
            part = -2.0 * triple.T * full
            rows[:, x] = part.sum(axis=(0, 1))
            centres[:, x] = -part.sum(axis=(1, 2))
        out = np.zeros((self.orbital_batch.natm, 3))
        np.add.at(out, self._atoms(self.orbital_batch), rows)
        start, stop = self.range(shells)
        offset = self._offsets(self.auxiliary_batch)
        np.add.at(out, self._auxiliary_atoms()[offset[start] : offset[stop]], centres)
        return out

    def two_index_gradient(self, density: Float64[np.ndarray, "naux naux"]) -> Float64[np.ndarray, "natm 3"]:
        """Return Σ Γ_PQ ∂(P|Q)/∂R; both functions count alike."""
        to_auxiliary = self.to_auxiliary(None)
        if to_auxiliary is not None:
            density = to_auxiliary @ density @ to_auxiliary.T
        rows = -2.0 * np.einsum("xpq,pq->px", self._pairs("int2c2e_ip1", hermi=0), density)
        out = np.zeros((self.orbital_batch.natm, 3))
        np.add.at(out, self._auxiliary_atoms(), rows)
        return out

    def _triples(self, name: str, shells: tuple[int, int] | None, symmetry: str) -> np.ndarray:
        from pyscf.gto import moleintor

        n, (start, stop) = len(self.orbital.bas), self.range(shells)
        atm, bas, env = joined(self.orbital, self.auxiliary)
        found = moleintor.getints(
            f"{name}_{self.flavour}", atm, bas, env,
            shls_slice=(0, n, 0, n, n + start, n + stop), aosym=symmetry,
        )  # fmt: skip
        return np.asarray(found)

    def _pairs(self, name: str, hermi: int) -> np.ndarray:
        from pyscf.gto import moleintor

        second = self.auxiliary
        return moleintor.getints(f"{name}_{self.flavour}", second.atm, second.bas, second.env, hermi=hermi)

    def _offsets(self, batch: Batch) -> np.ndarray:
        layout = batch.layout
        return layout.ao_offset if self.flavour == "sph" else layout.cartesian_offset

    def _atoms(self, batch: Batch) -> Int64[np.ndarray, "n"]:
        return np.repeat(np.array(batch.layout.atom, dtype=np.int64), np.diff(self._offsets(batch)))

    def _auxiliary_atoms(self) -> Int64[np.ndarray, "n"]:
        """The atom of the orbital batch on which each of libcint's auxiliary functions stands."""
        of_system = np.argsort(self.orbital_batch.atom_order[self.entry])
        return of_system[self.auxiliary_batch.atom_order[0]][self._atoms(self.auxiliary_batch)]


def _pairs_to_ao(packed: np.ndarray, to_ao: np.ndarray) -> np.ndarray:
    rows, columns = np.tril_indices(to_ao.shape[1])
    out = np.empty((len(packed), len(rows)))
    for q, row in enumerate(packed):
        out[q] = (to_ao.T @ unpacked(row[None])[0] @ to_ao)[rows, columns]
    return out


def _signed_omega(operator: Operator, omega: float) -> float:
    """libcint's range parameter: 0 is the Coulomb operator, positive erf(omega r)/r, negative erfc(|omega| r)/r."""
    if operator == "coulomb":
        if omega != 0.0:
            raise InputError(f"omega: got {omega!r} for the Coulomb operator, which has none")
        return 0.0
    if operator not in ("erf", "erfc"):
        raise InputError(f"operator: got {operator!r}, expected 'coulomb', 'erf' or 'erfc'")
    if not omega > 0.0:
        raise InputError(f"omega: got {omega!r}, expected a positive range-separation parameter in bohr^-1")
    return omega if operator == "erf" else -omega
