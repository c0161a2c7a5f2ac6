"""Old names of modules that moved into rooms: `scfx.system` is `scfx.model.system`, and so on, the same module object.

Scripts and plugins written before the move keep working; new code uses the rooms.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "scfx.system": "scfx.model.system",
    "scfx.elements": "scfx.model.elements",
    "scfx.basis": "scfx.model.basis",
    "scfx.batch": "scfx.model.batch",
    "scfx.formats": "scfx.model.formats",
    "scfx.spec": "scfx.config.spec",
    "scfx.convergence": "scfx.config.convergence",
    "scfx.precision": "scfx.config.precision",
    "scfx.spec_hash": "scfx.config.spec_hash",
    "scfx.toml": "scfx.config.toml",
    "scfx.lanes": "scfx.execution.lanes",
    "scfx.native": "scfx.execution.native",
    "scfx.compile_time": "scfx.execution.compile_time",
    "scfx.interrupt": "scfx.execution.interrupt",
    "scfx.orbitals": "scfx.energy.orbitals",
    "scfx.two_electron": "scfx.energy.two_electron.lane_operator",
    "scfx.dense": "scfx.energy.two_electron.dense",
    "scfx.scf.run": "scfx.scf.batch_scf",
    "scfx.scf.entries": "scfx.scf.system_entries",
    "scfx.scf.phases": "scfx.scf.precision_phases",
    "scfx.scf.prepare": "scfx.scf.batch_matrices",
    "scfx.jobs.run": "scfx.jobs.plan_run",
    "scfx.scf.driver": "scfx.driver",
    "scfx.scf.xc": "scfx.energy.exchange_correlation.functional_at_points",
    "scfx.scf.integrate": "scfx.energy.exchange_correlation.portable",
    "scfx.scf.backend_quadrature": "scfx.energy.exchange_correlation.backend",
    "scfx.scf.nonlocal_correlation": "scfx.energy.nonlocal_correlation",
}


class _Finder(MetaPathFinder, Loader):
    """Answers for the old names only."""

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(MOVED[spec.name])
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put the old name's spec into the module: it keeps its own.
        module.__spec__ = self._own


def install() -> None:
    """Let the old names be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
