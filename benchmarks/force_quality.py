"""How far forces are to be believed: differences from float64 two grid levels up, by grid level and policy.

    python benchmarks/force_quality.py                                # B3LYP/STO-3G, levels 0, 1 and 2: some minutes
    python benchmarks/force_quality.py --basis 6-31g* --levels 1 3

The sample is `SAMPLE`: eight small molecules, of each one conformer by RDKit with every coordinate moved by a normal
deviate of 0.05 angstrom, so that no force is zero by symmetry or relaxation. Columns, in meV/angstrom where not said:

- grid and policy: against float64 two levels up: mean absolute error and root mean square of the components, and the
  largest error of an atom;
- policy alone: mean absolute error against float64 on the same grid;
- net force: largest component; net torque: root mean square of its length (meV);
- electrons: mean absolute error of the number that the grid integrates to.

"no response" is float64 with `grid_response = false`, as many programs compute by default.
"""

from __future__ import annotations

import argparse

import numpy as np
from machine import describe, lines_to
from throughput import conformers

import scfx
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV

#: Water, methanol, formaldehyde, hydrogen cyanide, fluoromethane, acetylene, methylamine, formamide.
SAMPLE = ("O", "CO", "C=O", "C#N", "CF", "C#C", "CN", "NC=O")
POLICIES = {
    "float64": {},
    "mixed": {"precision": "mixed"},
    "float32": {"precision": "float32"},
    "no response": {"grid_response": False},
}
#: meV/angstrom in a hartree/bohr, and meV in a hartree.
FORCE, ENERGY = 1e3 * HARTREE_IN_EV / BOHR_IN_ANGSTROM, 1e3 * HARTREE_IN_EV


def sample() -> list[scfx.System]:
    """The molecules, at the same geometries each time."""
    random = np.random.default_rng(0)
    out = []
    for smiles in SAMPLE:
        (system,) = conformers(smiles, 1, 0)
        moved = system.positions_angstrom + 0.05 * random.standard_normal((system.natm, 3))
        out.append(scfx.System.from_arrays(system.symbols, moved, name=smiles))
    return out


def forces(systems: list[scfx.System], level: int, arguments: argparse.Namespace, **policy) -> scfx.SCFResult:
    """The converged result with gradients."""
    return scfx.solve(
        systems,
        arguments.functional,
        arguments.basis,
        arguments.backend,
        grid=level,
        properties="gradient",
        **policy,
    ).raise_for_status()


def together(result: scfx.SCFResult) -> np.ndarray:
    """[atoms of all molecules, 3] in meV/angstrom."""
    return -FORCE * np.concatenate(result.gradient)


def row(name: str, result: scfx.SCFResult, above: scfx.SCFResult, same: scfx.SCFResult) -> str:
    """One line of the table."""
    error = together(result) - together(above)
    alone = np.abs(together(result) - together(same)).mean()
    net = FORCE * np.abs(result.properties["net_force"]).max()
    torque = ENERGY * np.sqrt((np.linalg.norm(result.properties["net_torque"], axis=1) ** 2).mean())
    electrons = np.array([int(system.n_electrons) for system in result.systems])
    lost = np.abs(np.array(result.properties["electrons_on_grid"]) - electrons).mean()
    numbers = (
        np.abs(error).mean(),
        np.sqrt((error**2).mean()),
        np.linalg.norm(error, axis=1).max(),
        alone,
        net,
        torque,
    )
    cells = ["" if value == 0 else f"{value:.3g}" for value in numbers]
    return f"| {name} | {' | '.join(cells)} | {lost:.1e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--levels", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--functional", default="b3lyp")
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--backend", default="simd")
    parser.add_argument("--output", help="also write the table to this file")
    arguments = parser.parse_args()
    systems = sample()
    exact = {
        level: forces(systems, level, arguments)
        for level in sorted({level + up for level in arguments.levels for up in (0, 2)})
    }
    size = np.sqrt((together(exact[max(exact)]) ** 2).mean())
    lines = [
        f"{arguments.functional}/{arguments.basis}, {arguments.backend}: {len(systems)} molecules "
        f"({', '.join(SAMPLE)}), {len(together(exact[max(exact)]))} atoms; the root mean square of the components "
        f"themselves is {size:.0f} meV/angstrom.",
        "",
        "| grid level, policy | MAE | RMSE | worst atom | policy alone, MAE | net force | net torque (meV) | "
        "electrons |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for level in arguments.levels:
        for name, options in POLICIES.items():
            result = exact[level] if name == "float64" else forces(systems, level, arguments, **options)
            lines.append(row(f"{level}, {name}", result, exact[level + 2], exact[level]))
    print(describe(), *lines, sep="\n")
    lines_to(lines, arguments.output)


if __name__ == "__main__":
    main()
