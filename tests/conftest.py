"""What every test runs under: shape checks, strict dtype and rank promotion, one thread, a compilation cache."""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import os
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Before anything imports jax or numpy. Tests run side by side: one thread each.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("JAX_NUMPY_DTYPE_PROMOTION", "strict")
os.environ.setdefault("JAX_NUMPY_RANK_PROMOTION", "raise")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(ROOT / ".cache" / "jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

sys.path.insert(0, str(Path(__file__).parent / "support"))


def _packages() -> list[str]:
    return ["scfx", *sorted(PROJECT["project"]["entry-points"]["scfx"])]


def _is_installed() -> bool:
    try:
        importlib.metadata.distribution("scfx")
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


if not _is_installed():
    # From bare sources (PYTHONPATH=.:backends:basis:functionals:plugins) there is no metadata, so no plugin would be
    # found: state the entry points of pyproject.toml where importlib.metadata looks, also for subprocesses.
    _metadata = ROOT / ".cache" / "metadata" / f"scfx-{PROJECT['project']['version']}.dist-info"
    _metadata.mkdir(parents=True, exist_ok=True)
    _lines = [f"{name} = {target}" for name, target in PROJECT["project"]["entry-points"]["scfx"].items()]
    for _file, _text in {
        "METADATA": f"Metadata-Version: 2.1\nName: scfx\nVersion: {PROJECT['project']['version']}\n",
        "entry_points.txt": "\n".join(["[scfx]", *_lines, ""]),
    }.items():
        # Written whole or not at all: xdist's workers come here at the same time.
        _scratch = _metadata / f"{_file}.{os.getpid()}"
        _scratch.write_text(_text)
        _scratch.replace(_metadata / _file)
    sys.path.append(str(_metadata.parent))
    os.environ["PYTHONPATH"] = os.pathsep.join(
        part for part in (os.environ.get("PYTHONPATH"), str(_metadata.parent)) if part
    )

if os.environ.get("SCFX_SHAPE_CHECKS", "1") != "0":
    from jaxtyping import install_import_hook

    # The hook looks on sys.path only, where an editable install's finder would add the folder of the compiled kernels
    # to a package's __path__. So the front modules, which are light, come first and the hook takes what is behind.
    for _name in _packages():
        with contextlib.suppress(ImportError):  # a plugin that does not import fails the tests that need it
            importlib.import_module(_name)
    install_import_hook(_packages(), "scfx_shape_checks.checker")


@pytest.fixture(autouse=True)
def _global_state_is_left_alone():
    """scfx enters float64 in scope and restores it: no test may leave the process-wide flag changed."""
    yield
    jax = sys.modules.get("jax")
    if jax is not None:
        assert not jax.config.jax_enable_x64, "jax_enable_x64 was switched on for the whole process"


@pytest.fixture
def without_shape_checks():
    """For tests of what scfx itself says about arrays of a wrong shape, which jaxtyping would otherwise catch first."""
    from jaxtyping import config

    before = config.jaxtyping_disable
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", before)


@pytest.fixture(scope="session")
def registry():
    """The registry of the installed plugins (of this checkout, if scfx is not installed)."""
    from scfx.registry import Registry

    return Registry.discover()


@pytest.fixture(scope="session")
def project_root() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture
def quick_reports(monkeypatch):
    """Reports of datasets without figures, which take longer than all else of a small run: for tests of its rows."""
    monkeypatch.setattr("scfx_dataset.report.html_report", lambda *arguments: "<html>")
    monkeypatch.setattr("scfx_dataset.report._distribution", lambda *arguments: b"\x89PNG")
