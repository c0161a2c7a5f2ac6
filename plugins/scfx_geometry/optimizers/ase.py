"""ASE's optimisers that compute one energy and gradient a step, fed from outside."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.contracts.optimizer import AbstractOptimizer, Constraint, Criteria
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV
from scfx_geometry.constraints import of_ase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float64

    from scfx.model.system import System


def ase_atoms(system: System, constraints: Sequence[Constraint]) -> Any:
    """Return the system as ASE has it, with its constraints at the values of the start."""
    from ase import Atoms

    atoms = Atoms(numbers=system.atomic_numbers, positions=system.positions_angstrom)
    atoms.set_constraint(of_ase(constraints, atoms))
    return atoms


def attach(atoms: Any, energy: float, gradient: Float64[np.ndarray, "natm 3"]) -> None:
    """Let `atoms` have an energy (hartree) and a gradient (hartree/bohr) where they are."""
    from ase.calculators.singlepoint import SinglePointCalculator

    forces = -gradient * (HARTREE_IN_EV / BOHR_IN_ANGSTROM)
    atoms.calc = SinglePointCalculator(atoms, energy=energy * HARTREE_IN_EV, forces=forces)


def unconstrained_gradient(atoms: Any) -> Float64[np.ndarray, "natm 3"]:
    """Return what the constraints leave of the gradient, which is what can vanish; hartree/bohr."""
    return -atoms.get_forces() * (BOHR_IN_ANGSTROM / HARTREE_IN_EV)


class ASEOptimizer(AbstractOptimizer):
    """An optimiser of ASE in Cartesian coordinates. Thresholds are of these, constraints projected out."""

    distributions = ("ase",)
    constrains = True

    def __init__(self, system: System, criteria: Criteria, constraints: Sequence[Constraint]):
        self._criteria = criteria
        self._atoms = ase_atoms(system, constraints)
        attach(self._atoms, 0.0, np.zeros((system.natm, 3)))
        self._optimizer = self._optimizer_of(self._atoms)

    @abc.abstractmethod
    def _optimizer_of(self, atoms: Any) -> Any:
        """ASE's optimiser of these atoms."""

    def advance(
        self,
        positions: Float64[np.ndarray, "natm 3"],
        energy: float,
        gradient: Float64[np.ndarray, "natm 3"],
    ) -> Float64[np.ndarray, "natm 3"] | None:
        """Return the next positions, bohr, or None once converged."""
        attach(self._atoms, energy, gradient)
        left = unconstrained_gradient(self._atoms)
        before = self._atoms.get_positions()
        self._optimizer.step()
        step = (self._atoms.get_positions() - before) / BOHR_IN_ANGSTROM
        if self._criteria.met(left, step):
            return None
        return self._atoms.get_positions() / BOHR_IN_ANGSTROM


class ASEBFGS(ASEOptimizer):
    """ASE's BFGS."""

    name = "ase-bfgs"
    summary = "ASE's BFGS: Cartesian coordinates; atoms, distances, angles and torsions can be kept"

    def _optimizer_of(self, atoms: Any) -> Any:
        from ase.optimize import BFGS

        return BFGS(atoms, logfile=None)


class ASELBFGS(ASEOptimizer):
    """ASE's L-BFGS."""

    name = "ase-lbfgs"
    summary = "ASE's L-BFGS: as ase-bfgs, with a Hessian of the last steps only"

    def _optimizer_of(self, atoms: Any) -> Any:
        from ase.optimize import LBFGS

        made: Any = LBFGS
        return made(atoms, logfile=None)


class ASEFIRE(ASEOptimizer):
    """ASE's FIRE."""

    name = "ase-fire"
    summary = "ASE's FIRE: damped dynamics, robust far from a minimum and slow near it"

    def _optimizer_of(self, atoms: Any) -> Any:
        from ase.optimize import FIRE

        made: Any = FIRE
        return made(atoms, logfile=None)
