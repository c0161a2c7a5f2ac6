"""Files for trainers: what is read back by the keys of each trainer's reader is the row, in its unit.

benchmarks/trainer_readers.py reads them by the readers themselves, in environments of their own.
"""

from __future__ import annotations

import json

import ase.db
import ase.io
import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scfx_dataset
from scfx_dataset import exports_potentials, exports_trainers
from scfx_dataset.exports import export
from scfx_dataset.isolated_atoms import ground_state_multiplicity
from scfx_dataset.quality import Selected, bonded_as_stated, parse

import scfx
from scfx.cli import main
from scfx.model.system import HARTREE_IN_EV

CONFIG = """
[scf]
functional = "hf"
basis = "sto-3g"
properties = {properties}

[[task]]
name = "dataset"
molecules = "frames.xyz"
geometry = "given"
output = "{output}"
workers = 1
progress = "quiet"
"""
FRAMES = (
    "3\nfirst\nO 0.0 0.0 0.1\nH 0.0 0.76 -0.49\nH 0.0 -0.75 -0.48\n"
    "2\nsecond\nH 0.0 0.0 0.0\nH 0.0 0.0 0.75\n"
    "3\nthird\nO 0.0 0.0 0.1\nH 0.0 0.77 -0.49\nH 0.0 -0.75 -0.5\n"
)


def made(folder, properties):
    (folder / "frames.xyz").write_text(FRAMES)
    (folder / "config.toml").write_text(CONFIG.format(properties=properties, output=folder / "out"))
    assert main(["run", str(folder / "config.toml")]) == 0
    return scfx_dataset.open(folder / "out")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return made(tmp_path_factory.mktemp("trainers"), '["gradient"]')


@pytest.fixture(scope="module")
def rows(dataset):
    return {row["row_id"]: row for row in dataset.to_table().to_pylist()}


@pytest.fixture(scope="module")
def atoms():
    """Neutral hydrogen and oxygen alone, in hartree."""
    alone = [scfx.System.from_arrays([z], [[0, 0, 0]], "bohr", 0, m) for z, m in ((1, 2), (8, 3))]
    return dict(zip((1, 8), scfx.solve(alone, "hf", "sto-3g").energy, strict=True))


def test_mace_finds_its_keys_and_the_isolated_atoms(dataset, rows, atoms, tmp_path):
    assert export(dataset, "mace", tmp_path / "x.xyz") == len(rows) == 3
    frames = ase.io.read(tmp_path / "x.xyz", ":")
    isolated = [f for f in frames if f.info.get("config_type") == "IsolatedAtom"]
    molecules = [f for f in frames if "config_type" not in f.info]
    assert len(molecules) == 3
    assert len(frames) == 5
    for frame in molecules:
        row = rows[frame.info["row_id"]]
        assert frame.numbers.tolist() == row["atomic_numbers"]
        assert frame.positions.tolist() == row["positions_angstrom"]
        assert frame.info["REF_energy"] == row["energy_ev"]
        assert frame.arrays["REF_forces"].tolist() == row["forces_ev_per_angstrom"]
        assert (frame.info["charge"], frame.info["spin"]) == (0, 1)
        assert frame.calc is None  # nothing that ASE would move to a calculator
    assert {int(f.numbers[0]): f.info["spin"] for f in isolated} == {1: 2, 8: 3}
    for frame in isolated:
        assert len(frame) == 1
        expected = atoms[int(frame.numbers[0])] * HARTREE_IN_EV
        assert frame.info["REF_energy"] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("form", "keys", "unit"),
    [
        ("hdf5", ("coord", "numbers", "energy", "forces"), 1.0),
        ("torchani", ("coordinates", "species", "energies", "forces"), HARTREE_IN_EV),
    ],
)
def test_groups_by_number_of_atoms_have_a_row_an_entry(dataset, rows, atoms, tmp_path, form, keys, unit):
    assert export(dataset, form, tmp_path / "x.h5") == 3
    with h5py.File(tmp_path / "x.h5") as file:
        assert sorted(file) == ["002", "003"]
        energies = file.attrs["isolated_atom_energies_hartree"]
        stated = dict(zip(file.attrs["isolated_atom_numbers"], energies, strict=True))
        assert stated == pytest.approx(atoms, abs=1e-7)
        assert file.attrs.get("grouping") == (None if form == "hdf5" else "by_num_atoms")
        for name, group in file.items():
            assert {len(values) for values in group.values()} == {1 if name == "002" else 2}
            for i, row_id in enumerate(group["row_id"]):
                row = rows[row_id]
                positions, numbers, energy, forces = (group[key][i] for key in keys)
                assert positions.tolist() == row["positions_angstrom"]
                assert numbers.tolist() == row["atomic_numbers"]
                assert energy == row["energy_ev"] / unit
                np.testing.assert_allclose(forces * unit, row["forces_ev_per_angstrom"], rtol=1e-14)
                assert (group["charge"][i], group["mult"][i]) == (0, 1)


