"""The sample task: geometries around those of a source, each with the labels of `[scf]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from scfx.config.spec import SCFSpec
from scfx.contracts.optimizer import Constraint
from scfx.errors import ConfigError, ScfxError
from scfx.model.system import BOHR_IN_ANGSTROM, DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV
from scfx_geometry.criteria import criteria_of
from scfx_geometry.isotopes import commonest_isotope_masses
from scfx_geometry.optimizers import optimizer_of
from scfx_geometry.property_columns import property_fields, property_row
from scfx_geometry.relax import relax
from scfx_geometry.sampling.dynamics import Dynamics, frames_of_dynamics
from scfx_geometry.sampling.normal_modes import displaced_along_modes
from scfx_geometry.sampling.options import DynamicsMethod, NormalModesMethod, SampleOptions, TorsionMethod
from scfx_geometry.sampling.torsion import turned
from scfx_geometry.solvers import Solvers
from scfx_geometry.tables import SAMPLE_COLUMNS, write_table, write_xyz
from scfx_geometry.task import GeometryTask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import BaseModel

    from scfx.contracts.optimizer import AbstractOptimizer
    from scfx.contracts.task import TaskContext
    from scfx.model.system import System
    from scfx_geometry.sources import MoleculeFile, SourceMolecule
    from scfx_geometry.store import RowStore

_FORCE = HARTREE_IN_EV / BOHR_IN_ANGSTROM
#: A sample before it is labelled: its geometry, or why there is none, and what says how it came about.
_Sample = tuple["System | str", dict[str, Any]]


class SampleTask(GeometryTask):
    """Geometries by normal modes, dynamics or torsions, a row each with energy and forces (docs/geometries.md)."""

    Options: ClassVar[type[BaseModel]] = SampleOptions
    _lost = "failed"
    _good = "ok"
    _columns = SAMPLE_COLUMNS
    #: Found when the task is checked.
    _optimizer: type[AbstractOptimizer] | None = None
    _level: Any = None

    @property
    def _settings(self) -> SampleOptions:
        assert isinstance(self.options, SampleOptions)
        return self.options

    @property
    def _distributions(self) -> tuple[str, ...]:
        more = () if self._optimizer is None else self._optimizer.distributions
        return tuple(dict.fromkeys(("ase", *more)))

    def check(self, context: TaskContext) -> None:
        """Refuse what can be refused before the first SCF; also the level of the forces on the way."""
        super().check(context)
        level = self._settings.level
        if level is None or self._prepared is None or self._prepared[1] is None:
            return
        records = self.source.records
        elements = sorted({int(z) for r in records if r.system is not None for z in r.system.atomic_numbers})
        try:
            spec = SCFSpec.create({"properties": ["gradient"], **level})
            self._level = self._solver_factory(spec, context.registry, elements)
        except ConfigError as error:
            raise ConfigError("task.level", str(error)) from error

    def _check_source(self, source: MoleculeFile, registry: Any) -> None:
        method = self._settings.method
        systems = [record.system for record in source.records if record.system is not None]
        for system in systems:
            commonest_isotope_masses(system.atomic_numbers)
            if system.ghost.any():
                raise ConfigError("task.molecules", f"{system!r} has ghost atoms, which have no mass")
        if isinstance(method, TorsionMethod):
            kept = (Constraint(keep="torsion", atoms=method.atoms),)
            self._optimizer = optimizer_of(method.optimizer, registry, kept, "task.method.optimizer")
            criteria_of(method.criteria, "task.method.criteria")
            for system in systems:
                if not all(0 <= atom < system.natm for atom in method.atoms):
                    raise ConfigError(
                        "task.method.atoms",
                        f"got {list(method.atoms)}, but {system!r} has atoms 0 to {system.natm - 1}",
                    )

    def _identity(self, source: MoleculeFile, solvers: Solvers | None) -> dict[str, Any]:
        level = "" if self._level is None else self._level.spec_hash
        return {**super()._identity(source, solvers), "level_spec_hash": level}

    def _compute(
        self, solvers: Solvers, todo: Sequence[tuple[int, SourceMolecule]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for place, samples in self._samples(self._level or solvers.steps, [r.system for _, r in todo]):
            yield todo[place][0], self._labelled(solvers.labels, samples)

    def _samples(
        self, solver: Any, systems: Sequence[System | None]
    ) -> Iterator[tuple[int, list[_Sample] | str]]:
        """(place, samples or why there are none) of each molecule."""
        settings, method = self._settings, self._settings.method
        known = [system for system in systems if system is not None]
        if isinstance(method, DynamicsMethod):
            plan = Dynamics(
                settings.samples, method.seed, method.temperature, method.timestep, method.friction,
                method.warm_up, method.interval,
            )  # fmt: skip
            for place, found, seed in frames_of_dynamics(solver, known, plan, settings.lanes):
                yield place, found if isinstance(found, str) else [(s, {"seed": str(seed)}) for s in found]
            return
        for place, system in enumerate(known):
            try:
                if isinstance(method, NormalModesMethod):
                    geometries, seeds = displaced_along_modes(
                        solver, system, settings.samples, method.seed, method.temperature, method.distribution,
                        method.step,
                    )  # fmt: skip
                    yield place, [(s, {"seed": str(n)}) for s, n in zip(geometries, seeds, strict=True)]
                else:
                    yield place, self._around(solver, system, method)
            except ScfxError as error:  # this molecule's own: it costs its rows and says why
                yield place, str(error)

    def _around(self, solver: Any, system: System, method: TorsionMethod) -> list[_Sample]:
        geometries, values = turned(system, method.atoms, self._settings.samples)
        how = [{"torsion_degrees": value} for value in values]
        if not method.relax:
            return list(zip(geometries, how, strict=True))
        assert self._optimizer is not None
        kept = [Constraint(keep="torsion", atoms=method.atoms)]
        ends = relax(
            solver, geometries, self._optimizer, method.criteria, method.max_steps, kept, lanes=self._settings.lanes
        )  # fmt: skip
        return [(e.system if e.converged else e.reason, own) for e, own in zip(ends, how, strict=True)]

    def _labelled(self, labels: Any, samples: list[_Sample] | str) -> dict[str, Any]:
        """The row of a molecule: its samples with energies, forces and all that `scf.properties` asks for."""
        if isinstance(samples, str):
            return {"status": "failed", "reason": samples, "samples": []}
        geometries = [geometry for geometry, _ in samples if not isinstance(geometry, str)]
        solved = labels.solve(geometries) if geometries else None
        rows, row = [], 0
        for geometry, how in samples:
            if isinstance(geometry, str):
                rows.append({**how, "status": "failed", "reason": geometry})
                continue
            rows.append({**how, **self._label(labels, geometry, solved, row)})
            row += 1
        good = any(each["status"] == "ok" for each in rows)
        return {
            "status": "ok" if good else "failed",
            "reason": "" if good else rows[0]["reason"],
            "samples": rows,
        }

    def _label(self, labels: Any, system: System, solved: Any, row: int) -> dict[str, Any]:
        positions = {"positions_angstrom": system.positions_angstrom.tolist()}
        if not solved.converged[row]:
            reason = f"SCF of the label: {solved.reason[row] or solved.status[row].explain()}"
            return {**positions, "status": "failed", "reason": reason}
        gradient = None if solved.gradient is None else solved.gradient[row]
        properties = property_row(
            labels.resolved.properties,
            self._columns,
            {name: values[row] for name, values in solved.properties.items()},
            {name: reasons[row] for name, reasons in solved.property_reasons.items()},
        )
        dipole = np.asarray(solved.dipole[row]) * DIPOLE_AU_IN_DEBYE
        return {
            **positions,
            "status": "ok" if gradient is not None else "failed",
            "reason": ""
            if gradient is not None
            else f"no gradient: {solved.property_reasons['gradient'][row]}",
            "energy_hartree": float(solved.energy[row]),
            "forces_ev_per_angstrom": None if gradient is None else (-gradient * _FORCE + 0.0).tolist(),
            "dipole_debye": float(np.linalg.norm(dipole)),
            "dipole_vector_debye": dipole.tolist(),
            **properties,
        }

    def _write(
        self, store: RowStore, rows: Sequence[Mapping[str, Any]], solvers: Solvers | None
    ) -> list[str]:
        method = self._settings.method.kind
        flat = []
        for row in rows:
            own = {key: row.get(key) for key in ("index", "name", "charge", "multiplicity", "atomic_numbers")}
            if not row.get("samples"):
                flat.append({**own, "method": method, "status": row["status"], "reason": row["reason"]})
            for number, sample in enumerate(row.get("samples", ())):
                flat.append({**own, "method": method, "sample": number, **sample})
        more = () if solvers is None else property_fields(solvers.labels.resolved.properties, self._columns)
        write_table(store.folder / "samples.parquet", SAMPLE_COLUMNS, flat, more)
        write_xyz(store.folder / "samples.xyz", [row for row in flat if row["status"] == "ok"])
        return ["samples.parquet", "samples.xyz"]
