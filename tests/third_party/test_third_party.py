"""A real third-party package, installed with pip: what it offers is chosen by name and gives the built-ins' numbers.

And packages that are broken in the ways packages are: none takes the program down, each is named with its reason.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import scfx_dataset

import scfx
from scfx.jobs import open_results

SOURCE = Path(__file__).parent / "scfx_example"
WATER = "3\nwater\nO 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692\n"
CONFIG = """
[scf]
functional = "example-slater"
basis = "example-sto-3g"
precision = "example-half"
backend = "example-dense"
grid = 0
convergence = "tight"
"""


def environment(*folders: Path) -> dict[str, str]:
    """The environment of a subprocess that sees `folders` as installed packages."""
    path = [*map(str, folders), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def python(*arguments: str, folders: tuple[Path, ...], code: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *arguments], env=environment(*folders), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def example(tmp_path_factory) -> Path:
    """The folder into which pip has installed the example; offline, with the build backend that is here."""
    import setuptools

    if tuple(map(int, setuptools.__version__.split(".")[:2])) < (70, 1):
        pytest.skip(
            f"setuptools {setuptools.__version__} cannot build a wheel by itself; `make venv` has one that can"
        )
    source = tmp_path_factory.mktemp("source") / "scfx_example"
    shutil.copytree(SOURCE, source)
    target = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-index", "--no-build-isolation", "--disable-pip-version-check"]
    python("-m", "pip", "install", *options, "--target", str(target), str(source), folders=())
    return target


def test_all_four_are_chosen_by_a_config_and_by_flags_and_agree_with_the_built_ins(
    example, tmp_path, registry
):
    (tmp_path / "water.xyz").write_text(WATER)
    (tmp_path / "config.toml").write_text(CONFIG)
    script = f"""
import scfx
from scfx.cli import main
spec = scfx.Config.load({str(tmp_path / "config.toml")!r}).scf
water = scfx.System.from_xyz({str(tmp_path / "water.xyz")!r})
result = scfx.Solver(spec).solve([water])
print(repr(float(result.energy[0])), result.provenance["backend"], flush=True)
flags = ["--functional", "example-slater", "--basis", "example-sto-3g", "--backend", "example:example-dense"]
flags += ["--grid", "0", "--convergence", "tight", "--json"]
raise SystemExit(main(["energy", {str(tmp_path / "water.xyz")!r}, *flags]))
"""
    first, second = python("-c", script, folders=(example,)).stdout.splitlines()
    record = json.loads(second)
    assert (record["functional"], record["basis"], record["precision"]) == (
        "example-slater",
        "example-sto-3g",
        "float64",
    )
    assert record["backend"] == "example-dense"
    water = scfx.System.from_xyz(tmp_path / "water.xyz")
    built_in = scfx.solve(
        [water], functional="lda", basis="sto-3g", grid=0, registry=registry
    ).raise_for_status()
    assert record["energy_hartree"] == pytest.approx(built_in.energy[0], abs=1e-8)
    assert record["homo_hartree"] == pytest.approx(built_in.homo[0], abs=1e-6)
    energy, backend = first.split()
    assert backend == "example-dense"
    # Integrals stored in float32 cost hundredths of a meV; 1e-5 hartree is 0.3 meV.
    assert float(energy) == pytest.approx(built_in.energy[0], abs=1e-5)
    assert float(energy) != record["energy_hartree"]


def test_its_property_shows_up_in_json_under_name_and_unit(example, tmp_path, registry):
    (tmp_path / "water.xyz").write_text(WATER)
    flags = ["--functional", "hf", "--properties", "example_charge_spread,dipole", "--json"]
    record = json.loads(
        python("-m", "scfx", "energy", str(tmp_path / "water.xyz"), *flags, folders=(example,)).stdout
    )
    built_in = scfx.solve(
        scfx.System.from_xyz(tmp_path / "water.xyz"), "hf", properties="dipole", registry=registry
    )
    assert built_in.mulliken_charges is not None
    assert record["example_charge_spread_e"] == pytest.approx(built_in.mulliken_charges[0].std(), abs=1e-8)
    assert record["dipole_e_bohr"] == pytest.approx(built_in.properties["dipole"][0].tolist(), abs=1e-8)
    assert "property_reasons" not in record


def test_its_property_is_a_column_of_a_dataset_and_a_quantity_of_a_study(example, tmp_path):
    (tmp_path / "water.xyz").write_text(WATER + WATER.replace("0.7572", "0.7"))
    script = """
