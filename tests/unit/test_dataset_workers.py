"""What the solver is given: full lanes, the elements to come, a worker's share of the machine."""

from __future__ import annotations

import pytest
import scfx_dataset
from dataset_fake import FakeSolver, FakeSpec, describe_fake, executors, make_fake, run_fake, write_smiles
from scfx_dataset.solvers import make_solver
from scfx_dataset.task import DatasetTask

import scfx
from scfx.jobs.local import LocalExecutor

#: What is asked here is asked of rows, files and exit codes.
pytestmark = pytest.mark.usefixtures("quick_reports")


@pytest.fixture
def source(tmp_path):
    return write_smiles(tmp_path / "molecules.smi")


def test_a_batch_holds_one_shape_until_only_remainders_are_left(tmp_path, monkeypatch):
    # Lanes are conformers of one shell structure: a batch cut anywhere else leaves lanes empty.
    calls = []
    solve = FakeSolver.solve

    def listen(self, systems, **told):
        calls.append([system.natm for system in systems])
        return solve(self, systems, **told)

    monkeypatch.setattr(FakeSolver, "solve", listen)
    source = write_smiles(tmp_path / "m.smi", ["CCO", "CO", "CCN", "COC", "CN"])  # 9, 6, 10, 9, 7 atoms
    output = str(tmp_path / "out")
    assert run_fake(molecules=source, output=output, conformers=5, shard_rows=25, batch_size=4) == 0
    assert len(scfx_dataset.open(output).plan.shards) == 1
    full = [call for call in calls if len(call) == 4]
    assert (
        sum(len(set(call)) == 1 for call in full) >= 5
    )  # 5 + 5 + 10 + 5 rows hold five batches of one shape
    assert sum(map(len, calls)) == 25
    assert max(map(len, calls)) == 4


def test_the_solver_is_told_the_elements_that_the_filter_allows(tmp_path, source):
    told = []

    def factory(spec, threads, atomic_numbers):
        told.append(atomic_numbers)
        return FakeSolver(spec)

    def describe(spec, registry, atomic_numbers):
        told.append(atomic_numbers)
        return describe_fake(spec, registry, atomic_numbers)

    for name, filters in (("some", {"elements": ["O", "C", "H"]}), ("any", {})):
        options = {"molecules": source, "output": str(tmp_path / name), "filters": filters}
        parsed = DatasetTask.Options.model_validate({"progress": "quiet", "workers": 1, **options})
        task = DatasetTask(parsed, solver_factory=factory, describe=describe)
        assert task.run(scfx.TaskContext(FakeSpec(), executors(), None)) == 0
    assert told == [(1, 6, 8), (1, 6, 8), None, None]


def test_workers_share_cores_and_memory_budget(monkeypatch):
    monkeypatch.setattr("scfx_dataset.solvers.available_cores", lambda: 4)
    spec = scfx.SCFSpec.create({"memory_budget": "4 GiB", "functional": "hf"})
    made = []
    monkeypatch.setattr(scfx, "Solver", lambda spec, registry, atomic_numbers: made.append(spec))
    for threads in (None, 1, 2):
        make_solver(spec, threads, (1, 8))
    assert [(s.threads, s.memory_budget) for s in made] == [(None, 4 * 2**30), (1, 2**30), (2, 2 * 2**30)]


def test_one_process_runs_the_work_of_an_accelerator(tmp_path, source, monkeypatch):
    asked = []

    class Listening(LocalExecutor):
        def __init__(self, job, workers=0, on_rows=None):
            asked.append(workers)
            super().__init__(job, 1, on_rows)

    monkeypatch.setattr("scfx.jobs.local.LocalExecutor", Listening)
    for device in ("cpu", "gpu:0"):
        parsed = DatasetTask.Options.model_validate(
            {"progress": "quiet", "molecules": source, "output": str(tmp_path / device[:3])}
        )
        task = DatasetTask(
            parsed,
            make_fake,
            lambda *arguments, device=device: describe_fake(*arguments)._replace(device=device),
        )
        assert task.run(scfx.TaskContext(FakeSpec(), executors(), None)) == 0
    assert asked == [0, 1]
