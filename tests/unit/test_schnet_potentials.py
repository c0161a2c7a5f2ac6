"""Potentials at work: dynamics, relaxations, labels of a study, comparisons of curves, two kinds of labels."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import schnet_data
from schnet_data import run

torch = pytest.importorskip("torch", reason="the schnet extra is not installed")

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from scfx_schnet import comparisons, fidelity, relaxation, studies  # noqa: E402
from scfx_schnet.dynamics import DynamicsOptions, dynamics  # noqa: E402
from scfx_schnet.fit import crossed_interval, interval  # noqa: E402
from scfx_schnet.relaxation import Minima, RelaxationOptions  # noqa: E402
from scfx_schnet.sources import DataOptions, open_data  # noqa: E402
from scfx_schnet.split import Growth, subset  # noqa: E402

import scfx  # noqa: E402
from scfx.errors import ConfigError, InputError  # noqa: E402
from scfx.model.system import BOHR_IN_ANGSTROM, HARTREE_IN_EV  # noqa: E402

H2 = np.array([1, 1]), np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.80]])


class Spring:
    """A potential that costs nothing: a spring between the first two atoms, length in angstrom, eV/angstrom²."""

    def __init__(self, length=0.74, stiffness=30.0):
        self.length, self.stiffness = length, stiffness

    def __call__(self, numbers, positions):
        energies, forces = [], []
        for xyz in positions:
            apart = xyz[1] - xyz[0]
            off = np.linalg.norm(apart) - self.length
            pull = self.stiffness * off * apart / np.linalg.norm(apart)
            energies.append(0.5 * self.stiffness * off**2)
            forces.append(np.zeros_like(xyz))
            forces[-1][:2] = pull, -pull
        return np.array(energies), forces


class Torn(Spring):
    """It holds its first molecule, pushes the second apart, and says nothing finite of the third once it is longer."""

    def __call__(self, numbers, positions):
        energies, forces = super().__call__(numbers, positions)
        if len(positions) == 3:
            apart = positions[1][1] - positions[1][0]
            energies[1] = -5 * np.linalg.norm(apart)
            forces[1] = np.array([-5 * apart, 5 * apart]) / np.linalg.norm(apart)
            if np.linalg.norm(positions[2][1] - positions[2][0]) > 0.7405:
                energies[2], forces[2] = np.nan, np.full((2, 3), np.nan)
        return energies, forces


# ---- dynamics ----------------------------------------------------------------------------------------------------


def test_dynamics_keeps_the_energy_and_the_temperature_of_a_spring():
    options = DynamicsOptions(picoseconds=0.1, timestep=0.1, temperature=300, every=5)
    found = dynamics(Spring(), [H2] * 6, options)
    assert found["relaxed"] == [True] * 6
    assert found["broken"] == [[]] * 6
    assert np.abs(found["drift_mev_per_atom_ps"]).max() < 0.05
    # A spring along one axis: half of what was drawn at 600 K stays in motion.
    assert np.mean(found["kelvin"]) == pytest.approx(300, rel=0.6)


def test_broken_bonds_and_lost_molecules_are_counted_and_leave_the_others_alone():
    options = DynamicsOptions(picoseconds=0.05, timestep=0.5, every=2, temperature=600)
    found = dynamics(Torn(), [H2] * 3, options)
    alone = dynamics(Spring(), [H2], options)
    assert found["broken"][0] == []
    ((one, other, time),) = found["broken"][1]
    assert (one, other) == (0, 1)
    assert 0 < time < 0.05
    assert found["finite"] == [True, True, False]
    assert len(found["broken"][2]) == 1
    assert found["drift_mev_per_atom_ps"][0] == pytest.approx(alone["drift_mev_per_atom_ps"][0], abs=1e-6)


def test_a_bond_that_the_relaxation_tears_is_broken_from_the_start():
    found = dynamics(Spring(length=1.2), [H2], DynamicsOptions(picoseconds=0.01))
    assert found["broken"] == [[[0, 1, 0.0]]]


# ---- relaxation --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def minima(tmp_path_factory, registry):
    folder = tmp_path_factory.mktemp("minima")
    options = RelaxationOptions(level={"functional": "hf"})
    spec = options.spec(None, {}, "task.relaxation.level")
    return Minima([H2], options, spec, folder, registry), folder, spec


@pytest.mark.slow
def test_a_potential_that_is_right_leads_to_the_levels_own_minimum(minima, registry, monkeypatch):
    found, folder, spec = minima
    (path,) = found.paths
    length = float(np.linalg.norm(path["positions"][-1][1] - path["positions"][-1][0]))
    # HF/STO-3G: 0.712 angstrom (Szabo and Ostlund, Modern Quantum Chemistry, table 3.13: 1.346 bohr).
    assert length == pytest.approx(0.712, abs=0.002)
    right = found(Spring(length))
    assert right["relaxed"] == [True]
    assert right["rmsd_angstrom"][0] < 1e-3
    assert right["above_mev"][0] == pytest.approx(0, abs=0.05)
    long = found(Spring(length + 0.05))
    assert long["rmsd_angstrom"][0] == pytest.approx(0.025, abs=1e-3)
    solver = scfx.Solver(spec, registry, atomic_numbers=(1,))
    energies = solver.solve([
        scfx.System.from_arrays(["H", "H"], [[0, 0, 0], [0, 0, each]], unit="angstrom")
        for each in (length, length + 0.05)
    ]).energy  # fmt: skip
    assert long["above_mev"][0] == pytest.approx(
        1000 * HARTREE_IN_EV * float(energies[1] - energies[0]), abs=0.5
    )
    assert len(path["forces"]) == len(path["energies"]) > 2
    # Along the path the spring's forces are off by what it pulls less: the level's own are in the file.
    off = np.array(Spring(length)([], list(path["positions"]))[1]) - path["forces"]
    assert right["path_force_mae"][0] == pytest.approx(np.abs(off).mean())

    def never(*_):
        raise AssertionError("this minimum is known")

    monkeypatch.setattr(relaxation, "_walk", never)
    assert len(Minima([H2], found.options, spec, folder, registry).paths[0]["energies"]) == len(
        path["energies"]
    )


@pytest.fixture
def level(monkeypatch):
    """In place of a level of theory the made-up surface, which takes no SCF. It has none for molecules of `lost`."""
    from types import SimpleNamespace

    from ase.calculators.calculator import Calculator, SCFError, all_changes

    lost: list[list[int]] = []

    class OnSurface(Calculator):
        implemented_properties = ["energy", "forces"]  # noqa: RUF012

        def __init__(self, **settings):
            assert settings["functional"] == "hf"
            assert list(settings["properties"]) == ["gradient"]
            super().__init__()

        def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
            super().calculate(atoms, properties, system_changes)
            if atoms.numbers.tolist() in lost:
                raise SCFError("no SCF")
            energy, forces = schnet_data.surface(atoms.numbers, atoms.positions)
            self.results = {"energy": energy, "forces": forces}

    class Solver:
        spec_hash = "surface"

        def __init__(self, spec, registry, atomic_numbers):
            self.elements = atomic_numbers

        def solve(self, systems):
            numbers = [system.atomic_numbers for system in systems]
            assert {int(z) for each in numbers for z in each} <= set(self.elements)
            found = [
                schnet_data.surface(z, system.positions * BOHR_IN_ANGSTROM)[0]
                for z, system in zip(numbers, systems, strict=True)
            ]
            held = [list(z) not in lost for z in numbers]
            return SimpleNamespace(energy=np.array(found) / HARTREE_IN_EV, converged=np.array(held))

    monkeypatch.setattr(relaxation, "scfx", SimpleNamespace(Solver=Solver))
    monkeypatch.setattr("scfx.ase.SCFX", OnSurface)
    return lost


def test_relaxations_are_judged_by_the_level_where_it_has_an_answer(level, registry, tmp_path):
    options = RelaxationOptions(level={"functional": "hf"})
    spec = options.spec(None, {}, "task.relaxation.level")
    oh = np.array([8, 1]), H2[1]
    level.append([8, 1])
    found = Minima([H2, oh], options, spec, tmp_path, registry)
    level.clear()
    # The Morse function of the surface has its minimum at 1.2 angstrom; OH's relaxation did not end.
    assert found.paths[1] is None
    assert np.linalg.norm(np.diff(found.paths[0]["positions"][-1], axis=0)) == pytest.approx(1.2, abs=0.02)
    (energies, forces), path = Spring(1.25)([], list(found.paths[0]["positions"])), found.paths[0]
    answer = found(Spring(1.25))
    assert (answer["molecules"], answer["relaxed"]) == (2, [True])
    assert answer["rmsd_angstrom"][0] == pytest.approx(0.025, abs=0.01)
    rise = schnet_data.surface([1, 1], [[0, 0, 0], [0, 0, 1.25]])[0] - path["energies"][-1]
    assert answer["above_mev"][0] == pytest.approx(1000 * rise, abs=0.1)
    assert answer["path_force_mae"][0] == pytest.approx(np.abs(np.array(forces) - path["forces"]).mean())
    off = (energies - energies[-1]) - (path["energies"] - path["energies"][-1])
    assert answer["path_energy_mae"][0] == pytest.approx(np.abs(off[:-1]).mean())
    assert "Relaxation of 1 molecules" in relaxation.sentence(answer)
    # No SCF where the potential ends: that molecule has no energy, and the sentence says so.
    level.append([1, 1])
    answer = found(Spring(1.25))
    assert answer["above_mev"] == [None]
    assert "none could be judged" in relaxation.sentence(answer)
    # The known minimum comes from its file: this level would have none.
    again = Minima([H2], options, spec, tmp_path, registry)
    np.testing.assert_array_equal(again.paths[0]["energies"], path["energies"])


def test_geometries_are_superposed_before_they_are_compared():
    random = np.random.default_rng(1)
    one = random.normal(size=(6, 3))
    turn, _ = np.linalg.qr(random.normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    assert relaxation.rmsd(one, one @ turn.T + 3.0) < 1e-6
    assert relaxation.rmsd(one, one * [1, 1, -1]) > 0.1  # a mirror image is another molecule
    moved = one + 0.01 * random.normal(size=one.shape)
    assert relaxation.rmsd(one, moved) <= np.sqrt(np.mean(np.sum((moved - one) ** 2, axis=1)))


def test_a_level_that_there_is_not_is_refused_with_its_key():
    with pytest.raises(ConfigError, match="functionall") as raised:
        RelaxationOptions(level={"functionall": "hf"}).spec(None, {}, "task.relaxation.level")
    assert raised.value.key.startswith("task.relaxation.level")


# ---- labels of a study -------------------------------------------------------------------------------------------


class Labels:
    """As much of a dataset as is read of the labels of one option."""

    planned, complete = 8, True

    def __init__(self, rows, bad=None, lost=None, complete=True):
        column = list(rows["forces_ev_per_angstrom"])
        if lost is not None:
            column[lost] = None
        extra = dict.fromkeys(("gap_ev", "homo_ev", "lumo_ev"), rows["energy_ev"])
        status = ["not_converged" if i == bad else "ok" for i in range(8)]
        rows = {**rows, **extra, "forces_ev_per_angstrom": column, "row_id": list(range(8)), "status": status}
        self._table, self.complete = pa.table(rows), complete
        self.schema, self.identity = self._table.schema, f"{bad} {lost}"

    def __len__(self):
        return 8 if self.complete else 3

    def filter(self, status):
        kept = replace_table(self)
        kept._table = self._table.filter(np.array(self._table["status"].to_pylist()) == status)
        return kept

    def summary(self):
        stages = {
            "exchange_correlation": 6.0,
            "gradient": 2.0,
            "gradient: core": 1.5,
            "compile": 90.0,
            "total": 100.0,
        }
        return {"worker_seconds": stages, "statuses": {"ok": 8}}

    def shards(self, columns):
        yield self._table.select(columns)


def replace_table(labels):
    made = Labels.__new__(Labels)
    made.__dict__.update(labels.__dict__)
    return made


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of three options: one has a row that did not converge, one a row without forces."""
    rows = schnet_data.surface_rows(2)
    labels = {"a": Labels(rows), "b": Labels(rows, bad=3), "c": Labels(rows, lost=6)}
    options = [{"label": f"option {key}", "labels": key, "changes": {"grid": 0}} for key in labels]
    (tmp_path / "study.json").write_text(json.dumps({"settings": {"labels": None}, "options": options}))
    monkeypatch.setattr(studies, "open_dataset", lambda registry, folder: labels[folder.name])
    return tmp_path, labels, options


