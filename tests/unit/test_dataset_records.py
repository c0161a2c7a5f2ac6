"""One bad record costs one failed row with its reason, whatever it holds; the others are what they are without it."""

from __future__ import annotations

import bz2
import gzip
import random
import re
import resource
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dataset_fake import FakeSpec, make_task
from dataset_kills import environment
from scfx_dataset.options import Embedding, Limits
from scfx_dataset.sources.lines import Lines
from scfx_dataset.sources.record import geometry_of, whole

import scfx
from scfx.model.same_molecule import inchikey_of


def plan(tmp_path, name, content, **options):
    """(rows in order, counts) of the plan of a source with this content: text, bytes or an Arrow table."""
    file = tmp_path / name
    if isinstance(content, pa.Table):
        pq.write_table(content, file)
    else:
        file.write_bytes(content.encode() if isinstance(content, str) else content)
    task = make_task({"molecules": str(file), "output": str(tmp_path / f"out-{name}"), **options})
    made = task.plan(scfx.TaskContext(FakeSpec(), None, None))[0]
    rows = [row for shard in made.shards for row in made.rows(shard).to_pylist()]
    return sorted(rows, key=lambda row: row["row_id"]), made.counts


def told(rows):
    """(SMILES or None, reason) of each row."""
    return [(row["smiles"], row["reason"]) for row in rows]


def check(rows, expected):
    """`expected`: the SMILES of a good row, or a part of the reason of a failed one after '!'."""
    assert len(rows) == len(expected), told(rows)
    for row, text in zip(rows, expected, strict=True):
        if text.startswith("!"):
            assert text[1:] in row["reason"], told(rows)
        else:
            assert (row["smiles"], row["reason"]) == (text, ""), told(rows)


WATER = "[[0,0,0],[0.96,0,0],[-0.24,0.93,0]]"


