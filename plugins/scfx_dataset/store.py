"""The store of a dataset: a folder with three promises (write once, read back, put if absent).

Everything above it uses names and bytes only, so that an object store can take its place.
"""

from __future__ import annotations

import os
import uuid
from pathlib import Path

from scfx.errors import InputError


class LocalStore:
    """Files under a folder. Names are relative, with '/'."""

    def __init__(self, root: str | os.PathLike[str]):
        self.root = Path(root)

    def create(self) -> None:
        """Make the folders; `InputError` if that is not possible."""
        try:
            for name in ("plan", "attempts", "commits"):
                (self.root / name).mkdir(parents=True, exist_ok=True)
            probe = self.root / "commits" / f".probe-{uuid.uuid4().hex}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise InputError(f"task.output: cannot write to {str(self.root)!r}: {error}") from error

    def path(self, name: str) -> Path:
        return self.root / name

    def exists(self, name: str) -> bool:
        return self.path(name).exists()

    def size(self, name: str) -> int | None:
        """Bytes of a file, None if there is none."""
        try:
            return self.path(name).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, name: str) -> bytes:
        return self.path(name).read_bytes()

    def names(self, folder: str) -> list[str]:
        """Names of the files of a folder, sorted; temporary ones (leading dot) left out."""
        with os.scandir(self.path(folder)) as entries:
            return sorted(f"{folder}/{entry.name}" for entry in entries if not entry.name.startswith("."))

    def write_new(self, name: str, data: bytes) -> None:
        """Write a file that must not exist yet, and do not return before it is on the disk."""
        with self.path(name).open("xb") as handle:
            try:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            except BaseException:
                # Half a file on a full disk helps nobody; nothing refers to it yet.
                self.remove(name)
                raise
        self._sync_folder(name)

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Create `name` with all of `data` or not at all; False if it exists already. The first of several wins.

        A hard link is the one local operation that is atomic, carries content and refuses to overwrite.
        """
        target = self.path(name)
        temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            with temporary.open("xb") as handle:
                handle.write(data)
                handle.flush()
                os.fsync(handle.fileno())
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            except OSError as error:
                raise InputError(
                    f"task.output: the file system of {str(self.root)!r} makes no hard links ({error}), which commits "
                    "need; use a folder on another file system"
                ) from error
        finally:
            temporary.unlink(missing_ok=True)
        self._sync_folder(name)
        return True

    def replace(self, name: str, data: bytes) -> None:
        """Write a derived file (card, summary), replacing an older one at once."""
        target = self.path(name)
        temporary = target.with_name(f".{uuid.uuid4().hex}.tmp")
        try:
            temporary.write_bytes(data)
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)

    def _sync_folder(self, name: str) -> None:
        descriptor = os.open(self.path(name).parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
