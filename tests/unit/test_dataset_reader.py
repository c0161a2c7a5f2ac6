"""Reading: parts without leakage, PyTorch's view, columns and units."""

from __future__ import annotations

import pickle

import numpy as np
import pyarrow as pa
import pytest
import scfx_dataset
from dataset_fake import SMILES, run_fake, write_smiles
from scfx_dataset.schema import FULL_SCHEMA, SCHEMA, row_schema
from scfx_dataset.split import fraction, parts

import scfx
from scfx.model.elements import SYMBOLS
from scfx.model.same_molecule import molecule_key

# Both enantiomers of bromochlorofluoromethane, and the same without its stereo centre.
STEREO = ("F[C@H](Cl)Br", "F[C@@H](Cl)Br", "FC(Cl)Br")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    source = write_smiles(folder / "m.smi", [*SMILES, *STEREO, "C1CC"])
    assert run_fake(molecules=source, output=str(folder / "out"), conformers=3, shard_rows=12) == 0
    return scfx_dataset.open(folder / "out")


def test_every_row_is_in_exactly_one_part(dataset):
    found = dataset.split({"a": 0.3, "b": 0.3, "c": 0.4}, seed=1)
    ids = [set(part.to_table(["row_id"])["row_id"].to_pylist()) for part in found.values()]
    assert set.union(*ids) == set(range(3 * (len(SMILES) + 3) + 1))
    assert sum(map(len, ids)) == len(dataset)
    assert [len(part) for part in found.values()] == [len(i) for i in ids]


def test_a_list_of_fractions_gives_a_list_of_the_same_parts(dataset):
    train, validation, test = dataset.split([0.5, 0.25, 0.25], seed=1)
    named = dataset.split({"x": 0.5, "y": 0.25, "z": 0.25}, seed=1)
    for one, other in zip((train, validation, test), named.values(), strict=True):
        assert one.to_table().equals(other.to_table())


def test_rows_by_index_are_those_of_a_loop(dataset):
    whole = list(dataset)
    assert len(whole) == len(dataset)
    assert sorted(whole, key=lambda row: row["row_id"]) == dataset.to_table().to_pylist()
    assert [dataset[i] for i in range(len(dataset))] == whole
    assert dataset[-1] == whole[-1]
    assert dataset[np.int64(2)] == whole[2]
    for chosen in (slice(5, 30), slice(None, None, -7), slice(-3, None), slice(9, 2)):
        assert dataset[chosen] == whole[chosen]
    for restricted in (dataset.filter("ok"), dataset.split(seed=3)["train"], dataset.filter("poison")):
        rows = list(restricted)
        assert len(rows) == len(restricted)
        assert restricted[:] == rows
    for outside in (len(dataset), -len(dataset) - 1):
        with pytest.raises(IndexError, match=f"row {outside} of a dataset of {len(dataset)}"):
            dataset[outside]
    with pytest.raises(scfx.InputError, match=r"to_table\(\['gap_ev'\]\)"):
        dataset["gap_ev"]


def test_a_frame_has_the_columns_of_the_table(dataset):
    pytest.importorskip("pandas")
    frame = dataset.to_pandas(["row_id", "gap_ev"])
    assert frame["row_id"].tolist() == list(range(len(dataset)))
    assert list(frame.columns) == ["row_id", "gap_ev"]
    assert list(dataset.to_pandas().columns) == SCHEMA.names


def test_a_filter_of_a_filtered_dataset_keeps_what_passes_both(dataset):
    both = dataset.filter(("ok", "failed")).filter(("ok", "poison"))
    assert both.to_table().equals(dataset.filter("ok").to_table())
    assert 0 < len(both) < len(dataset)
    nothing = dataset.filter("failed").filter("ok")
    assert len(nothing) == nothing.to_table().num_rows == 0
    # What is made of rows that are ok is made of those of the restricted dataset.
    assert len(dataset.filter("failed").torch()) == 0


def test_a_dataset_shows_itself_in_one_line(dataset):
    text = repr(dataset.filter("ok"))
    assert "70 planned rows, status in ('ok',)" in text
    assert "\n" not in text


