"""The registry: what it promises about names, failures and choices, with plugins made in the test."""

from __future__ import annotations

import sys
import types

import pytest

import scfx
from scfx.errors import AmbiguousNameError, PluginUnavailableError, UnknownNameError
from scfx.registry import HOOKS, Need, PluginWarning, Registry, shortfalls

HERE = "tests_of_the_registry"


class Slater(scfx.AbstractFunctional):
    family = "lda"

    def __init__(self, scale: float = 1.0):
        self.scale = scale

    def energy_density(self, density):
        return density.rho_a * self.scale


class Ghost(scfx.AbstractBasisSource):
    def __init__(self, name=""):
        self.name = name

    def shells(self, atomic_number):
        return []

    def definition(self):
        return {}


class Bare(scfx.AbstractIntegralBackend):
    def one_electron(self, batch):
        raise NotImplementedError

    def two_electron(self, batch, policy, memory_budget):
        raise NotImplementedError


class NotAFunctional:
    pass


@pytest.fixture(autouse=True)
def _module(monkeypatch):
    """The classes of this file under an importable name, for the targets of offers."""
    module = types.ModuleType(HERE)
    module.__dict__.update(
        Slater=Slater, Bare=Bare, NotAFunctional=NotAFunctional, float64=scfx.PrecisionPolicy("f")
    )
    monkeypatch.setitem(sys.modules, HERE, module)


def _hook_that_returns(answer):
    def hook():
        if isinstance(answer, Exception):
            raise answer
        return answer

    return hook


def plugin(**offers):
    """A plugin object whose scfx_register_<kind> hooks return the given lists (or raise the given exception)."""
    made = types.SimpleNamespace()
    for kind, answer in offers.items():
        setattr(made, f"scfx_register_{kind}", scfx.hookimpl(_hook_that_returns(answer)))
    return made


def offer(name, target="Slater", **more):
    return scfx.Offer(name, f"{HERE}:{target}", "for a test", **more)


def backend(name, **capabilities):
    return offer(name, "Bare", capabilities=scfx.Capabilities(**capabilities))


def test_a_name_is_found_case_free_and_by_its_aliases():
    registry = Registry.from_plugins({"p": plugin(functionals=[offer("Slater", aliases=("LDA,X",))])})
    for name in ("slater", "SLATER", "lda,x"):
        assert isinstance(registry.functional(name), Slater)
    assert registry.functional("lda,x").name == "Slater"


def test_options_of_a_table_reach_the_constructor_after_those_of_the_offer():
    registry = Registry.from_plugins({"p": plugin(functionals=[offer("s", options={"scale": 2.0})])})
    assert registry.functional("s").scale == 2.0
    assert registry.functional({"name": "s", "scale": 3.0}).scale == 3.0


def test_an_unknown_option_is_named_with_a_near_match():
    registry = Registry.from_plugins({"p": plugin(functionals=[offer("s")])})
    with pytest.raises(scfx.ConfigError, match=r"scf\.functional\.scael: .*did you mean 'scale'"):
        registry.functional({"name": "s", "scael": 3.0})


def test_options_of_a_precision_policy_replace_its_fields():
    registry = Registry.from_plugins({"p": plugin(precision_policies=[offer("f", "float64")])})
    assert registry.precision({"name": "f", "integrals": "float32"}).integrals == "float32"
    with pytest.raises(scfx.ConfigError, match=r"scf\.precision: .*'float16'"):
        registry.precision({"name": "f", "integrals": "float16"}, key=None)


def test_ready_made_objects_pass_through():
    registry = Registry.from_plugins({})
    functional, basis, policy, made = Slater(), Ghost(), scfx.PrecisionPolicy("mine"), Bare()
    assert registry.functional(functional) is functional
    assert registry.basis(basis) is basis
    assert registry.precision(policy) is policy
    assert registry.backend(made) is made
    assert made.name == "Bare"


def test_an_unknown_name_lists_near_matches_available_missing_and_failed():
    registry = Registry.from_plugins(
        {
            "good": plugin(functionals=[offer("b3lyp"), offer("pbe", requires=("no_such_package",))]),
            "bad": plugin(functionals=RuntimeError("licence expired")),
        }
    )
    with pytest.raises(UnknownNameError) as caught:
        registry.functional("b3lpy")
    text = str(caught.value)
    assert caught.value.key == "scf.functional"
    assert "did you mean 'b3lyp'" in text
    assert "available: b3lyp" in text
    assert "pbe (needs no_such_package" in text
    assert "bad (registering failed: RuntimeError: licence expired)" in text


def test_a_missing_requirement_is_known_without_importing_and_named_when_chosen():
    registry = Registry.from_plugins({"p": plugin(functionals=[offer("pbe", requires=("no_such.part",))])})
    assert [o.status for o in registry.offers("functionals")] == ["missing"]
    with pytest.raises(
        PluginUnavailableError, match=r"scf\.functional: .*no_such\.part.*pip install no-such"
    ):
        registry.functional("pbe")


