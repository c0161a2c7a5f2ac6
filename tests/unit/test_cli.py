"""The command line: exit codes, what is printed where, and that listing plugins stays light."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from molecules import molecule
from pydantic import BaseModel, ConfigDict

import scfx
import scfx.cli
from scfx.commands.energy_report import about, as_record, as_text
from scfx.registry import Registry
from scfx.results import SCFResult, Status

WATER = "3\nwater\nO 0 0 0.1173\nH 0 0.7572 -0.4692\nH 0 -0.7572 -0.4692\n"
# Keys of `scfx energy --json` that other people's scripts rely on: they stay.
PROMISED = (
    "energy_hartree", "homo_hartree", "lumo_hartree", "gap_ev", "converged", "status", "iterations", "nao", "n_grid",
    "functional", "basis", "backend", "precision", "spec_hash", "versions",
)  # fmt: skip


class Count(scfx.AbstractTask):
    """Counts its runs; `code` is its exit code."""

    runs: list[int] = []  # noqa: RUF012 - the test reads it

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")
        code: int = 0

    def run(self, context):
        assert context.spec == scfx.SCFSpec()
        Count.runs.append(self.options.code)
        return self.options.code


class Tasks:
    @scfx.hookimpl
    def scfx_register_tasks(self):
        return [scfx.Offer("count", "tests_of_the_command_line:Count", "counts")]


class Commands:
    @scfx.hookimpl
    def scfx_register_commands(self, group):
        import click

        @group.command()
        def hello():
            """Greet."""
            click.echo("hello")

        @group.command()
        def interrupt():
            raise KeyboardInterrupt

        @group.command()
        def crash():
            raise ZeroDivisionError("oops")

    @scfx.hookimpl
    def scfx_report_header(self):
        return ["device: abacus"]


class Greedy:
    @scfx.hookimpl
    def scfx_register_commands(self, group):
        import click

        group.add_command(click.Command("energy"))


def run(*arguments, plugins=None):
    return scfx.cli.main(arguments, registry=Registry.from_plugins(plugins or {}))


def run_in_subprocess(*arguments, **more):
    return subprocess.run(
        [sys.executable, "-m", "scfx", *arguments], capture_output=True, text=True, timeout=120, **more
    )


@pytest.fixture
def counting(monkeypatch):
    import types

    module = types.ModuleType("tests_of_the_command_line")
    module.__dict__["Count"] = Count
    monkeypatch.setitem(sys.modules, module.__name__, module)
    Count.runs.clear()
    return {"t": Tasks()}


def config(folder, *entries, scf=""):
    path = folder / "config.toml"
    path.write_text(scf + "".join(f'[[task]]\nname = "count"\n{entry}\n' for entry in entries))
    return str(path)


# ---- energy


def test_energy_of_water_as_json_has_every_promised_key(tmp_path, capsys, registry):
    (tmp_path / "water.xyz").write_text(WATER)
    code = scfx.cli.main(["energy", str(tmp_path / "water.xyz"), "--grid", "0", "--json"], registry=registry)
    out = capsys.readouterr().out
    record = json.loads(out)
    assert code == 0
    assert out.count("\n") == 1
    assert set(PROMISED) <= set(record)
    assert (record["nao"], record["converged"], record["status"]) == (7, True, "converged")
    assert (record["functional"], record["basis"], record["precision"]) == ("b3lyp", "sto-3g", "float64")
    same = scfx.solve(scfx.System.from_xyz(tmp_path / "water.xyz"), grid=0, registry=registry)
    assert record["energy_hartree"] == same.energy[0]
    assert record["spec_hash"] == same.provenance["spec_hash"]
    assert record["gap_ev"] == pytest.approx(
        (record["lumo_hartree"] - record["homo_hartree"]) * 27.211386245988
    )


def test_a_molecule_that_does_not_converge_is_exit_code_1_and_says_so(tmp_path, capsys, registry):
    (tmp_path / "water.xyz").write_text(WATER)
    table = "{ energy = 1e-15, gradient = 1e-15, max_iterations = 2 }"
    arguments = ["energy", str(tmp_path / "water.xyz"), "--grid", "0", "--convergence", table]
    code = scfx.cli.main(arguments, registry=registry)
    out = capsys.readouterr().out
    assert code == 1
    assert "not_converged" in out
    assert "not usable" in out


def test_stability_and_quadrupole_are_shown_where_they_are_asked_for(tmp_path, capsys, registry):
    (tmp_path / "h2.xyz").write_text("2\nstretched\nH 0 0 0\nH 0 0 1.6\n")
    arguments = ["energy", str(tmp_path / "h2.xyz"), "--functional", "hf"]
    assert scfx.cli.main([*arguments, "--json"], registry=registry) == 0
    assert not {"stability", "quadrupole_au"} & set(json.loads(capsys.readouterr().out))
    assert scfx.cli.main([*arguments, "--stability", "--quadrupole", "--json"], registry=registry) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["stability"]["verdict"] == "externally unstable"
    assert record["stability"]["external_hartree"] < 0 < record["stability"]["internal_hartree"]
    assert sum(record["quadrupole_au"][k][k] for k in range(3)) == pytest.approx(0.0, abs=1e-9)
    assert scfx.cli.main([*arguments, "--stability", "--quadrupole"], registry=registry) == 0
    out = capsys.readouterr().out
    assert "stability   externally unstable (internal 0." in out
    (moment,) = [line for line in out.splitlines() if line.startswith("quadrupole")]
    assert moment.count(";") == 2
    assert "e bohr^2" in out


def test_what_cannot_be_a_number_in_json_is_null():
    nan = np.array([np.nan])
    result = SCFResult(
        systems=[], energy=nan, homo=np.array([-0.5]), lumo=nan, orbital_energies=nan[:, None],
        dipole=np.full((1, 3), np.nan),
        converged=np.array([False]), iterations=np.array([60], np.int32), residual=nan, energy_change=nan,
        status=[Status.NOT_CONVERGED], rung=[""], reason=["diverged"], nao=np.array([1], np.int32),
        n_grid=np.array([9], np.int32), s_squared=np.zeros(1), n_orbitals=np.ones(1, np.int32),
        provenance=dict.fromkeys(("functional", "basis", "backend", "precision", "spec_hash", "device"), "x")
        | {"versions": {}, "functional_implementation": "libxc-host (jax-xc is not installed: pip ...)"},
    )  # fmt: skip
    record = json.loads(json.dumps(as_record(result), allow_nan=False))
    assert record["energy_hartree"] is None
    assert record["gap_ev"] is None
    assert record["homo_hartree"] == -0.5
    # The slow way of a functional is said.
    text = as_text(about(molecule("H2O"), "auto") | record)
    assert "functional  libxc-host (jax-xc is not installed: pip ...)\n" in text
    assert "functional  " not in as_text(
        about(molecule("H2O"), "auto") | record | {"functional_implementation": "jax"}
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["energy", "nowhere.xyz"], "cannot read 'nowhere.xyz'"),
        (["energy", "C1C"], "which is no file; read as SMILES"),
        (["energy", "C", "--charge", "1", "--multiplicity", "1"], "possible: 2, 4"),
        (["energy", "C", "--grid", "11"], "scf.grid: got 11"),
        (["energy", "C", "--convergence", "tihgt"], "unknown preset 'tihgt'"),
        (["energy", "C", "--functional", "{ nam"], "not an inline TOML table"),
        (["energy", "C", "--functional", "b3lyp"], "scf.functional: unknown functional 'b3lyp'"),
        (["energy"], "Missing argument 'MOLECULE'"),
        (["energyy"], "Did you mean 'energy'"),
        (["run", "nowhere.toml"], "nowhere.toml: no such configuration file"),
    ],
)
def test_bad_input_is_exit_code_2_with_one_message_and_no_traceback(arguments, message, capsys):
    assert run(*arguments) == 2
    shown = capsys.readouterr()
    assert message in shown.err
    assert "Traceback" not in shown.err
    assert shown.out == ""


def test_debug_shows_the_traceback(capsys):
    assert run("energy", "nowhere.xyz", "--debug") == 2
    assert "Traceback" in capsys.readouterr().err


# ---- run


def test_tasks_run_in_order_and_the_worst_exit_code_counts(tmp_path, counting):
    path = config(tmp_path, "code = 1", "code = 0")
    assert run("run", path, plugins=counting) == 1
    assert Count.runs == [1, 0]


def test_nothing_runs_if_a_later_task_or_the_spec_is_wrong(tmp_path, counting, capsys):
    assert run("run", config(tmp_path, "", "cod = 1"), plugins=counting) == 2
    assert "task[1] (count).cod: unknown key; did you mean 'code'" in capsys.readouterr().err
    assert run("run", config(tmp_path, "", scf="[scf]\nfunctional = 'b3lpy'\n"), plugins=counting) == 2
    assert "scf.functional: unknown functional" in capsys.readouterr().err
    assert run("run", config(tmp_path), plugins=counting) == 2
    assert "no [[task]]" in capsys.readouterr().err
    assert Count.runs == []


# ---- plugins and their commands


def test_listing_plugins_imports_no_jax_and_takes_less_than_a_second():
    script = (
        "import sys, scfx.cli; code = scfx.cli.main(['plugins', '--json']); "
        "heavy = {'jax', 'pyscf', 'rdkit', 'pyarrow', 'torch', 'basis_set_exchange', 'matplotlib'} & set(sys.modules); "
        "assert code == 0 and not heavy, heavy"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    elapsed = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert "scfx_xc" in {p["name"] for p in data["plugins"]}
    assert {"name", "status", "reason", "distribution", "plugin"} <= set(data["offers"]["backends"][0])
    # 0.15 s on an idle core; the machine may be running other tests.
    assert elapsed < 1.0 or os.getloadavg()[0] > 1.0


def test_plugins_shows_what_is_missing_failed_and_misspelt(capsys):
    class Broken:
        @scfx.hookimpl
        def scfx_register_tasks(self):
            raise OSError("no licence")

    class Absent:
        @scfx.hookimpl
        def scfx_register_models(self):
            return [scfx.Offer("net", "net:Net", "a network", requires=("no_such_package",))]

        @scfx.hookimpl
        def scfx_register_model(self):
            return []

    assert run("plugins", "--hooks", plugins={"broken": Broken(), "absent": Absent()}) == 0
    out = capsys.readouterr().out
    for text in (
        "needs no_such_package, which is not installed",
        "failed",
        "OSError: no licence",
        "scfx_register_model is not a hook; did you mean scfx_register_models?",
        "hooks: scfx_register_models",
    ):
        assert text in " ".join(out.split())


def test_a_plugin_adds_commands_and_header_lines(capsys):
    assert run("hello", plugins={"c": Commands()}) == 0
    assert run("--help", plugins={"c": Commands()}) == 0
    assert run("info", plugins={"c": Commands()}) == 0
    out = capsys.readouterr().out
    for text in ("hello", "Greet.", "device: abacus", scfx.__version__, "kernels", "jax devices"):
        assert text in out


def test_a_plugin_cannot_replace_a_command_and_breaks_no_other(capsys):
    assert run("hello", plugins={"a": Greedy(), "c": Commands()}) == 0
    shown = capsys.readouterr()
    assert shown.out == "hello\n"
    assert "plugin a (a) failed in scfx_register_commands" in shown.err
    assert "'energy' exists already" in shown.err


def test_an_interrupt_is_exit_code_130_with_a_clean_line(capsys):
    assert run("interrupt", plugins={"c": Commands()}) == 130
    assert capsys.readouterr().err.strip().endswith("scfx: interrupted")


def test_a_fault_is_reported_as_one_with_the_way_to_its_traceback(capsys):
    assert run("crash", plugins={"c": Commands()}) == 1
    err = capsys.readouterr().err
    assert "unexpected ZeroDivisionError: oops" in err
    assert "--debug" in err


def test_help_teaches_by_example(capsys):
    for arguments, example in (
        (["--help"], "scfx energy CCO"),
        (["energy", "--help"], "scfx energy water.xyz --functional b3lyp"),
        (["run", "--help"], "[[task]]"),
    ):
        assert run(*arguments) == 0
        assert example in capsys.readouterr().out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(shell, capsys):
    assert scfx.cli.main(["--completion", shell]) == 0
    assert "_SCFX_COMPLETE" in capsys.readouterr().out


def test_a_shell_is_told_commands_options_and_levels(monkeypatch, capsys):
    for words, expected in (("scfx lev", "level"), ("scfx energy --conv", "--convergence")):
        monkeypatch.setenv("COMP_WORDS", words)
        monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
        monkeypatch.setenv("_SCFX_COMPLETE", "bash_complete")
        with contextlib.suppress(SystemExit):
            scfx.cli.main([])
        assert f"plain,{expected}" in capsys.readouterr().out.split()


def test_cite_names_the_paper_and_what_it_stands_on(capsys):
    assert run("cite") == 0
    out = capsys.readouterr().out
    # arXiv:2311.01135; J. Chem. Phys. 153, 024109; J. Comput. Chem. 36, 1664.
    for text in ("2311.01135", "10.1063/5.0006074", "10.1002/jcc.23981", "jax-ml/jax", scfx.__version__):
        assert text in out
    assert out.count("{") == out.count("}")
    entries = out.split("\n@")[1:]
    assert len(entries) == 5
    for entry in entries:
        assert "author" in entry
        # The project's own entry invents nothing: the text before it says that there is nothing to give.
        if entry.startswith("software{scfx"):
            assert "author  = {{scfx}}" in entry
            assert "url" not in entry
        else:
            assert re.search(r"year\s*= \{20\d\d\}", entry)
            assert "url" in entry or "doi" in entry
    assert "no address" in out.split("\n@")[0]


@pytest.mark.parametrize(
    ("module", "code", "said"),
    [
        ("rdkit.Chem", 2, "needs the package 'rdkit', which is not installed: pip install 'scfx[dataset]'"),
        ("basis_set_exchange", 2, "'basis-set-exchange', which is not installed: pip install 'scfx[bse]'"),
        ("scfx_dataset.nothing", 1, "a fault of scfx"),
    ],
)
def test_a_missing_extra_ends_in_the_command_that_installs_it(module, code, said, capsys):
    class Commands:
        @scfx.hookimpl
        def scfx_register_commands(self, group):
            @group.command()
            def needy():
                raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    assert run("needy", plugins={"c": Commands()}) == code
    assert said in capsys.readouterr().err


def test_plugins_keeps_its_summaries_in_a_narrow_terminal(monkeypatch):
    from rich.console import Console

    shown = Console(width=80, file=io.StringIO(), force_terminal=True, no_color=True)
    monkeypatch.setattr("rich.console.Console", lambda **options: shown)
    assert run("plugins", plugins={"first": TwoOffers(), "second": TwoOffers()}) == 0
    lines = re.sub(r"\x1b\[[\d;]*m", "", shown.file.getvalue()).splitlines()
    assert all(len(line) <= 80 for line in lines)
    text = " ".join(" ".join(line.split()) for line in lines)
    assert "basis sets (scf.basis), from first, second" in text
    for plugin in ("first", "second"):  # one name of two: whose it is stands beside it
        assert f"(also another-quite-long-name yet-another-quite-long-name) [{plugin}]" in text
    assert "status" not in text.partition("plugins")[0]  # all are available


class TwoOffers:
    @scfx.hookimpl
    def scfx_register_basis_sets(self):
        aliases = ("another-quite-long-name", "yet-another-quite-long-name")
        return [scfx.Offer("long", "a:b", "a summary that says what it is", aliases=aliases)]


def test_python_m_scfx_is_the_command():
    done = run_in_subprocess("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"scfx, version {scfx.__version__}")
    assert run_in_subprocess("energy", "nowhere.xyz").returncode == 2


def _seconds_of_processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


#: Before the arguments of a Python child: pytest's workers ignore SIGINT, which children inherit.
HEEDING_INTERRUPTS = (
    sys.executable, "-c",
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); "
    "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])",
)  # fmt: skip


def test_ctrl_c_during_a_calculation_ends_cleanly():
    # Long enough to be caught in: minutes of one core, whatever the machine.
    process = subprocess.Popen(
        [*HEEDING_INTERRUPTS, "-m", "scfx", "energy", "C" * 40, "--basis", "6-31g*", "--grid", "9"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )  # fmt: skip
    while _seconds_of_processor(process.pid) < 6.0:  # imported, embedded, computing
        assert process.poll() is None
        time.sleep(0.1)
    # Python drops a KeyboardInterrupt that is raised in a destructor; people press again.
    for _ in range(5):
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=20)
            break
        except subprocess.TimeoutExpired:
            continue
    else:
        process.kill()
        pytest.fail("five interrupts did not end it")
    assert process.returncode == 130
    assert "Traceback" not in err


def test_a_second_ctrl_c_ends_a_call_of_compiled_code():
    # Minutes in one C function, which sees no signal and lets Python see none.
    program = (
        "import hashlib; from scfx.execution.interrupt import leave_at_second_interrupt\n"
        "with leave_at_second_interrupt():\n"
        "    print('in', flush=True); hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)"
    )
    process = subprocess.Popen(
        [*HEEDING_INTERRUPTS, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in\n"
    before = _seconds_of_processor(process.pid)
    while _seconds_of_processor(process.pid) < before + 0.5:  # the call has begun
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(timeout=1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "scfx: interrupted\n"
