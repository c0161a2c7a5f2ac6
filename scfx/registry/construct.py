"""From a chosen offer to an instance: import the target, check the options, construct, check the type."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar, cast

from scfx.errors import ConfigError, PluginUnavailableError, RefusedNameError, ScfxError
from scfx.registry.offers import KINDS
from scfx.registry.plugins import describe

if TYPE_CHECKING:
    from collections.abc import Callable

    from scfx.contracts.construction import ConstructionContext
    from scfx.registry.offers import OfferRecord

T = TypeVar("T")


def target(record: OfferRecord, key: str) -> object:
    """Import what the offer points at."""
    module, _, attribute = record.offer.target.partition(":")
    what = f"{KINDS[record.kind][0]} {record.name!r} of {record.distribution}"
    try:
        found = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except ScfxError:
        raise
    except Exception as error:
        raise PluginUnavailableError(
            key, f"{what} cannot be imported from {record.offer.target!r}: {describe(error)}"
        ) from error
    return found


def instance(
    record: OfferRecord,
    options: Mapping[str, object],
    expected: type[T],
    context: ConstructionContext,
) -> T:
    """Return an instance of the offer's target, constructed with the offer's own options and then `options`.

    A target that is an instance already takes options only if it is a dataclass, as replaced fields. One whose
    signature has a parameter `context` is given it.
    """
    key = context.key
    made: Any = target(record, key)  # a class, a function or an instance: its signature is asked below
    arguments = {**record.offer.options, **options}
    what = f"{KINDS[record.kind][0]} {record.name!r}"
    ready = not isinstance(made, type) and (
        not callable(made) or (expected is not object and isinstance(made, expected))
    )
    if ready and arguments:
        fields = [f.name for f in dataclasses.fields(made)] if dataclasses.is_dataclass(made) else []
        _check_names(arguments, [f for f in fields if f != "name"], what, key)
        made = _call(lambda **kw: dataclasses.replace(made, **kw), arguments, what, key)
    elif not ready:
        given = {"context": context} if _takes_context(made) else {}
        _check_signature(made, arguments, what, key)
        made = _call(partial(made, **given), arguments, what, key)
    if not isinstance(made, expected):
        raise PluginUnavailableError(
            key,
            f"{what} of {record.distribution}: {record.offer.target} gives a {type(made).__name__}, "
            f"which is not a scfx {expected.__name__}",
        )
    return cast("T", made)


def must_take(record: OfferRecord, names: tuple[str, ...], key: str) -> None:
    """Refuse an offer whose constructor does not take these keyword arguments, as its contract says it must."""
    made = target(record, key)
    if not callable(made):  # constructing it will tell
        return
    try:
        parameters = inspect.signature(made).parameters.values()
    except (TypeError, ValueError):  # built without a signature: constructing it will tell
        return
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    taken = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    lacking = [name for name in names if name not in taken]
    if lacking:
        raise PluginUnavailableError(
            key,
            f"{KINDS[record.kind][0]} {record.name!r} of {record.distribution} ({record.offer.target}) takes no "
            f"argument {', '.join(lacking)}; its constructor must take {', '.join(names)} (docs/hooks.md, "
            f"scfx_register_{record.kind})",
        )


def name(made: T, text: str) -> T:
    """Give `made` a name for messages and results if it has none of its own."""
    if not getattr(made, "name", None):
        try:
            object.__setattr__(made, "name", text)
        except AttributeError as error:  # __slots__ without a name
            raise PluginUnavailableError(
                "",
                f"{type(made).__name__} has no `name` and does not allow setting one; give it the attribute",
            ) from error
    return made


def _call(factory: Callable[..., T], arguments: Mapping[str, object], what: str, key: str) -> T:
    try:
        return factory(**arguments)
    except RefusedNameError as error:
        raise RefusedNameError(error.message, key) from error
    except ConfigError:
        raise
    except (TypeError, ValueError) as error:  # InputError is a ValueError, and says nothing of the key
        shown = ", ".join(f"{k} = {v!r}" for k, v in arguments.items())
        raise ConfigError(key, f"{what} does not accept {shown or 'no options'}: {error}") from error


def _takes_context(factory: Callable[..., object]) -> bool:
    try:
        return "context" in inspect.signature(factory).parameters
    except (TypeError, ValueError):  # built without a signature
        return False


def _check_signature(
    factory: Callable[..., object], arguments: Mapping[str, object], what: str, key: str
) -> None:
    if not callable(factory):
        raise PluginUnavailableError(
            key, f"{what}: its target is a {type(factory).__name__}, expected a class"
        )
    try:
        signature = inspect.signature(factory)
    except ValueError:  # built without one; the call itself will tell
        return
    parameters = [p for p in signature.parameters.values() if p.name != "context"]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        accepted = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        _check_names(arguments, accepted, what, key)
    needed = [
        p.name
        for p in parameters
        if p.default is p.empty
        and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)
        and p.name not in arguments
    ]
    if needed:
        raise ConfigError(key, f"{what} needs the option{'s' * (len(needed) > 1)} {', '.join(needed)}")


def _check_names(arguments: Mapping[str, object], accepted: list[str], what: str, key: str) -> None:
    for option in arguments:
        if option not in accepted:
            near = get_close_matches(option, accepted, n=1, cutoff=0.6)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(
                f"{key}.{option}" if key else option,
                f"{what} has no such option{hint} (options: {', '.join(accepted) or 'none'})",
            )


def split_choice(choice: object, key: str) -> tuple[str, dict[str, object]]:
    """Return a name, or a table with `name` and options, as (name, options)."""
    if isinstance(choice, str) and choice.strip():
        return choice, {}
    if isinstance(choice, Mapping):
        options = dict(choice)
        text = options.pop("name", None)
        if isinstance(text, str) and text.strip():
            return text, options
        raise ConfigError(f"{key}.name", f"a table needs a name, got {dict(choice)!r}")
    raise ConfigError(
        key, f'got {choice!r}, expected a name or a table with a name and options, as {{ name = "..." }}'
    )
