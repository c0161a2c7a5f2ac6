"""The report needs nothing beside itself, and says what the tables say."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from dataset_fake import write_smiles
from scfx_study import plots, report_tables
from scfx_study.conformers import as_xyz
from scfx_study.force_plots import force_errors_by_option
from study_fake import fake_study

from scfx.model.drawing import geometry_svg, molecule_svg
from scfx.reporting.figures import save
from scfx.reporting.tables import number_text

SMILES = ("CCO", "COC", "CC=O", "FC(F)F", "CO")


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    published = [{"option": "float32", "quantity": "gap", "value": 0.2, "source": "QM1B, Figure 2"}]
    made = fake_study(
        write_smiles(folder / "m.smi", SMILES), str(folder / "out"), ("float64", "float32", "mixed"),
        published=published, outliers=4,
    )  # fmt: skip
    made.report()
    return made


@pytest.fixture(scope="module")
def html(study):
    return (study.output / "report.html").read_text(encoding="utf-8")


class Balance(HTMLParser):
    """Open and close tags in order; what the page refers to."""

    VOID = ("meta", "img", "br")

    def __init__(self):
        super().__init__()
        self.open, self.links = [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.links += [value for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_is_well_formed_and_refers_to_nothing_outside(html):
    parser = Balance()
    parser.feed(html)
    assert parser.open == []
    assert parser.links
    assert all(link.startswith("data:") for link in parser.links)
    assert "http" not in html.replace("http-equiv=", "")
    assert '<meta name="viewport" content="width=device-width' in html


def test_the_report_has_the_numbers_of_the_tables(study, html):
    row = study.statistics().set_index(["option", "quantity"]).loc[("float32", "gap")]
    assert f"{number_text(float(row['mae']))}<small>[{number_text(float(row['mae_low']))}" in html
    assert "12 conformers of 4 molecules" in html
    assert "3 of 15 planned conformers are left out" in html
    for text in (
        "QM1B, Figure 2",
        "float32",
        study.reference.spec_hash[:16],
        "not_converged",
        "FC(F)F",
        "rdkit",
    ):
        assert text in html
    assert html.count('alt="structure of ') == 4, "two outliers for each of two options"


def test_csv_and_parquet_are_the_tables(study):
    written = pd.read_csv(study.output / "statistics.csv")
    pd.testing.assert_frame_equal(written, study.statistics(), check_dtype=False)
    labels = pd.read_parquet(study.output / "table.parquet")
    assert labels["energy_ev"].equals(study.table()["energy_ev"])


def test_equal_figures_give_equal_bytes(study):
    labels = study.table()
    for form, start in (("svg", b"<?xml"), ("png", b"\x89PNG")):
        first, second = (save(plots.parity(labels, study.pairs), form) for _ in range(2))
        assert first == second
        assert first.startswith(start)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (0.012345, "0.0123"),
        (1.5, "1.50"),
        (12345.6, "12,346"),
        (2e-7, "2.00e-07"),
        (float("nan"), "\N{EN DASH}"),
    ],
)
def test_numbers_are_shown_with_three_digits(value, shown):
    assert number_text(value) == shown


def test_a_drawing_has_every_atom_and_the_bonds_of_water():
    positions = np.array([[0, 0, 0.117], [0, 0.757, -0.47], [0, -0.757, -0.47]])
    svg = geometry_svg(np.array([8, 1, 1]), positions)
    assert (svg.count("<circle"), svg.count("<line")) == (3, 2)
    # Turned, it is the same picture up to a reflection: distances on the page are kept.
    rotated = geometry_svg(np.array([8, 1, 1]), positions[:, [2, 0, 1]])
    centres = [np.array(re.findall(r'cx="([\d.]+)" cy="([\d.]+)"', s), dtype=float) for s in (svg, rotated)]
    lengths = [sorted(np.linalg.norm(c[:, None] - c[None], axis=-1).ravel()) for c in centres]
    np.testing.assert_allclose(lengths[0], lengths[1], atol=0.3)


def test_a_single_atom_can_be_drawn():
    assert geometry_svg(np.array([2]), np.zeros((1, 3))).count("<circle") == 1


def test_what_rdkit_cannot_read_is_drawn_from_its_geometry():
    water = (np.array([8, 1, 1]), np.array([[0, 0, 0.117], [0, 0.757, -0.47], [0, -0.757, -0.47]]))
    assert "<circle" not in molecule_svg("O", *water)
    for smiles in ("water", None):
        assert molecule_svg(smiles, *water) == geometry_svg(*water)
    assert molecule_svg("water", None, None) == ""


def test_the_geometry_is_given_as_xyz():
    lines = as_xyz(np.array([1, 1]), np.array([[0, 0, 0], [0, 0, 0.74]]), "H2").splitlines()
    assert lines[:2] == ["2", "H2"]
    assert lines[3].split() == ["H", "0.00000000", "0.00000000", "0.74000000"]


def test_forces_have_a_table_of_their_own_by_element():
    row = {
        "option": "rough",
        "against": "exact",
        "element": "O",
        "mae": 0.25,
        "mae_low": 0.2,
        "mae_high": 0.3,
    }
    row |= {
        "rmse": 0.5,
        "max": 1.5,
        "worst_atom": 2.5,
        "mean_worst_atom": 2.0,
        "cosine": 0.99,
        "rms_force": 900.0,
    }
    found = report_tables.forces(pd.DataFrame([{**row, "atoms": 12}]))
    shown = {head: (cell.text, cell.below) for head, cell in zip(found.heads, found.rows[0], strict=True)}
    assert shown["option"] == ("rough", "")
    assert shown["element"] == ("O", "")
    assert shown["MAE"] == ("0.250", "[0.200, 0.300]")
    assert shown["worst atom"] == ("2.50", "")
    assert shown["1 - cosine"] == ("0.01", "")
    assert report_tables.forces(pd.DataFrame()) is None


def test_the_plot_of_forces_shows_each_option_with_its_interval_and_passes_over_what_is_exact():
    head = {"element": "all", "rms_force": 900.0, "cosine": 0.99, "cosine_low": 0.98, "cosine_high": 0.995}
    found = pd.DataFrame(
        [
            {"option": "rough", "against": "exact", "mae": 0.25, "mae_low": 0.2, "mae_high": 0.3, **head},
            {"option": "same", "against": "exact", "mae": 0.0, **head, "cosine": 1.0},
        ]
    )
    sizes, directions = force_errors_by_option(found).axes
    shown = [line.get_xdata() for line in sizes.lines]
    assert [list(np.atleast_1d(x)) for x in shown[:2]] == [[0.2, 0.3], [0.25]]
    assert not any(line.get_ydata()[0] == 1 for line in sizes.lines[:2])  # no error has no logarithm
    assert [t.get_text() for t in sizes.get_yticklabels()] == ["rough\nagainst exact", "same\nagainst exact"]
    assert directions.lines[1].get_xdata()[0] == pytest.approx(0.01)