def test_every_option_of_a_study_gives_the_rows_that_all_of_them_have(study, registry, tmp_path):
    folder, *_ = study
    options = [DataOptions(path=str(folder), option=f"option {key}") for key in "abc"]
    opened = [open_data(each, tmp_path / "cache", registry=registry, forces=True) for each in options]
    assert [len(molecules) for molecules in opened] == [6, 6, 6]
    first = schnet_data.surface_rows(2)["energy_ev"]
    kept = [energy for row, energy in enumerate(first) if row not in (3, 6)]
    for molecules in opened:
        np.testing.assert_allclose(molecules.targets(np.arange(6), ["energy"])[:, 0], kept)
    # Without forces the row that has none is one of them.
    assert len(open_data(options[0], tmp_path / "cache", registry=registry)) == 7
    about = opened[0].description
    assert (about["seconds_per_label"], about["seconds_per_energy"]) == (1.0, 0.75)


@pytest.mark.parametrize(("change", "option", "words"), [
    (lambda labels, options: None, "option d", "did you mean"),
    (lambda labels, options: setattr(labels["b"], "complete", False), "option a", "run the study to its end"),
    (lambda labels, options: options[1]["changes"].update(conformers=2), "option a", "differ in their geometries"),
])  # fmt: skip
def test_a_study_that_cannot_be_trained_on_is_refused_with_its_key(
    study, registry, tmp_path, change, option, words
):
    folder, labels, options = study
    change(labels, options)
    (folder / "study.json").write_text(json.dumps({"settings": {"labels": None}, "options": options}))
    with pytest.raises(ConfigError, match=words) as raised:
        open_data(DataOptions(path=str(folder), option=option), tmp_path / "cache", registry=registry)
    assert raised.value.key.startswith("task.data.")


