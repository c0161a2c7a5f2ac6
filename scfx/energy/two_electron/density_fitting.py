"""`DensityFitting`: what is fitted, and by which auxiliary basis set; a choice of the calculation, part of its hash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from scfx.contracts.fitting import AbstractFittingRowsBackend
from scfx.energy.two_electron.fitted import fitted_bytes
from scfx.energy.two_electron.fitted_rows import fitted_dtype, most_entries
from scfx.model.basis import BasisSet

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.backend import AbstractIntegralBackend
    from scfx.contracts.basis import AbstractBasisSource
    from scfx.model.batch import Batch


@dataclass(frozen=True)
class DensityFitting:
    """What a calculation fits, and with which auxiliary basis: "jk" fits J and K, "j" J alone and keeps K exact."""

    auxiliary: AbstractBasisSource
    fitted: Literal["jk", "j"] = "jk"

    def definition(self) -> dict[str, Any]:
        """Return what enters the spec hash."""
        return {"auxiliary": self.auxiliary.definition(), "fitted": self.fitted}

    def basis(self, batch: Batch) -> BasisSet:
        """Return the auxiliary basis set of a batch's elements; `BasisError` where it does not cover one."""
        return BasisSet.from_source(self.auxiliary, {int(z) for row in batch.atomic_numbers for z in row})

    def most_entries(
        self, backend: AbstractIntegralBackend, batch: Batch, policy: PrecisionPolicy, memory_budget: int
    ) -> int:
        """Return how many entries of a batch fit a budget; 1 too where blocks of one's integrals can be made again."""
        auxiliary = self.basis(batch)
        if isinstance(backend, AbstractFittingRowsBackend):
            return most_entries(backend, batch, auxiliary, fitted_dtype(policy), memory_budget)
        n_auxiliary = sum(auxiliary.nao(int(z)) for z in batch.atomic_numbers[0])
        return int(memory_budget // fitted_bytes(batch.layout.ncart, n_auxiliary))
