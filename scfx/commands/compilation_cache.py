"""Where the command keeps compiled functions between runs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import MutableMapping
from pathlib import Path

from scfx.native import cpu_flags


def enable(environment: MutableMapping[str, str] = os.environ) -> None:
    """Ask JAX (through the environment, which worker processes inherit) to keep what it compiles on disk.

    The folder is $XDG_CACHE_HOME/scfx, apart for each kind of processor, as compiled code is for one. A
    JAX_COMPILATION_CACHE_DIR that is already set wins; set it to the empty string for no cache. Only the command does
    this: the library leaves JAX's configuration to its caller.
    """
    home = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    processor = hashlib.sha256(" ".join(sorted(cpu_flags())).encode()).hexdigest()[:12]
    environment.setdefault("JAX_COMPILATION_CACHE_DIR", str(Path(home) / "scfx" / f"jax-{processor}"))
    environment.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.05")
