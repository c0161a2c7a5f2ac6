"""The optimize task: the molecules of a file to their minima."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from scfx.model.system import BOHR_IN_ANGSTROM, DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV
from scfx_geometry.constraints import check_atoms
from scfx_geometry.criteria import criteria_of
from scfx_geometry.optimizers import optimizer_of
from scfx_geometry.options import OptimizeOptions
from scfx_geometry.property_columns import property_fields, property_row
from scfx_geometry.relax import Relaxation, relaxed
from scfx_geometry.sources import CONVERGED, TABLE
from scfx_geometry.tables import FRAME_COLUMNS, GEOMETRY_COLUMNS, write_table, write_xyz
from scfx_geometry.task import GeometryTask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import BaseModel

    from scfx.contracts.optimizer import AbstractOptimizer
    from scfx_geometry.solvers import Solvers
    from scfx_geometry.sources import MoleculeFile, SourceMolecule
    from scfx_geometry.store import RowStore

_FORCE = HARTREE_IN_EV / BOHR_IN_ANGSTROM


class OptimizeTask(GeometryTask):
    """Relaxed geometries, a row a molecule, whatever became of it (docs/geometries.md)."""

    Options: ClassVar[type[BaseModel]] = OptimizeOptions
    _lost = "not_relaxed"
    _good = CONVERGED
    _columns = GEOMETRY_COLUMNS
    #: Found when the task is checked.
    _optimizer: type[AbstractOptimizer] | None = None

    @property
    def _settings(self) -> OptimizeOptions:
        assert isinstance(self.options, OptimizeOptions)
        return self.options

    @property
    def _distributions(self) -> tuple[str, ...]:
        assert self._optimizer is not None
        return self._optimizer.distributions

    def _check_source(self, source: MoleculeFile, registry: Any) -> None:
        settings = self._settings
        self._optimizer = optimizer_of(settings.optimizer, registry, settings.constraints, "task.optimizer")
        criteria_of(settings.criteria, "task.criteria")
        for record in source.records:
            if record.system is not None:
                check_atoms(settings.constraints, record.system, "task.constraints")

    def _compute(
        self, solvers: Solvers, todo: Sequence[tuple[int, SourceMolecule]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        settings = self._settings
        systems = [record.system for _, record in todo if record.system is not None]
        for place, done in relaxed(
            solvers.steps, systems, self._optimizer or settings.optimizer, settings.criteria, settings.max_steps,
            settings.constraints, trajectory=settings.trajectory, lanes=settings.lanes, labels=solvers.labels,
        ):  # fmt: skip
            properties = property_row(
                solvers.labels.resolved.properties, self._columns, done.properties, done.property_reasons
            )
            yield todo[place][0], {**_row(done), **properties}

    def _write(
        self, store: RowStore, rows: Sequence[Mapping[str, Any]], solvers: Solvers | None
    ) -> list[str]:
        more = () if solvers is None else property_fields(solvers.labels.resolved.properties, self._columns)
        write_table(store.folder / TABLE, GEOMETRY_COLUMNS, rows, more)
        write_xyz(store.folder / "geometries.xyz", [row for row in rows if row["status"] == self._good])
        names = [TABLE, "geometries.xyz"]
        if self._settings.trajectory:
            frames = [
                {**row, **frame, "step": step}
                for row in rows
                for step, frame in enumerate(row.get("frames", ()))
            ]
            write_table(store.folder / "trajectory.parquet", FRAME_COLUMNS, frames)
            names.append("trajectory.parquet")
        return names


def _row(done: Relaxation) -> dict[str, Any]:
    dipole = None if done.dipole is None else done.dipole * DIPOLE_AU_IN_DEBYE
    return {
        "status": done.status,
        "reason": done.reason,
        "positions_angstrom": done.system.positions_angstrom.tolist(),
        "energy_hartree": done.energy,
        "forces_ev_per_angstrom": None if done.gradient is None else _forces(done.gradient),
        "dipole_debye": None if dipole is None else float(np.linalg.norm(dipole)),
        "dipole_vector_debye": None if dipole is None else dipole.tolist(),
        "energy_difference_hartree": done.energy_difference,
        "another_solution": done.another_solution,
        "rearranged": done.rearranged,
        "steps": done.steps,
        "iterations": done.iterations,
        "frames": [
            {
                "positions_angstrom": (frame.positions * BOHR_IN_ANGSTROM).tolist(),
                "energy_hartree": frame.energy,
                "forces_ev_per_angstrom": _forces(frame.gradient),
            }
            for frame in done.frames
        ],
    }


def _forces(gradient: np.ndarray) -> list[list[float]]:
    # + 0.0: no minus zero.
    return (-gradient * _FORCE + 0.0).tolist()
