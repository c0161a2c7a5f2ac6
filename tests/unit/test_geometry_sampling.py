"""Samples are distributed as statistical mechanics says, depend on their own start alone, and never vanish."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
from geometry_fake import SpringSolver, run_task, write_starts
from molecules import distorted, molecule
from scfx_geometry.harmonic import Modes
from scfx_geometry.relax import relax
from scfx_geometry.sampling.conformers import conformers_of
from scfx_geometry.sampling.dynamics import Dynamics, frames_of_dynamics
from scfx_geometry.sampling.normal_modes import deviations, displaced_along_modes
from scfx_geometry.sampling.torsion import turned

import scfx
from scfx.cli import main

KELVIN = 3.166811563e-6  # hartree


@pytest.fixture(scope="module")
def minimum():
    (done,) = relax(SpringSolver(), [molecule("H2O")], "ase-bfgs", "gau_tight")
    return done.system


def sample(solver, **options):
    return run_task("sample", lambda *_: solver, **options)


# ---- normal modes --------------------------------------------------------------------------------------------------


def test_classical_displacements_have_half_kt_of_potential_energy_a_mode(minimum):
    springs = SpringSolver()
    geometries, seeds = displaced_along_modes(springs, minimum, 2000, 1, 100.0, "classical", 5e-3)
    lowest = springs.solve([minimum]).energy[0]
    energies = springs.solve(geometries).energy - lowest
    # Three modes, springs nearly harmonic at 100 K: the standard error of the mean is 1.8 per cent.
    assert energies.mean() == pytest.approx(1.5 * KELVIN * 100.0, rel=0.08)
    assert len(set(seeds)) == 2000


def test_quantum_displacements_are_those_of_a_harmonic_oscillator():
    modes = Modes("nonlinear", np.array([20.0, 1000.0, 3000.0]), np.zeros(3), np.ones(3), np.zeros((3, 1, 3)))
    soft, low, high = deviations(modes, 0.0, "quantum")
    assert soft == 0.0  # not followed
    # ħ / 2 m w of 1 dalton at 1000 cm-1: 0.1298 angstrom (the oscillator's length over the root of two).
    assert low * 0.529177 == pytest.approx(0.1298, abs=2e-4)
    assert high == pytest.approx(low / np.sqrt(3.0))
    # High temperature: the classical spread.
    np.testing.assert_allclose(
        deviations(modes, 1e5, "quantum"), deviations(modes, 1e5, "classical"), rtol=2e-4
    )


# ---- dynamics ------------------------------------------------------------------------------------------------------


def test_dynamics_keep_their_temperature_and_do_not_depend_on_company(minimum):
    plan = Dynamics(
        samples=60, seed=3, temperature=300.0, timestep=1.0, friction=0.05, warm_up=60, interval=8
    )
    springs = SpringSolver()
    others = [minimum, *distorted(molecule("H2O"), 1, size=0.05)]
    found = {index: frames for index, frames, _ in frames_of_dynamics(springs, others, plan, 2)}
    ((_, alone, _),) = frames_of_dynamics(springs, [minimum], plan, 1)
    for ours, theirs in zip(found[0], alone, strict=True):
        np.testing.assert_array_equal(ours.positions, theirs.positions)
    energies = springs.solve(alone).energy - springs.solve([minimum]).energy[0]
    # Half kT in each of three vibrations, within the error of some 40 independent frames.
    assert energies.mean() == pytest.approx(1.5 * KELVIN * 300.0, rel=0.4)


# ---- torsions ------------------------------------------------------------------------------------------------------


def test_a_torsion_turns_what_hangs_on_its_end():
    peroxide = scfx.System.from_arrays(
        "HOOH", [[0.8, 0.9, 0.4], [0, 0.7, 0], [0, -0.7, 0], [-0.8, -0.9, 0.4]]
    )
    geometries, values = turned(peroxide, (0, 1, 2, 3), 4)
    np.testing.assert_allclose(np.diff(values) % 360, 90.0)
    np.testing.assert_allclose(geometries[0].positions, peroxide.positions, atol=1e-12)
    for each in geometries:
        np.testing.assert_allclose(each.positions[:3], peroxide.positions[:3], atol=1e-12)
        assert np.linalg.norm(each.positions[3] - each.positions[2]) == pytest.approx(
            np.linalg.norm(peroxide.positions[3] - peroxide.positions[2])
        )


def test_a_torsion_about_a_ring_or_no_bond_is_refused():
    ring = scfx.System.from_smiles("C1CC1")
    with pytest.raises(scfx.InputError, match="in a ring"):
        turned(ring, (0, 1, 2, 3), 4)
    with pytest.raises(scfx.InputError, match="not bonded"):
        turned(molecule("CH4"), (0, 1, 2, 3), 4)


# ---- conformers ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def butane():
    return scfx.System.from_smiles("CCCC")


def test_the_lowest_conformer_of_butane_is_anti_and_the_next_gauche(butane):
    found = conformers_of(butane, "CCCC", 12, 2, seed=1, pick="lowest", prune_rms=0.1)
    carbons = [i for i, z in enumerate(butane.atomic_numbers) if z == 6]
    from ase import Atoms

    torsions = [
        Atoms("CCCC", system.positions_angstrom[carbons]).get_dihedral(0, 1, 2, 3) for system, _ in found
    ]
    assert torsions[0] == pytest.approx(180.0, abs=1.0)
    # MMFF94: gauche at 65 degrees, 0.78 kcal/mol above anti (T. A. Halgren, J. Comput. Chem. 20, 730 (1999)).
    assert min(torsions[1], 360.0 - torsions[1]) == pytest.approx(65.0, abs=1.5)
    assert [how["force_field_kcal_mol"] for _, how in found] == pytest.approx([0.0, 0.78], abs=0.02)
    # Gauche has a mirror image, which is not another one.
    assert len(conformers_of(butane, "CCCC", 12, 3, seed=1, pick="lowest", prune_rms=0.1)) == 2
    # A conformer is that of its own number, however many are made.
    (again, how), *_ = conformers_of(butane, "CCCC", found[0][1]["conformer"] + 1, 1, 1, "lowest", 0.1)
    np.testing.assert_array_equal(again.positions, found[0][0].positions)
    assert how["seed"] == found[0][1]["seed"]


def test_the_nearest_conformer_is_that_of_the_given_geometry(butane):
    _, (gauche, _) = conformers_of(butane, "CCCC", 12, 2, seed=1, pick="lowest", prune_rms=0.1)
    # Without its SMILES, turned, and other random numbers.
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    turned_ = scfx.System(gauche.atomic_numbers, gauche.positions @ turn)
    ((near, how),) = conformers_of(turned_, "", 12, 1, seed=5, pick="nearest", prune_rms=0.1)
    assert how["rmsd_angstrom"] < 0.01
    assert how["force_field_kcal_mol"] == pytest.approx(0.78, abs=0.02)
    np.testing.assert_array_equal(near.atomic_numbers, gauche.atomic_numbers)


def test_stereo_centres_are_those_of_the_geometry():
    from scipy.spatial import distance

    start = scfx.System.from_smiles("C[C@H](F)O")
    mirrored = scfx.System(start.atomic_numbers, start.positions * np.array([1.0, 1.0, -1.0]))
    carbon = next(
        i
        for i, row in enumerate(distance.cdist(start.positions, start.positions))
        if (row < 3.2).sum() == 5 and any(start.atomic_numbers[j] == 9 for j in np.flatnonzero(row < 3.2))
    )

    def handedness(system):
        around = [j for j in np.argsort(system.atomic_numbers) if j != carbon]
        near = [j for j in around if np.linalg.norm(system.positions[j] - system.positions[carbon]) < 3.2]
        a, b, c = (system.positions[j] - system.positions[near[0]] for j in near[1:])
        return np.sign(np.linalg.det([a, b, c]))

    for each in (start, mirrored):
        for made, _ in conformers_of(each, "", 3, 3, 1, "lowest", 0.1):
            assert handedness(made) == handedness(each)


def test_a_molecule_without_parameters_says_so():
    with pytest.raises(scfx.InputError, match="MMFF94 has no parameters"):
        conformers_of(scfx.System.from_smiles("B"), "B", 1, 1, 1, "lowest", 0.1)


# ---- the task ------------------------------------------------------------------------------------------------------

METHODS = {
    "normal_modes": {"kind": "normal_modes", "temperature": 300.0},
    "dynamics": {"kind": "dynamics", "warm_up": 3, "interval": 2},
    "torsion": {"kind": "torsion", "atoms": [1, 0, 2, 3], "relax": False},
    "relaxation": {"kind": "relaxation"},
}


@pytest.mark.parametrize("kind", METHODS)
def test_samples_are_rows_that_do_not_vanish_and_are_computed_once(tmp_path, kind):
    systems = [molecule("CH4"), *distorted(molecule("CH4"), 1, size=0.05)]
    options = {
        "molecules": write_starts(tmp_path / "starts.xyz", systems), "samples": 3, "method": METHODS[kind],
    }  # fmt: skip
    code, _ = sample(SpringSolver(lost=("1",)), output=str(tmp_path / "out"), **options)
    assert code == 0
    rows = pq.read_table(tmp_path / "out" / "samples.parquet").to_pylist()
    assert [row["sample"] for row in rows if row["index"] == 0] == [0, 1, 2]
    lost = [row for row in rows if row["index"] == 1]
    assert lost
    assert {row["status"] for row in lost} == {"failed"}
    assert "made not to converge" in lost[0]["reason"]
    again = SpringSolver()
    sample(again, output=str(tmp_path / "out"), **options)
    assert not again.calls
    assert len(scfx.System.all_from_xyz(tmp_path / "out" / "samples.xyz")) == 3


def test_points_of_a_relaxation_go_from_the_start_to_the_minimum(tmp_path):
    (start,) = distorted(molecule("CH4"), 1, size=0.2)
    options = {"molecules": write_starts(tmp_path / "one.xyz", [start]), "method": {"kind": "relaxation"}}
    sample(SpringSolver(), samples=3, output=str(tmp_path / "out"), **options)
    rows = pq.read_table(tmp_path / "out" / "samples.parquet").to_pylist()
    np.testing.assert_allclose(rows[0]["positions_angstrom"], start.positions_angstrom, atol=1e-9)
    (end,) = relax(SpringSolver(), [start], "berny", "gau_loose")
    assert [row["step"] for row in rows] == [0, round((end.steps - 1) / 2), end.steps - 1]
    np.testing.assert_allclose(rows[2]["positions_angstrom"], end.system.positions_angstrom, atol=1e-9)
    assert rows[0]["energy_hartree"] > rows[1]["energy_hartree"] > rows[2]["energy_hartree"]


CHAIN = """
[scf]
functional = "hf"
basis = "sto-3g"
threads = 1

