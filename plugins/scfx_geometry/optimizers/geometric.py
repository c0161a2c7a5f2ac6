"""The optimiser of geomeTRIC, asked step by step in place of its own loop."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.contracts.optimizer import AbstractOptimizer, Constraint, Criteria

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float64

    from scfx.model.system import System

_KEYS = {"atoms": "xyz", "distance": "distance", "angle": "angle", "torsion": "dihedral"}
#: geomeTRIC's own threshold of the energy's change, in every set of criteria; hartree.
_ENERGY = 1e-6


class GeomeTRIC(AbstractOptimizer):
    """The optimiser of geomeTRIC: translation-rotation internal coordinates, trust radius (Wang and Song, J. Chem.
    Phys. 144, 214108).

    Thresholds are judged by geomeTRIC itself: of Cartesian coordinates, lengths of vectors on atoms, after superposing
    two geometries; and the energy changes by less than 1e-6 hartree.
    """

    name = "geometric"
    summary = "geomeTRIC: internal coordinates with a trust radius; atoms, distances, angles and torsions can be kept"
    distributions = ("geometric",)
    constrains = True

    def __init__(self, system: System, criteria: Criteria, constraints: Sequence[Constraint]):
        from geometric.internal import DelocalizedInternalCoordinates
        from geometric.molecule import Molecule
        from geometric.optimize import Optimizer
        from geometric.params import OptParams
        from geometric.prepare import parse_constraints

        # It logs each step of each molecule.
        logging.getLogger("geometric").setLevel(logging.CRITICAL)
        for name in ("geometric.nifty", "geometric.optimize", "geometric.internal", "geometric.prepare"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._criteria = criteria
        molecule = Molecule()
        molecule.elem = list(system.symbols)
        molecule.xyzs = [system.positions_angstrom]
        molecule.charge, molecule.mult = system.charge, system.multiplicity
        molecule.build_topology()
        thresholds = [criteria.gradient_rms, criteria.gradient_max, criteria.step_rms, criteria.step_max]
        if criteria.fmax is not None:  # never by its own judgement
            thresholds = [0.0] * 4
        names = ("grms", "gmax", "drms", "dmax")
        parameters = OptParams(
            maxiter=2**31,
            convergence_energy=_ENERGY,
            **{f"convergence_{name}": value for name, value in zip(names, thresholds, strict=True)},
        )
        kept, values = None, None
        if constraints:
            kept, values = parse_constraints(molecule, _as_text(constraints))
        coordinates = DelocalizedInternalCoordinates(
            molecule,
            build=True,
            connect=False,
            addcart=False,
            constraints=kept,
            cvals=None if values is None else values[0],
            conmethod=int(bool(constraints)),  # the later algorithm, which keeps them at every step
        )
        self._answer: dict[str, Any] = {}
        engine = SimpleNamespace(
            calc=lambda *_, **__: dict(self._answer),
            clearCalcs=lambda: None,
            save_guess_files=lambda *_: None,
            load_guess_files=lambda *_: None,
        )
        start = system.positions.ravel().copy()
        self._state: Any = Optimizer(start, molecule, coordinates, engine, None, parameters, print_info=False)
        self._first = True

    def advance(
        self,
        positions: Float64[np.ndarray, "natm 3"],
        energy: float,
        gradient: Float64[np.ndarray, "natm 3"],
    ) -> Float64[np.ndarray, "natm 3"] | None:
        """Return the next positions, bohr, or None once converged."""
        from geometric.optimize import OPT_STATE

        state = self._state
        self._answer = {"energy": energy, "gradient": gradient.ravel().copy()}
        state.calcEnergyForce()
        if self._criteria.fmax is not None:
            left = state.gradx
            if state.IC.haveConstraints():
                left = state.IC.calcGradProj(state.X, state.gradx)
            if self._criteria.met(left.reshape(-1, 3), np.zeros_like(gradient)):
                return None
        if self._first:
            state.prepareFirstStep()
            self._first = False
        else:
            state.evaluateStep()
        if state.state == OPT_STATE.CONVERGED:
            return None
        if state.state == OPT_STATE.FAILED:
            raise RuntimeError("geomeTRIC gave up")
        state.step()
        # A coordinate system that broke is rebuilt, without an energy.
        while state.state == OPT_STATE.SKIP_EVALUATION:
            state.state = OPT_STATE.NEEDS_EVALUATION
            state.step()
        return state.X.reshape(-1, 3).copy()


def _as_text(constraints: Sequence[Constraint]) -> str:
    """geomeTRIC's own file of constraints; atoms count from 1 there."""
    lines = ["$freeze"]
    for each in constraints:
        atoms = [a + 1 for a in each.atoms]
        key = _KEYS[each.keep]
        between = "," if each.keep == "atoms" else " "
        lines.append(f"{key} {between.join(map(str, atoms))}")
    return "\n".join(lines) + "\n"
