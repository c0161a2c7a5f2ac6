"""A loop of ASE's that calls for energies itself, fed from outside: it runs in a thread that waits for each answer.

So optimisers with line searches and molecular dynamics of many molecules go in lock step, a batch a step. Only one of
the two threads is ever at work, so that what a loop does depends on no timing.
"""

from __future__ import annotations

from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Float64


class _Closed(BaseException):
    """Ends the loop; nothing in a library catches it."""


class FedLoop:
    """`work(atoms)` in a thread, where `atoms.calc` hands positions over and waits for their energy and gradient."""

    def __init__(self, atoms: Any, work: Callable[[Any], None]):
        self._atoms = atoms
        self._work = work
        self._questions: SimpleQueue[Any] = SimpleQueue()
        self._answers: SimpleQueue[Any] = SimpleQueue()
        self._thread: Thread | None = None
        self._asked: np.ndarray | None = None

    def asked(self) -> Float64[np.ndarray, "natm 3"] | None:
        """Return the positions in angstrom that wait for an answer; None when the loop has ended. Raises what it
        raises.
        """
        if self._thread is None:
            self._thread = Thread(target=self._run, name="scfx_geometry fed loop", daemon=True)
            self._thread.start()
            self._next()
        return self._asked

    def answer(
        self, energy: float, gradient: Float64[np.ndarray, "natm 3"]
    ) -> Float64[np.ndarray, "natm 3"] | None:
        """Give energy (hartree) and gradient (hartree/bohr) of the positions asked for; the next ones, as `asked`."""
        self.asked()
        self._answers.put((energy, gradient))
        self._next()
        return self._asked

    def close(self) -> None:
        """End the loop wherever it is."""
        if self._thread is not None and self._thread.is_alive():
            self._answers.put(_Closed())
            self._thread.join()

    def _next(self) -> None:
        found = self._questions.get()
        if isinstance(found, BaseException):
            raise found
        self._asked = found

    def _run(self) -> None:
        try:
            self._atoms.calc = _asking(self._questions, self._answers)
            self._work(self._atoms)
            self._questions.put(None)
        except _Closed:
            pass
        except BaseException as error:  # whatever it is, whoever waits must hear of it
            self._questions.put(error)


def _asking(questions: SimpleQueue[Any], answers: SimpleQueue[Any]) -> Any:
    from ase.calculators.calculator import Calculator, all_changes

    class Asking(Calculator):
        """Hands positions over and waits for what another computes of them."""

        implemented_properties = ["energy", "forces"]  # noqa: RUF012 - ASE's own form

        def calculate(
            self, atoms: Any = None, properties: Any = None, system_changes: Any = all_changes
        ) -> None:
            super().calculate(atoms, properties, system_changes)
            assert self.atoms is not None
            questions.put(self.atoms.get_positions())
            answer = answers.get()
            if isinstance(answer, _Closed):
                raise answer
            energy, gradient = answer
            forces = -gradient * (HARTREE_IN_EV / BOHR_IN_ANGSTROM)
            self.results = {"energy": energy * HARTREE_IN_EV, "forces": forces}

    return Asking()
