"""Rows of a finished dataset against PySCF, by the basis set's name in both programs.

    python benchmarks/check_dataset.py out/demo --rows 8

For closed-shell datasets of functionals and basis sets that PySCF knows by the same name.
"""

from __future__ import annotations

import argparse
import random

import numpy as np
import scfx_dataset
from pyscf import dft, gto, lib

HARTREE_IN_EV = 27.211386245988


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("path")
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--functional", default="b3lyp")
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--grid", type=int, default=0)
    given = parser.parse_args()
    lib.num_threads(1)
    rows = [row for row in scfx_dataset.open(given.path).to_table().to_pylist() if row["status"] == "ok"]
    differences = []
    for row in random.Random(given.seed).sample(rows, given.rows):
        atoms = list(zip(row["atomic_numbers"], row["positions_angstrom"], strict=True))
        mf = dft.RKS(
            gto.M(atom=atoms, basis=given.basis, charge=row["charge"], verbose=0), xc=given.functional
        )
        mf.grids.level = given.grid
        mf.conv_tol = 1e-10
        energy = mf.kernel()
        empty = np.asarray(mf.mo_occ) == 0
        gap = mf.mo_energy[empty].min() - mf.mo_energy[~empty].max()
        differences.append((row["energy_ev"] - energy * HARTREE_IN_EV, row["gap_ev"] - gap * HARTREE_IN_EV))
        if len(differences) % 10 == 0 or len(differences) == given.rows:
            sizes = 1e3 * np.abs(differences)
            (energy, gap), (most_energy, most_gap) = sizes.mean(axis=0), sizes.max(axis=0)
            print(
                f"{len(differences)} rows, mean / largest difference from PySCF: energy {energy:.1e} / "
                f"{most_energy:.1e} meV, gap {gap:.1e} / {most_gap:.1e} meV",
                flush=True,
            )


if __name__ == "__main__":
    main()
