"""A study that cannot be done is refused before any SCF, with the key and what to do about it."""

from __future__ import annotations

import pytest
import scfx_ipu
from dataset_fake import write_smiles
from study_fake import FakeDatasetTask, fake_registry, fake_study

import scfx
from scfx.config.file import Config

SCF = {"functional": "b3lyp5", "basis": "sto-3g", "grid": 0}


@pytest.fixture(scope="module")
def fakes():
    return fake_registry(scfx_ipu)


@pytest.fixture(autouse=True)
def _no_scf(monkeypatch):
    """Whatever is asked here, no label may be computed."""

    def run(self, context):
        raise AssertionError("labels were computed")

    monkeypatch.setattr(FakeDatasetTask, "run", run)


@pytest.fixture
def refused(tmp_path, fakes):
    """Check a configuration as `scfx run` does before the first task; returns the error."""

    def check(scf, task, smiles=("CCO", "CO")):
        keys = {"name": "study", "molecules": write_smiles(tmp_path / "m.smi", smiles), "conformers": 2}
        keys |= {"output": str(tmp_path / "out"), **task}
        keys = {key: value for key, value in keys.items() if value is not None}
        config = Config.from_table({"scf": {**SCF, **scf}, "task": [keys]})
        context = scfx.TaskContext(config.scf, fakes, None, None, config.scf_lists)
        with pytest.raises(scfx.InputError) as caught:
            config.tasks(fakes)[0].check(context)
        assert not (tmp_path / "out").exists(), "a refused study leaves no folder"
        return caught.value

    return check


TWO = {"precision": ["float64", "float32"]}
REFERENCE = {"reference": {"precision": "float64"}}


@pytest.mark.parametrize(
    ("scf", "task", "key", "message"),
    [
        (TWO, {**REFERENCE, "conformer": 3}, "task.study.conformer", "did you mean 'conformers'"),
        (TWO, {**REFERENCE, "outlier": 3}, "task.study.outlier", "did you mean 'outliers'"),
        (TWO, {}, "task[0] (study).reference", "is required"),
        (TWO, {**REFERENCE, "molecules": None}, "task.study.molecules", "is required"),
        (TWO, {**REFERENCE, "conformers": 0}, "task.study.conformers", "greater than or equal to 1"),
        (TWO, {**REFERENCE, "part": "0/2"}, "task.study.part", "Leave it out"),
        (
            TWO,
            {"reference": {"precision": "mixed"}},
            "task.study.reference",
            "there are 'float64', 'float32'",
        ),
        (TWO, {"reference": "mixed"}, "task.study.reference", "there are 'float64', 'float32'"),
        (TWO, {"reference": {"grid": 0}}, "task.study.reference.grid", "what varies: precision"),
        (
            {**TWO, "grid": [0, 1]},
            REFERENCE,
            "task.study.reference",
            "fits 2 options ('grid 0, float64', 'grid 1, float64'); say also grid",
        ),
        ({}, REFERENCE, "task.study.options", "there is nothing to compare"),
        ({"precision": ["float64"]}, REFERENCE, "task.study.options", "a study needs two or more"),
        (TWO, {**REFERENCE, "workers": [1, 2]}, "task.study.workers", "changes no label: give one value"),
        (TWO, {**REFERENCE, "bootstrap": [1, 2]}, "task[0] (study).bootstrap", "valid integer"),
        (TWO, {**REFERENCE, "seed": []}, "task.study.seed", "empty list"),
        (
            TWO,
            {**REFERENCE, "options": [{"precision": "float64"}, {"precision": "float32"}]},
            "scf.precision",
            "use either",
        ),
        (
            {},
            {"reference": "float64", "options": [{"precision": "float64"}, {"precison": "float32"}]},
            "task.study.options[1].precison",
            "did you mean 'precision'",
        ),
        (
            {},
            {"reference": "float64", "options": [{"precision": "float64"}, {"grid": [0, 1]}]},
            "task.study.options[1].grid",
            "write an option each",
        ),
        (
            {},
            {"reference": "float64", "options": [{"precision": "float64"}, {"label": "float64", "grid": 1}]},
            "task.study.options",
            "labels must differ",
        ),
        (
            {},
            {"reference": "float64", "options": [{"precision": "float64"}, {"grid": 1, "against": "grid 9"}]},
            "task.study.options[1].against",
            "no option's label",
        ),
        (
            {"precision": ["float64", "flaot32"]},
            REFERENCE,
            "scf.precision",
            "option 'flaot32': unknown",
        ),
        (
            {"precision": ["float64", {"name": "float64"}]},
            {"reference": "float64"},
            "task.study.options",
            "labels must differ",
        ),
        (
            {"memory_budget": [1000000000, "2 GB"]},
            {"reference": "memory_budget 1000000000"},
            "task.study.options",
            "define the same labels",
        ),
    ],
)
def test_a_bad_study_is_refused_with_key_and_remedy(refused, scf, task, key, message):
    error = refused(scf, task)
    assert (getattr(error, "key", ""), message in str(error)) == (key, True), error


