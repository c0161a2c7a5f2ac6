"""`BasisSetExchangeSource`: one basis set of the Basis Set Exchange (Pritchard et al., J. Chem. Inf. Model.
59, 4814 (2019)), as scfx shells.

Three traps, all met here: combined SP shells are split by hand (`uncontract_spdf=True` would put the valence
s before the core s); published contractions are not always normalised (def2), so each is renormalised; and
whether functions are Cartesian or spherical is stated shell by shell (6-31G* is Cartesian in d, 6-311G**
spherical).
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

from scfx.abstract import AbstractBasisSource
from scfx.errors import BasisError
from scfx.model.basis import CorePotential, Shell
from scfx.model.elements import SYMBOLS

#: Families whose version 0 in the Exchange (the old exchange's digits) is what PySCF, Psi4 and most published numbers
#: use; version 1 re-lists them with more digits, which moves energies by about 1e-8 hartree an atom.
_OLD_DIGITS = re.compile(r"^(sto-\dg|3-21\+{0,2}g|6-31\+{0,2}g)(\*{0,2})$", re.IGNORECASE)

#: (angular momentum, exponents, coefficients, Cartesian), the numbers exactly as published.
PublishedShell = tuple[int, tuple[float, ...], tuple[float, ...], bool]


@dataclass(frozen=True)
class PublishedBasis:
    """A basis set as published: shells by atomic number, and the core potentials of the elements that have one."""

    name: str
    version: str
    shells: dict[int, tuple[PublishedShell, ...]]
    potentials: dict[int, CorePotential]


@lru_cache(maxsize=32)
def published(name: str, version: int | None = None) -> PublishedBasis:
    """Read a basis set from the Basis Set Exchange's data (installed with it; nothing is fetched)."""
    import basis_set_exchange

    data = basis_set_exchange.get_basis(name, version=version)
    return parsed(data)


def parsed(data: dict[str, Any]) -> PublishedBasis:
    """Return a basis set from the Basis Set Exchange's dictionary of it."""
    elements = {int(z): element for z, element in data["elements"].items()}
    shells = {
        z: tuple(_split(element["electron_shells"]))
        for z, element in elements.items()
        if "electron_shells" in element
    }
    potentials = {
        z: CorePotential(int(element["ecp_electrons"]), _terms(element["ecp_potentials"]))
        for z, element in elements.items()
        if element.get("ecp_potentials")
    }
    return PublishedBasis(str(data.get("name", "")), str(data.get("version", "")), shells, potentials)


def _terms(potentials: list[dict[str, Any]]) -> tuple[tuple[int, int, float, float], ...]:
    """The part of the highest angular momentum is the local one; the others are differences from it."""
    local = max(max(part["angular_momentum"]) for part in potentials)
    return tuple(
        (-1 if l == local else l, int(power), float(exponent), float(coefficient))
        for part in potentials
        for l, row in zip(part["angular_momentum"], part["coefficients"], strict=True)
        for power, exponent, coefficient in zip(
            part["r_exponents"], part["gaussian_exponents"], row, strict=True
        )
        if float(coefficient) != 0.0
    )


def _split(shells: list[dict[str, Any]]) -> list[PublishedShell]:
    """One contraction and one angular momentum each, in published order; primitives of zero coefficient
    dropped.
    """
    out: list[PublishedShell] = []
    for shell in shells:
        momenta = shell["angular_momentum"]
        cartesian = shell["function_type"] == "gto_cartesian"
        exponents = [float(a) for a in shell["exponents"]]
        rows = [[float(c) for c in row] for row in shell["coefficients"]]
        if len(momenta) == 1:
            rows = _without_redundant_primitives(rows)
        for row, coefficients in enumerate(rows):
            # An SP shell has one row per angular momentum; any other has one momentum for all its rows.
            momentum = int(momenta[row] if len(momenta) > 1 else momenta[0])
            kept = [(a, c) for a, c in zip(exponents, coefficients, strict=True) if c != 0.0]
            out.append(
                (momentum, tuple(a for a, _ in kept), tuple(c for _, c in kept), cartesian and momentum > 1)
            )
    return out


def _without_redundant_primitives(rows: list[list[float]]) -> list[list[float]]:
    """General contractions without the primitives that another row of the shell holds alone.

    Subtracting an uncontracted primitive from its neighbours leaves the space they span, hence every energy,
    and makes integrals cheaper. PySCF's tables of the correlation-consistent sets are optimised the same way.
    """
    alone = {}
    for index, row in enumerate(rows):
        nonzero = [p for p, c in enumerate(row) if c != 0.0]
        if len(nonzero) == 1:
            alone.setdefault(nonzero[0], index)
    return [
        [0.0 if p in alone and alone[p] != index and _several(row) else c for p, c in enumerate(row)]
        for index, row in enumerate(rows)
    ]


