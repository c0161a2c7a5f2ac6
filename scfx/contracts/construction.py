"""What a plugin's constructor may be told beside its own options."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from scfx.registry import Registry


@dataclass(frozen=True)
class ConstructionContext:
    """Who constructs an offer, and for which key of the configuration.

    A target whose signature has a parameter `context` gets one: `registry` is the registry that chose the target, in
    which other plugins' offers are looked up; `key` is the dotted key that named it, for messages.
    """

    registry: Registry
    key: str
