"""What a notebook shows: well-formed HTML, everything of the user's escaped, what is wrong in red."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import numpy as np
import pytest
import scfx_dataset
from scfx_study import Study

import scfx
from scfx.cli import main
from scfx.notebook import listing
from scfx.results import SCFResult, Status

EVIL = '<script>alert("x")</script>'
WATER = [[0, 0, 0.1], [0, 0.76, -0.49], [0, -0.76, -0.49]]


def parsed(html):
    """The HTML as XML: every element closed, every text escaped."""
    root = ET.fromstring(html)
    assert not list(root.iter("script"))
    return root


def red(root):
    return ["".join(each.itertext()) for each in root.iter() if "color:#d32f2f" in each.get("style", "")]


def test_a_system_shows_its_structure_and_what_was_assumed():
    system = scfx.System.from_arrays(["O", "H", "H"], WATER, "angstrom", name=EVIL)
    root = parsed(system._repr_html_())
    assert len(root.findall(".//{*}circle")) == 3
    assert len(root.findall(".//{*}line")) == 2
    text = "".join(root.itertext())
    assert EVIL in text
    assert "charge, multiplicity" in text
    assert red(root) == []


@pytest.fixture(scope="module")
def result():
    systems = [scfx.System.from_arrays(["He"], [[0, 0, z]], "bohr", name=EVIL) for z in range(25)]
    return scfx.solve(systems, "hf", "sto-3g", threads=1)


def test_a_result_is_cut_and_escaped(result):
    root = parsed(result._repr_html_())
    text = "".join(root.itertext())
    assert "25 systems, hf/sto-3g" in text
    assert "and 5 more" in text
    assert text.count(EVIL) == 20
    assert f"{result.energy[0]:.8f}" in text
    assert red(root) == []


def test_what_did_not_converge_is_red(result):
    fields = {name: getattr(result, name) for name in SCFResult.__dataclass_fields__}
    status, reason, energy = list(result.status), list(result.reason), result.energy.copy()
    status[0], reason[0], energy[0] = Status.FAILED, EVIL, np.nan
    converged = result.converged.copy()
    converged[0] = False
    changed = {"status": status, "reason": reason, "converged": converged, "energy": energy}
    wrong = red(parsed(SCFResult(**{**fields, **changed})._repr_html_()))
    assert "none" in wrong
    assert f"failed: {EVIL}" in wrong
    assert "1 of 25" in wrong


def test_a_dataset_shows_rows_by_status_with_failures_red(tmp_path):
    # The second charge leaves helium without electrons: a failed row.
    (tmp_path / "atoms.xyz").write_text("1\ncharge=0\nHe 0 0 0\n1\ncharge=2\nHe 0 0 0\n")
    (tmp_path / "c.toml").write_text(
        '[scf]\nfunctional = "hf"\nbasis = "sto-3g"\nthreads = 1\n[[task]]\nname = "dataset"\nworkers = 1\n'
        f'progress = "quiet"\ngeometry = "given"\nmolecules = "{tmp_path / "atoms.xyz"}"\n'
        f'output = "{tmp_path / "out"}"\n'
    )
    main(["run", str(tmp_path / "c.toml")])
    root = parsed(scfx_dataset.open(tmp_path / "out")._repr_html_())
    assert "hf/sto-3g, float64" in "".join(root.itertext())
    assert red(root) == ["1"]


def test_a_study_lists_its_options(tmp_path):
    (tmp_path / "m.smi").write_text("O\n")
    study = Study(
        {"functional": ["hf", "lda"], "basis": "sto-3g"},
        reference="hf",
        molecules=str(tmp_path / "m.smi"),
        output=str(tmp_path / "<b>out"),
    )
    root = parsed(study._repr_html_())
    text = "".join(root.itertext())
    assert "Study of 2 options" in text
    assert "(reference)" in text
    assert not list(root.iter("b"))


def test_values_of_a_table_are_text():
    root = parsed(listing(("a",), [(("<b>&",), True)]))
    assert red(root) == ["<b>&"]
