"""The options of the sample task: `[[task]]` with `name = "sample"`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from scfx.hessian import STEP
from scfx_geometry.options import PathOptions


class _Method(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class NormalModesMethod(_Method):
    """Displacements along normal modes of each geometry."""

    kind: Literal["normal_modes"]
    seed: int = Field(42, ge=0, description="of the displacements")
    temperature: float = Field(300.0, ge=0, description="kelvin")
    distribution: Literal["classical", "quantum"] = Field(
        "classical", description="of harmonic oscillators; quantum has the zero-point motion"
    )
    step: float = Field(STEP, gt=0, le=0.1, description="of the Hessian's differences, bohr")


class DynamicsMethod(_Method):
    """Frames of molecular dynamics with ASE's Langevin thermostat."""

    kind: Literal["dynamics"]
    seed: int = Field(42, ge=0, description="of velocities and thermostat")
    temperature: float = Field(300.0, gt=0, description="kelvin")
    timestep: float = Field(0.5, gt=0, description="femtoseconds")
    friction: float = Field(0.01, gt=0, description="1/fs")
    warm_up: int = Field(100, ge=0, description="steps before the first frame is due")
    interval: int = Field(50, ge=1, description="steps from frame to frame")


class TorsionMethod(_Method):
    """A torsion turned around, the rest relaxed or not."""

    kind: Literal["torsion"]
    atoms: tuple[int, int, int, int] = Field(description="of every molecule, counted from 0")
    relax: bool = Field(True, description="relax the rest with the torsion kept")
    optimizer: str = Field("ase-bfgs", description="one that keeps constraints")
    criteria: str | dict[str, float] = Field("gau_loose", description="as of the optimize task")
    max_steps: int = Field(100, ge=1, description="most energies and gradients of one relaxation")

    @field_validator("atoms")
    @classmethod
    def _four_atoms(cls, atoms: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(atoms)) < 4:
            raise ValueError(f"got {list(atoms)}, which names an atom twice; a torsion is of four atoms")
        return atoms


class RelaxationMethod(_Method):
    """Points of a relaxation, from the start to the minimum."""

    kind: Literal["relaxation"]
    optimizer: str = Field("berny", description="as of the optimize task")
    criteria: str | dict[str, float] = Field("gau_loose", description="as of the optimize task")
    max_steps: int = Field(100, ge=1, description="most energies and gradients of the relaxation")


class ConformersMethod(_Method):
    """Conformers by ETKDG, relaxed by MMFF94, the lowest or the nearest of them."""

    kind: Literal["conformers"]
    seed: int = Field(42, ge=0, description="of the embedding")
    conformers: int = Field(50, ge=1, description="how many are made, of which task.samples are picked")
    pick: Literal["lowest", "nearest"] = Field(
        "lowest", description="by energy, or by the distance of heavy atoms from the molecule's own geometry"
    )
    prune_rms: float = Field(
        0.1, ge=0, description="angstrom of heavy atoms: one this near to another, at its energy, is the same"
    )


class SampleOptions(PathOptions):
    """Options of the sample task (docs/geometries.md)."""

    samples: int = Field(8, ge=1, description="geometries of each molecule")
    method: Annotated[
        NormalModesMethod | DynamicsMethod | TorsionMethod | RelaxationMethod | ConformersMethod,
        Field(discriminator="kind"),
    ]
    level: dict[str, Any] | None = Field(
        None, description="keys of [scf] for the forces on the way; default: [scf] itself"
    )
    label: bool = Field(True, description="label the samples; false: geometries only, for a dataset task")
