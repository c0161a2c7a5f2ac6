"""Optional columns hold what PySCF computes for the very geometry in the row."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import scfx_dataset
from dataset_fake import make_task, run_fake, write_smiles

import scfx
from scfx.cli import main
from scfx.model.system import HARTREE_IN_EV

#: What is asked here is asked of rows, files and exit codes.
pytestmark = pytest.mark.usefixtures("quick_reports")

CONFIG = """
[scf]
functional = "hf"
basis = "sto-3g"
backend = "libcint"
convergence = "tight"
grid = 0

[[task]]
name = "dataset"
molecules = "frames.xyz"
geometry = "given"
extras = ["mulliken_charges", "orbital_energies"]
output = "{output}"
workers = 1
progress = "quiet"
"""
# Water at an arbitrary geometry, and the same as a cation: a doublet, so orbitals of two spins.
FRAME = "3\ncharge={charge} smiles={smiles}\nO 0.0 0.0 0.1\nH 0.0 0.76 -0.49\nH 0.0 -0.75 -0.48\n"


@pytest.mark.filterwarnings("default:task.extras became:FutureWarning")
def test_orbital_energies_and_mulliken_charges_are_pyscfs(tmp_path, capsys):
    pytest.importorskip("pyscf")
    from pyscf import gto, scf

    frames = FRAME.format(charge=0, smiles="O") + FRAME.format(charge=1, smiles="O").replace("0.76", "0.77")
    (tmp_path / "frames.xyz").write_text(frames)
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(output=tmp_path / "out"))
    assert main(["run", str(config)]) == 0
    said = capsys.readouterr().err
    assert "scfx: warning: task.extras became scf.properties: write properties = ['mulliken_charges'," in said
    dataset = scfx_dataset.open(tmp_path / "out")
    assert dataset.plan.identity["options"]["extras"] == []
    assert [c["property"] for c in dataset.plan.identity["options"]["columns"]] == [
        "mulliken_charges",
        "orbital_energies",
    ]
    rows = dataset.to_table().to_pylist()
    assert [(row["charge"], row["multiplicity"], row["status"]) for row in rows] == [
        (0, 1, "ok"),
        (1, 2, "ok"),
    ]
    for row in rows:
        atoms = list(zip(row["atomic_numbers"], row["positions_angstrom"], strict=True))
        molecule = gto.M(
            atom=atoms, basis="sto-3g", charge=row["charge"], spin=row["multiplicity"] - 1, verbose=0
        )
        reference = (scf.RHF if row["charge"] == 0 else scf.UHF)(molecule).run(conv_tol=1e-12)
        energies = np.atleast_2d(reference.mo_energy) * HARTREE_IN_EV
        assert len(row["orbital_energies_ev"]) == row["multiplicity"]
        assert np.allclose(row["orbital_energies_ev"], energies, atol=1e-4, rtol=0)
        density = reference.make_rdm1()
        _, charges = reference.mulliken_pop(molecule, density, verbose=0)
        assert np.allclose(row["mulliken_charges"], charges, atol=1e-5, rtol=0)
        if getattr(reference, "_chkfile", None) is not None:
            reference._chkfile.close()  # or the garbage collector warns of an open file
        assert sum(row["mulliken_charges"]) == pytest.approx(row["charge"], abs=1e-9)
    assert dataset.schema.field("mulliken_charges").metadata[b"unit"] == b"elementary charge"
    assert (
        main(["dataset", "export", str(tmp_path / "out"), "--format", "extxyz", "-o", f"{tmp_path}/x.xyz"])
        == 0
    )
    assert f"{rows[0]['mulliken_charges'][0]!r}" in (tmp_path / "x.xyz").read_text()


def test_columns_that_were_not_asked_for_are_not_there_and_unknown_ones_refused(tmp_path):
    run_fake(molecules=write_smiles(tmp_path / "m.smi", ["C"]), output=str(tmp_path / "out"))
    (shard,) = (tmp_path / "out" / "attempts").glob("*.parquet")
    assert not {"orbital_energies_ev", "mulliken_charges"} & set(pq.read_schema(shard).names)
    with pytest.raises(ValueError, match="extras"):
        make_task({"molecules": "m.smi", "output": "out", "extras": ["forces"]})


def test_a_solver_without_charges_is_an_error_not_a_null(tmp_path):
    source = write_smiles(tmp_path / "m.smi", ["C"])
    with pytest.raises(scfx.InputError, match=r"task.extras: this solver gives no Mulliken charges"):
        run_fake(molecules=source, output=str(tmp_path / "out"), extras=["mulliken_charges"])


# Record 1 of QM9 (Ramakrishnan et al., Sci. Data 1, 140022, 2014, CC0): its properties are A, B, C, mu, alpha, HOMO,
# LUMO, gap, <R^2>, zpve, U0...; the last column of an atom is its Mulliken charge.
METHANE = """5
gdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\t0.044749\t-40.47893\t
C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689
H\t 0.002150416\t-0.0060313176\t 0.0019761204\t 0.133921
H\t 1.0117308433\t 1.4637511618\t 0.0002765748\t 0.133922
H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923
H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 0.133923
1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\t3151.7078
C\tC\t
InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("default:task.extras became:FutureWarning")
def test_qm9s_methane_has_qm9s_labels(tmp_path):
    (tmp_path / "frames.xyz").write_text(METHANE)
    config = tmp_path / "config.toml"
    text = CONFIG.format(output=tmp_path / "out")
    text = (
        text.replace('"hf"', '"b3lyp"')
        .replace('"sto-3g"', '"6-31g(2df,p)-qm9"')
        .replace("grid = 0", "grid = 3")
    )
    config.write_text(text)
    assert main(["run", str(config)]) == 0
    (row,) = scfx_dataset.open(tmp_path / "out").to_table().to_pylist()
    # U0 - zpve, published with five decimals; the grids differ.
    assert row["energy_ev"] / HARTREE_IN_EV == pytest.approx(-40.47893 - 0.044749, abs=6e-6)
    assert row["gap_ev"] / HARTREE_IN_EV == pytest.approx(0.5048, abs=1e-4)
    assert np.allclose(row["mulliken_charges"], [-0.535689, *[0.133922] * 4], atol=3e-5)
