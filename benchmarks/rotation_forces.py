"""What a grid costs in rotation covariance: forces of a turned molecule, turned back, against their mean.

    python benchmarks/rotation_forces.py                    # levels 0 to 3, B3LYP/STO-3G, four molecules
    python benchmarks/rotation_forces.py --levels 1 --functional r2scan --rotations 32

Exact forces turn with the molecule. Those of a quadrature whose points are fixed in space do not, by as much as the
grid is wrong. Each molecule (one conformer by RDKit, every coordinate moved by a normal deviate of 0.05 angstrom) is
turned at random; by level, over all molecules, in meV/angstrom:

- spread: root mean square over rotations of a component of F(turned) turned back, less its mean over rotations;
- largest: of these deviations, in any component;
- torque: root mean square of the net torque (meV), the same defect as each row carries it;
- Hartree-Fock: the spread without a grid, which is rounding.
"""

from __future__ import annotations

import argparse
import os

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set
from force_quality import ENERGY, FORCE  # noqa: E402
from machine import describe, lines_to  # noqa: E402
from rotation_noise import rotation  # noqa: E402
from throughput import conformers  # noqa: E402

import scfx  # noqa: E402

#: Water, methanol, hydrogen cyanide, formamide.
SAMPLE = ("O", "CO", "C#N", "NC=O")


def covariance(
    systems: list[scfx.System], turns: list[np.ndarray], **options: object
) -> tuple[np.ndarray, np.ndarray]:
    """Deviations of forces turned back from their mean (all components, meV/angstrom), and net torques (meV)."""
    turned = [
        scfx.System(system.atomic_numbers, system.positions @ turn.T) for system in systems for turn in turns
    ]
    result = scfx.solve(turned, properties="gradient", threads=1, **options).raise_for_status()  # type: ignore[arg-type]
    assert result.gradient is not None
    deviations = []
    for index in range(len(systems)):
        rows = range(index * len(turns), (index + 1) * len(turns))
        gradients = (result.gradient[row] for row in rows)
        back = np.stack([g @ turn for g, turn in zip(gradients, turns, strict=True) if g is not None])
        deviations.append(FORCE * (back - back.mean(axis=0)).ravel())
    torques = np.linalg.norm(np.array(result.properties["net_torque"], dtype=float), axis=1)
    return np.concatenate(deviations), ENERGY * torques


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--levels", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--rotations", type=int, default=16)
    parser.add_argument("--functional", default="b3lyp")
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--backend", default="simd")
    parser.add_argument("--smiles", nargs="+", default=list(SAMPLE))
    parser.add_argument("--output", help="also write the table to this file")
    given = parser.parse_args()
    random = np.random.default_rng(0)
    systems = []
    for smiles in given.smiles:
        (system,) = conformers(smiles, 1, 0)
        moved = system.positions_angstrom + 0.05 * random.standard_normal((system.natm, 3))
        systems.append(scfx.System.from_arrays(system.symbols, moved, name=smiles))
    turns = [rotation(random) for _ in range(given.rotations)]
    lines = [
        f"{given.functional}/{given.basis}, {given.backend}, float64: {', '.join(given.smiles)}, "
        f"{given.rotations} rotations each.",
        "",
        "| grid level | spread of a component (meV/angstrom) | largest deviation | net torque, RMS (meV) |",
        "|---|---|---|---|",
    ]
    for level in given.levels:
        away, torque = covariance(
            systems,
            turns,
            functional=given.functional,
            basis=given.basis,
            backend=given.backend,
            grid=level,
        )
        lines.append(
            f"| {level} | {np.sqrt((away**2).mean()):.3g} | {np.abs(away).max():.3g} "
            f"| {np.sqrt((torque**2).mean()):.3g} |"
        )
    away, torque = covariance(
        systems, turns, functional="hf", basis=given.basis, backend=given.backend, grid=0
    )
    lines.append(
        f"| none (Hartree-Fock) | {np.sqrt((away**2).mean()):.1e} | {np.abs(away).max():.1e} "
        f"| {np.sqrt((torque**2).mean()):.1e} |"
    )
    print(describe(), *lines, sep="\n")
    lines_to(lines, given.output)


if __name__ == "__main__":
    main()