def test_spice_has_hartree_bohr_and_the_gradient(dataset, atoms, tmp_path):
    assert export(dataset, "spice", tmp_path / "x.hdf5") == 3
    found = {}
    with h5py.File(tmp_path / "x.hdf5") as file:
        assert file.attrs["isolated_atom_numbers"].tolist() == [1, 8]
        assert file.attrs["isolated_atom_multiplicities"].tolist() == [2, 3]
        for group in file.values():
            numbers = group["atomic_numbers"][:].tolist()
            assert group["smiles"].asstr().shape == group["subset"].shape == (1,)
            assert group["conformations"].attrs["units"] == "bohr"
            assert group["dft_total_gradient"].attrs["units"] == "hartree/bohr"
            formed = group["dft_total_energy"][:] - sum(atoms[z] for z in numbers)
            np.testing.assert_allclose(group["formation_energy"][:], formed, atol=1e-7)
            for i, energy in enumerate(group["dft_total_energy"]):
                system = scfx.System.from_arrays(numbers, group["conformations"][i], "bohr")
                found[energy] = system, group["dft_total_gradient"][i]
    assert len(found) == 3
    for energy, (system, gradient) in found.items():
        again = scfx.solve(system, "hf", "sto-3g", properties="gradient")
        assert energy == pytest.approx(again.energy[0], abs=1e-9)
        np.testing.assert_allclose(gradient, again.gradient[0], atol=1e-7)


def test_fairchem_finds_charge_and_spin_in_data(dataset, rows, atoms, tmp_path):
    """fairchem moves `data` into `atoms.info`. SQLite stands in for LMDB, whose package is no dependency."""
    with ase.db.connect(tmp_path / "x.db") as database:
        assert exports_potentials.write_fairchem(database, Selected(dataset)) == 3
    with ase.db.connect(tmp_path / "x.db") as database:
        found = database.metadata["isolated_atom_energies_ev"]
        assert {k: v / HARTREE_IN_EV for k, v in found.items()} == pytest.approx(
            {"H": atoms[1], "O": atoms[8]}, abs=1e-7
        )
        for entry in database.select():
            row = rows[int(entry.data["sid"])]
            assert (entry.data["charge"], entry.data["spin"]) == (0, 1)
            assert (entry.energy, entry.forces.tolist()) == (row["energy_ev"], row["forces_ev_per_angstrom"])
            assert entry.positions.tolist() == row["positions_angstrom"]


def test_nequip_finds_energy_and_forces_in_the_calculator(dataset, rows, tmp_path):
    assert export(dataset, "nequip", tmp_path / "x.extxyz") == 3
    for frame in ase.io.read(tmp_path / "x.extxyz", ":"):
        row = rows[frame.info["row_id"]]
        assert frame.get_potential_energy() == row["energy_ev"]
        assert frame.get_forces().tolist() == row["forces_ev_per_angstrom"]
        assert (frame.info["charge"], frame.info["spin"]) == (0, 1)


