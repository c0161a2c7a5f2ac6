"""The optimize task: the molecules of a file to their minima."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from scfx.model.system import BOHR_IN_ANGSTROM, DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV
from scfx_geometry.constraints import check_atoms
from scfx_geometry.criteria import criteria_of
from scfx_geometry.optimizers import optimizer_of
from scfx_geometry.options import OptimizeOptions
from scfx_geometry.property_columns import property_row
from scfx_geometry.relax import Relaxation, relaxed
from scfx_geometry.sources import CONVERGED, TABLE
from scfx_geometry.tables import FRAME_COLUMNS, GEOMETRY_COLUMNS, ParquetFile, XYZFile
from scfx_geometry.task import GeometryTask
from scfx_geometry.work import GeometryWork

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from pydantic import BaseModel

    from scfx.contracts.optimizer import AbstractOptimizer
    from scfx.model.system import System
    from scfx_geometry.checkpoint import Checkpoint
    from scfx_geometry.solvers import Solvers
    from scfx_geometry.sources import MoleculeFile

_FORCE = HARTREE_IN_EV / BOHR_IN_ANGSTROM
#: Files of the paths: for tables, and for whatever reads geometries, as the dataset task does.
FRAMES = ("trajectory.parquet", "trajectory.xyz")


class OptimizeWork(GeometryWork):
    """Relaxes the molecules of a shard side by side."""

    def rows(
        self,
        solvers: Solvers,
        items: Sequence[dict[str, Any]],
        systems: Sequence[System],
        memory: Checkpoint | None,
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (place, row) of each molecule, as soon as it is relaxed."""
        settings: OptimizeOptions = self.settings
        for place, done in relaxed(
            solvers.steps, systems, settings.optimizer, settings.criteria, settings.max_steps,
            settings.constraints, trajectory=settings.trajectory, lanes=settings.lanes, labels=solvers.labels,
            propagate_guess=settings.propagate_guess,
            memory=None if memory is None else memory.paths(*((item["index"],) for item in items)),
        ):  # fmt: skip
            properties = property_row(
                solvers.labels.resolved.properties, GEOMETRY_COLUMNS, done.properties, done.property_reasons
            )
            yield place, {**_row(done), **properties}


class OptimizeTask(GeometryTask):
    """Relaxed geometries, a row a molecule, whatever became of it (docs/geometries.md)."""

    Options: ClassVar[type[BaseModel]] = OptimizeOptions
    _name = "optimize"
    _columns = GEOMETRY_COLUMNS
    _work = OptimizeWork
    #: Found when the task is checked.
    _optimizer: type[AbstractOptimizer] | None = None

    @property
    def _settings(self) -> OptimizeOptions:
        assert isinstance(self.options, OptimizeOptions)
        return self.options

    @property
    def _files(self) -> Sequence[str]:
        return [TABLE, "geometries.xyz", *(FRAMES if self._settings.trajectory else ())]

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

    def _contents(
        self, rows: Iterable[Mapping[str, Any]], more: Sequence[pa.Field]
    ) -> tuple[list[bytes], str]:
        table, geometries = ParquetFile(GEOMETRY_COLUMNS, more), XYZFile()
        frames, path = ParquetFile(FRAME_COLUMNS), XYZFile()
        steps = _Steps(self._settings.propagate_guess)
        for row in rows:
            good = row["status"] == "ok"
            steps.add(row, good)
            own = {**row, "status": CONVERGED if good else "not_relaxed"}
            table.add([own])
            if good:
                geometries.add([own])
            if self._settings.trajectory:
                points = [{**row, **point, "step": step} for step, point in enumerate(row.get("frames", ()))]
                frames.add(points)
                path.add(points)
        files = [table.content(), geometries.content()]
        if self._settings.trajectory:
            files += [frames.content(), path.content()]
        return files, steps.text()


class _Steps:
    """What the paths cost: steps, and SCF iterations a step from either guess."""

    def __init__(self, propagated: bool):
        self._propagated = propagated
        self._rows = self._good = 0
        self._steps = self._later = self._iterations = self._later_iterations = self._from_standard = 0

    def add(self, row: Mapping[str, Any], good: bool) -> None:
        """Count one row; only converged ones are counted in the means."""
        self._rows += 1
        if good:
            self._good += 1
            self._steps += row["steps"]
            self._iterations += row["iterations"]
            self._later += row["steps"] - 1
            self._later_iterations += row["iterations"] - row["first_iterations"]
            self._from_standard += row["final_iterations"]

    def text(self) -> str:
        """Return what people are told."""
        out = f"{self._good} of {self._rows} converged"
        if not self._good:
            return out
        out += f" in {self._steps / self._good:.1f} steps on average"
        if self._later and self._propagated:
            out += (
                f"; SCF iterations a step: {self._later_iterations / self._later:.1f} from the density of the step "
                f"before, {self._from_standard / self._good:.1f} from the standard guess (final geometries)"
            )
        elif not self._propagated:
            out += (
                f"; SCF iterations a step: {self._iterations / self._steps:.1f}, all from the standard guess"
            )
        return out


def _row(done: Relaxation) -> dict[str, Any]:
    dipole = None if done.dipole is None else done.dipole * DIPOLE_AU_IN_DEBYE
    return {
        "status": "ok" if done.converged else "not_converged",
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
        "first_iterations": done.first_iterations,
        "final_iterations": done.final_iterations if done.converged else None,
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
