"""Forces of a dataset against the reference, and one component of each row against differences of the energy.

The two say different things. The reference's forces bound what precision and backend cost, component by component. A
difference of energies needs no derivative integral: it finds what is wrong in every backend.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

import scfx
from scfx.config.convergence import CONVERGENCE_PRESETS, FORCES_BELOW_FLOAT64, Convergence
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV
from scfx_dataset.exports import FORCES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float64

    from scfx.config.precision import PrecisionPolicy

#: meV/angstrom in a hartree/bohr.
MEV_PER_ANGSTROM = 1e3 * HARTREE_IN_EV / BOHR_IN_ANGSTROM
#: Displacement in bohr of the five-point differences. Their own error is then below 1e-8 hartree/bohr: of the fourth
#: order in the step (1e-8 times a thirtieth of the fifth derivative), and the energies' 1e-10 hartree over the step.
STEP_BOHR = 0.01
#: Weights by displacement in steps (Abramowitz and Stegun, 25.3.6).
_STENCIL = ((-2, 1 / 12), (-1, -8 / 12), (1, 8 / 12), (2, -1 / 12))
#: Mean absolute errors in meV/angstrom that policies promise (docs/forces.md); float64's is 1e-7 hartree/bohr.
_TARGETS = {"float64": 1e-7 * MEV_PER_ANGSTROM, "mixed": 0.02, "float32": 1.0}
#: A row may be off by this many times the target: its mean over components, and its component that is checked.
SINGLE_ROW = 5.0
#: Rows whose displaced molecules are solved together, so that memory does not grow with the sample.
_TOGETHER = 16


def target_of(policy: PrecisionPolicy, convergence: Convergence) -> float:
    """Return the error in meV/angstrom that a policy promises; thresholds looser than the preset "forces" loosen it.

    A policy that is not built in has that of the built-in one with the same stages in float64.
    """
    refined = policy.refined()
    stages = ("coulomb_exchange", "orbitals", "functional", "linear_algebra", "orthogonaliser")
    exact = all(getattr(refined, stage) == "float64" for stage in stages)
    name = "float32" if not exact else "float64" if policy.integrals == "float64" else "mixed"
    preset = CONVERGENCE_PRESETS["forces"] if policy.integrals == "float64" else FORCES_BELOW_FLOAT64
    return _TARGETS[name] * max(1.0, convergence.gradient / preset.gradient)


@dataclass(frozen=True)
class ForceComparison:
    """Differences in meV/angstrom of the sampled rows that have forces.

    `mean`, `largest`: over the components of a row, dataset against reference. `component`: (atom, axis) of each row,
    and `by_energy` the difference of that one from minus the energy's derivative, dataset against energies; empty where
    the plan leaves the response of the grid out, whose forces are no derivative. `without`: rows that have none.
    `unsolved`: rows that the reference gives no forces, or whose displaced molecules it does not converge.
    """

    row_ids: tuple[int, ...]
    mean: Float64[np.ndarray, "row"]
    largest: Float64[np.ndarray, "row"]
    component: tuple[tuple[int, int], ...]
    by_energy: Float64[np.ndarray, "row"]
    target: float
    without: tuple[int, ...]
    unsolved: dict[int, str]

    @property
    def allowed(self) -> float:
        """Return the mean error of one row's forces that is allowed, meV/angstrom."""
        return SINGLE_ROW * self.target

    def problems(self) -> list[str]:
        """Return what is out of bounds, in words; empty if nothing."""
        out = [f"row {row}: no reference for its forces: {why}" for row, why in sorted(self.unsolved.items())]
        for i, row in enumerate(self.row_ids):
            if row in self.unsolved:
                continue
            # Put so that what is not a number fails.
            if not self.mean[i] <= self.allowed:
                out.append(
                    f"row {row}: forces differ by {self.mean[i]:.4g} meV/angstrom on average, {self.allowed:.4g} is "
                    "allowed"
                )
            if len(self.by_energy) and not abs(self.by_energy[i]) <= self.allowed:
                atom, axis = self.component[i]
                out.append(
                    f"row {row}: force {'xyz'[axis]} of atom {atom} differs by {abs(self.by_energy[i]):.4g} "
                    f"meV/angstrom from the energy's derivative, {self.allowed:.4g} is allowed"
                )
        return out

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "rows": len(self.row_ids),
            "rows_without": len(self.without),
            "mean_absolute_mev_per_angstrom": _finite(np.nanmean, self.mean),
            "largest_mev_per_angstrom": _finite(np.nanmax, self.largest),
            "from_energies_mev_per_angstrom": _finite(np.nanmax, np.abs(self.by_energy)),
            "components": [[row, *place] for row, place in zip(self.row_ids, self.component, strict=True)],
            "step_bohr": STEP_BOHR,
            "target_mev_per_angstrom": self.target,
            "allowed_mev_per_angstrom": self.allowed,
        }


