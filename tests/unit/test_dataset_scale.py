"""Planning at scale: sizes of shards come from a cost model, memory from nowhere, estimates with their error."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from dataset_fake import SMILES, FakeSpec, describe_fake, make_fake, make_task, run_fake, write_smiles
from scfx_dataset import planning, rows, spill
from scfx_dataset.cost import CostModel
from scfx_dataset.estimate import as_text, clock, estimate
from scfx_dataset.findings import collect_findings
from scfx_dataset.options import Embedding

import scfx
from scfx.jobs.commits import read_commits
from scfx.jobs.plan import Shard
from scfx.jobs.plan_run import in_order

#: What is asked here is asked of rows, files and exit codes.
pytestmark = pytest.mark.usefixtures("quick_reports")


def plan(tmp_path, lines=SMILES, output="out", **options):
    source = write_smiles(tmp_path / "molecules.smi", lines)
    task = make_task({"molecules": source, "output": str(tmp_path / output), **options})
    return task.plan(scfx.TaskContext(FakeSpec(), None, None))[0]


def minimal_basis(z):
    """AOs of H to Ar in STO-3G: 1, 5, 9."""
    return 1 if z < 3 else 5 if z < 11 else 9


def test_the_cost_of_the_reference_molecule_is_the_measured_one():
    # docs/measurements/speed.md: a float32 label of FC=C1C2CN2N=C1C=O (C6 H5 F N2 O: 55 AOs) takes 67 ms at grid level
    # 0, where its grid has 13,912 points.
    numbers = [(1, 5), (6, 6), (7, 2), (8, 1), (9, 1)]
    model = CostModel(minimal_basis, lambda z: 13_912 / 15)
    assert model.nao(numbers) == 55
    assert model.seconds(numbers) == pytest.approx(0.067, rel=0.02)


def test_the_real_model_knows_basis_grid_and_functional():
    registry = scfx.Registry.discover()
    models = {
        key: CostModel.from_spec(scfx.SCFSpec.create(values).resolve(registry))
        for key, values in {
            "small": {"functional": "b3lyp", "basis": "sto-3g", "grid": 0, "precision": "float32"},
            "large": {"functional": "b3lyp", "basis": "6-31g*", "grid": 0, "precision": "float32"},
            "fine": {"functional": "b3lyp", "basis": "sto-3g", "grid": 3, "precision": "float32"},
            "hf": {"functional": "hf", "basis": "sto-3g", "grid": 0, "precision": "float32"},
        }.items()
    }
    ethanol = [(1, 6), (6, 2), (8, 1)]
    assert models["small"].nao(ethanol) == 21  # STO-3G
    assert models["large"].nao(ethanol) == 57  # 6-31G* with Cartesian d: 15 for C and O, 2 for H
    seconds = {key: model.seconds(ethanol) for key, model in models.items()}
    assert seconds["hf"] < seconds["small"] < seconds["fine"]
    assert seconds["small"] < seconds["large"]
    assert models["small"].nao([(6, 1), (118, 1)]) is None  # not in STO-3G


def test_shards_hold_about_the_asked_minutes_of_the_model(tmp_path):
    chains = ["C" * n for n in range(1, 9)]
    made = plan(tmp_path, chains, conformers=2000, shard_minutes=0.5)
    cost = describe_fake(FakeSpec(), None, None).cost
    for shard in made.shards:
        table = made.rows(shard)
        seconds = 0.0
        for shape in set(table["shape"].to_pylist()):
            heavy, hydrogen = (int(word.split(":")[1]) for word in shape.split())
            n = sum(s == shape for s in table["shape"].to_pylist())
            seconds += n * cost.seconds([(1, hydrogen), (6, heavy)])
        # One molecule's conformers are never split, so a shard may be shorter, or one molecule long.
        assert seconds <= 30.5 or len(set(table["smiles"].to_pylist())) == 1
    total = sum(shard.rows for shard in made.shards)
    assert total == 16_000


def test_max_aos_is_a_filter_and_counted(tmp_path):
    made = plan(tmp_path, ["C", "CC", "CCC", "CCCC"], filters={"max_aos": 16})
    # Methane 9, ethane 16, propane 23, butane 30 AOs in a minimal basis.
    assert made.counts["excluded"] == {"max_aos": 2}
    assert made.counts["molecules"] == 2


def test_the_plan_has_the_same_bytes_when_memory_is_tiny(tmp_path, monkeypatch):
    generator = random.Random(1)
    lines = [generator.choice(SMILES) + "C" * generator.randint(0, 8) for _ in range(300)]
    options = {"conformers": 2, "shard_rows": 40}
    roomy = plan(tmp_path, lines, "roomy", **options)
    monkeypatch.setattr(spill, "_KEYS_IN_MEMORY", 5)
    monkeypatch.setattr(rows, "KeyIndex", lambda folder: spill.KeyIndex(folder, in_memory=5))
    monkeypatch.setattr(rows, "Groups", lambda folder: spill.Groups(folder, budget=2000))
    monkeypatch.setattr(planning, "_INDEX_PIECE", 2)
    monkeypatch.setattr(rows, "_EXCLUDED_PIECE", 3)
    tight = plan(tmp_path, lines, "tight", **options)
    assert roomy.counts == tight.counts
    assert roomy.counts["duplicates"] > 50
    assert roomy.shards == tight.shards
    for a, b in zip(roomy.shards, tight.shards, strict=True):
        assert roomy.rows(a).equals(tight.rows(b))
    assert roomy.excluded().equals(tight.excluded())


def test_a_long_manifest_is_several_files_and_every_shard_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(planning, "SHARDS_PER_MANIFEST", 3)
    made = plan(tmp_path, conformers=2, shard_rows=2)
    pieces = [name for name in made.record["files"] if name.startswith("manifest")]
    assert len(pieces) == 7  # 20 molecules, one a shard, three shards a file
    ids = [row for shard in made.shards for row in made.rows(shard)["row_id"].to_pylist()]
    assert sorted(ids) == list(range(40))
    made.verify()


def test_keys_are_counted_and_remembered_on_disk_as_in_memory(tmp_path):
    small, large = (spill.KeyIndex(tmp_path, in_memory=n) for n in (2, 1000))
    counts = [spill.KeyIndex(tmp_path, in_memory=n) for n in (2, 1000)]
    generator = random.Random(2)
    for i in range(500):
        key = bytes([generator.randrange(60)])
        assert small.first(key, i) == large.first(key, i)
        assert counts[0].add(key, i) == counts[1].add(key, i)
    for index in (small, large, *counts):
        index.close()


def test_an_estimate_scales_a_timed_sample_to_all_rows(tmp_path):
    made = plan(tmp_path, ["C" * n for n in range(2, 9)], conformers=30, shard_rows=30)
    cost = describe_fake(FakeSpec(), None, None).cost
    solver = make_fake(FakeSpec(), 1, None)
    found = estimate(made, cost, solver, Embedding(), sample=40, group=8)
    middle, low, high = found.core_seconds
    assert 0 < low <= middle <= high
    assert (found.rows, found.shards) == (210, 7)
    assert found.statuses == {"ok": 40}
    one, two = found.wall_seconds(1)[0], found.wall_seconds(2)[0]
    assert one == pytest.approx(middle)
    assert two == pytest.approx(max(middle / 2, found.longest_shard))
    assert found.wall_seconds(10**6)[0] == found.longest_shard  # more cores than shards do not help
    text = as_text(found, (2,))
    for word in (
        "times as long as the cost model says",
        "the longest takes about",
        "core-hours",
        "disk",
        "wall-clock",
        "on 2 cores",
        "95 %",
    ):
        assert word in text


def test_the_estimate_follows_the_model_where_the_timings_do(tmp_path):
    # A solver whose time is exactly twice the model: the estimate is twice the model's sum, within the noise of
    # the clock and the embedding that it also counts.
    import time

    made = plan(tmp_path, ["C" * n for n in range(2, 7)], conformers=8, shard_rows=8)
    cost = describe_fake(FakeSpec(), None, None).cost

    class Proportional:
        def __init__(self):
            self.profile = {"compile": 0.0}
            self.inner = make_fake(FakeSpec(), 1, None)

        def solve(self, systems, *, progress=None):
            busy = sum(
                cost.seconds(
                    [(1, int((s.atomic_numbers == 1).sum())), (6, int((s.atomic_numbers == 6).sum()))]
                )
                for s in systems
            )
            end = time.process_time() + 2 * busy
            while time.process_time() < end:
                pass
            return self.inner.solve(systems)

    found = estimate(made, cost, Proportional(), Embedding(), sample=12, group=4, seed=4)
    expected = 2 * made.record["model_core_seconds"]
    assert found.core_seconds[0] == pytest.approx(expected, rel=0.5)
    assert found.core_seconds[0] > expected


def test_times_are_for_people():
    assert [clock(s) for s in (42, 720, 12_240, 1_036_800)] == ["42 s", "12 min", "3.4 h", "12 d"]


def test_displaced_and_plain_rows_have_different_identities(tmp_path):
    plain = plan(tmp_path, output="plain")
    moved = plan(tmp_path, output="moved", embedding={"displacement_angstrom": 0.05})
    a, b = (made.rows(made.shards[0]).to_pylist()[0] for made in (plain, moved))
    assert (a["geometry"], b["geometry"]) == ("etkdgv3", "etkdgv3+displaced:0.05")
    assert a["geometry_id"] != b["geometry_id"]
    assert plain.plan_id != moved.plan_id
    ids = [row["geometry_id"] for shard in plain.shards for row in plain.rows(shard).to_pylist()]
    assert len(set(ids)) == len(ids)


def test_relaxed_labels_come_with_a_geometry_that_says_so(tmp_path):
    import scfx_dataset

    source = write_smiles(tmp_path / "m.smi", ["CCCO", "[Xe]"])
    code = run_fake(molecules=source, output=str(tmp_path / "out"), embedding={"relax": "mmff94"})
    assert code == 0
    table = scfx_dataset.open(tmp_path / "out").to_table().to_pylist()
    assert table[0]["status"] == "ok"
    assert table[0]["geometry"] == "etkdgv3+mmff94"
    assert table[1]["reason"].startswith("relaxation: MMFF94 has no parameters")
    assert np.isfinite(table[0]["energy_ev"])


@pytest.mark.parametrize(
    ("molecules", "conformers", "fewest"), [(40, 1, 5), (120, 4, 32), (300, 16, 60), (1, 480, 30)]
)
def test_a_small_job_has_shards_for_many_workers_and_a_large_one_those_of_the_asked_size(
    tmp_path, molecules, conformers, fewest
):
    # 40 and 480 rows used to be one shard, and one busy core.
    lines = ["C" * (1 + i % 7) + "C(O)" * (i % 2) + "N" * (i // 14 % 2) for i in range(14)]
    lines = [f"{line}{'C(F)' * k}C" for k in range(1 + molecules // 10) for line in lines][: 2 * molecules]
    options = {"conformers": conformers, "limit": molecules}
    made = plan(tmp_path, lines, **options)
    total = made.counts["rows"]
    assert total == molecules * conformers
    assert len(made.shards) >= fewest
    assert sorted(row for s in made.shards for row in made.rows(s)["row_id"].to_pylist()) == list(
        range(total)
    )
    again = plan(tmp_path, lines, "again", **options)
    assert again.shards == made.shards
    # Batches of the solver are full, or half full, as far as the rows of a shape go.
    whole = [shard for shard in made.shards if "," not in shard.shape]
    assert conformers % 8 or sum(shard.rows % 8 == 0 for shard in whole) >= 0.7 * len(whole)
    # What two workers take from the list as they get free ends within 5 % of together.
    busy = [0.0, 0.0]
    for shard in in_order(made.shards):
        busy[busy.index(min(busy))] += shard.seconds
    assert sum(busy) == pytest.approx(made.record["model_core_seconds"], abs=1e-3)
    assert max(busy) < 1.05 * sum(busy) / 2 or total < 100
    # Asked for shards so short that there are enough of them, the sizes are the asked ones.
    seconds = made.record["model_core_seconds"]
    short = plan(tmp_path, lines, "short", shard_minutes=seconds / 60 / 100, **options)
    assert short.counts["shards"] >= min(total // max(16, conformers), 64) // 2


def test_the_smallest_quarter_of_the_work_comes_last_and_its_longest_shard_first():
    seconds = [3.0, 0.5, 8.0, 0.0, 2.0, 8.0, 1.0, 7.5]
    shards = [Shard(index, f"{index}", 1, "", value) for index, value in enumerate(seconds)]
    assert [shard.index for shard in in_order(shards)] == [2, 5, 7, 0, 4, 6, 1, 3]
    unknown = [Shard(index, f"{index}", 1) for index in (4, 1, 7)]
    assert [shard.index for shard in in_order(unknown)] == [1, 4, 7]
    assert in_order([]) == []


def test_a_job_that_was_begun_before_shards_were_cut_and_ordered_by_cost_ends_in_its_own_bytes(
    tmp_path, monkeypatch
):
    import scfx_dataset

    lines = [*SMILES[:5], "C1CC"]
    source = write_smiles(tmp_path / "m.smi", lines)
    options = {"molecules": source, "output": str(tmp_path / "out"), "conformers": 3}
    with monkeypatch.context() as before:
        before.setattr(planning, "SHARDS", pa.schema(list(planning.SHARDS)[:3]))
        before.setattr(rows.PlannedRows, "_small", lambda self, size, total, seconds: 3)
        assert run_fake(**options, part="0/2") == 0
        assert run_fake(**{**options, "output": str(tmp_path / "whole")}) == 0
    half, whole = scfx_dataset.open(tmp_path / "out"), scfx_dataset.open(tmp_path / "whole")
    assert not half.complete
    shards = half.plan.shards
    assert shards == whole.plan.shards
    assert {shard.seconds for shard in shards} == {0.0}
    assert run_fake(**options) == 0
    ended = scfx_dataset.open(tmp_path / "out")
    assert ended.plan.shards == shards
    first, second = ({s.id: r["sha256"] for s, r in read_commits(d.plan)} for d in (ended, whole))
    assert first == second
    assert len(first) == len(shards) == 6
    # The same planned today has other shards of the same rows.
    now = plan(tmp_path, lines, "now", conformers=3)
    assert len(now.shards) == 3
    assert now.plan_id == ended.plan.plan_id
    assert all(shard.seconds or shard.shape == rows.UNREADABLE for shard in now.shards)


def test_molecules_that_are_split_over_shards_are_counted_as_one(tmp_path):
    import scfx_dataset

    source = write_smiles(tmp_path / "m.smi", ["CCO", "[Xe]", "CC=O", "C1CC", "[Kr]"])
    # MMFF94 has no parameters for xenon and krypton.
    options = {"molecules": source, "conformers": 6, "embedding": {"relax": "mmff94"}}
    found = []
    for shard_rows in (4, 60):
        output = str(tmp_path / f"{shard_rows}")
        assert run_fake(**options, output=output, shard_rows=shard_rows) == 0
        dataset = scfx_dataset.open(output)
        assert len(dataset.plan.shards) == {4: 7, 60: 1}[shard_rows]
        found.append(collect_findings(dataset))
    split, whole = found
    assert split.short == whole.short == {0: 2, 6: 2}
    assert split.spread_of == whole.spread_of == 2
    assert split.mean_deviation == pytest.approx(whole.mean_deviation)
    assert split.outliers["widest"] == whole.outliers["widest"]
    # Of a job that is not done, what is there: four of six ethanols.
    output = str(tmp_path / "part")
    assert run_fake(**options, output=output, shard_rows=4, part="0/7") == 0
    part = collect_findings(scfx_dataset.open(output))
    assert (part.n, part.short, part.spread_of) == (4, {0: 1}, 1)


def test_a_plan_is_told_in_words(tmp_path, monkeypatch, capsys):
    from scfx_dataset.plan_command import _lines

    source = tmp_path / "m.csv"
    source.write_text("smiles\nCCO\nOCC\nCO\nCS\nC1CC\n")
    task = make_task({
        "molecules": str(source), "output": str(tmp_path / "out"), "conformers": 2,
        "filters": {"elements": ["H", "C", "O"]},
    })  # fmt: skip
    made = task.plan(scfx.TaskContext(FakeSpec(), None, None))[0]
    text = "\n".join(_lines(made, None, (2,)))
    assert "5 records of m.csv: 2 molecules kept" in text
    assert "1 duplicate; 1 by filter elements (plan/excluded-*.parquet lists them)" in text
    assert "1 record: a failed row each" in text
    assert "5 in 1 shard of 5 rows" in text
    assert "{" not in text
