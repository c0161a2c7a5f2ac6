"""`HookCaller`: one hook in every plugin that has it, none of which can stop the others."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from scfx.registry.plugins import HOOKS, describe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scfx.registry.plugins import PluginRecord


class PluginWarning(UserWarning):
    """A plugin's observer, command or header hook raised; everything else went on without it."""


class HookCaller:
    """Calls one hook in all plugins that have it. What a plugin raises becomes a `PluginWarning` that names it."""

    def __init__(self, plugins: Sequence[PluginRecord]):
        self._plugins = plugins

    # What the answers are, each hook says for itself.
    def __getattr__(self, hook: str) -> Callable[..., list[Any]]:
        if hook not in HOOKS:
            raise AttributeError(f"scfx has no hook {hook!r}; there are {', '.join(HOOKS)}")

        def call(**arguments: object) -> list[object]:
            out: list[object] = []
            for plugin in self._plugins:
                if hook not in plugin.hooks or plugin.status != "available":
                    continue
                try:
                    out.extend(answers(plugin.ask(hook, **arguments)))
                except Exception as error:
                    warnings.warn(
                        f"plugin {plugin.name} ({plugin.distribution}) failed in {hook}: {describe(error)}",
                        PluginWarning,
                        stacklevel=2,
                    )
            return out

        return call


def answers(result: object) -> list[object]:
    """Return what one plugin answered to a hook, as a list."""
    # A plugin asked alone answers in a list of one; the hooks that stop at the first result answer bare.
    return result if isinstance(result, list) else [] if result is None else [result]
