"""`open_store`: the store that an address means."""

from __future__ import annotations

import os

from scfx.errors import InputError
from scfx.jobs.store import AbstractStore, LocalStore


def open_store(url: str | os.PathLike[str]) -> AbstractStore:
    """The store of a folder, or of an address `s3://`, `gs://` or `az://` (`scfx.jobs.object_clients` says more)."""
    text = os.fspath(url)
    if "://" not in text:
        return LocalStore(text)
    from scfx.jobs.object_clients import SCHEMES
    from scfx.jobs.object_store import ObjectStore

    scheme = text.partition("://")[0]
    if scheme not in SCHEMES:
        known = ", ".join(f"{known}://bucket/prefix" for known in SCHEMES)
        raise InputError(f"task.output: no store for {scheme}:// addresses; give a folder, or {known}")
    return ObjectStore(text)
