"""The installed plugins are looked up where a program starts, and nowhere behind it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from molecules import molecule

import scfx

ROOT = Path(__file__).parents[2]
FOLDERS = ("scfx", "backends", "basis", "functionals", "plugins")
#: Where a process starts: the command line, commands of plugins, and the workers of jobs.
STARTS = {
    ("scfx/cli.py", "registry"),
    ("plugins/scfx_dataset/commands.py", "run_"),
    ("plugins/scfx_dataset/plan_command.py", "plan"),
    ("plugins/scfx_dataset/solvers.py", "make_solver"),
    ("plugins/scfx_geometry/work.py", "_get_solvers"),
}
#: What people call from Python: the installed plugins stand in for a `registry` that was not given.
DEFAULTS = {
    ("scfx/driver.py", "__init__"),
    ("plugins/scfx_dataset/verify.py", "recompute"),
    ("plugins/scfx_schnet/__init__.py", "build"),
    ("plugins/scfx_schnet/checkpoint.py", "load_model"),
    ("plugins/scfx_schnet/sources.py", "open_data"),
    ("plugins/scfx_study/study.py", "__init__"),
}


class _Calls(ast.NodeVisitor):
    """Functions in which something's `discover` is called or passed on."""

    def __init__(self) -> None:
        self._within: list[ast.FunctionDef | ast.AsyncFunctionDef] = []
        self.found: list[ast.FunctionDef | ast.AsyncFunctionDef | None] = []

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._within.append(node)
        self.generic_visit(node)
        self._within.pop()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if node.attr == "discover":
            self.found.append(self._within[-1] if self._within else None)
        self.generic_visit(node)


def _discoveries() -> dict[tuple[str, str], ast.AST | None]:
    out = {}
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            calls = _Calls()
            calls.visit(ast.parse(path.read_text()))
            for function in calls.found:
                name = "" if function is None else function.name
                out[path.relative_to(ROOT).as_posix(), name] = function
    return out


def test_installed_plugins_are_looked_up_where_a_program_starts_only():
    assert set(_discoveries()) == STARTS | DEFAULTS


def test_a_default_stands_in_for_a_registry_that_may_be_given():
    found = _discoveries()
    for place in DEFAULTS:
        function = found[place]
        assert isinstance(function, ast.FunctionDef)
        every = [*function.args.args, *function.args.kwonlyargs]
        assert "registry" in [argument.arg for argument in every], place


@pytest.fixture
def no_discovery(monkeypatch):
    """From here on nobody finds plugins: whoever needs one has to be given the registry."""

    def refuse(*given, **more):
        raise AssertionError("Registry.discover() was called although a registry was given")

    monkeypatch.setattr(scfx.Registry, "discover", refuse)


@pytest.mark.parametrize(
    "options",
    [
        {"functional": "b3lyp-d3bj"},
        {"functional": "hf", "backend": "libcint", "density_fitting": "def2-universal-jkfit"},
        {"functional": "hf", "backend": {"name": "ipu", "tiles": 8}, "precision": "float32"},
        {"functional": "lda_x"},
    ],
    ids=["dispersion", "density fitting", "ipu", "libxc"],
)
def test_a_registry_given_to_solve_is_the_one_used_everywhere(options, registry, no_discovery):
    result = scfx.solve(molecule("H2"), grid=0, registry=registry, **options)
    assert result.raise_for_status().converged.all()


def test_what_is_not_in_the_given_registry_is_not_found(no_discovery):
    import scfx_bse
    import scfx_dispersion
    import scfx_libcint
    import scfx_precision

    given = {m.__name__: m for m in (scfx_bse, scfx_dispersion, scfx_libcint, scfx_precision)}
    with pytest.raises(scfx.errors.UnknownNameError, match="b3lyp"):
        scfx.solve(molecule("H2"), "b3lyp-d3bj", registry=scfx.Registry.from_plugins(given))
