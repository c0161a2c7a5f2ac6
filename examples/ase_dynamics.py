"""scfx under ASE: relaxation, dynamics, vibrations, and the barrier of ammonia's inversion by NEB.

    python examples/ase_dynamics.py [bfgs] [langevin] [vibrations] [neb] [geometric] [sella]

Without arguments all but the last, which needs `pip install sella`. The smallest basis set, to be quick.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from ase import Atoms, units
from ase.build import molecule
from ase.mep import NEB
from ase.optimize import BFGS

from scfx.ase import SCFX, evaluate

LEVEL = {"functional": "hf", "basis": "sto-3g", "threads": 1}


def hydrogen(distance: float = 0.8) -> Atoms:
    """H2 with a calculator."""
    atoms = Atoms("H2", [[0, 0, 0], [0, 0, distance]])
    atoms.calc = SCFX(**LEVEL)
    return atoms


def bfgs() -> float:
    """Relax water; returns the length of its bonds in angstrom."""
    water = molecule("H2O")
    # Each step starts from the last one's density: fewer iterations, and labels that depend on the path.
    water.calc = SCFX(**LEVEL, guess="previous")
    BFGS(water, logfile=None).run(fmax=0.01)
    return float(water.get_distance(0, 1))


def langevin(steps: int = 20) -> np.ndarray:
    """Twenty femtoseconds of H2 at 300 K; its energies in eV, all in one batch: labels depend on the geometry alone."""
    from ase.md.langevin import Langevin

    atoms, rng, frames = hydrogen(0.71), np.random.default_rng(1), []
    thermal = np.sqrt(atoms.get_masses() * units.kB * 300)  # width of each momentum's distribution
    atoms.set_momenta(rng.normal(size=(len(atoms), 3)) * thermal[:, None])
    dynamics = Langevin(
        atoms, 1.0 * units.fs, temperature_K=300, friction=0.01 / units.fs, rng=rng, fixcm=False
    )
    dynamics.attach(lambda: frames.append(atoms.copy()), interval=5)
    dynamics.run(steps)
    return np.array([frame.get_potential_energy() for frame in evaluate(frames, **LEVEL)])


def vibrations() -> float:
    """The stretch of H2 in 1/cm, by ASE's differences of forces."""
    from ase.vibrations import Vibrations

    atoms = hydrogen()
    BFGS(atoms, logfile=None).run(fmax=0.001)
    with tempfile.TemporaryDirectory() as folder:
        found = Vibrations(atoms, name=str(Path(folder) / "h2"))
        found.run()
        return float(found.get_frequencies()[-1].real)


def neb(images: int = 5) -> float:
    """The barrier of ammonia's inversion in eV: a band between the two pyramids, all images with one calculator."""
    first = molecule("NH3")
    first.calc = calculator = SCFX(**LEVEL)
    BFGS(first, logfile=None).run(fmax=0.02)
    last = first.copy()
    last.positions[:, 2] *= -1  # the mirror image, in the plane of the hydrogens
    band = [first.copy() for _ in range(images - 1)] + [last]
    chain = NEB(band, allow_shared_calculator=True, method="improvedtangent")
    chain.interpolate()
    for image in band:
        image.calc = calculator
    BFGS(chain, logfile=None).run(fmax=0.1, steps=20)
    energies = [image.get_potential_energy() for image in band]
    return float(max(energies) - energies[0])


def geometric() -> float:
    """Relax H2 by geomeTRIC's engine for ASE; returns its length in angstrom."""
    from geometric.ase_engine import EngineASE
    from geometric.internal import DelocalizedInternalCoordinates
    from geometric.molecule import Molecule
    from geometric.optimize import Optimize, OptParams

    atoms, start = hydrogen(), Molecule()
    start.elem, start.xyzs = atoms.get_chemical_symbols(), [atoms.get_positions()]
    start.build_topology()
    internal = DelocalizedInternalCoordinates(start, build=True)
    with tempfile.TemporaryDirectory() as folder:
        progress = Optimize(
            start.xyzs[0].ravel() / 0.529177210903,
            start,
            internal,
            EngineASE(start, SCFX(**LEVEL)),
            folder,
            OptParams(),
        )
    return float(np.linalg.norm(progress.xyzs[-1][1] - progress.xyzs[-1][0]))


def sella() -> float:
    """Relax water by Sella, order 0: a minimum; returns the length of its bonds in angstrom."""
    from sella import Sella  # pyright: ignore[reportMissingImports] an optional package

    water = molecule("H2O")
    water.calc = SCFX(**LEVEL)
    Sella(water, order=0, internal=True, logfile=None).run(fmax=0.01, steps=50)
    return float(water.get_distance(0, 1))


PARTS = {f.__name__: f for f in (bfgs, langevin, vibrations, neb, geometric, sella)}


if __name__ == "__main__":
    for name in sys.argv[1:] or [each for each in PARTS if each != "sella"]:
        print(name, PARTS[name]())