import scfx_study
study = scfx_study.Study(
    {"functional": "hf", "backend": "libcint", "basis": ["sto-3g", "3-21g"], "properties": ["example_charge_spread"]},
    reference="sto-3g", molecules="water.xyz", geometry="given", output="out", workers=1, progress="quiet", traces=0,
    bootstrap=0,
)
assert study.run() == 0
found = study.statistics().set_index("quantity").loc["example_charge_spread"]
print(found["n"], found["unit"], repr(float(found["mae"])))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(example), cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    n, *unit, mae = done.stdout.split()
    assert (n, " ".join(unit)) == ("2", "elementary charge")
    # Read here, where the example is not installed.
    folders = [path.parent for path in (tmp_path / "out" / "labels").glob("*/plan.json")]
    values = {}
    for folder in folders:
        dataset = scfx_dataset.open(folder)
        assert dataset.schema.field("example_charge_spread").metadata[b"unit"] == b"elementary charge"
        basis = dataset.plan.identity["spec"]["basis"]
        values[basis] = dataset.to_table()["example_charge_spread"].to_numpy()
    assert min(values["sto-3g"]) > 0.1
    assert float(mae) == pytest.approx(np.abs(values["3-21g"] - values["sto-3g"]).mean(), rel=1e-12)


SPECTRUM = """
[[task]]
name = "example-spectrum"
molecules = "frames.xyz"
output = "{output}"
delay = {delay}
workers = {workers}
progress = "quiet"
"""


def _commits(output: Path) -> dict[str, str]:
    records = [json.loads(path.read_text()) for path in (output / "commits").glob("*.json")]
    return {record["shard"]: record["sha256"] for record in records}


def test_its_task_is_killed_and_resumed_and_ends_with_the_bytes_of_an_undisturbed_run(example, tmp_path):
    """Its task is fifty lines, with no file, process or signal in them (scfx_example/spectrum.py)."""
    frames = [f"2\nHF {i}\nH 0 0 0\nF 0 0 {0.8 + 0.01 * i}\n" for i in range(30)]
    frames[7] = "2\nbroken\nH 0 0 0\nF 0 0 nan\n"
    (tmp_path / "frames.xyz").write_text("".join(frames))
    usual, killed = tmp_path / "usual", tmp_path / "killed"
    (tmp_path / "usual.toml").write_text(SPECTRUM.format(output=usual, delay=0, workers=1))
    (tmp_path / "killed.toml").write_text(SPECTRUM.format(output=killed, delay=0.1, workers=2))
    program = [sys.executable, "-m", "scfx", "run"]
    subprocess.run([*program, "usual.toml"], env=environment(example), cwd=tmp_path, check=True)
    process = subprocess.Popen(
        [*program, "killed.toml"], env=environment(example), cwd=tmp_path, start_new_session=True
    )
    while process.poll() is None and (not killed.exists() or not _commits(killed)):
        time.sleep(0.01)
    assert process.poll() is None, "it was done before it could be killed"
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < len(_commits(killed)) < 8
    again = ["--set", "task.0.workers=1"]  # who works decides nothing
    subprocess.run([*program, "killed.toml", *again], env=environment(example), cwd=tmp_path, check=True)
    assert _commits(killed) == _commits(usual)
    assert len(_commits(usual)) == 8
    # Read here, where the example is not installed. Frames of HF: e^2 / r, by hand for the first.
    results = open_results(killed)
    rows = list(results.rows())
    assert results.complete
    assert [row["name"] for row in rows] == [f"HF {i}" if i != 7 else "broken" for i in range(30)]
    assert (rows[7]["status"], "not finite" in rows[7]["reason"]) == ("failed", True)
    first = [[0.5 * 9**2.4, 9 / 0.8], [9 / 0.8, 0.5]]
    assert rows[0]["spectrum"] == pytest.approx(sorted(np.linalg.eigvalsh(first), reverse=True))
    assert not list((killed / "attempts").glob("*.tmp"))
    assert len(list((killed / "attempts").iterdir())) == 8


def test_options_of_a_third_partys_functional_come_from_the_command_line(example, tmp_path):
    (tmp_path / "water.xyz").write_text(WATER)
    flags = ["--functional", '{ name = "example-slater", scael = 2.0 }', "--grid", "0"]
    arguments = ["-m", "scfx", "energy", str(tmp_path / "water.xyz"), *flags]
    err = python(*arguments, folders=(example,), code=2).stderr
    assert (
        "scf.functional.scael: functional 'example-slater' has no such option; did you mean 'scale'?" in err
    )