def test_an_option_is_for_studies(tmp_path, registry):
    schnet_data.write_surface(tmp_path / "m.parquet", 4)
    with pytest.raises(ConfigError, match="is none") as raised:
        open_data(
            DataOptions(path=str(tmp_path / "m.parquet"), option="x"), tmp_path / "c", registry=registry
        )
    assert raised.value.key == "task.data.option"


# ---- subsets and intervals ---------------------------------------------------------------------------------------


def test_subsets_grow_by_molecules_or_by_conformers_of_the_same_molecules():
    keys = np.repeat(np.arange(5, dtype=np.uint64), [4, 6, 4, 5, 7])
    pool = np.arange(len(keys))

    def counts(size, growth):
        return sorted(
            np.unique(keys[subset(keys, pool, size, 3, growth=growth)], return_counts=True)[1].tolist()
        )

    assert counts(6, Growth(conformers=2)) == [2, 2, 2]
    assert counts(10, Growth(conformers=2)) == [2] * 5
    assert counts(3, Growth(molecules=3)) == [1, 1, 1]
    assert counts(9, Growth(molecules=3)) == [3, 3, 3]
    few, more = (set(subset(keys, pool, n, 3, growth=Growth(molecules=3)).tolist()) for n in (6, 12))
    assert few < more
    # The molecules that are grown are the first ones that growing by molecules takes.
    assert set(keys[list(more)]) == set(keys[subset(keys, pool, 6, 3, growth=Growth(conformers=2))])
    with pytest.raises(ConfigError, match="only 10 rows"):
        subset(keys, pool, 11, 3, growth=Growth(conformers=2))


