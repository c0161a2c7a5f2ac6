"""Labels of a dataset against the reference: a random sample computed again with libcint in float64."""

from __future__ import annotations

import bisect
import random
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

import scfx
from scfx.config.convergence import CONVERGENCE_PRESETS, Convergence
from scfx.config.old_keys import with_present_names
from scfx.errors import InputError
from scfx.jobs.commits import read_commits
from scfx.model.system import HARTREE_IN_EV
from scfx_dataset.exports import FORCES
from scfx_dataset.verify_forces import ForceComparison, compare_forces, target_of

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx_dataset.reader import Dataset

#: Mean absolute errors in meV that the built-in policies promise (energy; HOMO, LUMO and gap): docs/precision.md.
_FLOAT32_BOUNDS = (1.0, 0.05)
_FLOAT64_BOUNDS = (0.05, 0.005)

#: A single row may be off by this many times the mean. The largest of 471 rows in docs/precision.md is 6 times its mean
#: in energy and 13 times in gap, but with means ten (gap: five) times below the bounds. A label that belongs to another
#: geometry is off by eV.
_SINGLE = 10.0

_QUANTITIES = ("energy", "homo", "lumo", "gap")


@dataclass(frozen=True)
class Bounds:
    """Largest mean absolute difference, in meV, of the energy and of orbital energies and their gap."""

    energy: float
    orbital: float

    @classmethod
    def for_policy(cls, policy: PrecisionPolicy, convergence: Convergence) -> Bounds:
        """Return what a policy promises at the default thresholds; looser ones loosen it in proportion."""
        refined = policy.refined()
        stages = ("coulomb_exchange", "orbitals", "functional", "linear_algebra", "orthogonaliser")
        exact = all(getattr(refined, stage) == "float64" for stage in stages)
        energy, orbital = _FLOAT64_BOUNDS if exact else _FLOAT32_BOUNDS
        asked = convergence.gradient if convergence.rule == "gradient" else 0.0
        looser = max(1.0, asked / CONVERGENCE_PRESETS["default"].gradient)
        return cls(energy * looser, orbital * looser)

    def allows(self, quantity: str) -> float:
        """Return the bound of a quantity, meV."""
        return self.energy if quantity == "energy" else self.orbital


@dataclass(frozen=True)
class Comparison:
    """Differences (dataset minus reference) of the sampled rows in meV: `differences[quantity]`, one for each row.

    NaN where neither has a value (no virtual orbital), infinite where the row or the reference alone has none.
    """

    row_ids: tuple[int, ...]
    differences: dict[str, np.ndarray]
    bounds: Bounds
    #: Rows that the reference does not converge, with its reason.
    unsolved: dict[int, str]
    #: Of the forces, where the dataset has them.
    forces: ForceComparison | None = None

    def problems(self) -> list[str]:
        """Return what is out of bounds, in words; empty if nothing."""
        lines = [
            f"row {row}: the reference does not converge: {why}" for row, why in sorted(self.unsolved.items())
        ]
        for name, values in self.differences.items():
            bound, sizes = self.bounds.allows(name), np.abs(values)
            lines += [
                f"row {row}: {name} is missing here or in the reference, and the other has it"
                for row in np.array(self.row_ids)[np.isinf(sizes)].tolist()
                if row not in self.unsolved
            ]
            there = sizes[np.isfinite(sizes)]
            if there.size and there.mean() > bound:
                lines.append(
                    f"{name}: mean difference {there.mean():.4g} meV, the policy's bound is {bound:g}"
                )
            for row, size in zip(self.row_ids, np.where(np.isfinite(sizes), sizes, 0.0), strict=True):
                if size > _SINGLE * bound:
                    lines.append(
                        f"row {row}: {name} differs by {size:.4g} meV, {_SINGLE * bound:g} is allowed"
                    )
        return lines + (self.forces.problems() if self.forces else [])

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "rows": len(self.row_ids),
            "row_ids": list(self.row_ids),
            "mean_absolute_mev": {k: _number(np.mean, v) for k, v in self.differences.items()},
            "largest_mev": {k: _number(np.max, v) for k, v in self.differences.items()},
            "bound_mev": {k: self.bounds.allows(k) for k in self.differences},
            "forces": self.forces.as_dict() if self.forces else None,
        }


