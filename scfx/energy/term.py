"""`Term`: one contribution to the energy of a batch, and what it may be asked.

A term knows the geometry of its batch and is asked at a density matrix. Terms that are linear in the density or do not
depend on it (`constant`) are taken once for a batch; the others are evaluated in every iteration. `Hamiltonian` sums
them, in a fixed order.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from jaxtyping import Array, Float64, Int32

from scfx.errors import CapabilityError


class Change(NamedTuple):
    """By how much the Fock matrices of some entries would have been others, had the term been what it is from now on.

    `potential` is padded, in the AO basis, [lane, spin, n, n]; only the entries `lanes` of it count. The procedure
    that keeps earlier Fock matrices moves them by it.
    """

    potential: Float64[Array, "lane spin n n"]
    lanes: Int32[np.ndarray, "some"]


class Contribution(NamedTuple):
    """What a term adds at a density; padded arrays that lead with `lane`, hartree; None where it adds nothing.

    With D_s the density of spin s (or the total one alone) and D their sum:
    `coulomb` is J of each spin: its energy is ½ tr D J, its part of every Fock matrix the sum of J.
    `exchange` is K of each spin, weighted by the functional's fractions: its energy is -½ k Σ_s tr D_s K_s, its part of
    the Fock matrix -k K_s, with k = ½ if there is one density and 1 if there are two.
    `energy` and `potential` are any other energy and its derivative by D_s.
    `parts` holds energies by name [lane], of the entries asked for; `electrons` the number that a grid integrates to.
    """

    coulomb: Any = None
    exchange: Any = None
    potential: Any = None
    energy: Any = None
    parts: Mapping[str, np.ndarray] = {}
    electrons: Any = None
    change: Change | None = None


class Term(abc.ABC):
    """One contribution to the energy of a batch under one precision policy. `close` frees what it holds."""

    #: Name of the contribution, for results and messages.
    name: ClassVar[str]

    def initialize(self) -> None:  # noqa: B027 - most terms need nothing
        """Make what `evaluate` needs, within the memory budget. Called before each evaluation: cheap if done."""

    def constant(self) -> Mapping[str, Float64[np.ndarray, "batch"]]:
        """Return energies by name that do not depend on the density, hartree."""
        return {}

    def evaluate(
        self, density: Float64[Array, "lane spin n n"], lanes: Int32[np.ndarray, "active"]
    ) -> Contribution:
        """Return what the term adds for the entries `lanes`; nothing for a term whose part is constant or linear."""
        return Contribution()

    def gradient(
        self,
        density: Float64[np.ndarray, "active spin nao nao"],
        energy_weighted_density: Float64[np.ndarray, "active nao nao"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return the derivative of the term's energy by the positions of the nuclei, hartree/bohr, atoms in the batch's
        order.
        """
        raise CapabilityError("scf.properties", f"{self.name} has no nuclear gradient here")

    def response(
        self,
        density: Float64[Array, "lane spin n n"],
        change: Float64[np.ndarray, "batch spin nao nao"],
        lanes: Int32[np.ndarray, "active"],
        opposite: bool = False,
    ) -> Float64[np.ndarray, "active spin nao nao"] | None:
        """Change of the Fock matrices of each spin with the spin densities, to first order; None: there is none.

        `change` is that of each spin's density. With one density matrix it is that of the alpha density, and the beta
        density changes by the same, or by minus the same where `opposite`.
        """
        return None

    def held_bytes(self) -> int:
        """Return the bytes of integrals and AO values held at present."""
        return 0

    def rest(self) -> None:  # noqa: B027
        """Free what is cheap to make again, as no entry is at work with it at present."""

    def close(self) -> None:  # noqa: B027
        """Free everything; a term that is used again makes it anew."""
