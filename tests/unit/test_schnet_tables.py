"""Tables of molecules: units that are named or stated, and cells that are no molecule."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import schnet_data

import scfx

torch = pytest.importorskip("torch", reason="the schnet extra is not installed")

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from scfx_schnet import molecules as store  # noqa: E402
from scfx_schnet.sources import DataOptions, open_data  # noqa: E402
from scfx_schnet.split import Growth, subset  # noqa: E402

from scfx.contracts.labels import AbstractLabels  # noqa: E402
from scfx.errors import ConfigError  # noqa: E402
from scfx.model.same_molecule import molecule_key  # noqa: E402

HARTREE = 27.211386245988  # eV, CODATA 2018
BOHR = 0.529177210903  # angstrom, CODATA 2018
KEY = "task.curves.one.data"


def rows(count: int = 3) -> dict[str, list]:
    """Columns of a table that is good."""
    return {
        "smiles": ["C", "CC", "CCC"][:count],
        "atomic_numbers": [[6, 1], [6, 6], [6, 6, 6]][:count],
        "positions_angstrom": [[[0.0, 0.0, float(i)] for i in range(n)] for n in (2, 2, 3)][:count],
        "gap_ev": [1.0, 2.0, 3.0][:count],
        "homo_ev": [-1.0, -2.0, -3.0][:count],
    }


def written(folder, table: dict[str, list], ending: str = "parquet"):
    path = folder / f"t.{ending}"
    if ending == "parquet":
        pq.write_table(pa.table(table), path)
    else:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(table)
            for row in zip(*table.values(), strict=True):
                writer.writerow([json.dumps(cell) if isinstance(cell, list) else cell for cell in row])
    return path


def opened(folder, path, forces: bool = False, **options):
    return open_data(DataOptions(path=str(path), **options), folder / "cache", KEY, forces=forces)


def refused(folder, path, words: str, forces: bool = False, **options) -> str:
    """The key of the refusal."""
    with pytest.raises(ConfigError, match=words) as raised:
        opened(folder, path, forces, **options)
    return raised.value.key


# ---- units -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("column", "unit", "factor"), [
    ("gap_ev", "auto", 1.0), ("gap_eV", "auto", 1.0), ("Gap (eV)", "auto", 1.0), ("GAP_EV", "ev", 1.0),
    ("gap", "auto", HARTREE), ("gap_Hartree", "auto", HARTREE), ("gap", "ev", 1.0), ("level", "auto", HARTREE),
    ("HomoLumoGap", "auto", 1.0), ("homolumogap", "hartree", HARTREE),
])  # fmt: skip
def test_a_column_is_in_the_unit_of_its_name_whatever_its_case(tmp_path, column, unit, factor):
    table = rows(1)
    table[column] = [table.pop("gap_ev")[0]]
    table.pop("homo_ev")
    found = opened(tmp_path, written(tmp_path, table), columns={"gap": column}, energy_unit=unit)
    assert found.targets(np.array([0]), ["gap"])[0, 0] == pytest.approx(factor)


@pytest.mark.parametrize(("old", "new", "options", "key"), [
    ("gap_ev", "gap_ev", {"energy_unit": "hartree", "columns": {"gap": "gap_ev"}}, "energy_unit"),
    ("gap_ev", "gap_ev_b3lyp", {"energy_unit": "hartree", "columns": {"gap": "gap_ev_b3lyp"}}, "energy_unit"),
    ("gap_ev", "gap_kcal", {"columns": {"gap": "gap_kcal"}}, "path"),
    ("gap_ev", "gap_cm-1", {"columns": {"gap": "gap_cm-1"}}, "path"),
    ("gap_ev", "gap_hartree", {"energy_unit": "ev", "columns": {"gap": "gap_hartree"}}, "energy_unit"),
    ("gap_ev", "gap_meV", {"columns": {"gap": "gap_meV"}}, "path"),
    ("gap_ev", "gap (kcal/mol)", {"columns": {"gap": "gap (kcal/mol)"}, "energy_unit": "ev"}, "path"),
    ("positions_angstrom", "positions_angstrom", {"length_unit": "bohr"}, "length_unit"),
    ("positions_angstrom", "pos_bohr", {"columns": {"positions": "pos_bohr"}}, "length_unit"),
    ("positions_angstrom", "pos_nm", {"columns": {"positions": "pos_nm"}}, "path"),
])  # fmt: skip
def test_a_stated_unit_that_contradicts_the_columns_name_is_refused(tmp_path, old, new, options, key):
    table = rows()
    table[new] = table.pop(old)
    assert refused(tmp_path, written(tmp_path, table), new.split(" ")[0], **options) == f"{KEY}.{key}"


def test_columns_and_rows_that_nobody_asks_for_are_not_refused(tmp_path):
    table = {**rows(3), "gap": [0.1, 0.2, 0.3]}
    del table["gap_ev"]  # homo_ev stays, in another unit than the one that is stated
    table["positions_angstrom"][2] = None
    path = written(tmp_path, table)
    assert refused(tmp_path, path, "row 2") == f"{KEY}.path"
    found = opened(tmp_path, path, energy_unit="hartree", limit=2)
    found.check(["gap"], "task.targets")
    np.testing.assert_allclose(found.targets(np.arange(2), ["gap"])[:, 0], [0.1 * HARTREE, 0.2 * HARTREE])
    with pytest.raises(ConfigError, match="'homo_ev' is in ev by its name"):
        found.check(["homo"], "task.targets")


@pytest.mark.parametrize(("column", "options", "factor"), [
    ("forces_ev_per_angstrom", {}, 1.0), ("forces_eV_per_Angstrom", {}, 1.0),
    ("forces_hartree_per_bohr", {}, HARTREE / BOHR),
    # The length in the name of the forces counts, not that of the positions.
    ("forces_ev_per_angstrom", {"length_unit": "bohr", "energy_unit": "ev"}, 1.0),
    ("forces", {"length_unit": "bohr", "energy_unit": "ev"}, 1 / BOHR),
    ("forces_ev_per_angstrom", {"energy_unit": "hartree"}, "energy_unit"),
    ("forces_kcal_per_mol_per_angstrom", {"energy_unit": "ev"}, "path"),
])  # fmt: skip
def test_forces_are_in_the_unit_of_their_name(tmp_path, column, options, factor):
    table = schnet_data.surface_rows(1, conformers=1)
    stored = table.pop("forces_ev_per_angstrom")
    table |= {column: stored, "pos": table.pop("positions_angstrom"), "energy": table.pop("energy_ev")}
    options = {"columns": {"forces": column}, **options}
    path = written(tmp_path, table)
    if isinstance(factor, str):
        assert refused(tmp_path, path, "by its name", forces=True, **options) == f"{KEY}.{factor}"
        return
    found = opened(tmp_path, path, forces=True, **options).forces(np.array([0]))
    np.testing.assert_allclose(found, np.array(stored[0]) * factor, rtol=1e-6)


class Archive(AbstractLabels):
    """A reader of datasets, of which nothing is read here."""

    Options = DataOptions

    def row_options(self, options):
        raise NotImplementedError

    elements = make = open = row_options

    def reads(self, path):
        return str(path).endswith("labels")


@pytest.mark.parametrize("layout", ["scfx", "study", "xyz"])
@pytest.mark.parametrize("option", [
    {"columns": {"gap": "homo_ev"}}, {"length_unit": "bohr"}, {"energy_unit": "hartree"},
])  # fmt: skip
def test_options_of_tables_are_refused_where_there_is_none(tmp_path, option, layout):
    class Plugin:
        @scfx.hookimpl
        def scfx_register_labels(self):
            return [scfx.Offer("archive", f"{__name__}:Archive", summary="a reader of another format")]

    path = tmp_path / ("labels" if layout == "scfx" else "other")
    path.mkdir()
    if layout == "study":
        (path / "study.json").write_text("{}")
        option = {**option, "option": "clean"}
    registry = scfx.Registry.from_plugins({"theirs": Plugin()})
    with pytest.raises(ConfigError, match="is for tables") as raised:
        open_data(DataOptions(path=str(path), **option), tmp_path / "cache", KEY, registry)
    assert raised.value.key == f"{KEY}.{next(iter(option))}"


def test_columns_that_nobody_reads_are_refused_with_the_key_of_their_data(tmp_path):
    path = written(tmp_path, rows())
    assert refused(tmp_path, path, "not something to read", columns={"foo": "gap_ev"}) == f"{KEY}.columns.foo"
    assert refused(tmp_path, path, "no column 'gapp'", columns={"gap": "gapp"}) == f"{KEY}.columns.gap"


# ---- cells -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("column", "value", "words"), [
    ("atomic_numbers", [["C", "H"], ["C", "C"], ["C", "C", "C"]], "row 0 .*'atomic_numbers'.* no list of atomic"),
    ("atomic_numbers", [[6, 1], None, [6, 6, 6]], "row 1 .*'atomic_numbers': None"),
    ("atomic_numbers", [[6, 1], [6, None], [6, 6, 6]], "row 1 "),
    ("atomic_numbers", [[6, 1], [6, 6], []], "row 2 .*there is no atom"),
    ("atomic_numbers", [[6, 1], [6, 6], [6, 120, 6]], "row 2 .*120 is no atomic number"),
    ("atomic_numbers", [[6.0, 1.0], [6.5, 6.0], [6.0, 6.0, 6.0]], "row 1 .*6.5 is no atomic number"),
    ("positions_angstrom", [[[0.0] * 3] * 2, None, [[0.0] * 3] * 3], "row 1 .*'positions_angstrom': None"),
    ("positions_angstrom", [[[0.0] * 3] * 2] * 3, r"row 2 .*3 atoms and positions of shape \(2, 3\)"),
    ("positions_angstrom", [[[0.0] * 2] * 3, [[0.0] * 2] * 3, [[0.0] * 3] * 3], r"row 0 .*shape \(3, 2\)"),
    ("positions_angstrom", [[0.0] * 6, [None] * 6, [0.0] * 9], "row 1 .*missing or not finite"),
    ("positions_angstrom", ["here", "there", "where"], "row 0 .*'here' is no list"),
    ("smiles", [1, 2, 3], "row 0 .*'smiles': 1 is no SMILES"),
])  # fmt: skip
def test_a_row_that_is_no_molecule_is_named(tmp_path, column, value, words):
    table = {**rows(), column: value}
    assert refused(tmp_path, written(tmp_path, table), words) == f"{KEY}.path"


@pytest.mark.parametrize(("column", "value", "words"), [
    ("forces_ev_per_angstrom", [[0.0] * 3], r"row 1 .*atoms and forces of shape \(1, 3\)"),
    ("charge", 0.5, "row 1 .*'charge': 0.5 is no whole number"), ("spec_hash", None, "different levels of theory"),
])  # fmt: skip
def test_a_row_that_is_no_point_of_a_surface_is_named(tmp_path, column, value, words):
    table = schnet_data.surface_rows(1)
    table[column][1] = value
    assert refused(tmp_path, written(tmp_path, table), words, forces=True) == f"{KEY}.path"


@pytest.mark.parametrize(("text", "words"), [
    ("", "is empty"), ("smiles,z,pos,gap\n", "no usable row"),
    ('smiles,z,pos,gap\nC,[6],[[0;0;0]],1\n', "row 0 .*column 'pos'.* no list in JSON"),
    ('smiles,z,pos,gap\nC,[6],"[0,0,0]",1\nC,,"[0,0,0]",1\n', "row 1 .*column 'z': '' is no list"),
    ("smiles,z,pos,gap\nC,[6,1],[[0,0,0],[0,0,1]],1\n", "row 0 .*more cells than there are columns"),
    ("smiles,z,pos,gap\nC,[6]\n", "row 0 .*column 'pos': None"),
    ("smiles,z,pos,gap,gap\nC,[6],[0],1,2\n", "two columns 'gap'"),
    ("smiles,z,pos,gap\nC,[6],\udcff,1\n", "cannot be read as CSV in UTF-8"),
])  # fmt: skip
def test_a_csv_file_that_is_no_table_says_where(tmp_path, text, words):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert refused(tmp_path, path, words) == f"{KEY}.path"


def test_smiles_in_brackets_are_no_lists_in_csv(tmp_path):
    found = opened(tmp_path, written(tmp_path, {**rows(1), "smiles": ["[CH3]"]}, "csv"))
    assert found.keys.tolist() == [store.key_number(molecule_key("[CH3]"))]


def test_files_of_another_layout_are_refused(tmp_path):
    garbage = tmp_path / "t.parquet"
    garbage.write_bytes(b"no table at all")
    assert refused(tmp_path, garbage, "cannot be read as Parquet") == f"{KEY}.path"
    for layout, words in (("study", r"no study\.json"), ("scfx", "no dataset of labels")):
        for path in (garbage, tmp_path):
            assert refused(
                tmp_path, path, words, layout=layout, option="clean" if layout == "study" else None
            )
    assert refused(tmp_path, tmp_path, "is a folder", layout="table") == f"{KEY}.layout"
    (tmp_path / "study.json").write_text('{"options": ')
    assert refused(tmp_path, tmp_path, "no record of a study", option="clean") == f"{KEY}.path"


# ---- targets without a number ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["parquet", "csv"])
@pytest.mark.parametrize("cells", [[-1.0, None, -3.0], ["-1", "deep", "-3"], [-1.0, float("inf"), -3.0]])
def test_a_target_that_rows_lack_is_refused_only_where_it_is_asked_for(tmp_path, ending, cells):
    found = opened(tmp_path, written(tmp_path, {**rows(), "homo_ev": cells}, ending))
    assert found.available == ("gap",)
    found.check(["gap"], "task.targets")
    with pytest.raises(ConfigError, match=r"'homo': .*t\.\w+' has no .*'homo_ev' of row 1") as raised:
        found.check(["gap", "homo"], "task.targets")
    assert raised.value.key == "task.targets"
    # The cells that are not read do not count.
    assert opened(tmp_path, tmp_path / f"t.{ending}", limit=1).available == ("gap", "homo")


def test_a_property_that_rows_of_a_dataset_lack_is_named_with_its_row(tmp_path):
    from scfx_schnet.sources import _from_arrow

    table = {**rows(), "gap_ev": [1.0, None, 3.0], "row_id": [7, 8, 9]}
    chunk = _from_arrow(pa.table(table), {"gap": "gap_ev", "homo": "homo_ev"}, {}, None)
    found = store.open_or_write(tmp_path, "one", {"path": "labels"}, [chunk], KEY)
    assert found.available == ("homo",)
    with pytest.raises(ConfigError, match="'labels' has no finite number in column 'gap_ev' of row 8"):
        found.check(["gap"], "task.targets")


# ---- rows without SMILES -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_rows_without_smiles_count_by_their_formula(tmp_path, ending):
    found = opened(tmp_path, written(tmp_path, {**rows(), "smiles": ["C", None, ""]}, ending))
    expected = [molecule_key("C"), molecule_key(None, None, [6, 6]), molecule_key(None, None, [6, 6, 6])]
    assert found.keys.tolist() == [store.key_number(key) for key in expected]


# ---- subsets -----------------------------------------------------------------------------------------------------


def test_more_molecules_than_the_pool_has_are_refused():
    keys = np.repeat(np.arange(4, dtype=np.uint64), 2)
    pool = np.arange(8)
    assert len(subset(keys, pool, 4, 0, growth=Growth(molecules=4))) == 4
    with pytest.raises(ConfigError, match="got 5000, but only 4 molecules are left") as raised:
        Growth(molecules=5000).rows(keys, pool, 0, "task.curves.one.molecules")
    assert raised.value.key == "task.curves.one.molecules"
