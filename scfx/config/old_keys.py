"""Old names of keys of `[scf]`: they keep working, with one warning each that names the new one.

A stored plan may have them too; `with_present_names` reads it without a warning, since nobody wrote it by hand.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from scfx.errors import ConfigError

#: The old name of a key, and what it is called now. The values and their meaning are unchanged.
RENAMED = {
    "accelerator": "diis",
    "linear_dependence": "linear_dependence_threshold",
}


def with_present_names(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return keys and values of `[scf]` that an earlier version wrote, under the names that the keys have now."""
    return {RENAMED.get(key, key): value for key, value in stored.items()}


def translated(values: Mapping[str, Any], key: str = "scf") -> dict[str, Any]:
    """Return what a user gave under the present names of the keys, and warn of each old name.

    Raises `ConfigError` where a key is given under both names: neither may be dropped in silence.
    """
    for old, new in RENAMED.items():
        if old not in values:
            continue
        if new in values:
            raise ConfigError(
                f"{key}.{old}", f"is the old name of {key}.{new}, which is given too; leave one out"
            )
        warnings.warn(
            f"{key}.{old} is now {key}.{new}; write {new} = {values[old]!r}", FutureWarning, stacklevel=3
        )
    return with_present_names(values)
