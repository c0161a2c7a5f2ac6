"""How far grids of Gaussian's default size, pruned (75,302), move the published energies that scfx misses most.

    python benchmarks/pruned_grids.py                  # F2, whose B3LYP energies in CCCBDB lie below those of scfx
    python benchmarks/pruned_grids.py --qm9 qm9.parquet [--smiles OCCO CCO]

Published energies carry the error of the grid that made them. Gaussian's own pruning is not public, so four grids of
its size stand for it: pruned as SG-1 or as NWChem, partitioned as Becke's or as Stratmann, Scuseria and Frisch's, with
the radial points of Murray, Handy and Laming and SG-1's radii. Printed is E_xc on each less E_xc on PySCF's level 6, at
one converged PySCF density (the energy is stationary: its own change with the grid is of second order), the same for
level 3, and the published energy less PySCF's on level 6.

F2: CCCBDB release 22 (see cccbdb.py), at the optimum of each basis set. QM9: see qm9_reference.py; its d functions are
Cartesian beside spherical f, which PySCF cannot mix: here all are spherical, so the published energy is not compared.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pyscf import dft, gto
from pyscf.dft import gen_grid, radi
from scipy.optimize import minimize_scalar
from threadpoolctl import threadpool_limits

#: Basis set: (Cartesian d, CCCBDB's B3LYP energy of F2 in hartree).
F2 = {
    "sto-3g": (False, -196.663931),
    "3-21g": (False, -198.439846),
    "6-31g": (False, -199.477834),
    "6-31g*": (True, -199.498294),
    "6-311g*": (False, -199.563027),
    "cc-pvdz": (False, -199.513379),
}
#: Of QM9: four that scfx misses most, and two that it does not.
SMILES = ("OCCO", "FC(F)(F)F", "CC(C)C=O", "CC(C)C", "CO", "CCO")


def _murray_handy_laming(n: int, charge: int, *_: Any, **__: Any) -> tuple[np.ndarray, np.ndarray]:
    """r = R x²/(1 - x)² at x = i/(n + 1), and dr; Mol. Phys. 78, 997 (1993)."""
    radius = radi.SG1RADII[charge]
    x = np.arange(1, n + 1) / (n + 1)
    return radius * x**2 / (1 - x) ** 2, 2 * radius * x / (1 - x) ** 3 / (n + 1)


GRIDS: dict[str, dict[str, Any]] = {"level 3": {"level": 3}} | {
    f"{prune}, {partition}": {
        "atom_grid": (75, 302),
        "radi_method": _murray_handy_laming,
        "prune": {"SG-1": gen_grid.sg1_prune, "NWChem": gen_grid.nwchem_prune}[prune],
        "becke_scheme": {"Becke": gen_grid.original_becke, "SSF": gen_grid.stratmann}[partition],
        "radii_adjust": radi.becke_atomic_radii_adjust if partition == "Becke" else None,
    }
    for prune in ("SG-1", "NWChem")
    for partition in ("Becke", "SSF")
}


def _exchange_correlation(mf: Any, density: np.ndarray, **settings: Any) -> float:
    grids = gen_grid.Grids(mf.mol)
    for key, value in settings.items():
        setattr(grids, key, value)
    return float(mf._numint.nr_rks(mf.mol, grids.build(), mf.xc, density)[1])


def _row(mol: Any, level: int) -> tuple[float, list[float]]:
    """PySCF's B3LYP energy on level 6, and the errors of GRIDS."""
    mf = _solved(mol, level)
    density = mf.make_rdm1()
    fine = _exchange_correlation(mf, density, level=6)
    energy = mf.e_tot + fine - _exchange_correlation(mf, density, level=level)
    return energy, [_exchange_correlation(mf, density, **grid) - fine for grid in GRIDS.values()]


def _solved(mol: Any, level: int) -> Any:
    mf = dft.RKS(mol, xc="b3lypg")
    mf.grids.level, mf.conv_tol = level, 1e-10
    mf.kernel()
    if not mf.converged:
        raise SystemExit(f"PySCF did not converge for {mol.atom}")
    return mf


def _print(name: str, published: str, errors: list[float]) -> None:
    print(f"| {name} | {published} | " + " | ".join(f"{e:+.1e}" for e in errors) + " |", flush=True)


def _fluorine() -> None:
    for basis, (cartesian, published) in F2.items():

        def mole(distance: float, basis: str = basis, cartesian: bool = cartesian) -> Any:
            return gto.M(
                atom=[("F", (0, 0, 0)), ("F", (0, 0, distance))], basis=basis, cart=cartesian, verbose=0
            )

        best = minimize_scalar(
            lambda r, mole=mole: _solved(mole(r), 4).e_tot,
            bounds=(1.35, 1.50),
            method="bounded",
            options={"xatol": 1e-3},
        )
        energy, errors = _row(mole(float(best.x)), 4)
        _print(f"F2, {basis}", f"{published - energy:+.1e}", errors)


def _qm9(path: str, smiles: list[str]) -> None:
    table = pq.read_table(path)
    names = table["smiles_gdb"].to_pylist()
    for name in smiles:
        if name not in names:
            raise SystemExit(f"{name} is not among the table's smiles_gdb")
        row = table.slice(names.index(name), 1).to_pylist()[0]
        positions = np.asarray(row["pos"], dtype=float).reshape(-1, 3)
        atoms = [(int(z), tuple(r)) for z, r in zip(row["z"], positions, strict=True)]
        _, errors = _row(gto.M(atom=atoms, basis="6-31g(2df,p)", verbose=0), 3)
        _print(name, "", errors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--qm9", metavar="TABLE")
    parser.add_argument("--smiles", nargs="+", default=SMILES)
    arguments = parser.parse_args()
    print("| | published less level 6 | " + " | ".join(GRIDS) + " |")
    print("|---" * (len(GRIDS) + 2) + "|")
    with threadpool_limits(limits=1):
        if arguments.qm9:
            _qm9(arguments.qm9, arguments.smiles)
        else:
            _fluorine()


if __name__ == "__main__":
    main()
