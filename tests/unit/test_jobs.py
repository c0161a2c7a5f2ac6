"""The job service by itself: what any task's work is promised, and what is asked of executors."""

from __future__ import annotations

import json
import os
import time

import pytest
from dataset_fake import executors as executors_of_scfx

import scfx
from scfx.contracts.executor import AbstractExecutor, Outcome
from scfx.jobs import AbstractWork, JobOptions, open_results, run_job
from scfx.jobs.attempt import Worker
from scfx.jobs.commits import files_of, read_commits
from scfx.jobs.stores import open_store

CONTEXT = scfx.TaskContext(None, executors_of_scfx(), None)


class Squares(AbstractWork):
    """The square of each number, with a file of cubes beside. What an item says is done to the process."""

    def __init__(self, log=None, offset=0):
        self.log, self.offset = log, offset

    def compute(self, items, attempt):
        rows = []
        for item in items:
            if item.get("exits"):
                os._exit(7)
            if item.get("hangs"):
                time.sleep(600)
            if item.get("refuses"):
                raise scfx.InputError("these options do not fit")
            if self.log:
                with open(self.log, "a", encoding="utf-8") as handle:
                    handle.write(f"{item['x']}\n")
            rows.append({"status": "ok", "square": item["x"] ** 2 + self.offset})
            attempt.done("ok")
        return rows

    def encode(self, rows, attempt):
        cubes = [abs(row.get("square", 0)) ** 1.5 for row in rows]
        return super().encode(rows, attempt) | {"cubes.json": json.dumps(cubes).encode()}


def numbers(count, **what):
    """Items 0 .. count - 1; `exits=3`: item 3 exits."""
    items = [{"x": x} for x in range(count)]
    for key, place in what.items():
        items[place][key] = True
    return items


def run(output, items, work=None, identity=None, shard_rows=3, context=CONTEXT, **options):
    parsed = JobOptions.model_validate({"output": str(output), "workers": 1, "progress": "quiet", **options})
    return run_job(context, parsed, work or Squares(), items, identity or {"power": 2}, shard_rows)


def checksums(output):
    records = read_commits(open_results(output).plan)
    return {shard.id: [file["sha256"] for file in files_of(record)] for shard, record in records}


def test_a_job_gives_a_row_for_each_item_in_order_and_computes_nothing_twice(tmp_path):
    log = tmp_path / "log"
    assert run(tmp_path / "out", numbers(8), Squares(log)) == 0
    results = open_results(tmp_path / "out")
    assert results.complete
    assert [row["square"] for row in results.rows()] == [x**2 for x in range(8)]
    assert results.statuses() == {"ok": 8}
    assert run(tmp_path / "out", numbers(8), Squares(log)) == 0
    assert log.read_text().split() == [str(x) for x in range(8)]


def test_a_job_of_few_items_has_shards_for_many_workers_and_goes_on_with_those_that_it_has(tmp_path):
    for count, expected in ((20, [1] * 20), (100, [3] * 33 + [1]), (600, [16] * 37 + [8])):
        output = tmp_path / f"{count}"
        assert run(output, numbers(count), shard_rows=None, part="0/30") in (0, 1)
        assert [shard.rows for shard in open_results(output).plan.shards] == expected
    # As jobs were cut before.
    assert run(tmp_path / "old", numbers(40), shard_rows=16, part="0/2") == 0
    assert run(tmp_path / "old", numbers(40), shard_rows=None) == 0
    assert [shard.rows for shard in open_results(tmp_path / "old").plan.shards] == [16, 16, 8]
    assert open_results(tmp_path / "old").complete


def test_parts_of_a_job_make_the_same_bytes_as_the_whole(tmp_path):
    assert run(tmp_path / "whole", numbers(8)) == 0
    for part in ("1/2", "0/2"):
        assert run(tmp_path / "parts", numbers(8), part=part) == 0
    assert checksums(tmp_path / "parts") == checksums(tmp_path / "whole")


