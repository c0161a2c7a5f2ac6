"""`PotentialCalculator`: a trained network as a calculator of ASE, and `evaluate` for many Atoms at once.

    from scfx_schnet.calculator import PotentialCalculator

    water.calc = PotentialCalculator("out/potential/model.pt")
    water.get_potential_energy()  # eV
    water.get_forces()  # eV/angstrom

ASE is needed for this module alone: `pip install ase`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from ase.calculators.calculator import Calculator, CalculatorSetupError, all_changes

from scfx.errors import InputError
from scfx.model.system import System
from scfx_schnet.potential import Potential

if TYPE_CHECKING:
    from ase import Atoms

    from scfx.registry import Registry


class PotentialCalculator(Calculator):
    """Energy (eV) and forces (eV/angstrom) by the `model.pt` of a training on energies and forces.

    `precision` "float64" conserves energy in dynamics to the integrator's error; "float32" is faster on GPUs. `device`
    "auto" is a GPU if there is one. The network sees elements and positions alone: Atoms whose charge (`atoms.info`, or
    initial charges) did not occur in its data are refused, as are periodic ones and elements that it does not know.

    Raises `CalculatorSetupError` for what cannot be computed.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces"]
    ignored_changes: ClassVar[set[str]] = {"pbc", "cell"}
    discard_results_on_any_change = True

    def __init__(
        self,
        path: str | os.PathLike[str],
        precision: Literal["float32", "float64"] = "float64",
        device: str = "auto",
        registry: Registry | None = None,
        label: str | None = None,
    ):
        super().__init__(label=label)
        try:
            self.potential = Potential.load(path, precision, device, registry)
        except InputError as error:
            raise CalculatorSetupError(str(error)) from error

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute energy and forces of `atoms`, as ASE asks for them."""
        super().calculate(atoms, properties, system_changes)
        try:
            (self.results,) = _results(self.potential, [self.atoms])
        except InputError as error:
            raise CalculatorSetupError(str(error)) from error


def evaluate(potential: Potential, images: Sequence[Atoms]) -> list[Atoms]:
    """Return copies of many Atoms, each with energy and forces attached (`SinglePointCalculator`), from one batch.

    Raises `InputError` for Atoms that the potential does not know.
    """
    from ase.calculators.singlepoint import SinglePointCalculator

    out = []
    for atoms, results in zip(images, _results(potential, images), strict=True):
        copy = atoms.copy()
        copy.calc = SinglePointCalculator(copy, **results)
        out.append(copy)
    return out


def _results(potential: Potential, images: Sequence[Any]) -> list[dict[str, Any]]:
    for index, atoms in enumerate(images):
        try:
            charge = System.from_ase(
                atoms
            ).charge  # refuses periodic Atoms, and statements that contradict each other
        except InputError as error:
            raise InputError(f"images[{index}]: {error}") from error
        if potential.charges and charge not in potential.charges:
            known = ", ".join(str(c) for c in sorted(potential.charges))
            raise InputError(
                f"images[{index}]: charge {charge}, which the network was not trained on and does not see; its "
                f"data has {known}"
            )
    energies, forces = potential([atoms.numbers for atoms in images], [atoms.positions for atoms in images])
    return [
        {"energy": float(energy), "free_energy": float(energy), "forces": force}
        for energy, force in zip(energies, forces, strict=True)
    ]


class SeparateMolecules(Calculator):
    """Molecules that do not feel each other, as one Atoms: many trajectories for the price of one call a step.

    `sizes`: atoms of each molecule, one after the other. `energies` [molecule] in eV are those of the last call. Where
    a molecule's positions are not finite, nor are its energy and forces, and the others do not notice.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces"]

    def __init__(self, potential: Potential, sizes: Sequence[int]):
        super().__init__()
        self._potential, self._ends = potential, np.cumsum(sizes)[:-1]
        self.energies = np.zeros(len(sizes))

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute the energies of all and the forces on all atoms, as ASE asks for them."""
        super().calculate(atoms, properties, system_changes)
        assert self.atoms is not None
        parts = (np.split(values, self._ends) for values in (self.atoms.numbers, self.atoms.positions))
        self.energies, forces = self._potential(*parts)
        total = float(self.energies.sum())
        self.results = {"energy": total, "free_energy": total, "forces": np.concatenate(forces)}


def relaxed(
    potential: Potential, numbers: np.ndarray, positions: np.ndarray, fmax: float = 0.01, steps: int = 300
) -> tuple[Atoms, bool]:
    """Return a molecule after ASE's BFGS with the potential, and whether it got there.

    `positions` in angstrom; `fmax`: the largest force that is left, eV/angstrom.
    """
    from ase import Atoms
    from ase.optimize import BFGS

    atoms = Atoms(numbers, positions)
    atoms.calc = SeparateMolecules(potential, [len(atoms)])
    done = BFGS(atoms, logfile=None).run(fmax=fmax, steps=steps)
    return atoms, bool(done)