[[task]]
name = "sample"
molecules = "{folder}/start.smi"
samples = 2
method = {{ kind = "conformers", conformers = 2, prune_rms = 0.0 }}
label = false
workers = 1
output = "{folder}/conformers"

{more}

[[task]]
name = "dataset"
molecules = "{folder}/{source}/samples.xyz"
geometry = "given"
workers = 1
output = "{folder}/dataset"
"""


PATH = """
[[task]]
name = "sample"
molecules = "{folder}/conformers"
limit = 1
samples = 2
method = {{ kind = "relaxation" }}
label = false
workers = 1
output = "{folder}/path"
"""


def test_samples_are_read_by_the_dataset_task_as_they_are(tmp_path):
    from scfx_dataset.sources import Source

    (tmp_path / "start.smi").write_text("F/C=C\\F ethene\n")
    how = {"method": {"kind": "conformers", "conformers": 1}, "samples": 1, "label": False}
    springs = SpringSolver()
    assert sample(springs, molecules=str(tmp_path / "start.smi"), output=str(tmp_path / "out"), **how)[0] == 0
    assert not springs.calls
    (record,) = Source(tmp_path / "out" / "samples.xyz", "xyz").records()
    (row,) = pq.read_table(tmp_path / "out" / "samples.parquet").to_pylist()
    assert (record.smiles, record.charge, record.multiplicity) == ("F/C=C\\F", 0, 1)
    assert (record.problem, record.assumed) == ("", ())
    np.testing.assert_array_equal(record.geometry.positions, row["positions_angstrom"])


@pytest.mark.slow
@pytest.mark.parametrize("source", ["conformers", "path"])
def test_one_file_goes_from_smiles_over_geometries_to_a_dataset(tmp_path, source):
    import scfx_dataset

    (tmp_path / "start.smi").write_text("O water\n")
    more = PATH.format(folder=tmp_path) if source == "path" else ""
    (tmp_path / "chain.toml").write_text(CHAIN.format(folder=tmp_path, source=source, more=more))
    assert main(["run", str(tmp_path / "chain.toml")]) == 0
    first = pq.read_table(tmp_path / "conformers" / "samples.parquet").to_pylist()[0]
    assert (first["status"], first["energy_hartree"], first["force_field_kcal_mol"]) == ("ok", None, 0.0)
    rows = scfx_dataset.open(tmp_path / "dataset").to_table().to_pylist()
    samples = pq.read_table(tmp_path / source / "samples.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["ok"] * len(samples)
    assert {row["smiles"] for row in rows} == {"O"}
    assert not any(row["assumed"] for row in rows)
    for row, each in zip(rows, samples, strict=True):
        np.testing.assert_allclose(row["positions_angstrom"], each["positions_angstrom"], atol=1e-12)
    if source == "path":
        assert rows[1]["energy_ev"] < rows[0]["energy_ev"]


CONFIG = """
[scf]
functional = "hf"
basis = "sto-3g"
threads = 1

