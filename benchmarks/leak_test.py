"""How many of QM9's molecules are among others: by canonical SMILES, as splits were made before, and by the one
definition that splits, overlaps and leak tests share now (scfx.model.same_molecule).

    python benchmarks/leak_test.py --qm9 qm9.parquet --column smiles_gdb --others molecules.smi [--each 3000]

`--qm9`: a Parquet table with a row a molecule; `--column` names its SMILES (QM9 has two: of the GDB entry, and of the
relaxed geometry), and the numbers are of that column. `--others`: a SMILES file whose second column, if any, is a group
(heavy atoms); `--each`: only so many of every group, the first ones.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from rdkit import Chem, rdBase

from scfx.model.same_molecule import molecule_key


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--qm9", required=True, type=Path)
    parser.add_argument("--column", required=True)
    parser.add_argument("--others", required=True, type=Path)
    parser.add_argument("--each", type=int, default=0)
    given = parser.parse_args()
    qm9 = pq.read_table(given.qm9, columns=[given.column])[given.column].to_pylist()
    others = molecules(given.others, given.each)
    print(f"{len(qm9):,} rows of QM9 by `{given.column}`, {len(others):,} other molecules", flush=True)
    print("| the same by | of QM9 | of the others | QM9's molecules among them | QM9's rows removed |")
    print("|---|---|---|---|---|")
    for name, key in (("canonical SMILES", canonical), ("connectivity (one definition)", molecule_key)):
        theirs = {key(smiles) for smiles in others}
        rows = np.array([key(smiles) for smiles in qm9])
        shared = set(rows.tolist()) & theirs
        removed = int(np.isin(rows, list(shared)).sum())
        print(
            f"| {name} | {len(set(rows.tolist())):,} | {len(theirs):,} | {len(shared):,} | {removed:,} |",
            flush=True,
        )


def molecules(path: Path, each: int) -> list[str]:
    """SMILES of a file, at most `each` of every group (0: all)."""
    counts: Counter[str] = Counter()
    kept = []
    for line in path.read_text().splitlines():
        words = line.split()
        if words:
            group = words[1] if len(words) > 1 else ""
            counts[group] += 1
            if not each or counts[group] <= each:
                kept.append(words[0])
    return kept


def canonical(smiles: str) -> str:
    """RDKit's canonical SMILES, with its stereochemistry; what RDKit does not read stays as it is."""
    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    return smiles if molecule is None else Chem.MolToSmiles(molecule)


if __name__ == "__main__":
    main()