def test_the_interval_of_crossed_differences_covers_their_mean():
    random, inside, trials = np.random.default_rng(0), 0, 400
    for _ in range(trials):
        seeds, molecules = random.normal(size=(3, 1)), random.normal(size=(1, 12))
        _, low, high = crossed_interval(0.7 + 0.3 * seeds + molecules + 0.5 * random.normal(size=(3, 12)))
        inside += low <= 0.7 <= high
    # Satterthwaite's approximation: not below the 95 % that it says by more than chance (standard error 1.1 %).
    assert inside / trials > 0.92
    of_molecules = random.normal(size=(1, 9))
    assert crossed_interval(of_molecules) == pytest.approx(interval(of_molecules[0].tolist()))
    # Seeds that agree leave the spread of the molecules alone.
    assert crossed_interval(np.repeat(of_molecules, 3, axis=0)) == pytest.approx(
        interval(of_molecules[0].tolist())
    )


def test_errors_at_equal_compute_are_read_between_the_sizes_of_the_other_curve():
    def runs(curve, errors, kind="test_mae_ev"):
        return [
            {"curve": curve, "size": size, "seed": seed, "test_mae_ev": [9.0], kind: [error * (1 + seed)]}
            for seed in (0, 1)
            for size, error in errors.items()
        ]

    # The second curve falls as n^-1, so 100 labels of half its cost buy what 50 of its own do: 0.08.
    for kind in ("test_mae_ev", "judged_mae_ev"):  # by the judge where there is one
        results = runs("energies", {100: 0.3, 1000: 0.1}, kind) + runs("forces", {10: 0.4, 400: 0.01}, kind)
        (row,) = comparisons.at_equal_compute(
            [("energies", "forces")], results, ["energy"], {"energy": "eV"}, {"energies": 0.5, "forces": 1.0}
        )
        assert (row["size"], row["other_size"], row["label_seconds"]) == (100, 50.0, 50.0)
        assert row["other"] == pytest.approx(1000 * 0.08 * 1.5)
        assert row["difference"] == pytest.approx(1000 * (0.3 - 0.08) * 1.5)


