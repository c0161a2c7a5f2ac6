"""A folder of results, a file a row: what is finished is not computed again, and nothing is there half.

`plan.json` says what the rows are of; a folder of something else is refused. Each row is written under another name and
renamed, so that it is there whole or not at all, whenever the process dies. One file a row is for thousands of
molecules, not for millions.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scfx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PLAN = "plan.json"


class RowStore:
    """The rows of one task in one folder, which is made if it is not there.

    Raises `InputError` if the folder belongs to another task, level, source or version, naming what differs.
    """

    def __init__(self, folder: str, identity: Mapping[str, Any]):
        self.folder = Path(folder)
        self._rows = self.folder / "rows"
        plan = self.folder / _PLAN
        text = _json(dict(identity))
        if plan.exists():
            known = json.loads(plan.read_text(encoding="utf-8"))
            wanted = json.loads(text)
            differ = sorted(k for k in {*known, *wanted} if known.get(k) != wanted.get(k))
            if differ:
                raise InputError(
                    f"task.output: {folder!r} holds results of another calculation ({', '.join(differ)} differ, see "
                    f"{_PLAN}); choose another folder"
                )
        elif self.folder.exists() and any(self.folder.iterdir()) and not self._only_leftovers():
            raise InputError(
                f"task.output: {folder!r} is not empty and holds no {_PLAN}; choose another folder"
            )
        self._rows.mkdir(parents=True, exist_ok=True)
        if not plan.exists():
            write_whole(plan, text.encode())

    def _only_leftovers(self) -> bool:
        return all(path.name == "rows" or path.name.endswith(".tmp") for path in self.folder.iterdir())

    def finished(self) -> set[int]:
        """Return indices of the rows that are there."""
        return {int(path.stem) for path in self._rows.glob("*.json")}

    def write(self, index: int, row: Mapping[str, Any]) -> None:
        """Add a row; once it is there it stays."""
        write_whole(self._rows / f"{index:08d}.json", _json(dict(row)).encode())

    def rows(self) -> list[dict[str, Any]]:
        """Return all rows that are there, by index."""
        return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(self._rows.glob("*.json"))]


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all; what a killed process left under the other name is overwritten."""
    scratch = path.with_name(f"{path.name}.tmp")
    with open(scratch, "wb") as handle:
        handle.write(data)
        handle.flush()
        os.fsync(handle.fileno())
    os.replace(scratch, path)


def digest(value: Any) -> str:
    """Return a digest of plain data."""
    return hashlib.sha256(_json(value).encode()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n"
