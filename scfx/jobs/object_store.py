"""A job in an object store: `s3://`, `gs://` or `az://`, with commits by conditional writes. The client is obstore.

obstore (object_store of Apache Arrow, in Rust) signs, repeats and parses. Four things it leaves to its caller are
done here: a "409 Conflict" is told from "exists already", a conditional write that timed out is repeated, Ctrl-C is
heard while a request waits, and a process that was forked gets an error where obstore would wait for ever.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import tempfile
import time
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from scfx.errors import InputError
from scfx.execution.interrupt import call_that_hears_interrupts
from scfx.jobs.object_clients import Address, connect
from scfx.jobs.store import AbstractStore, inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")

#: Tries of a request that obstore does not repeat: after a timeout (it cannot know whether the write happened), and
#: after a conflict of two conditional writes, for which S3 says: try again.
_TIMEOUT_TRIES = 3
_CONFLICT_TRIES = 10

#: Bodies of more bytes than this get the client that waits long.
_LARGE = 2**20

#: What S3 and Google, and Azure, answer where there is no such bucket.
_NO_BUCKET = ("NoSuchBucket", "ContainerNotFound")

#: What is said of a bucket in another region: by obstore of a redirection, and by S3 of a signature.
_OTHER_REGION = ("incorrectly configured region", "AuthorizationHeaderMalformed", "PermanentRedirect")

_PROBE = "commits/.probe-"

#: The process that has used obstore: its threads do not come along when a process forks.
_user: int | None = None


class ObjectStore(AbstractStore):
    """Objects under a prefix of a bucket. `InputError` for a malformed address or if obstore is not installed."""

    def __init__(self, url: str):
        self.url = url
        self._address = Address.read(url)
        self._clients = connect(self._address)

    def __reduce__(self) -> tuple[type[ObjectStore], tuple[str]]:
        return type(self), (self.url,)

    def _key(self, name: str) -> str:
        prefix = self._address.prefix
        return f"{prefix}/{inside(name)}" if prefix and name else prefix or inside(name)

    def where(self, name: str = "") -> str:
        return f"{self._address.scheme}://{self._address.bucket}/{self._key(name)}".rstrip("/")

    def create(self) -> None:
        # Once, before anything is promised: a server that ignores the condition would let the last commit win.
        probe = f"{_PROBE}{uuid.uuid4().hex}"
        try:
            if not self.put_if_absent(probe, b"1") or self.put_if_absent(probe, b"2"):
                raise InputError(
                    f"task.output: the server of {self.where()} does not honour conditional writes (If-None-Match: *), "
                    "which commits need. Amazon S3, MinIO and Ceph have them in current versions"
                )
        except OSError as error:
            raise InputError(f"task.output: cannot write to {self.where()}: {error}") from error
        finally:
            # Where it could not be written either, that error is the one to see.
            with contextlib.suppress(OSError):
                self.remove(probe)

    def exists(self, name: str) -> bool:
        return self.size(name) is not None

    def size(self, name: str) -> int | None:
        try:
            return self._call(name, lambda: self._clients.quick.head(self._key(name))["size"])
        except FileNotFoundError:
            return None

    def sizes(self, folder: str) -> dict[str, int]:
        prefix = self._key(folder)

        def listed() -> dict[str, int]:
            found = {}
            for page in self._clients.quick.list(prefix):
                for entry in page:
                    name = entry["path"].removeprefix(f"{prefix}/")
                    if not name.startswith("."):
                        found[f"{folder}/{name}"] = entry["size"]
            return found

        return dict(sorted(self._call(folder, listed).items()))

    def leftovers(self) -> list[str]:
        # Of probes only those of long ago: one that is going on needs its object. Their names sort before those of
        # all commits, so the first page has them.
        old, stem = datetime.now(UTC) - timedelta(hours=1), self._key(_PROBE)
        page = self._call("commits", lambda: next(iter(self._clients.quick.list(self._key("commits"))), []))
        return [
            f"commits/{entry['path'].rpartition('/')[2]}"
            for entry in page
            if entry["path"].startswith(stem) and entry["last_modified"] < old
        ]

    def read(self, name: str) -> bytes:
        return self._call(name, lambda: bytes(self._clients.quick.get(self._key(name)).bytes()))

    @contextmanager
    def reader(self, name: str) -> Iterator[BinaryIO]:
        size = self.size(name)
        if size is None:
            raise FileNotFoundError(f"{self.where(name)}: no such object")
        with io.BufferedReader(_Ranges(self, name, size), buffer_size=2**20) as handle:
            yield cast(BinaryIO, handle)

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Return bytes `start` up to `stop` of an object."""
        return self._call(
            name, lambda: bytes(self._clients.quick.get_range(self._key(name), start=start, end=stop))
        )

    @contextmanager
    def writer(self, name: str) -> Iterator[BinaryIO]:
        with tempfile.TemporaryFile() as handle:
            yield cast(BinaryIO, handle)
            handle.seek(0)
            # In parts where it is large; the object is there when all of them are.
            self._call(name, lambda: self._clients.patient.put(self._key(name), cast(Any, handle)))

    def write_new(self, name: str, data: bytes) -> None:
        if not self.put_if_absent(name, data):
            raise FileExistsError(f"{self.where(name)} exists already")

    def put_if_absent(self, name: str, data: bytes) -> bool:
        client = self._clients.patient if len(data) > _LARGE else self._clients.quick
        failure = OSError(f"{self.where(name)}: conditional writes kept conflicting, {_CONFLICT_TRIES} times")
        failed = 0
        for _ in range(_CONFLICT_TRIES):
            try:
                self._call(name, lambda: client.put(self._key(name), data, mode="create"))
                return True
            except FileExistsError:
                # A write whose answer was lost is repeated, and the repetition finds the first one there.
                with contextlib.suppress(FileNotFoundError):
                    return self.read(name) == data
                # obstore says the same of "409 Conflict": another write was going on, and has not happened either.
                time.sleep(random.uniform(0.0, 0.1))
            except (FileNotFoundError, PermissionError):
                raise
            except OSError as error:
                failure, failed = error, failed + 1
                if failed == _TIMEOUT_TRIES:
                    break
        raise failure

    def replace(self, name: str, data: bytes) -> None:
        client = self._clients.patient if len(data) > _LARGE else self._clients.quick
        self._call(name, lambda: client.put(self._key(name), data, mode="overwrite"))

    def remove(self, name: str) -> None:
        for last in (False, False, True):
            try:
                return self._call(name, lambda: self._clients.quick.delete(self._key(name)))
            except FileNotFoundError:
                return None
            except PermissionError:
                raise
            except OSError:
                if last:
                    raise
        raise AssertionError("unreachable")

    def _call(self, name: str, request: Callable[[], T]) -> T:
        """Return the result of a request, with obstore's errors as the `OSError`s that a folder would give."""
        from obstore import exceptions

        global _user
        if _user not in (None, os.getpid()):
            raise InputError(
                f"{self.where()}: this process was forked from one that had used the object store, and the client's "
                'threads did not come along; start it with multiprocessing_context="spawn" (an argument of '
                'DataLoader), or multiprocessing.get_context("spawn")'
            )
        _user = os.getpid()
        try:
            return call_that_hears_interrupts(request)
        except exceptions.BaseError as error:
            kind: type[OSError] = OSError
            if isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError):
                kind = FileExistsError
            elif isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError):
                kind = PermissionError
            raise kind(f"{self.where(name)}: {_first_part(error)}{self._remedy(error)}") from error
        except FileNotFoundError as error:
            # What is not there is said of the object, and also of the bucket, which is another matter.
            kind = OSError if any(word in str(error) for word in _NO_BUCKET) else FileNotFoundError
            raise kind(f"{self.where(name)}: {_first_part(error)}") from error

    def _remedy(self, error: Exception) -> str:
        """Return what to do about an error, where that can be told."""
        text = str(error)
        # An answer to HEAD has no body, so S3 cannot say there what is wrong with the request.
        without_reason = "Error performing HEAD" in text and "400 Bad Request" in text
        if self._address.scheme != "s3" or not (
            without_reason or any(word in text for word in _OTHER_REGION)
        ):
            return ""
        return (
            f". {'Perhaps the' if without_reason else 'The'} bucket is in another region: name the right one in the "
            f"address, s3://{self._address.bucket}/{self._address.prefix}?region_name=REGION, or in AWS_REGION; where "
            "neither says one, and no profile does, it is us-east-1"
        )


def _first_part(error: Exception) -> str:
    """Return the message without the dump of structures that follows it."""
    return str(error).partition("\n\nDebug source:")[0].strip()


class _Ranges(io.RawIOBase):
    """An object as a file to seek in; each read is a request for a range."""

    def __init__(self, store: ObjectStore, name: str, size: int):
        self._store, self._name, self._size, self._at = store, name, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        stop = min(self._at + len(buffer), self._size)
        if stop <= self._at:
            return 0
        data = self._store.read_range(self._name, self._at, stop)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