# ---- curves ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("potentials")
    schnet_data.write_surface(path / "m.parquet", 24)
    rows = schnet_data.surface_rows(24)
    # Another level of theory: every atom has another energy, and nothing else differs.
    atoms = [sum(7.0 * z for z in numbers) for numbers in rows["atomic_numbers"]]
    rows["energy_ev"] = [energy + shift for energy, shift in zip(rows["energy_ev"], atoms, strict=True)]
    pq.write_table(pa.table(rows), path / "cheap.parquet")
    return path


def test_energies_alone_are_compared_with_forces_and_potentials_move_molecules(
    folder, registry, tmp_path, monkeypatch, level
):
    from scfx_schnet import runs
    from scfx_schnet.scaling import ScalingTask

    curves = [
        {"name": "both", "seconds_per_label": 2.0},
        {"name": "energies", "seconds_per_label": 1.0, "training": {"force_weight": 0.0}, "against": "both"},
    ]
    options = {
        "output": str(tmp_path), "data": {"path": str(folder / "m.parquet")}, "model": "schnet-potential",
        "targets": ["energy", "forces"], "sizes": [24, 48], "seeds": [0], "curves": curves,
    }  # fmt: skip
    assert run(ScalingTask, options, registry) == 0
    result = json.loads((tmp_path / "runs" / "energies" / "n48-seed0" / "result.json").read_text())
    both = json.loads((tmp_path / "runs" / "both" / "n48-seed0" / "result.json").read_text())
    found = json.loads((tmp_path / "differences.json").read_text())
    rows = {(row["size"], row["quantity"]): row for row in found["differences"]}
    assert set(rows) == {(n, name) for n in (24, 48) for name in ("energy", "relative energy", "forces")}
    asked = np.load(tmp_path / "runs" / "both" / "n48-seed0" / "by_molecule.npz")
    assert rows[48, "forces"]["molecules"] == len(asked["keys"])
    # Means over molecules of one size would be those of the result; here they lie between its validation and test.
    assert asked["forces"].mean() == pytest.approx(
        np.mean([both[f"{k}_mae_ev"][1] for k in ("validation", "test")]), rel=0.3
    )
    assert {row["size"] for row in found["equal_compute"]} == {48}
    assert "label_compute.png" in {path.name for path in tmp_path.iterdir()}
    # What is asked for later is asked of the networks that are there.
    monkeypatch.setattr(runs.Training, "train", None)
    options["dynamics"] = {"picoseconds": 0.005, "molecules": 2}
    options["relaxation"] = {"molecules": 2, "level": {"functional": "hf"}, "steps": 60, "fmax": 0.1}
    assert run(ScalingTask, options, registry) == 0
    after = json.loads((tmp_path / "runs" / "energies" / "n48-seed0" / "result.json").read_text())
    assert after["test_mae_ev"] == result["test_mae_ev"]
    assert len(after["dynamics"]["broken"]) == 2
    moved = after["relaxation"]
    # Where the level itself does not end in so many steps, nothing is asked.
    assert moved["molecules"] == 2
    assert 0 < len(moved["relaxed"]) == len(moved["above_mev"])
    assert np.isfinite(moved["above_mev"] + moved["rmsd_angstrom"]).all()
    text = (tmp_path / "summary.md").read_text()
    assert "energies/n48-seed0: NVE of 2 molecules, 0.005 ps" in text
    assert "energies/n48-seed0: Relaxation of" in text
    assert "| energies | both | 48 | forces, meV/angstrom |" in text
    # What is no longer asked for is no longer told, and need not be answered again when it is.
    asked_again = dict(options)
    del options["relaxation"], options["dynamics"]
    assert run(ScalingTask, options, registry) == 0
    assert "NVE" not in (tmp_path / "summary.md").read_text()
    monkeypatch.setattr("scfx_schnet.examination.dynamics", None)
    monkeypatch.setattr("scfx_schnet.examination.Minima", None)
    for report_only in (True, False):
        assert run(ScalingTask, {**asked_again, "report_only": report_only}, registry) == 0
        assert (tmp_path / "summary.md").read_text() == text
    # A file of answers that is gone is made again; a network that is gone is said.
    folder = tmp_path / "runs" / "energies" / "n48-seed0"
    (folder / "by_molecule.npz").unlink()
    assert run(ScalingTask, asked_again, registry) == 0
    assert (folder / "by_molecule.npz").exists()
    for name in ("by_molecule.npz", "model.pt"):
        (folder / name).unlink()
    with pytest.raises(InputError, match=r"model\.pt"):
        run(ScalingTask, asked_again, registry)


