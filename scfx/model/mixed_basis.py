"""A basis set by element: `{ O = "def2-tzvp", H = "def2-svp", default = "def2-svp" }`.

Keys are element symbols as they are written. What holds for the other elements is `default`, or the table's own `name`
with its options, so that `{ name = "6-31g*", cartesian = false, H = "sto-3g" }` is 6-31G* but for hydrogen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from scfx.contracts.basis import AbstractBasisSource
from scfx.errors import ConfigError
from scfx.model.elements import SYMBOLS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from scfx.model.basis import CorePotential, Shell

_NUMBERS = {symbol: z for z, symbol in enumerate(SYMBOLS) if z}


def is_by_element(choice: Any) -> bool:
    """Whether a choice of a basis set is a table that names elements, or has a default for them."""
    return isinstance(choice, Mapping) and any(key in _NUMBERS or key == "default" for key in choice)


def cut(choice: Mapping[str, Any], key: str) -> tuple[dict[int, Any], Any]:
    """({atomic number: choice}, choice for the others or None); `ConfigError` for keys that are neither."""
    by_element = {_NUMBERS[name]: value for name, value in choice.items() if name in _NUMBERS}
    rest = {name: value for name, value in choice.items() if name not in _NUMBERS}
    if "default" in rest:
        if "name" in rest:
            raise ConfigError(
                key, "'default' and 'name' both say what the other elements have; keep one of them"
            )
        default = rest.pop("default")
        if rest:
            raise ConfigError(key, _unknown(next(iter(rest))))
        return by_element, default
    if rest and "name" not in rest:
        raise ConfigError(key, _unknown(next(iter(rest))))
    return by_element, rest or None


def _unknown(name: str) -> str:
    near = name.capitalize()
    hint = f"; did you mean {near!r}?" if near in _NUMBERS else ""
    return f"unknown key {name!r}{hint} (a basis set by element has element symbols, and 'default' for the others)"


class MixedBasis(AbstractBasisSource):
    """Several basis sources, each for its elements."""

    def __init__(self, by_element: Mapping[int, AbstractBasisSource], default: AbstractBasisSource | None):
        self._by_element = dict(sorted(by_element.items()))
        self._default = default
        parts = [f"{SYMBOLS[z]}: {source.name}" for z, source in self._by_element.items()]
        self.name = ", ".join(parts + ([f"others: {default.name}"] if default is not None else []))

    @classmethod
    def of(
        cls, choice: Mapping[str, Any], construct: Callable[[Any, str], AbstractBasisSource], key: str
    ) -> MixedBasis:
        """From a table; `construct(choice, key)` makes the source of one of its entries."""
        by_element, default = cut(choice, key)
        sources = {z: construct(value, f"{key}.{SYMBOLS[z]}") for z, value in by_element.items()}
        return cls(sources, None if default is None else construct(default, f"{key}.default"))

    def _source(self, atomic_number: int) -> AbstractBasisSource | None:
        return self._by_element.get(int(atomic_number), self._default)

    def shells(self, atomic_number: int) -> Sequence[Shell]:
        """See `AbstractBasisSource.shells`."""
        source = self._source(atomic_number)
        return () if source is None else source.shells(atomic_number)

    def core_potential(self, atomic_number: int) -> CorePotential | None:
        """See `AbstractBasisSource.core_potential`."""
        source = self._source(atomic_number)
        return None if source is None else source.core_potential(atomic_number)

    def definition(self) -> Mapping[str, Any]:
        """See `AbstractBasisSource.definition`."""
        parts = {SYMBOLS[z]: dict(source.definition()) for z, source in self._by_element.items()}
        return {"by_element": parts} | (
            {} if self._default is None else {"others": dict(self._default.definition())}
        )
