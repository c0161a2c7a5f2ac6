"""Memory and time of planning against the number of molecules: does a plan of ten million SMILES fit?

Each size runs in a process of its own and reports its peak resident set. The SMILES are made up (chains and rings of C,
N, O, F drawn from a seeded generator, a tenth of them twice), unique but not meaningful: what is measured is reading,
canonicalising, deduplicating, grouping and writing. RDKit itself is the floor. Once the buffers are full (some 300,000
SMILES) a plan should take no more memory for the second half of its source than for the first: both are shown, and on
stderr the peak and the processor time after each 50,000 SMILES. Rates are by processor time: other work beside does not
count.

    python benchmarks/plan_memory.py [--sizes 30000 100000 300000] [--conformers 1] [--markdown PATH]
    python benchmarks/plan_memory.py --sizes 1000000
    python benchmarks/plan_memory.py --sizes 1000 --conformers 100 --shard-minutes 10
    python benchmarks/plan_memory.py --keys 3000000        # only the index that finds duplicates
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SIZES = (30_000, 100_000, 300_000)
EVERY = 50_000


def synthetic_smiles(count: int, path: Path, seed: int = 0) -> None:
    """Write `count` SMILES of 7 to 17 heavy atoms, one in ten of them a repetition."""
    generator = random.Random(seed)
    groups = ("O", "N", "F", "C#N", "C=O", "OC", "NC", "C(=O)N", "C(F)F", "c1ccco1", "C1CC1", "C1CCOC1")
    recent = ["C"]
    with path.open("w", encoding="utf-8") as handle:
        for _ in range(count):
            if generator.random() < 0.1:
                handle.write(generator.choice(recent) + "\n")
                continue
            chain = "".join(
                generator.choice(("C", "C", "CC", "N")) + f"({generator.choice(groups)})"
                if generator.random() < 0.4
                else "C"
                for _ in range(generator.randint(4, 9))
            )
            smiles = f"{chain}{generator.choice(groups)}"
            recent = [*recent[-99:], smiles]
            handle.write(smiles + "\n")


def peak_mib() -> float:
    """Largest resident set of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def plan(molecules: int, conformers: int, shard_minutes: float) -> dict[str, float]:
    """Plan so many SMILES in this process: counts, seconds, peak resident set and bytes of the plan's files."""
    from scfx_dataset.cost import CostModel
    from scfx_dataset.options import DatasetOptions
    from scfx_dataset.plan import Identity
    from scfx_dataset.planning import ensure_plan
    from scfx_dataset.sources import Source

    from scfx.jobs.stores import open_store

    halfway: list[float] = []

    class Watched(Source):
        """Notes the peak while the source is read."""

        def records(self):
            for number, record in enumerate(super().records()):
                if number == molecules // 2:
                    halfway.append(peak_mib())
                if number and number % EVERY == 0:
                    spent = time.process_time() - began
                    print(
                        f"{number} SMILES: {spent:.0f} s, {peak_mib():.0f} MiB", file=sys.stderr, flush=True
                    )
                yield record

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "molecules.smi"
        synthetic_smiles(molecules, path)
        options = DatasetOptions.model_validate(
            {
                "molecules": str(path),
                "output": str(Path(folder) / "out"),
                "conformers": conformers,
                "shard_minutes": shard_minutes,
            }
        )
        before = peak_mib()
        began = time.process_time()
        source = Watched.from_options(path, options)
        identity = Identity("none", {}, {}, options.row_options(), source.sha256(), {})
        store = open_store(options.output)
        store.create()
        cost = CostModel(lambda z: 1 if z < 3 else 5, lambda z: 900)
        made, _ = ensure_plan(store, identity, source, options, cost)
        seconds = time.process_time() - began
        size = sum(p.stat().st_size for p in Path(options.output).rglob("*") if p.is_file())
        counts = made.counts
    return {
        "lines": counts["lines"],
        "rows": counts["rows"],
        "shards": counts["shards"],
        "seconds": seconds,
        "imports_mib": before,
        "halfway_mib": halfway[0],
        "peak_mib": peak_mib(),
        "plan_bytes": size,
    }


def keep_keys(count: int) -> None:
    """Put so many different keys into the index that planning finds duplicates with, and say what it takes."""
    from scfx_dataset.spill import KeyIndex

    with tempfile.TemporaryDirectory() as folder:
        index, began = KeyIndex(Path(folder)), time.process_time()
        for number in range(count + 1):
            index.first(hashlib.blake2b(b"%d" % number, digest_size=16).digest(), 0)
            if number and number % (10 * EVERY) == 0:
                spent, size = (
                    time.process_time() - began,
                    sum(p.stat().st_size for p in Path(folder).iterdir()),
                )
                print(
                    f"{number} keys: {spent:.0f} s, {peak_mib():.0f} MiB, on disk {size / 2**20:.0f} MiB",
                    flush=True,
                )
        index.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    parser.add_argument("--conformers", type=int, default=1)
    parser.add_argument("--shard-minutes", type=float, default=2.0)
    parser.add_argument("--markdown", type=Path)
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--keys", type=int, help="only the index that finds duplicates, with so many keys")
    given = parser.parse_args()
    if given.keys:
        keep_keys(given.keys)
        return
    if given.one is not None:
        print(json.dumps(plan(given.one, given.conformers, given.shard_minutes)))
        return
    lines = [
        "| SMILES | rows | shards | CPU s | SMILES/s | rows/s | imported MiB | halfway | peak MiB | bytes a row |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for size in given.sizes:
        command = [sys.executable, __file__, "--one", str(size), "--conformers", str(given.conformers)]
        command += ["--shard-minutes", str(given.shard_minutes)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        record = json.loads(done.stdout)
        lines.append(
            f"| {record['lines']} | {record['rows']} | {record['shards']} | {record['seconds']:.1f} | "
            f"{record['lines'] / record['seconds']:.0f} | {record['rows'] / record['seconds']:.0f} | "
            f"{record['imports_mib']:.0f} | {record['halfway_mib']:.0f} | {record['peak_mib']:.0f} | "
            f"{record['plan_bytes'] / record['rows']:.0f} |"
        )
        print(lines[-1], flush=True)
    text = "\n".join(lines)
    print(text)
    if given.markdown:
        given.markdown.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