def _several(row: list[float]) -> bool:
    return sum(c != 0.0 for c in row) > 1


def usual_version(name: str) -> int | None:
    """Return the Exchange's revision that a name means; None: its latest."""
    return 0 if _OLD_DIGITS.match(name) else None


class AbstractPublishedSource(AbstractBasisSource):
    """Shells and core potentials of a `PublishedBasis`.

    `cartesian` True or False overrides the published choice for every shell of d and above; None keeps it.
    """

    _published: PublishedBasis
    cartesian: bool | None

    @property
    def elements(self) -> tuple[int, ...]:
        """Return the atomic numbers that this source can be asked for."""
        return tuple(sorted(self._published.shells))

    def shells(self, atomic_number: int) -> tuple[Shell, ...]:
        """Return the normalised shells of an element, sorted by angular momentum (stably, as PySCF does).

        Raises `BasisError` if the basis set lacks the element.
        """
        z = int(atomic_number)
        if z not in self._published.shells:
            raise BasisError(
                f"basis {self.name!r} has no functions for {SYMBOLS[z]}; it covers {_ranges(self.elements)}"
            )
        found = sorted(self._published.shells[z], key=lambda shell: shell[0])
        return tuple(
            Shell.normalised(momentum, a, c, self._is_cartesian(momentum, cart))
            for momentum, a, c, cart in found
        )

    def core_potential(self, atomic_number: int) -> CorePotential | None:
        """Return the potential that replaces the element's inner electrons in this basis; None: all-electron."""
        return self._published.potentials.get(int(atomic_number))

    def _is_cartesian(self, momentum: int, published_choice: bool) -> bool:
        return momentum > 1 and (published_choice if self.cartesian is None else self.cartesian)

    def definition(self) -> dict[str, Any]:
        """Return the digest of every number in the basis set, of all elements, and of the Cartesian choice."""
        own = {"basis": self._published.name, "cartesian": self.cartesian, "sha256": self._digest}
        potentials = self._published.potentials
        if not potentials:
            return own
        return own | {"core_potentials": digest({z: (p.n_core, p.terms) for z, p in potentials.items()})}

    @cached_property
    def _digest(self) -> str:
        return digest(
            {
                z: [(momentum, a, c, self._is_cartesian(momentum, cart)) for momentum, a, c, cart in shells]
                for z, shells in self._published.shells.items()
            }
        )


class BasisSetExchangeSource(AbstractPublishedSource):
    """A basis set by its Basis Set Exchange name, a spelling that `exchange_name` understands, or a rule of `composed`.

    `cartesian` True or False overrides the published choice for every shell of d and above; None keeps it.
    Shells that the Exchange leaves unspecified are spherical. `version` None takes the Exchange's latest
    revision, but for STO-nG, 3-21G, 6-31G and their starred and plussed kin version 0, whose digits are PySCF's
    and the literature's; `version=1` asks for the newer ones.
    """

    def __init__(self, basis: str, cartesian: bool | None = None, version: int | None = None):
        from scfx_bse.composed import composed
        from scfx_bse.names import exchange_name, nearest

        self.name = basis
        self.cartesian = cartesian
        found = exchange_name(basis)
        self._exchange_name = found
        if found is None:
            made = composed(basis)
            if made is None:
                raise BasisError(nearest(basis))
            if version is not None:
                raise BasisError(
                    f"basis {basis!r} is composed of several of the Exchange's, which have no version"
                )
            self._published = made
            return
        try:
            self._published = published(found, usual_version(found) if version is None else version)
        except KeyError as error:
            raise BasisError(f"basis {basis!r}: version {version!r}: {error.args[0]}") from None

    def auxiliary(self, kind: str) -> str | None:
        """Return the auxiliary basis set that the Exchange lists for this one."""
        return None if self._exchange_name is None else published_auxiliary(self._exchange_name, kind)


def published_auxiliary(name: str, kind: str) -> str | None:
    """Return the auxiliary basis set that the Exchange lists with one of its basis sets, by kind ("jkfit", "jfit")."""
    import basis_set_exchange

    listed = basis_set_exchange.get_metadata().get(name.lower(), {}).get("auxiliaries", {}).get(kind)
    return listed[0] if isinstance(listed, list) else listed


def digest(shells: dict[int, Any]) -> str:
    """Return sha256 of published shells by element; independent of platform, since floats are written in their shortest
    form.
    """
    text = json.dumps([[z, shells[z]] for z in sorted(shells)], separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _ranges(numbers: tuple[int, ...]) -> str:
    """Elements as people list them: H-Ne, Si."""
    runs: list[list[int]] = []
    for z in numbers:
        if runs and z == runs[-1][1] + 1:
            runs[-1][1] = z
        else:
            runs.append([z, z])
    return ", ".join(SYMBOLS[a] if a == b else f"{SYMBOLS[a]}-{SYMBOLS[b]}" for a, b in runs) or "no element"
