"""The coroutine of pyberny as an optimiser."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.contracts.optimizer import AbstractOptimizer, Constraint, Criteria
from scfx.model.system import BOHR_IN_ANGSTROM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float64

    from scfx.model.system import System

# Step-by-step logs of thousands of molecules at once are of no use: what is kept is in `Relaxation`.
_SILENT = logging.Logger("scfx_geometry.silent", level=logging.CRITICAL + 1)


class Berny(AbstractOptimizer):
    """The optimiser of pyberny: redundant internal coordinates, BFGS, a trust region, rational-function steps."""

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
        """Return the next positions, bohr, or None once converged. By `gau` and its kin, the thresholds are of internal
        coordinates.
        """
        if self._criteria.fmax is not None and self._criteria.met(gradient, np.zeros_like(gradient)):
            return None
        # pyberny's B matrix is in bohr, its geometries in angstrom.
        self._state.send((energy, gradient))
        if self._state.converged:
            return None
        return np.asarray(next(self._state).coords, dtype=np.float64) / BOHR_IN_ANGSTROM
