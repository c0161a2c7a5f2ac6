"""The wheel, in an environment of its own: what users get is whole, and runs without the sources."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WATER = "3\nwater\nO 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692\n"
CONFIG = """
[scf]
functional = "b3lyp"
basis = "sto-3g"
grid = 0
threads = 1

[[task]]
name = "dataset"
molecules = "molecules.smi"
conformers = 2
workers = 1
output = "out"
"""

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """Standard output of a command that must succeed, without this checkout on its path."""
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=clean, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    # Its own build folder: the wheel must not depend on what an earlier build left.
    build = f"build-dir={folder / 'build'}"
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        *options,
        "--config-settings",
        build,
        "-w",
        folder,
        ROOT,
        cwd=folder,
    )
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def clean(wheel, tmp_path_factory) -> Path:
    """The bin folder of a new virtual environment with the wheel; its dependencies are borrowed from this one."""
    folder = tmp_path_factory.mktemp("clean")
    run(sys.executable, "-m", "venv", folder / "venv", cwd=folder)
    bin = folder / "venv" / "bin"
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # A folder named in a .pth file joins the path, but its own .pth files (an editable scfx) are not read.
    (site / "dependencies.pth").write_text(sysconfig.get_path("platlib") + "\n")
    options = ["--quiet", "--no-deps", "--no-index", "--force-reinstall", "--ignore-installed"]
    run(bin / "python", "-m", "pip", "--disable-pip-version-check", "install", *options, wheel, cwd=folder)
    return bin


def test_the_wheel_holds_every_package_with_its_types_and_every_kernel_variant(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    packages = {
        name.partition("/")[0] for name in names if name.endswith("/__init__.py") and name.count("/") == 1
    }
    assert {
        "scfx",
        "scfx_libcint",
        "scfx_simd",
        "scfx_bse",
        "scfx_xc",
        "scfx_precision",
        "scfx_dataset",
    } <= packages
    for package in packages:
        assert f"{package}/py.typed" in names
    for template in ("scfx/reporting/templates/page.html", "scfx_dataset/templates/dataset.html",
                     "scfx_study/templates/study.html"):  # fmt: skip
        assert template in names
    variants = {name.rpartition("_")[2] for name in names if name.startswith("scfx_libcint/_lib/")}
    expected = {"baseline.so", "avx2.so", "avx512.so"} if os.uname().machine == "x86_64" else {"baseline.so"}
    assert variants == expected
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert not [name for name in names if name.startswith(("tests/", "docs/", "examples/"))]
    # The kernels have no Python ABI: one wheel for every Python 3.
    assert "-py3-none-" in wheel.name


def test_every_plugin_of_the_wheel_loads(clean, tmp_path):
    where = run(clean / "python", "-c", "import scfx; print(scfx.__file__)", cwd=tmp_path)
    assert where.startswith(str(clean.parent))
    data = json.loads(run(clean / "scfx", "plugins", "--json", cwd=tmp_path))
    assert {p["status"] for p in data["plugins"] if p["distribution"] == "scfx"} == {"available"}


def test_the_wheel_computes_an_energy_and_a_small_dataset(clean, tmp_path):
    (tmp_path / "water.xyz").write_text(WATER)
    record = json.loads(run(clean / "scfx", "energy", "water.xyz", "--grid", "0", "--json", cwd=tmp_path))
    assert record["converged"]
    (tmp_path / "molecules.smi").write_text("CO\nC=O\n")
    (tmp_path / "config.toml").write_text(CONFIG)
    run(clean / "scfx", "run", "config.toml", cwd=tmp_path)
    count = "import scfx_dataset; print(scfx_dataset.open('out').to_table().num_rows)"
    assert run(clean / "python", "-c", count, cwd=tmp_path).strip() == "4"
