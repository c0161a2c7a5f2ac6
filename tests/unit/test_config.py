"""Configuration: the forms it takes, what its errors say, and what the spec hash does and does not depend on."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
import typing

import numpy as np
import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

import scfx
from scfx.config.convergence import CONVERGENCE_PRESETS, Convergence
from scfx.config.file import Config
from scfx.config.old_keys import with_present_names
from scfx.config.spec import SCFSpec
from scfx.config.spec_hash import plain, spec_hash
from scfx.model.system import HARTREE_IN_EV
from scfx.registry import Registry


class Fraction(scfx.AbstractFunctional):
    family = "lda"

    def __init__(self, fraction: float = 0.2, omega: float = 0.0, long_range: float = 0.0):
        self.exact_exchange, self.omega, self.long_range_exchange = fraction, omega, long_range

    def energy_density(self, density):
        return density.rho_a


class Minimal(scfx.AbstractBasisSource):
    def __init__(self, exponent: float = 1.0, highest: int = 0):
        self.exponent, self.highest = exponent, highest

    def shells(self, atomic_number):
        return [scfx.Shell.normalised(self.highest, [self.exponent], [1.0])]

    def definition(self):
        return {"exponent": self.exponent, "highest": self.highest}


class Idle(scfx.AbstractIntegralBackend):
    def __init__(self, threads: int = 1):
        self.threads = threads

    def one_electron(self, batch):
        raise NotImplementedError

    def two_electron(self, batch, policy, memory_budget):
        raise NotImplementedError


class Echo(scfx.AbstractTask):
    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")
        conformers: int = 1

    def run(self, context):
        return 0


class Plugin:
    """Offers the classes of this file."""

    @scfx.hookimpl
    def scfx_register_functionals(self):
        return [
            scfx.Offer("b3lyp", f"{__name__}:Fraction", "x", aliases=("b3lyp-rpa",)),
            scfx.Offer("b3lyp5", f"{__name__}:Fraction", "x", options={"fraction": 0.25}),
            scfx.Offer("lc", f"{__name__}:Fraction", "x", options={"omega": 0.3, "long_range": 1.0}),
        ]

    @scfx.hookimpl
    def scfx_register_basis_sets(self):
        return [scfx.Offer("sto-3g", f"{__name__}:Minimal", "x")]

    @scfx.hookimpl
    def scfx_register_precision_policies(self):
        return [scfx.Offer("float64", "scfx.config.precision:FLOAT64", "x")]

    @scfx.hookimpl
    def scfx_register_backends(self):
        able = scfx.Capabilities(preference=1, max_angular_momentum=1)
        return [scfx.Offer("idle", f"{__name__}:Idle", "x", capabilities=able)]

    @scfx.hookimpl
    def scfx_register_tasks(self):
        return [scfx.Offer("echo", f"{__name__}:Echo", "x")]


@pytest.fixture
def registry(monkeypatch):
    import sys
    import types

    # Under pytest's importlib mode this file may not be importable by its own name.
    module = types.ModuleType(__name__)
    module.__dict__.update(Fraction=Fraction, Minimal=Minimal, Idle=Idle, Echo=Echo)
    monkeypatch.setitem(sys.modules, __name__, module)
    return Registry.from_plugins({"p": Plugin()})


def hash_of(registry, **fields):
    return SCFSpec.create(fields).resolve(registry).spec_hash


# ---- the spec


def test_defaults_are_those_of_the_documentation():
    spec = SCFSpec()
    assert (spec.backend, spec.functional, spec.basis, spec.precision, spec.grid) == (
        "auto", "b3lyp", "sto-3g", "float64", 3,
    )  # fmt: skip
    assert spec.convergence == Convergence() == CONVERGENCE_PRESETS["default"]
    assert (spec.convergence.energy, spec.convergence.rule) == (1e-9, "gradient")
    assert spec.memory_budget == 4 * 2**30


def test_a_spec_is_frozen_and_survives_json():
    spec = SCFSpec.create(
        backend={"name": "ipu", "tiles": 1472}, grid={"level": 1}, convergence="qm1b", threads=2
    )
    assert SCFSpec.model_validate_json(spec.model_dump_json()) == spec
    with pytest.raises(ValidationError, match="frozen"):
        spec.grid = 2  # type: ignore[misc]


def test_the_papers_convergence_is_20_iterations_9_vectors_and_10_mev():
    # Mathiasen et al. (2023), arXiv:2311.01135: CDIIS of 9 vectors, 20 fixed iterations, std of the last five energies
    # below 0.01 eV.
    qm1b = SCFSpec.create(convergence="qm1b").convergence
    assert (qm1b.rule, qm1b.max_iterations, qm1b.diis_space) == ("qm1b", 20, 9)
    assert qm1b.energy * HARTREE_IN_EV == pytest.approx(0.01)
    assert SCFSpec.create(convergence={"rule": "qm1b"}).convergence == qm1b


def test_a_convergence_table_starts_from_its_preset():
    made = SCFSpec.create(convergence={"preset": "loose", "max_iterations": 7}).convergence
    assert made == CONVERGENCE_PRESETS["loose"].model_copy(update={"max_iterations": 7})


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4 GiB", 4 * 2**30), ("500 MB", 500_000_000), ("1.5GiB", 3 * 2**29), ("1024", 1024), (7, 7)],
)
def test_a_memory_budget_may_be_text_with_a_unit(text, expected):
    assert SCFSpec.create(memory_budget=text).memory_budget == expected


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bakend": "x"}, r"scf\.bakend: unknown key; did you mean 'backend'\? \(keys: backend, "),
        ({"grid": 10}, r"scf\.grid: got 10; grid levels are 0 to 9"),
        ({"grid": "fine"}, r"scf\.grid: got 'fine'; expected a level 0 to 9, or a table"),
        ({"grid": (75, 302, 1)}, r"scf\.grid: .*two numbers .* as \{ atom_grid = \[75, 302\] \}"),
        ({"grid": {"levle": 1}}, r"scf\.grid: .*unknown key 'levle' \(keys: level, atom_grid, prune, turn\)"),
        ({"convergence": "tigt"}, r"scf\.convergence: got 'tigt'; unknown preset .*tight"),
        ({"convergence": {"enrgy": 1}}, r"scf\.convergence\.enrgy: unknown key; did you mean 'energy'"),
        ({"convergence": {"energy": -1.0}}, r"scf\.convergence\.energy: got -1.0; .*greater than 0"),
        ({"memory_budget": "4 parsec"}, r"scf\.memory_budget: got '4 parsec'; expected a number of bytes"),
        ({"guess": "sad"}, r"scf\.guess: got 'sad'; input should be 'atomic', 'sap' or 'core'"),
        ({"reference": "rohf"}, r"scf\.reference: .*'restricted'"),
        ({"backend": 3}, r"scf\.backend: got 3; expected a name, or a table"),
        ({"backend": {"tiles": 2}}, r"scf\.backend: .*a table needs a name"),
        ({"lane_width": 0}, r"scf\.lane_width: got 0; .*greater than or equal to 1"),
    ],
)
def test_a_wrong_value_says_key_what_was_got_and_what_is_expected(fields, message):
    with pytest.raises(scfx.ConfigError, match=message):
        SCFSpec.create(fields)


def test_all_wrong_values_are_reported_at_once():
    with pytest.raises(scfx.ConfigError) as caught:
        SCFSpec.create(grid=12, threads=0)
    assert caught.value.key == "scf.grid"
    assert "scf.threads" in str(caught.value)


# ---- the hash


def test_the_hash_depends_on_definitions_and_not_on_names(registry):
    plain_b3lyp = hash_of(registry, functional="b3lyp")
    assert hash_of(registry, functional="B3LYP-rpa") == plain_b3lyp
    assert hash_of(registry, functional="p:b3lyp") == plain_b3lyp
    assert hash_of(registry, functional={"name": "b3lyp", "fraction": 0.2}) == plain_b3lyp
    assert hash_of(registry, backend="idle") == plain_b3lyp
    assert hash_of(registry, grid={"level": 3}) == plain_b3lyp


@pytest.mark.parametrize(
    "fields",
    [
        {"functional": "b3lyp5"},
        {"basis": {"name": "sto-3g", "exponent": 1.1}},
        {"precision": {"name": "float64", "functional": "float32"}},
        {"grid": 1},
        {"convergence": "tight"},
        {"guess": "core"},
        {"reference": "unrestricted"},
        {"backend": {"name": "idle", "threads": 2}},
    ],
    ids=str,
)
def test_the_hash_changes_with_whatever_labels_depend_on(registry, fields):
    assert hash_of(registry, **fields) != hash_of(registry)


@pytest.mark.parametrize("fields", [{"memory_budget": "1 GiB"}, {"threads": 1}, {"lane_width": 4}], ids=str)
def test_the_hash_does_not_change_with_how_fast_it_runs(registry, fields):
    assert hash_of(registry, **fields) == hash_of(registry)


def test_a_key_under_its_old_name_works_with_a_warning_and_has_the_hash_it_always_had(registry):
    new = SCFSpec.create(diis="adiis", linear_dependence_threshold=1e-6)
    with pytest.warns(FutureWarning) as warned:
        old = SCFSpec.create({"accelerator": "adiis", "linear_dependence": 1e-6})
    said = sorted(str(warning.message) for warning in warned)
    assert said == [
        "scf.accelerator is now scf.diis; write diis = 'adiis'",
        "scf.linear_dependence is now scf.linear_dependence_threshold; write linear_dependence_threshold = 1e-06",
    ]
    assert old == new
    assert (new.accelerator, new.linear_dependence) == ("adiis", 1e-6)
    # What is hashed is what it was before the keys were renamed, so that rows of earlier versions stay the same labels.
    definition = new.resolve(registry).definition
    assert (definition["accelerator"], definition["linear_dependence"]) == ("adiis", 1e-6)
    with pytest.raises(scfx.ConfigError, match=r"scf\.accelerator: is the old name of scf\.diis"):
        SCFSpec.create({"accelerator": "adiis"}, diis="cdiis")
    assert with_present_names({"accelerator": "adiis", "grid": 1}) == {"diis": "adiis", "grid": 1}


def test_a_file_may_have_old_keys_as_values_or_lists(tmp_path):
    path = write(tmp_path, '[scf]\naccelerator = ["cdiis", "adiis"]\n[[task]]\nname = "study"\n')
    with pytest.warns(FutureWarning, match="is now scf.diis") as warned:
        config = Config.load(path)
    assert len(warned) == 1
    assert config.scf_lists == {"diis": ("cdiis", "adiis")}
    assert config.scf.diis == "cdiis"


def test_a_backend_can_say_that_its_options_do_not_change_labels(registry):
    class Sure(Idle):
        name = "idle"

        def definition(self):
            return {"name": self.name}

    assert hash_of(registry, backend=Sure(1)) == hash_of(registry, backend=Sure(2))


def test_canonical_json_is_blind_to_order_and_array_type_and_refuses_nan():
    assert spec_hash({"a": 1.5, "b": (1, 2)}) == spec_hash({"b": np.array([1, 2]), "a": np.float64(1.5)})
    assert plain({"a": np.arange(2)}) == {"a": [0, 1]}
    for bad in (float("nan"), object()):
        with pytest.raises(scfx.InputError, match="plain finite data"):
            spec_hash({"a": bad})


def test_a_resolved_spec_says_what_was_chosen(registry):
    resolved = SCFSpec.create(functional="B3LYP-RPA", grid=0).resolve(registry)
    assert resolved.names == {
        "backend": "idle", "functional": "B3LYP-RPA", "basis": "sto-3g", "precision": "float64",
    }  # fmt: skip
    assert (resolved.grid.level, resolved.guess, resolved.recovery) == (0, "atomic", True)
    assert len(resolved.spec_hash) == 64


def test_range_separation_and_angular_momentum_are_asked_of_the_backend(registry):
    with pytest.raises(scfx.CapabilityError, match=r"scf\.backend: .*range-separated"):
        SCFSpec.create(functional="lc").resolve(registry)
    high = SCFSpec.create(basis={"name": "sto-3g", "highest": 3}, backend="idle")
    with pytest.raises(scfx.CapabilityError, match="f shells are asked, it goes up to p"):
        high.resolve(registry, atomic_numbers=[1, 8])


# ---- files


def write(folder, text):
    path = folder / "config.toml"
    path.write_text(text)
    return path


def test_a_file_is_the_keyword_arguments(tmp_path):
    path = write(
        tmp_path, '[scf]\nbackend = { name = "ipu", tiles = 8 }\ngrid = 1\nmemory_budget = "1 GiB"\n'
    )
    assert Config.load(path).scf == SCFSpec.create(
        backend={"name": "ipu", "tiles": 8}, grid=1, memory_budget="1 GiB"
    )


def test_overrides_are_toml_values_or_text_and_reach_into_tables_and_tasks(tmp_path):
    path = write(tmp_path, '[scf]\nbackend = "ipu"\n[[task]]\nname = "echo"\n')
    config = Config.load(
        path,
        [
            "scf.grid=1",
            "scf.functional=wb97x-d",
            "scf.backend.device=host",
            "task.0.conformers=4",
            "task.echo.x=[1]",
        ],
    )
    assert config.scf.grid == 1
    assert config.scf.functional == "wb97x-d"
    assert config.scf.backend == {"name": "ipu", "device": "host"}
    assert config.task == ({"name": "echo", "conformers": 4, "x": [1]},)


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        ("[scf\n", [], r"config\.toml: not valid TOML: .*line 1"),
        ("[scff]\n", [], r"scff: unknown key; did you mean 'scf'\? \(keys: title, scf, task\)"),
        ("[scf]\nbass = 1\n", [], r"scf\.bass: unknown key; did you mean 'basis'"),
        ("[scf]\ngrid = 99\n", [], r"scf\.grid: got 99"),
        ("", ["scf.grid"], r"--set: got 'scf\.grid', expected dotted\.key=value"),
        (
            "[[task]]\nname = 'echo'\n",
            ["task.1.x=2"],
            r"task\.1\.x: '1' is not one of the entries: 0 \(echo\); set a key of one as task\.0\.KEY",
        ),
        ("title = 'x'\n", ["title.y=2"], r"title\.y: cannot set 'y' inside 'x'"),
    ],
)
def test_a_wrong_file_says_where_and_what(tmp_path, text, overrides, message):
    with pytest.raises(scfx.ConfigError, match=message):
        Config.load(write(tmp_path, text), overrides)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(scfx.ConfigError, match=r"none\.toml: no such configuration file"):
        Config.load(tmp_path / "none.toml")


def test_every_task_is_validated_by_its_own_options(registry):
    good = Config.from_table({"task": [{"name": "echo", "conformers": 3}]}).tasks(registry)
    assert good[0].options.conformers == 3
    for entry, message in (
        (
            {"name": "echo", "conformer": 3},
            r"task\[0\] \(echo\)\.conformer: unknown key; did you mean 'conformers'",
        ),
        ({"name": "ecco"}, r"task\[0\]\.name: unknown task 'ecco'; did you mean 'echo'"),
        ({"conformers": 3}, r"task\[0\]\.name: got None"),
    ):
        with pytest.raises(scfx.ConfigError, match=message):
            Config.from_table({"task": [entry]}).tasks(registry)


def test_the_json_form_of_a_spec_is_valid_toml_input():
    spec = SCFSpec.create(convergence="tight", backend={"name": "simd"})
    table = {key: value for key, value in json.loads(spec.model_dump_json()).items() if value is not None}
    assert SCFSpec.create(table) == spec


# ---- lists, for tasks that compare


def test_a_list_in_scf_is_for_tasks_that_take_lists_and_refused_by_key_elsewhere(registry):
    table = {"scf": {"grid": [0, 1], "functional": "b3lyp"}, "task": [{"name": "echo"}]}
    config = Config.from_table(table)
    assert (config.scf.grid, dict(config.scf_lists)) == (0, {"grid": (0, 1)})
    with pytest.raises(
        scfx.ConfigError, match=r"scf\.grid: is a list of 2 values, and task\[0\] \(echo\) comp.*one"
    ):
        config.tasks(registry)
    with pytest.raises(
        scfx.ConfigError, match=r"scf\.grid: is a list, and the file has no task\. Give one value"
    ):
        Config.from_table({"scf": {"grid": [0, 1]}})
    with pytest.raises(scfx.ConfigError, match=r"scf\.grid: is an empty list"):
        Config.from_table({**table, "scf": {"grid": []}})
    with pytest.raises(scfx.ConfigError, match=r"scf\.grid: got 12"):
        Config.from_table({**table, "scf": {"grid": [0, 12]}})


def test_a_plain_configuration_has_no_lists():
    assert dict(Config.from_table({"scf": {"grid": {"atom_grid": [75, 302]}}}).scf_lists) == {}


# ---- what an editor knows


def test_keyword_arguments_are_those_of_the_spec():
    from scfx.config import keywords
    from scfx.grid import GridSpec

    assert set(keywords.SCFKeywords.__annotations__) | set(keywords.SCFOptions.__annotations__) == set(
        scfx.SCFSpec.model_fields
    )
    # solve names the five others itself.
    named = inspect.signature(scfx.solve).parameters
    assert set(keywords.SCFOptions.__annotations__) == set(scfx.SCFSpec.model_fields) - set(named)
    assert set(typing.get_args(keywords.Preset)) == set(CONVERGENCE_PRESETS)
    assert set(keywords.ConvergenceTable.__annotations__) == {"preset", *Convergence.model_fields}
    assert set(keywords.GridTable.__annotations__) == {f.name for f in dataclasses.fields(GridSpec)}
    for name in ("guess", "reference", "device"):
        ours = re.findall(
            r"'([^']+)'|\"([^\"]+)\"", keywords.SCFOptions.__annotations__[name].__forward_arg__
        )
        assert {a or b for a, b in ours} == set(typing.get_args(scfx.SCFSpec.model_fields[name].annotation))


def test_a_checker_finds_misspelt_keywords_and_units(tmp_path):
    import subprocess

    code = [
        "import scfx",
        "s = scfx.System.from_arrays(['He'], [[0, 0, 0]], unit='ang')",
        "scfx.solve(s, convergance='tight')",
        "scfx.Solver(bassis='sto-3g')",
        "scfx.solve(s, convergence='tigt')",
        "scfx.solve(s, reference='rohf')",
        "scfx.solve(s, 'hf', {'name': 'sto-3g'}, grid=(75, 302), convergence={'preset': 'tight', 'diis_space': 6})",
        "scfx.Solver(scfx.SCFSpec(), functional='pbe', properties=['gradient'], memory_budget='4 GiB', threads=None)",
        "scfx.System.from_arrays(['He'], [[0, 0, 0]], 'bohr')",
        "scfx.System.from_arrays(['He'], [[0, 0, 0]])",
    ]
    (tmp_path / "typed.py").write_text("\n".join(code) + "\n")
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "pyright",
            "--outputjson",
            "--pythonpath",
            sys.executable,
            str(tmp_path / "typed.py"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    found = json.loads(ran.stdout)["generalDiagnostics"]
    assert sorted({d["range"]["start"]["line"] + 1 for d in found}) == [2, 3, 4, 5, 6], found


def test_two_numbers_are_the_grid_of_every_atom():
    spec, table = scfx.SCFSpec(grid=(75, 302)), scfx.SCFSpec(grid={"atom_grid": [75, 302]})
    assert spec == table
    assert spec.resolve(Registry.discover()).grid.counts(8) == (75, 302)