def test_files_beside_are_committed_with_the_rows_and_missed_when_they_are_gone(tmp_path):
    assert run(tmp_path / "out", numbers(4)) == 0
    results = open_results(tmp_path / "out")
    first = results.plan.shards[0]
    assert json.loads(results.files(first)["cubes.json"]) == [0.0, 1.0, 8.0]
    names = [file["attempt"] for _, record in read_commits(results.plan) for file in files_of(record)]
    assert sorted(names) == sorted(results.plan.store.names("attempts"))
    # An attempt that lost is removed, with what it had beside; what is committed stays.
    for ending in ("jsonl", "cubes.json"):
        results.plan.store.write_new(f"attempts/{first.id}-{'0' * 12}.{ending}", b"lost")
    assert run(tmp_path / "out", numbers(4)) == 0
    assert sorted(names) == sorted(results.plan.store.names("attempts"))
    results.plan.store.remove(next(name for name in names if name.endswith(".cubes.json")))
    with pytest.raises(scfx.InputError, match=r"cubes.json is missing, its commit says"):
        run(tmp_path / "out", numbers(4))


def test_an_item_that_ends_its_process_costs_its_own_row_only(tmp_path):
    items = numbers(4, exits=3)
    options = {"shard_rows": 2, "workers": 2, "quarantine_after": 1, "max_deaths": 1}
    assert run(tmp_path / "out", items, **options) == 0
    rows = list(open_results(tmp_path / "out").rows())
    assert [row.get("square") for row in rows] == [0, 1, 4, None]
    assert (rows[3]["status"], rows[3]["reason"]) == (
        "poison",
        "alone in a process, 1 times of 1: its process ended with exit code 7",
    )


def test_a_folder_of_another_job_is_refused_naming_what_differs(tmp_path):
    run(tmp_path / "out", numbers(4), part="0/2")
    with pytest.raises(scfx.InputError, match=r"work.power: 2 there, 3 now"):
        run(tmp_path / "out", numbers(4), identity={"power": 3})
    with pytest.raises(scfx.InputError, match="items_sha256"):
        run(tmp_path / "out", numbers(5))
    with pytest.raises(scfx.InputError, match="shard_rows: 3 there, 2 now"):
        run(tmp_path / "out", numbers(4), shard_rows=2)
    import scfx_dataset

    with pytest.raises(scfx.InputError, match="is not the plan of an scfx dataset"):
        scfx_dataset.open(tmp_path / "out")


class Newer(Squares):
    def versions(self):
        return {**super().versions(), "numpy": "99"}


def test_other_versions_go_on_only_when_asked_and_the_record_says_so(tmp_path):
    run(tmp_path / "out", numbers(6), part="0/2")
    with pytest.raises(
        scfx.InputError, match=r"begun with other versions(.|\n)*numpy(.|\n)*continue_with_other"
    ):
        run(tmp_path / "out", numbers(6), Newer())
    assert run(tmp_path / "out", numbers(6), Newer(), continue_with_other_versions=True) == 0
    records = [record for _, record in read_commits(open_results(tmp_path / "out").plan)]
    assert [record.get("versions", {}).get("numpy") for record in records] == [None, "99"]


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([], "there is no item"),
        ([{"x": object()}], "item 0 is dict: Object of type object is not JSON"),
        ([{"x": 1}, {"x": float("nan")}], "item 1 is dict"),
    ],
)
def test_items_that_cannot_be_planned_are_refused_and_leave_no_folder(tmp_path, items, message):
    with pytest.raises(scfx.InputError, match=message):
        run(tmp_path / "out", items)
    assert not (tmp_path / "out").exists()


def test_faults_of_the_configuration_and_of_the_work_blame_no_row(tmp_path):
    with pytest.raises(scfx.InputError, match="these options do not fit"):
        run(tmp_path / "refused", numbers(4, refuses=1))

    class Loses(Squares):
        def compute(self, items, attempt):
            return super().compute(items, attempt)[1:]

    class Invents(Squares):
        def compute(self, items, attempt):
            return [{"status": "fine"} for _ in items]

    for work, message in (
        (Loses(), "Loses returned 2 rows for 3 items"),
        (Invents(), "status 'fine', expected"),
    ):
        with pytest.raises(scfx.ScfxError, match=message):
            run(tmp_path / "out", numbers(4), work)
    assert checksums(tmp_path / "out") == {}


