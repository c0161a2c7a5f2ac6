"""Sphinx's configuration of the documentation site: `make docs` builds it from the pages of docs/."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import scfx

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_DOCS = Path(__file__).parents[1]

project = "scfx"
author = "the authors of scfx"
version = release = scfx.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.viewcode"]
source_suffix = {".md": "myst-nb"}
root_doc = "site/index"

# The pages are read on their own too, so they are Markdown as any program shows it; headings are the anchors.
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # a page may skip a level of headings
# Python that a page shows runs in the tests; the tutorials run here, each in a process of its own.
nb_execution_mode = "force"
nb_execution_timeout = 1200  # of a cell: minutes on a machine that does other things too
nb_execution_show_tb = True
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # jaxtyping's shapes stand in the signature and say more
autodoc_default_options = {"members": True, "show-inheritance": True}
autosummary_generate = True
default_role = "code"

html_theme = "furo"
html_title = f"scfx {release}"
html_static_path = ["static"]
html_css_files = ["scfx.css"]
html_copy_source = True
html_show_copyright = False
html_sourcelink_suffix = ""
html_theme_options = {"navigation_with_keys": True}

_CODE = re.compile(r"``?[^`]+``?")


def _markdown(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text with `code` in backticks: to reStructuredText, where nothing else is marked up."""

    def escaped(text: str) -> str:
        return re.sub(r"([*_|\\])", r"\\\1", text)

    text = "\n".join(lines)
    out, end = [], 0
    for match in _CODE.finditer(text):
        out += [escaped(text[end : match.start()]), "``", " ".join(match[0].strip("`").split()), "``"]
        end = match.end()
    lines[:] = "".join([*out, escaped(text[end:])]).split("\n")


def _home(app: Sphinx, docname: str, source: list[str]) -> None:
    """Links to the README, which lies outside of docs/, go to the first page."""
    source[0] = source[0].replace("](../README.md)", "](site/index.md)")


def _llms_txt(app: Sphinx, exception: Exception | None) -> None:
    """llms.txt (llmstxt.org): the pages, with the address of each as the Markdown that it is made of."""
    if exception is not None or app.builder.name != "html":
        return
    index = (_DOCS / "README.md").read_text(encoding="utf-8")
    pages = re.findall(r"^\| \[[^]]+\]\(([\w-]+)\.md\) \| (.+) \|$", index, re.MULTILINE)
    tutorials = sorted((_DOCS / "site" / "tutorials").glob("*.md"))
    lines = [
        "# scfx",
        "",
        "> Kohn-Sham and Hartree-Fock labels for millions of small molecules, and what each choice costs: batched SCF "
        "in JAX with C++ kernels, datasets, studies of precision, training.",
        "",
        "## Pages",
        "",
        *(f"- [{name}](_sources/{name}.md): {summary}" for name, summary in pages),
        "",
        "## Tutorials, with their output in the .html of the same name",
        "",
        *(
            f"- [{_title(page)}](_sources/site/tutorials/{page.stem}.md): site/tutorials/{page.stem}.html"
            for page in tutorials
        ),
        "",
    ]
    (Path(app.outdir) / "llms.txt").write_text("\n".join(lines), encoding="utf-8")
    # Browsers are sent to the first page.
    shutil.copyfile(Path(__file__).parent / "redirect.html", Path(app.outdir) / "index.html")


def _title(page: Path) -> str:
    return next(line[2:] for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("# "))


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", _markdown)
    app.connect("source-read", _home)
    app.connect("build-finished", _llms_txt)
