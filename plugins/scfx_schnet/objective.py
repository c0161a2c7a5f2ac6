"""The objective of a training: standardised targets of rows, the loss, and errors in the targets' own units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from scfx.errors import ConfigError
from scfx.model.elements import SYMBOLS
from scfx_schnet.targets import FORCES, Standardiser, scalars

if TYPE_CHECKING:
    from scfx_schnet.batch import PackedMolecules
    from scfx_schnet.fidelity import Joined
    from scfx_schnet.molecules import Molecules
    from scfx_schnet.options import TrainingOptions

#: Mean, spread and atom references are those of at most so many rows: enough for all digits that matter.
_FITTED_ROWS = 100_000


class Objective:
    """Standardised targets of the rows of a training subset, and the loss by them.

    Without forces the loss is the mean over molecules and targets. With forces it is a sum: `energy_weight` times the
    mean of the energy's error per atom, `force_weight` times the mean of the errors of the force components (of each
    molecule, then over molecules), and the mean error of each other target; energies and forces in units of the root of
    the mean square of a force component.
    """

    def __init__(
        self,
        molecules: Molecules | Joined,
        rows: np.ndarray,
        targets: Sequence[str],
        options: TrainingOptions,
        standardiser: Standardiser | None = None,
    ):
        self._molecules, self._options = molecules, options
        self._names = scalars(targets)
        self.with_forces = FORCES in targets
        self.energy = self._names.index("energy") if self.with_forces else None
        _check(options, self.with_forces, "energy" in self._names)
        self.standardiser = standardiser or self._fit(rows[:_FITTED_ROWS])

    def _fit(self, rows: np.ndarray) -> Standardiser:
        counts = self._molecules.atom_counts(rows)
        return Standardiser.fit(
            self._names,
            self._molecules.targets(rows, self._names),
            counts,
            self._molecules.forces(rows) if self.with_forces else None,
            _atom_energies(self._options, counts),
        )

    def batch(self, rows: np.ndarray) -> PackedMolecules:
        """Return the rows, with what the network is to learn of them."""
        counts = self._molecules.atom_counts(rows)
        targets = self.standardiser.standardise(self._molecules.targets(rows, self._names), counts)
        forces = None
        if self.energy is not None:
            forces = self._molecules.forces(rows) / self.standardiser.std[self.energy]
        return self._molecules.pack(rows, targets, forces)

    def loss(
        self, predicted: torch.Tensor | tuple[torch.Tensor, torch.Tensor], batch: PackedMolecules
    ) -> torch.Tensor:
        """Return a number to be made small, from what the network says of a batch.

        With forces that is what `WithForces` says, or the network alone where nothing is learnt of them.
        """
        values, forces = (predicted, None) if isinstance(predicted, torch.Tensor) else predicted
        wrong = values.float() - batch.targets
        if self.energy is None:
            return self._penalty(wrong).mean()
        natm = torch.bincount(batch.molecule, minlength=batch.n_molecules)[:, None].to(batch.targets.dtype)
        others = [column for column in range(wrong.shape[1]) if column != self.energy]
        total = self._options.energy_weight * self._penalty(wrong[:, [self.energy]] / natm).mean()
        if forces is not None:
            assert batch.forces is not None
            of_atoms = self._penalty(forces.float() - batch.forces).mean(dim=1, keepdim=True)
            of_molecules = torch.zeros_like(natm).index_add(0, batch.molecule, of_atoms) / natm
            total = total + self._options.force_weight * of_molecules.mean()
        if others:
            total = total + self._penalty(wrong[:, others]).mean(dim=0).sum()
        return total

    def _penalty(self, wrong: torch.Tensor) -> torch.Tensor:
        if self._options.loss == "l1":
            return wrong.abs()
        if self._options.loss == "mse":
            return wrong.square()
        delta = self._options.huber_delta
        return torch.nn.functional.huber_loss(wrong, torch.zeros_like(wrong), reduction="none", delta=delta)


def _check(options: TrainingOptions, with_forces: bool, with_energy: bool) -> None:
    """Raise `ConfigError` for options that mean nothing with these targets, or cannot be had with forces."""
    defaults = type(options)()  # type: ignore[call-arg]
    for name in ("energy_weight", "force_weight"):
        if not with_forces and getattr(options, name) != getattr(defaults, name):
            raise ConfigError(
                f"task.training.{name}", f"weighs energies against forces; add {FORCES!r} to task.targets"
            )
    if options.atom_energies and not with_energy:
        raise ConfigError("task.training.atom_energies", "are for the target 'energy', which is not learnt")
    if with_forces and not options.energy_weight and not options.force_weight:
        raise ConfigError("task.training.force_weight", "is 0, and so is energy_weight: nothing is learnt")
    if with_forces and options.compile:
        raise ConfigError(
            "task.training.compile",
            "torch.compile does not differentiate twice, as a training on forces does; turn it off",
        )
    if with_forces and options.precision == "float16":
        raise ConfigError(
            "task.training.precision",
            "forces are derivatives, which float16 loses below 6e-8; take 'bfloat16' or 'float32'",
        )


def _atom_energies(options: TrainingOptions, counts: np.ndarray) -> dict[int, float]:
    """The given energies of atoms by atomic number; {} if they are to be fitted."""
    if not options.atom_energies:
        return {}
    numbers = {symbol: number for number, symbol in enumerate(SYMBOLS)}
    unknown = [symbol for symbol in options.atom_energies if symbol not in numbers]
    if unknown:
        raise ConfigError("task.training.atom_energies", f"{unknown[0]!r} is no element's symbol")
    given = {numbers[symbol]: energy for symbol, energy in options.atom_energies.items()}
    missing = [SYMBOLS[z] for z in np.flatnonzero(counts.any(axis=0)) if z not in given]
    if missing:
        raise ConfigError(
            "task.training.atom_energies",
            f"has no {', '.join(missing)}, which the training subset has; add it, or leave all out to fit them",
        )
    return given


def median_mae(
    molecules: Molecules, train: np.ndarray, asked: np.ndarray, names: Sequence[str]
) -> list[float]:
    """Return the baseline: the error of the training subset's median, each in its target's unit (mostly eV).

    Of the energy after removing atom references; forces are predicted to be zero.
    """
    plain = scalars(names)
    fit = Standardiser.fit(plain, molecules.targets(train, plain), molecules.atom_counts(train))

    def rest(rows: np.ndarray) -> np.ndarray:
        return molecules.targets(rows, plain) - molecules.atom_counts(rows) @ fit.references

    found = dict(
        zip(plain, np.abs(rest(asked) - np.median(rest(train), axis=0)).mean(axis=0).tolist(), strict=True)
    )
    if FORCES in names:
        found[FORCES] = float(np.abs(molecules.forces(asked)).mean(dtype=np.float64))
    return [found[name] for name in names]


def check_elements(known: Iterable[int], asked: Mapping[str, Iterable[int]], key: str, remedy: str) -> None:
    """Raise `ConfigError` with `key` and `remedy` if what is `asked`, each with its elements, has some that are not
    `known` from the training rows.
    """
    for name, elements in asked.items():
        unknown = set(elements) - set(known)
        if unknown:
            raise ConfigError(
                key,
                f"the {name} has {', '.join(SYMBOLS[z] for z in sorted(unknown))}, which no training row has: its "
                f"errors would say nothing. {remedy}",
            )


def check_units(targets: Sequence[str], one: Molecules, other: Molecules, key: str) -> None:
    """Raise `ConfigError` with `key` if `one` has a target in another unit than `other`."""
    for target in targets:
        if one.unit(target) != other.unit(target):
            raise ConfigError(
                key,
                f"its {target} is in {one.unit(target) or 'no unit'}, that of the training data in "
                f"{other.unit(target) or 'no unit'}",
            )


def check_reach(network: torch.nn.Module, molecules: Molecules | Joined, with_forces: bool) -> None:
    """Raise `ConfigError` if the network keeps so few neighbours that its energy would jump as they change."""
    limit = getattr(network, "max_neighbors", None)
    largest = int(molecules.sizes.max())
    if with_forces and limit is not None and largest > limit + 1:
        raise ConfigError(
            "task.model",
            f"max_neighbors = {limit} makes the energy jump where an atom's nearest neighbours change, and the data "
            f"has molecules of {largest} atoms; take a model without it, for instance 'painn-potential'",
        )
