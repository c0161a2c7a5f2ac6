"""A dataset of forces in one job that is killed and resumed; then its rows against PySCF, and policies on 200 of them.

    python benchmarks/force_job.py run out/forces            # 10,000 rows, twelve kills
    python benchmarks/force_job.py check out/forces          # exactly once, and the bytes of an undisturbed run
    python benchmarks/force_job.py recompute out/forces      # 100 rows, by PySCF
    python benchmarks/force_job.py policies out/forces --count 200   # in float32 and mixed against float64

B3LYP/STO-3G in `mixed` with the preset `forces` on grid level 0: conformers by RDKit of the molecules in `MOLECULES`
(five to nine heavy atoms), every coordinate moved by a normal deviate of 0.05 angstrom.

`run` kills the whole process group by SIGKILL, at a random moment of a shard, so many times, and starts the command
again. What was committed at each kill stands in PATH.kills.json. `--prefix` is put before the command ("taskset -c 1").
`check` reads the finished folder: every planned row once, no attempt but the committed ones, what was committed at a
kill unchanged to the byte; and runs some shards again, undisturbed and elsewhere, which must give the same bytes.
`recompute` draws rows and solves them with PySCF (tight, with the response of its grid); each row is kept in
PATH.pyscf.jsonl, so the command can be stopped and given again, also while the job runs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set
import scfx_dataset  # noqa: E402
from machine import describe  # noqa: E402
from scfx_dataset.commits import read_commits  # noqa: E402

import scfx  # noqa: E402
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV  # noqa: E402

#: Five to nine heavy atoms: rings, chains, unsaturated, H C N O F; the last ten are from the examples.
MOLECULES = (
    "CCCCC", "CC(C)C=O", "c1ccoc1", "c1c[nH]cn1", "CC(=O)OC", "NCC(=O)O", "CC(N)C=O", "FC(F)(F)CO", "CCOC=O", "C1CCOC1",
    "c1ccccc1", "c1ccncc1", "CC(=O)NCC", "OC1CCCC1", "CC(C)C(=O)O", "Cc1ccco1", "N#CCCC=O", "CCCCCC", "c1ccc(F)cc1",
    "Nc1ccccn1", "CC(=O)CC(C)C", "Cc1ccccc1", "OCC(O)C(O)C", "CN(C)C(=O)CF", "CCCCCCC", "COc1ccccc1", "CC(=O)OCC(C)C",
    "N#Cc1ccccc1", "Oc1ccc(F)cc1", "CCCCCCCC", "FC=C1C2CN2N=C1C=O", "Fc1nocnc(=O)c1=O", "CC(=O)OC1CCNC1", "CCCCCCCCC",
    "Nc1cc(N)nc(N)n1", "CC1C(O)CC1CC=O", "CN(C)C(=O)C(C)(C)C", "C#Cc1coc(=O)n1C", "CNC(=N)C(=O)COC", "CNc1ncn(C)c1N",
)  # fmt: skip
CONFIG = """[scf]
functional = "b3lyp"
basis = "sto-3g"
backend = "simd"
precision = "mixed"
grid = {level}
properties = ["gradient"]

[[task]]
name = "dataset"
molecules = "{molecules}"
conformers = {conformers}
seed = 18
embedding = {{ displacement_angstrom = 0.05 }}
shard_rows = {shard_rows}
output = "{output}"
workers = 1
progress = "plain"
license = "cc0-1.0"
"""
#: meV/angstrom in a hartree/bohr.
FORCE = 1e3 * HARTREE_IN_EV / BOHR_IN_ANGSTROM
#: Mean absolute errors that the policies promise (docs/forces.md), meV/angstrom.
TARGETS = {"mixed": 0.02, "float32": 1.0}


def beside(path: Path, ending: str) -> Path:
    """A file beside the dataset's folder."""
    return path.with_name(f"{path.name}.{ending}")


