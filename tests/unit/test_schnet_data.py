"""Where training data comes from, its units, and who may see whom."""

from __future__ import annotations

import json

import numpy as np
import pytest
import schnet_data
from dataset_fake import run_fake, write_smiles

torch = pytest.importorskip("torch", reason="the schnet extra is not installed")

import scfx_dataset  # noqa: E402
from scfx_schnet import molecules as store  # noqa: E402
from scfx_schnet import split  # noqa: E402
from scfx_schnet.sampling import Sampler  # noqa: E402
from scfx_schnet.sources import DataOptions, open_data  # noqa: E402
from scfx_schnet.targets import Standardiser  # noqa: E402

from scfx.errors import ConfigError, InputError  # noqa: E402
from scfx.model.same_molecule import molecule_key  # noqa: E402

# Methane as QM9's record dsgdb9nsd_000001 has it (Ramakrishnan et al. 2014).
METHANE = """5
gdb 1\t157.7118\t157.70997\t157.70699\t0.\t13.21\t-0.3877\t0.1171\t0.5048\t35.3641\t0.044749\t\
-40.47893\t-40.476062\t-40.475117\t-40.498597\t6.469\t
C\t-0.0126981359\t 1.0858041578\t 0.0080009958\t-0.535689
H\t 0.002150416\t-0.0060313176\t 0.0019761204\t 0.133921
H\t 1.0117308433\t 1.4637511618\t 2.765748*^-4\t 0.133922
H\t-0.540815069\t 1.4475266138\t-0.8766437152\t 0.133923
H\t-0.5238136345\t 1.4379326443\t 0.9063972942\t 0.133923
1341.307\t1341.3284\t1341.365\t1562.6731\t1562.7453\t3038.3205\t3151.6034\t3151.6788\t3151.7078
C\tC
InChI=1S/CH4/h1H4\tInChI=1S/CH4/h1H4
"""
HARTREE = 27.211386245988  # eV, CODATA 2018
BOHR = 0.529177210903  # angstrom, CODATA 2018


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return schnet_data.write_table(tmp_path_factory.mktemp("table") / "m.parquet", 60, conformers=3)


@pytest.fixture(scope="module")
def molecules(table, tmp_path_factory):
    return open_data(DataOptions(path=str(table)), tmp_path_factory.mktemp("cache"))


def test_a_record_of_qm9_is_read_in_its_units(tmp_path):
    folder = tmp_path / "qm9"
    folder.mkdir()
    (folder / "dsgdb9nsd_000001.xyz").write_text(METHANE)
    found = open_data(DataOptions(path=str(folder)), tmp_path / "cache")
    row = np.array([0])
    assert found.targets(row, ["homo", "lumo", "gap"])[0] == pytest.approx(
        [-0.3877 * HARTREE, 0.1171 * HARTREE, 0.5048 * HARTREE]
    )
    # The electronic energy is U0 without the zero-point energy.
    assert found.targets(row, ["energy"])[0, 0] == pytest.approx((-40.47893 - 0.044749) * HARTREE)
    batch = found.pack(row)
    assert batch.numbers.tolist() == [6, 1, 1, 1, 1]
    # A carbon-hydrogen bond of 1.09 angstrom, and 2.765748*^-4 read as a number.
    assert float((batch.positions[0] - batch.positions[1]).norm()) == pytest.approx(1.0919, abs=1e-3)
    assert float(batch.positions[2, 2]) == pytest.approx(2.765748e-4)
    assert found.keys[0] == store.key_number(molecule_key("C"))


def test_an_archive_of_records_is_read_like_the_folder(tmp_path):
    import tarfile

    (tmp_path / "dsgdb9nsd_000001.xyz").write_text(METHANE)
    with tarfile.open(tmp_path / "dsgdb9nsd.xyz.tar.bz2", "w:bz2") as archive:
        archive.add(tmp_path / "dsgdb9nsd_000001.xyz", "dsgdb9nsd_000001.xyz")
    found = open_data(DataOptions(path=str(tmp_path / "dsgdb9nsd.xyz.tar.bz2")), tmp_path / "cache")
    assert len(found) == 1
    assert found.available == ("gap", "homo", "lumo", "energy")


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_tables_are_hartree_like_qm9_unless_their_column_says_ev(tmp_path, suffix):
    import pyarrow as pa
    import pyarrow.csv
    import pyarrow.parquet as pq

    row = {"smiles": ["C"], "z": [[6, 1, 1]], "pos": [[[0.0, 0, 0], [0, 0, 2.0], [0, 2.0, 0]]]}
    row |= {"gap": [0.5], "lumo_ev": [3.0], "u0": [-40.0], "zpve": [0.5]}
    path = tmp_path / f"t.{suffix}"
    if suffix == "csv":
        plain = {
            k: [json.dumps(v) if isinstance(v, list) else v for v in values] for k, values in row.items()
        }
        pa.csv.write_csv(pa.table(plain), path)
    else:
        pq.write_table(pa.table(row), path)
    found = open_data(DataOptions(path=str(path), length_unit="bohr"), tmp_path / "cache")
    assert found.targets(np.array([0]), ["gap", "lumo", "energy"])[0] == pytest.approx(
        [0.5 * HARTREE, 3.0, -40.5 * HARTREE]
    )
    assert float(found.pack(np.array([0])).positions[1, 2]) == pytest.approx(2 * BOHR)


