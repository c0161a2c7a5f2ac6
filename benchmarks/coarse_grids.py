"""Iterations, and visits of the full grid in float32 and float64, that coarse grids leave at several levels.

    python benchmarks/coarse_grids.py                     # four levels, two policies: some minutes
    python benchmarks/coarse_grids.py --levels pbe0/def2-svp/3 --policies mixed

Means over eight molecules of four to nine heavy atoms, six at fine grids, one conformer each. Counted as a
calculation runs (backend `simd`, threshold 5e-6 hartree), so nothing depends on the machine's load. To see what
another coarse grid or another way between the grids does, change `COARSE` in
`scfx/energy/exchange_correlation/coarse_grid.py` and run it again.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set
from iterations import POLICIES, solve  # noqa: E402
from throughput import conformers  # noqa: E402

from scfx.energy.exchange_correlation.term import ExchangeCorrelation  # noqa: E402

MOLECULES = (
    "CC(N)=O", "CCNC(C)=O", "C1CC1C#N", "FC(F)C=O", "NC(=O)NC", "FC=C1C2CN2N=C1C=O", "O=C1CC2CC2O1", "CCCCCCCCC",
)  # fmt: skip
#: At fine grids.
SMALL = MOLECULES[:6]
LEVELS = ("b3lyp/sto-3g/0", "b3lyp/sto-3g/1", "b3lyp/6-31g*/3", "pbe0/def2-svp/3")


class Visits:
    """Counts evaluations on the full grid by dtype, by entry, while it is entered."""

    def __enter__(self) -> Counter[str]:
        self._kept = ExchangeCorrelation.totals
        counted: Counter[str] = Counter()
        kept = self._kept

        def totals(term: ExchangeCorrelation, density: Any, lanes: np.ndarray) -> Any:
            # Versions before had it as `_policy`: so the script runs on them too.
            policy = term.policy if hasattr(term, "policy") else term._policy  # type: ignore[attr-defined]
            counted[policy.orbitals] += len(lanes)
            return kept(term, density, lanes)

        ExchangeCorrelation.totals = totals  # type: ignore[method-assign]
        return counted

    def __exit__(self, *exc: object) -> None:
        ExchangeCorrelation.totals = self._kept  # type: ignore[method-assign]


def row(level: str, policy: str, molecules: tuple[str, ...]) -> str:
    """One line of the table."""
    iterations, float32, float64 = [], [], []
    for smiles in molecules:
        with Visits() as visits:
            result, _ = solve(conformers(smiles, 1, 1), POLICIES[policy], level)
        assert result.converged.all()
        iterations.append(result.iterations.mean())
        float32.append(visits["float32"])
        float64.append(visits["float64"])
    means = " | ".join(f"{np.mean(values):.1f}" for values in (iterations, float32, float64))
    return f"| {level} | {policy} | {len(molecules)} | {means} |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0], formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--levels", nargs="+", default=LEVELS)
    parser.add_argument("--policies", nargs="+", choices=sorted(POLICIES), default=sorted(POLICIES))
    options = parser.parse_args()
    print("| level | policy | molecules | iterations | full grid, float32 | full grid, float64 |")
    print("|---|---|---|---|---|---|")
    for level in options.levels:
        for policy in options.policies:
            fine = int(level.rsplit("/", 1)[1]) > 1
            print(row(level, policy, SMALL if fine else MOLECULES), flush=True)


if __name__ == "__main__":
    main()
