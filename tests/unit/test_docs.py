"""The README and docs/ say what the code does: their Python runs, their names exist, their links lead somewhere."""

from __future__ import annotations

import contextlib
import io
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

import scfx
from scfx import testing as scfx_testing
from scfx.cli import main
from scfx.config.convergence import CONVERGENCE_PRESETS, Convergence
from scfx.config.file import Config
from scfx.config.spec import SCFSpec
from scfx.errors import ConfigError
from scfx.grid import GridSpec

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
#: Figures that only people who build scfx need: their links are held, and each says what made its numbers.
MEASUREMENTS = sorted((ROOT / "docs" / "measurements").glob("*.md"))
#: Pages whose blocks need more than an empty folder, and which test runs them.
RUN_ELSEWHERE = {
    "docs/datasets.md": "tests/unit/test_dataset_docs.py",
    "docs/hooks.md": "tests/packaging/test_documentation.py",
}
_BLOCK = re.compile(r"^```(\S*)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, str, int]]:
    """(language, rest of the fence's line, source, line number) of each fenced block."""
    text = page.read_text(encoding="utf-8")
    return [
        (m.group(1), m.group(2).strip(), m.group(3), text[: m.start()].count("\n") + 1)
        for m in _BLOCK.finditer(text)
    ]


def prose(page: Path) -> str:
    return _BLOCK.sub("", page.read_text(encoding="utf-8"))


def runnable() -> list:
    return [
        pytest.param(page, id=name)
        for page, name in zip(PAGES, NAMES, strict=True)
        if name not in RUN_ELSEWHERE and any(language == "python" for language, *_ in blocks(page))
    ]


# ---- code --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", runnable())
def test_documented_python_runs_and_prints_what_it_says(page, monkeypatch):
    monkeypatch.chdir(ROOT)  # the pages speak from the root of a checkout
    namespace: dict = {"__name__": page.stem}
    found = blocks(page)
    for index, (language, rest, source, line) in enumerate(found):
        if language != "python" or "no-run" in rest:
            continue
        printed = io.StringIO()
        # Whatever a library that an earlier test imported has done to how arrays are printed.
        usual = np.printoptions(precision=8, threshold=1000, linewidth=75, suppress=False)
        with contextlib.redirect_stdout(printed), usual:
            exec(compile("\n" * line + source, str(page), "exec"), namespace)
        if index + 1 < len(found) and found[index + 1][0] == "text":
            assert printed.getvalue() == found[index + 1][2], f"{page.name}, line {line}"


def test_pages_that_run_elsewhere_do():
    for page, test in RUN_ELSEWHERE.items():
        assert Path(page).name in (ROOT / test).read_text(encoding="utf-8"), f"{test} does not run {page}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_blocks_that_do_not_run_say_why(page):
    for language, rest, _, line in blocks(page):
        assert language, f"{page.name}, line {line}: name the block's language"
        assert not rest or (language == "python" and re.fullmatch(r"no-run \S.*", rest)), (
            f"{page.name}, line {line}: write `python no-run` and the reason, got {rest!r}"
        )


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_documented_configurations_are_valid(page, registry):
    for language, _, source, line in blocks(page):
        table = tomllib.loads(source) if language == "toml" else {}
        if not {"scf", "task"} & set(table):
            continue
        config = Config.from_table(table)
        assert config.tasks(registry), f"{page.name}, line {line}: no task"
        config.scf.resolve(registry)


def test_documented_command_prints_what_the_readme_says(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    sessions = [source for language, _, source, _ in blocks(PAGES[0]) if language == "console"]
    (session,) = [s for s in sessions if s.startswith("$ scfx energy")]
    command, _, expected = session.partition("\n")
    assert main(command.split()[2:]) == 0
    printed = capsys.readouterr().out
    # The last digits are the machine's, and the hash changes with any definition that enters it.
    vary = r"\d{3}(?= hartree)|\d{2}(?= eV)|(?<=spec        )[0-9a-f]{16}"
    assert re.sub(vary, "", printed) == re.sub(vary, "", expected)


# ---- names -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", [*PAGES, *MEASUREMENTS], ids=[*NAMES, *(page.name for page in MEASUREMENTS)])
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), f"{page.name}: {target} does not exist"
        if anchor:
            assert anchor in _anchors(linked), f"{page.name}: {target}: no such heading"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    for page in PAGES[1:]:
        assert page.name == "README.md" or f"]({page.name})" in index, page.name


@pytest.mark.parametrize("page", [*PAGES, *MEASUREMENTS], ids=[*NAMES, *(page.name for page in MEASUREMENTS)])
def test_source_files_that_a_page_names_are_there(page):
    energy = ROOT / "scfx" / "energy"
    roots = (ROOT, ROOT / "scfx", energy, energy / "exchange_correlation", ROOT / "backends" / "scfx_ipu")
    for name in set(re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|toml))`", prose(page))):
        assert any((root / name).exists() for root in roots), f"{page.name}: there is no {name}"


def test_every_page_of_measurements_is_linked_and_names_what_made_its_figures():
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for page in MEASUREMENTS:
        assert f"measurements/{page.name}" in pages, f"no page for users links to {page.name}"
        named = re.findall(r"[\w./]+\.py", page.read_text(encoding="utf-8"))
        assert any((ROOT / script).exists() for script in named), f"{page.name} names no script"


def test_commands_that_the_pages_name_exist(capsys):
    assert main(["--help"]) == 0
    listed = set(re.findall(r"^  (\w+)  ", capsys.readouterr().out, re.MULTILINE))
    assert main(["dataset", "--help"]) == 0
    under_dataset = set(re.findall(r"^  (\w+)  ", capsys.readouterr().out, re.MULTILINE))
    named: set[str] = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for command, then in re.findall(r"(?:`|^\$ )scfx ([a-z]+)(?: ([a-z]+))?\b", text, re.MULTILINE):
            named.add(command)
            assert command in listed, f"{page.name}: scfx {command}"
            assert command != "dataset" or not then or then in under_dataset, (
                f"{page.name}: scfx dataset {then}"
            )
    assert named == listed, f"no page explains scfx {', '.join(listed - named)}"


