"""Charge, multiplicity and unit of a row are those that its source states; what nobody states is said in the row."""

from __future__ import annotations

import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scfx_dataset
from dataset_fake import FakeSpec, make_task, run_fake

import scfx

#: What is asked here is asked of rows, files and exit codes.
pytestmark = pytest.mark.usefixtures("quick_reports")

WATER = [[0.0, 0.0, 0.1173], [0.0, 0.7572, -0.4692], [0.0, -0.7572, -0.4692]]


def planned(folder, source, **options):
    task = make_task({"molecules": str(source), "output": str(folder / "out"), **options})
    plan = task.plan(scfx.TaskContext(FakeSpec(), None, None))[0]
    found = [row for shard in plan.shards for row in plan.rows(shard).to_pylist()]
    return sorted(found, key=lambda row: row["row_id"])


def electrons(rows):
    return [(row["charge"], row["multiplicity"], row["assumed"]) for row in rows]


#: (SMILES, charge, multiplicity) as cells, then what the row has.
CASES = [
    ("O", "", "", (0, 1, "multiplicity")),
    ("C", "1", "2", (1, 2, "")),
    ("CC", "-1", "", (-1, 2, "multiplicity")),
    ("O=O", "0", "3", (0, 3, "")),
    ("N", "1.0", "4.0", (1, 4, "")),  # as pandas writes a column with gaps
    ("[CH3]", "", "", (0, 2, "multiplicity")),
    ("[Fe+2]", "", "5", (2, 5, "")),
    ("CO", " ", "", (0, 1, "multiplicity")),
    ("C[NH3+]", "", "3", (1, 3, "")),
    ("C[NH3+]", "", "", (1, 1, "multiplicity")),  # another state of the same molecule is no duplicate
]


@pytest.mark.parametrize("names", [("charge", "multiplicity"), ("Total_Charge", "spin_multiplicity")])
def test_csv_columns_of_charge_and_multiplicity_are_honoured(tmp_path, names):
    source = tmp_path / "m.csv"
    source.write_text("smiles,{},{}\n".format(*names) + "".join(f"{s},{c},{m}\n" for s, c, m, _ in CASES))
    assert electrons(planned(tmp_path, source)) == [row for *_, row in CASES]


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.string()])
def test_parquet_columns_are_honoured_also_where_smiles_are_embedded(tmp_path, kind):
    def cells(values):
        return pa.array([float(v) if v.strip() else None for v in values]).cast(kind)

    smiles, charges, multiplicities, rows = zip(*CASES, strict=True)
    table = {"smiles": smiles, "charge": cells(charges), "multiplicity": cells(multiplicities)}
    pq.write_table(pa.table(table), tmp_path / "m.parquet")
    assert electrons(planned(tmp_path, tmp_path / "m.parquet")) == list(rows)


def test_labels_are_of_the_stated_electrons_in_the_geometry_of_the_smiles(tmp_path):
    source = tmp_path / "m.csv"
    source.write_text("smiles,charge,multiplicity\nCCO,,\nCCO,1,2\nCCO,0,1\n")
    assert run_fake(molecules=str(source), output=str(tmp_path / "out")) == 0
    neutral, cation = (
        scfx_dataset.open(tmp_path / "out").to_table().to_pylist()
    )  # the third is the first again
    assert electrons([neutral, cation]) == [(0, 1, "multiplicity"), (1, 2, "")]
    assert neutral["positions_angstrom"] == cation["positions_angstrom"]
    assert neutral["geometry_id"] != cation["geometry_id"]


def test_given_geometries_say_what_was_assumed(tmp_path):
    source = tmp_path / "m.csv"
    cells = f'"[8, 1, 1]","{json.dumps(WATER)}"'
    source.write_text(
        "smiles,charge,multiplicity,atomic_numbers,positions_angstrom\n"
        f"O,,,{cells}\nO,1,2,{cells}\n,,3,{cells}\n,1,,{cells}\n,,,{cells}\n"
    )
    rows = planned(tmp_path, source, geometry="given")
    assert electrons(rows) == [
        (0, 1, "multiplicity"), (1, 2, ""), (0, 3, "charge"), (1, 2, "multiplicity"),
        (0, 1, "charge, multiplicity"),
    ]  # fmt: skip


