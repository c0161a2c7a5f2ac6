"""`open_store`: the store that an address means."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from scfx.errors import InputError
from scfx.jobs.store import AbstractStore, LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable

#: What opens the addresses of a scheme, as `add_store` was told.
_ADDED: dict[str, Callable[[str], AbstractStore]] = {}


def add_store(scheme: str, open_address: Callable[[str], AbstractStore]) -> None:
    """Let addresses `scheme://...` open a store of your own in this process; `InputError` for a name that is taken.

    Call it where your module is imported: a worker process imports the module of the work that it does.
    """
    from scfx.jobs.object_clients import SCHEMES

    if scheme in SCHEMES or _ADDED.get(scheme, open_address) is not open_address:
        raise InputError(f"there is a store for {scheme}:// addresses already; give yours another scheme")
    _ADDED[scheme] = open_address


def open_store(url: str | os.PathLike[str]) -> AbstractStore:
    """Return the store of a folder, or of an address `s3://`, `gs://`, `az://` or that of an added scheme.

    `scfx.jobs.object_clients` says what may follow the first three.
    """
    text = os.fspath(url)
    if "://" not in text:
        return LocalStore(text)
    scheme = text.partition("://")[0]
    if scheme in _ADDED:
        return _ADDED[scheme](text)
    from scfx.jobs.object_clients import SCHEMES
    from scfx.jobs.object_store import ObjectStore

    if scheme not in SCHEMES:
        known = ", ".join(
            [*(f"{known}://bucket/prefix" for known in SCHEMES), *(f"{each}://..." for each in _ADDED)]
        )
        raise InputError(f"task.output: no store for {scheme}:// addresses; give a folder, or {known}")
    return ObjectStore(text)