@pytest.mark.parametrize(
    ("name", "content", "options", "expected"),
    [
        ("latin.smi", b"CCO\nCO caf\xe9\nC\xe9\nCCN\n", {}, ["CCO", "CO", "!cannot parse", "CCN"]),
        ("bom.smi", b"\xef\xbb\xbfsmiles\nCCO\r\nCO\rCCN", {}, ["CCO", "CO", "CCN"]),
        (
            "long.smi", f"CCO\n{'C' * 100_000}\nCO x{'y' * 3000}\nCN\n", {},
            ["CCO", "!the SMILES has 100000 characters, more than limits.text_length = 2000", "!the name has", "CN"],
        ),
        ("chain.smi", f"CCO\n{'C' * 400}\n", {}, ["CCO", "!1202 atoms, more than limits.atoms = 1000"]),
        (
            "huge.smi", f"CCO\n{'C' * 200_000}\nCO\n", {"limits": {"record_bytes": 2048}},
            ["CCO", "!the line has 200000 bytes, more than limits.record_bytes = 2048", "CO"],
        ),
        ("wide.csv", f'smiles,note\nCCO,"{"x" * 140_000}"\nCO,a\n', {}, ["CCO", "CO"]),
        (
            "wider.csv", f'smiles,note\nCCO,"{"x" * 140_000}"\nCO,a\n', {"limits": {"record_bytes": 2048}},
            ["!more than limits.record_bytes", "CO"],
        ),
        (
            "cells.csv", 'smiles,note\nCCO,a\n,b\n"C C",c\n"C\nC",d\n\nCO,e\nCN\nCCN,a,b\n', {},
            ["CCO", "!is empty", "!white space", "!white space", "CO", "!has 1 cells, the header 2",
             "!has 3 cells, the header 2"],
        ),
        (
            "nul.csv", 'smiles,note\nCCO,"x\0y"\nC\0,a\nCO,a\n', {},
            ["CCO", "!the SMILES holds the character '\\x00'", "CO"],
        ),
        (
            "deep.csv",
            f'smiles,z,pos\nO,"[8,1,1]","{WATER}"\nO,"[8,1,1]","{"[" * 50_000}"\nO,"[8,1,1]","{{}}"\n'
            'O,"[8,1,1]","[[0,0,0],[1,0],[0,1,0]]"\nO,"[8,1,1]","[[true,0,0],[1,0,0],[0,1,0]]"\n',
            {"geometry": "given", "positions_unit": "angstrom"},
            ["O", "!recursion", "!not numbers", "!cannot be read", "!not numbers"],
        ),
        (
            "elements.csv",
            f'smiles,z,pos\nO,"[8.0,1,""H""]","{WATER}"\n,"[8,1.9,1]","{WATER}"\n,"[8,true,1]","{WATER}"\n'
            f',"[8,1,1e400]","{WATER}"\n,"[8,1,999]","{WATER}"\n,"8","{WATER}"\n',
            {"geometry": "given", "positions_unit": "angstrom"},
            ["O", "!an atomic number is '1.9'", "!an atomic number is True", "!an atomic number is 'inf'",
             "!atomic numbers must lie in 1..", "!the geometry cannot be read"],
        ),
        (
            "charge.xyz",
            "".join(f"1\ncharge={c} multiplicity={m}\nHe 0 0 {i}\n" for i, (c, m) in enumerate(
                [(0, 1), (9_999_999, 1), (2, 1), (0, 7), (0, 0), (0, 99_999), (1, 2)])),
            {"geometry": "given"},
            ["", "!the charge is 9999999, but the nuclei have 2 protons", "", "!the multiplicity is 7",
             "!the multiplicity is 0", "!the multiplicity is 99999", ""],
        ),
        (
            "atoms.csv", f'smiles,z,pos\nO,"[8,1,1]","{WATER}"\n,"[2]","[[0,0,0]]"\n',
            {"geometry": "given", "positions_unit": "angstrom", "limits": {"atoms": 2}},
            ["!3 atoms, more than limits.atoms = 2", ""],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 15 else "",
)  # fmt: skip
def test_a_bad_record_of_a_text_file_is_one_failed_row(tmp_path, name, content, options, expected):
    rows, counts = plan(tmp_path, name, content, **options)
    if name.endswith(("xyz", "atoms.csv")):  # without SMILES
        assert [row["reason"] == "" for row in rows] == [text == "" for text in expected], told(rows)
        rows = [row for row in rows if row["reason"]]
        expected = [text for text in expected if text]
    check(rows, expected)
    assert counts["unreadable"] == sum(text.startswith("!") for text in expected)
    # Nothing vanishes: every record is a molecule, a geometry, unreadable, or counted as left out.
    assert counts["lines"] == len(rows) if not name.endswith(("xyz", "atoms.csv")) else True


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("charge", [0.0, 1.0, float("nan")], ["", "", "!the charge is 'nan'"]),
        ("charge", [0.5, -1.0, float("inf")], ["!the charge is '0.5'", "", "!the charge is 'inf'"]),
        ("charge", ["0", "+1", "none"], ["", "", "!the charge is 'none'"]),
        ("charge", [0, 1, 2**40], ["", "", "!the charge is 1099511627776"]),
        ("charge", [False, True, None], ["!the charge is False", "!the charge is True", ""]),
        ("multiplicity", [1.0, 2.5, None], ["", "!the multiplicity is '2.5'", ""]),
        ("smiles", [1, 2, 3], ["!holds a int"] * 3),
        ("smiles", [b"[H][H]", b"\xff", None], ["", "!cannot parse", ""]),
        ("smiles", [["C"], [], None], ["!holds a list", "!holds a list", ""]),
    ],
)  # fmt: skip
def test_a_bad_cell_of_parquet_is_one_failed_row(tmp_path, column, values, expected):
    positions = [[[0.0, 0, 0], [0.7 + 0.01 * i, 0, 0]] for i in range(3)]
    table = pa.table({"z": [[1, 1]] * 3, "positions_angstrom": positions, column: values})
    rows, counts = plan(tmp_path, "t.parquet", table, geometry="given")
    assert [row["reason"] == "" for row in rows] == [text == "" for text in expected], told(rows)
    check([row for row in rows if row["reason"]], [text for text in expected if text])
    assert counts["lines"] == 3


