"""What a look through the forces of a dataset finds: how large they are, and net force and torque of each row.

In memory that does not grow with the rows: sums, extremes and histograms.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64

from scfx_dataset.exports import FORCES

if TYPE_CHECKING:
    import pyarrow as pa

NET_FORCE, NET_TORQUE = "net_force_ev_per_angstrom", "net_torque_ev"
COLUMNS = (FORCES, NET_FORCE, NET_TORQUE)
#: Width of bins: of forces on atoms in eV/angstrom, and of the decimal logarithm of net forces and torques.
BIN_FORCE, BIN_LOG = 0.02, 0.05
#: Sizes below this (eV/angstrom, eV) are counted as this: rounding of float64.
_SMALLEST = 1e-14


@dataclass
class Sizes:
    """Sizes of vectors: how many, sum of squares, the largest with its row, and counts by bin."""

    bin: float
    logarithmic: bool
    n: int = 0
    sum_of_squares: float = 0.0
    largest: float = 0.0
    row_id: int = -1
    counts: Counter[int] = field(default_factory=Counter)

    def add(self, sizes: Float64[np.ndarray, "n"], row_ids: Int64[np.ndarray, "n"]) -> None:
        """Count some more."""
        fine = np.isfinite(sizes)
        sizes, row_ids = sizes[fine], row_ids[fine]
        if not sizes.size:
            return
        self.n += sizes.size
        self.sum_of_squares += float(sizes @ sizes)
        top = int(sizes.argmax())
        if self.row_id < 0 or sizes[top] > self.largest:
            self.largest, self.row_id = float(sizes[top]), int(row_ids[top])
        place = np.log10(np.maximum(sizes, _SMALLEST)) if self.logarithmic else sizes
        bins, counts = np.unique(np.floor(place / self.bin).astype(np.int64), return_counts=True)
        for b, count in zip(bins.tolist(), counts.tolist(), strict=True):
            self.counts[b] += count

    @property
    def root_mean_square(self) -> float:
        """Return the root of the mean square."""
        return float(np.sqrt(self.sum_of_squares / self.n)) if self.n else 0.0

    def histogram(self) -> tuple[Float64[np.ndarray, "bin"], Int64[np.ndarray, "bin"]]:
        """Return centres of the bins that are not empty (decimal logarithms where it is logarithmic), and their
        counts.
        """
        bins = np.array(sorted(self.counts), dtype=np.int64)
        return (bins + 0.5) * self.bin, np.array([self.counts[int(b)] for b in bins], dtype=np.int64)

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {"n": self.n, "rms": self.root_mean_square, "largest": self.largest, "row_id": self.row_id}


@dataclass
class ForceFindings:
    """`atoms`: forces on each atom; `net_force`, `net_torque`: of each row. `rows` have forces, `without` are ok and
    have none.
    """

    rows: int = 0
    without: int = 0
    atoms: Sizes = field(default_factory=lambda: Sizes(BIN_FORCE, False))
    net_force: Sizes = field(default_factory=lambda: Sizes(BIN_LOG, True))
    net_torque: Sizes = field(default_factory=lambda: Sizes(BIN_LOG, True))

    def add(self, table: pa.Table) -> None:
        """Add the rows of one shard."""
        row_ids = np.array(table["row_id"].to_pylist(), dtype=np.int64)
        forces = table[FORCES].to_pylist()
        ok = [status == "ok" for status in table["status"].to_pylist()]
        having = np.array([value is not None for value in forces], dtype=bool)
        self.rows += int(having.sum())
        self.without += sum(ok) - int(having.sum())
        atoms = [_sizes(forces[i]) for i in np.flatnonzero(having)]
        if not atoms:
            return
        self.atoms.add(np.concatenate(atoms), np.repeat(row_ids[having], [a.size for a in atoms]))
        for name, into in ((NET_FORCE, self.net_force), (NET_TORQUE, self.net_torque)):
            values = table[name].to_pylist() if name in table.column_names else []
            kept = [(row, value) for row, value in zip(row_ids, values, strict=False) if value is not None]
            if kept:
                into.add(_sizes([value for _, value in kept]), np.array([row for row, _ in kept]))

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "rows": self.rows,
            "rows_without": self.without,
            "force_on_atom_ev_per_angstrom": self.atoms.as_dict(),
            NET_FORCE: self.net_force.as_dict(),
            NET_TORQUE: self.net_torque.as_dict(),
        }


def _sizes(vectors: Sequence[Any]) -> Float64[np.ndarray, "n"]:
    return np.linalg.norm(np.array(vectors, dtype=np.float64).reshape(-1, 3), axis=1)
