"""What is learnt: gap, HOMO, LUMO, energy, forces, or a property of a dataset; and how it is standardised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64

from scfx.errors import ConfigError, InputError

#: Targets that every source may have, in eV: columns `<name>_ev` of datasets, fields of QM9. A dataset has another one
#: for each property that is a number, under the property's name and in its column's unit.
TARGETS = ("gap", "homo", "lumo", "energy")
#: The target that is learnt as minus the derivative of the energy, in eV/angstrom.
FORCES = "forces"
#: Atomic numbers that the models can embed (0 to 99).
MAX_ATOMIC_NUMBER = 99


def checked_targets(names: Sequence[str], key: str = "task.targets") -> tuple[str, ...]:
    """Return the names, or `ConfigError` for none or a repeated one. Which there are, the data say."""
    if not names or len(set(names)) != len(names):
        raise ConfigError(key, f"got {list(names)}, expected at least one target, each once")
    if FORCES in names and "energy" not in names:
        raise ConfigError(
            key, f"got {list(names)}: forces are learnt as minus the derivative of the energy; add 'energy'"
        )
    return tuple(names)


def scalars(names: Sequence[str]) -> tuple[str, ...]:
    """Return the targets that are outputs of a network, one number a molecule: all but the forces."""
    return tuple(name for name in names if name != FORCES)


def thousandth(unit: str) -> str:
    """Return what a thousandth of a target's unit is called: tables and plots show errors in it."""
    if unit.startswith("eV"):
        return f"m{unit}"
    return f"10⁻³ {unit}".strip()


@dataclass(frozen=True, eq=False)
class Standardiser:
    """The standardisation of targets, y = Σ_atoms reference(Z) + mean + std · network, each in its unit (eV of
    energies).

    `references` [atomic number, target] is zero but for the energy, whose atom reference energies are a least-squares
    fit to the training subset, or given. Where forces are learnt too, the energy has no mean of its own, so that it
    grows with the molecule, and its `std` is the root of the mean square of a force component times 1 angstrom: then
    forces in eV/angstrom are `std` times the network's.
    """

    mean: Float64[np.ndarray, "target"]
    std: Float64[np.ndarray, "target"]
    references: Float64[np.ndarray, "number target"]

    @classmethod
    def fit(
        cls,
        names: Sequence[str],
        values: Float64[np.ndarray, "molecule target"],
        counts: Float64[np.ndarray, "molecule number"],
        forces: Float[np.ndarray, "atom 3"] | None = None,
        atom_energies: Mapping[int, float] | None = None,
    ) -> Standardiser:
        """Fit it to the training subset: targets in eV, and how many atoms of each atomic number a molecule has.

        `forces` of its atoms, where they are learnt. `atom_energies` (eV, by atomic number) replace the fit.
        """
        references = np.zeros((counts.shape[1], len(names)))
        present = np.flatnonzero(counts.any(axis=0))
        for column, name in enumerate(names):
            if name == "energy" and atom_energies:
                references[list(atom_energies), column] = list(atom_energies.values())
            elif name == "energy":
                references[present, column] = np.linalg.lstsq(
                    counts[:, present], values[:, column], rcond=None
                )[0]
        rest = values - counts @ references
        mean, std = rest.mean(axis=0), rest.std(axis=0)
        if forces is not None:
            column = list(names).index("energy")
            mean[column], std[column] = 0.0, np.sqrt(np.mean(np.square(forces, dtype=np.float64)))
        if not np.all(std > 0):
            flat = [name for name, s in zip(names, std, strict=True) if not s > 0]
            raise InputError(
                f"the training subset of {len(values)} rows has no spread in {', '.join(flat)}: nothing to learn. "
                "Take more rows, or another target"
            )
        return cls(mean, std, references)

    def standardise(
        self, values: Float64[np.ndarray, "molecule target"], counts: Float64[np.ndarray, "molecule number"]
    ) -> Float64[np.ndarray, "molecule target"]:
        """Return targets in eV as what the network learns (dimensionless)."""
        return (values - counts @ self.references - self.mean) / self.std

    def to_ev(
        self, network: np.ndarray, counts: Float64[np.ndarray, "molecule number"]
    ) -> Float64[np.ndarray, "molecule target"]:
        """Return the network's output back to eV."""
        return network.astype(np.float64) * self.std + self.mean + counts @ self.references

    def state(self) -> dict[str, Any]:
        """Return plain data for a checkpoint."""
        return {k: torch.from_numpy(getattr(self, k).copy()) for k in ("mean", "std", "references")}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Standardiser:
        """Return a standardiser from what a checkpoint holds."""
        return cls(**{k: state[k].numpy() for k in ("mean", "std", "references")})
