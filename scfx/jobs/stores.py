"""`open_store`: the store that an address means."""

from __future__ import annotations

import os

from scfx.errors import InputError
from scfx.jobs.s3 import S3Store
from scfx.jobs.store import AbstractStore, LocalStore


def open_store(url: str | os.PathLike[str]) -> AbstractStore:
    """The store of a folder, or of an address `s3://bucket/prefix` (`scfx.jobs.s3` says what may follow)."""
    text = os.fspath(url)
    if "://" not in text:
        return LocalStore(text)
    scheme = text.partition("://")[0]
    if scheme != "s3":
        raise InputError(
            f"task.output: no store for {scheme}:// addresses; give a folder, or s3://bucket/prefix"
        )
    return S3Store(text)
