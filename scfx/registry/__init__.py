"""`Registry`: what the installed plugins offer, found once and then never changed.

There is no module-level plugin manager: a registry is a value that is passed along. Looking one up imports the light
front module of each plugin and nothing behind it; an offer's target is imported when it is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from scfx.contracts.construction import ConstructionContext
from scfx.errors import AmbiguousNameError, CapabilityError, ConfigError, RefusedNameError, ScfxError
from scfx.registry import construct, offers
from scfx.registry.capabilities import Need, disagreements, shared_out, shortfalls, stated_by_class
from scfx.registry.hook_caller import HookCaller, PluginWarning, answers
from scfx.registry.offers import KINDS, OfferRecord
from scfx.registry.plugins import HOOKS, Candidate, PluginRecord, candidate, describe, installed, load

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.backend import AbstractIntegralBackend
    from scfx.contracts.basis import AbstractBasisSource
    from scfx.contracts.dispersion import AbstractDispersionCorrection
    from scfx.contracts.executor import AbstractExecutor, Job, OnRows
    from scfx.contracts.functional import AbstractFunctional
    from scfx.contracts.labels import AbstractLabels
    from scfx.contracts.optimizer import AbstractOptimizer
    from scfx.contracts.property import AbstractProperty
    from scfx.contracts.task import AbstractTask
    from scfx.offer import Capabilities

__all__ = [
    "HOOKS",
    "KINDS",
    "Need",
    "OfferRecord",
    "PluginRecord",
    "PluginWarning",
    "Registry",
    "disagreements",
    "shortfalls",
]


#: What chooses an offer: its name, or a table with the name and options.
Named = str | Mapping[str, object]
T = TypeVar("T")


class Registry:
    """Plugins and their offers; immutable. Build it with `Registry.discover()` (or `Registry.from_plugins`)."""

    def __init__(self, candidates: Sequence[Candidate]):
        self._loaded = tuple(load(candidate) for candidate in candidates)

    @classmethod
    def discover(cls, *, extra: Sequence[tuple[str, object]] = ()) -> Registry:
        """Return every entry point of the group "scfx" in this environment, and the `extra` (name, module or object).

        A plugin that fails is listed in `plugins` with its reason; this never raises because of one.
        """
        return cls([*installed(), *(candidate(name, plugin) for name, plugin in extra)])

    @classmethod
    def from_plugins(cls, plugins: Mapping[str, object]) -> Registry:
        """Only the given plugins, {name: module or object with hook methods}: for tests and notebooks."""
        return cls([candidate(name, plugin) for name, plugin in plugins.items()])

    # ---- what there is ---------------------------------------------------------------------------------------

    @property
    def plugins(self) -> tuple[PluginRecord, ...]:
        """Return a record for each entry point, sorted by name; failed and incompatible ones included."""
        return self._collected[0]

    def offers(self, kind: str) -> tuple[OfferRecord, ...]:
        """Return all offers of a kind ("backends", "functionals", "dispersion_corrections", "basis_sets",
        "precision_policies", "properties", "tasks", "labels", "optimizers", "executors", "models"), sorted by name,
        whether or not they can be used here."""
        if kind not in KINDS:
            raise ConfigError("", f"unknown kind of offer {kind!r}; there are {', '.join(KINDS)}")
        return self._collected[1][kind]

    @cached_property
    def _collected(self) -> tuple[tuple[PluginRecord, ...], dict[str, tuple[OfferRecord, ...]]]:
        plugins, found = [], {kind: [] for kind in KINDS}
        for plugin in self._loaded:
            try:
                own = [
                    offers.record(kind, offer, plugin)
                    for kind in KINDS
                    if f"scfx_register_{kind}" in plugin.hooks
                    for answer in answers(plugin.ask(f"scfx_register_{kind}"))
                    for offer in offers.checked(kind, answer)
                ]
            except (Exception, SystemExit) as error:
                # Half a plugin is worse than none: none of its offers counts.
                plugins.append(
                    replace(plugin, status="failed", reason=f"registering failed: {describe(error)}")
                )
                continue
            plugins.append(plugin)
            for item in own:
                found[item.kind].append(item)
        order = {k: tuple(sorted(v, key=lambda o: (offers.fold(o.name), o.plugin))) for k, v in found.items()}
        return tuple(plugins), order

    # ---- choosing --------------------------------------------------------------------------------------------

    def backend(
        self, choice: Named | AbstractIntegralBackend, *, need: Need | None = None, key: str | None = None
    ) -> AbstractIntegralBackend:
        """Return an integral backend. "auto": the available one of highest preference that covers `need`.

        A named backend that does not cover `need` is a `CapabilityError`, before it is imported; so is a ready one
        whose marker classes do not say that it does. What a named backend borrows counts as covered where another one
        can lend it (`lender`).
        """
        from scfx.contracts.backend import AbstractIntegralBackend

        need = need or Need()
        key = key or KINDS["backends"][1]
        if isinstance(choice, AbstractIntegralBackend):
            self._check_class(construct.name(choice, type(choice).__name__), need, key)
            return choice
        text, options = construct.split_choice(choice, key)
        record = self.backend_record(text, need=need, key=key)
        if offers.fold(text) == "auto" and options:
            raise ConfigError(
                key,
                f"backend 'auto' takes no options, got {', '.join(options)}; name the backend that they are for",
            )
        made = self._make(record, options, AbstractIntegralBackend, key)
        self._check_class(made, need, key)
        return made

    def lender(self, need: Need, *, key: str | None = None) -> AbstractIntegralBackend:
        """Return the backend that supplies what a chosen one borrows: what "auto" finds for this need."""
        return self.backend("auto", need=need, key=key)

    def _lacking(self, can: Capabilities, need: Need, key: str) -> list[str]:
        """`shortfalls`, without what another backend lends; `CapabilityError` if none can lend it."""
        own, lent = shared_out(can, need)
        if lent is not None:
            self.backend_record("auto", need=lent, key=key)
        return shortfalls(can, own)

    def _check_class(self, backend: AbstractIntegralBackend, need: Need, key: str) -> None:
        lacking = self._lacking(stated_by_class(type(backend)), need, key)
        if lacking:
            raise CapabilityError(
                key,
                f"backend {backend.name!r} ({type(backend).__name__}) cannot do this: {'; '.join(lacking)}, as its "
                "marker classes say (docs/write-a-backend.md)",
            )

    def backend_record(self, text: str, *, need: Need | None = None, key: str | None = None) -> OfferRecord:
        """Return the offer that `backend(text)` would construct, without importing it."""
        need = need or Need()
        key = key or KINDS["backends"][1]
        available = [o for o in self.offers("backends") if o.status == "available"]
        able = [o for o in available if not shortfalls(o.offer.capabilities, need)]
        if offers.fold(text) != "auto":
            record = self._record("backends", text, key)
            lacking = self._lacking(record.offer.capabilities, need, key)
            if lacking:
                others = ", ".join(repr(o.name) for o in able) or "none that is available"
                raise CapabilityError(
                    key,
                    f"backend {record.name!r} cannot do this: {'; '.join(lacking)}; backends that can: {others}",
                )
            return record
        willing = [o for o in able if o.offer.capabilities.preference > 0]
        if willing:
            return max(willing, key=lambda o: o.offer.capabilities.preference)
        raise CapabilityError(key, "backend 'auto' finds none to use: " + "; ".join(self._why_not(need)))

    def _why_not(self, need: Need) -> list[str]:
        why = []
        for o in self.offers("backends"):
            lacking = [o.reason] if o.status == "missing" else shortfalls(o.offer.capabilities, need)
            if not lacking:
                lacking = [f"must be named (its preference is {o.offer.capabilities.preference})"]
            why.append(f"{o.name}: {', '.join(lacking)}")
        why.extend(f"plugin {p.name} {p.status}: {p.reason}" for p in self.plugins if p.status != "available")
        return why or ["no plugin offers a backend; is scfx installed (pip install 'scfx[all]')?"]

    def functional(self, choice: Named | AbstractFunctional, *, key: str | None = None) -> AbstractFunctional:
        """Return an exchange-correlation functional, registered or of an open-ended family."""
        from scfx.contracts.functional import AbstractFunctional

        return self._choose("functionals", choice, AbstractFunctional, key, "scfx_resolve_functional")

    def dispersion(
        self, choice: Named | AbstractDispersionCorrection, *, key: str | None = None
    ) -> AbstractDispersionCorrection:
        """Return a dispersion correction; its options are those of the method (`functional`, whose parameters it
        takes).
        """
        from scfx.contracts.dispersion import AbstractDispersionCorrection

        return self._choose("dispersion_corrections", choice, AbstractDispersionCorrection, key)

    def basis(self, choice: Named | AbstractBasisSource, *, key: str | None = None) -> AbstractBasisSource:
        """Return a basis set, registered or of an open-ended family; or a table of them by element."""
        from scfx.contracts.basis import AbstractBasisSource
        from scfx.model.mixed_basis import MixedBasis, is_by_element

        if isinstance(choice, Mapping) and is_by_element(choice):
            return MixedBasis.from_table(
                choice, lambda one, where: self.basis(one, key=where), key or "scf.basis"
            )
        return self._choose("basis_sets", choice, AbstractBasisSource, key, "scfx_resolve_basis")

    def precision(self, choice: Named | PrecisionPolicy, *, key: str | None = None) -> PrecisionPolicy:
        """Return a precision policy; options replace its fields."""
        from scfx.config.precision import PrecisionPolicy

        return self._choose("precision_policies", choice, PrecisionPolicy, key)

    def entry_property(self, choice: Named | AbstractProperty, *, key: str | None = None) -> AbstractProperty:
        """Return a property of converged entries; options are those of its constructor."""
        from scfx.contracts.property import AbstractProperty

        return self._choose("properties", choice, AbstractProperty, key)

    def task(self, name: str, *, key: str | None = None) -> type[AbstractTask]:
        """Return the class of a task (not an instance: its options are validated by its `Options`)."""
        from scfx.contracts.task import AbstractTask

        return self._class_of("tasks", name, AbstractTask, key)

    def optimizer(self, name: str, *, key: str | None = None) -> type[AbstractOptimizer]:
        """Return the class of an optimiser (not an instance: each molecule has its own)."""
        from scfx.contracts.optimizer import AbstractOptimizer

        return self._class_of("optimizers", name, AbstractOptimizer, key)

    def _class_of(self, kind: str, name: str, expected: type[T], key: str | None) -> type[T]:
        key = key or KINDS[kind][1]
        record = self._record(kind, name, key)
        found = construct.target(record, key)
        if not (isinstance(found, type) and issubclass(found, expected)):
            what = f"{KINDS[kind][0]} {record.name!r}: {record.offer.target}"
            raise ConfigError(key, f"{what} is not a scfx.{expected.__name__} class")
        return found

    def executor(
        self, choice: Named, job: Job, workers: int, on_rows: OnRows, *, key: str | None = None
    ) -> AbstractExecutor:
        """Return an executor for a job. A constructor that does not take what it must is refused with the contract."""
        from scfx.contracts.executor import AbstractExecutor

        key = key or KINDS["executors"][1]
        text, options = construct.split_choice(choice, key)
        given = {"job": job, "workers": workers, "on_rows": on_rows}
        for name in given.keys() & options.keys():
            raise ConfigError(f"{key}.{name}", "is set by the task; leave it out here")
        construct.must_take(self._record("executors", text, key), tuple(given), key)
        return self._choose("executors", {"name": text, **options, **given}, AbstractExecutor, key)

    def labels(self, choice: Named | None = None, *, key: str | None = None) -> AbstractLabels:
        """Return who makes and reads datasets of labels; without a name the only one there is, or the most
        preferred.
        """
        from scfx.contracts.labels import AbstractLabels

        key = key or KINDS["labels"][1]
        if choice is None:
            choice = self._preferred_labels(key)
        return self._choose("labels", choice, AbstractLabels, key)

    def _preferred_labels(self, key: str) -> str:
        available = [o for o in self.offers("labels") if o.status == "available"]
        if not available:
            raise offers.unknown("labels", "any", self.offers("labels"), self.plugins, key)
        best = max(o.offer.capabilities.preference for o in available)
        names = [f"{o.distribution}:{o.name}" for o in available if o.offer.capabilities.preference == best]
        if len(names) > 1:
            raise AmbiguousNameError(
                key,
                f"labels are offered by {', '.join(names)}; name one, or remove the plugins of the others",
            )
        return names[0]

    def model(self, choice: Named, *, key: str | None = None) -> object:
        """Return a machine-learning model; what it is, its plugin says."""
        return self._choose("models", choice, object, key)

    def _choose(
        self, kind: str, choice: Named | T, expected: type[T], key: str | None, resolver: str | None = None
    ) -> T:
        key = key or KINDS[kind][1]
        # What a model is nobody says: it is always chosen by its name.
        if expected is not object and isinstance(choice, expected):
            return construct.name(choice, type(choice).__name__)
        text, options = construct.split_choice(choice, key)
        record = offers.find(kind, text, self.offers(kind), key)
        if record is not None:
            return self._make(record, options, expected, key)
        failures: list[str] = []
        if resolver is not None:
            try:
                resolved, failures = self._resolve(resolver, text, expected, key)
            except RefusedNameError as error:
                raise RefusedNameError(error.message, key) from error
            if resolved is not None:
                if options:
                    raise ConfigError(
                        key, f"{text!r} comes from an open-ended family, which takes no options"
                    )
                return construct.name(resolved, text)
        raise offers.unknown(kind, text, self.offers(kind), self.plugins, key, failures, ())

    def _resolve(self, hook: str, text: str, expected: type[T], key: str) -> tuple[T | None, list[str]]:
        """Ask the open-ended families in the order of plugin names, those marked `trylast` after the others.

        What one raises is kept as a sentence, but a `RefusedNameError`, which passes.
        """
        source, bare = offers.split(text)
        failures = []
        asked = [p for p in self.plugins if hook in p.hooks and p.status == "available"]
        for plugin in sorted(asked, key=lambda p: p.tries_last(hook)):
            if source is not None and offers.fold(source) not in map(
                offers.fold, (plugin.name, plugin.distribution)
            ):
                continue
            try:
                found = plugin.ask(hook, name=bare, context=ConstructionContext(self, key))
            except RefusedNameError:
                raise
            except ScfxError as error:
                failures.append(f"plugin {plugin.name}: {error}")
                continue
            except Exception as error:
                failures.append(f"plugin {plugin.name} failed in {hook}: {describe(error)}")
                continue
            if found is None:
                continue
            if not isinstance(found, expected):
                failures.append(f"plugin {plugin.name}: {hook} returned a {type(found).__name__}")
                continue
            return found, failures
        return None, failures

    def _record(self, kind: str, text: str, key: str) -> OfferRecord:
        record = offers.find(kind, text, self.offers(kind), key)
        if record is None:
            extra = ("auto",) if kind == "backends" else ()
            raise offers.unknown(kind, text, self.offers(kind), self.plugins, key, (), extra)
        return record

    def _make(self, record: OfferRecord, options: Mapping[str, object], expected: type[T], key: str) -> T:
        return construct.name(
            construct.instance(record, options, expected, ConstructionContext(self, key)), record.name
        )

    # ---- observers, commands, header lines -------------------------------------------------------------------

    @property
    def hook(self) -> HookCaller:
        """Call a hook of every plugin: `registry.hook.scfx_after_scf(result=result)`."""
        return HookCaller(self.plugins)