[[task]]
name = "optimize"
molecules = "{folder}/start.xyz"
workers = 1
output = "{folder}/relaxed"

[[task]]
name = "sample"
molecules = "{folder}/relaxed"
output = "{folder}/samples"
workers = 1
samples = 2
method = {{ {method} }}
{more}
"""


@pytest.mark.slow
def test_one_file_relaxes_and_samples_at_a_level_of_its_own(tmp_path):
    write_starts(tmp_path / "start.xyz", [molecule("H2O")])
    text = CONFIG.format(
        folder=tmp_path, method='kind = "dynamics", warm_up = 1, interval = 1',
        more='level = { functional = "hf", basis = "sto-3g", convergence = "loose" }',
    )  # fmt: skip
    (tmp_path / "chain.toml").write_text(text)
    assert main(["run", str(tmp_path / "chain.toml")]) == 0
    rows = pq.read_table(tmp_path / "samples" / "samples.parquet").to_pylist()
    assert [row["status"] for row in rows] == ["ok", "ok"]
    (system,) = scfx.System.all_from_xyz(tmp_path / "samples" / "samples.xyz")[1:]
    label = scfx.solve(system, "hf", "sto-3g", properties=["gradient"])
    assert rows[1]["energy_hartree"] == pytest.approx(label.energy[0], abs=1e-9)
    np.testing.assert_allclose(
        np.array(rows[1]["forces_ev_per_angstrom"]), -np.array(label.gradient[0]) * 51.42206707, atol=1e-6
    )


@pytest.mark.parametrize(
    ("method", "more", "key"),
    [
        ('kind = "magic"', "", "method"),
        ('kind = "torsion", atoms = [0, 1, 2, 9]', "", "task.method.atoms"),
        ('kind = "torsion", atoms = [0, 1, 2, 0]', "", "names an atom twice"),
        ('kind = "torsion", atoms = [1, 0, 2, 3], optimizer = "berny"', "", "cannot keep constraints"),
        ('kind = "dynamics", temperature = 0', "", "temperature"),
        ('kind = "normal_modes"', 'level = { functional = "none-such" }', "task.level"),
        ('kind = "relaxation", optimizer = "bernie"', "", "task.method.optimizer"),
        ('kind = "conformers", conformers = 1', "", "task.method.conformers"),
        ('kind = "conformers"', 'level = { functional = "hf" }', "task.level"),
        ('kind = "normal_modes"', 'level = { bassis = "sto-3g" }', "task.level"),
    ],
)
def test_bad_options_are_refused_before_any_calculation(tmp_path, capsys, method, more, key):
    write_starts(tmp_path / "start.xyz", [molecule("CH4")])
    (tmp_path / "chain.toml").write_text(CONFIG.format(folder=tmp_path, method=method, more=more))
    assert main(["run", str(tmp_path / "chain.toml")]) == 2
    assert key in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "relaxed").exists()
