"""Conformance suites, shipped: what a plugin author runs against their own backend, functional, optimiser or store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

_WHERE = {
    "check_functional": "scfx.testing.functional",
    "check_backend": "scfx.testing.backend",
    "check_optimizer": "scfx.testing.optimizer",
    "check_store": "scfx.testing.store",
}

__all__ = ["check_backend", "check_functional", "check_optimizer", "check_store"]

if TYPE_CHECKING:
    from scfx.testing.backend import check_backend as check_backend
    from scfx.testing.functional import check_functional as check_functional
    from scfx.testing.optimizer import check_optimizer as check_optimizer
    from scfx.testing.store import check_store as check_store


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name not in _WHERE:
        raise AttributeError(f"module 'scfx.testing' has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