def _finite(statistic: Any, values: np.ndarray) -> float | None:
    return float(statistic(values)) if np.isfinite(values).any() else None


def compare_forces(
    rows: Sequence[dict[str, Any]],
    systems: Sequence[scfx.System],
    result: scfx.SCFResult,
    spec: scfx.SCFSpec,
    registry: scfx.Registry,
    target: float,
    seed: int,
) -> ForceComparison:
    """Compare rows with a reference `result` that has gradients. `spec` is the reference's.

    The component of a row is drawn by `seed` and row_id. Its energies are of the reference at four displacements.
    """
    having = [i for i, row in enumerate(rows) if row[FORCES] is not None]
    without = tuple(row["row_id"] for row in rows if row[FORCES] is None)
    unsolved: dict[int, str] = {}
    mean, largest, places = [], [], []
    for i in having:
        row = rows[i]
        gradient = None if result.gradient is None else result.gradient[i]
        atom, axis = divmod(random.Random(f"{seed} {row['row_id']}").randrange(3 * systems[i].natm), 3)
        places.append((atom, axis))
        if gradient is None:
            reasons = result.property_reasons.get("gradient", [""] * len(rows))
            unsolved[row["row_id"]] = (
                reasons[i] or result.reason[i] or "the reference computes none for this row"
            )
        sizes = (
            np.full(1, np.nan)
            if gradient is None
            else np.abs(1e3 * np.array(row[FORCES], dtype=np.float64) + MEV_PER_ANGSTROM * gradient)
        )
        mean.append(float(sizes.mean()))
        largest.append(float(sizes.max()))
    by_energy = (
        _by_energy([rows[i] for i in having], [systems[i] for i in having], places, spec, registry, unsolved)
        if spec.grid_response
        else []
    )
    return ForceComparison(
        tuple(rows[i]["row_id"] for i in having),
        np.array(mean),
        np.array(largest),
        tuple(places),
        np.array(by_energy),
        target,
        without,
        unsolved,
    )


def _by_energy(
    rows: Sequence[dict[str, Any]],
    systems: Sequence[scfx.System],
    places: Sequence[tuple[int, int]],
    spec: scfx.SCFSpec,
    registry: scfx.Registry,
    unsolved: dict[int, str],
) -> list[float]:
    """Stored component less minus the derivative of the energy, meV/angstrom; NaN for those that do not converge."""
    out: list[float] = []
    solver = scfx.Solver(spec.model_copy(update={"properties": ()}), registry)
    for first in range(0, len(rows), _TOGETHER):
        chunk = range(first, min(first + _TOGETHER, len(rows)))
        displaced = [_displaced(systems[i], places[i], n) for i in chunk for n, _ in _STENCIL]
        solved = solver.solve(displaced)
        energies = solved.energy.reshape(len(chunk), len(_STENCIL))
        converged = np.all(solved.converged.reshape(energies.shape), axis=1).tolist()
        derivative = energies @ np.array([weight for _, weight in _STENCIL]) / STEP_BOHR
        for i, value, fine in zip(chunk, derivative, converged, strict=True):
            atom, axis = places[i]
            stored = np.array(rows[i][FORCES], dtype=np.float64)[atom, axis]
            out.append(float(1e3 * stored + MEV_PER_ANGSTROM * value) if fine else np.nan)
            if not fine:
                unsolved.setdefault(rows[i]["row_id"], "energies of its displaced molecules do not converge")
    return out


def _displaced(system: scfx.System, place: tuple[int, int], steps: int) -> scfx.System:
    positions = system.positions.copy()
    positions[place] += steps * STEP_BOHR
    return replace(system, positions=positions)
