"""Optimisers that insist on calling for energies themselves: their loop runs in a thread that waits for each answer.

Only one of the two threads is ever at work, so that the steps depend on no timing.
"""

from __future__ import annotations

import abc
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.contracts.optimizer import AbstractOptimizer, Constraint, Criteria
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV
from scfx_geometry.optimizers.ase import ase_atoms, attach, unconstrained_gradient

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float64

    from scfx.model.system import System

#: Steps of a loop that is ended from outside.
_ENDLESS = 10**9


class _Closed(BaseException):
    """Ends the loop; nothing in a library catches it."""


class OwnLoop(AbstractOptimizer):
    """An optimiser of ASE's kind whose `run` asks a calculator. Thresholds are of Cartesian coordinates."""

    def __init__(self, system: System, criteria: Criteria, constraints: Sequence[Constraint]):
        self._criteria = criteria
        self._system = system
        self._constraints = tuple(constraints)
        #: To judge by: the loop moves its own.
        self._atoms = ase_atoms(system, constraints)
        self._asked: SimpleQueue[Any] = SimpleQueue()
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._thread: Thread | None = None

    @abc.abstractmethod
    def _run(self, atoms: Any, steps: int) -> None:
        """Make the optimiser of these atoms, which have a calculator, and let it run to no end of its own."""

    def advance(
        self,
        positions: Float64[np.ndarray, "natm 3"],
        energy: float,
        gradient: Float64[np.ndarray, "natm 3"],
    ) -> Float64[np.ndarray, "natm 3"] | None:
        """See `AbstractOptimizer.advance`."""
        if self._thread is None:
            self._thread = Thread(target=self._loop, name=f"scfx_geometry {self.name}", daemon=True)
            self._thread.start()
            self._here = self._next()
        self._answers.put((energy, gradient))
        here = self._here
        following = self._next()
        # ASE's own rounding of angstrom and bohr: `positions` are those that were asked for.
        self._atoms.set_positions(here, apply_constraint=False)
        attach(self._atoms, energy, gradient)
        if self._criteria.met(unconstrained_gradient(self._atoms), (following - here) / BOHR_IN_ANGSTROM):
            return None
        self._here = following
        return following / BOHR_IN_ANGSTROM

    def close(self) -> None:
        """See `AbstractOptimizer.close`: ends the thread."""
        if self._thread is not None and self._thread.is_alive():
            self._answers.put(_Closed())
            self._thread.join()

    def _next(self) -> Float64[np.ndarray, "natm 3"]:
        asked = self._asked.get()
        if isinstance(asked, BaseException):
            raise asked
        return asked

    def _loop(self) -> None:
        from ase.calculators.calculator import Calculator, all_changes

        asked, answers = self._asked, self._answers

        class Asking(Calculator):
            """Hands positions over and waits for what another computes of them."""

            implemented_properties = ["energy", "forces"]  # noqa: RUF012 - ASE's own form

            def calculate(
                self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes
            ) -> None:
                super().calculate(atoms, properties, system_changes)
                assert self.atoms is not None
                asked.put(self.atoms.get_positions())
                answer = answers.get()
                if isinstance(answer, _Closed):
                    raise answer
                energy, gradient = answer
                forces = -gradient * (HARTREE_IN_EV / BOHR_IN_ANGSTROM)
                self.results = {"energy": energy * HARTREE_IN_EV, "forces": forces}

        try:
            atoms = ase_atoms(self._system, self._constraints)
            atoms.calc = Asking()
            self._run(atoms, _ENDLESS)
            asked.put(RuntimeError("it ended before the criteria were met"))
        except _Closed:
            pass
        except BaseException as error:  # whatever it is, whoever waits must hear of it
            asked.put(error)


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
