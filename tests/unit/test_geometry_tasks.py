"""The tasks optimize and frequencies: what they leave, and what they refuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from geometry_fake import SpringSolver, made, optimize, write_starts
from molecules import GEOMETRIES, distorted, molecule
from scfx_geometry.options import FrequenciesOptions, OptimizeOptions
from scfx_geometry.sampling.options import SampleOptions

import scfx
from scfx.cli import main
from scfx.jobs import JobOptions

ROOT = Path(__file__).parents[2]


@pytest.fixture
def starts(tmp_path):
    systems = [*distorted(molecule("H2O"), 3, size=0.2), *distorted(molecule("CH4"), 3, size=0.2)]
    return write_starts(tmp_path / "starts.xyz", systems)


def test_every_molecule_has_its_row_whatever_became_of_it(tmp_path, starts):
    code, _ = optimize(
        SpringSolver(lost=("4",)), molecules=starts, output=str(tmp_path / "out"), trajectory=True
    )
    assert code == 0
    rows = pq.read_table(tmp_path / "out" / "geometries.parquet").to_pylist()
    assert [row["name"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert [row["status"] for row in rows] == ["converged"] * 4 + ["not_relaxed", "converged"]
    assert rows[4]["reason"] == "SCF of step 1: made not to converge"
    frames = pq.read_table(tmp_path / "out" / "trajectory.parquet").to_pylist()
    assert [f["index"] for f in frames].count(0) == rows[0]["steps"]
    last = [f for f in frames if f["index"] == 0][-1]
    assert last["positions_angstrom"] == rows[0]["positions_angstrom"]
    # What was relaxed is a file that everything reads.
    again = scfx.System.all_from_xyz(tmp_path / "out" / "geometries.xyz")
    assert [s.name for s in again] == ["0", "1", "2", "3", "5"]
    np.testing.assert_allclose(again[0].positions_angstrom, rows[0]["positions_angstrom"], rtol=1e-14)


def test_what_a_path_costs_is_said_with_and_without_the_guess_of_the_step_before(tmp_path, starts):
    # The springs solve in 9 iterations from the standard guess, and in 7 from another one.
    options = {"molecules": starts, "max_steps": 50}
    _, said = optimize(SpringSolver(), output=str(tmp_path / "with"), **options)
    rows = pq.read_table(tmp_path / "with" / "geometries.parquet").to_pylist()
    steps = np.array([row["steps"] for row in rows])
    assert [row["iterations"] for row in rows] == list(9 + 7 * (steps - 1))
    assert {(row["first_iterations"], row["final_iterations"]) for row in rows} == {(9, 9)}
    assert (
        f"6 of 6 converged in {steps.mean():.1f} steps on average; SCF iterations a step: 7.0 from"
        in said[-1]
    )
    assert "9.0 from the standard guess (final geometries)" in said[-1]
    _, said = optimize(SpringSolver(), output=str(tmp_path / "out"), propagate_guess=False, **options)
    assert "SCF iterations a step: 9.0, all from the standard guess" in said[-1]


def test_a_smiles_that_cannot_be_read_is_a_row_with_its_reason(tmp_path):
    (tmp_path / "some.smi").write_text("O water\nC(C)(C)(C)(C)C impossible\n")
    code, _ = optimize(SpringSolver(), molecules=str(tmp_path / "some.smi"), output=str(tmp_path / "out"))
    rows = pq.read_table(tmp_path / "out" / "geometries.parquet").to_pylist()
    assert code == 0
    assert [row["status"] for row in rows] == ["converged", "not_relaxed"]
    assert rows[1]["reason"]


# ---- the command ---------------------------------------------------------------------------------------------------

CONFIG = """
[scf]
functional = "{functional}"
basis = "sto-3g"
backend = "{backend}"
threads = 1

[[task]]
name = "{task}"
molecules = "{molecules}"
output = "{output}"
{more}
"""


def config(tmp_path, task, molecules, more="", functional="hf", backend="auto"):
    path = tmp_path / f"{task}.toml"
    path.write_text(
        CONFIG.format(
            task=task, molecules=molecules, more=more, functional=functional, backend=backend,
            output=tmp_path / task,
        )
    )  # fmt: skip
    return str(path)


CHAIN = """
[scf]
functional = "hf"
basis = "sto-3g"
threads = 1
properties = ["r2", "net_torque"]

[[task]]
name = "optimize"
molecules = "{folder}/start.smi"
criteria = "gau_tight"
workers = 1
output = "{folder}/relaxed"