@pytest.mark.parametrize(("changes", "key"), [
    ({"curves": [{"name": "a", "against": "b"}]}, "task.curves.a.against"),
    ({"curves": [{"name": "a", "level": {"grid": 0}}]}, "task.curves.a.level"),
    ({"curves": [{"name": "a", "level": {"grid": 0}, "against": "b"}, {"name": "b"}], "relaxation": {}},
     "task.curves.a.against"),
    ({"curves": [{"name": "a", "data": {"path": "m.parquet", "limit": 48}, "against": "b"}, {"name": "b"}]},
     "task.curves.a.against"),
    ({"targets": ["energy"], "dynamics": {}}, "task.dynamics"),
    ({"curves": [{"name": "a", "training": {"force_weight": 0, "energy_weight": 0}}]}, "task.training.force_weight"),
    ({"curves": [{"name": "a", "conformers": 1, "sizes": [60]}]}, "task.curves.a.conformers"),
])  # fmt: skip
def test_curves_that_mean_nothing_are_refused_with_their_key(
    folder, registry, tmp_path, monkeypatch, changes, key
):
    from scfx_schnet.scaling import ScalingTask

    monkeypatch.chdir(folder)
    options = {
        "output": str(tmp_path), "data": {"path": str(folder / "m.parquet")}, "model": "schnet-potential",
        "targets": ["energy", "forces"], "sizes": [24], "seeds": [0], **changes,
    }  # fmt: skip
    with pytest.raises(ConfigError) as raised:
        run(ScalingTask, options, registry)
    assert raised.value.key == key


# ---- two kinds of labels -----------------------------------------------------------------------------------------


