"""What backend `jax` is worth on a processor: its energies, gaps and dipoles against those of libcint in float64.

    python benchmarks/gpu_correctness.py [--markdown TABLE.md]

B3LYP, grid level 0, tight thresholds (float32: the default ones); four conformers of each molecule, in both lane modes
and all policies. Differences are the worst of the conformers. Both backends have the same grids, so that integrals and
the procedure are all that differs.
"""

from __future__ import annotations

import argparse

import numpy as np
from machine import describe, lines_to

import scfx
from scfx.model.system import HARTREE_IN_EV

MOLECULES = ("O", "C#N", "C=O", "OC=O")
POLICIES = ("float64", "mixed", "float32")


def main() -> None:
    """Print a line for each molecule, policy and mode."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--markdown", help="write the table to this file too")
    arguments = parser.parse_args()
    lines = [
        describe(),
        "",
        f"B3LYP/{arguments.basis}, four conformers each, against libcint in float64:",
        "",
        "| molecule | policy | lanes | energy, hartree | gap, meV | dipole, e bohr |",
        "|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for smiles in MOLECULES:
        systems = [scfx.System.from_smiles(smiles, seed=42 + k) for k in range(4)]
        level = {"functional": "b3lyp", "basis": arguments.basis, "grid": 0, "threads": 1}
        right = scfx.solve(systems, backend="libcint", precision="float64", convergence="tight", **level)
        right.raise_for_status()
        for policy in POLICIES:
            for mode in ("loop", "batched"):
                convergence = "default" if policy == "float32" else "tight"
                found = scfx.solve(
                    systems, backend="jax", precision=policy, lane_mode=mode, convergence=convergence, **level
                ).raise_for_status()
                dipole = np.abs(found.dipole - right.dipole).max()
                lines.append(
                    f"| `{smiles}` | `{policy}` | {mode} | {np.abs(found.energy - right.energy).max():.1e} "
                    f"| {1000 * HARTREE_IN_EV * np.abs(found.gap - right.gap).max():.1e} | {dipole:.1e} |"
                )
                print(lines[-1], flush=True)
    lines_to(lines, arguments.markdown)


if __name__ == "__main__":
    main()
