"""All contracts that plugins fill, under the one name that they were first published by.

Each stands in `scfx.contracts`, by who fills it. A required method is abstract. What a plugin *may* do is a marker
class that it also inherits from (`AbstractLaneTwoElectron`, `AbstractAttenuatedBackend`, `AbstractGridBackend`...), so
that the core asks `isinstance`, never `hasattr`. Names may be added, none removed, while `scfx.HOOK_API` is the same.
Pluggy selects, these compute: no hook is ever called inside `jit`.
"""

from scfx.contracts.backend import (
    AbstractAttenuatedBackend,
    AbstractCorePotentialBackend,
    AbstractCrossOverlapBackend,
    AbstractIntegralBackend,
    OneElectron,
)
from scfx.contracts.basis import AbstractBasisSource
from scfx.contracts.derivatives import (
    AbstractGradientBackend,
    AbstractGridGradientOperator,
    TwoElectronEnergy,
)
from scfx.contracts.dispersion import AbstractDispersionCorrection
from scfx.contracts.executor import AbstractExecutor, AbstractIsolatingExecutor
from scfx.contracts.fitting import (
    AbstractFittingBackend,
    AbstractFittingRows,
    AbstractFittingRowsBackend,
    RowBlock,
)
from scfx.contracts.functional import AbstractFunctional, ClosedShellDensity, Density, Family
from scfx.contracts.grid import AbstractGridBackend, AbstractGridOperator, AbstractNonlocalBackend
from scfx.contracts.labels import AbstractDataset, AbstractLabels
from scfx.contracts.requests import TwoElectronRequest
from scfx.contracts.task import AbstractTask, TaskContext
from scfx.contracts.two_electron import AbstractLaneTwoElectron, AbstractTwoElectron
from scfx.contracts.work import AbstractWork

__all__ = [
    "AbstractAttenuatedBackend",
    "AbstractBasisSource",
    "AbstractCorePotentialBackend",
    "AbstractCrossOverlapBackend",
    "AbstractDataset",
    "AbstractDispersionCorrection",
    "AbstractExecutor",
    "AbstractFittingBackend",
    "AbstractFittingRows",
    "AbstractFittingRowsBackend",
    "AbstractFunctional",
    "AbstractGradientBackend",
    "AbstractGridBackend",
    "AbstractGridGradientOperator",
    "AbstractGridOperator",
    "AbstractIntegralBackend",
    "AbstractIsolatingExecutor",
    "AbstractLabels",
    "AbstractLaneTwoElectron",
    "AbstractNonlocalBackend",
    "AbstractTask",
    "AbstractTwoElectron",
    "AbstractWork",
    "ClosedShellDensity",
    "Density",
    "Family",
    "OneElectron",
    "RowBlock",
    "TaskContext",
    "TwoElectronEnergy",
    "TwoElectronRequest",
]
