"""Card, summary and HTML report say what is in the data."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
import scfx_dataset
from dataset_fake import SMILES, FakeSpec, run_fake, write_smiles
from scfx_dataset.findings import collect_findings, throughput
from scfx_dataset.html_report import html_report
from scfx_dataset.summary import size_text

from scfx.cli import main
from scfx.reporting.figures import density


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    # Ethane has one conformer up to symmetry, so two of three are pruned; cyclopropyne cannot be embedded.
    source = write_smiles(folder / "m.smi", [*SMILES, "CC", "C1#CC1", "C1CC"])
    filters = {"elements": ["H", "C", "N", "O"], "max_heavy_atoms": 9}
    code = run_fake(
        FakeSpec(not_converged=("CNC",)), molecules=source, output=str(folder / "out"), conformers=3, shard_rows=12,
        filters=filters, embedding={"prune_rms": 0.01}, license="cc0-1.0",
    )  # fmt: skip
    assert code == 0
    return scfx_dataset.open(folder / "out")


def test_findings_are_those_of_the_whole_table(dataset):
    found = collect_findings(dataset)
    gaps = dataset.filter("ok").to_table()["gap_ev"].to_numpy()
    assert found.n == gaps.size
    assert found.mean == pytest.approx(gaps.mean(), rel=1e-12)
    assert found.standard_deviation == pytest.approx(gaps.std(), rel=1e-9)
    assert (found.minimum, found.maximum) == (gaps.min(), gaps.max())
    centres, counts = found.histogram()
    assert counts.sum() == gaps.size
    assert (counts @ centres) / gaps.size == pytest.approx(gaps.mean(), abs=0.005)  # half a bin


def test_geometries_short_of_what_was_asked_are_counted_by_molecule(dataset):
    found = collect_findings(dataset)
    made: dict[int, int] = {}
    for row in dataset.to_table().to_pylist():
        if row["smiles"]:
            made[row["molecule"]] = made.get(row["molecule"], 0) + (row["positions_angstrom"] is not None)
    expected: dict[int, int] = {}
    for count in made.values():
        expected[3 - count] = expected.get(3 - count, 0) + 1
    assert dict(found.short) == expected
    assert expected[3] == 1  # cyclopropyne
    assert expected[2] >= 1  # ethane
    short = {str(k): n for k, n in sorted(expected.items()) if k}
    assert dataset.summary()["geometries"] == {"asked": 3, "molecules_short": short}


def test_the_largest_gap_is_an_outlier_and_its_structure_is_drawn(dataset):
    found = collect_findings(dataset)
    best = found.outliers["largest"][0]
    rows = {row["row_id"]: row for row in dataset.filter("ok").to_table().to_pylist()}
    assert rows[best.row_id]["gap_ev"] == max(row["gap_ev"] for row in rows.values())
    assert best.smiles == rows[best.row_id]["smiles"]
    assert f"{rows[best.row_id]['gap_ev']:.3f} eV" in best.text


class _Reader(HTMLParser):
    """Tags that are opened and closed, and everything that a browser would fetch."""

    VOID = ("meta", "br", "img", "link")

    def __init__(self):
        super().__init__()
        self.open, self.fetched, self.text, self.pictures = [], [], "", []

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        self.fetched += [named[k] for k in ("src", "href", "xlink:href") if named.get(k, "#")[0] != "#"]
        if tag == "img":
            self.pictures.append(
                base64.b64decode(self.fetched.pop().removeprefix("data:image/svg+xml;base64,"))
            )
            assert named["alt"]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def test_the_report_needs_no_network_and_shows_all_of_it(dataset):
    page = dataset.plan.store.read("report.html").decode()
    reader = _Reader()
    reader.feed(page)
    assert not reader.open
    assert not reader.fetched
    for text in (page, *(picture.decode() for picture in reader.pictures)):
        assert not re.search(r"url\(['\"]?(?!#)|@import|<script", text)
    for text in (
        "HOMO-LUMO gap",
        "Spread over conformers",
        "Throughput",
        "not converged",
        "cannot parse",
        "2 geometries short",
    ):
        assert text in reader.text, text
    summary = dataset.summary()
    assert re.search(
        rf"ok\s*{summary['statuses']['ok']:,}\s*{100 * summary['statuses']['ok'] / summary['rows']:.2f} %",
        reader.text,
    )
    # Three plots, and at least four drawn structures.
    assert len(reader.pictures) >= 7
    for picture in reader.pictures:
        ElementTree.fromstring(picture)


def test_the_card_has_the_hub_header_the_filters_with_counts_and_the_limits(dataset):
    card = dataset.plan.store.read("README.md").decode()
    header = card.split("---\n")[1]
    assert "license: cc0-1.0" in header
    assert "size_categories:\n- n<1K" in header
    assert "data_files: attempts/*[0-9a-f].parquet" in header
    assert "| filter `elements` | 1 |" in card  # FC(F)F
    assert "| filter `max_heavy_atoms` | 0 |" in card
    assert "3 geometries were asked of each; " in card
    assert "ETKDGv3 embeddings without relaxation" in card
    assert dataset.plan.identity["spec_hash"] in card
    for name in dataset.schema.names:
        assert f"| {name} |" in card


def test_a_report_can_be_made_elsewhere_without_touching_the_dataset(dataset, tmp_path, capsys):
    root = dataset.plan.store.where()
    before = dataset.plan.store.read("summary.json")
    assert main(["dataset", "report", root, "-o", str(tmp_path / "r.html")]) == 0
    assert (tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert dataset.plan.store.read("summary.json") == before


def test_kernel_density_integrates_to_one_and_weights_are_repetitions():
    values = np.random.default_rng(0).normal(5.0, 1.0, 2000)
    x, y = density(values)
    assert np.trapezoid(y, x) == pytest.approx(1, abs=1e-3)
    # The standard normal density at its centre is 0.3989; Silverman's width lowers it by some 2 %.
    assert y[np.argmin(abs(x - 5))] == pytest.approx(0.3989, rel=0.1)
    rounded = np.round(values, 2)
    centres, counts = np.unique(rounded, return_counts=True)
    assert np.allclose(density(rounded)[1], density(centres, counts)[1], rtol=1e-6, atol=1e-9)
    assert np.trapezoid(*density(np.full(3, 2.0))[::-1]) == pytest.approx(1, abs=1e-3)


def test_the_density_of_gaps_is_nowhere_below_zero_and_still_integrates_to_one():
    values = np.abs(np.random.default_rng(1).normal(0.0, 0.5, 400)) + 1e-3
    x, y = density(values)
    assert x[0] == 0.0
    assert (y >= 0).all()
    assert np.trapezoid(y, x) == pytest.approx(1, abs=1e-3)
    x, _ = density(values - 1.0)  # not all positive: as far as the kernels reach
    assert x[0] < -1.0


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (4_321, "4.3 kB"),
        (155_400, "155 kB"),
        (999_700, "1.0 MB"),
        (3e12, "3.0 TB"),
    ],
)
def test_sizes_are_in_a_unit_of_which_there_is_one(count, text):
    assert size_text(count) == text


def test_the_report_speaks_in_words_and_fits_a_phone(dataset):
    found = dataset.summary()
    page = html_report(dataset, found, collect_findings(dataset), "b3lyp/sto-3g")
    shown = re.sub(r"<pre>.*?</pre>", "", page, flags=re.S)
    assert "not converged" in shown
    for code_name in (">not_converged<", ">compile<", "0.0 MB", "one_electron"):
        assert code_name not in shown
    assert ">compiling<" in shown
    assert '<meta name="viewport" content="width=device-width' in page


def test_throughput_over_time_adds_up_to_the_labels(dataset):
    hours, rate = throughput(dataset)
    width = 3600 * (hours[1] - hours[0])
    assert rate.sum() * width == pytest.approx(len(dataset.filter("ok")), rel=1e-3)
