"""The options of the tasks: what a `[[task]]` table with `name = "optimize"` or `name = "frequencies"` may say."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from scfx.contracts.optimizer import Constraint
from scfx.hessian import STEP
from scfx.jobs import JobOptions
from scfx_geometry.thermochemistry import PRESSURE, TEMPERATURE


class SourceOptions(JobOptions):
    """Which molecules, and how the work on them is run. Relative paths: `molecules` is looked for in the working
    directory, then beside the configuration file; `output` is relative to the working directory."""

    molecules: str = Field(
        description="file of geometries (.xyz, .extxyz) or of SMILES (.smi, .smiles, .txt), or the output of an "
        "optimize or sample task, which may be an earlier one of the same configuration"
    )
    format: Literal["auto", "xyz", "smiles", "relaxed"] = Field(
        "auto", description="what `molecules` is; auto: a folder is relaxed, a file is what its name ends in"
    )
    charge: int | None = Field(None, description="of every molecule; default: what the file states, else 0")
    multiplicity: int | None = Field(
        None, ge=1, description="2S + 1 of every molecule; default: what the file states, else the lowest"
    )
    seed: int = Field(42, ge=0, description="of the conformer that RDKit makes of a SMILES")
    limit: int | None = Field(None, ge=1, description="take only the first so many molecules")
    shard_rows: int | None = Field(
        None,
        ge=1,
        description="molecules of a shard, which a worker computes and commits together; default: 16 at most, and so "
        "few that all workers are busy",
    )
    checkpoint_seconds: float = Field(
        60.0,
        ge=0,
        description="what there is of an unfinished shard is stored so often; 0: whenever it grows",
    )

    def row_options(self) -> dict[str, Any]:
        """Return the options that decide what the rows are; the others only say where and how."""
        how = {"molecules", "lanes", "shard_rows", "checkpoint_seconds"}
        return self.model_dump(mode="json", exclude=how | set(JobOptions.model_fields))


class PathOptions(SourceOptions):
    """Of tasks whose molecules walk paths, side by side in a shard."""

    shard_rows: int | None = Field(
        16,
        ge=1,
        description="molecules of a shard, which a worker computes side by side and commits together",
    )
    lanes: int = Field(128, ge=1, description="molecules of a shard on their way at once")


class OptimizeOptions(PathOptions):
    """Options of the optimize task (docs/geometries.md)."""

    optimizer: str = Field("berny", description="name of an optimiser: berny, geometric, ase-bfgs...")
    criteria: str | dict[str, float] = Field(
        "gau", description='"gau", "gau_tight", "gau_loose", "fmax", or { fmax = ... } in eV/angstrom'
    )
    max_steps: int = Field(100, ge=1, description="most energies and gradients of one molecule's path")
    constraints: tuple[Constraint, ...] = Field((), description="what is kept, of every molecule")
    trajectory: bool = Field(False, description="keep every frame with its energy and forces")
    propagate_guess: bool = Field(
        True, description="begin each step from the density of the one before; false: from the standard guess"
    )


class FrequenciesOptions(SourceOptions):
    """Options of the frequencies task (docs/geometries.md)."""

    step: float = Field(STEP, gt=0, le=0.1, description="displacement of each coordinate, in bohr")
    temperature: float = Field(TEMPERATURE, gt=0, description="kelvin")
    pressure: float = Field(PRESSURE, gt=0, description="pascal; the default is 1 atm")
    symmetry_number: int | None = Field(
        None, ge=1, description="of every molecule; default: found from its geometry"
    )
