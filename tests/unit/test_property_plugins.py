"""Properties as plugins: chosen by name, computed once and only when asked, and a fault costs nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import molecule

import scfx
from scfx.contracts.property import AbstractBatchProperty, AbstractProperty, Column, plain
from scfx.properties.requests import requested
from scfx.registry import Registry

WATER = scfx.System.from_arrays("HOH", [[0, 0.757, 0.587], [0, 0, 0], [0, -0.757, 0.587]])
OPTIONS = {"functional": "hf", "basis": "sto-3g", "backend": "libcint"}


class Counted(AbstractProperty):
    name = "counted"
    unit = "hartree/bohr"
    axes = ("atom",)
    summary = "twice the nuclear charges"
    column = Column("counted_ev_per_angstrom", "eV/angstrom", -2.0)
    calls = 0

    def compute(self, entry):
        type(self).calls += 1
        return 2.0 * entry.nuclear_charges


class Needy(AbstractProperty):
    name = "needy"
    summary = "a sum over another property"
    needs = ("counted",)

    def compute(self, entry):
        return entry.value("counted").sum()


class Faulty(AbstractProperty):
    name = "faulty"
    summary = "raises"

    def compute(self, entry):
        return 1 / 0


class NeedsFaulty(AbstractProperty):
    name = "needs_faulty"
    summary = "needs what raises"
    needs = ("faulty",)

    def compute(self, entry):
        return 1.0


class Misshapen(AbstractProperty):
    name = "misshapen"
    summary = "of the wrong shape"
    axes = ("atom", "xyz")

    def compute(self, entry):
        return np.zeros(3)


class InBatches(AbstractBatchProperty):
    name = "in_batches"
    summary = "numbers of functions, for a batch at once"

    def compute_batch(self, run, lanes):
        return [float(run.batch.nao)] * len(lanes)


class Circle(AbstractProperty):
    name = "circle"
    summary = "needs itself by way of another"
    needs = ("other_half",)

    def compute(self, entry):
        return 0.0


class OtherHalf(Circle):
    name = "other_half"
    needs = ("circle",)


class Refuses(AbstractProperty):
    name = "refuses"
    summary = "cannot be had"

    def check(self, resolved):
        raise scfx.ConfigError("scf.properties", f"'refuses': not with {resolved.names['functional']}")

    def compute(self, entry):
        raise AssertionError("the SCF should not have begun")


MINE = (Counted, Needy, Faulty, NeedsFaulty, Misshapen, InBatches, Circle, OtherHalf, Refuses)


class Plugin:
    @scfx.hookimpl
    def scfx_register_properties(self):
        return [scfx.Offer(c.name, f"{__name__}:{c.__name__}", c.summary) for c in MINE]


@pytest.fixture(scope="module")
def extended():
    import sys
    import types

    # pytest imports test files under names of its own: the offers' targets are looked up in this one.
    sys.modules.setdefault(__name__, types.ModuleType(__name__))
    for each in MINE:
        setattr(sys.modules[__name__], each.__name__, each)
    return Registry.discover(extra=[("mine", Plugin())])


def test_energy_has_the_same_bits_and_hash_whatever_is_asked(extended):
    plain_result = scfx.solve(WATER, **OPTIONS, registry=extended)
    names = ["counted", "hirshfeld_charges", "faulty", "density_matrix", "quadrupole"]
    asked = scfx.solve(WATER, **OPTIONS, properties=names, registry=extended)
    assert asked.energy[0] == plain_result.energy[0]
    np.testing.assert_array_equal(asked.orbital_energies, plain_result.orbital_energies)
    np.testing.assert_array_equal(asked.dipole, plain_result.dipole)
    assert asked.provenance["spec_hash"] == plain_result.provenance["spec_hash"]
    assert list(asked.properties) == names
    assert plain_result.properties == {}


def test_a_property_that_others_need_is_computed_once_and_reported_only_if_asked_for(extended):
    Counted.calls = 0
    result = scfx.solve([WATER, WATER], **OPTIONS, properties=["needy"], registry=extended)
    assert Counted.calls == 2
    assert result.properties == {"needy": [20.0, 20.0]}
    Counted.calls = 0
    result = scfx.solve(WATER, **OPTIONS, properties=["needy", "counted"], registry=extended)
    assert Counted.calls == 1
    np.testing.assert_array_equal(result.properties["counted"][0], [2.0, 16.0, 2.0])


def test_a_fault_nulls_its_own_value_and_says_why(extended):
    names = ["faulty", "needs_faulty", "misshapen", "in_batches"]
    result = scfx.solve(WATER, **OPTIONS, properties=names, registry=extended).raise_for_status()
    assert result.properties == {
        "faulty": [None], "needs_faulty": [None], "misshapen": [None], "in_batches": [7.0],
    }  # fmt: skip
    reasons = {name: texts[0] for name, texts in result.property_reasons.items()}
    assert reasons["faulty"] == "ZeroDivisionError: division by zero"
    assert reasons["needs_faulty"] == "needs faulty: ZeroDivisionError: division by zero"
    assert reasons["misshapen"] == "it gave an array of shape (3,), expected axes (atom, xyz), here (3, 3)"
    assert reasons["in_batches"] == ""


def test_an_entry_that_did_not_converge_has_no_properties():
    result = scfx.solve(
        WATER, **OPTIONS, properties="mulliken_charges", recovery=False, convergence={"max_iterations": 2}
    )
    assert result.properties == {"mulliken_charges": [None]}
    assert result.property_reasons == {"mulliken_charges": ["the entry did not converge"]}
    assert np.isfinite(result.mulliken_charges[0]).all()  # kept for looking


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["gradiant"], r"scf\.properties: unknown property 'gradiant'; did you mean 'gradient'"),
        (["dipole", "dipole"], r"scf\.properties: 'dipole' is asked for twice"),
        (["circle"], r"scf\.properties: circle needs other_half needs circle: they need each other"),
        (["refuses"], r"scf\.properties: 'refuses': not with hf"),
        ([{"name": "mbis_charges", "max_iteration": 3}], r"scf\.properties\.max_iteration: .* did you mean"),
        ([{"name": "mbis_charges", "threshold": 0.0}], r"scf\.properties: property 'mbis_charges'"),
        ([3], r"scf\.properties.*expected a name"),
        (3, r"scf\.properties.*expected a list of names"),
    ],
)
def test_what_cannot_be_had_is_refused_before_any_scf(extended, names, message):
    with pytest.raises(scfx.ConfigError, match=message):
        scfx.Solver(**OPTIONS, properties=names, registry=extended)


def test_gradient_of_a_backend_without_derivatives_is_refused_before_any_scf(registry):
    with pytest.raises(scfx.CapabilityError, match=r"scf\.backend: .* derivatives of order 1 are asked"):
        scfx.Solver(
            functional="hf", backend="ipu", precision="float32", properties="gradient", registry=registry
        )


def test_every_built_in_property_says_what_it_is(registry):
    offered = [o for o in registry.offers("properties") if o.plugin == "scfx_properties"]
    assert len(offered) >= 20
    columns = []
    for offer in offered:
        made = registry.entry_property(offer.name)
        assert made.name == offer.name
        assert made.summary
        if made.column is not None:
            columns.append(made.column.name)
            unit = made.column.unit.replace("/", "_per_").lower()
            assert made.column.description
            # The unit is in the name, but where it is elementary charges, as columns have always been called.
            assert unit in ("", "elementary charge") or made.column.name.endswith(
                unit.replace("^", "").replace(" ", "_")
            )
    assert len(set(columns)) == len(columns)


def test_asking_for_a_gradient_brings_what_says_how_good_it_is(registry):
    found = requested(registry, ["gradient"])
    assert found.reported == ("gradient", "net_force", "net_torque", "orbital_gradient", "electrons_on_grid")
    assert found.derivatives == 1


def test_stored_values_are_plain_numbers_with_factor_and_sign():
    assert Counted.column is not None
    assert Counted.column.stored(np.array([1.0, -0.5])) == [-2.0, 1.0]
    assert Counted.column.stored(None) is None
    assert plain({"a": 1.0, "b": np.nan}) == {"a": 1.0, "b": None}
    assert plain(np.array([[1.0, np.inf]])) == [[1.0, None]]
    assert Counted().key == "counted_hartree_per_bohr"


def test_a_property_may_be_an_object(registry):
    (value,) = scfx.solve(WATER, **OPTIONS, properties=[Counted()], registry=registry).properties["counted"]
    np.testing.assert_array_equal(value, [2.0, 16.0, 2.0])


def test_a_result_is_a_line_records_and_a_table():
    result = scfx.solve([WATER, molecule("H2O")], **OPTIONS, properties="hirshfeld_charges")
    assert repr(result) == "SCFResult(2 converged, hf/sto-3g, properties: hirshfeld_charges)"
    records = result.to_dict()
    assert records[1]["energy_hartree"] == result.energy[1]
    assert records[0]["hirshfeld_charges_e"] == result.properties["hirshfeld_charges"][0].tolist()
    table = result.to_pandas()
    assert list(table["energy_hartree"]) == result.energy.tolist()
    assert list(table.columns) == list(records[0])


def test_properties_do_not_depend_on_company():
    names = ["hirshfeld_charges", "wiberg_bond_orders", "electronic_spatial_extent"]
    alone = scfx.solve(WATER, **OPTIONS, properties=names)
    beside = scfx.solve([molecule("H2O"), WATER], **OPTIONS, properties=names)
    for name in names:
        np.testing.assert_array_equal(alone.properties[name][0], beside.properties[name][1])