def configure(path: Path, output: Path, given: argparse.Namespace) -> Path:
    """Write molecules and configuration beside `path`; the dataset goes to `output`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    source = beside(path, "smi")
    source.write_text("\n".join(MOLECULES) + "\n")
    config = beside(output, "toml")
    config.write_text(
        CONFIG.format(
            level=given.level,
            molecules=source.resolve(),
            conformers=-(-given.rows // len(MOLECULES)),
            shard_rows=given.shard_rows,
            output=output.resolve(),
        )
    )
    return config


def commits(path: Path) -> dict[str, str]:
    """Shard -> checksum of its data, of what is committed now."""
    found = {}
    for record in (path / "commits").glob("*.json"):
        fields = json.loads(record.read_text())
        found[fields["shard"]] = fields["sha256"]
    return found


def run(path: Path, given: argparse.Namespace) -> None:
    """Start, kill and resume until the job is done."""
    config = configure(path, path, given)
    kept = beside(path, "kills.json")
    kills: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.exists() else []
    chance = random.Random(given.seed + len(kills))
    command = [*shlex.split(given.prefix), sys.executable, "-m", "scfx", "run", str(config)]
    print(describe(), shlex.join(command), sep="\n", flush=True)
    while True:
        planned = (path / "plan.json").exists()
        shards = len(scfx_dataset.open(path).plan.shards) if planned else len(MOLECULES)
        left = shards - len(commits(path))
        # Kills are spread over what is left, each at a random moment of a shard.
        share = left // (given.kills - len(kills) + 1) if len(kills) < given.kills else None
        goal = None if share is None else len(commits(path)) + chance.randint(1, max(1, 2 * share - 1))
        log = beside(path, "log").open("a")
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            while process.poll() is None and not (goal is not None and len(commits(path)) >= goal):
                time.sleep(0.2)
            if process.poll() is None:
                time.sleep(chance.uniform(0.0, given.shard_seconds))
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        if process.wait() == 0:
            break
        if process.returncode != -signal.SIGKILL:
            raise SystemExit(f"the job ended with exit code {process.returncode}; see {log.name}")
        wait_until_gone(process.pid)
        started = [file.name for file in (path / "attempts").glob("*") if not file.name.startswith(".")]
        kills.append({"at": time.time(), "committed": commits(path), "attempts": len(started)})
        kept.write_text(json.dumps(kills))
        print(f"kill {len(kills)}: {len(kills[-1]['committed'])} shards were committed", flush=True)
    print(f"done after {len(kills)} kills", flush=True)


def wait_until_gone(group: int) -> None:
    """Until no process of a killed group is left."""
    for _ in range(600):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise SystemExit("processes outlive SIGKILL of their group")


def check(path: Path, given: argparse.Namespace) -> None:
    """What must be true after any number of kills; `SystemExit` where it is not."""
    dataset = scfx_dataset.open(path)
    kills = json.loads(beside(path, "kills.json").read_text())
    final = commits(path)
    rows = dataset.to_table(["row_id", "status"])
    problems = list(dataset.verify())
    if rows["row_id"].to_pylist() != list(range(dataset.plan.counts["rows"])):
        problems.append("rows are not the planned ones, each once")
    for number, kill in enumerate(kills, 1):
        problems += [
            f"shard {s} changed after kill {number}" for s, c in kill["committed"].items() if final[s] != c
        ]
    if len(list((path / "attempts").iterdir())) != len(final):
        problems.append("attempts that lost are still there")
    statuses: dict[str, int] = {}
    for status in rows["status"].to_pylist():
        statuses[status] = statuses.get(status, 0) + 1
    times = [record["seconds"] for _, record in read_commits(dataset.plan)]
    total = sum(seconds["total"] for seconds in times)
    print(
        f"{len(rows)} rows in {len(final)} shards, {statuses}; {len(kills)} kills, after which "
        f"{', '.join(str(len(kill['committed'])) for kill in kills)} shards were committed; committed attempts took "
        f"{total:.0f} s, {len(rows) / total:.2f} rows/s."
    )
    again = beside(path, "undisturbed")
    config = configure(path, again, given)
    part = f"1/{given.parts}"
    command = [sys.executable, "-m", "scfx", "dataset", "run", str(config), "--shard", part]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    undisturbed = commits(again)
    problems += [f"shard {s} has other bytes undisturbed" for s, c in undisturbed.items() if final[s] != c]
    print(f"{len(undisturbed)} shards computed again, undisturbed: {len(problems)} problems in all.")
    if problems:
        raise SystemExit("\n".join(problems))


def systems_of(rows: list[dict[str, Any]]) -> list[scfx.System]:
    """The geometries that were solved."""
    return [scfx.System.from_arrays(row["atomic_numbers"], row["positions_angstrom"]) for row in rows]


def drawn(path: Path, count: int, seed: int) -> list[dict[str, Any]]:
    """`count` random rows of the planned ones, those that are there and ok."""
    columns = ["row_id", "smiles", "atomic_numbers", "positions_angstrom", "forces_ev_per_angstrom"]
    dataset = scfx_dataset.open(path)
    chosen = set(random.Random(seed).sample(range(dataset.plan.counts["rows"]), count))
    rows = dataset.filter(status="ok").to_table([*columns, "energy_ev"]).to_pylist()
    return [row for row in rows if row["row_id"] in chosen]


def recompute(path: Path, given: argparse.Namespace) -> None:
    """Rows against PySCF's gradient with grid response, converged tightly on the same grid."""
    from pyscf import dft
    from throughput import mole

    from scfx.model.basis import BasisSet

    rows = drawn(path, given.count, given.seed)
    kept = beside(path, "pyscf.jsonl")
    found = {r["row_id"]: r for r in map(json.loads, kept.read_text().splitlines())} if kept.exists() else {}
    source = scfx.Registry.discover().basis("sto-3g")
    for row, system in zip(rows, systems_of(rows), strict=True):
        if row["row_id"] in found:
            continue
        field = dft.RKS(
            mole(system, BasisSet.from_source(source, {int(z) for z in system.atomic_numbers})), xc="b3lyp"
        )
        field.grids.level, field.max_memory, field.max_cycle = given.level, 8000, 100
        field.conv_tol, field.conv_tol_grad = 1e-11, 1e-8
        energy = field.kernel()
        nuclear = field.nuc_grad_method()
        nuclear.grid_response = True
        error = 1e3 * np.array(row["forces_ev_per_angstrom"]) + FORCE * nuclear.kernel()
        record = {
            "row_id": row["row_id"],
            "smiles": row["smiles"],
            "converged": bool(field.converged),
            "error": error.tolist(),
            "energy": row["energy_ev"] - HARTREE_IN_EV * energy,
        }
        found[row["row_id"]] = record
        with kept.open("a") as file:
            file.write(json.dumps(record) + "\n")
    chosen = [found[row["row_id"]] for row in rows]
    components = np.abs(np.concatenate([np.ravel(record["error"]) for record in chosen]))
    by_row = np.array([np.abs(record["error"]).mean() for record in chosen])
    energies = 1e3 * np.abs([record["energy"] for record in chosen])
    print(describe())
    print(
        f"{len(chosen)} rows of {len({r['smiles'] for r in chosen})} molecules, {len(components)} components, "
        f"{sum(not r['converged'] for r in chosen)} unconverged in PySCF; meV/angstrom: mean {components.mean():.6f}, "
        f"worst component {components.max():.6f}, worst row's mean {by_row.max():.6f} (target {TARGETS['mixed']}); "
        f"energies off by {energies.mean():.6f} meV, at most {energies.max():.6f}"
    )


