"""What an attempt at a shard has so far, stored beside the attempts: finished rows, and the paths on their way.

The next attempt at the shard takes it up. It is of no consequence for the bytes of the rows (see `path_memory`), so it
is written when enough time has passed, and one that is damaged or of other versions is left alone, which the record of
the commit says. It goes when the shard's rows are computed; what a run leaves of it goes with the losing attempts.
"""

from __future__ import annotations

import io
import json
import time
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx_geometry.path_memory import Frame, Path, PathMemory

if TYPE_CHECKING:
    from collections.abc import Mapping

    from scfx.contracts.work import Attempt, Row

#: A path: the index of its molecule, and its place among the paths of that molecule.
Key = tuple[int, ...]
_STACKED = ("positions", "energy", "gradient", "dipole", "iterations")


class Checkpoint:
    """Rows and paths of one shard, by the index of their molecule. `every`: seconds between two times of storing."""

    def __init__(self, attempt: Attempt, every: float):
        self._attempt = attempt
        self._every = every
        # The name of an attempt: whoever tidies up after the shard is committed knows what it is.
        self._name = f"attempts/{attempt.shard.id}-checkpoint.npz"
        self._stored = time.monotonic()
        self._rows: dict[int, Row] = {}
        self._paths: dict[Key, Path] = {}
        try:
            data = attempt.plan.store.read(self._name)
        except FileNotFoundError:
            return
        try:
            self._take(data)
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            self._rows, self._paths = {}, {}
            attempt.notes["checkpoint_left_alone"] = f"{type(error).__name__}: {error}"[:200]
        else:
            steps = sum(len(path.frames) for path in self._paths.values())
            attempt.notes["from_checkpoint"] = {"rows": len(self._rows), "steps": steps}

    def row(self, index: int) -> Row | None:
        """Return the finished row of a molecule, if there is one."""
        return self._rows.get(index)

    def finished(self, index: int, row: Row) -> None:
        """Keep the row of a molecule, whose paths are not needed any more."""
        self._rows[index] = row
        self._paths = {key: path for key, path in self._paths.items() if key[0] != index}
        self._attempt.done(str(row["status"]))
        self._store_in_time()

    def paths(self, *owners: Key) -> PathMemory:
        """Return a memory for paths of these owners, in the order of the call that walks them."""
        return _Paths(self, owners)

    def forget(self) -> None:
        """Remove what is stored: all rows of the shard are computed."""
        self._attempt.plan.store.remove(self._name)

    def _store_in_time(self) -> None:
        if time.monotonic() - self._stored >= self._every:
            self._attempt.plan.store.replace(self._name, self._bytes())
            self._stored = time.monotonic()

    def _whose(self) -> dict[str, Any]:
        return {
            "plan_id": self._attempt.plan.plan_id,
            "shard": self._attempt.shard.id,
            "versions": dict(self._attempt.made_with),
        }

    def _bytes(self) -> bytes:
        head = {**self._whose(), "rows": list(self._rows.items()), "paths": list(self._paths)}
        arrays = {"head": np.frombuffer(json.dumps(head).encode(), dtype=np.uint8)}
        for number, path in enumerate(self._paths.values()):
            for name in _STACKED:
                arrays[f"{name}-{number}"] = np.array([getattr(frame, name) for frame in path.frames])
            arrays[f"density-{number}"] = path.density
        sink = io.BytesIO()
        np.savez(sink, allow_pickle=False, **arrays)
        return sink.getvalue()

    def _take(self, data: bytes) -> None:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:  # zip's checksums are compared
            head = json.loads(arrays["head"].tobytes())
            if any(head[key] != value for key, value in self._whose().items()):
                raise ValueError("of another plan or of other versions")
            self._rows = {int(index): row for index, row in head["rows"]}
            for number, key in enumerate(head["paths"]):
                stacked = (arrays[f"{name}-{number}"] for name in _STACKED)
                frames = [
                    Frame(x, float(energy), gradient, dipole, int(iterations))
                    for x, energy, gradient, dipole, iterations in zip(*stacked, strict=True)
                ]
                self._paths[tuple(map(int, key))] = Path(frames, arrays[f"density-{number}"])


class _Paths(PathMemory):
    def __init__(self, checkpoint: Checkpoint, owners: tuple[Key, ...]):
        self._checkpoint = checkpoint
        self._owners = owners

    def recall(self, index: int) -> Path | None:
        return self._checkpoint._paths.get(self._owners[index])

    def keep(self, paths: Mapping[int, Path]) -> None:
        kept = self._checkpoint._paths
        kept |= {self._owners[index]: path for index, path in paths.items()}
        self._checkpoint._store_in_time()
