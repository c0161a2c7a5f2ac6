"""`scfx dataset verify` computes labels again, and sees a label that is not its geometry's."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scfx_dataset
from scfx_dataset.verify import Bounds, Comparison, difference_mev
from scfx_dataset.verify_forces import MEV_PER_ANGSTROM, compare_forces, target_of

import scfx
from scfx.cli import main
from scfx.config.convergence import CONVERGENCE_PRESETS, FORCES_BELOW_FLOAT64
from scfx.config.precision import FLOAT64
from scfx.jobs.commits import read_commit
from scfx.jobs.records import sealed

CONFIG = """
[scf]
functional = "hf"
basis = "sto-3g"
backend = "libcint"
precision = "{precision}"
grid = 0

[[task]]
name = "dataset"
molecules = "molecules.smi"
conformers = 3
output = "{output}"
workers = 1
progress = "quiet"
shard_rows = 4
"""


@pytest.fixture(scope="module")
def with_forces(tmp_path_factory):
    """Two rows with forces, by `simd` in `mixed`."""
    folder = tmp_path_factory.mktemp("forces")
    (folder / "molecules.smi").write_text("O\n")
    config = CONFIG.replace('"libcint"', '"simd"').replace("grid = 0", 'grid = 0\nproperties = ["gradient"]')
    text = config.format(output=folder / "out", precision="mixed").replace("conformers = 3", "conformers = 2")
    (folder / "config.toml").write_text(text)
    assert main(["run", str(folder / "config.toml")]) == 0
    return folder / "out"


@pytest.fixture
def made(tmp_path):
    pytest.importorskip("pyscf")
    (tmp_path / "molecules.smi").write_text("O\n[OH3+]\n")
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(output=tmp_path / "out", precision="float64"))
    assert main(["run", str(config)]) == 0
    return tmp_path / "out"


def test_a_sample_of_sound_labels_agrees_within_the_bounds_of_the_policy(made, capsys):
    capsys.readouterr()
    assert main(["dataset", "verify", str(made), "--sample", "4", "--seed", "7", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problems"] == []
    assert found["rows"] == found["planned"] == 6
    sample = found["sample"]
    assert len(set(sample["row_ids"])) == sample["rows"] == 4
    assert all(sample["largest_mev"][name] < 0.05 for name in ("energy", "gap", "homo", "lumo"))
    # The seed says which rows.
    assert main(["dataset", "verify", str(made), "--sample", "4", "--seed", "7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sample"]["row_ids"] == sample["row_ids"]


def test_a_wrong_label_under_a_right_checksum_is_found(made, capsys):
    # What a checksum cannot see: two rows of one molecule with their labels exchanged before they were written.
    rows = scfx_dataset.open(made).to_table().to_pylist()
    rows[0]["energy_ev"], rows[1]["energy_ev"] = rows[1]["energy_ev"], rows[0]["energy_ev"]
    difference = 1e3 * abs(rows[0]["energy_ev"] - rows[1]["energy_ev"])
    assert difference > 0.5  # meV, ten times the bound: else this test tests nothing
    rewritten(made, {row["row_id"]: {"energy_ev": row["energy_ev"]} for row in rows[:2]})
    assert scfx_dataset.open(made).verify() == []
    capsys.readouterr()
    assert main(["dataset", "verify", str(made), "--sample", "100"]) == 1
    shown = capsys.readouterr().err
    assert "row 0: energy differs by" in shown
    assert "row 1: energy differs by" in shown
    assert "row 2: energy" not in shown


def rewritten(made, changes):
    """Change columns of rows (by row_id) of the first shard, with the checksum and the commit that they would have."""
    dataset = scfx_dataset.open(made)
    shard = dataset.plan.shards[0]
    record = read_commit(dataset.plan, shard)
    path = made / record["attempt"]
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows = [row | changes.get(row["row_id"], {}) for row in rows]
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), buffer, compression="zstd")
    path.write_bytes(buffer.getvalue())
    record |= {"sha256": hashlib.sha256(buffer.getvalue()).hexdigest(), "bytes": len(buffer.getvalue())}
    record = sealed({key: value for key, value in record.items() if key != "check"})
    (made / "commits" / f"{shard.id}.json").write_text(json.dumps(record))


def test_forces_of_a_sample_are_those_of_the_reference_and_of_the_energies(with_forces, capsys):
    capsys.readouterr()
    assert main(["dataset", "verify", str(with_forces), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    forces = found["sample"]["forces"]
    assert (forces["rows"], forces["rows_without"], found["problems"]) == (2, 0, [])
    assert forces["target_mev_per_angstrom"] == 0.02
    assert forces["mean_absolute_mev_per_angstrom"] < 0.02
    assert 0 < forces["from_energies_mev_per_angstrom"] < 0.1
    assert forces["step_bohr"] == 0.01
    assert main(["dataset", "verify", str(with_forces)]) == 0
    assert "forces of 2 rows (0 have none), meV/angstrom" in capsys.readouterr().out
    # What the plan shows is what was in force, though the configuration says nothing of it.
    spec = scfx_dataset.open(with_forces).plan.identity["spec"]
    assert spec["convergence"] == FORCES_BELOW_FLOAT64.model_dump()


def test_a_wrong_force_is_found_by_the_energies_alone(with_forces, registry):
    # A derivative that is wrong in every backend: the reference agrees with the row.
    rows = scfx_dataset.open(with_forces).to_table().to_pylist()
    systems = [scfx.System.from_arrays(row["atomic_numbers"], row["positions_angstrom"]) for row in rows]
    options = {"functional": "hf", "basis": "sto-3g", "backend": "libcint", "convergence": "tight"}
    spec = scfx.SCFSpec.create(options | {"properties": ["gradient"]})
    result = scfx.Solver(spec, registry).solve(systems)
    for row, gradient in zip(rows, result.gradient, strict=True):
        gradient += 1e-4
        row["forces_ev_per_angstrom"] = (-gradient * MEV_PER_ANGSTROM / 1e3).tolist()
    found = compare_forces(rows, systems, result, spec, registry, 1.0, 0)
    assert found.mean.max() < 1e-9
    np.testing.assert_allclose(found.by_energy, -1e-4 * MEV_PER_ANGSTROM, rtol=0, atol=5e-4)
    assert len(found.problems()) == 2
    assert "from the energy's derivative, 5 is allowed" in found.problems()[0]
    assert replace(found, target=1.1).problems() == []  # 5.1 is within five times that
    # Without the response of the grid forces are no derivative, and are not held to it.
    no_response = spec.model_copy(update={"grid_response": False})
    found = compare_forces(rows, systems, result, no_response, registry, 1.0, 0)
    assert found.as_dict()["from_energies_mev_per_angstrom"] is None
    assert found.problems() == []
    rows[0]["forces_ev_per_angstrom"] = None
    assert compare_forces(rows, systems, result, no_response, registry, 1.0, 0).without == (0,)


def test_forces_of_another_row_are_found(with_forces, capsys, tmp_path):
    copied = shutil.copytree(with_forces, tmp_path / "out")
    first, second = (
        row["forces_ev_per_angstrom"] for row in scfx_dataset.open(copied).to_table().to_pylist()
    )
    rewritten(copied, {0: {"forces_ev_per_angstrom": second}, 1: {"forces_ev_per_angstrom": first}})
    capsys.readouterr()
    assert main(["dataset", "verify", str(copied)]) == 1
    shown = capsys.readouterr().err
    assert "row 0: forces differ by" in shown
    assert "row 1: forces differ by" in shown


def test_the_targets_of_forces_are_those_of_each_policy(registry):
    forces = CONVERGENCE_PRESETS["forces"]
    assert target_of(FLOAT64, forces) == pytest.approx(0.005142, rel=1e-3)
    assert target_of(registry.precision("mixed"), FORCES_BELOW_FLOAT64) == 0.02
    assert target_of(registry.precision("float32"), FORCES_BELOW_FLOAT64) == 1.0
    # 5e-7 hartree against 1e-7.
    assert target_of(registry.precision("mixed"), CONVERGENCE_PRESETS["default"]) == pytest.approx(0.1)


def test_the_bounds_are_the_aims_of_each_policy(registry):
    default, loose = CONVERGENCE_PRESETS["default"], CONVERGENCE_PRESETS["loose"]
    # The aims in docs/precision.md: 1 and 0.05 meV for float32, 0.05 and 0.005 for mixed, mean absolute.
    assert Bounds.for_policy(registry.precision("float32"), default) == Bounds(1.0, 0.05)
    assert Bounds.for_policy(registry.precision("mixed"), default) == Bounds(0.05, 0.005)
    assert Bounds.for_policy(FLOAT64, default) == Bounds(0.05, 0.005)
    # 1e-4 hartree against 5e-7.
    assert Bounds.for_policy(FLOAT64, loose).orbital == pytest.approx(0.005 * 200)


def test_a_label_that_is_missing_is_found_and_one_that_nobody_has_is_none():
    pairs = ((-1.0, -1.0), (None, np.nan), (None, 5.0), (5.0, np.nan))
    gaps = np.array([difference_mev(*pair) for pair in pairs])
    nobody = np.full(4, np.nan)
    found = Comparison((3, 5, 8, 9), {"gap": gaps, "lumo": nobody}, Bounds(1.0, 1.0), {})
    assert found.problems() == [
        f"row {row}: gap is missing here or in the reference, and the other has it" for row in (8, 9)
    ]
    assert found.as_dict()["largest_mev"] == {"gap": 0.0, "lumo": None}
    # Of one that the reference does not converge that is all there is to say.
    (line, _) = replace(found, unsolved={9: "why"}).problems()
    assert line == "row 9: the reference does not converge: why"
