"""What the tasks leave for people and programs: Parquet tables of the rows, and an xyz file of the geometries."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pyarrow as pa

_VECTORS = "list of [3]"
#: Columns of geometries.parquet, one row a molecule of the source.
GEOMETRY_COLUMNS = {
    "index": "int", "name": "text", "smiles": "text", "status": "text", "reason": "text", "charge": "int",
    "multiplicity": "int", "atomic_numbers": "ints", "positions_angstrom": _VECTORS, "energy_hartree": "float",
    "forces_ev_per_angstrom": _VECTORS, "dipole_debye": "float", "dipole_vector_debye": "floats",
    "energy_difference_hartree": "float",
    "another_solution": "bool", "rearranged": "text", "steps": "int", "iterations": "int",
    "first_iterations": "int", "final_iterations": "int",
}  # fmt: skip
#: Columns of trajectory.parquet, one row a frame: `index` is the molecule's, `step` counts from 0.
FRAME_COLUMNS = {
    "index": "int", "name": "text", "smiles": "text", "step": "int", "charge": "int", "multiplicity": "int",
    "atomic_numbers": "ints",
    "positions_angstrom": _VECTORS, "energy_hartree": "float", "forces_ev_per_angstrom": _VECTORS,
}  # fmt: skip
#: Columns of frequencies.parquet, one row a molecule of the source.
FREQUENCY_COLUMNS = {
    "index": "int", "name": "text", "smiles": "text", "status": "text", "reason": "text", "charge": "int",
    "multiplicity": "int", "atomic_numbers": "ints", "positions_angstrom": _VECTORS, "energy_hartree": "float",
    "gradient_max": "float",
    "dipole_debye": "float", "homo_hartree": "float", "lumo_hartree": "float", "gap_hartree": "float",
    "geometry": "text", "symmetry_number": "int", "rotational_constants_ghz": "floats", "frequencies_cm1": "floats",
    "intensities_km_per_mol": "floats", "imaginary": "int", "zpve_hartree": "float", "u0_hartree": "float",
    "u_hartree": "float", "h_hartree": "float", "g_hartree": "float", "cv_cal_per_mol_k": "float",
    "entropy_cal_per_mol_k": "float", "asymmetry": "float", "acoustic_sum": "float",
}  # fmt: skip

#: Columns of samples.parquet, one row a sample: `index` is the molecule's, `sample` counts from 0, `seed` is of its
#: random numbers (as text: 64 bits without a sign). `step` is the point of a relaxation that a sample is, `conformer`
#: the number of an embedded one, with its energy above the lowest and its distance from the molecule's own geometry.
SAMPLE_COLUMNS = {
    "index": "int", "name": "text", "smiles": "text", "sample": "int", "method": "text", "seed": "text",
    "torsion_degrees": "float", "step": "int", "conformer": "int", "force_field_kcal_mol": "float",
    "rmsd_angstrom": "float", "status": "text", "reason": "text", "charge": "int", "multiplicity": "int",
    "atomic_numbers": "ints", "positions_angstrom": _VECTORS, "energy_hartree": "float",
    "forces_ev_per_angstrom": _VECTORS, "dipole_debye": "float", "dipole_vector_debye": "floats",
}  # fmt: skip
#: Rows of a row group, at least: few enough to hold, many enough to compress.
_GROUP = 4096


class ParquetFile:
    """A Parquet file of rows as they come: `columns`, and further ones `more`; what a row lacks is null."""

    def __init__(self, columns: Mapping[str, str], more: Sequence[pa.Field] = ()):
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {
            "int": pa.int64(), "float": pa.float64(), "text": pa.string(), "bool": pa.bool_(),
            "ints": pa.list_(pa.int64()), "floats": pa.list_(pa.float64()),
            _VECTORS: pa.list_(pa.list_(pa.float64(), 3)),
        }  # fmt: skip
        self._schema = pa.schema([*(pa.field(name, kinds[kind]) for name, kind in columns.items()), *more])
        self._sink = io.BytesIO()
        self._writer = pq.ParquetWriter(self._sink, self._schema)
        self._rows: list[Mapping[str, Any]] = []

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows."""
        self._rows += rows
        if len(self._rows) >= _GROUP:
            self._flush()

    def content(self) -> bytes:
        """Return the file of all rows; nothing is added after it."""
        self._flush()
        self._writer.close()
        return self._sink.getvalue()

    def _flush(self) -> None:
        import pyarrow as pa

        data = {name: [_cell(row.get(name)) for row in self._rows] for name in self._schema.names}
        self._writer.write_table(pa.table(data, schema=self._schema))
        self._rows = []


def _cell(value: Any) -> Any:
    return sorted(value.items()) if isinstance(value, dict) else value


class XYZFile:
    """Extended xyz of rows with a geometry: charge, multiplicity, and energy and forces (eV/angstrom) where known."""

    def __init__(self) -> None:
        self._text = io.StringIO()

    def add(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows."""
        for row in rows:
            self._text.write("\n".join(_frame(row)) + "\n")

    def content(self) -> bytes:
        """Return the file of all rows."""
        return self._text.getvalue().encode()


def _frame(row: Mapping[str, Any]) -> list[str]:
    from scfx.model.elements import SYMBOLS

    forces, energy = row.get("forces_ev_per_angstrom"), row.get("energy_hartree")
    stated = [
        "Properties=species:S:1:pos:R:3" + (":forces:R:3" if forces else ""),
        f"charge={row['charge']} multiplicity={row['multiplicity']}",
        *([] if energy is None else [f"energy_hartree={energy!r}"]),
        *(f"{key}={row[key]}" for key in ("index", "sample", "step") if row.get(key) is not None),
        f"name={_quoted(row['name'])}",
        # Of a molecule that broke or rearranged, the SMILES says nothing any more.
        *([f"smiles={_quoted(row['smiles'])}"] if row.get("smiles") and not row.get("rearranged") else []),
        'units=angstrom pbc="F F F"',
    ]
    atoms = zip(
        row["atomic_numbers"],
        row["positions_angstrom"],
        forces or [[]] * len(row["atomic_numbers"]),
        strict=True,
    )
    return [
        str(len(row["atomic_numbers"])),
        " ".join(stated),
        *(
            " ".join([SYMBOLS[z], *(repr(float(x)) for x in [*position, *force])])
            for z, position, force in atoms
        ),
    ]


def _quoted(text: Any) -> str:
    plain = str(text).replace("\\", "\\\\").replace('"', "'").replace("\n", " ")
    return f'"{plain}"'
