"""`scfx dataset verify` computes labels again, and sees a label that is not its geometry's."""

from __future__ import annotations

import hashlib
import io
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scfx_dataset
from scfx_dataset.commits import read_commit
from scfx_dataset.plan import sealed
from scfx_dataset.verify import Bounds

from scfx.cli import main
from scfx.config.convergence import CONVERGENCE_PRESETS
from scfx.config.precision import FLOAT64

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
    dataset = scfx_dataset.open(made)
    shard = dataset.plan.shards[0]
    record = read_commit(dataset.plan, shard)
    path = made / record["attempt"]
    table = pq.read_table(path)
    rows = table.to_pylist()
    rows[0]["energy_ev"], rows[1]["energy_ev"] = rows[1]["energy_ev"], rows[0]["energy_ev"]
    difference = 1e3 * abs(rows[0]["energy_ev"] - rows[1]["energy_ev"])
    assert difference > 0.5  # meV, ten times the bound: else this test tests nothing
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), buffer, compression="zstd")
    path.write_bytes(buffer.getvalue())
    record |= {"sha256": hashlib.sha256(buffer.getvalue()).hexdigest(), "bytes": len(buffer.getvalue())}
    record = sealed({key: value for key, value in record.items() if key != "check"})
    (made / "commits" / f"{shard.id}.json").write_text(json.dumps(record))
    assert scfx_dataset.open(made).verify() == []
    capsys.readouterr()
    assert main(["dataset", "verify", str(made), "--sample", "100"]) == 1
    shown = capsys.readouterr().err
    assert "row 0: energy differs by" in shown
    assert "row 1: energy differs by" in shown
    assert "row 2: energy" not in shown


def test_the_bounds_are_the_aims_of_each_policy(registry):
    default, loose = CONVERGENCE_PRESETS["default"], CONVERGENCE_PRESETS["loose"]
    # The aims in docs/precision.md: 1 and 0.05 meV for float32, 0.05 and 0.005 for mixed, mean absolute.
    assert Bounds.of(registry.precision("float32"), default) == Bounds(1.0, 0.05)
    assert Bounds.of(registry.precision("mixed"), default) == Bounds(0.05, 0.005)
    assert Bounds.of(FLOAT64, default) == Bounds(0.05, 0.005)
    # 1e-4 hartree against 5e-7.
    assert Bounds.of(FLOAT64, loose).orbital == pytest.approx(0.005 * 200)
