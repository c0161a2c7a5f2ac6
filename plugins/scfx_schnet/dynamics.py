"""Does a trained potential hold molecules together? Molecular dynamics in ASE: energy drift and broken bonds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from scfx.model.bonds import bonded_pairs

if TYPE_CHECKING:
    from scfx_schnet.potential import Potential

#: A molecule: atomic numbers [natm] and positions [natm, 3] in angstrom.
Geometry = tuple[np.ndarray, np.ndarray]


class DynamicsOptions(BaseModel):
    """Molecular dynamics at constant energy with the trained potential (ASE's velocity Verlet)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    molecules: int = Field(10, ge=1, description="how many of those that nobody was trained on")
    picoseconds: float = Field(5.0, gt=0, description="length of each trajectory")
    timestep: float = Field(0.5, gt=0, description="femtoseconds")
    temperature: float = Field(
        300.0, gt=0, description="kelvin; velocities are drawn at twice it, half of which goes into the bonds"
    )
    broken: float = Field(1.3, gt=1, description="a bond longer than so many times its length at the start")
    every: int = Field(10, ge=1, description="steps between the frames that are looked at")
    seed: int = Field(0, ge=0, description="of the velocities")


def dynamics(
    potential: Potential, geometries: Sequence[Geometry], options: DynamicsOptions
) -> dict[str, Any]:
    """Return what became of each molecule after it was relaxed with the potential, given velocities and left alone.

    All molecules are one `Atoms` of ASE whose parts do not feel each other, so that a step is one call of the network.
    Keys, each a list by molecule: `drift_mev_per_atom_ps` (slope of the total energy), `largest_mev_per_atom` (its
    largest departure from the start), `kelvin` (mean kinetic temperature), `broken` (bonds of the given geometry that
    were too long in some frame, as [first atom, second atom, ps]; at 0 ps those that the relaxation tore), `finite`,
    `relaxed`. Numbers of a trajectory that left the finite are those of the time before.
    """
    from ase import Atoms, units
    from ase.md.verlet import VelocityVerlet

    from scfx_schnet.calculator import SeparateMolecules, relaxed

    started = [relaxed(potential, *geometry) for geometry in geometries]
    sizes = [len(numbers) for numbers, _ in geometries]
    ends = np.cumsum(sizes)[:-1]
    positions = [atoms.get_positions() for atoms, _ in started]
    atoms = Atoms(np.concatenate([z for z, _ in geometries]), np.concatenate(positions))
    atoms.calc = SeparateMolecules(potential, sizes)
    atoms.set_momenta(_momenta(atoms.get_masses(), ends, positions, options))
    bonds = [np.array(bonded_pairs(z, p), dtype=int).reshape(-1, 2) for z, p in geometries]
    lengths, broken = [], []
    for (_, before), after, pairs in zip(geometries, positions, bonds, strict=True):
        given, found = _lengths(before, pairs), _lengths(after, pairs)
        torn = ~(found <= options.broken * given)
        # What the relaxation tore is broken from the start, and judged by its length before.
        broken.append({(int(i), int(j)): 0.0 for i, j in pairs[torn]})
        lengths.append(np.where(torn, given, found))
    verlet = VelocityVerlet(atoms, timestep=options.timestep * units.fs)
    steps = max(1, round(1000 * options.picoseconds / options.timestep))
    ends_of_frames = [*range(options.every, steps, options.every), steps]
    times, totals, kinetic = [0.0], [_totals(atoms, ends)[0]], []
    with np.errstate(all="ignore"):
        for before, step in pairwise([0, *ends_of_frames]):
            verlet.run(step - before)
            times.append(step * options.timestep / 1000)
            total, moving = _totals(atoms, ends)
            totals.append(total)
            kinetic.append(moving)
            for index, (p, pairs) in enumerate(
                zip(np.split(atoms.get_positions(), ends), bonds, strict=True)
            ):
                long = ~(_lengths(p, pairs) <= options.broken * lengths[index])
                for pair in pairs[long]:
                    broken[index].setdefault((int(pair[0]), int(pair[1])), times[-1])
    return {
        "options": options.model_dump(mode="json"),
        "picoseconds": times[-1],
        "natm": sizes,
        "relaxed": [done for _, done in started],
        "broken": [[[*pair, time] for pair, time in found.items()] for found in broken],
        **_conservation(np.array(times), np.array(totals), np.array(kinetic), np.array(sizes)),
    }


def _momenta(
    masses: np.ndarray, ends: np.ndarray, positions: Sequence[np.ndarray], options: DynamicsOptions
) -> np.ndarray:
    """Maxwell and Boltzmann's at twice the temperature, without translation and rotation of any molecule."""
    from ase import units

    out = []
    for index, (mass, xyz) in enumerate(zip(np.split(masses, ends), positions, strict=True)):
        random = np.random.default_rng([options.seed, index])
        spread = np.sqrt(2 * options.temperature * units.kB / mass)[:, None]
        velocity = spread * random.normal(size=(len(mass), 3))
        velocity -= mass @ velocity / mass.sum()
        arm = xyz - mass @ xyz / mass.sum()
        inertia = np.einsum("a,aij->ij", mass, np.eye(3) * np.sum(arm**2, axis=1)[:, None, None])
        inertia -= np.einsum("a,ai,aj->ij", mass, arm, arm)
        # Linear molecules and atoms have axes about which nothing turns: those are left out of the inverse.
        angular = np.linalg.pinv(inertia, rcond=1e-6) @ np.cross(arm, velocity * mass[:, None]).sum(axis=0)
        out.append((velocity - np.cross(angular, arm)) * mass[:, None])
    return np.concatenate(out)


def _totals(atoms: Any, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Total and kinetic energy of each molecule, eV."""
    atoms.get_potential_energy()
    kinetic = 0.5 * np.sum(atoms.get_momenta() ** 2, axis=1) / atoms.get_masses()
    moving = np.array([part.sum() for part in np.split(kinetic, ends)])
    return atoms.calc.energies + moving, moving


def _lengths(positions: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)


def _conservation(
    times: np.ndarray, totals: np.ndarray, kinetic: np.ndarray, sizes: np.ndarray
) -> dict[str, list[Any]]:
    """Drift, largest departure and temperature by molecule, of the frames until an energy is not finite."""
    from ase import units

    out: dict[str, list[Any]] = {
        name: [] for name in ("drift_mev_per_atom_ps", "largest_mev_per_atom", "kelvin", "finite")
    }
    for index, natm in enumerate(sizes):
        finite = np.isfinite(totals[:, index]) & (np.abs(totals[:, index]) < 1e12)
        until = len(times) if finite.all() else int(np.argmin(finite))
        off = 1000 * (totals[:until, index] - totals[0, index]) / natm
        slope = float(np.polyfit(times[:until], off, 1)[0]) if until > 1 else None
        # Translation and rotation were taken away; a linear molecule is counted like the others.
        freedom = max(3 * int(natm) - 6, 1)
        mean = kinetic[: max(until - 1, 0), index]
        out["drift_mev_per_atom_ps"].append(slope)
        out["largest_mev_per_atom"].append(float(np.abs(off).max()))
        out["kelvin"].append(float(2 * mean.mean() / (freedom * units.kB)) if len(mean) else None)
        out["finite"].append(bool(finite.all()))
    return out


def fewer(count: int, asked: int) -> str:
    """Return a remark where fewer molecules were set apart than were asked for."""
    return f" ({asked} were asked for, and no more were set apart)" if count < asked else ""


def sentence(found: dict[str, Any]) -> str:
    """Return what `dynamics` found as a line of a report."""
    options = found["options"]
    count, drifts = len(found["natm"]), [abs(d) for d in found["drift_mev_per_atom_ps"] if d is not None]
    torn = sum(bool(broken) for broken in found["broken"])
    lost = count - sum(found["finite"])
    kelvin = [k for k in found["kelvin"] if k is not None]
    length = found.get("picoseconds", options["picoseconds"])
    return (
        f"NVE of {count} molecules{fewer(count, options['molecules'])}, {length:g} ps in steps of "
        f"{options['timestep']:g} fs, "
        f"{np.mean(kelvin):.0f} K on average: {torn} of them broke a bond (beyond {options['broken']:g} of its length "
        f"at the start), {sum(map(len, found['broken']))} bonds in all"
        + (f", {lost} left the finite" if lost else "")
        + f"; energy drift, median and largest: {np.median(drifts):.3f} and {max(drifts):.3f} meV per atom and ps."
        if drifts
        else f"NVE of {count} molecules: none lasted a frame."
    )
