"""The shape of the house: what is shipped, what is found, and what may import what."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from scfx.old_names import MOVED

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = ("backends", "basis", "functionals", "plugins")
PLUGINS = {
    path.name: path
    for room in ROOMS
    for path in (ROOT / room).glob("scfx_*")
    if (path / "__init__.py").exists()
}
PRODUCT = [*(ROOT / "scfx").rglob("*.py"), *(f for path in PLUGINS.values() for f in path.rglob("*.py"))]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports(path: Path) -> frozenset[str]:
    """Every module that a file imports anywhere in it, also inside functions, and `a.b` for `from a import b`."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def test_folders_are_the_wheels_packages_are_the_entry_points():
    folders = {str(path.relative_to(ROOT)) for path in PLUGINS.values()} | {"scfx"}
    assert folders == set(PROJECT["tool"]["scikit-build"]["wheel"]["packages"])
    # The core's own properties are a plugin like the others, in the core's folder.
    expected = {**{name: name for name in PLUGINS}, "scfx_properties": "scfx.properties"}
    assert expected == PROJECT["project"]["entry-points"]["scfx"]


@pytest.mark.parametrize("name", sorted(PLUGINS))
def test_every_package_is_typed(name):
    assert (PLUGINS[name] / "py.typed").exists()
    assert (ROOT / "scfx" / "py.typed").exists()


def test_the_core_imports_no_plugin():
    for path in (ROOT / "scfx").rglob("*.py"):
        named = {module for module in imports(path) if module.partition(".")[0] in PLUGINS}
        assert not named, f"{path.relative_to(ROOT)} imports {named}"


def test_no_product_code_calls_anothers_scf():
    # PySCF gives integrals (libcint); its SCF and DFT are the oracle of the tests.
    forbidden = ("pyscf.scf", "pyscf.dft")
    for path in PRODUCT:
        named = {m for m in imports(path) if any(m == f or m.startswith(f"{f}.") for f in forbidden)}
        if "scfx_jax_xc" in path.parts:  # libxc's names and its parser, behind the plugin that is about libxc
            named -= {"pyscf.dft", "pyscf.dft.libxc"}
        assert not named, f"{path.relative_to(ROOT)} imports {named}"
        for node in ast.walk(tree(path)):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "pyscf"
            ):
                assert node.attr not in ("scf", "dft"), (
                    f"{path.relative_to(ROOT)}:{node.lineno} uses pyscf.{node.attr}"
                )


def test_plugins_do_not_import_each_other():
    for name, folder in PLUGINS.items():
        for path in folder.rglob("*.py"):
            others = {m for m in imports(path) if m.partition(".")[0] in set(PLUGINS) - {name}}
            assert not others, f"{path.relative_to(ROOT)} imports {others}"


def test_importing_scfx_and_its_plugins_imports_nothing_heavy_and_changes_no_flag():
    script = f"""
import sys, scfx, scfx.registry
for name in {sorted(PLUGINS)!r}:
    __import__(name)
scfx.Registry.discover().plugins
heavy = "jax pyscf rdkit pyarrow torch ray matplotlib basis_set_exchange obstore boto3 jinja2".split()
heavy = set(heavy) & set(sys.modules)
assert not heavy, heavy
import jax
assert not jax.config.jax_enable_x64
import scfx.driver
assert not jax.config.jax_enable_x64
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_no_file_names_a_machine_path():
    # Only what git knows: an editable build leaves absolute paths in its own folder.
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    for name in listed.stdout.split():
        path = ROOT / name
        if path.suffix in (".py", ".toml", ".md", ".txt", ".cmake", ".cpp", ".cc", ".h") and path.exists():
            text = path.read_text()
            for word in ("/" + "work/", "/" + "home/", "/root" + "/"):
                assert word not in text, f"{name} contains {word}"


def test_the_makefile_has_what_the_documentation_tells_people_to_type():
    text = (ROOT / "Makefile").read_text()
    for target in ("demo", "test", "test-slow", "check", "clean", "venv"):
        assert f"\n{target}:" in text
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


def test_no_two_classes_have_one_name():
    where: dict[str, list[str]] = {}
    for path in PRODUCT:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef):
                where.setdefault(node.name, []).append(path.relative_to(ROOT).as_posix())
    assert {name: files for name, files in where.items() if len(files) > 1} == {}


@pytest.mark.parametrize("old", sorted(MOVED))
def test_a_module_that_moved_answers_to_its_old_name(old):
    assert importlib.import_module(old) is importlib.import_module(MOVED[old])
