"""The xyz reader: each variant that people's files have is read as it says, or refused with a remedy, at every door."""

from __future__ import annotations

import bz2
import gzip
import time

import numpy as np
import pytest
from scfx_dataset.sources import Source
from scfx_dataset.sources.xyz import read_xyz_files

import scfx
from scfx.model.system import BOHR_IN_ANGSTROM

WATER = np.array([[0.0, 0.0, 0.1173], [0.0, 0.7572, -0.4692], [0.0, -0.7572, -0.4692]])
ROWS = "O 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692\n"
PLAIN = f"3\nwater\n{ROWS}"
# The same three atoms with forces, ids and momenta before the positions.
SHUFFLED = (
    "3\nProperties=forces:R:3:id:I:1:species:S:1:momenta:R:3:pos:R:3 energy=-76.4\n"
    "9 9 9 1 O 7 7 7 0 0 0.1173\n9 9 9 2 H 7 7 7 0 0.7572 -0.4692\n9 9 9 3 H 7 7 7 0 -0.7572 -0.4692\n"
)


def in_bohr(text: str) -> str:
    """The same rows with the positions of WATER in bohr."""
    rows = "".join(
        f"{s} {x:.12f} {y:.12f} {z:.12f}\n"
        for s, (x, y, z) in zip("OHH", WATER / BOHR_IN_ANGSTROM, strict=True)
    )
    return text + rows


