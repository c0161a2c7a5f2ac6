"""Optimisers whose own loop calls for energies: it runs in a thread that is fed from outside."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.contracts.optimizer import AbstractOptimizer, Constraint, Criteria
from scfx.model.system import BOHR_IN_ANGSTROM
from scfx_geometry.fed_loop import FedLoop
from scfx_geometry.optimizers.ase import ase_atoms, attach, unconstrained_gradient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float64

    from scfx.model.system import System

#: Steps of a loop that is ended from outside.
_ENDLESS = 10**9


class OwnLoop(AbstractOptimizer):
    """An optimiser of ASE's kind whose `run` asks a calculator. Thresholds are of Cartesian coordinates."""

    def __init__(self, system: System, criteria: Criteria, constraints: Sequence[Constraint]):
        self._criteria = criteria
        #: To judge by: the loop moves its own.
        self._atoms = ase_atoms(system, constraints)
        self._fed = FedLoop(ase_atoms(system, constraints), lambda atoms: self._run(atoms, _ENDLESS))

    @abc.abstractmethod
    def _run(self, atoms: Any, steps: int) -> None:
        """Make the optimiser of these atoms, which have a calculator, and let it run to no end of its own."""

    def advance(
        self,
        positions: Float64[np.ndarray, "natm 3"],
        energy: float,
        gradient: Float64[np.ndarray, "natm 3"],
    ) -> Float64[np.ndarray, "natm 3"] | None:
        """Return the next positions, bohr, or None once converged."""
        # Those that were asked for, without the rounding of angstrom and bohr.
        here = self._fed.asked()
        following = self._fed.answer(energy, gradient)
        self._atoms.set_positions(here, apply_constraint=False)
        attach(self._atoms, energy, gradient)
        if following is None:
            raise RuntimeError("it ended before the criteria were met")
        if self._criteria.met(unconstrained_gradient(self._atoms), (following - here) / BOHR_IN_ANGSTROM):
            return None
        return following / BOHR_IN_ANGSTROM

    def close(self) -> None:
        """End the thread of the optimiser."""
        self._fed.close()


class ASEBFGSLineSearch(OwnLoop):
    """ASE's BFGS with a line search, several energies a step."""

    name = "ase-bfgs-line-search"
    summary = "ASE's BFGS with a line search; keeps what ase-bfgs keeps"
    distributions = ("ase",)
    constrains = True

    def _run(self, atoms: Any, steps: int) -> None:
        from ase.optimize import BFGSLineSearch

        made: Any = BFGSLineSearch
        made(atoms, logfile=None).run(fmax=0.0, steps=steps)


class Sella(OwnLoop):
    """Sella's minimiser in internal coordinates."""

    name = "sella"
    summary = "Sella: restricted-step minimisation in internal coordinates; no constraints here"
    distributions = ("sella", "ase")

    def _run(self, atoms: Any, steps: int) -> None:
        from sella import Sella as Minimiser  # pyright: ignore[reportMissingImports] - an extra

        Minimiser(atoms, order=0, internal=True, logfile=None).run(fmax=0.0, steps=steps)
