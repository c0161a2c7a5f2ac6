"""The sample task: geometries around those of a source, each with the labels of `[scf]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from scfx.config.spec import SCFSpec
from scfx.contracts.optimizer import Constraint
from scfx.errors import ConfigError
from scfx_geometry.criteria import criteria_of
from scfx_geometry.isotopes import commonest_isotope_masses
from scfx_geometry.optimizers import optimizer_of
from scfx_geometry.sampling.options import (
    ConformersMethod,
    RelaxationMethod,
    SampleOptions,
    TorsionMethod,
)
from scfx_geometry.sampling.work import SampleWork
from scfx_geometry.sources import SAMPLED, SAMPLES
from scfx_geometry.tables import SAMPLE_COLUMNS, ParquetFile, XYZFile
from scfx_geometry.task import GeometryTask, elements_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa
    from pydantic import BaseModel

    from scfx.contracts.optimizer import AbstractOptimizer
    from scfx.contracts.task import TaskContext
    from scfx_geometry.solvers import Solvers
    from scfx_geometry.sources import MoleculeFile


class SampleTask(GeometryTask):
    """Geometries around those of a source, a row each with energy and forces (docs/geometries.md)."""

    Options: ClassVar[type[BaseModel]] = SampleOptions
    _name = "sample"
    _columns = SAMPLE_COLUMNS
    _work = SampleWork
    _files = (SAMPLES, "samples.xyz")
    #: Found when the task is checked.
    _optimizer: type[AbstractOptimizer] | None = None
    _level_spec: SCFSpec | None = None
    _level_hash = ""

    @property
    def _settings(self) -> SampleOptions:
        assert isinstance(self.options, SampleOptions)
        return self.options

    @property
    def _distributions(self) -> tuple[str, ...]:
        more = () if self._optimizer is None else self._optimizer.distributions
        embeds = ("rdkit",) if isinstance(self._settings.method, ConformersMethod) else ()
        return tuple(dict.fromkeys(("ase", *more, *embeds)))

    @property
    def _level(self) -> SCFSpec | None:
        return self._level_spec

    def check(self, context: TaskContext) -> None:
        """Refuse what can be refused before the first SCF; also the level of the forces on the way."""
        super().check(context)
        level, elements = self._settings.level, elements_of(self.source)
        if level is None or not elements:
            return
        try:
            spec = SCFSpec.create({"properties": ["gradient"], **level})
            self._level_hash = self._solver_factory(spec, context.registry, elements).spec_hash
        except ConfigError as error:
            raise ConfigError("task.level", str(error)) from error
        self._level_spec = spec

    def _check_source(self, source: MoleculeFile, registry: Any) -> None:
        method = self._settings.method
        systems = [record.system for record in source.records if record.system is not None]
        for system in systems:
            commonest_isotope_masses(system.atomic_numbers)
            if system.ghost.any():
                raise ConfigError("task.molecules", f"{system!r} has ghost atoms, which have no mass")
        if isinstance(method, TorsionMethod | RelaxationMethod):
            kept = (
                (Constraint(keep="torsion", atoms=method.atoms),) if isinstance(method, TorsionMethod) else ()
            )
            self._optimizer = optimizer_of(method.optimizer, registry, kept, "task.method.optimizer")
            criteria_of(method.criteria, "task.method.criteria")
        if isinstance(method, TorsionMethod):
            for system in systems:
                if not all(0 <= atom < system.natm for atom in method.atoms):
                    raise ConfigError(
                        "task.method.atoms",
                        f"got {list(method.atoms)}, but {system!r} has atoms 0 to {system.natm - 1}",
                    )
        if isinstance(method, ConformersMethod):
            if method.pick == "nearest" and source.kind == "smiles":
                raise ConfigError(
                    "task.method.pick",
                    "'nearest' is nearest to the geometries of task.molecules, and these are SMILES; give geometries, "
                    "or pick = 'lowest'",
                )
            if self._settings.samples > method.conformers:
                raise ConfigError(
                    "task.method.conformers",
                    f"{method.conformers} conformers are to be made and {self._settings.samples} picked of them "
                    "(task.samples); make more",
                )
            if self._settings.level is not None:
                raise ConfigError(
                    "task.level", "conformers are made by a force field, without this level; leave it out"
                )

    def _identity(self, solvers: Solvers | None) -> dict[str, Any]:
        return {**super()._identity(solvers), "level_spec_hash": self._level_hash}

    def _contents(
        self, rows: Iterable[Mapping[str, Any]], more: Sequence[pa.Field]
    ) -> tuple[list[bytes], str]:
        method = self._settings.method.kind
        table, geometries = ParquetFile(SAMPLE_COLUMNS, more), XYZFile()
        good = count = 0
        for row in rows:
            kept = ("index", "name", "smiles", "charge", "multiplicity", "atomic_numbers")
            own = {**{key: row.get(key) for key in kept}, "method": method}
            samples = [{**own, "sample": i, **each} for i, each in enumerate(row.get("samples", ()))]
            if not samples:
                samples = [{**own, "status": row["status"], "reason": row["reason"]}]
            table.add(samples)
            usable = [each for each in samples if each["status"] == SAMPLED]
            geometries.add(usable)
            good, count = good + len(usable), count + len(samples)
        return [table.content(), geometries.content()], f"{good} of {count} samples ok"
