"""Which build of the compiled kernels is loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scfx.errors import PluginUnavailableError
from scfx.execution import native

#: In a process of its own, since a library is loaded once.
SCRIPT = "from scfx import native; print(native.load('scfx_simd', 'scfx_simd')._name)"


def _load(**environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_scfx_native_dir_names_another_build(tmp_path):
    usual = _load(SCFX_NATIVE_DIR="")
    assert usual.returncode == 0, usual.stderr
    folder = tmp_path / "scfx_simd" / "_lib"
    folder.mkdir(parents=True)
    shutil.copy(Path(usual.stdout.strip()), folder)
    other = _load(SCFX_NATIVE_DIR=str(tmp_path))
    assert other.returncode == 0, other.stderr
    assert Path(other.stdout.strip()).parent == folder


def test_a_build_that_is_not_there_is_an_error_and_not_the_usual_build(tmp_path):
    found = _load(SCFX_NATIVE_DIR=str(tmp_path))
    assert found.returncode != 0
    assert "PluginUnavailableError" in found.stderr
    assert "SCFX_NATIVE_DIR is set" in found.stderr


def test_a_variant_that_the_processor_lacks_is_refused(monkeypatch):
    monkeypatch.setenv("SCFX_CPU_VARIANT", "avx1024")
    with pytest.raises(PluginUnavailableError, match="possible: baseline"):
        native.best_variant()


@pytest.fixture
def build(tmp_path, monkeypatch):
    """A prefix with a copy of one library, in its baseline variant only."""
    source = next(Path(p) for p in native._folders("scfx_simd") if Path(p).exists())
    folder = tmp_path / "prefix" / "scfx_simd" / "_lib"
    folder.mkdir(parents=True)
    library = folder / "libscfx_simd_baseline.so"
    shutil.copy(source / library.name, library)
    monkeypatch.setenv("SCFX_NATIVE_DIR", str(tmp_path / "prefix"))
    native.load.cache_clear()
    monkeypatch.setattr(native, "_loaded", {})
    yield library
    native.load.cache_clear()


def test_a_lesser_variant_than_the_best_is_said(build, monkeypatch, capsys):
    from scfx.cli import main

    monkeypatch.setattr(native, "best_variant", lambda: "avx2")
    assert native.built_variants("scfx_simd") == {"scfx_simd": "baseline"}
    assert native.loaded_variant("scfx_simd", "scfx_simd") is None
    native.load("scfx_simd", "scfx_simd")
    assert native.loaded_variant("scfx_simd", "scfx_simd") == "baseline"
    assert main(["info"]) == 0
    assert "but scfx_simd: baseline, as no avx2 is built" in capsys.readouterr().out


@pytest.mark.parametrize("place", ["library", "folder", "above"])
def test_kernels_that_everybody_can_replace_are_refused(build, place):
    target = {"library": build, "folder": build.parent, "above": build.parents[2]}[place]
    target.chmod(0o777)
    with pytest.raises(PluginUnavailableError, match="everybody can write to") as caught:
        native.load("scfx_simd", "scfx_simd")
    assert f"chmod o-w {target}" in str(caught.value)
    target.chmod(0o755)
    native.load("scfx_simd", "scfx_simd")


def test_kernels_of_somebody_else_are_refused(build, monkeypatch):
    genuine = Path.stat

    def of_another(self, **options):
        found = genuine(self, **options)
        if self != build:
            return found
        return os.stat_result((*found[:4], 12345, *found[5:]))

    monkeypatch.setattr(Path, "stat", of_another)
    with pytest.raises(PluginUnavailableError, match="user 12345 owns"):
        native.load("scfx_simd", "scfx_simd")
