"""What a trained network is asked after its training: better labels, each molecule, relaxations, dynamics."""

from __future__ import annotations

from collections.abc import Set
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.errors import ConfigError
from scfx_schnet.dynamics import DynamicsOptions, Geometry, dynamics
from scfx_schnet.job import rows_hash
from scfx_schnet.judge import Judge
from scfx_schnet.molecules import Molecules
from scfx_schnet.potential import Potential
from scfx_schnet.relaxation import Minima, RelaxationOptions
from scfx_schnet.split import Split, rank
from scfx_schnet.targets import FORCES, scalars

if TYPE_CHECKING:
    from scfx.config.spec import SCFSpec
    from scfx.registry import Registry
    from scfx_schnet.training import Training

#: Errors by molecule, in the folder of a run.
BY_MOLECULE = "by_molecule.npz"


class Examination:
    """Asks the networks of one curve, or the network of a `potential` task; `largest` also lets it move molecules.

    `by_molecule`: errors of the asked rows are kept molecule by molecule, for comparisons with another curve; asked are
    the judge's validation and test rows, or the curve's own without a judge.
    """

    def __init__(
        self,
        molecules: Molecules,
        split: Split,
        judge: Judge | None,
        by_molecule: bool,
        moving: DynamicsOptions | None,
        relaxing: RelaxationOptions | None,
        spec: SCFSpec | None,
        folder: Path,
        registry: Registry,
    ):
        self._judge, self._by_molecule, self._registry = judge, by_molecule, registry
        self._moving, self._relaxing, self._spec, self._folder = moving, relaxing, spec, folder
        self._molecules = molecules if judge is None else judge.molecules
        self._asked = np.concatenate([split.validation, split.test]) if judge is None else judge.asked
        self._minima: Minima | None = None
        charges = self._molecules.description.get("charges") or [0]
        if relaxing is not None and charges != [0]:
            raise ConfigError(
                "task.relaxation",
                f"relaxes neutral molecules, and the data has the charges {charges}: which one a geometry has, the "
                "training does not keep. Leave relaxation out",
            )

    @property
    def question(self) -> list[Any]:
        """Return plain data that is the same for equal labels of equal rows that are asked about."""
        return [self._molecules.identity, rows_hash(self._asked)]

    def asks(self, largest: bool) -> dict[str, Any]:
        """Return what is asked beside the errors of the training, as plain data: {} if nothing is."""
        found: dict[str, Any] = {} if self._judge is None else {"judge": self._judge.identity}
        if self._by_molecule:
            found["by_molecule"] = self.question
        if largest and self._moving is not None:
            found["dynamics"] = {**self._moving.model_dump(mode="json"), "of": self.question}
        if largest and self._relaxing is not None:
            assert self._spec is not None
            level = self._spec.resolve(self._registry).spec_hash
            found["relaxation"] = {
                **self._relaxing.model_dump(mode="json", exclude={"level"}),
                "spec_hash": level,
                "of": self.question,
            }
        return found

    def __call__(self, training: Training, new: Set[str]) -> dict[str, Any]:
        """Return the judge's errors, if there is one; writes `by_molecule.npz` where errors are compared.

        Only questions whose names are in `new` are answered (`asks`).
        """
        found = self._judge(training) if self._judge is not None and "judge" in new else {}
        if self._by_molecule and "by_molecule" in new:
            keys, errors = _errors_by_molecule(training, self._molecules, self._asked)
            if training.group.first:
                np.savez(training.folder / BY_MOLECULE, keys=keys, **errors)  # pyright: ignore[reportArgumentType]
        return found

    def largest(self, training: Training, new: Set[str]) -> dict[str, Any]:
        """Return those, and what becomes of molecules that the potential moves."""
        found = self(training, new)
        if not training.group.first or not {"dynamics", "relaxation"} & new:
            return found
        device = str(training.device)
        potential = Potential.load(training.folder / "model.pt", device=device, registry=self._registry)
        return found | self.moved(potential, new)

    def moved(self, potential: Potential, new: Set[str]) -> dict[str, Any]:
        """Return what `dynamics` and `Minima` say of a potential, under these names; of those that were asked for."""
        found: dict[str, Any] = {}
        if self._relaxing is not None and "relaxation" in new:
            if self._minima is None:
                assert self._spec is not None
                geometries = self._geometries[: self._relaxing.molecules]
                self._minima = Minima(geometries, self._relaxing, self._spec, self._folder, self._registry)
            found["relaxation"] = self._minima(potential)
        if self._moving is not None and "dynamics" in new:
            found["dynamics"] = dynamics(potential, self._geometries[: self._moving.molecules], self._moving)
        return found

    @cached_property
    def _geometries(self) -> list[Geometry]:
        """The first row of each molecule that is asked, molecules in an order that their keys give."""
        keys, first = np.unique(self._molecules.keys[self._asked], return_index=True)
        rows = self._asked[first[np.argsort(rank(keys, 0), kind="stable")]]
        return [self._molecules.geometry(int(row)) for row in rows]


def _errors_by_molecule(
    training: Training, molecules: Molecules, rows: np.ndarray
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The keys of the molecules of some rows, and their mean absolute errors [molecule] by target.

    Each in its target's unit; of forces, over the components of all atoms of the molecule's rows. "relative energy"
    is the energy less the mean over the molecule's rows: what is off between its conformers.
    """
    names = scalars(training.job.targets)
    found, forces = training.predictions(molecules, rows)
    off = found - molecules.targets(rows, names)
    keys, molecule = np.unique(molecules.keys[rows], return_inverse=True)
    wrong = {}
    for column, name in zip(off.T, names, strict=True):
        wrong[name] = _means(np.abs(column), molecule, len(keys))
        if name == "energy":
            shared = _means(column, molecule, len(keys))[molecule]
            wrong["relative energy"] = _means(np.abs(column - shared), molecule, len(keys))
    if FORCES in training.job.targets:
        of_atoms = np.abs(forces - molecules.forces(rows)).mean(axis=1)
        wrong[FORCES] = _means(of_atoms, np.repeat(molecule, molecules.sizes[rows]), len(keys))
    return keys, wrong


def _means(values: np.ndarray, group: np.ndarray, count: int) -> np.ndarray:
    return np.bincount(group, values, minlength=count) / np.bincount(group, minlength=count)