def test_a_backend_that_cannot_do_d_shells_says_so_before_it_is_imported(example):
    script = """
import sys, scfx
from scfx.registry import Need
try:
    scfx.Registry.discover().backend("example-dense", need=Need(max_angular_momentum=2))
except scfx.CapabilityError as error:
    assert "scfx_example.dense" not in sys.modules
    print(error)
"""
    out = python("-c", script, folders=(example,)).stdout
    assert "d shells are asked, it goes up to p" in out


# ---- packages with faults


def distribution(folder: Path, name: str, module: str) -> Path:
    """An installed distribution `name` whose entry point is a module of that source text."""
    (folder / f"{name}.py").write_text(module)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[scfx]\n{name} = {name}\n")
    return folder


def listed(folder: Path) -> tuple[dict, dict]:
    """Plugins by name, and all offers by (kind, name, distribution), from `scfx plugins --json`."""
    data = json.loads(python("-m", "scfx", "plugins", "--json", folders=(folder,)).stdout)
    offers = {
        (kind, o["name"], o["distribution"]): o for kind, group in data["offers"].items() for o in group
    }
    return {p["name"]: p for p in data["plugins"]}, offers


def functional(name: str, extra: str = "") -> str:
    return (
        "import scfx\n@scfx.hookimpl\ndef scfx_register_functionals():\n"
        f"    return [scfx.Offer({name!r}, 'nowhere:F', 'for a test'{extra})]\n"
    )


def test_faulty_packages_are_listed_with_their_reasons_and_the_rest_works(tmp_path):
    distribution(tmp_path, "broken_import", "import no_such_package")
    distribution(
        tmp_path, "broken_hook", "import scfx\n@scfx.hookimpl\ndef scfx_register_tasks():\n    return 1 / 0\n"
    )
    distribution(tmp_path, "quits", "raise SystemExit(3)")
    distribution(tmp_path, "from_the_future", "SCFX_HOOK_API = 99\n" + functional("new"))
    distribution(
        tmp_path, "typo", "import scfx\n@scfx.hookimpl\ndef scfx_register_functional():\n    return []\n"
    )
    distribution(tmp_path, "needs_more", functional("heavy", ", requires=('no_such_package',)"))
    plugins, offers = listed(tmp_path)
    assert plugins["broken_import"]["status"] == "failed"
    assert "No module named 'no_such_package'" in plugins["broken_import"]["reason"]
    assert plugins["broken_hook"]["status"] == "failed"
    assert "ZeroDivisionError" in plugins["broken_hook"]["reason"]
    assert plugins["quits"]["status"] == "failed"
    assert plugins["from_the_future"]["status"] == "incompatible"
    assert "hook API 99" in plugins["from_the_future"]["reason"]
    assert ("functionals", "new", "from_the_future") not in offers
    assert plugins["typo"]["misspelt"] == [
        "scfx_register_functional is not a hook; did you mean scfx_register_functionals?"
    ]
    heavy = offers["functionals", "heavy", "needs_more"]
    assert (heavy["status"], heavy["reason"]) == ("missing", "needs no_such_package, which is not installed")
    assert offers["functionals", "b3lyp", "scfx"]["status"] == "available"


def test_a_name_that_a_built_in_has_is_ambiguous_and_both_can_be_picked(tmp_path):
    distribution(tmp_path, "rival", functional("B3LYP"))
    script = """
import scfx
registry = scfx.Registry.discover()
try:
    registry.functional("b3lyp")
except scfx.ConfigError as error:
    print(error)
print(type(registry.functional("scfx:b3lyp")).__name__, type(registry.functional("scfx_xc:b3lyp")).__name__)
try:
    registry.functional("rival:b3lyp")
except scfx.ConfigError as error:
    print(error)
"""
    ambiguous, picked, rival = python("-c", script, folders=(tmp_path,)).stdout.splitlines()
    assert (
        "offered more than once: 'B3LYP' of rival (plugin rival), 'b3lyp' of scfx (plugin scfx_xc)"
        in ambiguous
    )
    assert "pick one with 'rival:b3lyp' or 'scfx:b3lyp'" in ambiguous
    assert picked == "B3LYP B3LYP"
    assert "cannot be imported from 'nowhere:F'" in rival
