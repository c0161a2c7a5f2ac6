"""The levels of published datasets, molecule by molecule against PySCF on the same grid.

    python benchmarks/levels.py [--levels spice omol25] [--molecules 10] [--grid 1] [--backend simd] [--small]

Ten molecules of three to five heavy atoms (`--small`: of three, with at most two hydrogens, for the large basis sets),
embedded by RDKit with a fixed seed. Prints the largest difference of each level, which is to be below 1e-7 hartree
(1e-6 with VV10). Both programs leave out combinations of AOs with overlap eigenvalues up to PySCF's threshold, 1e-6;
scfx's own keeps more (fluoroacetylene at SPICE's level comes out 3.3e-5 hartree lower). D3(BJ) is added to PySCF's
energy from simple-dftd3, since that part is the same library in both. QM9's mixed Cartesian and spherical basis has no
counterpart in PySCF: its level is compared with the dataset's own energies (qm9_reference.py).
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np

import scfx
from scfx.model.basis import BasisSet, radial_norm
from scfx.model.elements import SYMBOLS

MOLECULES = ("CCO", "CC=O", "C1CC1", "CC#N", "NC=O", "OCC=O", "CC(=O)O", "CNC=O", "C1COC1", "FC=CO")

SMALL = ("N#CF", "O=C=O", "[N-]=[N+]=O", "N=C=O", "FOF", "N=[N+]=[N-]", "N#CO", "O=CF", "OC=O", "FC#C")

#: Level -> (functional, basis, PySCF's functional, largest allowed difference in hartree).
LEVELS: dict[str, tuple[str, Any, str, float]] = {
    "qm1b": ("b3lyp5", "sto-3g", "b3lyp5", 1e-7),
    "pcq": ("b3lyp", {"name": "6-31g*", "cartesian": True}, "b3lypg", 1e-7),
    "ani1": ("wb97x", "6-31g*", "wb97x", 1e-7),
    "spice": ("wb97m-d3bj", "def2-tzvppd", "wb97m_v", 1e-7),
    "omol25": ("wb97m-v", "def2-tzvpd", "wb97m_v", 1e-6),
}


def pyscf_molecule(system: scfx.System, basis: Any, registry: scfx.Registry) -> Any:
    """The same molecule with exactly our shells: PySCF's own tables differ in late digits."""
    from pyscf import gto

    table, cartesian = {}, set()
    source = registry.basis(basis)
    for z, shells in BasisSet.from_source(source, [int(z) for z in system.atomic_numbers]).shells.items():
        rows: list[Any] = []
        for shell in shells:
            l = shell.angular_momentum
            if l > 1:
                cartesian.add(bool(shell.cartesian))
            pairs = zip(shell.exponents, shell.coefficients, strict=True)
            rows.append([l, *([float(a), float(c / radial_norm(l, a))] for a, c in pairs)])
        table[SYMBOLS[z]] = rows
    atoms = [(s, tuple(r)) for s, r in zip(system.symbols, system.positions.tolist(), strict=True)]
    return gto.M(atom=atoms, unit="B", basis=table, cart=cartesian == {True}, verbose=0)


def pyscf_energy(molecule: Any, level: str, grid: int) -> float:
    """PySCF's energy at a level, without the dispersion correction."""
    from pyscf import dft

    mf = dft.RKS(molecule)
    mf.xc, mf.conv_tol, mf.conv_tol_grad, mf.max_cycle = LEVELS[level][2], 1e-11, 1e-6, 100
    mf.grids.level = mf.nlcgrids.level = grid
    mf.small_rho_cutoff, mf.disp = 0, None
    if level != "omol25":
        mf.nlc = 0
    energy = float(mf.kernel())
    assert mf.converged, level
    return energy


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--molecules", type=int, default=len(MOLECULES))
    parser.add_argument("--small", action="store_true")
    parser.add_argument("--grid", type=int, default=1)
    parser.add_argument("--backend", default="simd")
    arguments = parser.parse_args()
    from pyscf.scf.hf import overlap_zero_eigenvalue_threshold

    registry = scfx.Registry.discover()
    molecules = SMALL if arguments.small else MOLECULES
    systems = [scfx.System.from_smiles(smiles, seed=42) for smiles in molecules[: arguments.molecules]]
    print("| level | molecules | largest difference / hartree | of | allowed | scfx / s | PySCF / s |")
    print("|---|---|---|---|---|---|---|")
    for level in arguments.levels:
        functional, basis, _, allowed = LEVELS[level]
        start = time.perf_counter()
        ours = scfx.solve(
            systems, functional=functional, basis=basis, backend=arguments.backend, grid=arguments.grid,
            nonlocal_grid=arguments.grid, convergence="tight", threads=1, registry=registry,
            linear_dependence_threshold=overlap_zero_eigenvalue_threshold,
        ).raise_for_status()  # fmt: skip
        middle = time.perf_counter()
        theirs = [pyscf_energy(pyscf_molecule(s, basis, registry), level, arguments.grid) for s in systems]
        end = time.perf_counter()
        assert ours.dispersion_energy is not None
        differences = np.abs(ours.energy - ours.dispersion_energy - theirs)
        worst = int(differences.argmax())
        print(
            f"| {level} | {len(systems)} | {differences[worst]:.1e} | `{molecules[worst]}` | {allowed:.0e} "
            f"| {middle - start:.0f} | {end - middle:.0f} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