#: name -> (text or bytes, charge, multiplicity, what is assumed)
BOTH = {"charge", "multiplicity"}
READ: dict[str, tuple[str | bytes, int, int, set[str]]] = {
    "plain": (PLAIN, 0, 1, BOTH | {"unit"}),
    "forces, ids and momenta before pos": (SHUFFLED, 0, 1, BOTH | {"unit"}),
    "charge": (f"3\ncharge=1\n{ROWS}", 1, 2, {"multiplicity", "unit"}),
    "total_charge": (f"3\ntotal_charge=-1\n{ROWS}", -1, 2, {"multiplicity", "unit"}),
    "charge 1.0": (f"3\ncharge=1.0\n{ROWS}", 1, 2, {"multiplicity", "unit"}),
    "spaces about the sign": (f"3\ncharge = -1 multiplicity = 2\n{ROWS}", -1, 2, {"unit"}),
    "multiplicity": (f"3\nmultiplicity=3\n{ROWS}", 0, 3, {"charge", "unit"}),
    "spin is 2S + 1": (f"3\ncharge=0 spin=3\n{ROWS}", 0, 3, {"unit"}),
    "spin 0 of an even number": (f"3\nspin=0\n{ROWS}", 0, 1, {"charge", "unit"}),
    "spin and multiplicity that agree": (f"3\nspin=2 multiplicity=3\n{ROWS}", 0, 3, {"charge", "unit"}),
    "unpaired electrons": (f"3\nuhf=2\n{ROWS}", 0, 3, {"charge", "unit"}),
    "upper case": (f"3\nCharge=1 Multiplicity=4\n{ROWS}", 1, 4, {"unit"}),
    "0 3": (f"3\n0 3\n{ROWS}", 0, 3, {"unit"}),
    "-1, 2": (f"3\n -1, 2 \n{ROWS}", -1, 2, {"unit"}),
    "0 1 and words": (f"3\n0 1 water\n{ROWS}", 0, 1, BOTH | {"unit"}),
    "words": (f"3\nwater, charge: 1, multiplicity 2\n{ROWS}", 1, 2, {"unit"}),
    "quoted": (f'3\ncharge="1" multiplicity="2" name="the cation"\n{ROWS}', 1, 2, {"unit"}),
    "bohr after the count": (in_bohr("3 bohr\nwater\n"), 0, 1, BOTH),
    "au after the count": (in_bohr("3 au\nwater\n"), 0, 1, BOTH),
    "bohr in the comment": (in_bohr("3\nwater, coordinates in Bohr\n"), 0, 1, BOTH),
    "bohr alone": (in_bohr("3\nbohr\n"), 0, 1, BOTH),
    "units=bohr": (in_bohr("3\nunits=bohr charge=0 multiplicity=1\n"), 0, 1, set()),
    "coordinates in a.u.": (in_bohr("3\ncoordinates in a.u.\n"), 0, 1, BOTH),
    "an energy in a.u.": (f"3\nE = -76.4 a.u.\n{ROWS}", 0, 1, BOTH | {"unit"}),
    "forces in hartree/bohr": (f"3\nforces in hartree/bohr\n{ROWS}", 0, 1, BOTH | {"unit"}),
    "angstrom": (f"3 angstrom\nÅ\n{ROWS}", 0, 1, BOTH),
    "byte order mark": (b"\xef\xbb\xbf" + PLAIN.encode(), 0, 1, BOTH | {"unit"}),
    "UTF-16, as PowerShell writes": (PLAIN.encode("utf-16"), 0, 1, BOTH | {"unit"}),
    "latin-1": (PLAIN.replace("water", "eau, à 25 °C").encode("latin-1"), 0, 1, BOTH | {"unit"}),
    "Windows lines": (PLAIN.replace("\n", "\r\n").encode(), 0, 1, BOTH | {"unit"}),
    "Fortran exponents": (
        "3\nwater\nO 0.D0 0.0D+00 1.173D-01\nH 0 7.572d-1 -4.692D-01\nH 0 -7.572E-1 -0.4692D0\n", 0, 1, BOTH | {"unit"},
    ),
    "QM9's exponents": (PLAIN.replace("0.1173", "1.173*^-1"), 0, 1, BOTH | {"unit"}),
    "atomic numbers": (PLAIN.replace("O ", "8 ").replace("H ", "1 "), 0, 1, BOTH | {"unit"}),
    "atomic numbers as 8.0": (PLAIN.replace("O ", "8.0 ").replace("H ", "1.0 "), 0, 1, BOTH | {"unit"}),
    "numbered labels": ("3\nwater\nO1 0 0 0.1173\nH2 0 0.7572 -0.4692\nH3 0 -0.7572 -0.4692\n", 0, 1, BOTH | {"unit"}),
    "lower case": (PLAIN.replace("O ", "o ").replace("H ", "h "), 0, 1, BOTH | {"unit"}),
    "more columns": (PLAIN.replace("0.1173", "0.1173 -0.8 0.1"), 0, 1, BOTH | {"unit"}),
    "Z instead of species": (
        "3\nProperties=Z:I:1:pos:R:3\n8 0 0 0.1173\n1 0 0.7572 -0.4692\n1 0 -0.7572 -0.4692\n", 0, 1, BOTH | {"unit"},
    ),
    "a box, not periodic": (
        f'3\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3 pbc="F F F"\n{ROWS}', 0, 1, BOTH | {"unit"},
    ),
    "charges by atom": (
        "3\nProperties=species:S:1:pos:R:3:initial_charges:R:1\nO 0 0 0.1173 -0.4\nH 0 0.7572 -0.4692 0.7\n"
        "H 0 -0.7572 -0.4692 0.7\n", 1, 2, {"multiplicity", "unit"},
    ),
    "moments by atom": (
        "3\nProperties=species:S:1:pos:R:3:initial_magmoms:R:1\nO 0 0 0.1173 2.0\nH 0 0.7572 -0.4692 0\n"
        "H 0 -0.7572 -0.4692 0\n", 0, 3, {"charge", "unit"},
    ),
    "empty lines at the end": (PLAIN + "\n  \n\n", 0, 1, BOTH | {"unit"}),
    "no line end": (PLAIN.rstrip(), 0, 1, BOTH | {"unit"}),
}  # fmt: skip

