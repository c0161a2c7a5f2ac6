"""`JaxBackend`: integrals in portable JAX, on the CPU or on an accelerator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count, takewhile
from typing import TYPE_CHECKING, Any, Literal

import jax
import numpy as np

from scfx.contracts.backend import AbstractAttenuatedBackend, OneElectron
from scfx.errors import CapabilityError, InputError, ResourceError
from scfx.execution.device import on_device, running
from scfx_jax.one_electron import one_electron_matrices
from scfx_jax.two_electron import JaxTwoElectron, row_plan

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.requests import TwoElectronRequest
    from scfx.contracts.two_electron import AbstractTwoElectron
    from scfx.model.batch import Batch, ShellLayout

Storage = Literal["auto", "stored", "direct"]
#: f
_HIGHEST = 3


class JaxBackend(AbstractAttenuatedBackend):
    """Integrals by the McMurchie-Davidson scheme in JAX (docs/gpu.md). It was never run on a GPU so far.

    `storage`: "stored" keeps the integrals, "direct" makes them again at every call, "auto" stores if the memory budget
    allows. `tile`: pairs of shells of a tile; a larger one gives an accelerator more to do at once, and compiles again.
    """

    name = "jax"
    max_angular_momentum = _HIGHEST

    def __init__(self, storage: Storage = "auto", tile: int = 16):
        if storage not in ("auto", "stored", "direct"):
            raise InputError(f"scf.backend.storage: got {storage!r}, expected 'auto', 'stored' or 'direct'")
        if not isinstance(tile, int) or isinstance(tile, bool) or not 1 <= tile <= 1024:
            raise InputError(f"scf.backend.tile: got {tile!r}, expected a number from 1 to 1024")
        self._storage: Storage = storage
        self._tile = tile
        self._ran_on = "cpu"

    def device(self) -> str:
        """Return where integrals last ran: "cpu" or "gpu"."""
        return self._ran_on

    def definition(self) -> dict[str, Any]:
        """Return what enters the spec hash: kept integrals are those that would be made again."""
        return {"name": self.name, "tile": self._tile}

    def one_electron(self, batch: Batch) -> OneElectron:
        """Return overlap, kinetic, nuclear attraction and dipole in float64."""
        self._check(batch.layout, batch)
        lanes = side_by_side(len(batch))
        with self._within():
            parts = [
                one_electron_matrices(batch, start, lanes, self._tile)
                for start in range(0, len(batch), lanes)
            ]
        return OneElectron(*(np.concatenate(matrices) for matrices in zip(*parts, strict=True)))

    def two_electron(self, batch: Batch, policy: PrecisionPolicy, memory_budget: int) -> AbstractTwoElectron:
        """Return an operator with stored integrals, or one that makes them again."""
        return self._operator(batch, (0.0,), policy, memory_budget)

    def attenuated_two_electron(
        self, batch: Batch, omega: float, policy: PrecisionPolicy, memory_budget: int
    ) -> AbstractTwoElectron:
        """Return an operator of erf(omega r12)/r12."""
        return self._operator(batch, (_inverse_square(omega),), policy, memory_budget)

    def two_electron_operator(
        self, batch: Batch, request: TwoElectronRequest, policy: PrecisionPolicy, memory_budget: int
    ) -> AbstractTwoElectron:
        """Return the operator of a request; erfc is 1/r less erf."""
        if request.operator == "erfc":
            return self._operator(batch, (0.0, _inverse_square(request.omega)), policy, memory_budget)
        return super().two_electron_operator(batch, request, policy, memory_budget)

    def max_batch(self, layout: ShellLayout, policy: PrecisionPolicy, memory_budget: int) -> int | None:
        """Return how many entries' integrals fit the budget; where none does, 1 if they can be made again, else 0."""
        if layout.n_shells and max(layout.angular_momentum) > _HIGHEST:
            return None  # refused when it is asked for, with the reason
        needed = _Bytes(layout, self._tile, policy)
        batched = running().batched
        direct = _filled(memory_budget // needed.working) if batched else int(needed.working <= memory_budget)
        if self._storage == "direct":
            return direct if batched or not direct else None
        # One after the other, entries share the bytes in which integrals are made.
        if batched:
            fits = _filled(memory_budget // (needed.working_kept + needed.stored))
        else:
            fits = max(0, memory_budget - needed.working_kept) // needed.stored
        return fits or direct if self._storage == "auto" else fits

    # ---- parts -------------------------------------------------------------------------------------------------

    def _operator(
        self, batch: Batch, inverse_omega2: tuple[float, ...], policy: PrecisionPolicy, memory_budget: int
    ) -> AbstractTwoElectron:
        self._check(batch.layout, batch)
        lanes = side_by_side(len(batch))
        padded = -(-len(batch) // lanes) * lanes
        needed = _Bytes(batch.layout, self._tile, policy)
        all_kept = lanes * needed.working_kept + padded * needed.stored
        kept = self._storage == "stored" or (self._storage == "auto" and all_kept <= memory_budget)
        asked = all_kept if kept else lanes * needed.working
        if asked > memory_budget:
            how = (
                f"keeping the integrals of {len(batch)} entries" if kept else f"one block of {lanes} entries"
            )
            advice = ', or set scf.backend = { name = "jax", storage = "direct" }' if kept else ""
            raise ResourceError(
                f"jax: {how} of {batch.nao} functions takes {asked:,} bytes, the budget is {memory_budget:,}; use "
                f"smaller batches, raise scf.memory_budget{advice}"
            )
        return JaxTwoElectron(
            batch,
            row_plan(batch.layout, self._tile),
            lanes,
            inverse_omega2,
            needed.dtype,
            "float64" if needed.dtype == "float64" else policy.coulomb_exchange,
            kept,
            self._within,
        )

    @contextmanager
    def _within(self) -> Iterator[None]:
        execution = running()
        self._ran_on = execution.platform
        with on_device(execution.platform), jax.enable_x64(True):
            yield

    def _check(self, layout: ShellLayout, batch: Batch) -> None:
        highest = max(layout.angular_momentum)
        if highest > _HIGHEST:
            raise CapabilityError(
                "scf.backend",
                f"'jax' has shells up to f (3), and {batch.basis.name!r} has one of angular momentum {highest}; use "
                "backend = 'libcint', or a smaller basis set",
            )
        if any(basis.core_potentials for row in batch.atom_basis for basis in row):
            raise CapabilityError(
                "scf.backend",
                f"'jax' has no effective core potentials, which {batch.basis.name!r} needs; use backend = 'simd' or "
                "'libcint', or an all-electron basis set",
            )


class _Bytes:
    """What integrals of one entry take, in bytes: `stored`, while a block is made, and while all that are kept are."""

    def __init__(self, layout: ShellLayout, tile: int, policy: PrecisionPolicy):
        # A Schwarz threshold asks for float64 where integrals are large; all of them have it then.
        narrow = policy.integrals == "float32" and policy.schwarz_float64 is None
        self.dtype = "float32" if narrow else "float64"
        plan = row_plan(layout, tile)
        size = 4 if narrow else 8
        self.stored = size * plan.stored_rows() * plan.n**2
        self.working = size * plan.working_numbers()
        self.working_kept = self.working + size * plan.mirrored_numbers()


def side_by_side(entries: int) -> int:
    """Return how many entries are computed at once: one, or a batch filled up to one of few numbers."""
    return next(n for n in _counts() if n >= entries) if running().batched else 1


def _filled(entries: int) -> int:
    """Return the most entries whose batch, filled up, is not larger than `entries`."""
    if not running().batched or entries < 1:
        return max(0, entries)
    return max(n for n in takewhile(lambda n: n <= entries, _counts()))


def _counts() -> Iterator[int]:
    """Yield 1, 2, 3, 4, 6, 8, 12, 16, ...: at most a third of a batch is filling."""
    yield 1
    for power in count():
        yield 2 * 2**power
        yield 3 * 2**power


def _inverse_square(omega: float) -> float:
    if not omega > 0.0:
        raise InputError(f"omega: got {omega!r}, expected a positive range-separation parameter in bohr^-1")
    return 1.0 / float(omega) ** 2
