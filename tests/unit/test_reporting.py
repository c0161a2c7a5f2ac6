"""Pages of reports: what stands in them is escaped, what they lack is an error, and only our script can run."""

from __future__ import annotations

import base64
import hashlib
import re

import numpy as np
import pytest
from jinja2 import UndefinedError

from scfx.reporting.figures import heading, legend, logarithmic, panels, save
from scfx.reporting.pages import render_page
from scfx.reporting.tables import NOTHING, number_text, table

HOSTILE = """"'><script>alert(1)</script>{{ 7 * 7 }}"""
BARE = """{% extends "reporting/page.html" %}
{% import "reporting/pieces.html" as pieces %}
"""
PAGE = (
    BARE
    + """{% set sortable = true %}
{% block title %}{{ name }}{% endblock %}
{% block body %}
{% call pieces.section(name) %}
{{ pieces.table(table, true) }}
{{ pieces.picture(svg, name, name) }}
{{ pieces.drawing(svg, name) }}
{{ pieces.details(name, name) }}
{% endcall %}
{{ pieces.tiles([(name, name)]) }}
{% endblock %}
"""
)


@pytest.fixture
def page(tmp_path):
    (tmp_path / "page.html").write_text(PAGE)
    cells = [[HOSTILE, (1234.5, "1,234 [1, 2]")], ["c", None]]
    return render_page(
        tmp_path, "page.html", name=HOSTILE, svg=b"<svg/>", table=table(["option", HOSTILE], cells)
    )


def test_what_stands_in_a_page_is_escaped(page):
    assert page.startswith("<!doctype html>\n")
    assert HOSTILE not in page
    assert page.count("<script>") == 1
    assert page.count("&#34;&#39;&gt;&lt;script&gt;alert(1)&lt;/script&gt;{{ 7 * 7 }}") == 11


def test_the_browser_may_run_the_one_script_and_fetch_nothing(page, tmp_path):
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1]
    assert policy == (
        f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"
    )
    assert "src='data:" not in page
    assert set(re.findall(r' (?:src|href)="([^"]*)"', page)) == {"data:image/svg+xml;base64,PHN2Zy8+"}
    # A page without tables that sort has no script, and its policy allows none.
    (tmp_path / "bare.html").write_text(BARE)
    bare = render_page(tmp_path, "bare.html")
    assert "script" not in bare


def test_a_table_sorts_by_value_and_shows_what_is_missing(page):
    assert '<td class="n" data-value="1234.5">1,234<small>[1, 2]</small></td>' in page
    assert '<td class="n">\N{EN DASH}</td>' in page
    assert page.count("<button") == 2


def test_numbers_of_numpy_are_written_as_those_of_python():
    for kind in (int, np.int64, np.int32):
        assert number_text(kind(1234)) == "1,234"
    for kind in (float, np.float64, np.float32):
        assert number_text(kind(0.25)) == "0.250"
        assert number_text(kind("nan")) == NOTHING
        ((cell,),) = table(["x"], [[kind("nan")]]).rows
        assert (cell.text, cell.value) == (NOTHING, None)


def test_a_value_that_a_template_asks_for_and_does_not_get_is_an_error(tmp_path):
    (tmp_path / "page.html").write_text(BARE + "{% block body %}{{ missing }}{% endblock %}")
    with pytest.raises(UndefinedError, match="'missing' is undefined"):
        render_page(tmp_path, "page.html")


def test_names_between_dollars_are_no_tex_and_logarithms_have_plain_numbers():
    figure, axes = panels(1, 1, 3.0, 2.0)
    (axis,) = axes[0]
    axis.plot([1, 2], [0.3, 4.0], label=r"$\alpha_{$")
    heading(axis, r"$\beta_{$")
    axis.set_xlabel(r"$\gamma_{$")
    legend(axis)
    logarithmic(axis.yaxis)
    assert save(figure).startswith(b"<?xml")
    shown = [text.get_text() for text in axis.get_yticklabels()]
    assert {"0.5", "1", "2"} <= set(shown)
    assert np.isclose(axis.get_ylim(), axis.yaxis.get_view_interval()).all()