LATTICE = f'3\nLattice="9 0 0 0 9 0 0 0 9" Properties=species:S:1:pos:R:3\n{ROWS}'
#: name -> (text, what the error says: what is wrong, or the remedy)
REFUSED: dict[str, tuple[str, str]] = {
    "empty": ("", "is empty"),
    "no count": (ROWS, "expected the number of atoms, found 'O 0 0 0.1173'"),
    "words for a count": ("three\n\n", "expected the number of atoms"),
    "words after the count": (f"3 atoms\n\n{ROWS}", "only a unit may stand"),
    "no atoms": ("0\n\n", "the number of atoms is 0"),
    "999999999999 atoms": (f"999999999999\n\n{ROWS}", "999999999999 atoms are announced"),
    "fewer atoms than announced": (f"4\nwater\n{ROWS}", "4 atoms announced, 3 found"),
    "more atoms than announced": (f"2\nwater\n{ROWS}", "more atoms than announced"),
    "something after the atoms": (f"{PLAIN}and so on\n", "frame 2: expected the number of atoms, found 'and so on'"),
    "charge 0.4": (f"3\ncharge=0.4\n{ROWS}", "charge is a whole number, got '0.4'"),
    "charge in a word": (f"3\ncharge=plus\n{ROWS}", "charge is a whole number, got 'plus'"),
    "two charges": (f"3\ncharge=0 total_charge=1\n{ROWS}", "contradict each other"),
    "one charge twice": (f"3\ncharge=0 charge=1\n{ROWS}", "given twice"),
    "multiplicity 2 of ten electrons": (f"3\nmultiplicity=2\n{ROWS}", "possible: 1, 3"),
    "spin as 2S": (f"3\nspin=2\n{ROWS}", "write multiplicity=3"),
    "spin as S": (f"3\ncharge=1 spin=0.5\n{ROWS}", r"write multiplicity = 2S \+ 1"),
    "spin against multiplicity": (f"3\nspin=5 multiplicity=3\n{ROWS}", "contradict each other"),
    "0 3 and words": (f"3\n0 3 water\n{ROWS}", "write charge=0 multiplicity=3"),
    "triplet in words": (f"3\ntriplet water\n{ROWS}", "write multiplicity=3"),
    "both units": (f"3 bohr\nin angstrom\n{ROWS}", "both named"),
    "another unit": (f"3\nunits=nm\n{ROWS}", "expected 'angstrom' or 'bohr'"),
    "lattice": (LATTICE, 'write pbc="F F F"'),
    "pbc in one direction": (f'3\npbc="F F T"\n{ROWS}', "periodic"),
    "translation vectors": (f"4\nwater\n{ROWS}Tv 9 0 0\n", "periodic system"),
    "decimal commas": (PLAIN.replace("0.1173", "0,1173"), "write a decimal point"),
    "no number": (PLAIN.replace("0.1173", "zero"), r"could not convert string to float: 'zero' \(atom 1\)"),
    "nan": (PLAIN.replace("0.1173", "nan"), "not finite"),
    "underscores": (PLAIN.replace("0.1173", "1_000"), "could not convert"),
    "two numbers": (PLAIN.replace("0 0 0.1173", "0 0.1173"), "expected 'symbol x y z'"),
    "8.7": (PLAIN.replace("O ", "8.7 "), "whole atomic number"),
    "D": (PLAIN.replace("H ", "D "), "deuterium has the electrons of hydrogen .* write H"),
    "T": (PLAIN.replace("H ", "T "), "tritium has the electrons of hydrogen .* write H"),
    "Qq": (PLAIN.replace("O ", "Qq "), "unknown element 'Qq'"),
    "a dummy atom": (PLAIN.replace("O ", "X "), "dummy atom"),
    "Bq without element": (PLAIN.replace("O ", "Bq "), "write @O"),
    "index before the number": (
        "2\n\n1 8 0 0 0\n2 8 0 0 1.2\n", "the first counting up",
    ),
    "Properties without pos": (f"3\nProperties=species:S:1:xyz:R:3\n{ROWS}", "has no pos:R:3"),
    "Properties without species": (f"3\nProperties=pos:R:3\n{ROWS}", "has no species"),
    "Properties half": (f"3\nProperties=species:S\n{ROWS}", "repeated"),
    "columns that Properties does not name": (
        f"3\nProperties=species:S:1:pos:R:3\n{ROWS.replace('0.1173', '0.1173 5')}", "4 columns by Properties",
    ),
    "species and Z that differ": (
        "1\nProperties=species:S:1:Z:I:1:pos:R:3\nO 7 0 0 0\n", "differ",
    ),
    "charges by atom that are not whole": (
        "1\nProperties=species:S:1:pos:R:3:initial_charges:R:1\nO 0 0 0 -0.4\n", "no whole number",
    ),
    "charges by atom against charge": (
        "1\nProperties=species:S:1:pos:R:3:initial_charges:R:1 charge=1\nO 0 0 0 2\n", "add up to 2",
    ),
    "moments of both signs": (
        "2\nProperties=species:S:1:pos:R:3:initial_magmoms:R:1\nO 0 0 0 1\nO 0 0 1.2 -1\n", "broken-symmetry",
    ),
}  # fmt: skip