def test_a_damaged_plan_is_noticed(tmp_path):
    run(tmp_path / "out", numbers(4))
    (items,) = (tmp_path / "out" / "plan").glob("items-*")
    items.write_text(items.read_text().replace("1", "2"))
    with pytest.raises(scfx.InputError, match="is damaged"):
        open_results(tmp_path / "out").plan.verify()
    (shard, *_) = (tmp_path / "out" / "attempts").glob("*.jsonl")
    shard.write_bytes(b"x" * shard.stat().st_size)
    with pytest.raises(scfx.InputError, match="its checksum differs"):
        list(open_results(tmp_path / "out").rows())


# ---- executors -----------------------------------------------------------------------------------------------------


class InOrder(AbstractExecutor):
    """An executor of twelve lines: attempts one after another in this process."""

    closed = 0

    def __init__(self, job, workers=0, on_rows=None):
        self._job, self._on_rows = job, on_rows

    def run(self, attempts):
        worker = Worker(self._job)
        for shard in attempts:
            yield worker.attempt(shard, lambda rows, shard=shard: self._on_rows(shard, rows))

    def close(self):
        InOrder.closed += 1


class Silent(InOrder):
    def run(self, attempts):
        return iter(())


class Lying(InOrder):
    def run(self, attempts):
        yield from (Outcome(shard, "committed") for shard in attempts)


class Speechless(InOrder):
    def run(self, attempts):
        yield from attempts


class Lost(InOrder):
    def run(self, attempts):
        yield Outcome(99, "committed")


class WithoutJob(AbstractExecutor):
    def __init__(self, workers=0, on_rows=None):
        pass

    def run(self, attempts):
        return iter(())


def executors(*classes):
    class Plugin:
        @scfx.hookimpl
        def scfx_register_executors(self):
            return [
                scfx.Offer(c.__name__.lower(), f"{__name__}:{c.__name__}", summary="one") for c in classes
            ]

    return scfx.TaskContext(None, scfx.Registry.from_plugins({"mine": Plugin()}), None)


def test_a_third_partys_executor_runs_a_job(tmp_path):
    InOrder.closed = 0
    assert run(tmp_path / "mine", numbers(8), context=executors(InOrder), executor="inorder") == 0
    assert run(tmp_path / "usual", numbers(8)) == 0
    assert checksums(tmp_path / "mine") == checksums(tmp_path / "usual")
    assert InOrder.closed == 1


@pytest.mark.parametrize(
    ("cls", "message"),
    [
        (Silent, "has ended 3 attempts, and none of them is committed or has died"),
        (Lying, "has ended 3 attempts, and none of them is committed or has died"),
        (Speechless, r"reported a int; its `run` must yield one scfx.contracts.executor.Outcome"),
        (Lost, "reported 'committed' of shard 99"),
    ],
)
def test_an_executor_that_breaks_its_contract_is_named_with_what_it_did(tmp_path, cls, message):
    name = cls.__name__.lower()
    with pytest.raises(
        scfx.ConfigError, match=rf"task.executor: executor '{name}' \(.*test_jobs.{cls.__name__}\) {message}"
    ):
        run(tmp_path / "out", numbers(8), context=executors(cls), executor=name)


def test_an_executor_whose_constructor_takes_no_job_is_refused_with_the_contract(tmp_path):
    with pytest.raises(
        scfx.ConfigError, match=r"task.executor: executor 'withoutjob' .*takes no argument job.*docs/hooks.md"
    ):
        run(tmp_path / "out", numbers(2), context=executors(WithoutJob), executor="withoutjob")


def test_names_that_lead_outside_the_folder_are_refused(tmp_path):
    store = open_store(tmp_path)
    with pytest.raises(scfx.InputError, match="leads outside"):
        store.read("../secret")
