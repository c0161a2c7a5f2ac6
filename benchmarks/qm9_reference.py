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
from typing import Any

import numpy as np
import pyarrow.parquet as pq

import scfx

#: Molecules of one call: after each, the errors so far are printed.
_TOGETHER = 25


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table")
    parser.add_argument("--molecules", type=int, default=200)
    parser.add_argument("--precision", default="mixed")
    parser.add_argument("--grid", type=int, default=3)
    parser.add_argument("--basis", default="6-31g(2df,p)-qm9")
    parser.add_argument("--memory-budget", default="2 GiB")
    parser.add_argument("--skip", type=int, default=0, help="of the ordered molecules")
    parser.add_argument("--smiles", nargs="+", help="only these (as in the column smiles_gdb), in this order")
    args = parser.parse_args()
    table = pq.read_table(args.table)
    atoms, starts = table["z"].combine_chunks().flatten(), table["z"].combine_chunks().offsets
    heavy = np.add.reduceat(np.where(np.asarray(atoms) == 1, 4, 32), np.asarray(starts)[:-1])
    if args.smiles:
        names = table["smiles_gdb"].to_pylist()
        if missing := set(args.smiles) - set(names):
            raise SystemExit(f"not in the table: {', '.join(sorted(missing))}")
        chosen = np.array([names.index(name) for name in args.smiles])
    else:
        order = np.argsort(heavy, kind="stable")  # ties keep the table's order
        chosen = order[args.skip : args.skip + args.molecules]
    rows = table.take(chosen).to_pylist()
    systems = [
        scfx.System.from_arrays(row["z"], np.asarray(row["pos"], dtype=float).reshape(-1, 3)) for row in rows
    ]
    solver = scfx.Solver(
        functional="b3lyp", basis=args.basis, grid=args.grid, precision=args.precision,
        memory_budget=args.memory_budget,
    )  # fmt: skip
    start = time.perf_counter()
    parts = []
    for first in range(0, len(systems), _TOGETHER):
        parts.append(solver.solve(systems[first : first + _TOGETHER]))
        solved = sum(len(part) for part in parts)
        _report(parts, rows[:solved])
        print(
            f"{solved} of {len(rows)} molecules, {time.perf_counter() - start:.0f} s, backend "
            f"{parts[0].provenance['backend']}, precision {args.precision}, grid {args.grid}\n",
            flush=True,
        )


def _report(parts: list[scfx.SCFResult], rows: list[dict[str, Any]]) -> None:
    """Errors of the molecules so far, so that an interrupted run has said something."""
    ok = np.concatenate([part.converged for part in parts])
    functions = [n for part in parts for n in part.nao]
    print(
        f"{len(rows)} molecules of {min(functions)} to {max(functions)} functions, {int(ok.sum())} converged"
    )
    published = {
        "energy": np.array([row["u0"] - row["zpve"] for row in rows]),
        "homo": np.array([row["homo"] for row in rows]),
        "lumo": np.array([row["lumo"] for row in rows]),
    }
    for name, theirs in published.items():
        difference = np.concatenate([getattr(part, name) for part in parts]) - theirs
        worst = np.argsort(-np.abs(np.where(ok, difference, 0.0)))[:5]
        print(
            f"{name:7s} MAE {np.abs(difference[ok]).mean():.1e}  mean {difference[ok].mean():+.1e}  "
            f"largest {np.abs(difference[ok]).max():.1e} hartree; worst: "
            + ", ".join(f"{rows[i].get('smiles_gdb', i)} {difference[i]:+.1e}" for i in worst)
        )


if __name__ == "__main__":
    main()
