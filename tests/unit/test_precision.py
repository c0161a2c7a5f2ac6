"""The built-in precision policies, as data."""

from __future__ import annotations

from importlib import import_module

import pytest
import scfx_precision

import scfx
from scfx.config.precision import FLOAT64, STAGES, PrecisionPolicy

OFFERS = {offer.name: offer for offer in scfx_precision.scfx_register_precision_policies()}


def policy(name: str) -> PrecisionPolicy:
    module, _, attribute = OFFERS[name].target.partition(":")
    return getattr(import_module(module), attribute)


def test_three_policies_are_offered_under_their_names() -> None:
    assert set(OFFERS) == {"float64", "float32", "mixed"}
    for name in OFFERS:
        assert isinstance(policy(name), scfx.PrecisionPolicy)
        assert policy(name).name == name


def test_float64_is_the_policy_of_the_core() -> None:
    assert policy("float64") == FLOAT64
    assert all(getattr(FLOAT64, stage) == "float64" for stage in STAGES)


@pytest.mark.parametrize("name", sorted(OFFERS))
def test_totals_and_the_functional_are_always_float64(name: str) -> None:
    for stage in ("accumulation", "functional", "orthogonaliser", "coulomb_exchange"):
        assert getattr(policy(name), stage) == "float64"


def test_float32_works_in_float32_and_is_not_refined() -> None:
    chosen = policy("float32")
    assert {chosen.integrals, chosen.orbitals, chosen.linear_algebra} == {"float32"}
    assert chosen.schwarz_float64 is None
    assert chosen.refined() is chosen


def test_mixed_ends_in_float64_with_the_integrals_it_has() -> None:
    chosen = policy("mixed")
    final = chosen.refined()
    assert chosen.schwarz_float64 is not None
    assert chosen.schwarz_float64 > 0
    assert (final.integrals, final.schwarz_float64) == (chosen.integrals, chosen.schwarz_float64)
    assert all(getattr(final, stage) == "float64" for stage in STAGES if stage != "integrals")


def test_definitions_differ_and_do_not_contain_the_name() -> None:
    definitions = [tuple(sorted(policy(name).definition().items(), key=str)) for name in OFFERS]
    assert len(set(definitions)) == 3
    assert all("name" not in policy(name).definition() for name in OFFERS)


def test_float32_accumulation_is_refused_with_the_reason() -> None:
    with pytest.raises(scfx.InputError, match="tens of meV"):
        PrecisionPolicy("mine", accumulation="float32")
