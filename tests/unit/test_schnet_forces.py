"""Networks on energies and forces: derivatives, symmetries, learning, resuming, refusals, and ASE."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import schnet_data
from cut_training import killed_in_step
from schnet_data import run

torch = pytest.importorskip("torch", reason="the schnet extra is not installed")

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
import scfx_schnet  # noqa: E402
from scfx_schnet import sources, split  # noqa: E402
from scfx_schnet.batch import pack  # noqa: E402
from scfx_schnet.forces import WithForces  # noqa: E402
from scfx_schnet.job import TrainingJob  # noqa: E402
from scfx_schnet.objective import Objective, median_mae  # noqa: E402
from scfx_schnet.options import TrainingOptions  # noqa: E402
from scfx_schnet.potential import Potential  # noqa: E402
from scfx_schnet.sources import DataOptions, open_data  # noqa: E402
from scfx_schnet.surface import Surface  # noqa: E402
from scfx_schnet.targets import Standardiser, checked_targets  # noqa: E402
from scfx_schnet.training import Training  # noqa: E402

from scfx.errors import ConfigError, InputError  # noqa: E402

TARGETS = ("energy", "forces")
MODELS = ("painn-potential", "schnet-potential")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("surface")
    schnet_data.write_surface(path / "m.parquet", 40)
    return path


def make_job(folder, model="painn-potential", seed=0, start=None, targets=TARGETS, **options) -> TrainingJob:
    molecules = open_data(DataOptions(path=str(folder / "m.parquet")), folder / "cache", forces=True)
    parts = split.split_by_molecule(molecules.keys, 0.2, 0.0, seed=0)
    options = {"steps": 12, "batch_size": 8, "checkpoint_every": 5, "threads": 1, **options}
    return TrainingJob(
        molecules, split.subset(molecules.keys, parts.pool, 100, seed), parts.validation, parts.test, targets,
        {"name": model}, TrainingOptions(**options), seed, start,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(folder, registry, tmp_path_factory):
    """The folder of a short training, its result, and its job."""
    out, job = tmp_path_factory.mktemp("trained"), make_job(folder, steps=150, checkpoint_every=1000)
    return out, Training(job, out, registry).train(), job


@pytest.fixture
def calculator(trained):
    from scfx_schnet.calculator import PotentialCalculator

    return PotentialCalculator(trained[0] / "model.pt")


def double(name, registry, **options):
    torch.manual_seed(3)
    return WithForces(scfx_schnet.build(name, registry=registry, **options), 0).double().eval()


@pytest.mark.parametrize("model", MODELS)
def test_forces_are_minus_the_derivative_of_the_energy(model, registry):
    network = double(model, registry)
    numbers, positions = schnet_data.molecules(3, seed=1, natm=(4, 7))
    forces = network(pack(numbers, positions, dtype=torch.float64))[1].numpy()
    assert np.abs(forces).max() > 1e-3
    start, step = 0, 1e-4
    for z, xyz in zip(numbers, positions, strict=True):
        for atom, axis in ((0, 0), (len(z) - 1, 2)):
            moved = np.repeat(xyz[None], 4, axis=0)
            moved[:, atom, axis] += np.array([2, 1, -1, -2]) * step
            energies = network(pack([z] * 4, list(moved), dtype=torch.float64))[0][:, 0].detach().numpy()
            derivative = energies @ np.array([-1, 8, -8, 1]) / (12 * step)
            assert forces[start + atom, axis] == pytest.approx(-derivative, abs=1e-8)
        start += len(z)


@pytest.mark.parametrize("model", MODELS)
def test_forces_turn_with_the_molecule_and_sum_to_zero(model, registry):
    network = double(model, registry)
    numbers, positions = schnet_data.molecules(3, seed=2, natm=(4, 9))
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    energies, forces = network(pack(numbers, positions, dtype=torch.float64))
    turned = network(pack(numbers, [p @ turn.T + 1.0 for p in positions], dtype=torch.float64))
    torch.testing.assert_close(turned[0], energies, rtol=0, atol=1e-10)
    torch.testing.assert_close(turned[1], forces @ torch.from_numpy(turn.T), rtol=0, atol=1e-10)
    ends = np.cumsum([len(z) for z in numbers])[:-1]
    for of_molecule in np.split(forces.numpy(), ends):
        np.testing.assert_allclose(of_molecule.sum(axis=0), 0, atol=1e-10)


@pytest.mark.parametrize("model", MODELS)
def test_energies_with_and_without_derivatives_are_the_same(model, registry):
    """The path that can be differentiated twice is another one; nearest neighbours are kept alike in both."""
    torch.manual_seed(0)
    batch = pack(*schnet_data.molecules(4, seed=3, natm=(5, 12)))
    for options in ({}, {"max_neighbors": 3}):
        network = scfx_schnet.build(model, registry=registry, **options)
        torch.testing.assert_close(WithForces(network, 0)(batch)[0], network(batch), rtol=1e-5, atol=1e-5)


def test_forces_go_smoothly_to_zero_at_the_cutoff(registry):
    network = double("painn-potential", registry)

    def force(distance):
        out = network(
            pack([np.array([6, 8])], [np.array([[0.0, 0, 0], [0, 0, distance]])], dtype=torch.float64)
        )
        return float(out[1].abs().max())

    assert force(5.001) == 0.0
    assert force(4.999) < 1e-5 < force(4.0)


def test_lone_atoms_feel_nothing_and_a_model_without_derivatives_is_refused(registry):
    network = double("schnet-potential", registry)
    assert network(pack([np.array([6])], [np.zeros((1, 3))], dtype=torch.float64))[1].abs().max() == 0

    class Blind(torch.nn.Module):
        def forward(self, batch):
            return torch.ones(batch.n_molecules, 1)

    with pytest.raises(InputError, match="Blind has no forces"):
        WithForces(Blind(), 0)(pack(*schnet_data.molecules(1)))


def test_training_lowers_energy_and_force_errors(trained):
    _, result, job = trained
    lazy = median_mae(job.molecules, job.rows, job.validation, TARGETS)
    energy, forces = result["validation_mae_ev"]
    assert energy < 0.5 * lazy[0]
    assert forces < 0.35 * lazy[1]
    assert result["train_mae_ev"][1] < 0.35 * lazy[1]


def test_schnet_learns_forces_too(folder, registry, tmp_path):
    job = make_job(folder, "schnet-potential", steps=40, loss="huber", checkpoint_every=1000)
    result = Training(job, tmp_path, registry).train()
    lazy = median_mae(job.molecules, job.rows, job.validation, TARGETS)
    assert result["validation_mae_ev"][1] < 0.8 * lazy[1]


@pytest.mark.parametrize(("loss", "penalty"), [
    ("l1", np.abs), ("mse", np.square),
    ("huber", lambda x: np.where(np.abs(x) < 0.1, 0.5 * x**2, 0.1 * (np.abs(x) - 0.05))),
])  # fmt: skip
def test_the_loss_weighs_energies_of_atoms_and_force_components(folder, loss, penalty):
    job = make_job(folder, loss=loss, energy_weight=2.0, force_weight=3.0)
    objective = Objective(job.molecules, job.rows, TARGETS, job.options)
    rows = job.rows[[0, 5, 9]]
    batch = objective.batch(rows)
    found = objective.loss((torch.zeros(3, 1), torch.zeros(len(batch.numbers), 3)), batch)
    natm = job.molecules.sizes[rows]
    ends = np.cumsum(natm)[:-1]
    of_molecules = [penalty(f).mean() for f in np.split(batch.forces.numpy(), ends)]
    expected = 2 * penalty(batch.targets.numpy()[:, 0] / natm).mean() + 3 * np.mean(of_molecules)
    assert float(found) == pytest.approx(float(expected), rel=1e-5)


def test_a_training_on_forces_that_is_cut_off_ends_with_the_same_weights(folder, registry, tmp_path):
    Training(make_job(folder), tmp_path / "whole", registry).train()
    with killed_in_step(8):
        Training(make_job(folder), tmp_path / "cut", registry).train()
    Training(make_job(folder), tmp_path / "cut", registry).train()
    whole, cut = (torch.load(tmp_path / n / "model.pt", weights_only=True)["model"] for n in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


@pytest.mark.slow
def test_bfloat16_trains_on_forces(folder, registry, tmp_path):
    job = make_job(folder, steps=30, precision="bfloat16", checkpoint_every=1000)
    result = Training(job, tmp_path, registry).train()
    assert (
        result["validation_mae_ev"][1] < 0.9 * median_mae(job.molecules, job.rows, job.validation, TARGETS)[1]
    )


def test_the_energy_of_a_potential_grows_with_the_molecule(folder):
    job = make_job(folder)
    rows = job.rows
    counts, forces = job.molecules.atom_counts(rows), job.molecules.forces(rows)
    values = job.molecules.targets(rows, ["energy"])
    fit = Standardiser.fit(["energy"], values, counts, forces)
    assert (fit.mean[0], fit.std[0]) == (0.0, pytest.approx(float(np.sqrt(np.mean(forces**2)))))
    given = Standardiser.fit(["energy"], values, counts, forces, schnet_data.ATOM_ENERGIES)
    assert {z: given.references[z, 0] for z in (1, 6, 8)} == schnet_data.ATOM_ENERGIES


def test_the_calculator_gives_what_the_training_measured(trained, calculator):
    from ase import Atoms
    from scfx_schnet.calculator import evaluate

    _, result, job = trained
    some = job.validation
    batch = job.molecules.pack(some)
    ends = np.cumsum(job.molecules.sizes[some])[:-1]
    images = [
        Atoms(z, p)
        for z, p in zip(
            np.split(batch.numbers.numpy(), ends), np.split(batch.positions.numpy(), ends), strict=True
        )
    ]
    found = evaluate(calculator.potential, images)
    wrong = [
        a.get_potential_energy() - e
        for a, (e,) in zip(found, job.molecules.targets(some, ["energy"]), strict=True)
    ]
    assert np.abs(wrong).mean() == pytest.approx(result["validation_mae_ev"][0], rel=1e-3)
    forces = np.concatenate([a.get_forces() for a in found])
    assert np.abs(forces - job.molecules.forces(some)).mean() == pytest.approx(
        result["validation_mae_ev"][1], rel=1e-3
    )
    images[0].calc = calculator
    assert images[0].get_potential_energy() == pytest.approx(found[0].get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(images[0].get_forces(), found[0].get_forces(), atol=1e-9)


def test_dynamics_with_the_calculator_conserves_energy(trained, calculator):
    from ase import Atoms, units
    from ase.md.verlet import VelocityVerlet
    from ase.optimize import BFGS

    job = trained[2]
    batch = job.molecules.pack(job.rows[:1])
    atoms = Atoms(batch.numbers.numpy(), batch.positions.numpy(), calculator=calculator)
    BFGS(atoms, logfile=None).run(fmax=0.05, steps=100)
    spread = np.sqrt(150 * units.kB * atoms.get_masses())[:, None]
    atoms.set_momenta(spread * np.random.default_rng(0).normal(size=(len(atoms), 3)))
    dynamics = VelocityVerlet(atoms, timestep=0.25 * units.fs)
    totals = []
    for _ in range(10):
        dynamics.run(10)
        totals.append(atoms.get_total_energy())
    assert np.ptp(totals) < 1e-4 * max(1.0, len(atoms)), totals
    assert atoms.get_kinetic_energy() > 1e-3


def test_what_a_potential_does_not_know_is_refused(trained, calculator, folder, registry, tmp_path):
    from ase import Atoms
    from ase.calculators.calculator import CalculatorSetupError

    for atoms, words in (
        (Atoms("FH", [[0, 0, 0], [0, 0, 0.9]]), "not trained on; it knows H, C, O"),
        (Atoms("OH", [[0, 0, 0], [0, 0, 0.9]], info={"charge": -1}), "charge -1"),
        (Atoms("OH", [[0, 0, 0], [0, 0, 0.9]], cell=[5, 5, 5], pbc=True), "periodic"),
    ):
        atoms.calc = calculator
        with pytest.raises(CalculatorSetupError, match=words):
            atoms.get_potential_energy()
    with pytest.raises(InputError, match=r"model\.pt"):
        Potential.load(tmp_path / "nothing.pt")
    Training(make_job(folder, "schnet-tiny", steps=2, targets=("energy",)), tmp_path, registry).train()
    with pytest.raises(InputError, match="not on forces"):
        Potential.load(tmp_path / "model.pt", registry=registry)


def spoiled(tmp_path, change):
    """A table whose rows are made bad."""
    rows = schnet_data.surface_rows(3)
    change(rows)
    pq.write_table(pa.table(rows), tmp_path / "t.parquet")
    return open_data(
        DataOptions(path=str(tmp_path / "t.parquet")), tmp_path / "cache", "task.data", forces=True
    )


@pytest.mark.parametrize(("change", "words"), [
    (lambda rows: rows.pop("forces_ev_per_angstrom"), "has no forces to learn"),
    (lambda rows: rows["forces_ev_per_angstrom"].__setitem__(5, None), "rows without forces, the first is row 5"),
    (lambda rows: rows["spec_hash"].__setitem__(2, "two"), "different levels of theory"),
    (lambda rows: rows["charge"].__setitem__(1, 1), "cannot tell them apart"),
])  # fmt: skip
def test_rows_of_no_one_surface_are_refused_with_their_key(tmp_path, change, words):
    with pytest.raises(ConfigError, match=words) as raised:
        spoiled(tmp_path, change)
    assert raised.value.key == "task.data.path"


class Rows:
    """As much of a dataset of labels as is read of one."""

    identity, planned = "made up", 8

    def __init__(self, rows):
        self._table = pa.table({**rows, "row_id": list(range(len(rows["charge"])))})
        self.schema = self._table.schema

    def filter(self, status):
        return self

    def summary(self):
        return {"worker_seconds": {}, "statuses": {"ok": self.planned}}

    def shards(self, columns):
        for start in (0, 5):
            yield self._table.select(columns).slice(start, 5 if start == 0 else None)


def dataset_rows():
    rows = schnet_data.surface_rows(2)
    rows |= dict.fromkeys(("gap_ev", "homo_ev", "lumo_ev"), rows["energy_ev"])
    reasons = pa.array([None] * 8, pa.map_(pa.string(), pa.string()))
    return {**rows, "property_reasons": reasons}


def test_forces_of_a_dataset_of_labels_are_read_shard_by_shard():
    rows = dataset_rows()
    surface = Surface("task.data", "labels")
    chunks = list(sources._dataset(Rows(rows), surface)[2])
    assert [len(chunk.sizes) for chunk in chunks] == [5, 3]
    found = np.concatenate([chunk.forces for chunk in chunks])
    np.testing.assert_array_equal(
        found, np.concatenate([np.array(f) for f in rows["forces_ev_per_angstrom"]])
    )
    assert surface.charges == [0]


def test_a_row_of_a_dataset_without_forces_is_named_with_its_reason():
    rows = dataset_rows()
    rows["forces_ev_per_angstrom"][6] = None
    reasons = [None] * 6 + [[("gradient", "functions were dropped")], None]
    rows["property_reasons"] = pa.array(reasons, pa.map_(pa.string(), pa.string()))
    with pytest.raises(ConfigError, match=r"row 6 \(functions were dropped\).*--filter") as raised:
        list(sources._dataset(Rows(rows), Surface("task.data", "labels"))[2])
    assert raised.value.key == "task.data.path"
    without = {name: column for name, column in dataset_rows().items() if name != "forces_ev_per_angstrom"}
    with pytest.raises(ConfigError, match=r"properties = \['gradient'\]"):
        sources._dataset(Rows(without), Surface("task.data", "labels"))


def test_a_column_of_forces_without_its_unit_is_refused(tmp_path):
    def rename(rows):
        for name in ("forces_ev_per_angstrom", "energy_ev", "positions_angstrom"):
            rows[name.partition("_")[0]] = rows.pop(name)

    with pytest.raises(ConfigError, match="energy_unit"):
        spoiled(tmp_path, rename)
    options = DataOptions(path=str(tmp_path / "t.parquet"), energy_unit="hartree", length_unit="bohr")
    found = open_data(options, tmp_path / "cache", forces=True)
    rows = pq.read_table(tmp_path / "t.parquet")
    stored = np.array(rows["forces"][0].as_py()) * 27.211386245988 / 0.529177210903  # CODATA 2018
    np.testing.assert_allclose(found.forces(np.array([0])), stored, rtol=1e-6)


@pytest.mark.parametrize(("targets", "options", "key"), [
    (("forces",), {}, "task.targets"), (("energy",), {"force_weight": 2.0}, "task.training.force_weight"),
    (TARGETS, {"compile": True}, "task.training.compile"),
    (TARGETS, {"atom_energies": {"H": -13.6}}, "task.training.atom_energies"),
    (TARGETS, {"atom_energies": {"Hh": -13.6}}, "task.training.atom_energies"),
])  # fmt: skip
def test_options_that_forces_cannot_have_are_refused(folder, registry, tmp_path, targets, options, key):
    with pytest.raises(ConfigError) as raised:
        Training(make_job(folder, targets=checked_targets(targets), **options), tmp_path, registry)
    assert raised.value.key == key


def test_a_model_that_hears_few_neighbours_is_refused(folder, registry, tmp_path):
    job = make_job(folder)
    job.model["max_neighbors"] = 2
    with pytest.raises(ConfigError, match="jump") as raised:
        Training(job, tmp_path, registry)
    assert raised.value.key == "task.model"


def test_the_potential_task_leaves_a_model_that_opens(folder, registry, tmp_path):
    from scfx_schnet.potential_task import PotentialTask

    options = {"output": str(tmp_path / "out"), "data": {"path": str(folder / "m.parquet")}}
    assert run(PotentialTask, options, registry) == 0
    table = (tmp_path / "out" / "summary.md").read_text()
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    energy, forces = (f"{1000 * value:,.1f}" for value in result["test_mae_ev"])
    assert f"| {energy} | {forces} |" in table
    found = Potential.load(tmp_path / "out" / "model.pt", registry=registry)
    assert (found.elements, found.charges) == ({1, 6, 8}, {0})


def test_elements_that_are_only_asked_about_are_refused(registry, tmp_path):
    from scfx_schnet.potential_task import PotentialTask

    rows = schnet_data.surface_rows(10)
    for numbers in rows["atomic_numbers"]:
        numbers[:] = [6] * len(numbers)
    rows["atomic_numbers"][0][0] = 8
    pq.write_table(pa.table(rows), tmp_path / "few.parquet")
    data = {"path": str(tmp_path / "few.parquet")}
    keys = open_data(DataOptions(**data), tmp_path / "cache").keys
    seed = next(s for s in range(99) if split.rank(keys[:1], s)[0] < 0.3 * 2.0**64)
    options = {
        "output": str(tmp_path / "out"),
        "data": data,
        "split": {"validation": 0.3, "test": 0.0, "seed": seed},
    }
    with pytest.raises(ConfigError, match="validation part has O, which") as raised:
        run(PotentialTask, options, registry)
    assert raised.value.key == "task.split.seed"


def test_scaling_draws_the_curve_of_forces_and_judges_them(folder, registry, tmp_path):
    from scfx_schnet.scaling import ScalingTask

    data = {"path": str(folder / "m.parquet")}
    options = {
        "output": str(tmp_path), "data": data, "model": "schnet-potential", "targets": ["forces", "energy"],
        "sizes": [8, 16], "seeds": [0], "curves": [{"name": "one", "judge": data}],
    }  # fmt: skip
    assert run(ScalingTask, options, registry) == 0
    summary = json.loads((tmp_path / "summary.json").read_text())["one"]
    assert summary["facts"]["units"] == {"forces": "eV/angstrom", "energy": "eV"}
    largest = summary["sizes"]["16"]
    # The judge has the very labels: its validation and test rows are those of the curve.
    both = [np.array(largest[f"{kind}_mae_ev"]["mean"]) for kind in ("validation", "test")]
    judged = np.array(largest["judged_mae_ev"]["mean"])
    assert np.all((judged >= np.minimum(*both) - 1e-9) & (judged <= np.maximum(*both) + 1e-9))
    text = (tmp_path / "summary.md").read_text()
    assert "MAE of the forces in meV/angstrom" in text
    assert "validation_forces_mae_mev_per_angstrom" in (tmp_path / "results.csv").read_text()


def test_fine_tuning_takes_forces_along(folder, registry, tmp_path):
    from scfx_schnet.finetune import FinetuneTask

    schnet_data.write_surface(tmp_path / "cheap.parquet", 10, seed=5)
    options = {
        "output": str(tmp_path / "out"), "data": {"path": str(folder / "m.parquet")}, "model": "schnet-potential",
        "pretraining": {"data": {"path": str(tmp_path / "cheap.parquet")}}, "targets": ["energy", "forces"],
        "sizes": [8], "seeds": [0],
    }  # fmt: skip
    assert run(FinetuneTask, options, registry) == 0
    result = json.loads((tmp_path / "out" / "runs" / "pretrained" / "n8-seed0" / "result.json").read_text())
    assert len(result["test_mae_ev"]) == 2


RUN = """
import sys
sys.path[:0] = sys.argv[3:]
from pathlib import Path
import scfx
from test_schnet_forces import make_job
from scfx_schnet.processes import processes
from scfx_schnet.training import Training
with processes() as group:
    Training(make_job(Path(sys.argv[1])), Path(sys.argv[2]), scfx.Registry.discover(), group).train()
"""


@pytest.mark.slow
def test_two_processes_train_on_forces_like_one(folder, registry, tmp_path):
    script, here = tmp_path / "run.py", Path(__file__).parent
    script.write_text(RUN)
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", script]
    command = [sys.executable, *launcher, folder, tmp_path / "two", here.parent / "support", here]
    done = subprocess.run([str(c) for c in command], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    Training(make_job(folder), tmp_path / "one", registry).train()
    one, two = (torch.load(tmp_path / n / "model.pt", weights_only=True)["model"] for n in ("one", "two"))
    start = Training(make_job(folder), tmp_path / "start", registry).model.state_dict()

    def apart(a, b):
        return float(torch.sqrt(sum((a[name] - b[name]).square().sum() for name in a)))

    # Sums differ in their order, and AdamW's steps are as long for the smallest gradients: single weights may differ.
    assert apart(one, two) < 0.02 * apart(one, start)
