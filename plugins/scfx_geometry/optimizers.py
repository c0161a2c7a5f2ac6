"""Optimisers over kept libraries, each as one molecule's state that is fed energies and gradients in lock step.

A dict of classes for now, not yet a hook: `OPTIMIZERS`.
"""

from __future__ import annotations

import abc
import logging
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from scfx.errors import ConfigError
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV
from scfx_geometry.constraints import Constraint, of_ase

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float64

    from scfx.model.system import System
    from scfx_geometry.criteria import Criteria

# Their step-by-step logs of thousands of molecules at once are of no use: what is kept is in `Relaxation`.
_SILENT = logging.Logger("scfx_geometry.silent", level=logging.CRITICAL + 1)


class AbstractOptimizer(abc.ABC):
    """One molecule's relaxation. What it does depends on its start and on what `advance` is given, and nothing else."""

    #: As `optimizer =` names it.
    name: ClassVar[str]
    #: The library and what of it, for people.
    summary: ClassVar[str]
    #: Distributions whose versions decide the steps.
    distributions: ClassVar[tuple[str, ...]]
    #: Whether it can keep atoms and internal coordinates as they are.
    constrains: ClassVar[bool] = False

    @abc.abstractmethod
    def __init__(self, system: System, criteria: Criteria, constraints: Sequence[Constraint]): ...

    @abc.abstractmethod
    def advance(
        self,
        positions: Float64[np.ndarray, "natm 3"],
        energy: float,
        gradient: Float64[np.ndarray, "natm 3"],
    ) -> Float64[np.ndarray, "natm 3"] | None:
        """The next positions in bohr after energy (hartree) and gradient (hartree/bohr); None: converged here."""


class Berny(AbstractOptimizer):
    """pyberny: redundant internal coordinates, BFGS, a trust region, rational-function steps."""

    name = "berny"
    summary = "pyberny: internal coordinates with a trust region; no constraints"
    distributions = ("pyberny", "molsym")

    def __init__(self, system: System, criteria: Criteria, constraints: Sequence[Constraint]):
        with np.printoptions():  # molsym, which pyberny imports, changes how everybody's arrays are printed
            from berny import Berny as Coroutine
            from berny.geomlib import Geometry

        self._criteria = criteria
        if criteria.fmax is None:
            thresholds: dict[str, Any] = {
                "gradientmax": criteria.gradient_max,
                "gradientrms": criteria.gradient_rms,
                "stepmax": criteria.step_max,
                "steprms": criteria.step_rms,
            }
        else:  # never by its own judgement
            thresholds = dict.fromkeys(("gradientmax", "gradientrms", "stepmax", "steprms"), 0.0)
        geometry = Geometry(list(system.symbols), system.positions_angstrom)
        # "nowarn": the starting symmetry is kept, as by other optimisers; `frequencies` tells saddles.
        with np.printoptions():
            self._state: Any = Coroutine(
                geometry, maxsteps=2**31, logger=_SILENT, symmetry="nowarn", **thresholds
            )
            next(self._state)

    def advance(
        self,
        positions: Float64[np.ndarray, "natm 3"],
        energy: float,
        gradient: Float64[np.ndarray, "natm 3"],
    ) -> Float64[np.ndarray, "natm 3"] | None:
        """See `AbstractOptimizer.advance`. By `gau` and its kin, the thresholds are of internal coordinates."""
        if self._criteria.fmax is not None and self._criteria.met(gradient, np.zeros_like(gradient)):
            return None
        # pyberny's B matrix is in bohr, its geometries in angstrom.
        self._state.send((energy, gradient))
        if self._state.converged:
            return None
        return np.asarray(next(self._state).coords, dtype=np.float64) / BOHR_IN_ANGSTROM


class ASEBFGS(AbstractOptimizer):
    """ASE's BFGS in Cartesian coordinates, fed from outside; the one here that keeps constraints."""

    name = "ase-bfgs"
    summary = "ASE's BFGS: Cartesian coordinates; atoms, distances, angles and torsions can be kept"
    distributions = ("ase",)
    constrains = True

    def __init__(self, system: System, criteria: Criteria, constraints: Sequence[Constraint]):
        from ase import Atoms
        from ase.optimize import BFGS

        self._criteria = criteria
        self._atoms = Atoms(numbers=system.atomic_numbers, positions=system.positions_angstrom)
        self._atoms.set_constraint(of_ase(constraints, self._atoms))
        self._attach(0.0, np.zeros((system.natm, 3)))
        self._optimizer = BFGS(self._atoms, logfile=None)

    def _attach(self, energy: float, gradient: np.ndarray) -> None:
        from ase.calculators.singlepoint import SinglePointCalculator

        self._atoms.calc = SinglePointCalculator(
            self._atoms,
            energy=energy * HARTREE_IN_EV,
            forces=-gradient * (HARTREE_IN_EV / BOHR_IN_ANGSTROM),
        )

    def advance(
        self,
        positions: Float64[np.ndarray, "natm 3"],
        energy: float,
        gradient: Float64[np.ndarray, "natm 3"],
    ) -> Float64[np.ndarray, "natm 3"] | None:
        """See `AbstractOptimizer.advance`. Thresholds are of Cartesian coordinates, constraints projected out."""
        self._attach(energy, gradient)
        # What the constraints leave of the forces is what can vanish.
        left = -self._atoms.get_forces() * (BOHR_IN_ANGSTROM / HARTREE_IN_EV)
        before = self._atoms.get_positions()
        self._optimizer.step()
        step = (self._atoms.get_positions() - before) / BOHR_IN_ANGSTROM
        if self._criteria.met(left, step):
            return None
        return self._atoms.get_positions() / BOHR_IN_ANGSTROM


OPTIMIZERS: dict[str, type[AbstractOptimizer]] = {each.name: each for each in (Berny, ASEBFGS)}
#: Known ones that are not here yet, so that asking for them is answered.
_PLANNED = {"geometric": "geomeTRIC", "sella": "Sella"}


def optimizer_of(
    name: str, constraints: Sequence[Constraint] = (), key: str = "optimizer"
) -> type[AbstractOptimizer]:
    """The class of a name. `ConfigError` for an unknown one, and for constraints that it cannot keep."""
    if name not in OPTIMIZERS:
        planned = f"{_PLANNED[name]} is not wrapped yet; " if name in _PLANNED else ""
        raise ConfigError(key, f"{planned}got {name!r}, expected one of {', '.join(OPTIMIZERS)}")
    chosen = OPTIMIZERS[name]
    if constraints and not chosen.constrains:
        able = ", ".join(each.name for each in OPTIMIZERS.values() if each.constrains)
        raise ConfigError(key, f"{name!r} cannot keep constraints; use {able}, or leave them out")
    return chosen
