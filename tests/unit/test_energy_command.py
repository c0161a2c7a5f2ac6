"""`scfx energy`: what is asked is what is computed, and what was assumed is said."""

from __future__ import annotations

import json
import re

import pytest

import scfx.cli
from scfx.registry import Registry

ROWS = "O 0 0 0\nO 0 0 1.208\n"
QUICK = ("--functional", "hf", "--backend", "libcint")


@pytest.fixture
def oxygen(tmp_path):
    path = tmp_path / "oxygen.xyz"
    path.write_text(f"2\ncharge=0 multiplicity=3\n{ROWS}")
    return str(path)


def test_charge_multiplicity_reference_and_spin_are_in_text_and_json(oxygen, capsys, registry):
    assert scfx.cli.main(["energy", oxygen, *QUICK], registry=registry) == 0
    text = capsys.readouterr().out
    assert "molecule    O2, charge 0, multiplicity 3; positions taken as angstrom (assumed)\n" in text
    assert "reference   unrestricted, <S^2> 2.0" in text
    assert "(exact 2.00)" in text
    assert scfx.cli.main(["energy", oxygen, *QUICK, "--json"], registry=registry) == 0
    record = json.loads(capsys.readouterr().out)
    assert (record["charge"], record["multiplicity"], record["assumed"]) == (0, 3, ["unit"])
    assert (record["formula"], record["reference"], record["s_squared_exact"]) == ("O2", "unrestricted", 2.0)
    assert record["s_squared"] == pytest.approx(2.0, abs=0.1)
    arguments = ["energy", oxygen, *QUICK, "--json", "--reference", "restricted-open"]
    assert scfx.cli.main(arguments, registry=registry) == 0
    other = json.loads(capsys.readouterr().out)
    assert (other["reference"], other["s_squared"]) == ("restricted-open", pytest.approx(2.0, abs=1e-9))
    assert other["energy_hartree"] > record["energy_hartree"]


def test_what_nobody_stated_is_said_to_be_assumed(tmp_path, capsys, registry):
    (tmp_path / "h2.xyz").write_text("2\n\nH 0 0 0\nH 0 0 0.74\n")
    assert scfx.cli.main(["energy", str(tmp_path / "h2.xyz"), *QUICK], registry=registry) == 0
    out = capsys.readouterr().out
    assert "molecule    H2, charge 0 (assumed), multiplicity 1 (assumed); positions taken as" in out
    assert "reference   restricted, <S^2> 0.000000 (exact 0.00)" in out


def test_set_threads_and_output_are_heeded(oxygen, tmp_path, capsys, registry):
    file = tmp_path / "result.json"
    arguments = [
        "energy",
        oxygen,
        *QUICK,
        "--threads",
        "1",
        "--charge",
        "1",
        "--multiplicity",
        "2",
        "-o",
        str(file),
    ]
    overrides = ["--set", "scf.convergence.max_iterations=1", "--set", "scf.recovery=false"]
    assert scfx.cli.main([*arguments, *overrides], registry=registry) == 1
    shown = capsys.readouterr()
    assert shown.out == ""
    record = json.loads(file.read_text())
    # The arguments go before the file.
    assert (record["charge"], record["multiplicity"], record["converged"]) == (1, 2, False)
    assert scfx.cli.main(arguments, registry=registry) == 2
    assert "exists; remove it or choose another name" in capsys.readouterr().err


def test_frames_and_units_of_files(tmp_path, capsys, registry):
    path = tmp_path / "frames.xyz"
    path.write_text("2\n\nH 0 0 0\nH 0 0 9.9\n" + "2\n\nH 0 0 0\nH 0 0 1.3983973\n")
    assert scfx.cli.main(["energy", str(path), *QUICK], registry=registry) == 2
    assert "has 2 frames; say which" in capsys.readouterr().err
    arguments = ["energy", str(path), *QUICK, "--frame", "2", "--unit", "bohr", "--json"]
    assert scfx.cli.main(arguments, registry=registry) == 0
    record = json.loads(capsys.readouterr().out)
    # H2 at 0.74 angstrom, RHF/STO-3G: -1.11675930 hartree with PySCF 2.14.
    assert record["energy_hartree"] == pytest.approx(-1.1167593, abs=1e-6)
    assert record["assumed"] == ["charge", "multiplicity"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["CCO", "--set", "grid=1"], "here the keys are those of [scf], as scf.grid=1"),
        (["CCO", "--grid", "0", "--set", "scf.grid=1"], "scf.grid is also given as --grid"),
        (["CCO", "--set", "scf.girid=1"], "scf.girid: unknown key; did you mean 'grid'"),
        (["CCO", "--reference", "rohf"], "'rohf' is not one of"),
        (["CCO", "--threads", "0"], "scf.threads: got 0"),
        (["CCO", "--frame", "1"], "--frame is for xyz files"),
        (["CCO", "--unit", "bohr"], "--unit is for xyz files"),
        (["CCO", "-o", "nowhere/at/all.json"], "there is no folder 'nowhere/at'"),
        (["O=O"], "pass multiplicity=3"),
        (["[Fe+3]"], "does not tell the spin of Fe"),
    ],
)
def test_what_cannot_be_heeded_is_refused(arguments, message, capsys):
    assert scfx.cli.main(["energy", *arguments], registry=Registry.from_plugins({})) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_seed_for_a_file_is_refused(oxygen, capsys):
    assert scfx.cli.main(["energy", oxygen, "--seed", "7"], registry=Registry.from_plugins({})) == 2
    assert "--seed is for conformers of SMILES strings" in capsys.readouterr().err


def test_properties_line_up_within_80_columns(oxygen, capsys, registry):
    names = "gradient,energy_components,orbital_energies,mulliken_charges,density_matrix,electrons_on_grid"
    words = ["energy", oxygen, *QUICK, "--threads", "1"]
    assert scfx.cli.main([*words, "--properties", names], registry=registry) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    start = lines.index("gradient [hartree/bohr]:")
    rows = [re.fullmatch(r"  O  (( +-?\d+\.\d{8}){3})", line) for line in lines[start + 1 : start + 3]]
    assert all(row and len(row[0]) == 49 for row in rows)
    assert not re.search(r"-0\.0{8}\b", "\n".join(lines))
    assert "density_matrix: an array of shape" in "\n".join(lines)
    components = lines[lines.index("energy_components [hartree]:") + 1 :][:5]
    assert len({line.rindex(".") for line in components}) == 1
