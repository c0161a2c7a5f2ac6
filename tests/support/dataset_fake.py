"""A stand-in for the core solver, so that the tests of the dataset protocol take seconds. Also a program to kill.

The label of a system is a simple function of its atoms and positions (`fake_energy`), so that a test can tell from a
row alone whether the label belongs to its geometry.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import scfx
from scfx.results import SCFResult, Status

#: Real molecules of at most four heavy atoms, as canonical SMILES; several share a formula.
SMILES = (
    "CCO", "COC", "CC=O", "C1CO1", "C#CC", "CC#N", "NC=O", "CO", "CN", "C=O",
    "CCC", "CCN", "CNC", "OCO", "CC(C)C", "CCCC", "C1CCC1", "CC(C)=O", "COC=O", "FC(F)F",
)  # fmt: skip

#: Enough for a shard each, at six conformers and shards of six rows, to outlast many kills.
MANY = (
    *SMILES,
    *(
        "C" * n + middle + end
        for n in range(3, 8)
        for middle in ("", "C(F)", "C(O)", "C(N)", "C(C)")
        for end in ("O", "N", "F", "C#N", "C=O")
    ),
)


def fake_energy(atomic_numbers, positions_bohr) -> float:
    """Hartree; depends on every atom and position, and on their order."""
    charges = np.asarray(atomic_numbers, dtype=np.float64)
    weights = np.arange(1, 3 * charges.size + 1).reshape(-1, 3)
    return float(-charges.sum() + 1e-3 * np.sum(charges[:, None] * weights * np.asarray(positions_bohr)))


@dataclass(frozen=True)
class FakeSpec:
    """`delay` seconds a system; `log` gets the name of every system solved; the others name SMILES that misbehave."""

    level: str = "fake"
    delay: float = 0.0
    log: str | None = None
    not_converged: tuple[str, ...] = ()
    bad_input: tuple[str, ...] = ()
    bug: tuple[str, ...] = ()
    dies: tuple[str, ...] = ()
    interrupts: tuple[str, ...] = ()
    #: End as compiled code does: by a signal of their own making.
    segfaults: tuple[str, ...] = ()
    aborts: tuple[str, ...] = ()
    #: Dies of these only beside other rows.
    dies_in_company: tuple[str, ...] = ()
    hangs: tuple[str, ...] = ()
    #: Takes 1.5 GiB of memory, then hangs.
    allocates: tuple[str, ...] = ()
    #: A file whose solver is told to end (SIGTERM, as by a batch queue) while it has lines; each time takes one.
    preemptions: str | None = None


class FakeSolver:
    def __init__(self, spec: FakeSpec):
        self.spec = spec
        self.profile: dict[str, float] = {"compile": 0.25}

    def solve(self, systems, *, progress=None) -> SCFResult:
        spec = self.spec
        smiles = [system.name.split()[0] for system in systems]
        if any(s in spec.bad_input for s in smiles):
            raise scfx.InputError("this molecule is refused")
        if any(s in spec.bug for s in smiles):
            raise RuntimeError("a bug")
        if any(s in spec.dies for s in smiles):
            os._exit(7)
        if any(s in spec.segfaults for s in smiles):
            ctypes.string_at(0)
        if any(s in spec.aborts for s in smiles):
            os.abort()
        if any(s in spec.interrupts for s in smiles):
            raise KeyboardInterrupt
        if len(smiles) > 1 and any(s in spec.dies_in_company for s in smiles):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(s in spec.hangs for s in smiles):
            time.sleep(3600)
        if any(s in spec.allocates for s in smiles):
            memory = bytearray(3 * 2**29)
            memory[::4096] = b"x" * len(memory[::4096])  # touched, so that it is really there
            time.sleep(3600)
        self._end_if_preempted()
        began = time.perf_counter()
        for done, system in enumerate(systems, start=1):
            time.sleep(spec.delay)
            if spec.log is not None:
                with open(spec.log, "a", encoding="utf-8") as handle:
                    handle.write(system.name + "\n")
            if progress is not None:  # like a solver that has not yet seen who will be lost again
                progress(done, len(systems), {"converged": done})
        self.profile["scf"] = self.profile.get("scf", 0.0) + time.perf_counter() - began
        return self._result(systems, [s not in spec.not_converged for s in smiles])

    def _end_if_preempted(self) -> None:
        path = Path(self.spec.preemptions) if self.spec.preemptions else None
        if path is not None and (left := path.read_text().splitlines()):
            path.write_text("\n".join(left[1:]))
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)

    def _result(self, systems, converged) -> SCFResult:
        n = len(systems)
        energy = np.array([fake_energy(s.atomic_numbers, s.positions) for s in systems])
        return SCFResult(
            systems=systems,
            energy=energy,
            homo=np.full(n, -0.25),
            lumo=np.array([0.01 * s.natm for s in systems]),
            orbital_energies=np.zeros((n, 1)),
            dipole=np.array([s.positions[0] for s in systems]),
            converged=np.array(converged),
            iterations=np.full(n, 9, dtype=np.int32),
            residual=np.full(n, 1e-6),
            energy_change=np.full(n, 1e-10),
            status=[Status.CONVERGED if c else Status.NOT_CONVERGED for c in converged],
            rung=[""] * n,
            reason=[""] * n,
            nao=np.full(n, 5, dtype=np.int32),
            n_grid=np.full(n, 100, dtype=np.int32),
            s_squared=np.zeros(n),
            n_orbitals=np.full(n, 5, dtype=np.int32),
            provenance={"backend": "fake", "device": "cpu", "precision": "float64"},
        )


def make_fake(spec: FakeSpec, threads: int | None, atomic_numbers) -> FakeSolver:
    return FakeSolver(spec)


def describe_fake(spec: FakeSpec, registry, atomic_numbers):
    from scfx_dataset.cost import CostModel
    from scfx_dataset.solvers import Description

    # Sizes as in a minimal basis: hydrogen and helium have one AO, the next eight elements five, then nine.
    cost = CostModel(lambda z: 1 if z < 3 else 5 if z < 11 else 9, lambda z: 900)
    return Description(f"hash-of-{spec.level}", {"functional": spec.level, "basis": "none"}, {}, cost=cost)


def make_task(options):
    from scfx_dataset.task import DatasetTask

    parsed = DatasetTask.Options.model_validate({"progress": "quiet", "workers": 1, **options})
    return DatasetTask(parsed, solver_factory=make_fake, describe=describe_fake)


def executors() -> scfx.Registry:
    """The plugin that offers the local executor, and no other."""
    import scfx_dataset

    return scfx.Registry.from_plugins({"scfx_dataset": scfx_dataset})


def run_fake(spec: FakeSpec | None = None, console=None, **options) -> int:
    """Run a dataset task with the fake solver in this process."""
    registry = scfx.Registry.discover() if "executor" in options else executors()
    return make_task(options).run(scfx.TaskContext(spec or FakeSpec(), registry, console))


def write_smiles(path: Path, lines=SMILES) -> str:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


if __name__ == "__main__":
    # dataset_fake.py MOLECULES OUTPUT LOG DELAY WORKERS CONFORMERS [ray=ADDRESS] [part=I/N]: a run to be killed.
    import dataset_fake
    from scfx_dataset import report

    # Figures take longer than all else here (the fixture `quick_reports`).
    report.html_report = lambda *arguments: "<html>"
    report._distribution = lambda *arguments: b"\x89PNG"
    molecules, output, log, delay, workers, conformers, *words = sys.argv[1:]
    where = dict(word.split("=", 1) for word in words)
    on_ray = {"executor": {"name": "ray", "address": where["ray"]}} if "ray" in where else {}
    sys.exit(
        dataset_fake.run_fake(
            dataset_fake.FakeSpec(log=log, delay=float(delay)),
            molecules=molecules,
            output=output,
            conformers=int(conformers),
            shard_rows=6,
            batch_size=2,
            workers=int(workers),
            part=where.get("part", ""),
            progress="plain",
            **on_ray,
        )
    )
