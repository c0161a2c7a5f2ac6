"""`LibcintBackend`: the float64 reference on the CPU."""

from __future__ import annotations

import os
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float64, Int32

from scfx.abstract import (
    AbstractAttenuatedBackend,
    AbstractCorePotentialBackend,
    AbstractCrossOverlapBackend,
    AbstractTwoElectron,
    OneElectron,
)
from scfx.contracts.derivatives import AbstractGradientBackend, TwoElectronEnergy
from scfx.contracts.fitting import AbstractFittingBackend
from scfx.errors import InputError, ResourceError
from scfx.execution.native import loaded_variant
from scfx.model.basis import BasisSet
from scfx_libcint import gradient
from scfx_libcint.auxiliary import Fitting
from scfx_libcint.blocks import BlockPlan
from scfx_libcint.environment import environment, joined
from scfx_libcint.two_electron import DirectTwoElectron, StoredTwoElectron

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.derivatives import Operator
    from scfx.energy.two_electron.lane_operator import LaneTwoElectron
    from scfx.model.batch import Batch, ShellLayout

Storage = Literal["auto", "stored", "direct"]


class LibcintBackend(
    AbstractAttenuatedBackend,
    AbstractCorePotentialBackend,
    AbstractCrossOverlapBackend,
    AbstractFittingBackend,
    AbstractGradientBackend,
):
    """Integrals from PySCF's copy of libcint (Sun, J. Comput. Chem. 36, 1664 (2015)); J and K from scfx's
    kernel.

    `storage`: "stored" keeps the integrals (8-fold symmetry: nao⁴/8 numbers an entry), "direct" recomputes
    them at every call, "auto" stores if the memory budget allows. `threads`: entries contracted at once; None
    takes OMP_NUM_THREADS or, without it, the processors this process may use. Neither changes a single bit of
    the results, as long as integrals are stored in float64.

    `density_fitting` and `fitted` are old names of `scf.density_fitting`, which works with any backend that has the
    integrals.
    """

    name = "libcint"

    def __init__(
        self,
        storage: Storage = "auto",
        threads: int | None = None,
        density_fitting: Any = None,
        fitted: Literal["jk", "j"] = "jk",
    ):
        if storage not in ("auto", "stored", "direct"):
            raise InputError(f"scf.backend.storage: got {storage!r}, expected 'auto', 'stored' or 'direct'")
        if threads is not None and (not isinstance(threads, int) or threads < 1):
            raise InputError(f"scf.backend.threads: got {threads!r}, expected a positive number or nothing")
        if fitted not in ("jk", "j"):
            raise InputError(f"scf.backend.fitted: got {fitted!r}, expected 'jk' or 'j'")
        if density_fitting is not None:
            warnings.warn(
                "scf.backend.density_fitting is now scf.density_fitting (and scf.backend.fitted its key `fitted`)",
                FutureWarning,
                stacklevel=2,
            )
            self.density_fitting = {"basis": density_fitting, "fitted": fitted}
        self._storage: Storage = storage
        self._threads = threads or _available_threads()

    def definition(self) -> dict[str, Any]:
        """Return what of the options enters the spec hash; no number depends on `threads`."""
        return {"name": self.name, "storage": self._storage}

    def kernels(self) -> str:
        """Return the instruction set that scfx's contraction was compiled for."""
        return loaded_variant("scfx_libcint", "scfx_libcint") or ""

    def one_electron(self, batch: Batch) -> OneElectron:
        """Return overlap, kinetic, nuclear attraction (with effective core potentials) and dipole (about the origin) in
        PySCF's AO order.
        """
        n, nao = len(batch), batch.nao
        out = OneElectron(
            np.empty((n, nao, nao)),
            np.empty((n, nao, nao)),
            np.empty((n, nao, nao)),
            np.empty((n, 3, nao, nao)),
        )
        for entry in range(n):
            molecule = environment(batch, entry)
            for matrix, name in zip(out, ("ovlp", "kin", "nuc", "r"), strict=True):
                matrix[entry] = molecule.one_electron(name)
            if molecule.core_bas is not None:
                out.nuclear[entry] += molecule.core_potential()
        return out

    def two_electron(self, batch: Batch, policy: PrecisionPolicy, memory_budget: int) -> AbstractTwoElectron:
        """Return an operator with stored integrals, or one that recomputes them."""
        return self._exact_operator(batch, 0.0, policy, memory_budget)

    def attenuated_two_electron(
        self, batch: Batch, omega: float, policy: PrecisionPolicy, memory_budget: int
    ) -> AbstractTwoElectron:
        """Return an operator of erf(omega r12)/r12."""
        if not omega > 0.0:
            raise InputError(
                f"omega: got {omega!r}, expected a positive range-separation parameter in bohr^-1"
            )
        return self._exact_operator(batch, float(omega), policy, memory_budget)

    def _exact_operator(
        self, batch: Batch, omega: float, policy: PrecisionPolicy, memory_budget: int
    ) -> LaneTwoElectron:
        plan = BlockPlan.from_layout(batch.layout)
        needed, block = len(batch) * _stored_bytes(plan, policy), 8 * plan.buffer_size
        if self._storage == "direct" or (self._storage == "auto" and needed > memory_budget):
            if block > memory_budget:
                raise ResourceError(
                    f"libcint: one block of integrals over {plan.n} functions takes {block:,} bytes, the budget "
                    f"is {memory_budget:,}; raise scf.memory_budget"
                )
            return DirectTwoElectron(batch, omega, plan, self._threads)
        if needed > memory_budget:
            fits = self.max_batch(batch.layout, policy, memory_budget)
            raise ResourceError(
                f"libcint: storing the integrals of {len(batch)} entries of {plan.n} functions takes {needed:,} "
                f"bytes, the budget is {memory_budget:,}; {fits} entries fit. Use smaller batches, raise "
                'scf.memory_budget, or set scf.backend = {name = "libcint", storage = "direct"}'
            )
        return StoredTwoElectron(batch, omega, plan, self._threads, policy)

    def max_batch(self, layout: ShellLayout, policy: PrecisionPolicy, memory_budget: int) -> int | None:
        """Return entries whose integrals fit the budget; where none does, 1 if direct operation can take
        over, else 0.
        """
        plan = BlockPlan.from_layout(layout)
        direct = int(8 * plan.buffer_size <= memory_budget)
        if self._storage == "direct":
            return None if direct else 0
        fits = memory_budget // _stored_bytes(plan, policy)
        return max(fits, direct) if self._storage == "auto" else fits

    def one_electron_gradient(
        self,
        batch: Batch,
        lanes: Int32[np.ndarray, "active"],
        density: Float64[np.ndarray, "active nao nao"],
        energy_weighted_density: Float64[np.ndarray, "active nao nao"],
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return Σ D ∂(T + V) - Σ W ∂S of the entries `lanes`, hartree/bohr."""

        def one(row: int) -> np.ndarray:
            return gradient.one_electron_gradient(
                batch, int(lanes[row]), density[row], energy_weighted_density[row]
            )

        return self._by_entry(one, len(lanes), batch.natm)

    def two_electron_gradient(
        self,
        batch: Batch,
        lanes: Int32[np.ndarray, "active"],
        density: Float64[np.ndarray, "active nspin nao nao"],
        energies: Sequence[TwoElectronEnergy],
        policy: PrecisionPolicy,
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return the derivative of the two-electron energies, hartree/bohr. All in float64 under every policy."""
        operators = gradient.by_operator(energies)

        def one(row: int) -> np.ndarray:
            return gradient.two_electron_gradient(batch, int(lanes[row]), density[row], operators)

        return self._by_entry(one, len(lanes), batch.natm)

    def _by_entry(
        self, one: Callable[[int], np.ndarray], n: int, natm: int
    ) -> Float64[np.ndarray, "active natm 3"]:
        out = np.empty((n, natm, 3))
        if self._threads > 1 and n > 1:
            with ThreadPoolExecutor(min(self._threads, n)) as pool:
                for row, found in enumerate(pool.map(one, range(n))):
                    out[row] = found
        else:
            for row in range(n):
                out[row] = one(row)
        return out

    def three_index(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        operator: Operator = "coulomb",
        omega: float = 0.0,
        shells: tuple[int, int] | None = None,
    ) -> Float64[np.ndarray, "naux npair"]:
        """Return (P|ij) of one entry for pairs j <= i of AOs."""
        return Fitting.for_entry(batch, entry, auxiliary, operator, omega).three_index(shells)

    def two_index(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        operator: Operator = "coulomb",
        omega: float = 0.0,
    ) -> Float64[np.ndarray, "naux naux"]:
        """Return the metric (P|Q) of one entry."""
        return Fitting.for_entry(batch, entry, auxiliary, operator, omega).two_index()

    def three_index_gradient(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        density: Float64[np.ndarray, "naux npair"],
        operator: Operator = "coulomb",
        omega: float = 0.0,
        shells: tuple[int, int] | None = None,
    ) -> Float64[np.ndarray, "natm 3"]:
        """Return Σ Γ_P,ij ∂(P|ij)/∂R of one entry."""
        return Fitting.for_entry(batch, entry, auxiliary, operator, omega).three_index_gradient(
            density, shells
        )

    def two_index_gradient(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        density: Float64[np.ndarray, "naux naux"],
        operator: Operator = "coulomb",
        omega: float = 0.0,
    ) -> Float64[np.ndarray, "natm 3"]:
        """Return Σ Γ_PQ ∂(P|Q)/∂R of one entry."""
        return Fitting.for_entry(batch, entry, auxiliary, operator, omega).two_index_gradient(density)

    def cross_overlap(self, bra: Batch, ket: Batch) -> Float64[np.ndarray, "batch nao_bra nao_ket"]:
        """Return <μ_bra|ν_ket>; the two batches may order their atoms differently, as their bases demand."""
        from pyscf.gto import moleintor

        if len(bra) != len(ket) or bra.natm != ket.natm:
            raise InputError(
                f"cross_overlap: batches of {len(bra)} and {len(ket)} entries with {bra.natm} and {ket.natm} atoms"
            )
        out = np.empty((len(bra), bra.nao, ket.nao))
        # Both sides in Cartesian functions, since one of them may be Cartesian and the other spherical.
        left, right = bra.layout.cart_to_ao, ket.layout.cart_to_ao
        n_bra, n_ket = bra.layout.n_shells, ket.layout.n_shells
        for entry in range(len(bra)):
            atm, bas, env = joined(environment(bra, entry), environment(ket, entry))
            shells = (0, n_bra, n_bra, n_bra + n_ket)
            overlap = moleintor.getints("int1e_ovlp_cart", atm, bas, env, shls_slice=shells)
            out[entry] = left.T @ overlap @ right
        return out


def _stored_bytes(plan: BlockPlan, policy: PrecisionPolicy) -> int:
    # How many rows a Schwarz threshold keeps in float64 depends on the geometry: plan for all of them.
    narrow = policy.integrals == "float32" and policy.schwarz_float64 is None
    return plan.n_integrals * (4 if narrow else 8)


def _available_threads() -> int:
    asked = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if asked.isdigit() and int(asked) > 0:
        return int(asked)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