def test_a_flipped_bit_in_a_compressed_file_is_said_and_what_precedes_it_is_kept(tmp_path):
    lines = ["C" * n + end for n in range(1, 40) for end in ("O", "N", "F")]
    good = gzip.compress("\n".join(lines).encode(), mtime=0)
    whole_rows, _ = plan(tmp_path, "whole.smi.gz", good)
    for place in (len(good) - 5, len(good) // 2):
        bad = bytearray(good)
        bad[place] ^= 1
        rows, counts = plan(tmp_path, f"flipped{place}.smi.gz", bytes(bad))
        assert counts["unreadable"] >= 1
        assert "the source breaks off after byte" in rows[-1]["reason"]
        assert "what precedes may be damaged" in rows[-1]["reason"]
    assert len(rows) <= len(whole_rows) + 1
    # Of a checksum that does not fit nobody knows what it means: all lines are there, and the doubt as well.
    rows, _ = plan(tmp_path, "crc.smi.gz", good[:-8] + bytes([good[-8] ^ 1]) + good[-7:])
    assert told(rows[:-1]) == told(whole_rows)


@pytest.mark.parametrize("compress", [gzip.compress, bz2.compress])
def test_a_compressed_file_that_is_cut_says_at_which_byte(tmp_path, compress):
    generator = random.Random(3)
    text = "\n".join("".join(generator.choice("CNO") for _ in range(12)) for _ in range(90_000)).encode()
    data = compress(text)
    ending = "gz" if compress is gzip.compress else "bz2"
    file = tmp_path / f"cut.smi.{ending}"
    file.write_bytes(data[: len(data) * 9 // 10])
    lines = Lines(file, 2**20)
    found = b"\n".join(line.text for line in lines)
    assert text.startswith(found.rstrip(b"\n"))
    assert len(found) > len(text) // 10
    at = int(re.search(r"after byte (\d+) of its text", lines.ended_early)[1])
    assert text[:at].splitlines() == found.splitlines()


def test_a_truncated_sdf_keeps_its_whole_blocks(tmp_path):
    from rdkit import Chem
    from scfx_dataset.conformers import embed

    text = ""
    for smiles in ("CCO", "CO", "CCN"):
        molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
        positions = embed(smiles, [1], Embedding()).conformers[0].positions
        conformer = Chem.Conformer(molecule.GetNumAtoms())
        for i, position in enumerate(positions):
            conformer.SetAtomPosition(i, position.tolist())
        molecule.AddConformer(conformer)
        text += Chem.MolToMolBlock(molecule) + "$$$$\n"
    rows, _ = plan(tmp_path, "all.sdf", text, geometry="given")
    check(rows, ["CCO", "CO", "CCN"])
    rows, _ = plan(tmp_path, "cut.sdf", text[: len(text) * 2 // 3], geometry="given")
    check(rows, ["CCO", "CO", "!breaks off: it has no 'M  END'"])
    rows, _ = plan(tmp_path, "cut.sdf.gz", gzip.compress(text.encode())[:400], geometry="given")
    assert "the source breaks off after byte" in rows[-1]["reason"]
    noisy = text.replace("$$$$", "x" * 3000, 1)
    rows, _ = plan(tmp_path, "block.sdf", noisy, geometry="given", limits={"record_bytes": 2048})
    check(rows, ["!more than limits.record_bytes", "CCN"])
    # A .mol file has no end mark.
    rows, _ = plan(tmp_path, "one.mol", text[: text.index("$$$$")], geometry="given")
    check(rows, ["CCO"])


def test_a_damaged_row_group_of_parquet_is_one_failed_row(tmp_path):
    file = tmp_path / "t.parquet"
    smiles = ["C" * n + "O" for n in range(1, 61)]
    pq.write_table(
        pa.table({"smiles": smiles}), file, row_group_size=20, compression="none", use_dictionary=False
    )
    at = pq.ParquetFile(file).metadata.row_group(1).column(0).data_page_offset
    data = bytearray(file.read_bytes())
    data[at : at + 20] = b"\xff" * 20  # the header of the second group's page
    rows, counts = plan(tmp_path, "t.parquet", bytes(data))
    assert counts["unreadable"] == 1
    [reason] = [row["reason"] for row in rows if row["reason"]]
    assert "rows 21 to 40 (row group 1) cannot be read" in reason
    assert [row["input_smiles"] for row in rows if not row["reason"]] == smiles[:20] + smiles[40:]


def test_a_source_that_is_of_another_kind_is_refused_as_a_whole(tmp_path):
    with pytest.raises(scfx.InputError, match="cannot read"):
        plan(tmp_path, "a.smi.gz", b"not gzip")
    with pytest.raises(scfx.InputError, match="UTF-16"):
        plan(tmp_path, "b.smi", "CCO\nCO\n".encode("utf-16"))
    with pytest.raises(scfx.InputError, match="cannot read"):
        plan(tmp_path, "c.parquet", b"PAR1 no more")


def test_lines_are_the_same_however_the_file_is_cut_into_chunks(tmp_path, monkeypatch):
    generator = random.Random(5)
    file = tmp_path / "f.smi"
    pieces = [
        bytes(generator.choice(b"CNO12\r\n\xe9") for _ in range(generator.randint(0, 9))) for _ in range(200)
    ]
    data = generator.choice([b"", b"\xef\xbb\xbf"]) + b"\n".join(pieces)
    file.write_bytes(data)
    expected = data.removeprefix(b"\xef\xbb\xbf").splitlines()
    for size in (1, 2, 3, 7, 1 << 16):
        monkeypatch.setattr("scfx_dataset.sources.lines._CHUNK", size)
        found = list(Lines(file, 2**20))
        assert [line.text for line in found] == expected
        assert [line.number for line in found] == list(range(1, len(expected) + 1))
        short = list(Lines(file, 4))
        assert [bool(line.problem) for line in short] == [len(text) > 4 for text in expected]


@pytest.mark.parametrize(
    "value", [True, np.bool_(1), 1.5, float("nan"), float("inf"), "x", None, [1], b"1", 1e300j]
)
def test_what_is_no_whole_number_is_refused(value):
    with pytest.raises(ValueError, match="expected a whole number"):
        whole(value, "the charge")


def test_whole_numbers_may_be_stored_in_several_ways():
    assert [whole(v, "") for v in (2, 2.0, "2", " -2 ", np.int8(2), np.float32(2))] == [2, 2, 2, -2, 2, 2]
    assert geometry_of(["O", 1.0, np.int64(1)], [0.0] * 9).numbers == (8, 1, 1)


def test_the_inchikey_belongs_to_the_molecule_and_not_to_the_last_conformer():
    from scfx_dataset.conformers import embed

    # The centre that the SMILES leaves open comes out either way; the rows are of one molecule all the same.
    smiles = "CC(F)Cl"
    keys = {embed(smiles, [seed], Embedding()).inchikey for seed in range(1, 9)}
    assert keys == {inchikey_of(smiles)}


#: Lines of which most are bad, and bad in expensive ways.
_HOSTILE = """
import random, resource, sys
from pathlib import Path
from dataset_fake import FakeSpec, make_task
import scfx
folder = Path(sys.argv[1])
source = folder / "hostile.smi"
with source.open("w") as file:
    for i in range(20_000):
        bad = ["C(((%d" % i, "C" * 1900 + "(" * 90, "x" * 3000, "C1CC2", "[" + "9" * 1000][i % 5]
        file.write((bad if i % 100 else "C" * (1 + i // 100 % 40)) + "\\n")
task = make_task({"molecules": str(source), "output": str(folder / "out")})
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
plan = task.plan(scfx.TaskContext(FakeSpec(), None, None))[0]
print(plan.counts["unreadable"], (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


def test_a_source_that_is_nearly_all_bad_is_planned_in_bounded_memory(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", _HOSTILE, str(tmp_path)], env=environment(), capture_output=True, text=True,
        timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    unreadable, mebibytes = map(int, done.stdout.split())
    assert unreadable == 19_800
    assert mebibytes < 250


def test_limits_are_stated_with_their_defaults():
    limits = Limits()  # type: ignore[call-arg]
    assert (limits.record_bytes, limits.text_length, limits.atoms) == (2**22, 2000, 1000)
    assert resource.getpagesize() < limits.record_bytes
