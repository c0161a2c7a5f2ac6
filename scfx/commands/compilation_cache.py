"""Where the command keeps compiled functions between runs."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import MutableMapping
from pathlib import Path

from scfx.errors import InputError
from scfx.execution.native import cpu_flags


def enable(environment: MutableMapping[str, str] = os.environ) -> None:
    """Ask JAX (through the environment, which worker processes inherit) to keep what it compiles on disk.

    The folder is $XDG_CACHE_HOME/scfx, apart for each kind of processor, as compiled code is for one. A
    JAX_COMPILATION_CACHE_DIR that is already set wins; set it to the empty string for no cache. Only the command does
    this: the library leaves JAX's configuration to its caller.

    What is compiled is run again from there, so a folder that belongs to somebody else, or that everybody can write to,
    is refused with `InputError`.
    """
    home = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    processor = hashlib.sha256(" ".join(sorted(cpu_flags())).encode()).hexdigest()[:12]
    if "JAX_COMPILATION_CACHE_DIR" not in environment:
        own = Path(home) / "scfx" / f"jax-{processor}"
        environment["JAX_COMPILATION_CACHE_DIR"] = str(own)
        with contextlib.suppress(OSError):  # JAX says so where it cannot write
            own.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder := environment["JAX_COMPILATION_CACHE_DIR"]:
        _refuse_a_folder_of_others(folder)
    environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")


def _refuse_a_folder_of_others(folder: str) -> None:
    if "://" in folder:  # a bucket: who may write there is not ours to see
        return
    try:
        status = os.stat(folder)
    except OSError:
        return
    if status.st_mode & stat.S_IWOTH:
        why, remedy = "everybody can write to it", f"chmod o-w {folder}"
    elif status.st_uid not in (0, os.geteuid()):
        why, remedy = f"it belongs to user {status.st_uid}", "name a folder of your own"
    else:
        return
    raise InputError(
        f"JAX_COMPILATION_CACHE_DIR: functions are run from {folder!r}, and {why}. Remedy: {remedy}; or set it to the "
        "empty string for no cache"
    )