def policies(path: Path, given: argparse.Namespace) -> None:
    """Rows in float32, mixed and float64, each with the preset `forces`."""
    rows = drawn(path, given.count, given.seed + 1)
    systems = systems_of(rows)
    found = {}
    for policy in ("float64", *TARGETS):
        solved = scfx.solve(
            systems,
            "b3lyp",
            "sto-3g",
            "simd",
            precision=policy,
            grid=given.level,
            properties="gradient",
            threads=1,
        ).raise_for_status()
        assert solved.gradient is not None
        found[policy] = [g for g in solved.gradient if g is not None]
    size = FORCE * np.sqrt(np.mean(np.concatenate([g.ravel() for g in found["float64"]]) ** 2))
    stored = [-1e3 * np.array(row["forces_ev_per_angstrom"]) / FORCE for row in rows]
    print(describe())
    print(
        f"{len(rows)} conformers of {len({row['smiles'] for row in rows})} molecules; RMS {size:.0f} meV/angstrom"
    )
    print(
        "| policy | MAE, meV/angstrom | RMSE | worst component | worst conformer's MAE | net force | target |"
    )
    print("|---|---|---|---|---|---|---|")
    for policy, target in TARGETS.items():
        pairs = zip(found[policy], found["float64"], strict=True)
        errors = [FORCE * np.abs(mine - exact) for mine, exact in pairs]
        every = np.concatenate([e.ravel() for e in errors])
        net = FORCE * max(np.abs(g.sum(axis=0)).max() for g in found[policy])
        print(
            f"| `{policy}` | {every.mean():.5f} | {np.sqrt((every**2).mean()):.5f} | {every.max():.5f} "
            f"| {max(e.mean() for e in errors):.5f} | {net:.0e} | {target} |"
        )
    exact = all(
        np.array_equal(a, b) or np.abs(a - b).max() < 1e-12
        for a, b in zip(stored, found["mixed"], strict=True)
    )
    print(f"stored forces are those of `mixed` here, to rounding of the unit: {exact}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("run", "check", "recompute", "policies"))
    parser.add_argument("path", type=Path)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--shard-rows", type=int, default=125)
    parser.add_argument("--level", type=int, default=0)
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--shard-seconds", type=float, default=20.0, help="a kill comes at most so late")
    parser.add_argument("--prefix", default="", help="put before the command of a run")
    parser.add_argument("--parts", type=int, default=27, help="check: one shard in so many is computed again")
    parser.add_argument("--count", type=int, default=100, help="rows to draw")
    parser.add_argument("--seed", type=int, default=18)
    given = parser.parse_args()
    {"run": run, "check": check, "recompute": recompute, "policies": policies}[given.step](given.path, given)


if __name__ == "__main__":
    main()