def test_deepmd_has_mixed_types_by_number_of_atoms(dataset, rows, tmp_path, monkeypatch):
    monkeypatch.setattr(exports_potentials, "_FRAMES_OF_A_SET", 1)
    assert export(dataset, "deepmd", tmp_path / "x") == 3
    assert sorted(p.name for p in (tmp_path / "x").iterdir()) == ["002", "003"]
    names = (tmp_path / "x/003/type_map.raw").read_text().split()
    assert (tmp_path / "x/003/type.raw").read_text().split() == ["0"] * 3
    assert (tmp_path / "x/003/nopbc").exists()
    sets = sorted((tmp_path / "x").glob("*/set.*"))
    assert [p.name for p in sets] == ["set.000", "set.000", "set.001"]
    for folder in sets:
        arrays = {path.stem: np.load(path) for path in folder.iterdir()}
        row = rows[int(arrays["row_id"][0])]
        symbols = [names[t] for t in arrays["real_atom_types"][0]]
        assert [scfx.model.elements.SYMBOLS[z] for z in row["atomic_numbers"]] == symbols
        assert arrays["coord"].reshape(-1, 3).tolist() == row["positions_angstrom"]
        assert arrays["force"].reshape(-1, 3).tolist() == row["forces_ev_per_angstrom"]
        assert (arrays["energy"][0], arrays["fparam"].tolist()) == (row["energy_ev"], [[0.0, 1.0]])


def test_huggingface_has_a_file_a_part_and_a_card_that_names_them(dataset, rows, tmp_path):
    parts = dataset.split(seed=2)
    assert export(dataset, "huggingface", tmp_path / "x", parts=parts) == 3
    card = (tmp_path / "x/README.md").read_text()
    found = {}
    for name, part in parts.items():
        assert (f"  - split: {name}\n    path: {name}.parquet\n" in card) == bool(len(part))
        assert f"| {name} | {len(part)} |" in card
        if not len(part):
            continue
        table = pq.read_table(tmp_path / "x" / f"{name}.parquet")
        assert table.num_rows == len(part)
        assert not any(pa.types.is_map(f.type) for f in table.schema)  # `datasets` has no type for them
        found |= {row["row_id"]: row for row in table.to_pylist()}
    reasons = {i: json.dumps(dict(row["property_reasons"])) for i, row in rows.items()}
    assert found == {i: {**row, "property_reasons": reasons[i]} for i, row in rows.items()}


def test_filters_leave_rows_out_and_the_card_says_how_many(dataset, rows, tmp_path, capsys):
    largest = {
        row_id: float(max(np.linalg.norm(row["forces_ev_per_angstrom"], axis=1)))
        for row_id, row in rows.items()
    }
    limit = sorted(largest.values())[1]  # the row in the middle is at the limit, and passes
    words = [
        "dataset",
        "export",
        dataset.plan.store.where(),
        "--format",
        "mace",
        "-o",
        str(tmp_path / "x.xyz"),
    ]
    chosen = ["--filter", f"max_force={limit!r},max_net_force=1e-3", "--filter", "not_relaxed=1e-9"]
    assert main([*words, *chosen[:2]]) == 0
    kept = [f.info["row_id"] for f in ase.io.read(tmp_path / "x.xyz", ":") if "row_id" in f.info]
    assert sorted(kept) == sorted(row_id for row_id, size in largest.items() if size <= limit)
    card = (tmp_path / "x.xyz.md").read_text()
    assert "2 rows, exported as `mace`" in card
    assert f"| `max_force` above {limit:g} eV/angstrom | 1 |" in card
    assert "| `max_net_force` above 0.001 eV/angstrom | 0 |" in card
    assert main([*words[:-1], str(tmp_path / "y.xyz"), *chosen]) == 0
    assert "3 were left out" in (tmp_path / "y.xyz.md").read_text()
    assert "card" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_forse=1", "did you mean 'max_force'"),
        ("max_force", "needs a limit in eV/angstrom"),
        ("max_force=-1", "expected a positive number"),
        ("max_force=nan", "expected a positive number"),
        ("broken_bonds=2", "takes no limit"),
        ("max_force=1,max_force=2", "given twice"),
    ],
)
def test_filters_that_mean_nothing_are_refused(text, message):
    with pytest.raises(scfx.ConfigError, match=message):
        parse([text])