def test_a_column_named_for_one_thing_is_not_read_as_another(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    # As in copies of PCQM4Mv2 whose column "homo" is the gap in eV.
    row = {"smiles": ["C"], "z": [[6]], "pos": [[[0.0, 0, 0]]], "homo": [4.5]}
    pq.write_table(pa.table(row), tmp_path / "p.parquet")
    options = DataOptions(path=str(tmp_path / "p.parquet"), columns={"gap": "homo"}, energy_unit="ev")
    found = open_data(options, tmp_path / "cache")
    assert found.available == ("gap",)
    assert found.targets(np.array([0]), ["gap"])[0, 0] == 4.5


def test_a_dataset_of_scfx_gives_its_ok_rows_in_angstrom_and_ev(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_fake(molecules=write_smiles(tmp_path / "m.smi"), output="out/set")
    rows = scfx_dataset.open("out/set").filter("ok").to_table().to_pylist()
    found = open_data(DataOptions(path="out/set"), tmp_path / "cache")
    assert len(found) == len(rows) > 0
    by_row = {
        (store.key_number(molecule_key(r["smiles"])), round(r["gap_ev"], 9), r["conformer"]): r for r in rows
    }
    assert len(by_row) == len(rows)
    everything = np.arange(len(found))
    assert sorted(found.targets(everything, ["gap"])[:, 0]) == pytest.approx(
        sorted(r["gap_ev"] for r in rows)
    )
    batch = found.pack(everything)
    of_file = np.concatenate([np.asarray(r["positions_angstrom"]) for r in rows])
    assert np.sort(batch.positions.numpy().ravel()) == pytest.approx(np.sort(of_file.ravel()), abs=1e-6)
    assert set(found.keys.tolist()) == {store.key_number(molecule_key(r["smiles"])) for r in rows}


def test_data_is_converted_in_chunks_and_then_memory_mapped(table, tmp_path, monkeypatch):
    from scfx_schnet import table_files

    monkeypatch.setattr(table_files, "CHUNK", 7)
    largest = 0
    write = store._check

    def watched(chunk, *about):
        nonlocal largest
        largest = max(largest, len(chunk.sizes))
        write(chunk, *about)

    monkeypatch.setattr(store, "_check", watched)
    found = open_data(DataOptions(path=str(table)), tmp_path)
    assert len(found) == 180
    assert largest == 7
    assert isinstance(found._positions.base, np.memmap) or isinstance(found._positions, np.memmap)
    # The second time nothing is converted.
    monkeypatch.setattr(store, "_write", None)
    assert len(open_data(DataOptions(path=str(table)), tmp_path)) == 180


def test_a_killed_conversion_leaves_nothing_that_could_be_taken_for_data(table, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_check", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        open_data(DataOptions(path=str(table)), tmp_path)
    monkeypatch.undo()
    assert len(open_data(DataOptions(path=str(table)), tmp_path)) == 180


def test_no_molecule_is_in_two_parts_of_a_split(molecules):
    parts = split.split_by_molecule(molecules.keys, 0.2, 0.2, seed=1)
    keys = [set(molecules.keys[rows].tolist()) for rows in (parts.pool, parts.validation, parts.test)]
    assert all(keys)
    assert not (keys[0] & keys[1])
    assert not (keys[0] & keys[2])
    assert not (keys[1] & keys[2])
    assert sum(map(len, keys)) == 60
    assert sum(len(rows) for rows in (parts.pool, parts.validation, parts.test)) == 180


def test_a_leak_is_noticed(molecules):
    parts = split.split_by_molecule(molecules.keys, 0.2, 0.2, seed=1)
    leaking = split.Split(np.append(parts.pool, parts.test[0]), parts.validation, parts.test)
    with pytest.raises(InputError, match="leaks"):
        leaking.check(molecules.keys)


def test_a_molecule_falls_into_one_part_of_every_data_set(molecules):
    whole = split.split_by_molecule(molecules.keys, 0.2, 0.2, seed=1)
    some = molecules.keys[::2]
    part = split.split_by_molecule(some, 0.2, 0.2, seed=1)
    assert set(some[part.validation].tolist()) <= set(molecules.keys[whole.validation].tolist())
    assert set(some[part.pool].tolist()) <= set(molecules.keys[whole.pool].tolist())


def test_subsets_are_nested_and_differ_between_seeds(molecules):
    pool = split.split_by_molecule(molecules.keys, 0.2, 0.2, seed=1).pool
    nested = [set(split.subset(molecules.keys, pool, n, seed=0).tolist()) for n in (6, 30, 60, len(pool))]
    assert [len(s) for s in nested] == [6, 30, 60, len(pool)]
    assert nested[0] < nested[1] < nested[2] < nested[3]
    assert nested[1] != set(split.subset(molecules.keys, pool, 30, seed=1).tolist())
    # Whole molecules: six rows are two molecules of three conformers.
    assert len(np.unique(molecules.keys[sorted(nested[0])])) == 2
    with pytest.raises(ConfigError, match="sizes"):
        split.subset(molecules.keys, pool, len(pool) + 1, seed=0)


def test_a_split_that_leaves_nothing_to_ask_is_refused(molecules):
    with pytest.raises(ConfigError, match="validation"):
        split.split_by_molecule(molecules.keys, 1e-6, 0.1, seed=0)


def test_every_size_sees_the_same_number_of_examples_each_row_equally_often():
    for size in (5, 37, 100):
        sampler = Sampler(np.arange(size) + 1000, batch_size=8, seed=3)
        seen = np.concatenate([sampler.batch(step) for step in range(50)])
        counts = np.bincount(seen - 1000, minlength=size)
        assert counts.sum() == 400
        assert counts.max() - counts.min() <= 1


def test_processes_share_out_the_batch_of_one_process():
    one = Sampler(np.arange(37), batch_size=8, seed=3)
    two = [Sampler(np.arange(37), batch_size=8, seed=3) for _ in range(2)]
    for step in (0, 3, 4, 11):
        together = np.concatenate([s.batch(step, rank, 2) for rank, s in enumerate(two)])
        assert together.tolist() == one.batch(step).tolist()


def test_batches_do_not_depend_on_what_was_asked_before():
    fresh, used = (Sampler(np.arange(10), batch_size=4, seed=0) for _ in range(2))
    for step in range(9):
        used.batch(step)
    assert fresh.batch(9).tolist() == used.batch(9).tolist()


def test_atom_reference_energies_are_found_and_removed():
    # Energies that are a sum over atoms leave nothing to learn but the gap's share.
    random = np.random.default_rng(0)
    counts = np.zeros((40, 100))
    counts[:, 1], counts[:, 6], counts[:, 8] = random.integers(1, 9, (3, 40))
    free = {1: -13.6, 6: -1030.0, 8: -2042.0}
    rest = random.normal(scale=0.1, size=40)
    energy = sum(e * counts[:, z] for z, e in free.items()) + rest
    values = np.stack([energy, random.normal(size=40)], axis=1)
    fit = Standardiser.fit(("energy", "gap"), values, counts)
    for z, e in free.items():
        assert fit.references[z, 0] == pytest.approx(e, abs=0.1)
    assert not fit.references[:, 1].any()
    standard = fit.standardise(values, counts)
    assert standard.mean(axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert standard.std(axis=0) == pytest.approx([1, 1])
    assert fit.to_ev(standard, counts) == pytest.approx(values)


def test_a_target_without_spread_is_refused():
    with pytest.raises(InputError, match="gap"):
        Standardiser.fit(("gap",), np.ones((4, 1)), np.ones((4, 100)))


@pytest.mark.parametrize(("options", "words"), [
    ({"path": "nowhere"}, "does not exist"), ({"path": "."}, "no .xyz file"),
])  # fmt: skip
def test_wrong_paths_say_what_is_wrong(tmp_path, monkeypatch, options, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=words):
        open_data(DataOptions(**options), tmp_path / "cache")


def test_a_table_without_geometries_says_which_column_to_name(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table({"smiles": ["C"], "gap": [0.5]}), tmp_path / "t.parquet")
    with pytest.raises(InputError, match=r"columns\.numbers"):
        open_data(DataOptions(path=str(tmp_path / "t.parquet")), tmp_path / "cache")
