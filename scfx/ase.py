"""`SCFX`: scfx as a calculator of ASE, and `evaluate` for many Atoms at once.

    from ase.build import molecule
    from scfx.ase import SCFX

    water = molecule("H2O")
    water.calc = SCFX(functional="b3lyp", basis="6-31g*")
    water.get_potential_energy()  # eV
    water.get_forces()  # eV/angstrom

ASE is needed for this module alone: `pip install ase`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from ase.calculators.calculator import Calculator, CalculatorSetupError, SCFError, all_changes

from scfx.config.spec import SCFSpec
from scfx.config.values import name_of
from scfx.driver import Solver
from scfx.errors import InputError
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV, System

if TYPE_CHECKING:
    from ase import Atoms

    from scfx.registry import Registry
    from scfx.results import SCFResult

_FORCE = HARTREE_IN_EV / BOHR_IN_ANGSTROM


class SCFX(Calculator):
    """Energy (eV), forces (eV/angstrom), dipole (e·angstrom, about the origin) and Mulliken charges of molecules.

    Keyword arguments are the keys of `[scf]` (`functional`, `basis`, `backend`, `precision`, `grid`...). `charge` and
    `multiplicity` come from the arguments here; else from `atoms.info` ("charge"; "multiplicity", or "spin" as 2S + 1);
    else from the sums of initial charges and magnetic moments; else they are 0 and the lowest possible, which
    `results["assumed"]` says. Statements that contradict each other, and periodic Atoms, are refused.

    One solver, with its compiled functions, serves all geometries. Results are kept until positions, elements or
    charges change. `guess = "previous"` starts from the last geometry's density: fewer iterations, and labels that
    depend on the path within the convergence thresholds; without it every result depends on its geometry alone.
    `free_energy` is the energy: occupations are integers.

    Raises `CalculatorSetupError` for what cannot be computed as asked, `SCFError` where it does not converge.
    """

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "dipole", "charges"]
    ignored_changes: ClassVar[set[str]] = {"pbc", "cell"}
    discard_results_on_any_change = True

    def __init__(
        self,
        charge: int | None = None,
        multiplicity: int | None = None,
        registry: Registry | None = None,
        label: str | None = None,
        **scf: Any,
    ):
        super().__init__(label=label)
        self._charge = charge
        self._multiplicity = multiplicity
        self._follows = scf.get("guess") == "previous"
        if self._follows:
            scf = {key: value for key, value in scf.items() if key != "guess"}
        self._registry = registry
        self._scf = scf
        self._solvers: dict[tuple[bool, tuple[int, ...]], Solver] = {}
        self._density: np.ndarray | None = None
        self._formula: tuple[int, ...] = ()
        try:
            SCFSpec.create(scf)
        except InputError as error:
            raise CalculatorSetupError(str(error)) from error

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute energy and forces of `atoms`, if asked for, and put them into `results`; ASE calls it."""
        super().calculate(atoms, properties, system_changes)
        try:
            system = System.from_ase(self.atoms, self._charge, self._multiplicity)
            result = self._solve(system, "forces" in properties)
        except InputError as error:
            raise CalculatorSetupError(str(error)) from error
        if not result.converged[0]:
            raise SCFError(f"{result.status[0]}: {result.reason[0]}")
        self.results = _results(result, 0)
        self.results["assumed"] = sorted(system.assumed)

    def _solve(self, system: System, forces: bool) -> SCFResult:
        elements = tuple(sorted({int(z) for z in system.atomic_numbers}))
        key = (forces, elements)
        if key not in self._solvers:
            self._solvers[key] = _solver(self._scf, forces, elements, self._registry)
        formula = tuple(int(z) for z in system.atomic_numbers)
        known = self._follows and self._density is not None and formula == self._formula
        result = self._solvers[key].solve(
            [system], return_density=self._follows, initial_density=[self._density] if known else None
        )
        if self._follows and result.converged[0] and result.density is not None:
            self._density, self._formula = result.density[0], formula
        return result


def evaluate(
    images: Sequence[Atoms], properties: Sequence[str] = ("energy", "forces"), **scf: Any
) -> list[Atoms]:
    """Return copies of many Atoms, each with its results attached (`SinglePointCalculator`), solved in batches.

    Charge and multiplicity as in `SCFX`, from each Atoms. Ones that do not converge carry no calculator, and the reason
    in `info["scfx_reason"]`. Raises `InputError` for what cannot be computed as asked.
    """
    from ase.calculators.singlepoint import SinglePointCalculator

    systems = []
    for index, atoms in enumerate(images):
        try:
            systems.append(System.from_ase(atoms))
        except InputError as error:
            raise InputError(f"images[{index}]: {error}") from error
    elements = tuple(sorted({int(z) for system in systems for z in system.atomic_numbers}))
    result = _solver(scf, "forces" in properties, elements, None).solve(systems)
    out = []
    for index, atoms in enumerate(images):
        copy = atoms.copy()
        if result.converged[index]:
            copy.calc = SinglePointCalculator(copy, **_results(result, index))
        else:
            copy.info["scfx_reason"] = result.reason[index] or result.status[index].explain()
        out.append(copy)
    return out


def _solver(
    scf: dict[str, Any], forces: bool, elements: tuple[int, ...], registry: Registry | None
) -> Solver:
    asked = scf.get("properties", ())
    named = [asked] if isinstance(asked, str) else list(asked)
    if forces and "gradient" not in map(name_of, named):
        named.append("gradient")
    return Solver(SCFSpec.create({**scf, "properties": tuple(named)}), registry, atomic_numbers=elements)


def _results(result: SCFResult, index: int) -> dict[str, Any]:
    energy = float(result.energy[index]) * HARTREE_IN_EV
    found: dict[str, Any] = {
        "energy": energy,
        "free_energy": energy,
        "dipole": np.asarray(result.dipole[index]) * BOHR_IN_ANGSTROM,
    }
    if result.mulliken_charges is not None:
        found["charges"] = np.asarray(result.mulliken_charges[index])
    if result.gradient is not None:
        gradient = result.gradient[index]
        if gradient is None:
            raise InputError(f"no forces: {result.property_reasons['gradient'][index]}")
        found["forces"] = -np.asarray(gradient) * _FORCE
    return found