def written(folder, content: str | bytes, name: str = "m.xyz"):
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("variant", READ)
def test_what_a_file_says_is_what_every_door_reads(tmp_path, variant):
    content, charge, multiplicity, assumed = READ[variant]
    path = written(tmp_path, content)
    system = scfx.System.from_xyz(path)
    assert system.symbols == ("O", "H", "H")
    np.testing.assert_allclose(system.positions_angstrom, WATER, rtol=0, atol=1e-10)
    assert (system.charge, system.multiplicity, system.assumed) == (charge, multiplicity, assumed)
    (record,) = read_xyz_files(path, qm9=False)
    assert record.problem == ""
    assert record.geometry is not None
    assert record.geometry.numbers == (8, 1, 1)
    np.testing.assert_allclose(record.geometry.positions, WATER, rtol=0, atol=1e-10)
    assert (record.charge is None) == ("charge" in assumed)
    assert (record.multiplicity is None) == ("multiplicity" in assumed)
    assert record.charge in (None, charge)
    assert record.multiplicity in (None, multiplicity)


@pytest.mark.parametrize("variant", REFUSED)
def test_what_cannot_be_honoured_is_refused_with_its_remedy(tmp_path, variant):
    text, message = REFUSED[variant]
    path = written(tmp_path, text)
    began = time.perf_counter()
    with pytest.raises(scfx.InputError, match=message):
        scfx.System.from_xyz(path)
    assert time.perf_counter() - began < 5.0  # absurd counts do not hang
    if (
        text and "possible" not in message and "frame 2" not in message
    ):  # electrons are counted when the row's molecule is made
        (record,) = read_xyz_files(path, qm9=False)
        assert record.geometry is None
        assert "m.xyz, frame 1: " in record.problem


def test_arguments_go_before_what_the_file_says(tmp_path):
    path = written(tmp_path, f"3\ncharge=1 multiplicity=2\n{ROWS}")
    system = scfx.System.from_xyz(path, 0, 3)
    assert (system.charge, system.multiplicity, system.assumed) == (0, 3, {"unit"})
    assert scfx.System.from_xyz(path, unit="bohr").positions[0, 2] == 0.1173
    # Words that could mean a charge are no obstacle to who says both.
    doubtful = written(tmp_path, f"3\n2 5 water\n{ROWS}", "doubtful.xyz")
    assert scfx.System.from_xyz(doubtful, charge=0, multiplicity=1).charge == 0


def test_one_of_several_frames_is_asked_for_by_its_number(tmp_path):
    path = written(tmp_path, PLAIN + f"3\ncharge=1\n{ROWS}" + "\n" + SHUFFLED)
    with pytest.raises(scfx.InputError, match=r"has 3 frames; say which \(frame=1 to 3\).*all_from_xyz"):
        scfx.System.from_xyz(path)
    assert scfx.System.from_xyz(path, frame=2).charge == 1
    assert [s.charge for s in scfx.System.all_from_xyz(path)] == [0, 1, 0]
    with pytest.raises(scfx.InputError, match="frames 1 to 3"):
        scfx.System.from_xyz(path, frame=4)
    broken = written(tmp_path, PLAIN + PLAIN.replace("0.1173", "a"), "broken.xyz")
    with pytest.raises(scfx.InputError, match="frame 2: could not convert"):
        scfx.System.all_from_xyz(broken)


