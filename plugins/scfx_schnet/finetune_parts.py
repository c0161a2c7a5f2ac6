"""What fine-tuning begins with, and which rows of both data sets are for what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from scfx.errors import ConfigError, InputError
from scfx_schnet.fidelity import predicted
from scfx_schnet.molecules import Molecules
from scfx_schnet.objective import check_elements
from scfx_schnet.options import SplitOptions
from scfx_schnet.split import Split, subset
from scfx_schnet.targets import Standardiser


@dataclass(frozen=True, eq=False)
class Start:
    """A pre-trained network, its standardiser, and its weights."""

    network: torch.nn.Module
    standardiser: Standardiser
    weights: dict[str, torch.Tensor]

    def predicted(self, molecules: Molecules, rows: np.ndarray) -> np.ndarray:
        """Return what it says of rows of a data set, [row, target], each in its unit."""
        return predicted(self.network, self.standardiser, molecules, rows)


@dataclass(frozen=True, eq=False)
class Parts:
    """Both data sets, and which rows of them are for what: none that is asked about is in a pre-training."""

    cheap: Molecules
    better: Molecules
    cheap_split: Split
    pool: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    removed: int

    @classmethod
    def of(cls, cheap: Molecules, better: Molecules, options: SplitOptions, remove: bool) -> Parts:
        """Split the better labels and the cheap ones; `remove` takes molecules of both out of the better ones first.

        Raises `ConfigError` if nothing is left, `InputError` if a pre-training would see a molecule asked about.
        """
        kept = np.arange(len(better))
        if remove:
            kept = np.flatnonzero(~np.isin(better.keys, cheap.keys))
            if not len(kept):
                raise ConfigError(
                    "task.data",
                    "every molecule of it occurs in the pre-training data: nothing is left. overlap = 'split' keeps "
                    "them, and pre-trains on none that is asked about",
                )
        split, cheap_split = options.divide(better.keys[kept]), options.divide(cheap.keys)
        pool, validation, test = kept[split.pool], kept[split.validation], kept[split.test]
        asked = better.keys[np.concatenate([validation, test])]
        if np.isin(cheap.keys[cheap_split.pool], asked).any():
            raise InputError(
                "molecules that are asked about are in the pre-training subset: the splits differ"
            )
        return cls(cheap, better, cheap_split, pool, validation, test, len(better) - len(kept))

    def check_elements(self, rows: np.ndarray) -> None:
        """Raise `ConfigError` if what is asked about has elements that none of these training rows has."""
        asked = {
            name: self.better.elements(part)
            for name, part in (("validation part", self.validation), ("test part", self.test))
        }
        remedy = f"Take more than {len(rows)} rows, or another seed"
        check_elements(self.better.elements(rows), asked, "task.sizes", remedy)

    def cheap_rows(self, size: int | None, seed: int) -> np.ndarray:
        """Return the pre-training subset of a seed."""
        pool = self.cheap_split.pool
        return subset(self.cheap.keys, pool, size or len(pool), seed, "task.pretraining.rows")

    def facts(self) -> dict[str, Any]:
        """Return counts for the report."""
        return {
            "rows": len(self.better),
            "rows_removed": self.removed,
            "molecules_removed": len(np.intersect1d(self.better.keys, self.cheap.keys))
            if self.removed
            else 0,
            "validation": len(self.validation),
            "test": len(self.test),
            "pretraining_data_rows": len(self.cheap),
        }