@pytest.mark.parametrize("seed", range(5))
def test_no_molecule_and_no_stereoisomer_leaks_into_another_part(dataset, seed):
    homes: dict[str, set[str]] = {}
    for name, part in dataset.split(seed=seed).items():
        for row in part.to_table(["smiles", "input_smiles"]).to_pylist():
            stereo = row["input_smiles"] in STEREO
            homes.setdefault("stereo" if stereo else row["smiles"] or "?", set()).add(name)
    assert all(len(parts) == 1 for parts in homes.values())


def test_a_molecules_part_depends_on_nothing_but_molecule_and_seed():
    # SHA-256 of "0|LFQSCWFLJHTTHZ" (ethanol's connectivity block), first 8 bytes over 2^64.
    import hashlib

    key = molecule_key("CCO", "LFQSCWFLJHTTHZ-UHFFFAOYSA-N")
    expected = int.from_bytes(hashlib.sha256(b"0|LFQSCWFLJHTTHZ").digest()[:8], "big") / 2**64
    assert fraction(key, 0) == expected
    assert molecule_key("OCC") == key


def test_sizes_meet_the_fractions_on_average():
    # 20,000 molecules: the standard deviation of a share of 0.8 is 0.0028.
    found = parts({"train": 0.8, "test": 0.2}, seed=3)
    train = [found["train"].low <= fraction(f"M{i}", 3) < found["train"].high for i in range(20_000)]
    assert np.mean(train) == pytest.approx(0.8, abs=4 * 0.0029)


def test_fractions_that_do_not_fit_are_refused(dataset):
    with pytest.raises(scfx.InputError, match="sum is at most 1"):
        dataset.split({"a": 0.7, "b": 0.7})
    for wrong in ([0.8, 0.3], [], "abc", {"a": "b"}, [0.5, -0.1], 0.8):
        with pytest.raises(scfx.InputError, match=r"'test': 0.1\} or \[0.8, 0.1, 0.1\]"):
            dataset.split(wrong)
    with pytest.raises(scfx.InputError, match="a part already"):
        dataset.split()["train"].split()


def test_parts_and_filters_go_together_and_travel_by_pickle(dataset):
    part = dataset.filter("ok").split(seed=2)["train"]
    assert set(part.to_table(["status"])["status"].to_pylist()) == {"ok"}
    again = pickle.loads(pickle.dumps(part))
    assert again.to_table().equals(part.to_table())


def test_the_schema_is_typed_and_states_units(dataset):
    assert dataset.to_table().schema.names == SCHEMA.names
    for field in FULL_SCHEMA:
        assert b"description" in field.metadata
        for ending, unit in (("_ev", "eV"), ("_angstrom", "angstrom"), ("_debye", "debye")):
            if field.name.endswith(ending):
                assert field.metadata[b"unit"].decode() == unit
    wanted = row_schema(
        {"options": {"extras": ["mulliken_charges", "orbital_energies"]}, "format_version": 2}
    )
    assert wanted.field("orbital_energies_ev").type == pa.list_(pa.list_(pa.float64()))
    assert wanted.field("mulliken_charges").type == pa.list_(pa.float64())
    assert "versions" not in row_schema({"options": {}, "format_version": 1}).names


def test_an_optional_column_that_was_not_asked_for_is_named_as_such(dataset):
    with pytest.raises(scfx.InputError, match=r"'mulliken_charges' \(an optional column: task.extras\)"):
        dataset.to_table(["mulliken_charges"])


def test_torch_items_are_the_rows(dataset):
    torch = pytest.importorskip("torch")
    data = dataset.torch(("gap_ev", "energy_ev"), dtype=torch.float64)
    rows = {row["row_id"]: row for row in dataset.filter("ok").to_table().to_pylist()}
    assert len(data) == len(rows)
    for i in range(len(data)):
        item = data[i]
        row = rows.pop(item["row_id"])
        assert item["atomic_numbers"].tolist() == row["atomic_numbers"]
        assert item["positions_angstrom"].tolist() == row["positions_angstrom"]
        assert float(item["gap_ev"]) == row["gap_ev"]
        assert float(item["energy_ev"]) == row["energy_ev"]
    assert not rows
    with pytest.raises(IndexError):
        data[len(data)]


