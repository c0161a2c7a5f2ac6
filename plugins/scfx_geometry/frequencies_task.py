"""The frequencies task: the harmonic analysis of the geometries of a file, as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from scfx.errors import ConfigError, ScfxError
from scfx.model.system import DIPOLE_AU_IN_DEBYE
from scfx_geometry.frequencies import Analysis, frequencies
from scfx_geometry.isotopes import commonest_isotope_masses
from scfx_geometry.options import FrequenciesOptions
from scfx_geometry.property_columns import property_fields, property_row
from scfx_geometry.tables import FREQUENCY_COLUMNS, write_table
from scfx_geometry.task import GeometryTask

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic import BaseModel

    from scfx_geometry.solvers import Solvers
    from scfx_geometry.sources import MoleculeFile, SourceMolecule
    from scfx_geometry.store import RowStore


class FrequenciesTask(GeometryTask):
    """Frequencies, intensities, rotational constants and thermochemistry, a row a molecule (docs/geometries.md)."""

    Options: ClassVar[type[BaseModel]] = FrequenciesOptions
    _lost = "failed"
    _good = "ok"
    _columns = FREQUENCY_COLUMNS

    @property
    def _settings(self) -> FrequenciesOptions:
        assert isinstance(self.options, FrequenciesOptions)
        return self.options

    @property
    def _distributions(self) -> tuple[str, ...]:
        return ("ase",)

    def _check_source(self, source: MoleculeFile, registry: Any) -> None:
        for record in source.records:
            if record.system is not None:
                commonest_isotope_masses(record.system.atomic_numbers)
                if record.system.ghost.any():
                    raise ConfigError(
                        "task.molecules", f"{record.system!r} has ghost atoms, which have no mass"
                    )

    def _compute(
        self, solvers: Solvers, todo: Sequence[tuple[int, SourceMolecule]]
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        settings = self._settings
        for index, record in todo:
            assert record.system is not None
            given = {"positions_angstrom": record.system.positions_angstrom.tolist()}
            try:
                found = frequencies(
                    solvers.steps, record.system, settings.step, settings.temperature, settings.pressure,
                    settings.symmetry_number, labels=solvers.labels,
                )  # fmt: skip
            except ScfxError as error:  # this molecule's own: it costs its row and says why
                yield index, {**given, "status": "failed", "reason": str(error)}
            else:
                label = found.label
                properties = property_row(
                    solvers.labels.resolved.properties,
                    self._columns,
                    {name: values[0] for name, values in label.properties.items()},
                    {name: reasons[0] for name, reasons in label.property_reasons.items()},
                )
                yield index, {**given, **_row(found), **properties}

    def _write(
        self, store: RowStore, rows: Sequence[Mapping[str, Any]], solvers: Solvers | None
    ) -> list[str]:
        more = () if solvers is None else property_fields(solvers.labels.resolved.properties, self._columns)
        write_table(store.folder / "frequencies.parquet", FREQUENCY_COLUMNS, rows, more)
        return ["frequencies.parquet"]


def _row(found: Analysis) -> dict[str, Any]:
    thermo, differences, modes = found.thermochemistry, found.differences, found.modes
    return {
        "status": "ok",
        "reason": "; ".join(text for text in (found.doubt, thermo.reason) if text),
        "energy_hartree": differences.energy,
        "dipole_debye": float(np.linalg.norm(found.label.dipole[0])) * DIPOLE_AU_IN_DEBYE,
        "homo_hartree": _number(found.label.homo[0]),
        "lumo_hartree": _number(found.label.lumo[0]),
        "gap_hartree": _number(found.label.gap[0]),
        "gradient_max": float(np.abs(differences.gradient).max()),
        "geometry": modes.geometry,
        "symmetry_number": thermo.symmetry_number,
        "rotational_constants_ghz": list(found.rotational_constants),
        "frequencies_cm1": modes.frequencies.tolist(),
        "intensities_km_per_mol": modes.intensities.tolist(),
        "imaginary": int((modes.frequencies < 0).sum()),
        "zpve_hartree": thermo.zpve,
        "u0_hartree": thermo.u0,
        "u_hartree": thermo.u,
        "h_hartree": thermo.h,
        "g_hartree": thermo.g,
        "cv_cal_per_mol_k": thermo.cv,
        "entropy_cal_per_mol_k": thermo.entropy,
        "asymmetry": differences.asymmetry,
        "acoustic_sum": differences.acoustic_sum,
    }


def _number(value: Any) -> float | None:
    """None for what a molecule does not have, as the LUMO of a helium atom in a minimal basis."""
    return float(value) if np.isfinite(value) else None
