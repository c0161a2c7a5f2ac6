"""Contamination by states of other spin."""

from __future__ import annotations

from typing import TYPE_CHECKING

from scfx.contracts.property import AbstractProperty, Column

if TYPE_CHECKING:
    from scfx.properties.entry import ConvergedEntry


class SpinContamination(AbstractProperty):
    """The spin contamination <S²> - S (S + 1), with S = (N_α - N_β) / 2: zero for a state of pure spin."""

    name = "s_squared_deviation"
    summary = "<S2> less S(S+1) of the multiplicity asked for"
    needs = ("s_squared",)
    column = Column("s_squared_deviation", description=summary)

    def compute(self, entry: ConvergedEntry) -> float:
        """Return <S²> of one entry less the exact value of its spin."""
        n_alpha, n_beta = entry.n_electrons
        spin = 0.5 * (n_alpha - n_beta)
        return entry.value("s_squared") - spin * (spin + 1.0)
