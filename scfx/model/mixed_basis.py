"""A basis set by element: `{ O = "def2-tzvp", H = "def2-svp", default = "def2-svp" }`, or by atom: `{ O1 = ... }`.

Keys are element symbols as they are written, and labels of atoms: a symbol with the number that the atom has in the
geometry ("O1" in the xyz file, or `System.with_labels`). An atom has the set of its label, else of its element. What
holds for the other elements is `default`, or the table's own `name` with its options, so that
`{ name = "6-31g*", cartesian = false, H = "sto-3g" }` is 6-31G* but for hydrogen.
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
    """Return whether a choice of a basis set is a table that names elements or atoms, or has a default for them."""
    return isinstance(choice, Mapping) and any(
        key in _NUMBERS or key == "default" or _is_label(key) for key in choice
    )


def cut(choice: Mapping[str, Any], key: str) -> tuple[dict[str, Any], Any]:
    """Return ({symbol or label: choice}, choice for the others or None); `ConfigError` for keys that are neither."""
    named = {name: value for name, value in choice.items() if name in _NUMBERS or _is_label(name)}
    rest = {name: value for name, value in choice.items() if name not in named}
    if "default" in rest:
        if "name" in rest:
            raise ConfigError(
                key, "'default' and 'name' both say what the other elements have; keep one of them"
            )
        default = rest.pop("default")
        if rest:
            raise ConfigError(key, _unknown(next(iter(rest))))
        return named, default
    if rest and "name" not in rest:
        raise ConfigError(key, _unknown(next(iter(rest))))
    return named, rest or None


def _unknown(name: str) -> str:
    near = name.capitalize()
    hint = f"; did you mean {near!r}?" if near in _NUMBERS or _is_label(near) else ""
    return (
        f"unknown key {name!r}{hint} (a basis set by element has element symbols or labels of atoms such as O1, and "
        "'default' for the others)"
    )


def _is_label(name: str) -> bool:
    symbol = name.rstrip("0123456789")
    return symbol != name and symbol in _NUMBERS


class MixedBasis(AbstractBasisSource):
    """Several basis sources, each for its elements; `by_label` for atoms of their own."""

    def __init__(
        self,
        by_element: Mapping[int, AbstractBasisSource],
        default: AbstractBasisSource | None,
        by_label: Mapping[str, AbstractBasisSource] | None = None,
    ):
        self._by_element = dict(sorted(by_element.items()))
        self._by_label = dict(sorted((by_label or {}).items()))
        self._default = default
        parts = [f"{SYMBOLS[z]}: {source.name}" for z, source in self._by_element.items()]
        parts += [f"{label}: {source.name}" for label, source in self._by_label.items()]
        self.name = ", ".join(parts + ([f"others: {default.name}"] if default is not None else []))

    @classmethod
    def from_table(
        cls, choice: Mapping[str, Any], construct: Callable[[Any, str], AbstractBasisSource], key: str
    ) -> MixedBasis:
        """Make a source of a table; `construct(choice, key)` makes the source of one of its entries."""
        named, default = cut(choice, key)
        sources = {name: construct(value, f"{key}.{name}") for name, value in named.items()}
        return cls(
            {_NUMBERS[name]: source for name, source in sources.items() if name in _NUMBERS},
            None if default is None else construct(default, f"{key}.default"),
            {name: source for name, source in sources.items() if name not in _NUMBERS},
        )

    def _source(self, atomic_number: int) -> AbstractBasisSource | None:
        return self._by_element.get(int(atomic_number), self._default)

    def shells(self, atomic_number: int) -> Sequence[Shell]:
        """Return the shells of an element."""
        source = self._source(atomic_number)
        return () if source is None else source.shells(atomic_number)

    def core_potential(self, atomic_number: int) -> CorePotential | None:
        """Return the core potential of an element, or None."""
        source = self._source(atomic_number)
        return None if source is None else source.core_potential(atomic_number)

    def labelled(self) -> Mapping[str, AbstractBasisSource]:
        """Return the labels of atoms that have a basis set of their own."""
        return self._by_label

    def definition(self) -> Mapping[str, Any]:
        """Return plain data that identifies the sources of all elements and labels."""
        parts = {SYMBOLS[z]: dict(source.definition()) for z, source in self._by_element.items()}
        labels = {label: dict(source.definition()) for label, source in self._by_label.items()}
        return (
            {"by_element": parts}
            | ({"by_label": labels} if labels else {})
            | ({} if self._default is None else {"others": dict(self._default.definition())})
        )
