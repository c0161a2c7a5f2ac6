"""Does a trained potential lead to the minimum? Relaxations with it, judged by the level of theory of the labels."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

import scfx
from scfx.config.spec import SCFSpec
from scfx.errors import ConfigError, InputError
from scfx.model.system import HARTREE_IN_EV, System
from scfx_schnet.dynamics import Geometry, fewer

if TYPE_CHECKING:
    from ase.calculators.calculator import Calculator

    from scfx.registry import Registry
    from scfx_schnet.potential import Potential


class RelaxationOptions(BaseModel):
    """Relaxations with the trained potential, judged at a level of theory (ASE's BFGS for both)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    molecules: int = Field(10, ge=1, description="how many of those that nobody was trained on")
    level: dict[str, Any] = Field(
        default_factory=dict, description="keys that differ from [scf]: what the judge computes with"
    )
    fmax: float = Field(0.01, gt=0, description="largest force that is left, eV/angstrom")
    steps: int = Field(300, ge=1, description="most steps of a relaxation")

    def spec(self, common: SCFSpec | None, level: Mapping[str, Any], key: str) -> SCFSpec:
        """Return the judge's level: `[scf]` with the keys of `level`, or else of the option, replaced."""
        said = {} if common is None else common.model_dump(exclude_unset=True)
        try:
            return SCFSpec.create({**said, **(level or self.level), "properties": ["gradient"]}, key=key)
        except InputError as error:
            raise ConfigError(key, str(error)) from error


class Minima:
    """Minima of molecules at a level of theory, each found once and kept in a file of `folder`.

    `paths` by molecule: positions [frame, natm, 3] in angstrom, energies [frame] in eV and forces [frame, natm, 3] in
    eV/angstrom of every step from the start to the minimum; None where the relaxation did not end.
    """

    def __init__(
        self,
        geometries: Sequence[Geometry],
        options: RelaxationOptions,
        spec: SCFSpec,
        folder: Path,
        registry: Registry | None = None,
    ):
        from scfx.ase import SCFX

        self.geometries, self.options = list(geometries), options
        elements = tuple(sorted({int(z) for numbers, _ in geometries for z in numbers}))
        self.solver = scfx.Solver(spec, registry, atomic_numbers=elements)
        self._calculator = SCFX(registry=registry, charge=0, **spec.model_dump(exclude_unset=True))
        self._folder = folder
        self.paths = [self._path(*geometry) for geometry in self.geometries]

    def _path(self, numbers: np.ndarray, positions: np.ndarray) -> dict[str, np.ndarray] | None:
        limits = (self.options.fmax, self.options.steps)
        digest = hashlib.sha256(repr((self.solver.spec_hash, limits, numbers.tolist())).encode())
        digest.update(np.ascontiguousarray(positions, dtype=np.float64).tobytes())
        file = self._folder / f"{digest.hexdigest()[:24]}.npz"
        if not file.exists():
            found = _walk(numbers, positions, self.options, self._calculator)
            self._folder.mkdir(parents=True, exist_ok=True)
            scratch = file.with_name(f".{file.name}")
            with scratch.open("wb") as handle:
                np.savez(handle, **found)  # type: ignore[arg-type]
            scratch.replace(file)
        with np.load(file) as content:
            path = {name: content[name] for name in content.files}
        return path if path.pop("done") else None

    def __call__(self, potential: Potential) -> dict[str, Any]:
        """Return how relaxations with the potential compare, lists over the molecules whose minimum is known.

        `above_mev`: energy of the potential's minimum above the level's own, at that level (None: no SCF there);
        `rmsd_angstrom` between them, best superposed; `relaxed`: whether the potential's forces vanished. Along the
        level's own path: `path_force_mae` (eV/angstrom), `path_energy_mae` (eV, energies less those of its end).
        """
        from scfx_schnet.calculator import relaxed

        out: dict[str, list[Any]] = {
            "above_mev": [], "rmsd_angstrom": [], "relaxed": [], "path_force_mae": [], "path_energy_mae": [],
        }  # fmt: skip
        systems, minima = [], []
        for (numbers, start), path in zip(self.geometries, self.paths, strict=True):
            if path is None:
                continue
            atoms, done = relaxed(potential, numbers, start, self.options.fmax, self.options.steps)
            out["relaxed"].append(done)
            out["rmsd_angstrom"].append(rmsd(atoms.positions, path["positions"][-1]))
            energies, forces = potential([numbers] * len(path["positions"]), list(path["positions"]))
            off = (energies - energies[-1]) - (path["energies"] - path["energies"][-1])
            out["path_energy_mae"].append(float(np.abs(off[:-1]).mean()) if len(off) > 1 else 0.0)
            out["path_force_mae"].append(float(np.abs(np.array(forces) - path["forces"]).mean()))
            systems.append(System.from_arrays(numbers, atoms.positions, unit="angstrom", multiplicity=None))
            minima.append(float(path["energies"][-1]))
        result = self.solver.solve(systems) if systems else None
        for index, least in enumerate(minima):
            assert result is not None
            usable = bool(result.converged[index])
            energy = float(result.energy[index]) * HARTREE_IN_EV
            out["above_mev"].append(1000 * (energy - least) if usable else None)
        return {
            "spec_hash": self.solver.spec_hash,
            "molecules": len(self.geometries),
            "asked": self.options.molecules,
            **out,
        }


def _walk(
    numbers: np.ndarray, positions: np.ndarray, options: RelaxationOptions, calculator: Calculator
) -> dict[str, Any]:
    """The level's own relaxation, every step of it; `done` False where it did not get there."""
    from ase import Atoms
    from ase.calculators.calculator import CalculationFailed, SCFError
    from ase.optimize import BFGS

    atoms = Atoms(numbers, positions, calculator=calculator)
    frames: dict[str, list[Any]] = {"positions": [], "energies": [], "forces": []}

    def keep() -> None:
        frames["positions"].append(atoms.get_positions())
        frames["energies"].append(atoms.get_potential_energy())
        frames["forces"].append(atoms.get_forces())

    search = BFGS(atoms, logfile=None)
    search.attach(keep)
    try:
        done = bool(search.run(fmax=options.fmax, steps=options.steps))
    except (SCFError, CalculationFailed):
        done = False
    return {**{name: np.array(values) for name, values in frames.items()}, "done": np.array(done)}


def rmsd(one: np.ndarray, other: np.ndarray) -> float:
    """Return the root mean square distance (angstrom) of two geometries [natm, 3] of one molecule, best superposed."""
    one, other = one - one.mean(axis=0), other - other.mean(axis=0)
    # As Kabsch, by the singular values of the covariance; a reflection is no rotation.
    u, s, vt = np.linalg.svd(one.T @ other)
    s[-1] *= np.sign(np.linalg.det(u @ vt))
    left = np.sum(one**2) + np.sum(other**2) - 2 * s.sum()
    return float(np.sqrt(max(left, 0.0) / len(one)))


def sentence(found: dict[str, Any]) -> str:
    """Return what `Minima` found as a line of a report."""
    above = [value for value in found["above_mev"] if value is not None]
    known, asked = len(found["above_mev"]), found.get("asked", 0)
    if not above:
        return f"Relaxation of {found['molecules']} molecules: none could be judged."
    return (
        f"Relaxation of {known} molecules{fewer(found['molecules'], asked)}, judged at the level of the labels: "
        f"{sum(found['relaxed'])} of them ended; energy above the level's own minimum, median and largest: "
        f"{np.median(above):.1f} and {max(above):.1f} meV; distance of the atoms, median: "
        f"{np.median(found['rmsd_angstrom']):.3f} angstrom; along the level's own path, forces are off by "
        f"{1000 * np.mean(found['path_force_mae']):.0f} meV/angstrom and energies by "
        f"{1000 * np.mean(found['path_energy_mae']):.0f} meV."
    )
