"""Collections that keep to a memory budget and go on in temporary files."""

from __future__ import annotations

import pickle
import sqlite3
import uuid
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

#: Keys that a `KeyIndex` holds in memory before it moves to disk: some 30 MB.
_KEYS_IN_MEMORY = 200_000
_CACHE_KIB = 32 * 1024
_BUFFER_BYTES = 32 * 2**20


class KeyIndex:
    """A number for each key: a dict that moves into a SQLite file when it grows. Memory stays bounded."""

    def __init__(self, folder: Path, in_memory: int = _KEYS_IN_MEMORY):
        self._memory: dict[bytes, int] | None = {}
        self._limit = in_memory
        self._path = folder / f"keys-{uuid.uuid4().hex}.sqlite"
        self._disk: sqlite3.Connection | None = None

    def first(self, key: bytes, value: int) -> int | None:
        """Keep `value` under `key` and return None; or return what was kept before."""
        if self._memory is not None:
            found = self._memory.get(key)
            if found is None:
                self._memory[key] = value
                if len(self._memory) > self._limit:
                    self._move()
            return found
        assert self._disk is not None
        added = self._disk.execute("INSERT OR IGNORE INTO keys VALUES (?, ?)", (key, value)).rowcount
        if added:
            return None
        return self._disk.execute("SELECT value FROM keys WHERE key = ?", (key,)).fetchone()[0]

    def add(self, key: bytes, amount: int) -> int:
        """Add to the number kept under `key` (0 at first); returns what it was before."""
        if self._memory is not None:
            found = self._memory.get(key, 0)
            self._memory[key] = found + amount
            if len(self._memory) > self._limit:
                self._move()
            return found
        assert self._disk is not None
        upsert = "INSERT INTO keys VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = value + ?2"
        return self._disk.execute(f"{upsert} RETURNING value", (key, amount)).fetchone()[0] - amount

    def _move(self) -> None:
        assert self._memory is not None
        self._disk = sqlite3.connect(self._path, isolation_level=None)
        # Nobody reads the file after a crash: no journal, no flushing.
        for pragma in (
            "journal_mode=OFF",
            "synchronous=OFF",
            f"cache_size=-{_CACHE_KIB}",
            "locking_mode=EXCLUSIVE",
        ):
            self._disk.execute(f"PRAGMA {pragma}")
        self._disk.execute("CREATE TABLE keys (key BLOB PRIMARY KEY, value INTEGER) WITHOUT ROWID")
        self._disk.execute("BEGIN")
        self._disk.executemany("INSERT INTO keys VALUES (?, ?)", self._memory.items())
        self._memory = None

    def close(self) -> None:
        """Close the file on disk, if there is one."""
        if self._disk is not None:
            self._disk.close()
            self._disk = None


class Groups:
    """Lists of entries by key, in order of arrival. Beyond the budget the longest lists go on in files."""

    def __init__(self, folder: Path, budget: int = _BUFFER_BYTES):
        self._folder = folder
        self._budget = budget
        self._held = 0
        self._buffers: dict[str, list[bytes]] = defaultdict(list)
        self._sizes: dict[str, int] = defaultdict(int)
        self._files: dict[str, Path] = {}

    def add(self, key: str, entry: Any) -> None:
        """Add an entry to the group of a key."""
        data = pickle.dumps(entry, protocol=pickle.HIGHEST_PROTOCOL)
        self._buffers[key].append(data)
        self._sizes[key] += len(data)
        self._held += len(data)
        if self._held > self._budget:
            self._spill()

    def take(self, key: str) -> list[Any]:
        """Return the entries of a key, which is then forgotten."""
        return list(self.drain(key))

    def drain(self, key: str) -> Iterator[Any]:
        """Yield the entries of a key one by one; it is forgotten at once, so that entries can be added to it
        meanwhile.
        """
        path, buffers = self._files.pop(key, None), self._buffers.pop(key, [])
        self._held -= self._sizes.pop(key, 0)
        if path is not None:
            with path.open("rb") as handle:
                while True:
                    try:
                        yield pickle.load(handle)
                    except EOFError:
                        break
            path.unlink()
        yield from map(pickle.loads, buffers)

    def waiting(self) -> list[str]:
        """Return the keys with entries, sorted."""
        return sorted(self._buffers.keys() | self._files.keys())

    def _spill(self) -> None:
        """Write the longest lists away until half the budget is free."""
        for key in sorted(self._sizes, key=lambda k: -self._sizes[k]):
            if self._held <= self._budget // 2:
                return
            path = self._files.setdefault(key, self._folder / f"group-{uuid.uuid4().hex}")
            with path.open("ab") as handle:
                handle.writelines(self._buffers.pop(key))
            self._held -= self._sizes.pop(key)
