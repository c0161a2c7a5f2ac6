"""One definition of "the same molecule" and one reader of QM9's records, whoever asks."""

from __future__ import annotations

import numpy as np
import pytest
import scfx_dataset
from dataset_fake import run_fake

from scfx.errors import InputError
from scfx.model.qm9 import PROPERTIES, read_qm9
from scfx.model.same_molecule import molecule_key

SAME = {
    "conformers and spellings": ("OCC", "CCO", "C(O)C"),
    "enantiomers": ("C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O", "CC(N)C(=O)O"),
    "cis and trans": ("F/C=C/F", "F/C=C\\F", "FC=CF"),
    "isotopologues": ("CCO", "[2H]OCC"),
    "resonance forms": ("CN(=O)=O", "C[N+](=O)[O-]"),
    "zwitterions": ("NCC(=O)O", "[NH3+]CC(=O)[O-]"),
    "acid and anion": ("CC(=O)O", "CC(=O)[O-]"),
    "mobile hydrogen": ("c1c[nH]cn1", "c1cnc[nH]1"),
}
OTHER = {
    "isomers of a formula": ("CCO", "COC"),
    "salt and acid": ("CC(=O)[O-].[Na+]", "CC(=O)O"),
    "fragment more": ("CCO", "CCO.O"),
    "radical": ("CC", "C[CH2]"),
}


@pytest.mark.parametrize("name", SAME)
def test_rows_of_one_molecule_have_one_key(name):
    assert len({molecule_key(smiles) for smiles in SAME[name]}) == 1


@pytest.mark.parametrize("name", OTHER)
def test_different_molecules_have_different_keys(name):
    assert len({molecule_key(smiles) for smiles in OTHER[name]}) == len(OTHER[name])


def test_a_key_that_is_known_is_taken_and_what_has_no_structure_counts_by_its_formula():
    # Ethanol's standard InChIKey, as PubChem's CID 702 has it.
    known = "LFQSCWFLJHTTHZ-UHFFFAOYSA-N"
    assert molecule_key("CCO", known) == molecule_key("CCO") == "LFQSCWFLJHTTHZ"
    assert molecule_key(None, None, [6, 1, 1, 1, 1]) == molecule_key("", "", [1, 6, 1, 1, 1]) == "1:4 6:1"
    assert molecule_key("no SMILES at all") == "no SMILES at all"


# The record's own format (tabs, a blank after the second SMILES, Mathematica's exponents); the numbers are made up. The
# GDB entry is ethanol, and relaxation has made dimethyl ether of it.
RECORD = """9
gdb 14\t34.8\t9.7\t8.6\t1.5258\t31.4\t-0.2581\t0.0786\t0.3367\t151.4\t0.079754\t-154.972731\t\
-154.967976\t-154.967032\t-154.998148\t13.546\t
O\t 0.0\t 0.0\t 0.5\t-0.3
C\t 1.1\t 0.0\t-0.2\t-0.1
C\t-1.1\t 0.0\t-0.2\t-0.1
H\t 2.0\t 0.0\t 0.4\t 0.1
H\t-2.0\t 0.0\t 0.4\t 0.1
H\t 1.1\t 0.9\t-0.8\t 0.1
H\t 1.1\t-0.9\t-0.8\t 0.1
H\t-1.1\t 0.9\t-0.8\t 0.1
H\t-1.1\t-0.9\t-8.0*^-1\t 0.1
203.3\t242.6\t413.8\t943.2\t1117.4\t1163.5\t1190.3\t1214.7\t1277.2\t1445.2\t1481.3\t1494.9\t1498.9\t1501.7\t1516.3\t\
2921.5\t2923.5\t2963.2\t2967.1\t3115.9\t3117.1
OCC\tCOC\t
InChI=1S/C2H6O/c1-2-3/h3H,2H2,1H3\tInChI=1S/C2H6O/c1-3-2/h1-2H3
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "qm9").mkdir()
    (tmp_path / "qm9" / "dsgdb9nsd_000014.xyz").write_text(RECORD)
    return tmp_path / "qm9"


def test_a_record_of_qm9_has_both_smiles_and_all_its_numbers(folder):
    (record,) = read_qm9(folder)
    assert (record.name, record.smiles_gdb, record.smiles_relaxed) == ("gdb 14", "OCC", "COC")
    assert list(record.properties) == list(PROPERTIES)
    assert (record.properties["mu"], record.properties["gap"], record.properties["Cv"]) == (
        1.5258,
        0.3367,
        13.546,
    )
    assert record.electronic_energy == -154.972731 - 0.079754
    assert record.numbers == (8, 6, 6, 1, 1, 1, 1, 1, 1)
    assert record.positions[8].tolist() == [-1.1, -0.9, -0.8]


def test_every_reader_of_qm9_takes_the_molecule_of_the_relaxed_geometry(folder, tmp_path):
    pytest.importorskip("torch", reason="the schnet extra is not installed")
    from scfx_schnet.molecules import key_number
    from scfx_schnet.sources import DataOptions, open_data

    assert run_fake(molecules=str(folder), output=str(tmp_path / "out"), geometry="given") == 0
    (row,) = scfx_dataset.open(tmp_path / "out").to_table().to_pylist()
    assert (row["smiles"], row["inchikey"].partition("-")[0]) == ("COC", molecule_key("COC"))
    records = open_data(DataOptions(path=str(folder)), tmp_path / "cache")
    labelled = open_data(DataOptions(path=str(tmp_path / "out")), tmp_path / "cache")
    assert records.keys.tolist() == labelled.keys.tolist() == [key_number(molecule_key("COC"))]


def test_what_is_no_record_of_qm9_is_refused_by_name(folder):
    (folder / "dsgdb9nsd_000015.xyz").write_text(RECORD.replace("gdb 14", "water"))
    with pytest.raises(InputError, match=r"dsgdb9nsd_000015.xyz: not a record of QM9"):
        list(read_qm9(folder))
    (folder / "dsgdb9nsd_000015.xyz").write_text(RECORD.replace("\t1.5258", ""))
    with pytest.raises(InputError, match=r"not a record of QM9: its comment line is 'gdb 14"):
        list(read_qm9(folder))


def test_stereoisomers_are_in_one_part_of_every_split_and_count_as_an_overlap(tmp_path):
    pytest.importorskip("torch", reason="the schnet extra is not installed")
    import pyarrow as pa
    import pyarrow.parquet as pq
    from scfx_schnet.sources import DataOptions, open_data
    from scfx_schnet.split import split_by_molecule

    def table(name, smiles):
        rows = {"smiles": smiles, "z": [[6]] * len(smiles), "pos": [[[0.0, 0.0, 0.0]]] * len(smiles)}
        pq.write_table(
            pa.table({**rows, "gap": np.linspace(0, 1, len(smiles))}), tmp_path / f"{name}.parquet"
        )
        return open_data(DataOptions(path=str(tmp_path / f"{name}.parquet")), tmp_path / "cache").keys

    chains = ["C" * n + "[C@H](F)O" for n in range(1, 15)] + ["C" * n + "[C@@H](F)O" for n in range(1, 15)]
    keys = table("all", chains)
    assert keys[:14].tolist() == keys[14:].tolist()
    split = split_by_molecule(keys, 0.3, 0.3, seed=0)
    parts = [set(keys[rows].tolist()) for rows in (split.pool, split.validation, split.test)]
    assert sum(map(len, parts)) == 14
    # What was trained on as one enantiomer is not asked about as the other.
    assert np.isin(table("left", chains[:14]), table("right", chains[14:])).all()
