"""`SCFResult`: its parts, its file, and what is known of it while it is made."""

from __future__ import annotations

import json
import math
import os
import signal
from dataclasses import fields, replace

import numpy as np
import pytest
from molecules import molecule

import scfx
from scfx.errors import Interrupted
from scfx.execution.progress_bar import reporting
from scfx.results import Stability
from scfx.export import to_molden

LEVEL = {
    "functional": "hf",
    "basis": {"O1": "6-31g", "default": "sto-3g"},
    "backend": "libcint",
    "threads": 1,
}


@pytest.fixture(scope="module")
def solver(registry):
    return scfx.Solver(functional="hf", basis="sto-3g", backend="libcint", threads=1, registry=registry)


@pytest.fixture(scope="module")
def result(registry):
    water = scfx.System.from_arrays(["O1", "H", "@H"], molecule("H2O").positions, "bohr", -1, 1, "hydroxide")
    radical = scfx.System.from_arrays(["O1", "H"], [[0, 0, 0], [0, 0, 0.97]], multiplicity=2)
    level = {**LEVEL, "properties": ["gradient"], "quadrupole": True}
    result = scfx.solve([water, radical, water], registry=registry, return_density=True, **level)
    # As a stability analysis leaves it, which would take as long as all else here.
    return replace(result, stability=[Stability(0.1, math.inf), None, Stability(math.nan)])


def same(a, b) -> bool:
    """Equal to the bit and in type, whatever it is."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=True)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Stability):
        return same([a.internal, a.external], [b.internal, b.external])
    return a == b or (a != a and b != b)


def test_a_number_gives_one_system_with_plain_numbers(result):
    one = result[1]
    assert isinstance(one.energy, float)
    assert one.energy == result.energy[1]
    assert (one.gap, one.nao, one.status) == (result.gap[1], 10, scfx.Status.CONVERGED)
    assert one.orbital_energies.shape == (2, 10)
    assert np.array_equal(one.gradient, result.gradient[1])
    assert one.properties["gradient"] is one.gradient
    assert one.system is result.systems[1]
    assert same(result[-1].energy_components, result.energy_components[2])
    assert repr(one).startswith("SystemResult(System(HO, charge=0, multiplicity=2), converged, -7")
    assert one.raise_for_status() is one
    assert [each.energy for each in result] == result.energy.tolist()
    assert [each.to_dict() for each in result] == result.to_dict()
    with pytest.raises(IndexError, match="there are 3 systems, and no number 3"):
        result[3]


def test_slices_numbers_and_masks_give_a_result_of_some(result):
    doublets = [s.multiplicity == 2 for s in result.systems]
    for which, expected in ((slice(1, None), [1, 2]), ([2, 0], [2, 0]), (np.array(doublets), [1]), ([], [])):
        part = result[which] if len(expected) else result[np.array([], dtype=int)]
        assert len(part) == len(expected)
        assert part.energy.tolist() == result.energy[expected].tolist()
        assert [len(part.properties[name]) for name in part.properties] == [len(expected)] * len(
            result.properties
        )
        assert all(same(a.density, result[i].density) for a, i in zip(part, expected, strict=True))
    with pytest.raises(IndexError, match="boolean index did not match"):
        result[np.array([True, False])]


def test_a_saved_result_comes_back_to_the_bit(result, tmp_path):
    path = result.save(tmp_path / "labels.npz")
    assert [p.name for p in tmp_path.iterdir()] == ["labels.npz"]
    assert np.array_equal(np.load(path)["energy"], result.energy)
    back = scfx.SCFResult.load(path)
    for each in fields(result):
        before, after = getattr(result, each.name), getattr(back, each.name)
        if each.name in ("basis_set", "descriptors"):
            continue
        if each.name == "provenance":
            before = json.loads(json.dumps(before))
        assert same(before, after), each.name
    assert [s.labels for s in back.systems] == [s.labels for s in result.systems]
    assert [s.name for s in back.systems] == ["hydroxide", "", "hydroxide"]
    assert [s.assumed for s in back.systems] == [s.assumed for s in result.systems]
    assert back.to_dict() == result.to_dict()
    assert back.descriptors["gradient"].column == result.descriptors["gradient"].column
    assert repr(back) == repr(result)
    to_molden(result, tmp_path / "before.molden", index=1)
    to_molden(back, tmp_path / "after.molden", index=1)
    assert (tmp_path / "before.molden").read_text() == (tmp_path / "after.molden").read_text()


def test_files_that_are_no_results_are_refused_with_the_reason(result, tmp_path):
    with pytest.raises(scfx.InputError, match=r"'labels.h5' does not end so; for a table use to_pandas"):
        result.save(tmp_path / "labels.h5")
    with pytest.raises(scfx.InputError, match="cannot write"):
        result.save(tmp_path / "nowhere" / "labels.npz")
    whole = result[1:2].save(tmp_path / "whole.npz").read_bytes()
    np.savez(tmp_path / "other.npz", energy=np.zeros(3))
    for name, content in (("cut", whole[:-900]), ("empty", b""), ("text", b"no result"), ("other", None)):
        if content is not None:
            (tmp_path / f"{name}.npz").write_bytes(content)
        with pytest.raises(scfx.InputError, match="is no result of scfx that can be read"):
            scfx.SCFResult.load(tmp_path / f"{name}.npz")


@pytest.fixture
def interruptible():
    """Ctrl-C as Python has it, whatever runs the tests."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def stretched(*lengths):
    return [scfx.System.from_arrays(["H", "F"], [[0, 0, 0], [0, 0, r]]) for r in lengths]


