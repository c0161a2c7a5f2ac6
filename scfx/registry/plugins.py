"""Loading plugins: entry points to records, with every failure kept as a reason instead of an exception."""

from __future__ import annotations

import importlib.metadata
import inspect
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from types import ModuleType
from typing import TYPE_CHECKING, Literal

import pluggy

from scfx import hookspecs
from scfx.offer import HOOK_API

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pluggy import HookimplOpts

ENTRY_POINT_GROUP = "scfx"
HOOKS: tuple[str, ...] = tuple(name for name in vars(hookspecs) if name.startswith("scfx_"))


@dataclass(frozen=True)
class PluginRecord:
    """One entry point, whatever became of it.

    `name` is the entry point's, `distribution` and `version` the package's that declares it. `status` is
    "available", "failed" (it raised, on import or in a registering hook) or "incompatible" (it states another
    `SCFX_HOOK_API`); `reason` says why. `hooks` it implements; `misspelt` has one sentence for each function that looks
    like a hook and is not one.
    """

    name: str
    distribution: str
    version: str
    status: Literal["available", "failed", "incompatible"] = "available"
    reason: str = ""
    hooks: tuple[str, ...] = ()
    misspelt: tuple[str, ...] = ()
    manager: Manager | None = field(default=None, repr=False, compare=False)

    def ask(self, hook: str, **arguments: object) -> object:
        """Call a hook of this plugin alone, so that what it raises can be laid at its door."""
        if self.manager is None:
            raise RuntimeError(f"plugin {self.name} is {self.status} and cannot be asked")
        return getattr(self.manager.hook, hook)(**arguments)

    def tries_last(self, hook: str) -> bool:
        """Return whether the plugin marks its implementation `trylast`: a family that reads more than its own names."""
        caller = getattr(self.manager.hook, hook) if self.manager is not None else None
        return bool(caller and any(found.trylast for found in caller.get_hookimpls()))


@dataclass(frozen=True)
class Candidate:
    """A plugin before it is loaded."""

    name: str
    distribution: str
    version: str
    load: Callable[[], object]


class Manager(pluggy.PluginManager):
    """One plugin's manager of pluggy; never triggers a module's lazy `__getattr__` when it looks for hooks."""

    def __init__(self) -> None:
        super().__init__("scfx")
        self.add_hookspecs(hookspecs)

    def parse_hookimpl_opts(self, plugin: object, name: str) -> HookimplOpts | None:
        """Return what pluggy reads of a hook implementation, without touching lazy attributes."""
        # pluggy reads every name in dir(plugin); for a module with a lazy __getattr__ that would import it all.
        if isinstance(plugin, ModuleType) and name not in vars(plugin):
            return None
        return super().parse_hookimpl_opts(plugin, name)


def installed() -> list[Candidate]:
    """Return the entry points of the group "scfx" in this environment, sorted by name."""
    found = []
    known: dict[int, tuple[str, str]] = {id(None): ("unknown", "")}
    for point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        # Reading a package's metadata takes milliseconds: once, not for every plugin.
        if point.dist is not None and id(point.dist) not in known:
            metadata = point.dist.metadata
            known[id(point.dist)] = metadata["Name"], metadata["Version"] or ""
        found.append(Candidate(point.name, *known[id(point.dist)], point.load))
    return sorted(found, key=lambda c: (c.name, c.distribution))


def load(candidate: Candidate) -> PluginRecord:
    """Import and register a candidate; if it raises, the record says so."""
    record = PluginRecord(candidate.name, candidate.distribution, candidate.version)
    manager = Manager()
    try:
        plugin = candidate.load()
    except (Exception, SystemExit) as error:
        return replace(record, status="failed", reason=f"import failed: {describe(error)}")
    stated = own_attribute(plugin, "SCFX_HOOK_API") or own_attribute(plugin, "hook_api")
    if stated not in (None, HOOK_API):
        return replace(
            record,
            status="incompatible",
            reason=f"states hook API {stated!r}, this scfx has {HOOK_API}; install versions that agree",
        )
    try:
        manager.register(plugin, name=record.name)
    except Exception as error:
        return replace(record, status="failed", reason=f"registration failed: {describe(error)}")
    callers = manager.get_hookcallers(plugin) or []
    hooks = tuple(sorted(c.name for c in callers if c.name in HOOKS))
    return replace(record, hooks=hooks, misspelt=tuple(_misspelt(plugin)), manager=manager)


def own_attribute(plugin: object, name: str) -> object:
    """Return an attribute, or None; a module's lazy `__getattr__` is not asked."""
    return vars(plugin).get(name) if isinstance(plugin, ModuleType) else getattr(plugin, name, None)


def _misspelt(plugin: object) -> Iterable[str]:
    """Functions called scfx_* that pluggy will never call, with what was probably meant."""
    names = vars(plugin) if isinstance(plugin, ModuleType) else dir(plugin)
    for name in sorted(names):
        if not name.startswith("scfx_"):
            continue
        function = getattr(plugin, name)
        if not inspect.isroutine(function):
            continue
        marked = hasattr(function, "scfx_impl")
        # A helper imported from elsewhere under such a name is not meant as a hook of this plugin.
        if isinstance(plugin, ModuleType) and not marked and function.__module__ != plugin.__name__:
            continue
        if name in HOOKS:
            if not marked:
                yield f"{name} is not marked with @scfx.hookimpl and will not be called"
            continue
        near = get_close_matches(name, HOOKS, n=1, cutoff=0.6)
        yield f"{name} is not a hook" + (f"; did you mean {near[0]}?" if near else "")


def describe(error: BaseException) -> str:
    """Return the type and message of an exception on one line, for a reason."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:400]}" if text else type(error).__name__


def candidate(name: str, plugin: object) -> Candidate:
    """Return a plugin that is at hand already (a module, or an object with hook methods) as one to load."""
    return Candidate(name, name, str(own_attribute(plugin, "__version__") or ""), lambda: plugin)
