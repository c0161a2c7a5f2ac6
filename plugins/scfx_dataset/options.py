"""The options of the dataset task: what a `[[task]]` table with `name = "dataset"` may say."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from scfx.jobs.options import JobOptions
from scfx.model.elements import SYMBOLS, atomic_number


class Filters(BaseModel):
    """Which molecules are kept. What is excluded is counted in plan.json and listed in plan/excluded-*.parquet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_heavy_atoms: int | None = Field(None, ge=0, description="fewest atoms other than hydrogen")
    max_heavy_atoms: int | None = Field(None, ge=0, description="most atoms other than hydrogen")
    max_atoms: int | None = Field(None, ge=1, description="most atoms, hydrogens included")
    max_aos: int | None = Field(None, ge=1, description="most atomic orbitals (N) in the basis of [scf]")
    elements: tuple[str, ...] | None = Field(
        None, description="the only elements allowed (hydrogen: name it too)"
    )
    charge: int | None = Field(None, description="the only total charge allowed")
    single_fragment: bool = Field(True, description="exclude SMILES of several molecules ('C.O')")

    @property
    def atomic_numbers(self) -> tuple[int, ...] | None:
        """Return the atomic numbers that `elements` allows; None: any."""
        return None if self.elements is None else tuple(atomic_number(symbol) for symbol in self.elements)

    @field_validator("elements")
    @classmethod
    def _known_elements(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        return tuple(SYMBOLS[z] for z in sorted({atomic_number(symbol) for symbol in value}))


class Limits(BaseModel):
    """What a record of the source may be at most. A larger one is a failed row that says so, and costs nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    record_bytes: int = Field(
        2**22, ge=1024, description="most bytes of a line, of a cell of csv, or of a block of SDF"
    )
    text_length: int = Field(
        2000,
        ge=1,
        description="most characters of a SMILES or a name: RDKit takes minutes for 100,000, and may crash",
    )
    atoms: int = Field(
        1000,
        ge=1,
        description="most atoms of a molecule: embedding 6,000 takes RDKit minutes that no timeout ends",
    )


class Embedding(BaseModel):
    """How a geometry is made: RDKit's ETKDGv3, one seeded call per conformer, and what is done to it afterwards.

    Only `displacement_angstrom` concerns given geometries. docs/datasets.md has the details.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_attempts: int = Field(
        0, ge=0, description="embedding attempts per conformer; 0: RDKit's own, 10 per atom"
    )
    timeout: int = Field(
        60, ge=0, description="seconds per conformer; 0: none. Depends on the machine: keep it loose"
    )
    prune_rms: float | None = Field(
        None, gt=0, description="drop a conformer within this RMS (angstrom, heavy atoms) of an earlier one"
    )
    relax: Literal["none", "mmff94"] = Field(
        "none", description="force field that relaxes the embedded geometry"
    )
    relax_iterations: int = Field(
        2000, ge=1, description="most steps of the relaxation; a geometry that needs more is a failed row"
    )
    displacement_angstrom: float = Field(
        0.0,
        ge=0,
        le=1,
        description="standard deviation of a random displacement of every Cartesian coordinate",
    )


class DatasetOptions(JobOptions):
    """Options of the dataset task. Relative paths: `molecules` is looked for in the working directory, then beside
    the configuration file; `output` is relative to the working directory."""

    molecules: str = Field(description="file or folder of molecules or geometries")
    format: Literal["auto", "smiles", "csv", "sdf", "xyz", "qm9", "parquet", "dataset", "ase"] = Field(
        "auto", description="what `molecules` is; auto: by the name's ending"
    )
    column: str = Field("smiles", description="column with the SMILES, for .csv and .parquet files")
    positions_column: str = Field("", description="column with positions, for .csv and .parquet files")
    positions_unit: Literal["", "angstrom", "bohr"] = Field(
        "", description="unit of that column, where its name does not end in it"
    )
    geometry: Literal["embed", "given"] = Field(
        "embed", description="embed conformers of the SMILES, or take the geometries of the source"
    )
    multiplicity: int | None = Field(
        None,
        ge=1,
        description="2S + 1 of molecules whose record states none; default: from the structure, else the lowest",
    )
    conformers: int = Field(
        1, ge=1, le=100_000, description="geometries of each molecule (given: copies of each): that many rows"
    )
    seed: int = Field(42, ge=0, description="every conformer's own seed is derived from it")
    limit: int | None = Field(None, ge=1, description="take only the first so many accepted molecules")
    filters: Filters = Field(default_factory=lambda: Filters())  # type: ignore[call-arg]
    limits: Limits = Field(default_factory=lambda: Limits())  # type: ignore[call-arg]
    embedding: Embedding = Field(default_factory=lambda: Embedding())  # type: ignore[call-arg]
    shard_minutes: float = Field(
        2.0, gt=0, description="aim for shards of so many minutes of one core, by the cost model"
    )
    shard_rows: int = Field(0, ge=0, description="rows of a shard, whatever they cost; 0: by shard_minutes")
    extras: tuple[Literal["orbital_energies", "mulliken_charges"], ...] = Field(
        (), description="optional columns"
    )

    output: str = Field(description="folder of the dataset")
    license: str = Field("other", description="licence identifier of the data, for the dataset card")
    batch_size: int = Field(128, ge=1, description="systems given to the solver at once")
    take_over: tuple[str, ...] = Field(
        (), description="datasets of the same level whose rows are taken over where they are equal"
    )

    @field_validator("take_over", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("extras")
    @classmethod
    def _sorted_extras(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(value)))

    @model_validator(mode="after")
    def _given_geometries_are_taken_as_they_are(self) -> DatasetOptions:
        if self.geometry == "given":
            if self.embedding.relax != "none" or self.embedding.prune_rms is not None:
                raise ValueError(
                    "geometry = 'given' takes the geometries as they are: embedding.relax and embedding.prune_rms "
                    "are for geometry = 'embed'"
                )
            if self.conformers > 1 and not self.embedding.displacement_angstrom:
                raise ValueError(
                    f"geometry = 'given' with conformers = {self.conformers} would compute the same geometry "
                    "several times; set embedding.displacement_angstrom for displaced copies, or conformers = 1"
                )
        return self

    def row_options(self) -> dict[str, Any]:
        """Return the options that decide what the rows are, and so enter the plan's identity; the others only
        say how.
        """
        chosen = self.model_dump(
            mode="json",
            include={
                "format", "column", "positions_column", "positions_unit", "geometry", "conformers", "seed",
                "multiplicity",
                "limit", "filters", "limits", "embedding", "shard_minutes", "shard_rows", "extras",
            },
        )  # fmt: skip
        # Plans without it stay the plans that they were.
        return {key: value for key, value in chosen.items() if key != "multiplicity" or value is not None}
