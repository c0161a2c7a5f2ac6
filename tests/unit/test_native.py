"""Which build of the compiled kernels is loaded."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from scfx import native
from scfx.errors import PluginUnavailableError

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