def test_a_dotted_requirement_is_checked_without_importing_its_parent():
    already = "xml.dom" in sys.modules
    registry = Registry.from_plugins({"p": plugin(functionals=[offer("a", requires=("xml.dom.minidom",))])})
    assert registry.offers("functionals")[0].status == "available"
    assert ("xml.dom" in sys.modules) == already


def test_a_name_offered_twice_is_an_error_that_names_both_and_how_to_pick():
    registry = Registry.from_plugins(
        {
            "one": plugin(functionals=[offer("s")]),
            "two": plugin(functionals=[offer("S", options={"scale": 2.0})]),
        }
    )
    with pytest.raises(AmbiguousNameError, match=r"'s' of one .*'S' of two .*'one:s' or 'two:s'"):
        registry.functional("s")
    assert registry.functional("two:s").scale == 2.0
    assert registry.functional("one:s").scale == 1.0
    with pytest.raises(UnknownNameError, match=r"no plugin or distribution 'three'.*one, two"):
        registry.functional("three:s")


def test_an_alias_that_is_another_offers_name_is_ambiguous_too():
    registry = Registry.from_plugins({"one": plugin(functionals=[offer("s"), offer("t", aliases=("s",))])})
    with pytest.raises(AmbiguousNameError):
        registry.functional("s")


def test_a_plugin_that_raises_is_listed_as_failed_and_none_of_its_offers_counts():
    broken = plugin(functionals=[offer("half")], tasks=ValueError("no"))
    registry = Registry.from_plugins({"broken": broken, "good": plugin(functionals=[offer("s")])})
    assert {p.name: p.status for p in registry.plugins} == {"broken": "failed", "good": "available"}
    assert [o.name for o in registry.offers("functionals")] == ["s"]


def test_a_hook_that_returns_no_list_of_offers_is_a_failed_plugin():
    registry = Registry.from_plugins({"p": plugin(functionals=["s"])})
    assert "expected scfx.Offer only" in registry.plugins[0].reason


def test_a_hook_with_an_argument_that_scfx_does_not_pass_is_a_failed_plugin():
    class Plugin:
        @scfx.hookimpl
        def scfx_resolve_basis(self, name, elements):
            return None

    (record,) = Registry.from_plugins({"p": Plugin()}).plugins
    assert record.status == "failed"
    assert "elements" in record.reason


def test_a_misspelt_hook_is_reported_with_what_was_meant():
    class Plugin:
        @scfx.hookimpl
        def scfx_register_backend(self):
            return []

        def scfx_after_scf(self, result):
            return None

    (record,) = Registry.from_plugins({"p": Plugin()}).plugins
    assert record.misspelt == (
        "scfx_after_scf is not marked with @scfx.hookimpl and will not be called",
        "scfx_register_backend is not a hook; did you mean scfx_register_backends?",
    )


@pytest.mark.parametrize("attribute", ["SCFX_HOOK_API", "hook_api"])
def test_a_plugin_for_another_hook_api_is_incompatible_and_not_used(attribute):
    other = plugin(functionals=[offer("s")])
    setattr(other, attribute, scfx.HOOK_API + 1)
    registry = Registry.from_plugins({"p": other})
    assert registry.plugins[0].status == "incompatible"
    assert f"hook API {scfx.HOOK_API + 1}" in registry.plugins[0].reason
    assert registry.offers("functionals") == ()


def test_looking_for_hooks_does_not_touch_a_modules_lazy_names():
    module = types.ModuleType("lazy_plugin")
    module.__dir__ = lambda: ["heavy"]  # type: ignore[method-assign]

    def getattribute(name):
        raise AssertionError(f"{name} was read")

    module.__getattr__ = getattribute  # type: ignore[method-assign]
    assert Registry.from_plugins({"p": module}).plugins[0].status == "available"


def test_open_ended_families_are_asked_only_for_names_that_nobody_registered():
    asked = []

    class Family:
        @scfx.hookimpl
        def scfx_resolve_functional(self, name):
            asked.append(name)
            return Slater(7.0) if name == "gga_x_new" else None

    registry = Registry.from_plugins({"family": Family(), "p": plugin(functionals=[offer("s")])})
    assert registry.functional("s").scale == 1.0
    assert asked == []
    found = registry.functional("gga_x_new")
    assert (found.scale, found.name) == (7.0, "gga_x_new")
    with pytest.raises(UnknownNameError):
        registry.functional("family2:gga_x_new")


