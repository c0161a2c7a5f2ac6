"""A job in an S3-compatible object store: `s3://bucket/prefix`, with commits by conditional writes.

Credentials, region and endpoint are boto3's own (environment, profile, instance role; `AWS_ENDPOINT_URL_S3`). An
endpoint can also stand in the address, which then is all that workers and readers need:
`s3://bucket/prefix?endpoint_url=https://minio.example.org:9000&region_name=us-east-1`.
"""

from __future__ import annotations

import contextlib
import io
import tempfile
import threading
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, BinaryIO, cast
from urllib.parse import parse_qsl, urlsplit

from scfx.errors import InputError
from scfx.jobs.store import AbstractStore, inside

if TYPE_CHECKING:
    from collections.abc import Iterator

_QUERY = ("endpoint_url", "region_name")

#: Answers that mean "there is no such object", and "it exists already".
_ABSENT = {"404", "NoSuchKey", "NotFound"}
_EXISTS = {"412", "PreconditionFailed"}
#: Two conditional writes met; S3 says: try again.
_CONFLICT = {"409", "ConditionalRequestConflict"}
_CONFLICT_TRIES = 10


class S3Store(AbstractStore):
    """Objects under a prefix of a bucket. `InputError` for a malformed address or if boto3 is not installed."""

    def __init__(self, url: str):
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query))
        unknown = sorted(query.keys() - set(_QUERY))
        if not parts.netloc or unknown:
            raise InputError(
                f"task.output: cannot read the address {url!r}: expected s3://bucket/prefix, and after a '?' any of "
                f"{', '.join(_QUERY)}" + (f"; unknown: {', '.join(unknown)}" if unknown else "")
            )
        self.url = url
        self._bucket = parts.netloc
        self._prefix = parts.path.strip("/")
        self._options = query
        self._clients = threading.local()
        self._client()

    def _client(self) -> Any:
        """A client for each thread: making one is not safe in several at once."""
        if not hasattr(self._clients, "client"):
            try:
                import boto3
                from botocore.config import Config
            except ImportError as error:
                raise InputError('task.output: s3:// addresses need boto3: pip install "scfx[s3]"') from error
            config = Config(retries={"mode": "standard", "max_attempts": 8})
            self._clients.client = boto3.session.Session().client("s3", config=config, **self._options)  # type: ignore[call-overload]
        return self._clients.client

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{inside(name)}" if self._prefix else inside(name)

    def where(self, name: str = "") -> str:
        return f"s3://{self._bucket}/{self._key(name)}".rstrip("/")

    def create(self) -> None:
        # Once, before anything is promised: a server that ignores the condition would let the last commit win.
        probe = f"commits/.probe-{uuid.uuid4().hex}"
        try:
            if not self._put(probe, b"1", absent=True) or self._put(probe, b"2", absent=True):
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
            with self._errors(name):
                return self._client().head_object(Bucket=self._bucket, Key=self._key(name))["ContentLength"]
        except FileNotFoundError:
            return None

    def sizes(self, folder: str) -> dict[str, int]:
        prefix = self._key(folder) + "/"
        found = {}
        with self._errors(folder):
            pages = (
                self._client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    name = entry["Key"].removeprefix(prefix)
                    if not name.startswith("."):
                        found[f"{folder}/{name}"] = entry["Size"]
        return dict(sorted(found.items()))

    def leftovers(self) -> list[str]:
        # Of probes only those of long ago: one that is going on needs its object.
        prefix, now = self._key("commits/.probe-"), datetime.now(UTC)
        with self._errors("commits"):
            pages = (
                self._client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
            )
            found = [entry for page in pages for entry in page.get("Contents", ())]
        old = [entry["Key"] for entry in found if now - entry["LastModified"] > timedelta(hours=1)]
        return [f"commits/{key.rpartition('/')[2]}" for key in old]

    def read(self, name: str) -> bytes:
        with self._errors(name):
            return self._client().get_object(Bucket=self._bucket, Key=self._key(name))["Body"].read()

    @contextmanager
    def reader(self, name: str) -> Iterator[BinaryIO]:
        size = self.size(name)
        if size is None:
            raise FileNotFoundError(f"{self.where(name)}: no such object")
        with io.BufferedReader(_Ranges(self, name, size), buffer_size=2**20) as handle:
            yield cast(BinaryIO, handle)

    def read_range(self, name: str, start: int, stop: int) -> bytes:
        """Bytes `start` up to `stop` of an object."""
        with self._errors(name):
            span = f"bytes={start}-{stop - 1}"
            return (
                self._client().get_object(Bucket=self._bucket, Key=self._key(name), Range=span)["Body"].read()
            )

    @contextmanager
    def writer(self, name: str) -> Iterator[BinaryIO]:
        with tempfile.TemporaryFile() as handle:
            yield cast(BinaryIO, handle)
            handle.seek(0)
            with self._errors(name):
                # In parts where it is large; the object is there when all of them are.
                self._client().upload_fileobj(handle, self._bucket, self._key(name))

    def write_new(self, name: str, data: bytes) -> None:
        if not self._put(name, data, absent=True):
            raise FileExistsError(f"{self.where(name)} exists already")

    def put_if_absent(self, name: str, data: bytes) -> bool:
        return self._put(name, data, absent=True)

    def replace(self, name: str, data: bytes) -> None:
        self._put(name, data, absent=False)

    def remove(self, name: str) -> None:
        with self._errors(name):
            self._client().delete_object(Bucket=self._bucket, Key=self._key(name))

    def _put(self, name: str, data: bytes, absent: bool) -> bool:
        """Whether `data` is now there because of this call."""
        condition = {"IfNoneMatch": "*"} if absent else {}
        for _ in range(_CONFLICT_TRIES):
            try:
                with self._errors(name):
                    self._client().put_object(
                        Bucket=self._bucket, Key=self._key(name), Body=data, **condition
                    )
                return True
            except FileExistsError:
                # The client repeats a write whose answer was lost, and the repetition finds the first one there.
                return self.read(name) == data
            except _Conflict:
                continue
        raise OSError(f"{self.where(name)}: conditional writes kept conflicting, {_CONFLICT_TRIES} times")

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """boto3's errors as the `OSError`s that a folder would give."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            message = f"{self.where(name)}: {error}"
            if code in _ABSENT:
                raise FileNotFoundError(message) from error
            if code in _EXISTS:
                raise FileExistsError(message) from error
            if code in _CONFLICT:
                raise _Conflict(message) from error
            if code in ("403", "AccessDenied"):
                raise PermissionError(message) from error
            raise OSError(message) from error
        except (BotoCoreError, Boto3Error) as error:
            raise OSError(f"{self.where(name)}: {error}") from error


class _Conflict(OSError):
    """Another conditional write of the same name was going on."""


class _Ranges(io.RawIOBase):
    """An object as a file to seek in; each read is a request for a range."""

    def __init__(self, store: S3Store, name: str, size: int):
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
