"""How to compute: the `[scf]` table and its parts, validated, resolved and hashed."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "Config":  # where it was before there was this room; imported late, for pydantic takes a while
        from scfx.config.file import Config

        return Config
    raise AttributeError(f"module 'scfx.config' has no attribute {name!r}")