def test_a_backend_that_cannot_do_the_basis_is_refused_with_those_that_can(refused):
    # cc-pVQZ puts g shells on carbon (Dunning 1989); ipu goes up to f, and borrows nothing.
    scf = {"backend": "ipu", "precision": "float32", "basis": ["sto-3g", "cc-pvqz"]}
    error = refused(scf, {"reference": {"basis": "sto-3g"}}, ("C",))
    assert isinstance(error, scfx.CapabilityError)
    assert error.key == "scf.backend"
    assert "option 'cc-pvqz'" in str(error)
    assert "g shells are asked, it goes up to f" in str(error)
    assert "'libcint'" in str(error)


def test_an_element_outside_the_basis_is_refused(refused):
    # 6-31G(2df,p) as QM9 has it covers H, C, N, O and F (Ramakrishnan et al. 2014).
    error = refused(
        {"basis": ["sto-3g", "6-31g(2df,p)-qm9"]}, {"reference": {"basis": "sto-3g"}}, ("CCO", "CCl")
    )
    assert "Cl" in str(error)


def test_a_list_is_refused_for_tasks_that_do_not_compare(tmp_path, fakes):
    config = Config.from_table({"scf": TWO, "task": [{"name": "dataset", "molecules": "m", "output": "o"}]})
    with pytest.raises(
        scfx.ConfigError, match=r"scf\.precision: is a list of 2 values, and task\[0\] \(dataset\)"
    ):
        config.tasks(fakes)


def test_lists_make_a_grid_and_the_reference_may_be_said_in_either_form(tmp_path, fakes):
    molecules = write_smiles(tmp_path / "m.smi", ("CCO",))
    study = fake_study(
        molecules, str(tmp_path / "out"), seed=[1, 2], reference={"precision": {"name": "FLOAT64"}, "seed": 2}
    )
    assert [o.label for o in study.options] == [
        "float64, seed 1", "float64, seed 2", "float32, seed 1", "float32, seed 2",
    ]  # fmt: skip
    assert study.reference.label == "float64, seed 2"
    assert len({o.key for o in study.options}) == 4
    assert study.pairs == [(o.label, "float64, seed 2") for o in study.options if o is not study.reference]


def test_an_option_may_be_compared_with_another_than_the_reference(tmp_path, fakes):
    import scfx_study

    options = [
        {"label": "level 1", "grid": 1},
        {"label": "level 0", "grid": 0},
        {"label": "turned", "grid": {"level": 0, "turn": 1}, "against": "level 0"},
    ]
    study = scfx_study.Study(
        SCF, reference="level 1", options=options, molecules=write_smiles(tmp_path / "m.smi", ("CCO",)),
        output=tmp_path / "out", registry=fakes,
    )  # fmt: skip
    assert study.pairs == [("level 0", "level 1"), ("turned", "level 0")]
    assert study.options[2].definition["grid"]["turn"] == 1


def test_the_backend_that_auto_takes_for_these_elements_is_the_one_that_computes(tmp_path, fakes):
    import scfx_study

    study = scfx_study.Study(
        {**SCF, "basis": ["sto-3g", "cc-pvqz"]}, reference={"basis": "sto-3g"},
        molecules=write_smiles(tmp_path / "m.smi", ("C",)), output=tmp_path / "out", registry=fakes,
    )  # fmt: skip
    assert {o.label: o.spec.backend for o in study.options} == {"sto-3g": "simd", "cc-pvqz": "libcint"}


def test_thresholds_that_are_left_out_are_those_that_forces_need(tmp_path):
    # "default" is what an option of energies gets; forces need a density that is closer to stationary.
    import scfx_study

    import scfx.properties

    keys = {"reference": {"precision": "float64"}, "output": str(tmp_path / "out")}
    keys["registry"] = fake_registry(scfx.properties)
    keys["molecules"] = write_smiles(tmp_path / "m.smi", ("CO",))
    scf = {**SCF, **TWO}
    found = [
        [option.definition["convergence"]["gradient"] for option in scfx_study.Study(each, **keys).options]
        for each in (
            scf,
            scf | {"properties": ["gradient"]},
            scf | {"properties": ["gradient"], "convergence": "loose"},
        )
    ]
    assert found == [[5e-7, 5e-7], [1e-8, 1e-7], [1e-4, 1e-4]]
