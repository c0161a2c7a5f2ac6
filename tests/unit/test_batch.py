"""A label depends on its own row: not on who shares its batch, on the order, or on the number of threads."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from molecules import distorted, molecule, moved

import scfx
from scfx.model.basis import BasisSet
from scfx.model.filling import filled_count, work

FIELDS = ("energy", "homo", "lumo", "orbital_energies", "dipole", "residual", "iterations")


def _bits(result, index):
    """Every number of one entry, as bytes: equal only if every bit is."""
    return [np.ascontiguousarray(getattr(result, name)[index]).tobytes() for name in FIELDS]


def _solve(systems, registry, **options):
    options = {"functional": "b3lyp", "basis": "sto-3g", "grid": 0, "threads": 1, **options}
    return scfx.solve(systems, backend=options.pop("backend", "libcint"), registry=registry, **options)


@pytest.fixture(scope="module")
def waters():
    return distorted(molecule("H2O"), 5, size=0.15)


@pytest.mark.parametrize("precision", ["float64", "float32", "mixed"])
@pytest.mark.parametrize("functional", ["hf", "b3lyp"])
def test_bits_do_not_depend_on_the_company_or_the_order(registry, waters, functional, precision):
    options = {"functional": functional, "precision": precision}
    together = _solve(waters, registry, **options).raise_for_status()
    reversed_order = _solve(waters[::-1], registry, **options)
    in_pairs = _solve(waters, registry, lane_width=2, **options)
    for index, water in enumerate(waters):
        alone = _solve(water, registry, **options)
        expected = _bits(together, index)
        assert _bits(alone, 0) == expected
        assert _bits(reversed_order, len(waters) - 1 - index) == expected
        assert _bits(in_pairs, index) == expected


def test_bits_do_not_depend_on_unconverged_company(registry, waters):
    # A stretched molecule iterates on, and climbs the recovery ladder, while the others are done.
    hard = moved(waters[0], waters[0].positions * 3.0)
    with_hard = _solve([hard, *waters], registry)
    without = _solve(waters, registry)
    for index in range(len(waters)):
        assert _bits(with_hard, index + 1) == _bits(without, index)


def test_open_shell_bits_do_not_depend_on_the_company(registry):
    radicals = distorted(molecule("CH3"), 3)
    together = _solve(radicals, registry, functional="hf").raise_for_status()
    for index, radical in enumerate(radicals):
        assert _bits(_solve(radical, registry, functional="hf"), 0) == _bits(together, index)


def test_bits_do_not_depend_on_the_number_of_threads(registry, waters):
    one = _solve(waters, registry, threads=1, lane_width=2)
    two = _solve(waters, registry, threads=2, lane_width=2)
    assert [_bits(one, i) for i in range(len(waters))] == [_bits(two, i) for i in range(len(waters))]


_ENERGIES_IN_A_PROCESS = """
import json, sys, scfx
from molecules import distorted, molecule
r = scfx.solve(distorted(molecule("H2O"), 3, size=0.15), functional="b3lyp", basis="sto-3g", backend="libcint", grid=0)
print(json.dumps([[x.hex() for x in row] for row in [r.energy.tolist(), r.homo.tolist(), r.gap.tolist()]]))
"""


def test_bits_do_not_depend_on_the_environments_thread_count(project_root):
    found = set()
    for threads in ("1", "2"):
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        path = os.pathsep.join([str(project_root / "tests" / "support"), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, **dict.fromkeys(names, threads), "PYTHONPATH": path}
        done = subprocess.run(
            [sys.executable, "-c", _ENERGIES_IN_A_PROCESS],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        found.add(json.dumps(json.loads(done.stdout.splitlines()[-1])))
    assert len(found) == 1


def test_different_molecules_of_one_structure_share_a_batch(registry):
    # In STO-3G C, N, O and F have the same shells: 1s, 2s, 2p of three primitives each.
    names = [("N2", 0), ("CO", 0), ("F2", 0), ("CN", -1)]
    systems = [molecule(name, charge) for name, charge in names]
    basis = BasisSet.from_source(registry.basis("sto-3g"), [6, 7, 8, 9])
    assert len(scfx.group_by_structure(systems, basis)) == 1
    together = _solve(systems, registry).raise_for_status()
    for index, system in enumerate(systems):
        assert _bits(_solve(system, registry), 0) == _bits(together, index)
    assert np.all(np.diff(np.sort(together.energy)) > 1.0)  # and are different molecules


def test_groups_are_by_structure_and_keep_the_order_of_first_appearance(registry):
    systems = [molecule("H2O"), molecule("CH4"), molecule("H2O"), molecule("NH2"), molecule("NH4", 1)]
    basis = BasisSet.from_source(registry.basis("sto-3g"), [1, 6, 7, 8])
    groups = scfx.group_by_structure(systems, basis)
    # NH2 has water's shells and an odd electron: open shells are kept apart. NH4+ shares methane's batch.
    assert [indices for indices, _ in groups] == [[0, 2], [1, 4], [3]]
    assert all(len(batch) == len(indices) for indices, batch in groups)
    assert [indices for indices, _ in scfx.group_by_structure(systems, basis, size=1)] == [
        [0],
        [2],
        [1],
        [4],
        [3],
    ]


def test_a_molecule_is_filled_up_by_itself_alone_and_within_the_share(registry):
    """Steps over the number of hydrogens on ten heavy atoms of STO-3G."""
    for share, steps in [(0.05, [1, 2, 3, 4]), (0.1, [2, 4, 6, 8]), (0.2, [3, 7, 11, 15])]:
        ends = [filled_count(count, 1, 50, share) for count in range(1, 19)]
        assert ends == sorted(ends)
        assert all(end >= count for count, end in enumerate(ends, 1))
        for count, end in enumerate(ends, 1):
            assert 1.0 - work(50 + count) / work(50 + end) <= share
            assert filled_count(end, 1, 50, share) == end  # a full one is filled up no further
        assert list(dict.fromkeys(ends))[: len(steps)] == steps
    # Water and hydrogen fluoride, whose second hydrogen is there with coefficients of zero.
    systems = [molecule("H2O"), molecule("HF"), molecule("NH3")]
    basis = BasisSet.from_source(registry.basis("sto-3g"), [1, 7, 8, 9])
    (first, together), (second, _) = scfx.group_by_structure(systems, basis, padding=0.5)
    assert (first, second) == ([0, 1], [2])
    assert together.systems[1] is systems[1]
    np.testing.assert_array_equal(together.present, [[True] * 3, [True, True, False]])
    assert together.functions_of(1).tolist() == list(range(6))
    assert together.nuclear_charges[1].tolist() == [9.0, 1.0, 0.0]
    assert together.coefficients[1, -3:].tolist() == [0.0] * 3
    assert together.nuclear_repulsion[1] == scfx.Batch.from_systems([systems[1]], basis).nuclear_repulsion[0]
    (alone,) = [batch for _, batch in scfx.group_by_structure([systems[1]], basis, padding=0.5)]
    for name in ("positions", "exponents", "coefficients"):
        assert (getattr(alone, name)[0] == getattr(together.take([1]), name)[0]).all()


def test_atom_order_leads_back_to_the_systems_own_atoms(registry):
    water = molecule("H2O")
    shuffled = scfx.System(water.atomic_numbers[[1, 0, 2]], water.positions[[1, 0, 2]])
    basis = BasisSet.from_source(registry.basis("sto-3g"), [1, 8])
    batch = scfx.Batch.from_systems([water, shuffled], basis)
    for b, system in enumerate(batch.systems):
        np.testing.assert_array_equal(batch.atomic_numbers[b], system.atomic_numbers[batch.atom_order[b]])
        np.testing.assert_array_equal(batch.positions[b], system.positions[batch.atom_order[b]])
    np.testing.assert_array_equal(batch.positions[0], batch.positions[1])


def test_systems_of_different_structure_are_refused_by_a_batch(registry):
    basis = BasisSet.from_source(registry.basis("sto-3g"), [1, 6, 8])
    with pytest.raises(scfx.InputError, match="group_by_structure"):
        scfx.Batch.from_systems([molecule("H2O"), molecule("CH4")], basis)
    with pytest.raises(scfx.InputError, match="at least one"):
        scfx.Batch.from_systems([], basis)


def test_arrays_of_a_batch_are_read_only(registry):
    batch = scfx.Batch.from_systems([molecule("H2O")], BasisSet.from_source(registry.basis("sto-3g"), [1, 8]))
    with pytest.raises(ValueError, match="read-only"):
        batch.positions[0, 0, 0] = 1.0


def test_nuclear_repulsion_of_hydrogen_is_one_over_the_distance(registry):
    h2 = scfx.System.from_arrays(["H", "H"], [[0, 0, 0], [0, 0, 1.4]], unit="bohr")
    batch = scfx.Batch.from_systems([h2], BasisSet.from_source(registry.basis("sto-3g"), [1]))
    assert batch.nuclear_repulsion[0] == pytest.approx(1 / 1.4, rel=1e-15)


def test_results_come_back_in_the_order_of_the_systems(registry):
    systems = [molecule("CH4"), molecule("H2O"), molecule("CH3"), molecule("H2O")]
    result = _solve(systems, registry, functional="hf")
    assert result.energy[1] == result.energy[3]
    assert result.nao.tolist() == [9, 7, 8, 7]
    assert result.orbital_energies.shape == (4, 2, 9)  # an open shell among them: both spins, padded with NaN
    assert np.isnan(result.orbital_energies[1, :, 7:]).all()
    assert -41 < result.energy[0] < -39