def test_a_stream_gives_every_row_once_in_an_order_of_its_epoch(dataset):
    pytest.importorskip("torch")
    plain = [item["row_id"] for item in dataset.torch(stream=True)]
    mixed = dataset.torch(stream=True, shuffle=True, seed=1)
    first, again = [item["row_id"] for item in mixed], [item["row_id"] for item in mixed]
    mixed.set_epoch(1)
    second = [item["row_id"] for item in mixed]
    assert sorted(plain) == sorted(first) == sorted(second)
    assert len(plain) == len(dataset.filter("ok"))
    assert first == again
    assert first != plain
    assert first != second


def test_a_batch_says_which_atom_is_whose(dataset):
    torch = pytest.importorskip("torch")
    from scfx_dataset.torch_data import collate

    loader = torch.utils.data.DataLoader(dataset.torch(), batch_size=5, collate_fn=collate)
    batch = next(iter(loader))
    assert batch["positions_angstrom"].shape == (batch["batch"].numel(), 3)
    assert batch["gap_ev"].shape == (5,)
    natm = [len(dataset.torch()[i]["atomic_numbers"]) for i in range(5)]
    assert torch.bincount(batch["batch"]).tolist() == natm


def test_energies_keep_their_digits_and_vectors_stay_vectors(dataset):
    torch = pytest.importorskip("torch")
    from scfx_dataset.torch_data import collate

    data = dataset.torch(("energy_ev", "gap_ev", "dipole_vector_debye"))
    rows = {row["row_id"]: row for row in dataset.filter("ok")}
    items = [data[i] for i in range(4)]
    for item in items:
        row = rows[item["row_id"]]
        assert (item["charge"], item["multiplicity"]) == (row["charge"], row["multiplicity"])
        # float32 would move a total energy by a meV and more.
        assert item["energy_ev"].dtype == torch.float64
        assert float(item["energy_ev"]) == row["energy_ev"]
        assert item["gap_ev"].dtype == item["positions_angstrom"].dtype == torch.float32
        assert item["dipole_vector_debye"].shape == (1, 3)
        assert item["dipole_vector_debye"][0].tolist() == pytest.approx(row["dipole_vector_debye"], rel=1e-6)
    batch = collate(items)
    assert batch["dipole_vector_debye"].shape == (4, 3)
    assert batch["charge"].tolist() == [0] * 4
    assert batch["multiplicity"].tolist() == [1] * 4
    assert dataset.torch(("energy_ev",), dtype=torch.float32)[0]["energy_ev"].dtype == torch.float32


def test_atom_references_are_least_squares_and_are_taken_from_energies(dataset):
    torch = pytest.importorskip("torch")
    references = dataset.atom_references()
    rows = list(dataset.filter("ok"))
    elements = sorted({z for row in rows for z in row["atomic_numbers"]})
    assert list(references) == [SYMBOLS[z] for z in elements]
    counts = np.array([[row["atomic_numbers"].count(z) for z in elements] for row in rows], float)
    energies = np.array([row["energy_ev"] for row in rows])
    expected = np.linalg.lstsq(counts, energies, rcond=None)[0]
    assert list(references.values()) == pytest.approx(expected, abs=1e-6)
    for item in dataset.torch(("energy_ev", "gap_ev"), atom_references=references, stream=True):
        row = next(row for row in rows if row["row_id"] == item["row_id"])
        rest = row["energy_ev"] - sum(references[SYMBOLS[z]] for z in row["atomic_numbers"])
        assert item["energy_ev"].dtype == torch.float32
        assert float(item["energy_ev"]) == pytest.approx(rest, rel=1e-6)
    with pytest.raises(scfx.InputError, match="which is not a target: gap_ev"):
        dataset.torch(atom_references=references)
    del references["H"]
    with pytest.raises(scfx.InputError, match="has H, for which"):
        dataset.torch(("energy_ev",), atom_references=references)[0]
    with pytest.raises(scfx.InputError, match="target: got 'smiles'"):
        dataset.atom_references("smiles")


def test_targets_must_be_numbers_of_the_dataset(dataset):
    pytest.importorskip("torch")
    with pytest.raises(scfx.InputError, match="targets: got 'smiles'"):
        dataset.torch(("smiles",))
