"""`LibcintBackend`: the float64 reference on the CPU."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Float64

from scfx.abstract import (
    AbstractAttenuatedBackend,
    AbstractCorePotentialBackend,
    AbstractCrossOverlapBackend,
    AbstractTwoElectron,
    OneElectron,
)
from scfx.basis import BasisSet
from scfx.errors import CapabilityError, InputError, ResourceError
from scfx_libcint.blocks import BlockPlan
from scfx_libcint.density_fitting import FittedTwoElectron, fitted_bytes
from scfx_libcint.environment import environment, joined
from scfx_libcint.two_electron import DirectTwoElectron, StoredTwoElectron

if TYPE_CHECKING:
    from scfx.batch import Batch, ShellLayout
    from scfx.contracts.construction import ConstructionContext
    from scfx.precision import PrecisionPolicy
    from scfx.two_electron import LaneTwoElectron

Storage = Literal["auto", "stored", "direct"]


class LibcintBackend(AbstractAttenuatedBackend, AbstractCorePotentialBackend, AbstractCrossOverlapBackend):
    """Integrals from PySCF's copy of libcint (Sun, J. Comput. Chem. 36, 1664 (2015)); J and K from scfx's
    kernel.

    `storage`: "stored" keeps the integrals (8-fold symmetry: nao⁴/8 numbers an entry), "direct" recomputes
    them at every call, "auto" stores if the memory budget allows. `threads`: entries contracted at once; None
    takes OMP_NUM_THREADS or, without it, the processors this process may use. Neither changes a single bit of
    the results, as long as integrals are stored in float64.

    `density_fitting`: an auxiliary basis set (a name or a table, as `scf.basis`), for instance
    "def2-universal-jkfit": J and K come from fitted three-index integrals. `fitted`: "jk", or "j" to fit J alone and
    keep K exact. Fitted integrals are float64 only.
    """

    name = "libcint"

    def __init__(
        self,
        storage: Storage = "auto",
        threads: int | None = None,
        density_fitting: Any = None,
        fitted: Literal["jk", "j"] = "jk",
        context: ConstructionContext | None = None,
    ):
        if storage not in ("auto", "stored", "direct"):
            raise InputError(f"scf.backend.storage: got {storage!r}, expected 'auto', 'stored' or 'direct'")
        if threads is not None and (not isinstance(threads, int) or threads < 1):
            raise InputError(f"scf.backend.threads: got {threads!r}, expected a positive number or nothing")
        if fitted not in ("jk", "j"):
            raise InputError(f"scf.backend.fitted: got {fitted!r}, expected 'jk' or 'j'")
        self._fitted = fitted
        self._auxiliary = None
        if density_fitting is not None:
            if context is None:
                raise InputError(
                    "scf.backend.density_fitting: LibcintBackend was made without a registry to find basis sets in; "
                    "use Registry.discover().backend({'name': 'libcint', 'density_fitting': ...})"
                )
            self._auxiliary = context.registry.basis(density_fitting, key=f"{context.key}.density_fitting")
        self._storage: Storage = storage
        self._threads = threads or _available_threads()

    def definition(self) -> dict[str, Any]:
        """See `AbstractIntegralBackend.definition`; no number depends on `threads`."""
        own: dict[str, Any] = {"name": self.name, "storage": self._storage}
        if self._auxiliary is not None:
            own |= {"density_fitting": self._auxiliary.definition(), "fitted": self._fitted}
        return own

    def one_electron(self, batch: Batch) -> OneElectron:
        """Overlap, kinetic, nuclear attraction (with effective core potentials) and dipole (about the origin) in
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
        """See `AbstractIntegralBackend.two_electron`."""
        return self._operator(batch, 0.0, policy, memory_budget)

    def attenuated_two_electron(
        self, batch: Batch, omega: float, policy: PrecisionPolicy, memory_budget: int
    ) -> AbstractTwoElectron:
        """The same for erf(omega r12)/r12."""
        if not omega > 0.0:
            raise InputError(
                f"omega: got {omega!r}, expected a positive range-separation parameter in bohr^-1"
            )
        return self._operator(batch, float(omega), policy, memory_budget)

    def _operator(
        self, batch: Batch, omega: float, policy: PrecisionPolicy, memory_budget: int
    ) -> AbstractTwoElectron:
        if self._auxiliary is not None:
            return self._fitted_operator(batch, omega, policy, memory_budget)
        return self._exact_operator(batch, omega, policy, memory_budget)

    def _fitted_operator(
        self, batch: Batch, omega: float, policy: PrecisionPolicy, memory_budget: int
    ) -> AbstractTwoElectron:
        assert self._auxiliary is not None
        if policy.integrals != "float64":
            raise CapabilityError(
                "scf.precision",
                f"density fitting stores float64 integrals only, policy {policy.name!r} asks for {policy.integrals}; "
                "use precision = 'float64'",
            )
        elements = {int(z) for row in batch.atomic_numbers for z in row}
        auxiliary = BasisSet.from_source(self._auxiliary, elements)
        n_auxiliary = sum(auxiliary.nao(int(z)) for z in batch.atomic_numbers[0])
        needed = len(batch) * fitted_bytes(batch.layout.ncart, n_auxiliary)
        if needed > memory_budget:
            raise ResourceError(
                f"libcint: fitted integrals of {len(batch)} entries of {batch.nao} functions with {n_auxiliary} "
                f"auxiliary functions take {needed:,} bytes, the budget is {memory_budget:,}; use a smaller "
                "scf.lane_width or raise scf.memory_budget"
            )
        exact = None
        if self._fitted == "j":
            exact = self._exact_operator(batch, omega, policy, memory_budget - needed)
        return FittedTwoElectron(batch, auxiliary, omega, exact)

    def _exact_operator(
        self, batch: Batch, omega: float, policy: PrecisionPolicy, memory_budget: int
    ) -> LaneTwoElectron:
        plan = BlockPlan.of(batch.layout)
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
        """Entries whose integrals fit the budget; where none does, 1 if direct operation can take over, else
        0.
        """
        if self._auxiliary is not None:
            # About three auxiliary functions to an orbital one, in the standard sets; the operator counts exactly.
            fits = int(memory_budget // fitted_bytes(layout.ncart, 4 * layout.ncart))
            if self._fitted == "jk":
                return fits
        plan = BlockPlan.of(layout)
        direct = int(8 * plan.buffer_size <= memory_budget)
        if self._storage == "direct":
            return None if direct else 0
        fits = memory_budget // _stored_bytes(plan, policy)
        return max(fits, direct) if self._storage == "auto" else fits

    def cross_overlap(self, bra: Batch, ket: Batch) -> Float64[np.ndarray, "batch nao_bra nao_ket"]:
        """<μ_bra|ν_ket>; the two batches may order their atoms differently, as their bases demand."""
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