def test_every_target_of_make_that_the_pages_name_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in PAGES:
        for target in re.findall(r"(?:`|^\$ )make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{page.name}: make {target}"


def test_every_public_name_is_documented():
    text = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    for name in scfx.__all__:
        assert re.search(rf"\bscfx\.{name}\b", text), f"docs/python-api.md does not mention scfx.{name}"
    for name in scfx_testing.__all__:
        assert f"scfx.testing.{name}" in text, name


def test_every_field_of_a_system_and_a_result_is_documented():
    text = (ROOT / "docs" / "python-api.md").read_text(encoding="utf-8")
    for cls in (scfx.SCFResult, scfx.System):
        for name in cls.__dataclass_fields__:
            assert f"`{name}`" in text, f"docs/python-api.md does not mention {cls.__name__}.{name}"
    for name in vars(scfx.System):
        if name.startswith("from_"):
            assert f"System.{name}(" in text, name


def test_the_map_of_the_core_is_true():
    page = ROOT / "docs" / "architecture.md"
    drawn = set(re.findall(r"\b\w+(?:\.py|/)(?=\s|$)", blocks(page)[0][2]))
    core = ROOT / "scfx"
    rooms = [core, *(core / room for room in ("scf", "model", "config", "energy"))]
    files = {p.name for room in rooms for p in room.glob("*.py") if not p.name.startswith("__")}
    folders = {f"{p.name}/" for p in core.iterdir() if (p / "__init__.py").exists()}
    named = {name for name in drawn if name.endswith(".py")}
    assert files <= named, files - named
    anywhere = {p.name for p in core.rglob("*.py")}
    assert named <= anywhere, named - anywhere
    assert folders <= drawn, folders - drawn


# ---- the configuration -------------------------------------------------------------------------------------------


def _rows(heading: str) -> dict[str, list[str]]:
    """First column (without backticks) -> the other cells, of the first table under a heading."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^##|\Z)", text, re.MULTILINE | re.DOTALL)
    assert section, f"docs/configuration.md has no section {heading!r}"
    lines = [line for line in section.group(1).splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
    return {first.strip(" `"): rest for first, *rest in cells}


def _stated(cell: str):
    return tomllib.loads(f"value = {cell.strip('`')}")["value"]


def test_every_key_of_scf_is_documented_with_its_default():
    rows = _rows("`[scf]`")
    assert set(rows) == set(SCFSpec.model_fields)
    for name, (_, default, _) in rows.items():
        real = getattr(SCFSpec(), name)
        if name == "threads":
            assert (default, real) == ("all", None)
        elif default == "none":
            assert real is None, name
        else:
            assert getattr(SCFSpec.create({name: _stated(default)}), name) == real, name


def test_every_key_of_convergence_and_grid_is_documented_with_its_default():
    rows = _rows("`scf.convergence`")
    assert set(rows) - set(CONVERGENCE_PRESETS) == {"preset", *Convergence.model_fields}
    for name in Convergence.model_fields:
        assert _stated(rows[name][1]) == getattr(Convergence(), name), name
    rows = _rows("`scf.grid`")
    assert set(rows) == set(GridSpec.__dataclass_fields__)
    assert (_stated(rows["level"][1]), _stated(rows["prune"][1])) == (GridSpec().level, GridSpec().prune)
    assert (rows["atom_grid"][1], GridSpec().atom_grid) == ("none", None)


def test_documented_presets_are_the_real_ones():
    rows = _rows("`scf.convergence`")
    for name, preset in CONVERGENCE_PRESETS.items():
        energy, gradient, *counts = rows[name]
        assert [int(c) for c in counts] == [preset.max_iterations, preset.diis_space], name
        if name == "qm1b":
            assert energy == "0.01 eV"
            assert preset.energy == pytest.approx(0.01 / 27.211386245988)  # CODATA 2018
        else:
            assert (float(energy), float(gradient)) == (preset.energy, preset.gradient), name


def test_every_option_of_the_dataset_task_is_listed_with_its_default(registry):
    fields = registry.task("dataset").Options.model_fields
    rows = _rows('`name = "dataset"`')
    assert set(rows) == set(fields)
    for name, (_, default, _) in rows.items():
        if default == "required":
            assert fields[name].is_required(), name
        elif default == "none":
            assert not fields[name].default or fields[name].default_factory, name
        else:
            assert _stated(default) == fields[name].default, name


@pytest.mark.parametrize("storage", ["auto", "stored", "direct"])
def test_documented_options_of_backends_are_accepted(registry, storage):
    registry.backend({"name": "libcint", "storage": storage, "threads": 1})
    with pytest.raises(ConfigError, match="storage"):
        registry.backend({"name": "libcint", "storage": "sometimes"})
