"""Planning: every line of the source becomes rows or a counted exclusion, and the same inputs give the same plan."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
from dataset_fake import SMILES, FakeSpec, make_task, write_smiles
from scfx_dataset.molecules import read_molecule

import scfx


def plan(tmp_path, lines=SMILES, output="out", spec=None, molecules=None, **options):
    source = molecules or write_smiles(tmp_path / "molecules.smi", lines)
    task = make_task({"molecules": source, "output": str(tmp_path / output), **options})
    return task.plan(scfx.TaskContext(spec or FakeSpec(), None, None))[0]


def rows_of(plan):
    rows = [row for shard in plan.shards for row in plan.rows(shard).to_pylist()]
    return sorted(rows, key=lambda row: row["row_id"])


@pytest.mark.parametrize("shard_rows", [1, 2, 3, 7, 1000])
def test_rows_are_molecules_times_conformers_up_to_the_last_one(tmp_path, shard_rows):
    # The paper's generator lost the last conformer of each molecule.
    rows = rows_of(plan(tmp_path, conformers=3, shard_rows=shard_rows))
    assert [row["row_id"] for row in rows] == list(range(3 * len(SMILES)))
    assert [row["conformer"] for row in rows] == [0, 1, 2] * len(SMILES)
    assert [row["input_smiles"] for row in rows] == [s for s in SMILES for _ in range(3)]


def test_a_molecule_that_fits_a_shard_is_not_split(tmp_path):
    made = plan(tmp_path, conformers=4, shard_rows=10)
    homes: dict[str, set[str]] = {}
    for row in rows_of(made):
        homes.setdefault(row["smiles"], set()).add(row["shard"])
    assert all(len(shards) == 1 for shards in homes.values())
    assert all(shard.rows <= 10 for shard in made.shards)


def test_a_molecule_of_more_rows_is_split_unless_its_conformers_are_pruned_by_each_other(tmp_path):
    lines = ["CCO", "COC"]
    made, whole = (
        plan(tmp_path, lines, name, conformers=25, shard_rows=10, embedding=embedding)
        for name, embedding in (("made", {}), ("whole", {"prune_rms": 0.1}))
    )
    assert [shard.rows for shard in made.shards] == [10] * 5
    assert [shard.rows for shard in whole.shards] == [25] * 2
    rows, same = ([{**row, "shard": "", "geometry_id": ""} for row in rows_of(p)] for p in (made, whole))
    assert rows == same  # row_id, conformer and seed are those of a molecule in one piece
    assert [row["conformer"] for row in rows] == [*range(25)] * 2


def test_unreadable_smiles_become_one_row_each_with_the_reason(tmp_path):
    made = plan(tmp_path, ["CCO", "C1CC", "*C", "CO"], conformers=2)
    bad = [row for row in rows_of(made) if row["reason"]]
    assert [(row["input_smiles"], row["line"], row["conformer"]) for row in bad] == [
        ("C1CC", 2, None),
        ("*C", 3, None),
    ]
    assert "cannot parse" in bad[0]["reason"]
    assert "dummy atom" in bad[1]["reason"]
    assert made.counts["unreadable"] == 2
    assert made.counts["rows"] == 2 * 2 + 2


def test_duplicates_are_recognised_by_their_canonical_form_and_listed(tmp_path):
    made = plan(tmp_path, ["CCO", "OCC", "C(C)O", "CO"])
    assert made.counts["duplicates"] == 2
    assert [(row["line"], row["excluded_by"], row["smiles"]) for row in made.excluded().to_pylist()] == [
        (2, "duplicate", "CCO"),
        (3, "duplicate", "CCO"),
    ]


def test_every_filter_is_counted_under_its_name(tmp_path):
    lines = ["C", "CCCCC", "CS", "C[NH3+]", "C.O", "CCN", "CC(C)(C)C"]
    filters = {
        "min_heavy_atoms": 2,
        "max_heavy_atoms": 5,
        "max_atoms": 16,
        "charge": 0,
        "elements": ["H", "C", "N"],
    }
    made = plan(tmp_path, lines, filters=filters)
    assert made.counts["excluded"] == {
        "min_heavy_atoms": 1,  # C
        "max_atoms": 2,  # both pentanes have 17 atoms
        "elements": 1,  # CS
        "charge": 1,
        "single_fragment": 1,
    }
    assert [row["smiles"] for row in rows_of(made)] == ["CCN"]
    assert made.counts["lines"] == made.counts["molecules"] + sum(made.counts["excluded"].values())


def test_limit_counts_accepted_molecules(tmp_path):
    made = plan(tmp_path, ["CCO", "OCC", "XX", "CO", "CN"], limit=2)
    assert made.counts["molecules"] == 2
    assert {row["smiles"] for row in rows_of(made)} == {"CCO", None, "CO"}


#: Explicit, isotopic, aromatic and lone hydrogens; ions, radicals, salts.
HYDROGENS = (
    *SMILES, "[2H]C", "[H][H]", "[H+]", "[H]", "[H]O[H]", "[nH]1cccc1", "[13CH4]", "[NH4+].[Cl-]", "[CH3]", "[O][O]",
    "C[N+](=O)[O-]", "[SiH2]", "[Na+]",
)  # fmt: skip


@pytest.mark.parametrize("smiles", HYDROGENS)
def test_a_molecule_is_that_of_the_graph_with_all_its_hydrogens(smiles):
    from rdkit import Chem

    molecule = read_molecule(smiles)
    complete = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert dict(molecule.numbers) == Counter(atom.GetAtomicNum() for atom in complete.GetAtoms())
    assert molecule.multiplicity == 1 + sum(atom.GetNumRadicalElectrons() for atom in complete.GetAtoms())
    assert molecule.charge == Chem.GetFormalCharge(complete)
    assert molecule.n_fragments == len(Chem.GetMolFrags(complete))


def test_charge_and_multiplicity_are_those_of_the_structure(tmp_path):
    rows = rows_of(plan(tmp_path, ["C[NH3+]", "[CH3]", "[O-]C=O"]))
    assert [(row["charge"], row["multiplicity"]) for row in rows] == [(1, 1), (0, 2), (-1, 1)]


def test_the_same_inputs_give_the_same_bytes(tmp_path):
    first = plan(tmp_path, output="a", conformers=2)
    second = plan(tmp_path, output="b", conformers=2)
    digests = [{kind: entry["sha256"] for kind, entry in p.record["files"].items()} for p in (first, second)]
    assert digests[0] == digests[1]
    assert first.plan_id == second.plan_id
    again = plan(tmp_path, output="a", conformers=2)
    assert again.record == first.record


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"conformers": 3}, "options.conformers: 2 there, 3 now"),
        ({"seed": 7}, "options.seed: 42 there, 7 now"),
        ({"filters": {"charge": 0}}, "options.filters.charge: None there, 0 now"),
        ({"spec": FakeSpec(level="other")}, "spec_hash: 'hash-of-fake' there, 'hash-of-other' now"),
        ({"lines": ["CCO"]}, "molecules_sha256"),
    ],
)
def test_another_configuration_on_the_same_folder_is_an_error_that_names_the_difference(
    tmp_path, change, named
):
    plan(tmp_path, conformers=2)
    with pytest.raises(scfx.InputError, match="holds another dataset") as caught:
        plan(tmp_path, **{"conformers": 2, **change})
    assert named in str(caught.value)


def test_options_that_change_no_row_do_not_change_the_plan(tmp_path):
    first = plan(tmp_path)
    second = plan(tmp_path, workers=2, batch_size=3, progress="json", part="0/2")
    assert first.record == second.record


def test_csv_gzip_headers_comments_and_second_columns_are_read(tmp_path):
    smi = tmp_path / "a.smi.gz"
    smi.write_bytes(gzip.compress(b"smiles\theavy\nCCO\t3\tqm9\n\n# a comment\nCO 2\r\n"))
    rows = rows_of(plan(tmp_path, molecules=str(smi), output="a"))
    assert [(row["input_smiles"], row["line"]) for row in rows] == [("CCO", 2), ("CO", 5)]
    csv = tmp_path / "b.csv"
    csv.write_text('id,structure\n1,CCO\n2,"CO"\n')
    rows = rows_of(plan(tmp_path, molecules=str(csv), output="b", column="structure"))
    assert [row["input_smiles"] for row in rows] == ["CCO", "CO"]
    with pytest.raises(scfx.InputError, match="has no column 'smiles'; it has id, structure"):
        plan(tmp_path, molecules=str(csv), output="c")


def test_a_missing_or_empty_source_is_a_clear_error(tmp_path):
    with pytest.raises(scfx.InputError, match=r"task.molecules: no file 'none.smi'"):
        plan(tmp_path, molecules="none.smi")
    with pytest.raises(scfx.InputError, match="gives no row"):
        plan(tmp_path, ["# nothing"])
    broken = tmp_path / "broken.smi.gz"
    broken.write_bytes(b"not gzip")
    with pytest.raises(scfx.InputError, match="cannot read"):
        plan(tmp_path, molecules=str(broken))


def test_molecules_are_found_in_the_working_directory_then_beside_the_configuration(tmp_path, monkeypatch):
    from scfx_dataset.sources import resolve

    beside, here = tmp_path / "configs", tmp_path / "here"
    beside.mkdir()
    here.mkdir()
    monkeypatch.chdir(here)
    write_smiles(beside / "m.smi")
    assert resolve("m.smi", str(beside / "config.toml")) == beside / "m.smi"
    write_smiles(here / "m.smi")
    assert resolve("m.smi", str(beside / "config.toml")) == Path("m.smi")


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="conformer_count"):
        make_task({"molecules": "x.smi", "output": "out", "conformer_count": 3})
    for part in ("4/4", "x", "1", "-1/2", "1/2/3"):
        with pytest.raises(ValueError, match="expected 'i/N'"):
            make_task({"molecules": "x.smi", "output": "out", "part": part})


def test_a_damaged_plan_is_not_used(tmp_path):
    made = plan(tmp_path)
    shards = made.store.path(made.record["files"]["shards"]["name"])
    shards.write_bytes(shards.read_bytes()[:-1])
    with pytest.raises(scfx.InputError, match="damaged"):
        _ = plan(tmp_path).shards


def test_plan_json_states_spec_options_versions_and_counts(tmp_path):
    record = json.loads((plan(tmp_path).store.root / "plan.json").read_text())
    identity = record["identity"]
    assert identity["spec"]["functional"] == "fake"
    assert identity["options"]["seed"] == 42
    assert {"scfx", "rdkit", "numpy"} <= identity["versions"].keys()
    assert (
        identity["molecules_sha256"] == hashlib.sha256((tmp_path / "molecules.smi").read_bytes()).hexdigest()
    )
    assert record["counts"]["molecules"] == len(SMILES)
