"""Offers of all plugins: collecting them, whether each can be used here, and finding one by name."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

from scfx.errors import AmbiguousNameError, PluginUnavailableError, UnknownNameError
from scfx.offer import Offer
from scfx.registry.spelling import spelling_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from scfx.registry.plugins import PluginRecord

#: Kind of offer -> (what one is called in messages, the configuration key that chooses it).
KINDS: dict[str, tuple[str, str]] = {
    "backends": ("backend", "scf.backend"),
    "functionals": ("functional", "scf.functional"),
    "dispersion_corrections": ("dispersion correction", "scf.functional"),
    "basis_sets": ("basis set", "scf.basis"),
    "precision_policies": ("precision policy", "scf.precision"),
    "tasks": ("task", "task.name"),
    "properties": ("property", "scf.properties"),
    "labels": ("maker of labels", "task"),
    "optimizers": ("optimizer", "task.optimizer"),
    "executors": ("executor", "task.executor"),
    "models": ("model", "task.model"),
}


#: Up to so many names an error lists; of more it shows the near ones.
_FEW = 10


@dataclass(frozen=True)
class OfferRecord:
    """An offer, who makes it, and whether it can be used here ("available", or "missing" and the reason)."""

    kind: str
    offer: Offer
    distribution: str
    plugin: str
    status: Literal["available", "missing"] = "available"
    reason: str = ""

    @property
    def name(self) -> str:
        """Return the name that is offered."""
        return self.offer.name

    def answers_to(self, name: str) -> bool:
        """Return whether `name` (case-free) is the offer's name or one of its aliases."""
        return fold(name) in {fold(n) for n in (self.offer.name, *self.offer.aliases)}

    def is_spelt(self, name: str) -> bool:
        """Return whether `name` is a spelling of the offer's name or of one of its aliases (`wB97M_V` of `wb97m-v`)."""
        return spelling_key(name) in {spelling_key(n) for n in (self.offer.name, *self.offer.aliases)}

    def comes_from(self, source: str) -> bool:
        """Return whether the offer comes from this plugin or distribution."""
        return fold(source) in {fold(self.distribution), fold(self.plugin)}


def fold(name: str) -> str:
    """Return a name in the form in which names are compared, case-free."""
    return name.strip().casefold()


def checked(kind: str, answer: object) -> list[Offer]:
    """Return a registering hook's answer as a list of offers; `TypeError` or `ValueError` saying what is wrong with
    it.
    """
    hook = f"scfx_register_{kind}"
    if not isinstance(answer, (list, tuple)):
        raise TypeError(f"{hook} returned {type(answer).__name__}, expected a list of scfx.Offer")
    for offer in answer:
        if not isinstance(offer, Offer):
            raise TypeError(
                f"{hook} returned a list with {type(offer).__name__} in it, expected scfx.Offer only"
            )
        for name in (offer.name, *offer.aliases):
            if ":" in name or not name.strip():
                raise ValueError(
                    f"{hook}: the name {name!r} must not be empty or contain ':' (used in dist:name)"
                )
    return list(answer)


def record(kind: str, offer: Offer, plugin: PluginRecord) -> OfferRecord:
    """Return an offer with its status: every package in `requires` must be importable; none is imported to find out."""
    absent = [package for package in offer.requires if not importable(package)]
    if not absent:
        return OfferRecord(kind, offer, plugin.distribution, plugin.name)
    reason = f"needs {', '.join(absent)}, which {'is' if len(absent) == 1 else 'are'} not installed"
    return OfferRecord(kind, offer, plugin.distribution, plugin.name, "missing", reason)


def importable(name: str) -> bool:
    """Return whether a module could be imported, without importing it or its parents."""
    if name in sys.modules:
        return sys.modules[name] is not None
    head, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(head)
        path = head
        for part in rest:
            if spec is None or spec.submodule_search_locations is None:
                return False
            path = f"{path}.{part}"
            spec = importlib.machinery.PathFinder.find_spec(path, list(spec.submodule_search_locations))
    except (ImportError, ValueError):
        return False
    return spec is not None


def find(kind: str, name: str, offers: Sequence[OfferRecord], key: str) -> OfferRecord | None:
    """Return the one offer that answers to `name` or "source:name"; None if there is none.

    Raises `AmbiguousNameError` if two plugins offer it and no source is given, `PluginUnavailableError` if it is
    there and a package that it requires is not.
    """
    source, bare = split(name)
    asked = [o for o in offers if source is None or o.comes_from(source)]
    found = [o for o in asked if o.answers_to(bare)]
    if not found and kind == "functionals":
        found = [o for o in asked if o.is_spelt(bare)]
    if len(found) > 1:
        one_distribution = len({o.distribution for o in found}) == 1
        sources = sorted({o.plugin if one_distribution else o.distribution for o in found})
        who = ", ".join(f"{o.name!r} of {o.distribution} (plugin {o.plugin})" for o in found)
        raise AmbiguousNameError(
            key,
            f"{KINDS[kind][0]} {name!r} is offered more than once: {who}; "
            f"pick one with {' or '.join(repr(f'{s}:{bare}') for s in sources)}",
        )
    if not found:
        return None
    if found[0].status == "missing":
        raise PluginUnavailableError(
            key,
            f"{KINDS[kind][0]} {name!r} of {found[0].distribution} {found[0].reason}; pip install "
            f"{' '.join(p.partition('.')[0].replace('_', '-') for p in found[0].offer.requires)}",
        )
    return found[0]


def split(name: str) -> tuple[str | None, str]:
    """Return "source:name" as (source, name); (None, name) without a source."""
    source, colon, bare = name.partition(":")
    return (source.strip(), bare.strip()) if colon else (None, name.strip())


def unknown(
    kind: str,
    name: str,
    offers: Sequence[OfferRecord],
    plugins: Iterable[PluginRecord],
    key: str,
    failures: Sequence[str] = (),
    extra: Sequence[str] = (),
) -> UnknownNameError:
    """Return the error for a name that nobody offers. `failures`: what went wrong in open-ended families; `extra`
    names.
    """
    what = KINDS[kind][0]
    source, bare = split(name)
    spelt = {fold(n): n for o in offers for n in (o.name, *o.offer.aliases)} | {fold(n): n for n in extra}
    near = [spelt[match] for match in get_close_matches(fold(bare), spelt, n=3, cutoff=0.6)]
    available = sorted({o.name for o in offers if o.status == "available"} | set(extra), key=fold)
    parts = [f"unknown {what} {name!r}"]
    if near:
        parts.append(f"did you mean {' or '.join(repr(n) for n in near)}?")
    if source is not None and not any(o.comes_from(source) for o in offers):
        sources = sorted({o.distribution for o in offers} | {o.plugin for o in offers})
        parts.append(
            f"no plugin or distribution {source!r} offers one; there are {', '.join(sources) or 'none'}"
        )
    if len(available) <= _FEW:
        parts.append(f"available: {', '.join(available) or 'none'}")
    else:
        parts.append(f"`scfx plugins` lists all {len(available)}")
    missing = sorted({f"{o.name} ({o.reason})" for o in offers if o.status == "missing"})
    if missing:
        parts.append(f"missing: {', '.join(missing)}")
    parts.extend(failures)
    broken = [f"{p.name} ({p.reason})" for p in plugins if p.status != "available"]
    if broken:
        parts.append(f"plugins that did not load: {', '.join(broken)}")
    return UnknownNameError(key, "; ".join(parts))
