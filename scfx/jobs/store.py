"""The store of a job: names and bytes with three promises (write once, read back, put if absent).

`LocalStore` is a folder, `ObjectStore` (scfx.jobs.object_store) a prefix of a bucket. Nothing above knows which.
"""

from __future__ import annotations

import abc
import os
import re
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from scfx.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

T = TypeVar("T")

#: Names that only this file gives.
_TEMPORARY = re.compile(r"\.[0-9a-f]{32}\.tmp|\.probe-[0-9a-f]{32}")

#: The folders of a job.
FOLDERS = ("plan", "attempts", "commits")


class AbstractStore(abc.ABC):
    """Files by name (relative, with '/'). Errors of the machine are `OSError`, also where it is far away."""

    #: What `open_store` takes to give this store again, in any process.
    url: str

    @abc.abstractmethod
    def create(self) -> None:
        """Make ready for writing, and prove it; `InputError` if that is not possible."""

    @contextmanager
    def created(self) -> Iterator[None]:
        """Call `create`; where what follows fails, take empty folders back that were not there before."""
        self.create()
        yield

    @abc.abstractmethod
    def where(self, name: str = "") -> str:
        """The full name of a file (default: of all of it), for messages."""

    def local_path(self, name: str) -> Path | None:
        """Where a file is on this machine; None: elsewhere."""
        return None

    @abc.abstractmethod
    def exists(self, name: str) -> bool:
        """Return whether a file is there."""

    @abc.abstractmethod
    def size(self, name: str) -> int | None:
        """Return the bytes of a file, None if there is none."""

    @abc.abstractmethod
    def sizes(self, folder: str) -> dict[str, int]:
        """Return the bytes by name of all files of a folder, in the order of names; temporary ones (leading dot) left
        out.
        """

    def names(self, folder: str) -> list[str]:
        """Return the names of the files of a folder, sorted; temporary ones (leading dot) left out."""
        return list(self.sizes(folder))

    def leftovers(self) -> list[str]:
        """Return temporary files of processes that were killed, and perhaps of some that go on; they do without."""
        return []

    @abc.abstractmethod
    def read(self, name: str) -> bytes:
        """All of a file; `FileNotFoundError` if there is none."""

    @abc.abstractmethod
    def reader(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A file to seek and read in, for files larger than memory."""

    @abc.abstractmethod
    def writer(self, name: str) -> AbstractContextManager[BinaryIO]:
        """A new file to write piece by piece; it is there, whole, when the context ends without an error."""

    @abc.abstractmethod
    def write_new(self, name: str, data: bytes) -> None:
        """Write a file that must not exist yet, and do not return before it is safe."""

    @abc.abstractmethod
    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Create `name` with all of `data` or not at all; False if it exists already. The first of several wins."""

    @abc.abstractmethod
    def replace(self, name: str, data: bytes) -> None:
        """Write a derived file (card, summary), replacing an older one at once."""

    @abc.abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file; nothing happens if there is none."""


def inside(name: str) -> str:
    """The name, if it stays in the store. Names are read from files, which somebody else may have written."""
    if name.startswith("/") or "\0" in name or "\\" in name or ".." in name.split("/"):
        raise InputError(f"the name {name!r}, which the files of the folder state, leads outside the folder")
    return name


class LocalStore(AbstractStore):
    """Files under a folder."""

    def __init__(self, root: str | os.PathLike[str]):
        self.root = Path(root)
        self.url = str(self.root.absolute())

    def create(self) -> None:
        try:
            for name in FOLDERS:
                (self.root / name).mkdir(parents=True, exist_ok=True)
            probe = self.root / "commits" / f".probe-{uuid.uuid4().hex}"
            probe.write_bytes(b"")
            probe.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(f"task.output: cannot write to {str(self.root)!r}: {error}") from error

    @contextmanager
    def created(self) -> Iterator[None]:
        folders = [self.root / name for name in FOLDERS]
        new = [
            folder
            for folder in dict.fromkeys([*folders, self.root, *self.root.absolute().parents])
            if not folder.exists()
        ]
        self.create()
        try:
            yield
        except BaseException:
            for folder in new:  # the innermost first
                try:
                    folder.rmdir()
                except OSError:  # not empty: somebody uses it
                    break
            raise

    def path(self, name: str) -> Path:
        return self.root / inside(name)

    def local_path(self, name: str) -> Path | None:
        return self.path(name)

    def where(self, name: str = "") -> str:
        return str(self.path(name))

    def exists(self, name: str) -> bool:
        return self.path(name).exists()

    def size(self, name: str) -> int | None:
        try:
            return self.path(name).stat().st_size
        except FileNotFoundError:
            return None

    def sizes(self, folder: str) -> dict[str, int]:
        found = {}
        with os.scandir(self.path(folder)) as entries:
            for entry in entries:
                try:
                    if not entry.name.startswith("."):
                        found[f"{folder}/{entry.name}"] = entry.stat().st_size
                except FileNotFoundError:  # removed by another run since the listing
                    continue
        return dict(sorted(found.items()))

    def names(self, folder: str) -> list[str]:
        # Without asking for sizes, which takes a system call each.
        with os.scandir(self.path(folder)) as entries:
            return sorted(f"{folder}/{entry.name}" for entry in entries if not entry.name.startswith("."))

    def read(self, name: str) -> bytes:
        return self.path(name).read_bytes()

    def reader(self, name: str) -> AbstractContextManager[BinaryIO]:
        return self.path(name).open("rb")

    @contextmanager
    def writer(self, name: str) -> Iterator[BinaryIO]:
        with self.path(name).open("xb") as handle:
            try:
                yield handle
                handle.flush()
                os.fsync(handle.fileno())
            except BaseException:
                # Half a file on a full disk helps nobody; nothing refers to it yet.
                self.remove(name)
                raise
        self._sync_folder(name)

    def write_new(self, name: str, data: bytes) -> None:
        with self.writer(name) as handle:
            handle.write(data)

    def leftovers(self) -> list[str]:
        found = []
        for folder in ("", *FOLDERS):
            with os.scandir(self.path(folder)) as entries:
                found += [os.path.join(folder, e.name) for e in entries if _TEMPORARY.fullmatch(e.name)]
        return sorted(found)

    def put_if_absent(self, name: str, data: bytes) -> bool:
        # A hard link is the one local operation that is atomic, carries content and refuses to overwrite.
        target = self.path(name)

        def link(temporary: Path) -> bool:
            try:
                os.link(temporary, target)
            except FileExistsError:
                return False
            except FileNotFoundError:
                raise
            except OSError as error:
                raise InputError(
                    f"task.output: the file system of {str(self.root)!r} makes no hard links ({error}), which commits "
                    "need; use a folder on another file system"
                ) from error
            return True

        if not self._by_way_of_a_temporary(name, data, link):
            return False
        self._sync_folder(name)
        return True

    def replace(self, name: str, data: bytes) -> None:
        target = self.path(name)
        self._by_way_of_a_temporary(name, data, lambda temporary: os.replace(temporary, target))

    def _by_way_of_a_temporary(self, name: str, data: bytes, then: Callable[[Path], T]) -> T:
        """What `then` makes of a file beside `name` that holds `data` and is safe on the disk."""
        for last in (False, False, True):
            temporary = self.path(name).with_name(f".{uuid.uuid4().hex}.tmp")
            try:
                with temporary.open("xb") as handle:
                    handle.write(data)
                    handle.flush()
                    os.fsync(handle.fileno())
                return then(temporary)
            except FileNotFoundError:
                # Another run that tidied up took it for a leftover.
                if last:
                    raise
            finally:
                temporary.unlink(missing_ok=True)
        raise AssertionError("unreachable")

    def remove(self, name: str) -> None:
        self.path(name).unlink(missing_ok=True)

    def _sync_folder(self, name: str) -> None:
        descriptor = os.open(self.path(name).parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
