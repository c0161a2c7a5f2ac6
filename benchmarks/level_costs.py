"""What a row costs at each level: `scfx level NAME` and docs/levels.md show what this measures.

    taskset -c 0 python benchmarks/level_costs.py [--minutes 6] [--conformers 4] [--levels spice omol25] [--write]

Methanol at every level, then acetic acid at as many as the minutes allow, cheap levels first. A row is one of a batch
of conformers of one molecule (ETKDG, fixed seeds), with all properties of the level, in float64 on one thread, by the
default backend. The batch is computed twice, at other geometries: the first time compiles and is not counted. To be
run on an idle core. `--write` keeps the seconds in scfx/config/level_costs.json and in docs/levels.md.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from pathlib import Path

import scfx
from scfx.config.levels import LEVELS

MOLECULES = {"CO": "methanol", "CC(=O)O": "acetic acid"}
#: Levels that come last: their basis sets are the largest.
_LARGE = ("spice", "omol25")
_ROOT = Path(__file__).parents[1]
_COSTS = _ROOT / "scfx" / "config" / "level_costs.json"
_PAGE = _ROOT / "docs" / "levels.md"


def seconds_of_a_row(level: str, smiles: str, conformers: int) -> float:
    """Wall seconds of one row of a batch, after a batch that compiled."""
    seeds = range(2 * conformers)
    systems = [scfx.System.from_smiles(smiles, seed=seed) for seed in seeds]
    solver = scfx.Solver(level=level, threads=1, atomic_numbers=sorted(set(systems[0].atomic_numbers)))
    solver.solve(systems[:conformers]).raise_for_status()
    begun = time.perf_counter()
    solver.solve(systems[conformers:]).raise_for_status()
    return (time.perf_counter() - begun) / conformers


def measured(levels: list[str], minutes: float, conformers: int) -> dict[str, dict[str, float]]:
    """Level -> SMILES -> seconds; a molecule is left out of a level where the time is spent."""
    ends = time.perf_counter() + 60 * minutes
    found: dict[str, dict[str, float]] = {level: {} for level in levels}
    spent: dict[str, float] = dict.fromkeys(levels, 0.0)
    for smiles in MOLECULES:
        for level in sorted(levels, key=lambda level: (spent[level], level in _LARGE)):
            # The next molecule is larger: ten times the last one's whole time is a cautious guess.
            if time.perf_counter() + 10 * spent[level] > ends:
                continue
            begun = time.perf_counter()
            found[level][smiles] = seconds_of_a_row(level, smiles, conformers)
            spent[level] = time.perf_counter() - begun
            print(
                f"# {level} {smiles}: {found[level][smiles]:.3g} s, {spent[level]:.0f} s in all", flush=True
            )
    return found


def table(seconds: dict[str, dict[str, float]]) -> str:
    """The table of the page; a molecule for which there was no time has no column."""
    asked = [smiles for smiles in MOLECULES if any(smiles in row for row in seconds.values())]
    head = [f"{MOLECULES[smiles]} (`{smiles}`)" for smiles in asked]
    lines = [f"| level | {' | '.join(head)} |", "|---|" + "---|" * len(head)]
    for level, row in seconds.items():
        cells = [f"{row[smiles]:.3g} s" if smiles in row else "" for smiles in asked]
        lines.append(f"| `{level}` | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--conformers", type=int, default=4)
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=list(LEVELS))
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    seconds = measured(arguments.levels, arguments.minutes, arguments.conformers)
    how = (
        f"one core, float64, with the level's properties, one of {arguments.conformers} conformers in a batch, "
        f"compiling not counted ({_processor()})"
    )
    print(f"A row: {how}.\n\n{table(seconds)}")
    if arguments.write:
        _COSTS.write_text(json.dumps({"how": how, "seconds": seconds}, indent=1) + "\n", encoding="utf-8")
        page = _PAGE.read_text(encoding="utf-8")
        new = f"<!-- measured: costs -->\nA row: {how}.\n\n{table(seconds)}<!-- end -->"
        page = re.sub(r"<!-- measured: costs -->.*?<!-- end -->", lambda _: new, page, flags=re.DOTALL)
        _PAGE.write_text(page, encoding="utf-8")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return "unknown processor"


if __name__ == "__main__":
    main()
