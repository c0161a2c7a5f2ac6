"""Which molecules are trained on and which are set apart: splits by molecule, and nested subsets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from scfx.errors import ConfigError, InputError

_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, eq=False)
class Split:
    """Rows of a data set in three parts that share no molecule.

    `validation` and `test` are frozen by the split's own seed; `pool` is what training subsets are taken from.
    """

    pool: Int64[np.ndarray, "pool"]
    validation: Int64[np.ndarray, "validation"]
    test: Int64[np.ndarray, "test"]

    def check(self, keys: np.ndarray) -> None:
        """Raise `InputError` if a molecule is in two parts: the leak test, run before every training."""
        parts = {"pool": self.pool, "validation": self.validation, "test": self.test}
        found = {name: np.unique(keys[rows]) for name, rows in parts.items()}
        for a, b in (("pool", "validation"), ("pool", "test"), ("validation", "test")):
            shared = np.intersect1d(found[a], found[b])
            if len(shared):
                raise InputError(f"{len(shared)} molecules are both in {a} and {b}: the split leaks")


def rank(keys: np.ndarray, seed: int) -> np.ndarray:
    """Return a pseudo-random number for each molecule, a function of its key and the seed alone (splitmix64).

    So a molecule falls into the same part of every data set that it occurs in: other labels for the same molecules
    are split alike.
    """
    with np.errstate(over="ignore"):
        x = keys.astype(np.uint64) + _MIX * np.uint64(2 * seed + 1)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return x ^ (x >> np.uint64(31))


def split_by_molecule(
    keys: np.ndarray, validation: float, test: float, seed: int, key: str = "task.split"
) -> Split:
    """Set shares of all molecules, with all their rows, apart for validation and test; the rest is the pool.

    Raises `ConfigError` if a part that was asked for is empty.
    """
    place = rank(keys, seed).astype(np.float64) / 2.0**64
    asked, last = place < validation, (place >= validation) & (place < validation + test)
    split = Split(np.flatnonzero(~(asked | last)), np.flatnonzero(asked), np.flatnonzero(last))
    for name, share, rows in (("validation", validation, split.validation), ("test", test, split.test)):
        if share > 0 and not len(rows):
            raise ConfigError(
                f"{key}.{name}",
                f"a share of {share} of {len(np.unique(keys))} molecules is none of them: raise it",
            )
    if not len(split.pool):
        raise ConfigError(
            key, f"nothing is left for training after {validation} and {test} for validation and test"
        )
    split.check(keys)
    return split


@dataclass(frozen=True)
class Growth:
    """How training subsets grow: by molecules, with at most `conformers` of each, or by conformers of `molecules`.

    `molecules` None: molecule after molecule, each with all its conformers (or the first `conformers` of them).
    Else only so many molecules are taken, and conformer after conformer of them: `size` / `molecules` of each.
    """

    conformers: int | None = None
    molecules: int | None = None

    def rows(
        self, keys: np.ndarray, pool: np.ndarray, seed: int, key: str = "task.curves.molecules"
    ) -> np.ndarray:
        """Return the rows of the pool in the order in which subsets take them.

        Raises `ConfigError` with `key` if the pool has fewer than `molecules` molecules.
        """
        # Two molecules of one rank (a chance of 1e-11) are told apart by their keys.
        order = np.lexsort((pool, keys[pool], rank(keys[pool], seed + 1_000_003)))
        rows = pool[order]
        first = np.flatnonzero(np.concatenate([[True], keys[rows][1:] != keys[rows][:-1]]))
        sizes = np.diff(np.append(first, len(rows)))
        molecule = np.repeat(np.arange(len(first)), sizes)
        conformer = np.arange(len(rows)) - np.repeat(first, sizes)
        kept = np.ones(len(rows), dtype=bool)
        if self.conformers is not None:
            kept &= conformer < self.conformers
        if self.molecules is not None:
            if self.molecules > len(first):
                raise ConfigError(
                    key, f"got {self.molecules}, but only {len(first)} molecules are left for training"
                )
            kept &= molecule < self.molecules
            rows, kept = (values[np.lexsort((molecule, conformer))] for values in (rows, kept))
        return rows[kept]


def subset(
    keys: np.ndarray,
    pool: np.ndarray,
    size: int,
    seed: int,
    key: str = "task.sizes",
    growth: Growth | None = None,
) -> np.ndarray:
    """Return `size` rows of the pool, molecule after molecule in an order that the seed gives: smaller ones lie in
    larger.

    Whole molecules are taken, so that every size has as many conformers a molecule as the data (or as `growth` says);
    the last one may be cut. Raises `ConfigError` if the pool is smaller.
    """
    rows = (growth or Growth()).rows(keys, pool, seed)
    check_size(rows, size, key)
    return rows[:size]


def check_size(pool: np.ndarray, size: int, key: str) -> None:
    """Raise `ConfigError` if the pool has fewer rows."""
    if size > len(pool):
        raise ConfigError(key, f"got {size}, but only {len(pool)} rows are left for training")