[[task]]
name = "frequencies"
molecules = "{folder}/relaxed"
workers = 1
output = "{folder}/frequencies"
"""


def test_one_file_goes_from_smiles_to_thermochemistry(tmp_path):
    (tmp_path / "start.smi").write_text("O water\nC(C)(C)(C)(C)C impossible\n")
    chain = tmp_path / "chain.toml"
    chain.write_text(CHAIN.format(folder=tmp_path))
    assert main(["run", str(chain)]) == 0
    row, lost = pq.read_table(tmp_path / "frequencies" / "frequencies.parquet").to_pylist()
    assert (row["status"], row["reason"], row["imaginary"], row["symmetry_number"]) == ("ok", "", 0, 2)
    assert (lost["status"], lost["name"]) == ("failed", "C(C)(C)(C)(C)C impossible")
    assert lost["reason"].startswith("not relaxed: ")
    # CCCBDB (NIST SRD 101), HF/STO-3G: 2170, 4140, 4391 cm-1; dipole 1.71 debye.
    np.testing.assert_allclose(row["frequencies_cm1"], [2170, 4140, 4391], rtol=0, atol=1.0)
    assert row["u0_hartree"] == pytest.approx(row["energy_hartree"] + row["zpve_hartree"], abs=1e-12)
    assert row["dipole_debye"] == pytest.approx(1.71, abs=0.005)
    assert row["gap_hartree"] == row["lumo_hartree"] - row["homo_hartree"]
    relaxed = pq.read_table(tmp_path / "relaxed" / "geometries.parquet").to_pylist()[0]
    # The label of the geometry is that of the task before, but for the rounding of angstrom and bohr.
    for column in ("energy_hartree", "dipole_debye", "electronic_spatial_extent_bohr2", "net_torque_ev"):
        assert row[column] == pytest.approx(relaxed[column], abs=1e-10), column
    assert row["electronic_spatial_extent_bohr2"] > 10
    # Nothing is computed again.
    before = made(tmp_path / "frequencies")
    (tmp_path / "relaxed" / "geometries.parquet").unlink()  # as if it had been killed before
    assert main(["run", str(chain)]) == 0
    assert made(tmp_path / "frequencies") == before


def test_a_folder_of_no_optimize_task_is_refused(tmp_path, capsys):
    (tmp_path / "relaxed").mkdir()
    assert main(["run", config(tmp_path, "frequencies", tmp_path / "relaxed")]) == 2
    assert "holds no finished optimize or sample task" in " ".join(capsys.readouterr().err.split())
    # What is said of molecules that state it themselves.
    for more, key in (("seed = 3", "task.seed"), ("charge = 1", "task.charge")):
        text = CHAIN.format(folder=tmp_path) + more
        (tmp_path / "start.smi").write_text("O\n")
        (tmp_path / "chain.toml").write_text(text)
        assert main(["run", str(tmp_path / "chain.toml")]) == 2
        assert key in capsys.readouterr().err


def test_a_property_without_a_column_is_refused(tmp_path, capsys):
    (tmp_path / "start.smi").write_text("O\n")
    (tmp_path / "chain.toml").write_text(CHAIN.format(folder=tmp_path).replace("net_torque", "fock_matrix"))
    assert main(["run", str(tmp_path / "chain.toml")]) == 2
    assert "'fock_matrix' has no place in the rows" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ('optimizer = "bernie"', "task.optimizer"),
        ('criteria = "tight"', "task.criteria"),
        (
            'optimizer = "ase-bfgs"\nconstraints = [{ keep = "atoms", atoms = [7] }]',
            "task.constraints.0.atoms",
        ),
        ('constraints = [{ keep = "atoms", atoms = [0] }]', "cannot keep constraints"),
        ("max_steps = 0", "max_steps"),
        ('extra = "key"', "extra"),
    ],
)
def test_bad_options_are_refused_with_their_key_before_any_calculation(tmp_path, capsys, more, key):
    start = write_starts(tmp_path / "start.xyz", [molecule("H2O")])
    assert main(["run", config(tmp_path, "optimize", start, more)]) == 2
    assert key in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "optimize").exists()


def test_a_backend_without_gradients_is_refused(tmp_path, capsys):
    start = write_starts(tmp_path / "start.xyz", [molecule("H2O")])
    assert main(["run", config(tmp_path, "optimize", start, backend="ipu")]) == 2
    assert "ipu" in capsys.readouterr().err
    assert not (tmp_path / "optimize").exists()


def test_a_source_that_is_not_read_here_is_refused(tmp_path, capsys):
    (tmp_path / "set.sdf").write_text("")
    assert main(["run", config(tmp_path, "optimize", tmp_path / "set.sdf")]) == 2
    assert "task.molecules" in capsys.readouterr().err
    assert main(["run", config(tmp_path, "frequencies", tmp_path / "none.xyz")]) == 2


@pytest.mark.parametrize("name", ["relax", "qm9", "relaxed_pcq", "ani_like", "spice_like", "conformers"])
def test_the_examples_are_valid(registry, monkeypatch, name):
    from scfx.config.file import Config
    from scfx.contracts.task import TaskContext

    monkeypatch.chdir(ROOT)
    path = f"examples/{name}.toml"
    loaded = Config.load(path, ())
    tasks = loaded.tasks(registry)
    for index, task in enumerate(tasks):
        task.check(TaskContext(loaded.scf, registry, None, path, earlier=tasks[:index]))


def test_every_option_is_listed_in_the_documentation_with_its_default():
    text = (ROOT / "docs" / "geometries.md").read_text(encoding="utf-8")
    for options in (OptimizeOptions, FrequenciesOptions, SampleOptions):
        for name in options.model_fields.keys() - JobOptions.model_fields.keys():
            assert f"| `{name}` |" in text, f"docs/geometries.md does not list {name}"
    assert "write-a-task.md#the-options" in text


def test_the_file_of_starts_says_what_the_systems_are(tmp_path):
    charged = scfx.System.from_arrays(*GEOMETRIES["NH4"], charge=1)
    path = write_starts(tmp_path / "one.xyz", [charged])
    assert scfx.System.from_xyz(path).charge == 1
