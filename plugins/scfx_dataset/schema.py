"""The columns of a dataset: names, types, units and meanings, the same in every shard."""

from __future__ import annotations

import pyarrow as pa

#: Version of the columns and of the folder layout; a reader refuses another major one.
FORMAT_VERSION = 1

STATUSES = ("ok", "not_converged", "failed", "poison")

_positions = pa.list_(pa.list_(pa.float64(), 3))

# name, type, unit ("" where there is none), may be null, meaning
# fmt: off
_COLUMNS: tuple[tuple[str, pa.DataType, str, bool, str], ...] = (
    ("row_id", pa.int64(), "", False, "number of the row in the plan, from 0"),
    ("molecule", pa.int64(), "", False, "number of the molecule, from 0 (split by it); below 0: an unreadable line"),
    ("smiles", pa.string(), "", True, "canonical SMILES (RDKit); null where the input could not be read"),
    ("input_smiles", pa.string(), "", False, "SMILES as it stood in the source"),
    ("inchikey", pa.string(), "", True, "standard InChIKey of the SMILES"),
    ("conformer", pa.int32(), "", True, "index of the conformer, from 0; null where the input could not be read"),
    ("embedding_seed", pa.int64(), "", True, "RDKit seed of this conformer"),
    ("charge", pa.int16(), "elementary charge", True, "total charge"),
    ("multiplicity", pa.int16(), "", True, "spin multiplicity 2S + 1"),
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
)
# fmt: on

#: Null unless the status is ok.
LABELS = ("energy_ev", "homo_ev", "lumo_ev", "gap_ev", "dipole_debye", "dipole_vector_debye")

#: Arrow schema of every shard, unit and meaning in each field's metadata.
SCHEMA = pa.schema(
    [
        pa.field(
            name,
            type_,
            nullable,
            metadata={"unit": unit, "description": meaning} if unit else {"description": meaning},
        )
        for name, type_, unit, nullable, meaning in _COLUMNS
    ]
)

#: Rows as planned, before any work: what an attempt starts from.
MANIFEST = pa.schema(
    [
        pa.field("row_id", pa.int64(), False),
        pa.field("molecule", pa.int64(), False),
        pa.field("line", pa.int64(), False),
        pa.field("input_smiles", pa.string(), False),
        pa.field("smiles", pa.string()),
        pa.field("conformer", pa.int32()),
        pa.field("embedding_seed", pa.int64()),
        pa.field("charge", pa.int16()),
        pa.field("multiplicity", pa.int16()),
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