def _number(statistic: Any, values: np.ndarray) -> float | None:
    there = np.abs(values[np.isfinite(values)])
    return float(statistic(there)) if there.size else None


def difference_mev(label: float | None, reference: float) -> float:
    """Return label minus reference (both eV) in meV; NaN where neither has a value, infinite where one lacks it."""
    if (label is None) != bool(np.isnan(reference)):
        return np.inf
    return np.nan if label is None else 1e3 * (label - reference)


def recompute(dataset: Dataset, n: int, seed: int = 0, registry: scfx.Registry | None = None) -> Comparison:
    """Compute `n` randomly chosen ok rows (all, if there are fewer) again with libcint in float64, tightly converged.

    The geometry is the row's own; functional, basis, grid and the rest are the plan's, looked up in `registry` (None:
    the installed plugins). Forces are compared too where the dataset has them (`compare_forces`). Raises `InputError`
    if the plan names something that is not to be had here, or pyscf is missing.
    """
    stored = with_present_names(dataset.plan.identity["spec"])
    registry = scfx.Registry.discover() if registry is None else registry
    known = {key: value for key, value in stored.items() if key in scfx.SCFSpec.model_fields}
    given = scfx.SCFSpec.create(known, key="plan.spec")
    convergence = given.convergence
    if convergence.rule == "gradient":
        tight = CONVERGENCE_PRESETS["tight"]
        convergence = convergence.model_copy(update={"energy": tight.energy, "gradient": tight.gradient})
    with_forces = FORCES in dataset.schema.names
    spec = given.model_copy(
        update={
            "backend": "libcint", "precision": "float64", "convergence": convergence, "recovery": True,
            "stability": False, "properties": ("gradient",) if with_forces else (),
        }
    )  # fmt: skip
    rows = _sample(dataset, n, seed)
    policy = registry.precision(given.precision, key="plan.spec.precision")
    bounds = Bounds.for_policy(policy, given.convergence)
    forces = None
    differences: dict[str, list[float]] = {name: [] for name in _QUANTITIES}
    unsolved: dict[int, str] = {}
    if rows:
        systems = [
            scfx.System.from_arrays(
                row["atomic_numbers"],
                np.array(row["positions_angstrom"]),
                "angstrom",
                charge=row["charge"],
                multiplicity=row["multiplicity"],
            )
            for row in rows
        ]
        result = scfx.Solver(spec, registry).solve(systems)
        for i, row in enumerate(rows):
            if not result.converged[i]:
                unsolved[row["row_id"]] = result.reason[i] or result.status[i].explain()
            for name in _QUANTITIES:
                reference = float(getattr(result, name)[i]) * HARTREE_IN_EV
                differences[name].append(difference_mev(row[f"{name}_ev"], reference))
        if with_forces:
            target = target_of(policy, given.convergence)
            forces = compare_forces(rows, systems, result, spec, registry, target, seed)
    arrays = {name: np.array(values) for name, values in differences.items()}
    return Comparison(tuple(row["row_id"] for row in rows), arrays, bounds, unsolved, forces)


def _sample(dataset: Dataset, n: int, seed: int) -> list[dict[str, Any]]:
    """Distinct random ok rows, in the order of row_id; only the shards they are in are read."""
    if n < 0:
        raise InputError(f"sample: got {n} rows, expected 0 or more")
    shards, counts = [], []
    for shard, record in read_commits(dataset.plan):
        shards.append(shard)
        counts.append(record["statuses"].get("ok", 0))
    ends = list(accumulate(counts))
    total = ends[-1] if ends else 0
    chosen: dict[int, list[int]] = {}
    for index in random.Random(seed).sample(range(total), min(n, total)):
        which = bisect.bisect_right(ends, index)
        chosen.setdefault(which, []).append(index - (ends[which] - counts[which]))
    rows = []
    for which, places in chosen.items():
        table = dataset.read_shard(shards[which]).filter(pc.field("status") == "ok")
        rows += table.take(sorted(places)).to_pylist()
    return sorted(rows, key=lambda row: row["row_id"])
