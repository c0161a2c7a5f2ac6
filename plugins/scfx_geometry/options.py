"""The options of the tasks: what a `[[task]]` table with `name = "optimize"` or `name = "frequencies"` may say."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from scfx.contracts.optimizer import Constraint
from scfx.hessian import STEP
from scfx_geometry.thermochemistry import PRESSURE, TEMPERATURE


class SourceOptions(BaseModel):
    """Which molecules. Relative paths: `molecules` is looked for in the working directory, then beside the
    configuration file; `output` is relative to the working directory."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    molecules: str = Field(
        description="file of geometries (.xyz, .extxyz) or of SMILES (.smi, .smiles, .txt), or the output folder of an "
        "optimize task, which may be an earlier one of the same configuration"
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
    output: str = Field(description="folder of the results")

    def row_options(self) -> dict[str, Any]:
        """Return the options that decide what the rows are; the others only say where and how."""
        return self.model_dump(mode="json", exclude={"molecules", "output", "lanes"})


class OptimizeOptions(SourceOptions):
    """Options of the optimize task (docs/geometries.md)."""

    optimizer: str = Field("berny", description="name of an optimiser: berny, geometric, ase-bfgs...")
    criteria: str | dict[str, float] = Field(
        "gau", description='"gau", "gau_tight", "gau_loose", "fmax", or { fmax = ... } in eV/angstrom'
    )
    max_steps: int = Field(100, ge=1, description="most energies and gradients of one molecule's path")
    constraints: tuple[Constraint, ...] = Field((), description="what is kept, of every molecule")
    trajectory: bool = Field(False, description="keep every frame with its energy and forces")
    lanes: int = Field(128, ge=1, description="molecules on their way at once")


class FrequenciesOptions(SourceOptions):
    """Options of the frequencies task (docs/geometries.md)."""

    step: float = Field(STEP, gt=0, le=0.1, description="displacement of each coordinate, in bohr")
    temperature: float = Field(TEMPERATURE, gt=0, description="kelvin")
    pressure: float = Field(PRESSURE, gt=0, description="pascal; the default is 1 atm")
    symmetry_number: int | None = Field(
        None, ge=1, description="of every molecule; default: found from its geometry"
    )
