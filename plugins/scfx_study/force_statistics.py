"""Error statistics of forces against those of the reference, over all atoms and element by element."""

# pyright: reportAttributeAccessIssue=false, reportArgumentType=false, reportCallIssue=false
# pyright: reportGeneralTypeIssues=false, reportOperatorIssue=false, reportIndexIssue=false
# (the types that pandas states are unions which pyright cannot narrow)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int64

from scfx.model.elements import SYMBOLS
from scfx_study.statistics import _moments, _resamples, _sums

#: Column of the table; eV/angstrom.
FORCES = "forces_ev_per_angstrom"
#: What stands for all elements together.
ALL = "all"
#: A force below this (eV/angstrom) in the reference has no direction.
_NO_DIRECTION = 1e-9


@dataclass(frozen=True)
class ForceErrors:
    """Forces of one option and of what it is compared with, atom by atom, in meV/angstrom."""

    error: Float64[np.ndarray, "atom 3"]
    reference: Float64[np.ndarray, "atom 3"]
    element: Int64[np.ndarray, "atom"]
    molecule: Int64[np.ndarray, "atom"]
    conformer: Int64[np.ndarray, "atom"]

    def select(self, chosen: np.ndarray) -> ForceErrors:
        """Return the errors of some of the atoms."""
        return ForceErrors(
            self.error[chosen],
            self.reference[chosen],
            self.element[chosen],
            self.molecule[chosen],
            self.conformer[chosen],
        )


def has_forces(table: pd.DataFrame) -> bool:
    """Return whether any option has forces."""
    return FORCES in table and bool(table[FORCES].notna().any())


def force_statistics(
    table: pd.DataFrame, pairs: Sequence[tuple[str, str]], resamples: int = 1000, confidence: float = 0.95
) -> pd.DataFrame:
    """Return a row for each pair (option, compared with) and element, and one for all elements; over used rows with
    forces.

    In meV/angstrom: `mae`, `rmse` and `max` over components, `worst_atom`: the length of the largest error of an atom,
    `mean_worst_atom`: the largest of each conformer, averaged. `cosine`: of the angle between the two forces on an
    atom, averaged over atoms. `rms_force` is that of the components of the reference, to compare with. `_low`, `_high`:
    bootstrap intervals over molecules. Options without forces have no row.
    """
    rows: list[dict[str, Any]] = []
    for option, against in pairs:
        found = force_errors(table, option, against)
        if not len(found.error):
            continue
        for element in (0, *np.unique(found.element).tolist()):
            part = found.select(found.element == element) if element else found
            name = SYMBOLS[element] if element else ALL
            head = {"option": option, "against": against, "element": name, "unit": "meV/angstrom"}
            rows.append(head | _summary(part, resamples, confidence))
    return pd.DataFrame(rows)


def force_errors(table: pd.DataFrame, option: str, against: str) -> ForceErrors:
    """Return the errors of forces, paired by `entry`, over used rows that have forces in both."""
    used = table[table["used"] & table[FORCES].notna()]
    mine = used[used["option"] == option].set_index("entry")
    other = used[used["option"] == against].set_index("entry")
    errors, references, elements, molecules, conformers = ([] for _ in range(5))
    for number, entry in enumerate(mine.index.intersection(other.index, sort=False)):
        a, b = (np.stack(part.loc[entry, FORCES]).astype(np.float64) for part in (mine, other))
        errors.append(1e3 * (a - b))
        references.append(1e3 * b)
        elements.append(np.asarray(mine.loc[entry, "atomic_numbers"], dtype=np.int64))
        molecules.append(np.full(len(a), mine.loc[entry, "molecule"], dtype=np.int64))
        conformers.append(np.full(len(a), number, dtype=np.int64))
    if not errors:
        none = np.zeros(0, dtype=np.int64)
        return ForceErrors(np.zeros((0, 3)), np.zeros((0, 3)), none, none, none)
    return ForceErrors(*(np.concatenate(x) for x in (errors, references, elements, molecules, conformers)))


def _summary(found: ForceErrors, resamples: int, confidence: float) -> dict[str, Any]:
    sizes = np.linalg.norm(found.error, axis=1)
    molecules, index = np.unique(found.molecule, return_inverse=True)
    _, of_conformer = np.unique(found.conformer, return_inverse=True)
    worst = np.zeros(of_conformer.max() + 1)
    np.maximum.at(worst, of_conformer, sizes)
    sums = _sums(found.error.ravel(), np.repeat(index, 3), molecules.size)
    cosine, directed = _cosines(found)
    by_molecule = np.stack(
        [
            np.bincount(index[directed], weights=w, minlength=molecules.size)
            for w in (cosine, np.ones_like(cosine))
        ]
    )
    _, mae, rmse = _moments(np.ones((1, molecules.size)), sums)
    row: dict[str, Any] = {
        "n": found.error.size,
        "atoms": len(sizes),
        "conformers": worst.size,
        "molecules": molecules.size,
        "mae": float(mae[0]),
        "rmse": float(rmse[0]),
        "max": float(np.abs(found.error).max()),
        "worst_atom": float(sizes.max()),
        "mean_worst_atom": float(worst.mean()),
        "cosine": float(cosine.mean()) if cosine.size else None,
        "rms_force": float(np.sqrt((found.reference**2).mean())),
    }
    if resamples and molecules.size > 1:
        tails = [50 * (1 - confidence), 50 * (1 + confidence)]
        drawn = _resamples(molecules.size, resamples)
        _, maes, rmses = _moments(drawn, sums)
        total, count = drawn @ by_molecule.T[:, 0], drawn @ by_molecule.T[:, 1]
        for name, values in (
            ("mae", maes),
            ("rmse", rmses),
            ("cosine", (total / np.maximum(count, 1))[count > 0]),
        ):
            if values.size:
                row[f"{name}_low"], row[f"{name}_high"] = (float(v) for v in np.percentile(values, tails))
    return row


def _cosines(found: ForceErrors) -> tuple[Float64[np.ndarray, "n"], np.ndarray]:
    """Of the atoms whose forces have a direction in both, and which atoms these are."""
    mine = found.reference + found.error
    lengths = np.linalg.norm(mine, axis=1) * np.linalg.norm(found.reference, axis=1)
    directed = lengths > (1e3 * _NO_DIRECTION) ** 2
    products = np.einsum("ax,ax->a", mine, found.reference)
    return products[directed] / lengths[directed], directed
