"""What it would cost to let molecules of other formulas share a launch, by the share of waste that is allowed.

    python benchmarks/gpu_padding.py molecules.smi [--count 1000] [--lanes 256]

Lanes of a launch have one shell structure. A molecule with fewer atoms of a kind could go along with a larger one if
the shells that it lacks were filled with functions whose coefficients are zero. Its waste is the share of the launch's
work in its lane that is spent on them. Work is counted as the square of the number of pairs of functions, which is what
stored integrals, J and K, and the making of integrals go by. Structures are taken from the largest down: the largest
that has no launch yet opens one, and every other that fits into it with no more than the allowed waste goes along.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from pathlib import Path

#: Functions of an atom in STO-3G and in 6-31G*, by the row of its element.
FUNCTIONS = {"sto-3g": (1, 5, 9), "6-31g*": (2, 15, 19)}
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)


def structure_of(smiles: str) -> tuple[int, int, int]:
    """Return the numbers of hydrogens, of second-row and of third-row atoms."""
    from rdkit import Chem

    counts = [0, 0, 0]
    for atom in Chem.AddHs(Chem.MolFromSmiles(smiles)).GetAtoms():
        z = atom.GetAtomicNum()
        if z > 18:
            raise SystemExit(
                f"{smiles}: {atom.GetSymbol()} is beyond argon, for which this counts no functions"
            )
        counts[0 if z <= 2 else 1 if z <= 10 else 2] += 1
    return tuple(counts)  # type: ignore[return-value]


def work(structure: tuple[int, ...], functions: tuple[int, ...]) -> float:
    """Return the square of the number of pairs of functions."""
    n = sum(count * each for count, each in zip(structure, functions, strict=True))
    return (n * (n + 1) / 2) ** 2


def launches(
    structures: Counter[tuple[int, ...]], functions: tuple[int, ...], share: float
) -> dict[tuple[int, ...], list[tuple[int, ...]]]:
    """Return which structures go along in the launch of which."""
    waiting = sorted(structures, key=lambda s: (-work(s, functions), s))
    out: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    while waiting:
        whole = waiting[0]
        along = [
            s
            for s in waiting
            if all(a <= b for a, b in zip(s, whole, strict=True))
            and 1.0 - work(s, functions) / work(whole, functions) <= share
        ]
        out[whole] = along
        waiting = [s for s in waiting if s not in along]
    return out


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("molecules", type=Path, help="SMILES, one a line, the first column")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--lanes", type=int, default=256)
    parser.add_argument("--seed", type=int, default=2026)
    arguments = parser.parse_args()
    lines = [line.split()[0] for line in arguments.molecules.read_text().splitlines() if line.strip()]
    chosen = random.Random(arguments.seed).sample(lines, min(arguments.count, len(lines)))
    structures = Counter(structure_of(smiles) for smiles in chosen)
    print(
        f"{len(chosen):,} molecules, one geometry each, in lanes of {arguments.lanes}: {len(structures)} structures\n"
    )
    for basis, functions in FUNCTIONS.items():
        print(f"{basis}\n")
        print(
            "| waste allowed | shapes | launches | lanes filled | waste in filled shells | with empty lanes |"
        )
        print("|---|---|---|---|---|---|")
        for share in SHARES:
            made = launches(structures, functions, share)
            useful = sum(count * work(s, functions) for s, count in structures.items())
            computed = held = batches = 0.0
            for whole, along in made.items():
                lanes = sum(structures[s] for s in along)
                own = -(-lanes // arguments.lanes)
                batches += own
                computed += lanes * work(whole, functions)
                held += own * arguments.lanes * work(whole, functions)
            print(
                f"| {share:.0%} | {len(made)} | {batches:.0f} | {len(chosen) / (batches * arguments.lanes):.0%} | "
                f"{1 - useful / computed:.1%} | {1 - useful / held:.0%} |"
            )
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
