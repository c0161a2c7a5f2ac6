"""Errors, classed by what the caller can do about them (the idea is QCEngine's).

Every message says what was got, what it could have been, and how to fix it, with the configuration key where one is
concerned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scfx.results import SCFResult


class ScfxError(Exception):
    """Base of every error that scfx raises on purpose."""


class InputError(ScfxError, ValueError):
    """What was asked cannot be done as asked: fix the molecule, the option or the configuration. Exit code 2."""


class ConfigError(InputError):
    """A configuration is malformed. `key` is the dotted TOML key concerned."""

    def __init__(self, key: str, message: str):
        super().__init__(f"{key}: {message}" if key else message)
        self.key = key


class UnknownNameError(ConfigError):
    """No offer has the asked name; the message lists near matches and what is available."""


class RefusedNameError(ConfigError):
    """The name is known, and what it stands for cannot be given whole.

    Raised by an open-ended family, it ends the search for the name: no other family answers with a part of it.
    """

    def __init__(self, message: str, key: str = ""):
        super().__init__(key, message)
        self.message = message


class AmbiguousNameError(ConfigError):
    """Two distributions offer one name; the message names both and how to pick one (`dist:name`)."""


class CapabilityError(ConfigError):
    """The chosen offer cannot do what is asked (element, angular momentum, dtype, platform, range separation...)."""


class PluginUnavailableError(ConfigError):
    """The offer exists but a package it requires is missing, or its plugin failed to load."""


class BasisError(InputError):
    """A basis set has no functions for an element, or is malformed."""


class ResourceError(ScfxError, MemoryError):
    """The work does not fit the stated memory; the message has the bytes needed and the bytes there."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while `solve` was at work. `result` holds every system: those that were done, the others NOT_DONE."""

    def __init__(self, result: SCFResult):
        done = sum(status.value != "not_done" for status in result.status)
        super().__init__(
            f"interrupted; {done} of {len(result)} systems are done and in `.result` of this exception"
        )
        self.result = result


class ConvergenceError(ScfxError):
    """Raised only where the caller asked for it (`SCFResult.raise_for_status`): entries did not converge, or failed."""
