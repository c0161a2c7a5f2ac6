"""What a person sees of a run: nothing essential is squeezed out, and rate and time left are those of the work."""

from __future__ import annotations

import io
import re
from collections import Counter, defaultdict

import pytest
from dataset_fake import FakeSpec, make_fake, make_task, write_smiles
from rich.console import Console
from scfx_dataset import label
from scfx_dataset.embedding import embedder
from scfx_dataset.options import Embedding

import scfx
from scfx.jobs.live_bar import ProgressState, _WrittenLines, as_line
from scfx.jobs.pace import Pace
from scfx.jobs.progress import Progress

LONG = ProgressState(
    rows=1_234_567,
    total=9_876_543,
    statuses={"ok": 1_200_000, "failed": 12, "not_converged": 34_555},
    rate=12.34,
    eta=50 * 3600,
    elapsed=7 * 3600 + 1,
    shapes=["p2:9 p1:14, p2:8 p1:12 open", "p3:1 p2:9 p1:14", "unreadable"],
)


def drawn(state: ProgressState, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), force_terminal=True, no_color=True)
    console.print(_WrittenLines(lambda: state))
    text = console.file.getvalue()
    assert "\x1b[3" not in text  # no colour
    return re.sub(r"\x1b\[[\d;]*m", "", text).splitlines()


@pytest.mark.parametrize("width", [80, 110, 160])
def test_label_bar_count_rate_and_time_left_are_there_at_every_usual_width(width):
    first, second = drawn(LONG, width)
    assert len(first) <= width
    assert len(second) <= width
    assert first.startswith("labels ━")
    for text in ("1234567/9876543 rows", "12.3 labels/s", "ETA 50:00:00"):
        assert text in first
    assert "12 failed, 34555 not converged; now 20 atoms (8 heavy, open shell)" in second


def test_a_narrow_terminal_keeps_count_and_time_left():
    for width in (40, 50, 60):
        first, second = drawn(LONG, width)
        assert "1234567/9876543 rows" in first
        assert "ETA 50:00:00" in first
        assert max(len(first), len(second)) <= width


def test_without_colour_the_bar_shows_how_far_it_is():
    half = ProgressState(50, 100, {"ok": 50}, 1.0, 50.0, 50.0, [])
    first, _ = drawn(half, 80)
    bar = re.search("━+", first)
    done = ProgressState(100, 100, {"ok": 100}, 1.0, 0.0, 100.0, [])
    whole = re.search("━+", drawn(done, 80)[0])
    assert bar is not None
    assert whole is not None
    assert len(bar[0]) == pytest.approx(len(whole[0]) / 2, abs=2)


def test_rate_and_time_left_are_known_from_the_first_labels_on():
    pace = Pace(began=0.0)
    assert pace.rate(29.0) is None
    assert pace.seconds_left(29.0, 100) is None
    pace.heard(30.0, rows=10, labels=10)
    assert pace.rate(30.0) == pytest.approx(10 / 30)
    assert pace.seconds_left(30.0, 90) == pytest.approx(270)


def test_start_up_is_left_out_once_there_is_as_much_of_work():
    # 30 s of imports and compilation, then ten labels every 5 s.
    pace = Pace(began=0.0)
    for i in range(20):
        pace.heard(35.0 + 5 * i, rows=10 * (i + 1), labels=10 * (i + 1))
    assert pace.rate(130.0) == pytest.approx(2.0)
    assert pace.seconds_left(130.0, 100) == pytest.approx(50.0)


def test_between_batches_the_time_left_counts_down_and_the_rate_stays():
    pace = Pace(began=0.0)
    for i in range(1, 11):
        pace.heard(20.0 * i, rows=10 * i, labels=8 * i)
    assert pace.rate(200.0) == pace.rate(215.0) == pytest.approx(0.4)
    assert pace.seconds_left(200.0, 100) - pace.seconds_left(215.0, 100) == pytest.approx(15.0)
    # The next batch is overdue: the rate falls, and the time left does not run out.
    assert pace.rate(2000.0) < 0.1
    assert pace.seconds_left(2000.0, 100) > 500


