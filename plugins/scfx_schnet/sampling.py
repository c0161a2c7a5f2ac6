"""Which rows an update sees: a function of the seed and the step alone, the same for any number of processes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64


class Sampler:
    """Epochs, each a new permutation of the rows; a batch may end one epoch and begin the next.

    So exactly `steps` x `batch_size` examples are seen, each row equally often but for one.
    """

    def __init__(self, rows: Int64[np.ndarray, "row"], batch_size: int, seed: int):
        self._rows, self._batch, self._seed = rows, batch_size, seed
        self._epoch, self._order = -1, rows

    def batch(self, step: int, rank: int = 0, world: int = 1) -> Int64[np.ndarray, "batch"]:
        """Return rows of update `step`; of `world` processes, number `rank`'s equal share (`batch_size` is a
        multiple).
        """
        share = self._batch // world
        start = step * self._batch + rank * share
        places = np.arange(start, start + share)
        out = np.empty(share, dtype=np.int64)
        for epoch in np.unique(places // len(self._rows)):
            mine = places // len(self._rows) == epoch
            out[mine] = self._permutation(int(epoch))[places[mine] % len(self._rows)]
        return out

    def epochs(self, step: int) -> float:
        """Return the epochs seen after `step` updates."""
        return step * self._batch / len(self._rows)

    def _permutation(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            random = np.random.Generator(np.random.Philox(key=[self._seed, epoch]))
            self._epoch, self._order = epoch, random.permutation(self._rows)
        return self._order
