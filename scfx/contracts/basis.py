"""What a source of basis sets gives: the shells of an element."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from scfx.model.basis import CorePotential, Shell


class AbstractBasisSource(abc.ABC):
    """Where shells come from: one basis set, asked element by element."""

    #: Name as asked for, for messages and results.
    name: str

    @abc.abstractmethod
    def shells(self, atomic_number: int) -> Sequence[Shell]:
        """Return the element's contracted shells (one contraction each); empty if the basis does not cover it."""

    def core_potential(self, atomic_number: int) -> CorePotential | None:
        """Return the effective core potential that the element's shells were made for; None: they are all-electron."""
        return None

    def auxiliary(self, kind: str) -> str | None:
        """Return the name of the auxiliary basis set published with this one for "jkfit" (J and K) or "jfit" (J), or
        None.
        """
        return None

    def labelled(self) -> Mapping[str, AbstractBasisSource]:
        """Return what single atoms have in place of this, by their label in the molecule ("O1"): nothing by default."""
        return {}

    @abc.abstractmethod
    def definition(self) -> Mapping[str, Any]:
        """Return plain data that identifies the numbers in the basis (for instance a digest of them): enters the spec
        hash.
        """
