"""A dataset task whose solver takes no time, so that the tests of studies take seconds. Also a program to kill.

Names, specifications and plans are the real ones; only the labels are made up: a function of geometry and precision.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from dataset_fake import FakeSolver, FakeSpec
from scfx_dataset.labels import DatasetLabels
from scfx_dataset.task import DatasetTask

import scfx

#: Where the fake solver notes every system it solves, one line each; and seconds it takes for one.
LOG, DELAY = "SCFX_STUDY_FAKE_LOG", "SCFX_STUDY_FAKE_DELAY"
#: Error in hartree of a float32 energy: `sign` alternates over conformers, so that it is not a constant.
SHIFT = 2e-6


@dataclass
class PrecisionSolver:
    """Energies that depend on the precision; a SMILES with fluorine does not converge in float32."""

    precision: str

    @property
    def profile(self) -> dict[str, float]:
        return {"scf": 1.0, "compile": 0.5}

    def solve(self, systems: Any, *, progress: Any = None) -> scfx.SCFResult:
        low = self.precision == "float32"
        lost = tuple({s.name.split()[0] for s in systems if low and "F" in s.name})
        result = FakeSolver(FakeSpec(not_converged=lost)).solve(systems)
        time.sleep(float(os.environ.get(DELAY, "0")) * len(systems))
        if os.environ.get(LOG):
            with open(os.environ[LOG], "a", encoding="utf-8") as handle:
                handle.writelines(f"{self.precision} {system.name}\n" for system in systems)
        sign = np.array([1.0 if s.positions[0, 0] > 0 else -1.0 for s in systems])
        result.energy[:] += SHIFT * sign * low
        result.lumo[:] += 0.01 * np.array([s.positions[0, 1] for s in systems]) + 3 * SHIFT * low
        return result


def make_label_solver(spec: Any, threads: int | None, atomic_numbers: Any) -> PrecisionSolver:
    name = spec.precision if isinstance(spec.precision, str) else spec.precision["name"]
    return PrecisionSolver(name)


class FakeDatasetTask(DatasetTask):
    """The real task with the solver above."""

    def __init__(self, options: Any):
        super().__init__(options, solver_factory=make_label_solver)


class FakeLabels(DatasetLabels):
    """The real ones, made by the task above."""

    def task(self, options: Any) -> DatasetTask:
        return FakeDatasetTask(options)


class FakePlugin:
    @scfx.hookimpl
    def scfx_register_tasks(self) -> list[scfx.Offer]:
        return [scfx.Offer("dataset", "study_fake:FakeDatasetTask", summary="labels that cost nothing")]

    @scfx.hookimpl
    def scfx_register_labels(self) -> list[scfx.Offer]:
        return [scfx.Offer("dataset", "study_fake:FakeLabels", summary="labels that cost nothing")]

    @scfx.hookimpl
    def scfx_register_executors(self) -> list[scfx.Offer]:
        return [scfx.Offer("local", "scfx.jobs.local:LocalExecutor", summary="the real one")]


def fake_registry(*more: Any) -> scfx.Registry:
    """The real plugins that a specification needs, the study task, labels that cost nothing, and `more`."""
    import scfx_bse
    import scfx_libcint
    import scfx_precision
    import scfx_simd
    import scfx_study
    import scfx_xc

    modules = (scfx_bse, scfx_libcint, scfx_precision, scfx_simd, scfx_xc, scfx_study, *more)
    return scfx.Registry.from_plugins({**{m.__name__: m for m in modules}, "fake": FakePlugin()})


def fake_study(molecules: str, output: str, precision: Any = ("float64", "float32"), **more: Any) -> Any:
    import scfx_study

    scf = {"functional": "b3lyp5", "basis": "sto-3g", "grid": 0, "precision": list(precision)}
    keys = {"reference": {"precision": "float64"}, "conformers": 3, "shard_rows": 6, "traces": 0}
    keys |= {"workers": 1, "progress": "quiet", "molecules": molecules, "output": output, **more}
    return scfx_study.Study(scf, registry=fake_registry(), **keys)


if __name__ == "__main__":
    # study_fake.py MOLECULES OUTPUT: a run to be killed.
    import study_fake

    sys.exit(study_fake.fake_study(*sys.argv[1:]).run())
