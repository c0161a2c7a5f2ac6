"""The frequencies task: the harmonic analysis of the geometries of a file, as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from scfx.errors import ConfigError
from scfx.model.system import DIPOLE_AU_IN_DEBYE
from scfx_geometry.frequencies import Analysis, frequencies
from scfx_geometry.isotopes import commonest_isotope_masses
from scfx_geometry.options import FrequenciesOptions
from scfx_geometry.property_columns import property_row
from scfx_geometry.solving import reason_of
from scfx_geometry.tables import FREQUENCY_COLUMNS, ParquetFile
from scfx_geometry.task import GeometryTask
from scfx_geometry.work import GeometryWork

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import pyarrow as pa
    from pydantic import BaseModel

    from scfx.model.system import System
    from scfx_geometry.checkpoint import Checkpoint
    from scfx_geometry.solvers import Solvers
    from scfx_geometry.sources import MoleculeFile


class FrequenciesWork(GeometryWork):
    """Analyses the molecules of a shard one after another: the displaced geometries of each are a batch."""

    def rows(
        self,
        solvers: Solvers,
        items: Sequence[dict[str, Any]],
        systems: Sequence[System],
        memory: Checkpoint | None,
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield (place, row) of each molecule, as soon as its frequencies are done."""
        settings: FrequenciesOptions = self.settings
        for place, system in enumerate(systems):
            given = {"positions_angstrom": system.positions_angstrom.tolist()}
            try:
                found = frequencies(
                    solvers.steps, system, settings.step, settings.temperature, settings.pressure,
                    settings.symmetry_number, labels=solvers.labels,
                )  # fmt: skip
            except Exception as error:  # this molecule's own: it costs its row and says why
                yield place, {**given, "status": "failed", "reason": reason_of(error)}
            else:
                label = found.label
                properties = property_row(
                    solvers.labels.resolved.properties,
                    FREQUENCY_COLUMNS,
                    {name: values[0] for name, values in label.properties.items()},
                    {name: reasons[0] for name, reasons in label.property_reasons.items()},
                )
                yield place, {**given, **_row(found), **properties}


class FrequenciesTask(GeometryTask):
    """Frequencies, intensities, rotational constants and thermochemistry, a row a molecule (docs/geometries.md)."""

    Options: ClassVar[type[BaseModel]] = FrequenciesOptions
    _name = "frequencies"
    _columns = FREQUENCY_COLUMNS
    _work = FrequenciesWork
    _files = ("frequencies.parquet",)
    leaves_geometries = False

    def _check_source(self, source: MoleculeFile, registry: Any) -> None:
        for record in source.records:
            if record.system is not None:
                commonest_isotope_masses(record.system.atomic_numbers)
                if record.system.ghost.any():
                    raise ConfigError(
                        "task.molecules", f"{record.system!r} has ghost atoms, which have no mass"
                    )

    def _contents(
        self, rows: Iterable[Mapping[str, Any]], more: Sequence[pa.Field]
    ) -> tuple[list[bytes], str]:
        table = ParquetFile(FREQUENCY_COLUMNS, more)
        good = count = 0
        for row in rows:
            table.add([row])
            count += 1
            good += row["status"] == "ok"
        return [table.content()], f"{good} of {count} ok"


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
