"""What `scf.lane_padding` does for molecules of many formulas, by the share of waste that is allowed.

    python benchmarks/gpu_padding.py molecules.smi [--count 1000] [--lanes 256]

Lanes of a launch have one shell structure. Where padding is allowed, a molecule is filled up with hydrogens (its
smallest kind of atom) whose coefficients are zero, so far as `scfx.model.filling` says: by itself alone. Its waste is
the share of its lane's work that is spent on them; work is counted as the square of the number of pairs of functions.
For comparison: what would be had by filling up all kinds, with shapes chosen after all molecules are known, from the
largest down. A molecule's bits would then depend on the others.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import Counter
from pathlib import Path

from scfx.model.filling import filled_count, work

#: Functions of an atom in STO-3G and in 6-31G*, by the row of its element.
FUNCTIONS = {"sto-3g": (1, 5, 9), "6-31g*": (2, 15, 19)}
SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)


def structure_of(smiles: str) -> tuple[int, ...]:
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
    return tuple(counts)


def work_of(structure: tuple[int, ...], functions: tuple[int, ...]) -> float:
    """Return the square of the number of pairs of functions."""
    return work(sum(count * each for count, each in zip(structure, functions, strict=True)))


def filled_structure(structure: tuple[int, ...], functions: tuple[int, ...], share: float) -> tuple[int, ...]:
    """Return the structure that one is filled up to."""
    kind = next(k for k, count in enumerate(structure) if count)
    others = sum(
        count * each for k, (count, each) in enumerate(zip(structure, functions, strict=True)) if k != kind
    )
    filled = list(structure)
    filled[kind] = filled_count(structure[kind], functions[kind], others, share)
    return tuple(filled)


def steps(
    structures: Counter[tuple[int, ...]], functions: tuple[int, ...], share: float
) -> dict[tuple[int, ...], list[tuple[int, ...]]]:
    """Return which structures are filled up to which."""
    out: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    for structure in structures:
        out.setdefault(filled_structure(structure, functions, share), []).append(structure)
    return out


def chosen_shapes(
    structures: Counter[tuple[int, ...]], functions: tuple[int, ...], share: float
) -> dict[tuple[int, ...], list[tuple[int, ...]]]:
    """Return which structures go along in the launch of which."""
    waiting = sorted(structures, key=lambda s: (-work_of(s, functions), s))
    out: dict[tuple[int, ...], list[tuple[int, ...]]] = {}
    while waiting:
        whole = waiting[0]
        along = [
            s
            for s in waiting
            if all(a <= b for a, b in zip(s, whole, strict=True))
            and 1.0 - work_of(s, functions) / work_of(whole, functions) <= share
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
            "| `lane_padding` | shapes | launches | lanes filled | waste in filled shells | with empty lanes | lanes "
            "filled, shapes chosen after all are known |"
        )
        print("|---|---|---|---|---|---|---|")
        for share in SHARES:
            made, best = (way(structures, functions, share) for way in (steps, chosen_shapes))
            useful = sum(count * work_of(s, functions) for s, count in structures.items())
            computed = held = 0.0
            batches = [
                sum(-(-sum(structures[s] for s in along) // arguments.lanes) for along in way.values())
                for way in (made, best)
            ]
            for whole, along in made.items():
                lanes = sum(structures[s] for s in along)
                computed += lanes * work_of(whole, functions)
                held += -(-lanes // arguments.lanes) * arguments.lanes * work_of(whole, functions)
            filled, at_best = (len(chosen) / (count * arguments.lanes) for count in batches)
            print(
                f"| {share:g} | {len(made)} | {batches[0]} | {filled:.0%} | {1 - useful / computed:.1%} | "
                f"{1 - useful / held:.0%} | {at_best:.0%} |"
            )
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main())