def test_a_family_that_raises_does_not_hide_another_that_knows_the_name():
    class Broken:
        @scfx.hookimpl
        def scfx_resolve_basis(self, name):
            raise OSError("no disk")

    class Works:
        @scfx.hookimpl
        def scfx_resolve_basis(self, name):
            return Ghost(name) if name == "here" else None

    registry = Registry.from_plugins({"a": Broken(), "b": Works()})
    assert registry.basis("here").name == "here"
    with pytest.raises(UnknownNameError, match=r"plugin a failed in scfx_resolve_basis: OSError: no disk"):
        registry.basis("there")


def test_a_target_of_the_wrong_type_says_what_it_is():
    registry = Registry.from_plugins(
        {"p": plugin(functionals=[offer("s", "NotAFunctional"), offer("t", "Gone")])}
    )
    with pytest.raises(
        PluginUnavailableError, match=r"gives a NotAFunctional, .* not a scfx AbstractFunctional"
    ):
        registry.functional("s")
    with pytest.raises(PluginUnavailableError, match=r"cannot be imported from 'tests_of_the_registry:Gone'"):
        registry.functional("t")


# ---- backends and capabilities


def test_auto_takes_the_highest_preference_that_covers_the_need():
    registry = Registry.from_plugins(
        {
            "p": plugin(
                backends=[
                    backend("fast", preference=20, max_angular_momentum=1),
                    backend("slow", preference=10),
                    backend("exotic", preference=0, range_separation=True),
                    offer(
                        "absent", "Bare", requires=("no_such",), capabilities=scfx.Capabilities(preference=99)
                    ),
                ]
            )
        }
    )
    assert registry.backend("auto").name == "fast"
    assert registry.backend("auto", need=Need(max_angular_momentum=2)).name == "slow"
    with pytest.raises(scfx.CapabilityError) as caught:
        registry.backend("auto", need=Need(range_separation=True))
    text = str(caught.value)
    assert "fast: range-separated exchange is asked" in text
    assert "exotic: must be named (its preference is 0)" in text
    assert "absent: needs no_such" in text
    with pytest.raises(scfx.ConfigError, match="'auto' takes no options"):
        registry.backend({"name": "auto", "threads": 2})


def test_a_named_backend_that_cannot_is_refused_before_import_with_one_that_can():
    missing_module = scfx.Offer(
        "f32", "no_such_module:Bare", "x", capabilities=scfx.Capabilities(dtypes=("float32",))
    )
    registry = Registry.from_plugins({"p": plugin(backends=[missing_module, backend("other")])})
    with pytest.raises(
        scfx.CapabilityError, match=r"'f32' cannot do this: integrals in float64 are asked.*can: 'other'"
    ):
        registry.backend("f32", need=Need(dtypes=("float64",)))


@pytest.mark.parametrize(
    ("need", "word"),
    [
        (Need(max_angular_momentum=3), "f shells"),
        (Need(dtypes=("float64",)), "float64"),
        (Need(range_separation=True), "range-separated"),
        (Need(platform="gpu"), "gpu"),
        (Need(ecp=True), "effective core"),
        (Need(derivatives=1), "derivatives"),
    ],
)
def test_each_kind_of_need_is_compared_with_what_is_declared(need, word):
    weak = scfx.Capabilities(max_angular_momentum=2, dtypes=("float32",))
    strong = scfx.Capabilities(platforms=("cpu", "gpu"), derivatives=1, range_separation=True, ecp=True)
    (sentence,) = shortfalls(weak, need)
    assert word in sentence
    assert shortfalls(strong, need) == []
    assert shortfalls(weak, Need()) == []


# ---- observers


def test_an_observer_that_raises_is_a_warning_that_names_it_and_the_others_run():
    seen = []

    class Bad:
        @scfx.hookimpl
        def scfx_after_scf(self, result):
            raise ZeroDivisionError("oops")

    class Good:
        @scfx.hookimpl
        def scfx_after_scf(self, result):
            seen.append(result)

    registry = Registry.from_plugins({"bad": Bad(), "good": Good()})
    with pytest.warns(PluginWarning, match=r"plugin bad .*scfx_after_scf: ZeroDivisionError: oops"):
        registry.hook.scfx_after_scf(result="r")
    assert seen == ["r"]


def test_an_unknown_hook_is_an_attribute_error_that_lists_them():
    with pytest.raises(AttributeError, match="scfx_before_scf"):
        Registry.from_plugins({}).hook.scfx_befor_scf(batch=None, spec=None)
    assert "scfx_before_scf" in HOOKS
    assert "hookimpl" not in HOOKS


@pytest.mark.parametrize("choice", [3, None, "", {"option": 1}, ["b3lyp"]])
def test_a_choice_that_is_neither_name_nor_table_names_the_key(choice):
    with pytest.raises(scfx.ConfigError, match=r"scf\.functional"):
        Registry.from_plugins({}).functional(choice)


def test_the_entry_points_of_this_checkout_load(registry):
    bad = {p.name: p.reason for p in registry.plugins if p.distribution == "scfx" and p.status != "available"}
    assert bad == {}
