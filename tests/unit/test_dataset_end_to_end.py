"""The dataset task with the real solver, from a TOML file to rows, through the command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import scfx_dataset

from scfx.cli import main
from scfx.jobs.commits import read_commit
from scfx.model.system import DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV

CONFIG = """
[scf]
functional = "hf"
basis = "sto-3g"
backend = "libcint"
grid = 0

[[task]]
name = "dataset"
molecules = "molecules.smi"
conformers = 2
output = "{output}"
workers = 1
progress = "quiet"

[task.filters]
elements = ["H", "O"]
"""


def checksum(dataset, shard):
    return read_commit(dataset.plan, shard)["sha256"]


@pytest.fixture
def config(tmp_path):
    (tmp_path / "molecules.smi").write_text("O\n[OH3+]\nCC\nO\nO=\n")
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(output=tmp_path / "out"))
    return path


def test_a_configuration_becomes_labels_that_agree_with_pyscf(tmp_path, config, capsys):
    pytest.importorskip("pyscf")
    from pyscf import gto, scf

    assert main(["dataset", "plan", str(config)]) == 0
    assert "1 duplicate;" in capsys.readouterr().out
    assert main(["run", str(config)]) == 0
    rows = scfx_dataset.open(tmp_path / "out").to_table().to_pylist()
    assert [(row["input_smiles"], row["status"]) for row in rows] == [
        ("O", "ok"), ("O", "ok"), ("[OH3+]", "ok"), ("[OH3+]", "ok"), ("O=", "failed"),
    ]  # fmt: skip
    for row in rows[:4]:
        atoms = list(zip(row["atomic_numbers"], row["positions_angstrom"], strict=True))
        # 16 significant digits: the label must be that of the stored positions.
        molecule = gto.M(atom=atoms, basis="sto-3g", charge=row["charge"], verbose=0)
        calculation = scf.RHF(molecule).run(conv_tol=1e-11)
        homo, lumo = calculation.mo_energy[molecule.nelectron // 2 - 1 : molecule.nelectron // 2 + 1]
        assert row["energy_ev"] == pytest.approx(calculation.e_tot * HARTREE_IN_EV, abs=1e-6)
        assert row["homo_ev"] == pytest.approx(homo * HARTREE_IN_EV, abs=1e-4)
        assert row["gap_ev"] == pytest.approx((lumo - homo) * HARTREE_IN_EV, abs=1e-4)
        dipole = calculation.dip_moment(unit="AU", verbose=0) * DIPOLE_AU_IN_DEBYE
        assert np.allclose(row["dipole_vector_debye"], dipole, atol=1e-3)
        if getattr(calculation, "_chkfile", None) is not None:
            calculation._chkfile.close()  # or the garbage collector warns of an open file
        assert row["backend"] == "libcint"
        assert row["iterations"] > 0
        assert 0 <= row["residual"] < 1e-3


def test_two_workers_and_small_batches_give_the_bytes_of_one(tmp_path, config):
    assert main(["run", str(config), "--set", "task.0.shard_rows=2"]) == 0
    changes = ("shard_rows=2", "workers=2", "batch_size=1", f"output={tmp_path / 'two'}")
    assert main(["run", str(config), *(a for c in changes for a in ("--set", f"task.0.{c}"))]) == 0
    one, two = (scfx_dataset.open(tmp_path / name) for name in ("out", "two"))
    assert len(one.plan.shards) > 1
    assert [checksum(one, s) for s in one.plan.shards] == [checksum(two, s) for s in two.plan.shards]


def test_summary_card_and_verify_speak_of_the_dataset(tmp_path, config, capsys):
    assert main(["run", str(config)]) == 0
    capsys.readouterr()
    assert main(["dataset", "summary", str(tmp_path / "out"), "--json"]) == 0
    summary = json.loads(capsys.readouterr().out)
    assert summary["statuses"] == {"ok": 4, "not_converged": 0, "failed": 1, "poison": 0}
    assert summary["planned"]["excluded"] == {"elements": 1}
    assert main(["dataset", "summary", str(tmp_path / "out")]) == 0
    assert "% of the time" in capsys.readouterr().out
    assert main(["dataset", "verify", str(tmp_path / "out")]) == 0
    assert "all checksums agree" in capsys.readouterr().out
    assert main(["dataset", "card", str(tmp_path / "out")]) == 0
    assert summary["spec_hash"] in capsys.readouterr().out


def test_a_folder_without_a_dataset_is_bad_input(tmp_path, capsys):
    assert main(["dataset", "summary", str(tmp_path)]) == 2
    assert "holds no dataset" in capsys.readouterr().err


def test_a_misspelt_option_is_named(tmp_path, config, capsys):
    assert main(["run", str(config), "--set", "task.0.conformer=3"]) == 2
    assert "conformer" in capsys.readouterr().err


def test_the_batch_script_runs_parts_that_together_make_the_whole(tmp_path, config, project_root):
    # The script itself, with the batch system's srun and variables replaced by what they stand for.
    assert main(["run", str(config), "--set", "task.0.shard_rows=2"]) == 0
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "srun").write_text('#!/bin/sh\nexec "$@"\n')
    command = (
        f'exec {sys.executable} -m scfx "$@" --set task.0.shard_rows=2 --set task.0.output={tmp_path}/parts'
    )
    (bin_ / "scfx").write_text(f"#!/bin/sh\n{command}\n")
    for path in bin_.iterdir():
        path.chmod(0o755)
    script = project_root / "examples" / "slurm.sbatch"
    environment = {**os.environ, "PATH": f"{bin_}:{os.environ['PATH']}", "SLURM_ARRAY_TASK_COUNT": "2"}
    environment["PYTHONPATH"] = os.pathsep.join(p for p in sys.path if p)
    for part in ("1", "0"):
        environment["SLURM_ARRAY_TASK_ID"] = part
        done = subprocess.run(
            ["bash", str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert scfx_dataset.open(tmp_path / "parts").complete == (part == "0")
    one, two = (scfx_dataset.open(tmp_path / name) for name in ("out", "parts"))
    assert len(one.plan.shards) > 1
    assert [checksum(one, s) for s in one.plan.shards] == [checksum(two, s) for s in two.plan.shards]
    assert (tmp_path / "parts" / "README.md").exists()
