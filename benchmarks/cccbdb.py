"""Energies of the NIST CCCBDB again: HF, B3LYP and PBE0 in 6-31G*, for atoms and molecules of one free coordinate.

    python benchmarks/cccbdb.py [--grid 4] [--backend auto] [--functionals pbe0] [--printed-mu]

The database's energies are each at the method's own optimised geometry; the geometry that it gives is the experimental
one. So the experimental geometry is scaled as a whole (which is all that symmetry leaves free in a diatomic molecule,
in CO2 and in CH4) to the minimum of a curve, twice refined, and that minimum is compared. The last column is the
energy at the experimental geometry above the database's, which cannot be negative.

`--printed-mu` gives PBE0's exchange the mu = 0.21951 that PBE's paper prints, as Gaussian seems to have, where scfx
(as libxc) takes beta pi^2/3 = 0.2195150. What is left of F2 is the database's grid: pruned_grids.py.

Source: NIST Computational Chemistry Comparison and Benchmark Database, SRD 101, release 22 (May 2022), ed. R. D.
Johnson III, doi:10.18434/T47C7Z; six decimals, hartree. d functions are Cartesian there.
"""

from __future__ import annotations

import argparse

import numpy as np
from scfx_xc.functionals import PBE0
from scfx_xc.pbe import PBECorrelation, PBEExchange

import scfx

FUNCTIONALS = ("hf", "b3lyp", "pbe0")  # the database's HF, B3LYP, PBE1PBE

#: Species: (symbols, experimental positions in angstrom, charge, multiplicity, energies in the order of FUNCTIONALS).
SPECIES: dict[str, tuple[str, list[list[float]], int, int, tuple[float, float, float]]] = {
    "He": ("He", [[0, 0, 0]], 0, 1, (-2.85516, -2.907049, -2.887692)),
    "C": ("C", [[0, 0, 0]], 0, 3, (-37.68086, -37.84628, -37.793444)),
    "O": ("O", [[0, 0, 0]], 0, 3, (-74.783934, -75.060621, -74.984986)),
    "F": ("F", [[0, 0, 0]], 0, 2, (-99.364957, -99.715535, -99.624625)),
    "Ne": ("Ne", [[0, 0, 0]], 0, 1, (-128.474407, -128.89436, -128.78992)),
    "H2": ("H H", [[0, 0, 0], [0, 0, 0.7414]], 0, 1, (-1.126828, -1.175482, -1.163885)),
    "BH": ("B H", [[0, 0, 0], [0, 0, 1.2324]], 0, 1, (-25.118258, -25.287892, -25.237213)),
    "BeH": ("Be H", [[0, 0, 0], [0, 0, 1.3426]], 0, 2, (-15.147307, -15.261042, -15.220863)),
    "CH": ("C H", [[0, 0, 0], [0, 0, 1.1199]], 0, 2, (-38.264934, -38.479163, -38.421274)),
    "OH": ("O H", [[0, 0, 0], [0, 0, 0.9697]], 0, 2, (-75.382275, -75.723454, -75.642983)),
    "N2": ("N N", [[0, 0, 0], [0, 0, 1.0976]], 0, 1, (-108.943949, -109.524129, -109.400279)),
    "CN-": ("C N", [[0, 0, 0], [0, 0, 1.1718]], -1, 1, (-92.285759, -92.824532, -92.711099)),
    "CO+": ("C O", [[0, 0, 0], [0, 0, 1.1282]], 1, 2, (-112.260516, -112.793565, -112.67115)),
    "NO": ("O N", [[0, 0, 0], [0, 0, 1.1508]], 0, 2, (-129.247883, -129.888156, -129.750336)),
    "O2": ("O O", [[0, 0, 0], [0, 0, 1.2075]], 0, 3, (-149.617908, -150.32004, -150.168409)),
    "F2": ("F F", [[0, 0, 0], [0, 0, 1.4119]], 0, 1, (-198.677757, -199.498294, -199.311623)),
    "CO2": (
        "C O O",
        [[0, 0, 0], [0, 0, 1.1621], [0, 0, -1.1621]],
        0,
        1,
        (-187.634176, -188.580939, -188.382609),
    ),
    "CH4": (
        "C H H H H",
        [
            [0, 0, 0],
            [0.6276, 0.6276, 0.6276],
            [0.6276, -0.6276, -0.6276],
            [-0.6276, 0.6276, -0.6276],
            [-0.6276, -0.6276, 0.6276],
        ],
        0,
        1,
        (-40.195172, -40.518383, -40.456864),
    ),
}


class PrintedPBE0(PBE0):
    """PBE0 with the digits of mu in print."""

    terms = ((0.75, PBEExchange(mu=0.21951)), (1.0, PBECorrelation()))


def _lowest(solver: scfx.Solver, name: str) -> tuple[float, float]:
    """(energy at the best scale, energy at the experimental geometry)."""
    symbols, positions, charge, multiplicity, _ = SPECIES[name]

    def energies(scales: np.ndarray) -> np.ndarray:
        systems = [
            scfx.System.from_arrays(
                symbols.split(),
                scale * np.array(positions, dtype=float),
                charge=charge,
                multiplicity=multiplicity,
            )
            for scale in scales
        ]
        return solver.solve(systems).raise_for_status().energy

    if len(positions) == 1:
        (energy,) = energies(np.ones(1))
        return float(energy), float(energy)
    centre, values = 1.0, np.array([])
    at_experiment = None
    for width in (0.04, 0.01, 0.002):
        scales = centre + width * np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
        values = energies(scales)
        at_experiment = float(values[2]) if at_experiment is None else at_experiment
        # A parabola through five points; two rounds more around its minimum leave nothing of what it misses.
        curve = np.polynomial.Polynomial.fit(scales, values, 2)
        centre = float(np.clip(curve.deriv().roots()[0].real, 0.9, 1.1))
    assert at_experiment is not None
    return float(values.min()), at_experiment


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--grid", type=int, default=4)
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--functionals", nargs="+", choices=FUNCTIONALS, default=FUNCTIONALS)
    parser.add_argument("--species", nargs="+", choices=SPECIES, default=list(SPECIES))
    parser.add_argument("--printed-mu", action="store_true", help="for pbe0")
    arguments = parser.parse_args()
    print("| species | method | CCCBDB / hartree | scfx minus CCCBDB | at the experimental geometry |")
    print("|---|---|---|---|---|")
    for functional in arguments.functionals:
        number = FUNCTIONALS.index(functional)
        printed = functional == "pbe0" and arguments.printed_mu
        solver = scfx.Solver(
            functional=PrintedPBE0() if printed else functional,
            basis={"name": "6-31g*", "cartesian": True}, grid=arguments.grid,
            backend=arguments.backend, convergence="tight", threads=1,
        )  # fmt: skip
        worst = 0.0
        for name in arguments.species:
            published = SPECIES[name][4][number]
            found, at_experiment = _lowest(solver, name)
            worst = max(worst, abs(found - published))
            print(
                f"| {name} | {functional} | {published:.6f} | {found - published:+.1e} "
                f"| {at_experiment - published:+.1e} |",
                flush=True,
            )
        print(f"| largest of {len(arguments.species)} | {functional} | | {worst:.1e} | |", flush=True)


if __name__ == "__main__":
    main()