def test_cheap_labels_are_moved_onto_the_better_ones_and_heads_are_told_apart(folder, registry):
    better, cheap = (
        open_data(
            DataOptions(path=str(folder / f"{name}.parquet")),
            folder / "cache",
            forces=True,
            registry=registry,
        )
        for name in ("m", "cheap")
    )
    rows = np.arange(0, 96, 2)
    both = fidelity.Joined(better, cheap, rows, rows, ("energy", "forces"))
    mixed = np.array([5, 96 + 5, 96 + 40, 40])
    energies = both.targets(mixed, ["energy"])[:, 0]
    assert energies[[1, 2]] == pytest.approx(energies[[0, 3]], abs=1e-6)
    np.testing.assert_array_equal(
        both.forces(mixed), np.concatenate([better.forces(np.array([r])) for r in (5, 5, 40, 40)])
    )
    batch = both.pack(mixed)
    assert batch.head is not None
    assert batch.head.tolist() == [0, 1, 1, 0]
    network = fidelity.Form(heads=2).build({"name": "schnet-tiny"}, 1, registry)
    one, other = (network(replace(batch, head=torch.full((4,), head)))[:, 0] for head in (0, 1))
    found = network(batch)[:, 0]
    torch.testing.assert_close(found, torch.where(batch.head == 0, one, other))
    torch.testing.assert_close(network(replace(batch, head=None))[:, 0], one)
    assert not torch.allclose(one, other)
    few = fidelity.balanced(np.arange(3), np.arange(10, 20))
    assert np.isin(few, np.arange(3)).sum() == 10


def test_four_ways_to_use_cheap_labels_are_compared_on_the_same_rows(folder, registry, tmp_path):
    from scfx_schnet.finetune import FinetuneTask
    from scfx_schnet.potential import Potential

    options = {
        "output": str(tmp_path), "data": {"path": str(folder / "m.parquet")}, "model": "schnet-potential",
        "pretraining": {"data": {"path": str(folder / "cheap.parquet")}, "training": {"steps": 6}},
        "targets": ["forces", "energy"], "sizes": [48], "seeds": [0], "overlap": "split",
        "ways": ["scratch", "pretrained", "delta", "heads"],
    }  # fmt: skip
    assert run(FinetuneTask, options, registry) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert set(summary["targets"]) == {"forces", "energy"}
    assert set(summary["sizes"]["48"]["ways"]) == {"pretrained", "delta", "heads"}
    content = {
        way: torch.load(tmp_path / f"runs/{way}/n48-seed0/model.pt", weights_only=True)
        for way in ("pretrained", "delta", "heads")
    }
    start = torch.load(tmp_path / "runs/pretraining/seed0/model.pt", weights_only=True)
    weights = content["delta"]["model"]
    assert all(torch.equal(weights[f"base.{name}"], value) for name, value in start["model"].items())
    assert float(weights["gate"]) != 0
    # Atoms differ by 7 eV times their number, and nothing else does: that is what was fitted to what was off.
    moved = content["delta"]["standardiser"]["references"] - start["standardiser"]["references"]
    assert moved[[1, 6, 8], 0].tolist() == pytest.approx([-7.0, -42.0, -56.0], abs=1.0)
    assert len(json.loads((tmp_path / "runs/heads/n48-seed0/result.json").read_text())["test_mae_ev"]) == 2
    for way in content:
        energies, _ = Potential.load(tmp_path / f"runs/{way}/n48-seed0/model.pt", registry=registry)(
            [[8]], [[[0, 0, 0]]]
        )
        assert energies[0] == pytest.approx(schnet_data.ATOM_ENERGIES[8], rel=0.01)


def test_ways_need_one_to_compare_with_and_weights_whose_molecules_are_known(folder, registry, tmp_path):
    from scfx_schnet.finetune import FinetuneTask

    data = {"path": str(folder / "m.parquet")}
    options = {"output": str(tmp_path), "data": data, "pretraining": {"data": data}}
    for changes, key in (
        ({"ways": ["delta"]}, "task.ways"),
        ({"overlap": "split", "pretraining": {"data": data, "model": "x.pt"}}, "task.overlap"),
    ):
        with pytest.raises(ConfigError) as raised:
            run(FinetuneTask, {**options, **changes}, registry)
        assert raised.value.key == key
