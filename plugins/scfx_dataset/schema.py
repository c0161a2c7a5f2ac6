"""The columns of a dataset: names, types, units and meanings, the same in every shard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from scfx_dataset.property_columns import property_fields

if TYPE_CHECKING:
    from collections.abc import Mapping

#: What plan.json calls itself.
FORMAT = "scfx-dataset"

#: Version of the columns and of the folder layout.
FORMAT_VERSION = 3

#: Versions that this reader understands; the earlier ones lack columns (`_SINCE`).
READABLE_VERSIONS = (1, 2, 3)

STATUSES = ("ok", "not_converged", "failed", "poison")

_positions = pa.list_(pa.list_(pa.float64(), 3))

# name, type, unit ("" where there is none), may be null, meaning
# fmt: off
_COLUMNS: tuple[tuple[str, pa.DataType, str, bool, str], ...] = (
    ("row_id", pa.int64(), "", False, "number of the row in the plan, from 0"),
    ("molecule", pa.int64(), "", False, "number of the molecule, from 0 (split by it); below 0: an unreadable line"),
    ("smiles", pa.string(), "", True, "canonical SMILES (RDKit); null where the input has none or cannot be read"),
    ("input_smiles", pa.string(), "", False, "SMILES as it stood in the source; empty where it has none"),
    ("name", pa.string(), "", True, "what the source calls the molecule or geometry, such as 'gdb 1'"),
    ("inchikey", pa.string(), "", True, "standard InChIKey of the SMILES"),
    ("conformer", pa.int32(), "", True, "index of the conformer, from 0; null where the input could not be read"),
    ("geometry", pa.string(), "", True, "where the geometry comes from: etkdgv3 or given, then what was done to it"),
    ("geometry_id", pa.string(), "", True, "hash of molecule, geometry source and seed or given positions"),
    ("embedding_seed", pa.int64(), "", True, "seed of this conformer: of RDKit's embedding and of the displacement"),
    ("charge", pa.int16(), "elementary charge", True, "total charge"),
    ("multiplicity", pa.int16(), "", True, "spin multiplicity 2S + 1"),
    ("assumed", pa.string(), "", True, "what of charge, multiplicity and unit nobody stated; empty: all is stated"),
    ("atomic_numbers", pa.list_(pa.int8()), "", True, "one per atom, hydrogens included"),
    ("positions_angstrom", _positions, "angstrom", True, "positions [natm, 3] of the very geometry that was solved"),
    ("energy_ev", pa.float64(), "eV", True, "total electronic energy including nuclear repulsion"),
    ("homo_ev", pa.float64(), "eV", True, "energy of the highest occupied orbital"),
    ("lumo_ev", pa.float64(), "eV", True, "energy of the lowest empty orbital; null where the basis has none"),
    ("gap_ev", pa.float64(), "eV", True, "lumo_ev - homo_ev"),
    ("dipole_debye", pa.float64(), "debye", True, "norm of the dipole moment (ions: about the coordinate origin)"),
    ("dipole_vector_debye", pa.list_(pa.float64()), "debye", True, "dipole moment, x y z, in the frame of positions"),
    ("status", pa.string(), "", False, "ok | not_converged | failed | poison; labels are null unless ok"),
    ("reason", pa.string(), "", False, "why the row is not ok; empty if it is"),
    ("rung", pa.string(), "", True, "rung of the recovery ladder that gave the result; empty: plain procedure"),
    ("iterations", pa.int32(), "", True, "SCF iterations"),
    ("residual", pa.float64(), "hartree", True, "largest element of the orbital gradient at the end"),
    ("nao", pa.int32(), "", True, "atomic orbitals"),
    ("n_grid", pa.int32(), "", True, "points of the quadrature grid"),
    ("backend", pa.string(), "", True, "integral backend that ran"),
    ("device", pa.string(), "", True, "where it ran"),
    ("precision", pa.string(), "", True, "precision policy"),
    ("spec_hash", pa.string(), "", False, "hash of the whole electronic-structure specification"),
    ("versions", pa.string(), "", False, "JSON: versions of the packages that the label depends on"),
)

_EXTRA: dict[str, tuple[str, pa.DataType, str, bool, str]] = {
    "orbital_energies": (
        "orbital_energies_ev", pa.list_(pa.list_(pa.float64())), "eV", True,
        "[nspin, norbital], ascending; one spin where both have the same orbitals",
    ),
    "mulliken_charges": (
        "mulliken_charges", pa.list_(pa.float64()), "elementary charge", True, "Mulliken charge of each atom",
    ),
}
# fmt: on

_SINCE = {2: ("name", "geometry", "geometry_id", "versions"), 3: ("assumed",)}

#: What `task.extras` may name: columns that are written only when asked for.
EXTRAS = tuple(_EXTRA)

#: Null unless the status is ok, and so are the optional columns.
LABELS = ("energy_ev", "homo_ev", "lumo_ev", "gap_ev", "dipole_debye", "dipole_vector_debye")


def _field(name: str, type_: pa.DataType, unit: str, nullable: bool, meaning: str) -> pa.Field:
    metadata = {"unit": unit, "description": meaning} if unit else {"description": meaning}
    return pa.field(name, type_, nullable, metadata=metadata)


#: Arrow schema of every shard but for optional columns, unit and meaning in each field's metadata.
SCHEMA = pa.schema([_field(*column) for column in _COLUMNS])

#: Schema with every optional column.
FULL_SCHEMA = pa.schema([*SCHEMA, *(_field(*column) for column in _EXTRA.values())])


def row_schema(identity: Mapping[str, Any]) -> pa.Schema:
    """Return the schema of the shards of a plan: that of its format version, the optional columns its options ask for,
    and those of the properties asked for.

    `identity` is the identity in plan.json.
    """
    extras = [_field(*_EXTRA[name]) for name in identity["options"].get("extras") or ()]
    absent = [name for since, names in _SINCE.items() if identity["format_version"] < since for name in names]
    fields = [*(field for field in SCHEMA if field.name not in absent), *extras]
    columns = identity["options"].get("columns") or ()
    return pa.schema([*fields, *property_fields(columns, {field.name for field in fields})])


#: Rows as planned, before any work: what an attempt starts from.
MANIFEST = pa.schema(
    [
        pa.field("row_id", pa.int64(), False),
        pa.field("molecule", pa.int64(), False),
        pa.field("line", pa.int64(), False),
        pa.field("input_smiles", pa.string(), False),
        pa.field("smiles", pa.string()),
        pa.field("name", pa.string()),
        pa.field("conformer", pa.int32()),
        pa.field("geometry", pa.string()),
        pa.field("geometry_id", pa.string()),
        pa.field("embedding_seed", pa.int64()),
        pa.field("charge", pa.int16()),
        pa.field("multiplicity", pa.int16()),
        pa.field("assumed", pa.string()),
        pa.field("atomic_numbers", pa.list_(pa.int8()), metadata={"description": "of a given geometry"}),
        pa.field(
            "positions_angstrom",
            _positions,
            metadata={"unit": "angstrom", "description": "of a given geometry; null where it is embedded"},
        ),
        pa.field("shape", pa.string(), False),
        pa.field(
            "reason",
            pa.string(),
            False,
            metadata={"description": "why the row cannot be worked on; empty if it can"},
        ),
        pa.field("shard", pa.string(), False),
    ]
)

#: Index of the manifest: shard i is its row group i.
SHARDS = pa.schema(
    [
        pa.field("shard", pa.string(), False),
        pa.field("rows", pa.int64(), False),
        pa.field("shape", pa.string(), False),
        pa.field(
            "seconds",
            pa.float64(),
            metadata={
                "unit": "s",
                "description": "of one core, by the cost model; plans made before have none",
            },
        ),
    ]
)

#: Lines of the source that became no row.
EXCLUDED = pa.schema(
    [
        pa.field("line", pa.int64(), False),
        pa.field("input_smiles", pa.string(), False),
        pa.field("smiles", pa.string(), False),
        pa.field(
            "excluded_by",
            pa.string(),
            False,
            metadata={"description": "'duplicate' or the name of the filter"},
        ),
    ]
)
