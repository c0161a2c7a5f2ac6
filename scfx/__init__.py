"""Compute Kohn-Sham and Hartree-Fock labels of millions of small molecules, and say what each choice costs.

The names below are the public ones. They load on first use, so that `import scfx` (and listing plugins) imports
neither JAX nor any plugin.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from scfx.old_names import MOVED, install

install()

__version__ = "0.1.0"

_WHERE = {
    "solve": "scfx.driver",
    "Solver": "scfx.driver",
    "System": "scfx.model.system",
    "Batch": "scfx.model.batch",
    "group_by_structure": "scfx.model.batch",
    "Shell": "scfx.model.basis",
    "BasisSet": "scfx.model.basis",
    "PrecisionPolicy": "scfx.config.precision",
    "SCFResult": "scfx.results",
    "Status": "scfx.results",
    "SCFSpec": "scfx.config.spec",
    "Config": "scfx.config.file",
    "Registry": "scfx.registry",
    "Offer": "scfx.offer",
    "Capabilities": "scfx.offer",
    "HOOK_API": "scfx.offer",
    "hookimpl": "scfx.hookspecs",
    "Density": "scfx.contracts.functional",
    "ClosedShellDensity": "scfx.contracts.functional",
    "OneElectron": "scfx.contracts.backend",
    "AbstractFunctional": "scfx.contracts.functional",
    "AbstractBasisSource": "scfx.contracts.basis",
    "AbstractIntegralBackend": "scfx.contracts.backend",
    "AbstractAttenuatedBackend": "scfx.contracts.backend",
    "AbstractGridBackend": "scfx.contracts.grid",
    "AbstractGridOperator": "scfx.contracts.grid",
    "AbstractTwoElectron": "scfx.contracts.two_electron",
    "AbstractLaneTwoElectron": "scfx.contracts.two_electron",
    "AbstractTask": "scfx.contracts.task",
    "AbstractExecutor": "scfx.contracts.executor",
    "TaskContext": "scfx.contracts.task",
    "AbstractOptimizer": "scfx.contracts.optimizer",
    "AbstractGradientBackend": "scfx.contracts.derivatives",
    "AbstractProperty": "scfx.contracts.property",
    "AbstractBatchProperty": "scfx.contracts.property",
    "Column": "scfx.contracts.property",
    "PropertyError": "scfx.contracts.property",
    "ConstructionContext": "scfx.contracts.construction",
    "DenseTwoElectron": "scfx.energy.two_electron.dense",
    "LaneTwoElectron": "scfx.energy.two_electron.lane_operator",
    "ScfxError": "scfx.errors",
    "InputError": "scfx.errors",
    "ConfigError": "scfx.errors",
    "CapabilityError": "scfx.errors",
    "ConvergenceError": "scfx.errors",
    "ResourceError": "scfx.errors",
}

__all__ = ["__version__", *sorted(_WHERE)]  # pyright: ignore[reportUnsupportedDunderAll]

if TYPE_CHECKING:
    from scfx.config.file import Config as Config
    from scfx.config.precision import PrecisionPolicy as PrecisionPolicy
    from scfx.config.spec import SCFSpec as SCFSpec
    from scfx.contracts.backend import AbstractAttenuatedBackend as AbstractAttenuatedBackend
    from scfx.contracts.backend import AbstractIntegralBackend as AbstractIntegralBackend
    from scfx.contracts.backend import OneElectron as OneElectron
    from scfx.contracts.basis import AbstractBasisSource as AbstractBasisSource
    from scfx.contracts.construction import ConstructionContext as ConstructionContext
    from scfx.contracts.derivatives import AbstractGradientBackend as AbstractGradientBackend
    from scfx.contracts.executor import AbstractExecutor as AbstractExecutor
    from scfx.contracts.functional import AbstractFunctional as AbstractFunctional
    from scfx.contracts.functional import ClosedShellDensity as ClosedShellDensity
    from scfx.contracts.functional import Density as Density
    from scfx.contracts.grid import AbstractGridBackend as AbstractGridBackend
    from scfx.contracts.grid import AbstractGridOperator as AbstractGridOperator
    from scfx.contracts.optimizer import AbstractOptimizer as AbstractOptimizer
    from scfx.contracts.property import AbstractBatchProperty as AbstractBatchProperty
    from scfx.contracts.property import AbstractProperty as AbstractProperty
    from scfx.contracts.property import Column as Column
    from scfx.contracts.property import PropertyError as PropertyError
    from scfx.contracts.task import AbstractTask as AbstractTask
    from scfx.contracts.task import TaskContext as TaskContext
    from scfx.contracts.two_electron import AbstractLaneTwoElectron as AbstractLaneTwoElectron
    from scfx.contracts.two_electron import AbstractTwoElectron as AbstractTwoElectron
    from scfx.driver import Solver as Solver
    from scfx.driver import solve as solve
    from scfx.energy.two_electron.dense import DenseTwoElectron as DenseTwoElectron
    from scfx.energy.two_electron.lane_operator import LaneTwoElectron as LaneTwoElectron
    from scfx.errors import CapabilityError as CapabilityError
    from scfx.errors import ConfigError as ConfigError
    from scfx.errors import ConvergenceError as ConvergenceError
    from scfx.errors import InputError as InputError
    from scfx.errors import ResourceError as ResourceError
    from scfx.errors import ScfxError as ScfxError
    from scfx.hookspecs import hookimpl as hookimpl
    from scfx.model.basis import BasisSet as BasisSet
    from scfx.model.basis import Shell as Shell
    from scfx.model.batch import Batch as Batch
    from scfx.model.batch import group_by_structure as group_by_structure
    from scfx.model.system import System as System
    from scfx.offer import HOOK_API as HOOK_API
    from scfx.offer import Capabilities as Capabilities
    from scfx.offer import Offer as Offer
    from scfx.registry import Registry as Registry
    from scfx.results import SCFResult as SCFResult
    from scfx.results import Status as Status


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if f"scfx.{name}" in MOVED:
        return import_module(f"scfx.{name}")
    try:
        module = _WHERE[name]
    except KeyError:
        raise AttributeError(f"module 'scfx' has no attribute {name!r}") from None
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
