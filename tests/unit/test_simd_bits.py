"""Labels of the simd backend, bit for bit: the same whatever computes beside them, in which lane, on how many threads.

Three atoms H-X-Y of three compounds, which share one shell structure in STO-3G and so share batches. Geometries are
made up: nothing here depends on them but that no two are alike.
"""

from __future__ import annotations

import numpy as np
import pytest
from scfx_simd.backend import SimdBackend

import scfx
from scfx.config.spec import SCFSpec
from scfx.model.basis import BasisSet
from scfx.model.batch import Batch, group_by_structure
from scfx.model.elements import atomic_number

POLICIES = pytest.mark.parametrize("precision", ["float64", "float32", "mixed"])
COMPOUNDS = (("H", "C", "N"), ("H", "N", "O"), ("H", "O", "F"))
#: One more than a batch, and more than the vectors of a batch hold: the last entry computes among others.
COUNT = 17
COLUMNS = (
    "energy",
    "homo",
    "lumo",
    "orbital_energies",
    "dipole",
    "iterations",
    "residual",
    "energy_change",
    "rung",
)


def _systems(n: int) -> list[scfx.System]:
    # Bohr. The hydrogen leaves step by step, so entries screen, and converge, differently.
    out = []
    for i in range(n):
        symbols = COMPOUNDS[i % 3]
        angle = np.radians(100.0 + 4.0 * i)
        distance = 1.9 + 0.06 * i
        positions = np.array(
            [[distance * np.sin(angle), 0.1 * i, distance * np.cos(angle)], [0, 0, 0], [0, 0.02 * i, 2.3]]
        )
        numbers = np.array([atomic_number(s) for s in symbols], dtype=np.int32)
        out.append(scfx.System(numbers, positions))
    return out


def _solve(systems, registry, precision, **options):
    options = {"backend": "simd", "grid": 0, "threads": 1, **options}
    return scfx.solve(systems, precision=precision, registry=registry, **options)


def _bits(result, index):
    values = [np.asarray(getattr(result, name)[index]) for name in COLUMNS]
    return tuple(v.tobytes() if v.dtype.kind != "U" else str(v) for v in values)


@pytest.fixture(scope="module")
def systems():
    return _systems(COUNT)


@pytest.fixture(scope="module")
def reference(registry, systems):
    """Labels by policy: all entries in one call, sixteen in the first batch and one in the second."""
    known: dict[str, list] = {}

    def labels(precision: str) -> list:
        if precision not in known:
            result = _solve(systems, registry, precision)
            assert result.converged.all()
            known[precision] = [_bits(result, i) for i in range(len(systems))]
        return known[precision]

    return labels


def _differing(result, indices, reference) -> list[tuple[int, list[str]]]:
    out = []
    for row, index in enumerate(indices):
        found = _bits(result, row)
        if found != reference[index]:
            names = [n for n, a, b in zip(COLUMNS, found, reference[index], strict=True) if a != b]
            out.append((index, names))
    return out


def test_the_entries_share_one_structure_and_are_all_different(registry, systems, reference):
    resolved = SCFSpec.create({"backend": "simd"}).resolve(registry)
    basis = BasisSet.from_source(resolved.basis, {1, 6, 7, 8, 9})
    assert len(group_by_structure(systems, basis)) == 1
    labels = reference("float64")
    assert len(set(labels)) == COUNT
    iterations = {label[COLUMNS.index("iterations")] for label in labels}
    assert len(iterations) > 1  # lanes leave at different times


@POLICIES
def test_bits_do_not_depend_on_company(registry, systems, reference, precision):
    # Alone; three of one compound; three of three compounds; sixteen without the first entry.
    for indices in ([0], [16], [7], [1, 4, 7], [5, 0, 13], list(range(1, COUNT))):
        result = _solve([systems[i] for i in indices], registry, precision)
        assert _differing(result, indices, reference(precision)) == []


@POLICIES
def test_bits_do_not_depend_on_order_and_lane(registry, systems, reference, precision):
    backwards = list(range(COUNT))[::-1]
    shuffled = np.random.default_rng(0).permutation(COUNT).tolist()
    for indices in (backwards, shuffled):
        result = _solve([systems[i] for i in indices], registry, precision)
        assert _differing(result, indices, reference(precision)) == []


@POLICIES
@pytest.mark.parametrize("lane_width", [1, 5, 32])
def test_bits_do_not_depend_on_the_lane_width(registry, systems, reference, precision, lane_width):
    result = _solve(systems, registry, precision, lane_width=lane_width)
    assert _differing(result, range(COUNT), reference(precision)) == []


@POLICIES
def test_bits_do_not_depend_on_threads(registry, systems, reference, precision):
    for options in ({"threads": 2}, {"backend": {"name": "simd", "threads": 2}}):
        result = _solve(systems, registry, precision, **options)
        assert _differing(result, range(COUNT), reference(precision)) == []


@POLICIES
def test_bits_do_not_depend_on_the_memory_budget(registry, systems, reference, precision):
    # One byte: every integral and every AO value is recomputed in every iteration.
    for budget in (1, 300_000):
        result = _solve(systems, registry, precision, memory_budget=budget)
        assert _differing(result, range(COUNT), reference(precision)) == []


def test_bits_of_attenuated_integrals_do_not_depend_on_company_or_budget(registry, systems):
    # Range-separated functionals add these (0.33 bohr⁻¹ is CAM-B3LYP's; Yanai, Chem. Phys. Lett. 393, 51 (2004)).
    resolved = SCFSpec.create({"backend": "simd", "precision": "mixed"}).resolve(registry)
    batch = Batch.from_systems(systems, BasisSet.from_source(resolved.basis, {1, 6, 7, 8, 9}))
    density = np.random.default_rng(0).normal(size=(COUNT, 1, batch.nao, batch.nao))
    density += density.swapaxes(-1, -2)
    found = []
    for entries, budget in (([3, 16, 1], 2**30), ([16], 0), (list(range(COUNT)), 2**30)):
        arguments = (batch.take(entries), 0.33, resolved.precision, budget)
        with SimdBackend().attenuated_two_electron(*arguments) as operator:
            coulomb, exchange = operator.coulomb_exchange(density[entries])
        row = entries.index(16)
        found.append((coulomb[row].tobytes(), exchange[row].tobytes()))
    assert found[0] == found[1] == found[2]


def test_unrestricted_bits_do_not_depend_on_company_or_budget(registry, systems):
    options = {"reference": "unrestricted"}
    whole = _solve(systems[:5], registry, "mixed", **options)
    labels = [_bits(whole, i) for i in range(5)]
    part = _solve(systems[3:5], registry, "mixed", memory_budget=1, **options)
    assert _differing(part, [3, 4], labels) == []