def test_the_unit_of_an_xyz_file_is_assumed_where_nobody_states_it(tmp_path):
    lines = "".join(f"{s} {x} {y} {z}\n" for s, (x, y, z) in zip("OHH", WATER, strict=True))
    source = tmp_path / "m.xyz"
    source.write_text(f"3\n0 1\n{lines}3 angstrom\ncharge=1\n{lines}")
    rows = planned(tmp_path, source, geometry="given")
    assert electrons(rows) == [(0, 1, "unit"), (1, 2, "multiplicity")]


@pytest.mark.parametrize(
    ("smiles", "charge", "multiplicity", "reason"),
    [
        ("O=O", "", "", "triplet in its ground state.*say multiplicity = 3 in a column of that name"),
        ("[Fe+2]", "", "", "does not tell the spin of Fe"),
        ("[C]", "", "", "its ground state has 2"),
        ("C", "0.4", "", "the charge is '0.4', expected a whole number"),
        ("C", "", "2.5", "the multiplicity is '2.5', expected a whole number"),
        ("C", "nan", "", "the charge is 'nan', expected a whole number"),
        ("C", "99", "", "the nuclei have 10 protons"),
        ("C", "", "99", "there are 10 electrons"),
        ("C", "", "0", "expected 1 or more"),
    ],
)
def test_what_is_not_known_or_not_possible_is_a_failed_row_with_its_reason(
    tmp_path, smiles, charge, multiplicity, reason
):
    source = tmp_path / "m.csv"
    source.write_text(f"smiles,charge,multiplicity\n{smiles},{charge},{multiplicity}\nOO,,\n")
    bad, good = planned(tmp_path, source)
    assert re.search(reason, bad["reason"]), bad["reason"]
    assert good["reason"] == ""  # hydrogen peroxide is no oxygen


def test_columns_that_could_mean_several_things_are_refused(tmp_path):
    for header, message in (
        ("smiles,charge,total_charge", "several columns of charge"),
        ("smiles,charge,spin", r"column 'spin', which may be 2S \+ 1, 2S or S; call it multiplicity"),
    ):
        source = tmp_path / "m.csv"
        source.write_text(f"{header}\nC,0,1\n")
        with pytest.raises(scfx.InputError, match=message):
            planned(tmp_path, source)


def test_the_task_may_say_the_multiplicity_of_its_molecules(tmp_path):
    source = tmp_path / "m.smi"
    source.write_text("O=O\n[Fe+2]\n")
    assert electrons(planned(tmp_path, source, multiplicity=3)) == [(0, 3, ""), (2, 3, "")]
    task = make_task({"molecules": str(source), "output": str(tmp_path / "out")})
    assert "multiplicity" not in task.options.row_options()  # earlier plans keep their identity


def test_a_multiplicity_that_the_electrons_cannot_have_is_a_failed_row(tmp_path):
    source = tmp_path / "m.smi"
    source.write_text("C\n[CH3]\n")
    assert run_fake(molecules=str(source), output=str(tmp_path / "out"), multiplicity=2) == 0
    methane, methyl = scfx_dataset.open(tmp_path / "out").to_table().to_pylist()
    assert methane["status"] == "failed"
    assert "cannot have multiplicity 2" in methane["reason"]
    assert methyl["status"] == "ok"


def test_fragments_of_a_salt_are_embedded_apart(tmp_path):
    source = tmp_path / "m.smi"
    source.write_text("C[NH3+].[Cl-]\n")
    code = run_fake(
        molecules=str(source), output=str(tmp_path / "out"), conformers=3, filters={"single_fragment": False}
    )
    assert code == 0
    for row in scfx_dataset.open(tmp_path / "out").to_table().to_pylist():
        positions = np.array(row["positions_angstrom"])
        chlorine = positions[np.array(row["atomic_numbers"]) == 17]
        others = positions[np.array(row["atomic_numbers"]) != 17]
        assert np.linalg.norm(others - chlorine, axis=1).min() > 2.5


def test_what_was_assumed_once_is_assumed_in_a_dataset_of_the_dataset(tmp_path):
    source = tmp_path / "m.csv"
    source.write_text("smiles,charge,multiplicity\nC,,\nN,0,1\n")
    assert run_fake(molecules=str(source), output=str(tmp_path / "first")) == 0
    first = scfx_dataset.open(tmp_path / "first").to_table().to_pylist()
    again = planned(tmp_path, tmp_path / "first", geometry="given")
    assert sorted(electrons(again)) == sorted(electrons(first)) == [(0, 1, ""), (0, 1, "multiplicity")]
