"""What the sample task does with the molecules of a shard: geometries by its method, and their labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.contracts.optimizer import Constraint
from scfx.model.system import BOHR_IN_ANGSTROM, DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV
from scfx_geometry.property_columns import property_row
from scfx_geometry.relax import relaxed
from scfx_geometry.sampling.along_path import points_of_relaxation
from scfx_geometry.sampling.conformers import conformers_of
from scfx_geometry.sampling.dynamics import Dynamics, frames_of_dynamics
from scfx_geometry.sampling.normal_modes import displaced_along_modes
from scfx_geometry.sampling.options import (
    ConformersMethod,
    DynamicsMethod,
    NormalModesMethod,
    RelaxationMethod,
    SampleOptions,
    TorsionMethod,
)
from scfx_geometry.sampling.torsion import turned
from scfx_geometry.solving import Entry, reason_of, solved_entries
from scfx_geometry.tables import SAMPLE_COLUMNS
from scfx_geometry.work import GeometryWork

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from scfx.model.system import System
    from scfx_geometry.checkpoint import Checkpoint
    from scfx_geometry.solvers import Solvers

_FORCE = HARTREE_IN_EV / BOHR_IN_ANGSTROM
#: A sample before it is labelled: its geometry, or why there is none, and what says how it came about.
_Sample = tuple["System | str", dict[str, Any]]


class SampleWork(GeometryWork):
    """A row a molecule, with its samples in it."""

    @property
    def _settings(self) -> SampleOptions:
        assert isinstance(self.settings, SampleOptions)
        return self.settings

    def rows(
        self,
        solvers: Solvers,
        items: Sequence[dict[str, Any]],
        systems: Sequence[System],
        memory: Checkpoint | None,
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (place, row) of each molecule, as soon as its samples are labelled."""
        for place, samples in self._samples(solvers.steps, items, systems, memory):
            yield place, self._labelled(solvers.labels, samples)

    def _samples(
        self,
        solver: Any,
        items: Sequence[dict[str, Any]],
        systems: Sequence[System],
        memory: Checkpoint | None,
    ) -> Iterator[tuple[int, list[_Sample] | str]]:
        """(place, samples or why there are none) of each molecule."""
        settings, method = self._settings, self._settings.method
        if isinstance(method, DynamicsMethod):
            plan = Dynamics(
                settings.samples, method.seed, method.temperature, method.timestep, method.friction,
                method.warm_up, method.interval,
            )  # fmt: skip
            paths = None if memory is None else memory.paths(*((item["index"],) for item in items))
            for place, found, seed in frames_of_dynamics(solver, systems, plan, settings.lanes, paths):
                yield place, found if isinstance(found, str) else [(s, {"seed": str(seed)}) for s in found]
            return
        for place, (item, system) in enumerate(zip(items, systems, strict=True)):
            try:
                yield place, self._of_one(solver, item, system, memory)
            except Exception as error:  # this molecule's own: it costs its rows and says why
                yield place, reason_of(error)

    def _of_one(
        self, solver: Any, item: dict[str, Any], system: System, memory: Checkpoint | None
    ) -> list[_Sample]:
        samples, method = self._settings.samples, self._settings.method
        if isinstance(method, NormalModesMethod):
            geometries, seeds = displaced_along_modes(
                solver, system, samples, method.seed, method.temperature, method.distribution, method.step
            )
            return [(s, {"seed": str(n)}) for s, n in zip(geometries, seeds, strict=True)]
        if isinstance(method, ConformersMethod):
            return list(
                conformers_of(
                    system,
                    item["smiles"],
                    method.conformers,
                    samples,
                    method.seed,
                    method.pick,
                    method.prune_rms,
                )
            )
        if isinstance(method, RelaxationMethod):
            paths = None if memory is None else memory.paths((item["index"], 0))
            points = points_of_relaxation(
                solver, system, samples, method.optimizer, method.criteria, method.max_steps, paths
            )
            return [(point, {"step": step}) for point, step in points]
        assert isinstance(method, TorsionMethod)
        return self._around(solver, item, system, method, memory)

    def _around(
        self,
        solver: Any,
        item: dict[str, Any],
        system: System,
        method: TorsionMethod,
        memory: Checkpoint | None,
    ) -> list[_Sample]:
        geometries, values = turned(system, method.atoms, self._settings.samples)
        how = [{"torsion_degrees": value} for value in values]
        if not method.relax:
            return list(zip(geometries, how, strict=True))
        kept = [Constraint(keep="torsion", atoms=method.atoms)]
        keys = [(item["index"], turn) for turn in range(len(geometries))]
        ends: dict[int, System | str] = {}
        for turn, end in relaxed(
            solver, geometries, method.optimizer, method.criteria, method.max_steps, kept,
            lanes=self._settings.lanes, memory=None if memory is None else memory.paths(*keys),
        ):  # fmt: skip
            ends[turn] = end.system if end.converged else end.reason
        return [(ends[turn], own) for turn, own in enumerate(how)]

    def _labelled(self, labels: Any, samples: list[_Sample] | str) -> dict[str, Any]:
        """The row of a molecule: its samples with energies, forces and all that `scf.properties` asks for."""
        if isinstance(samples, str):
            return {"status": "failed", "reason": samples, "samples": []}
        geometries = [geometry for geometry, _ in samples if not isinstance(geometry, str)]
        entries = iter(solved_entries(labels, geometries) if geometries and self._settings.label else ())
        rows = []
        for geometry, how in samples:
            if isinstance(geometry, str):
                rows.append({**how, "status": "failed", "reason": geometry})
            else:
                rows.append({**how, **self._label(labels, geometry, next(entries, None))})
        good = any(each["status"] == "ok" for each in rows)
        return {
            "status": "ok" if good else "failed",
            "reason": "" if good else rows[0]["reason"],
            "samples": rows,
        }

    def _label(self, labels: Any, system: System, entry: Entry | None) -> dict[str, Any]:
        positions = {"positions_angstrom": system.positions_angstrom.tolist()}
        if entry is None:  # geometries only were asked for
            return {**positions, "status": "ok", "reason": ""}
        if isinstance(entry, str):
            return {**positions, "status": "failed", "reason": f"SCF of the label: {entry}"}
        solved, row = entry
        gradient = None if solved.gradient is None else solved.gradient[row]
        properties = property_row(
            labels.resolved.properties,
            SAMPLE_COLUMNS,
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
