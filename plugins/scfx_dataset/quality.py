"""Named filters at export: rows that are ok, but that a trainer may not want. Nothing is filtered at generation.

max_force=LIMIT       the largest force on one atom exceeds so many eV/angstrom
max_net_force=LIMIT   the sum of all forces is longer than so many eV/angstrom
not_relaxed[=LIMIT]   the geometry is no minimum: the largest force on one atom exceeds 0.05 eV/angstrom, or LIMIT
broken_bonds          the atoms are not bonded as the row's SMILES says
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from scfx.config.toml import unknown_key
from scfx.errors import ConfigError, InputError
from scfx.model.bonds import bonded_pairs

if TYPE_CHECKING:
    from scfx_dataset.reader import Dataset

FORCES, NET_FORCE = "forces_ev_per_angstrom", "net_force_ev_per_angstrom"
#: eV/angstrom: the default of ASE's optimisers.
RELAXED = 0.05
#: Filter -> (columns that it reads, the limit where none is given; None: one must be given; 0: takes none).
_FILTERS: dict[str, tuple[tuple[str, ...], float | None]] = {
    "max_force": ((FORCES,), None),
    "max_net_force": ((NET_FORCE,), None),
    "not_relaxed": ((FORCES,), RELAXED),
    "broken_bonds": (("smiles", "atomic_numbers", "positions_angstrom"), 0.0),
}
NAMES = tuple(_FILTERS)


def parse(texts: Sequence[str], key: str = "--filter") -> dict[str, float]:
    """Return filters as they are written, "max_force=10" or "broken_bonds", several in one text after commas: name ->
    limit.

    Raises `ConfigError` for an unknown name, a limit that is missing or no positive number, a name given twice.
    """
    out: dict[str, float] = {}
    for text in (part.strip() for each in texts for part in each.split(",")):
        name, equals, value = (part.strip() for part in text.partition("="))
        if name not in _FILTERS:
            raise ConfigError(key, f"got {text!r}: {unknown_key(name, NAMES).replace('key', 'filter', 1)}")
        if name in out:
            raise ConfigError(key, f"{name} is given twice; keep one of them")
        default = _FILTERS[name][1]
        if not equals and default is None:
            raise ConfigError(key, f"{name} needs a limit in eV/angstrom, as {name}=10")
        if equals and default == 0.0:
            raise ConfigError(key, f"got {text!r}: {name} takes no limit")
        try:
            limit = float(value) if equals else float(default or 0.0)
        except ValueError:
            limit = math.nan
        if equals and not (limit > 0 and math.isfinite(limit)):
            raise ConfigError(key, f"got {text!r}, expected a positive number of eV/angstrom, as {name}=10")
        out[name] = limit
    return out


class Selected:
    """The rows of a dataset that are ok and pass some filters: what exports read.

    `counts`, after its shards were read: for each filter the rows that it left out (a row may fail several), and under
    "left_out" how many rows were left out in all. `parts` are the same of named parts of the molecules, if asked for.
    """

    def __init__(
        self,
        dataset: Dataset,
        filters: Mapping[str, float] | None = None,
        parts: Mapping[str, Dataset] | None = None,
    ):
        self._ok = dataset.filter("ok")
        self.filters = dict(filters or {})
        self.plan, self.schema = dataset.plan, dataset.schema
        self.parts = {name: Selected(part, self.filters) for name, part in (parts or {}).items()}
        self._left_out: Counter[str] = Counter()
        for name in self.filters:
            for column in _FILTERS[name][0]:
                if column not in self.schema.names:
                    raise InputError(
                        f"filter {name} needs the column {column!r}, which this dataset has not; "
                        'scf.properties = ["gradient"] gives forces'
                    )

    @property
    def counts(self) -> dict[str, int]:
        """Return rows left out so far by each filter, and in all."""
        found = sum((part._left_out for part in self.parts.values()), Counter(self._left_out))
        return {name: found[name] for name in (*self.filters, "left_out")} if self.filters else {}

    def shards(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield its rows, one shard at a time, as `Dataset.shards` gives them."""
        read = {column for name in self.filters for column in (*_FILTERS[name][0], "row_id")}
        wanted = None if columns is None else list(dict.fromkeys([*columns, *sorted(read)]))
        for table in self._ok.shards(wanted):
            if self.filters:
                rows = table.select(sorted(read)).to_pylist()
                table = table.filter(pa.array([self._passes(row) for row in rows], pa.bool_()))
            yield table if columns is None else table.select(list(columns))

    def _passes(self, row: Mapping[str, Any]) -> bool:
        failed = [name for name, limit in self.filters.items() if _fails(name, limit, row)]
        self._left_out.update(failed)
        self._left_out["left_out"] += bool(failed)
        return not failed


def _fails(name: str, limit: float, row: Mapping[str, Any]) -> bool:
    """A row whose forces could not be computed fails every filter that asks for them."""
    if name == "broken_bonds":
        return not bonded_as_stated(row)
    value = row[NET_FORCE if name == "max_net_force" else FORCES]
    if value is None:
        return True
    sizes = np.linalg.norm(np.array(value, dtype=np.float64).reshape(-1, 3), axis=1)
    return not float(sizes.max()) <= limit


def bonded_as_stated(row: Mapping[str, Any]) -> bool:
    """Return whether the atoms that are near enough are those that the SMILES bonds, orders of bonds and of atoms
    aside.

    Raises `InputError` for a row without SMILES.
    """
    from rdkit import Chem

    if not row["smiles"]:
        raise InputError(
            f"filter broken_bonds: row {row['row_id']} has no SMILES to compare with; leave the filter out"
        )
    stated = Chem.AddHs(Chem.MolFromSmiles(row["smiles"]))
    edges = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in stated.GetBonds()]
    return _graph([atom.GetAtomicNum() for atom in stated.GetAtoms()], edges) == _graph(
        row["atomic_numbers"], bonded_pairs(row["atomic_numbers"], np.array(row["positions_angstrom"]))
    )


def _graph(numbers: Sequence[int], edges: Sequence[tuple[int, int]]) -> str:
    """A canonical name of which elements are bonded to which."""
    from rdkit import Chem

    made = Chem.RWMol()
    for z in numbers:
        atom = Chem.Atom(int(z))
        atom.SetNoImplicit(True)
        made.AddAtom(atom)
    for i, j in edges:
        made.AddBond(i, j, Chem.BondType.SINGLE)
    return Chem.MolToSmiles(made)
