"""What a release says of itself: one version, true authors, a site with every page and name."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import scfx
from scfx.commands.cite import _BIBTEX

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_version_stands_in_one_place():
    provider = PROJECT["tool"]["scikit-build"]["metadata"]["version"]
    assert "version" in PROJECT["project"]["dynamic"]
    assert "version" not in PROJECT["project"]
    assert f'__version__ = "{scfx.__version__}"' in (ROOT / provider["input"]).read_text()
    assert "version:" not in re.sub(r"cff-version:.*", "", (ROOT / "CITATION.cff").read_text())
    recipe = (ROOT / "docs" / "packaging" / "conda" / "recipe.yaml").read_text()
    assert f'version: "{scfx.__version__}"' in recipe


def test_the_recipe_requires_what_the_package_requires():
    recipe = (ROOT / "docs" / "packaging" / "conda" / "recipe.yaml").read_text()
    extras = PROJECT["project"]["optional-dependencies"]
    for requirement in (*PROJECT["project"]["dependencies"], *extras["libcint"], *extras["bse"]):
        name, least = requirement.split(">=")
        assert f"- {name.replace('basis-set-exchange', 'basis_set_exchange')} >={least}\n" in recipe


def test_the_citation_names_the_authors_that_scfx_cite_names():
    family = re.findall(r"family-names: (\S+),", (ROOT / "CITATION.cff").read_text())
    paper = _BIBTEX[_BIBTEX.index("mathiasen2023qm1b,") :]
    (authors,) = re.findall(r"author\s*= {{(.*?)}},\n", paper[: paper.index("booktitle")], re.DOTALL)
    assert family == [author.split(",")[0].strip() for author in re.split(r"\s+and\s+", authors)]


def test_the_site_has_every_page_and_every_public_name():
    site = ROOT / "docs" / "site"
    index = (site / "index.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert f"\n../{page.stem}\n" in index, f"{page.name} is in no toctree of docs/site/index.md"
    for page in (site / "tutorials").glob("*.md"):
        assert f"\ntutorials/{page.stem}\n" in index
    api = "\n".join(page.read_text() for page in (site / "api").glob("*.md"))
    missing = [
        n for n in scfx.__all__ if n != "__version__" and not re.search(rf":: scfx\.{n}$", api, re.MULTILINE)
    ]
    assert not missing, f"docs/site/api names no {missing}"