def test_neither_number_swings_where_the_systems_of_a_slow_batch_converge_in_a_burst():
    # Sixteen systems in 600 s, as they converge in the last minute.
    pace = Pace(began=0.0)
    for batch in range(8):
        for i in range(16):
            done = 16 * batch + i + 1
            pace.heard(600.0 * batch + 540 + 4 * i, rows=done, labels=done)
    rates = [pace.rate(4800.0 + wait) for wait in range(0, 540, 20)]
    assert rates == [pytest.approx(16 / 600, rel=0.1)] * len(rates)
    first, last = (pace.seconds_left(4800.0 + wait, 160) for wait in (0, 500))
    assert first == pytest.approx(6000, rel=0.12)
    assert first - last == pytest.approx(500, abs=1)


def test_rows_of_a_shard_are_heard_of_one_by_one_and_come_to_what_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(label, "_EVERY", 0.0)
    monkeypatch.setattr(embedder, "in_this_process", True)
    solver = make_fake(FakeSpec(not_converged=("CO",), bad_input=("CN",)), 1, None)

    def reports(name: str, *lines: str) -> list[Counter[str]]:
        options = {"molecules": write_smiles(tmp_path / name, lines), "output": str(tmp_path / f"{name}.out")}
        task = make_task({**options, "conformers": 2, "shard_rows": 99})
        plan = task.plan(scfx.TaskContext(FakeSpec(), None, None))[0]
        heard: list[Counter[str]] = []
        (shard,) = plan.shards
        label.label_rows(
            plan.items(shard), lambda: solver, Embedding(), 4, plan.identity, heard.append, defaultdict(float)
        )
        return [rows for rows in heard if rows]

    heard = reports("many", "CO", "CCO", "C1CC", "CC", "C")
    assert heard.count(Counter(ok=1)) == 8
    # Two of four systems are not what the solver said at first.
    assert heard.count(Counter(ok=-2, not_converged=2)) == 1
    total: Counter[str] = Counter()
    for rows in heard:
        total.update(rows)
    assert total == {"ok": 6, "not_converged": 2, "failed": 1}
    # Some that cannot be solved together are solved, and counted, one by one.
    assert reports("alone", "CN", "CCO") == [Counter(failed=1)] * 2 + [Counter(ok=1)] * 2


def test_the_rate_is_that_of_the_last_minute():
    pace = Pace(began=0.0)
    for i in range(1, 101):
        pace.heard(1.0 * i, rows=10 * i, labels=10 * i)
    for i in range(1, 101):
        pace.heard(100.0 + i, rows=1000 + i, labels=1000 + i)
    assert pace.rate(200.0) == pytest.approx(1.0)


def test_a_slow_run_says_labels_a_minute():
    state = ProgressState(3, 10, {"ok": 3}, 0.05, 140.0, 60.0, ["p2:1 p1:4"])
    assert as_line(state) == "3/10 rows, 3.0 labels/min, all ok, ETA 2:20, now 5 atoms (1 heavy)"


def test_rows_count_as_they_finish_and_a_pipe_gets_no_control_characters():
    console = Console(file=io.StringIO(), width=80)
    progress = Progress("auto", console, total=20, done=0)
    assert progress.mode == "plain"
    with progress:
        progress.rows(0, Counter())
        assert console.file.getvalue() == ""  # nothing to say yet
        progress.rows(0, Counter(ok=3))
        assert progress.state().rows == 3
        progress.rows(1, Counter(failed=1))
        assert progress.state().rows == 4
        progress.forget(1)
        progress.settle(0, {"ok": 3})
        assert progress.state().rows == 3
    shown = console.file.getvalue()
    assert shown.startswith("3/20 rows, ")
    assert "labels/" in shown
    assert re.search(r"[\x00-\x09\x0b-\x1f]", shown) is None


def test_a_terminal_that_cannot_move_its_cursor_gets_lines():
    dumb = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "dumb"})
    assert Progress("auto", dumb, 1, 0).mode == "plain"
    assert (
        Progress("auto", Console(file=io.StringIO(), force_terminal=True, _environ={}), 1, 0).mode == "rich"
    )
    notebook = Console(file=io.StringIO(), force_jupyter=True, force_terminal=True)
    assert Progress("auto", notebook, 1, 0).mode == "plain"


def test_a_terminal_that_goes_away_stops_no_work():
    class Gone(io.StringIO):
        def write(self, text):
            raise OSError(5, "Input/output error")

    progress = Progress("rich", Console(file=Gone(), force_terminal=True), 4, 0)
    with progress:
        progress.rows(0, Counter(ok=4))
    assert progress.counts()["ok"] == 4
