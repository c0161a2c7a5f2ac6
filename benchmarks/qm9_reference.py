"""QM9's own labels again: B3LYP/6-31G(2df,p) at QM9's geometries, against its published numbers.

    python benchmarks/qm9_reference.py qm9.parquet --molecules 200 --precision mixed --grid 3

The table must have atomic numbers (`z`), positions in angstrom (`pos`), and `homo`, `lumo`, `u0`, `zpve` in hartree, as
parsed from dsgdb9nsd.xyz (Ramakrishnan et al., Sci. Data 1, 140022 (2014)). The total electronic energy of QM9 is U0
less the zero-point energy; QM9 rounds energies to 1e-6 and orbital energies and zero-point energies to 1e-4 and 1e-6
hartree. The molecules with the fewest functions are taken, in the table's order. Prints mean absolute and largest
differences in hartree and the outliers.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pyarrow.parquet as pq

import scfx


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    parser.add_argument("--molecules", type=int, default=200)
    parser.add_argument("--precision", default="mixed")
    parser.add_argument("--grid", type=int, default=3)
    parser.add_argument("--basis", default="6-31g(2df,p)-qm9")
    parser.add_argument("--skip", type=int, default=0, help="of the ordered molecules")
    args = parser.parse_args()
    rows = pq.read_table(args.table).to_pylist()
    rows.sort(
        key=lambda row: sum(4 if z == 1 else 32 for z in row["z"])
    )  # stable: ties keep the table's order
    rows = rows[args.skip : args.skip + args.molecules]
    systems = [
        scfx.System.from_arrays(row["z"], np.asarray(row["pos"], dtype=float).reshape(-1, 3)) for row in rows
    ]
    start = time.perf_counter()
    result = scfx.solve(
        systems, functional="b3lyp", basis=args.basis, grid=args.grid, precision=args.precision,
    )  # fmt: skip
    seconds = time.perf_counter() - start
    published = {
        "energy": np.array([row["u0"] - row["zpve"] for row in rows]),
        "homo": np.array([row["homo"] for row in rows]),
        "lumo": np.array([row["lumo"] for row in rows]),
    }
    ok = result.converged
    print(
        f"{len(rows)} molecules of {min(result.nao)} to {max(result.nao)} functions, {int(ok.sum())} converged, "
        f"{seconds:.0f} s, backend {result.provenance['backend']}, precision {args.precision}, grid {args.grid}"
    )
    for name, theirs in published.items():
        difference = np.asarray(getattr(result, name)) - theirs
        worst = np.argsort(-np.abs(np.where(ok, difference, 0.0)))[:5]
        print(
            f"{name:7s} MAE {np.abs(difference[ok]).mean():.1e}  mean {difference[ok].mean():+.1e}  "
            f"largest {np.abs(difference[ok]).max():.1e} hartree; worst: "
            + ", ".join(f"{rows[i].get('smiles_gdb', i)} {difference[i]:+.1e}" for i in worst)
        )


if __name__ == "__main__":
    main()