def test_a_filter_whose_column_or_smiles_are_not_there_is_refused(dataset, tmp_path):
    with pytest.raises(scfx.InputError, match="no SMILES to compare with"):
        export(dataset, "mace", tmp_path / "x.xyz", {"broken_bonds": 0.0})
    with pytest.raises(scfx.InputError, match="which this dataset has not"):
        Selected(made(tmp_path, "[]"), {"max_force": 1.0})


def test_broken_and_formed_bonds_are_seen():
    water = {"row_id": 0, "smiles": "O", "atomic_numbers": [1, 8, 1]}
    whole = [[0.0, 0.76, -0.49], [0.0, 0.0, 0.1], [0.0, -0.76, -0.49]]
    assert bonded_as_stated({**water, "positions_angstrom": whole})
    apart = [[0.0, 1.76, -0.49], *whole[1:]]
    assert not bonded_as_stated({**water, "positions_angstrom": apart})
    near = [[0.0, 0.30, -0.80], whole[1], [0.0, -0.30, -0.80]]
    assert not bonded_as_stated({**water, "positions_angstrom": near})
    ion = {
        "row_id": 0,
        "smiles": "[OH-]",
        "atomic_numbers": [8, 1],
        "positions_angstrom": [[0, 0, 0], [0, 0, 0.97]],
    }
    assert bonded_as_stated(ion)


def test_a_dataset_without_forces_has_no_keys_of_forces(tmp_path):
    dataset = made(tmp_path, "[]")
    for form, key in (("hdf5", "forces"), ("torchani", "forces"), ("spice", "dft_total_gradient")):
        export(dataset, form, tmp_path / form)
        with h5py.File(tmp_path / form) as file:
            assert all(key not in group for group in file.values())
    export(dataset, "mace", tmp_path / "x.xyz")
    first, *_ = ase.io.read(tmp_path / "x.xyz", ":")
    assert "REF_forces" not in first.arrays


def test_a_row_that_lacks_forces_is_refused_or_left_without(dataset, tmp_path, monkeypatch):
    original = exports_trainers.rows

    def without_the_first(dataset):
        for index, row in enumerate(original(dataset)):
            yield row if index else {**row, "forces_ev_per_angstrom": None}

    monkeypatch.setattr(exports_trainers, "rows", without_the_first)
    for form in ("hdf5", "torchani", "spice"):
        with pytest.raises(scfx.InputError, match="has no forces"):
            export(dataset, form, tmp_path / form)
        assert not (tmp_path / form).exists()
    assert export(dataset, "mace", tmp_path / "x.xyz") == 3
    first, second, *_ = ase.io.read(tmp_path / "x.xyz", ":")
    assert "REF_forces" not in first.arrays
    assert "REF_forces" in second.arrays


def test_atoms_have_the_multiplicity_of_their_ground_state():
    # NIST Atomic Spectra Database: 2S, 1S, 2S, 1S, 2P, 3P, 4S, 3P, 2P, 1S; Cr 7S, Fe 5D, Cu 2S.
    assert [ground_state_multiplicity(z) for z in range(1, 11)] == [2, 1, 2, 1, 2, 3, 4, 3, 2, 1]
    assert [ground_state_multiplicity(z) for z in (24, 26, 29)] == [7, 5, 2]