def test_progress_counts_systems_one_by_one_as_they_converge(solver):
    seen = []
    systems = [*stretched(0.9, 2.2, 1.4), molecule("H2O")]
    result = solver.solve(systems, progress=lambda *news: seen.append(news))
    assert seen == [(n, 4, {"converged": n}) for n in (1, 2, 3, 4)]
    assert len(set(result.iterations[:3])) > 1
    bad = scfx.solve(
        systems[0], "hf", "sto-3g", convergence={"max_iterations": 2}, recovery=False, registry=solver.registry,
        progress=lambda *news: seen.append(news),
    )  # fmt: skip
    assert bad.status == [scfx.Status.NOT_CONVERGED]
    assert seen[-1] == (1, 1, {"not_converged": 1})


@pytest.mark.parametrize("threads", [1, 2])
def test_ctrl_c_keeps_what_has_converged(solver, registry, interruptible, threads):
    # Three lanes of one batch, of which one needs fewer iterations, and a batch that has not begun.
    systems = [*stretched(2.2, 0.9, 2.4), molecule("CH4")]
    whole = solver.solve(systems)
    assert whole.iterations.argsort()[0] in (1, 3)
    using = solver if threads == 1 else scfx.Solver(
        functional="hf", basis="sto-3g", backend="libcint", threads=2, memory_budget="2 MB", registry=registry
    )  # fmt: skip

    def press(done, total, statuses):
        if done == 1:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Interrupted) as caught:
        using.solve(systems, progress=press)
    assert isinstance(caught.value, KeyboardInterrupt)
    kept = caught.value.result
    done = [i for i, status in enumerate(kept.status) if status is scfx.Status.CONVERGED]
    assert done
    assert kept.energy[done].tolist() == whole.energy[done].tolist()
    assert kept.dipole[done].tolist() == whole.dipole[done].tolist()
    left = [i for i in range(4) if i not in done]
    assert left
    assert {kept.status[i] for i in left} == {scfx.Status.NOT_DONE}
    assert np.isnan(kept.energy[left]).all()
    assert f"{len(done)} of 4 systems are done" in str(caught.value)
    # The rest, later, has the same bits.
    rest = using.solve([systems[i] for i in left])
    assert rest.energy.tolist() == whole.energy[left].tolist()


def test_ctrl_c_may_return_the_result_and_a_second_one_leaves_at_once(solver, interruptible):
    def press(done, total, statuses):
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    systems = [*stretched(0.9), molecule("H2O")]
    kept = solver.solve(systems, progress=press, on_interrupt="return")
    assert kept.status == [scfx.Status.NOT_DONE] * 2  # its batch was not done when the second came
    assert kept.reason == ["interrupted"] * 2
    assert "solve it again" in kept.status[0].explain()
    assert kept.energy.shape == (2,)
    with pytest.raises(scfx.InputError, match="on_interrupt: got 'ignore'"):
        solver.solve(systems, on_interrupt="ignore")


def test_progress_is_lines_where_there_is_no_terminal(capsys, monkeypatch):
    clock = iter(range(0, 1000, 4))
    monkeypatch.setattr("scfx.execution.progress_bar.time.monotonic", lambda: next(clock))
    with reporting(True, 8) as report:
        for done in range(1, 9):
            report(done, 8, {"converged": done - 1, "not_converged": 1})
    assert capsys.readouterr().err.splitlines() == [
        f"scfx: {done} of 8 systems (1 not converged), 0.25 a second" for done in (3, 6, 8)
    ]
    with pytest.raises(scfx.InputError, match="progress: got 'yes'"), reporting("yes", 3):
        pass
