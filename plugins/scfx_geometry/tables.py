"""What the tasks leave for people and programs: Parquet tables of the rows, and an xyz file of the geometries."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from scfx_geometry.store import write_whole

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

_VECTORS = "list of [3]"
#: Columns of geometries.parquet, one row a molecule of the source.
GEOMETRY_COLUMNS = {
    "index": "int", "name": "text", "status": "text", "reason": "text", "charge": "int", "multiplicity": "int",
    "atomic_numbers": "ints", "positions_angstrom": _VECTORS, "energy_hartree": "float",
    "forces_ev_per_angstrom": _VECTORS, "dipole_debye": "float", "dipole_vector_debye": "floats",
    "energy_difference_hartree": "float",
    "another_solution": "bool", "rearranged": "text", "steps": "int", "iterations": "int",
}  # fmt: skip
#: Columns of trajectory.parquet, one row a frame: `index` is the molecule's, `step` counts from 0.
FRAME_COLUMNS = {
    "index": "int", "name": "text", "step": "int", "charge": "int", "multiplicity": "int", "atomic_numbers": "ints",
    "positions_angstrom": _VECTORS, "energy_hartree": "float", "forces_ev_per_angstrom": _VECTORS,
}  # fmt: skip
#: Columns of frequencies.parquet, one row a molecule of the source.
FREQUENCY_COLUMNS = {
    "index": "int", "name": "text", "status": "text", "reason": "text", "charge": "int", "multiplicity": "int",
    "atomic_numbers": "ints", "positions_angstrom": _VECTORS, "energy_hartree": "float", "gradient_max": "float",
    "dipole_debye": "float", "homo_hartree": "float", "lumo_hartree": "float", "gap_hartree": "float",
    "geometry": "text", "symmetry_number": "int", "rotational_constants_ghz": "floats", "frequencies_cm1": "floats",
    "intensities_km_per_mol": "floats", "imaginary": "int", "zpve_hartree": "float", "u0_hartree": "float",
    "u_hartree": "float", "h_hartree": "float", "g_hartree": "float", "cv_cal_per_mol_k": "float",
    "entropy_cal_per_mol_k": "float", "asymmetry": "float", "acoustic_sum": "float",
}  # fmt: skip

#: Columns of samples.parquet, one row a sample: `index` is the molecule's, `sample` counts from 0, `seed` is of its
#: random numbers (as text: 64 bits without a sign).
SAMPLE_COLUMNS = {
    "index": "int", "name": "text", "sample": "int", "method": "text", "seed": "text", "torsion_degrees": "float",
    "status": "text", "reason": "text", "charge": "int", "multiplicity": "int", "atomic_numbers": "ints",
    "positions_angstrom": _VECTORS, "energy_hartree": "float", "forces_ev_per_angstrom": _VECTORS,
    "dipole_debye": "float", "dipole_vector_debye": "floats",
}  # fmt: skip


def write_table(
    path: Path,
    columns: Mapping[str, str],
    rows: Sequence[Mapping[str, Any]],
    more: Sequence[pa.Field] = (),
) -> None:
    """Write a Parquet file of rows, with further columns `more`; what a row does not have is null."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {
        "int": pa.int64(), "float": pa.float64(), "text": pa.string(), "bool": pa.bool_(),
        "ints": pa.list_(pa.int64()), "floats": pa.list_(pa.float64()),
        _VECTORS: pa.list_(pa.list_(pa.float64(), 3)),
    }  # fmt: skip
    schema = pa.schema([*(pa.field(name, kinds[kind]) for name, kind in columns.items()), *more])
    data = {name: [_cell(row.get(name)) for row in rows] for name in schema.names}
    sink = io.BytesIO()
    pq.write_table(pa.table(data, schema=schema), sink)
    write_whole(path, sink.getvalue())


def _cell(value: Any) -> Any:
    return sorted(value.items()) if isinstance(value, dict) else value


def write_xyz(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write extended xyz of rows with a geometry: charge, multiplicity and forces (eV/angstrom) are stated."""
    from scfx.model.elements import SYMBOLS

    lines = []
    for row in rows:
        name = str(row["name"]).replace('"', "'").replace("\n", " ")
        lines.append(str(len(row["atomic_numbers"])))
        lines.append(
            f"Properties=species:S:1:pos:R:3:forces:R:3 charge={row['charge']} multiplicity={row['multiplicity']} "
            f'energy_hartree={row["energy_hartree"]!r} index={row["index"]} name="{name}" pbc="F F F"'
        )
        vectors = zip(row["positions_angstrom"], row["forces_ev_per_angstrom"], strict=True)
        for z, (position, force) in zip(row["atomic_numbers"], vectors, strict=True):
            lines.append(" ".join([SYMBOLS[z], *(repr(float(x)) for x in [*position, *force])]))
    write_whole(path, ("\n".join(lines) + "\n" if lines else "").encode())