def test_a_wrong_count_costs_its_own_frame_only(tmp_path):
    path = written(
        tmp_path, PLAIN + f"2\nwater\n{ROWS}" + f"5\nwater\n{ROWS}" + "999999999999\n\n" + ROWS + PLAIN
    )
    problems = [record.problem for record in read_xyz_files(path, qm9=False)]
    assert [bool(problem) for problem in problems] == [False, True, True, True, False]
    assert "frame 3: 5 atoms announced, 3 found" in problems[2]


def test_a_task_may_say_the_unit_of_its_files(tmp_path):
    (record,) = Source(written(tmp_path, in_bohr("3\nwater\n")), "xyz", positions_unit="bohr").records()
    assert record.geometry is not None
    np.testing.assert_allclose(record.geometry.positions, WATER, rtol=0, atol=1e-10)
    (record,) = Source(written(tmp_path, f"3 angstrom\n\n{ROWS}"), "xyz", positions_unit="bohr").records()
    assert "the file says angstrom, task.positions_unit says 'bohr'" in record.problem


def test_compressed_files_and_those_that_are_not_there(tmp_path):
    for name, compress in (("a.xyz.gz", gzip.compress), ("a.xyz.bz2", bz2.compress)):
        assert scfx.System.from_xyz(written(tmp_path, compress(PLAIN.encode()), name)).natm == 3
    for path in (tmp_path / "nowhere.xyz", tmp_path, written(tmp_path, b"\x1f\x8bnothing", "b.xyz.gz")):
        with pytest.raises(scfx.InputError, match="cannot read"):
            scfx.System.from_xyz(path)
    with pytest.raises(scfx.InputError):
        scfx.System.from_xyz(written(tmp_path, bytes(range(256)) * 50, "c.xyz"))


def test_frames_are_those_of_ase(tmp_path):
    ase_io = pytest.importorskip("ase.io")
    atoms = ase_io.read(written(tmp_path, SHUFFLED), format="extxyz")
    atoms.info.update(charge=-1, multiplicity=2, name='a "quoted" name', smiles="C/C=C\\C")
    atoms.set_initial_charges([-1.0, 0.0, 0.0])
    path = tmp_path / "ase.xyz"
    ase_io.write(path, atoms, format="extxyz")
    system, there = scfx.System.from_xyz(path), scfx.System.from_ase(ase_io.read(path))
    assert system == there
    np.testing.assert_array_equal(system.positions_angstrom, there.positions_angstrom)
    (record,) = read_xyz_files(path, qm9=False)
    assert (record.charge, record.multiplicity, record.smiles) == (-1, 2, "C/C=C\\C")
    assert record.name == 'a "quoted" name'


def test_a_mark_of_a_ghost_atom_is_one_in_every_spelling(tmp_path):
    for mark in ("@O", "Gh(O)", "ghost-O", "GHOST-O", "X-O", "O-Bq", "bqO", "O:", "@O1"):
        system = scfx.System.from_xyz(written(tmp_path, PLAIN.replace("O ", f"{mark} ")))
        assert (system.symbols, system.ghost.tolist(), system.n_electrons) == (
            ("O", "H", "H"), [True, False, False], 2,
        )  # fmt: skip
    rows = "O 0 0 0.1173 T\nH 0 0.7572 -0.4692 F\nH 0 -0.7572 -0.4692 F\n"
    flagged = f"3\nProperties=species:S:1:pos:R:3:ghost:L:1\n{rows}"
    assert scfx.System.from_xyz(written(tmp_path, flagged)).n_electrons == 2
    (record,) = read_xyz_files(tmp_path / "m.xyz", qm9=False)
    assert "no column for ghost atoms" in record.problem
