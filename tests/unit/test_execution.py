"""Device and lane mode: chosen once, said, refused where they cannot be had; a lane's bits in each mode."""

from __future__ import annotations

from types import SimpleNamespace

import jax
import numpy as np
import pytest
from molecules import molecule

import scfx
from scfx.errors import ConfigError, InputError, ResourceError
from scfx.execution import device
from scfx.execution.device import Execution, chosen, executing, running
from scfx.grid import GridSpec, batch_grids, molecular_grid
from scfx.model.system import System


def _hydrogens(lengths):
    template = molecule("H2")
    return [System(template.atomic_numbers, np.array([[0.0, 0.0, 0.0], [0.0, 0.1, r]])) for r in lengths]


def _solver(registry, functional, **options):
    """Solver of H2 with integrals that stay where XLA computes."""
    return scfx.Solver(
        functional=functional, basis="sto-3g", grid=(12, 26), lane_width=2, recovery=False, registry=registry, **options
    )  # fmt: skip


@pytest.fixture(scope="module")
def solver(registry):
    """Solver with all lanes at once."""
    return _solver(registry, "hf", lane_mode="batched", backend={"name": "jax", "tile": 4})


def _check_labels(found, right):
    assert np.abs(found.energy - right.energy).max() < 1e-9
    assert np.abs(found.gap - right.gap).max() < 1e-7
    assert found.iterations.tolist() == right.iterations.tolist()
    summed = np.array([sum(parts.values()) for parts in found.energy_components])
    assert np.abs(summed - found.energy).max() < 1e-9


def test_lanes_at_once_give_the_labels_of_lanes_one_by_one(solver, registry):
    systems = _hydrogens([1.3, 1.5])
    found, one_by_one = solver.solve(systems), _solver(registry, "hf", backend="libcint")
    for index, system in enumerate(systems):
        right = one_by_one.solve([system])
        _check_labels(found[index : index + 1], right)
    assert {key: found.provenance["execution"][key] for key in ("platform", "lanes")} == {
        "platform": "cpu",
        "lanes": "batched",
    }
    assert right.provenance["execution"]["lanes"] == "loop"


@pytest.mark.slow
def test_lanes_at_once_give_the_labels_of_lanes_one_by_one_on_a_grid(registry):
    systems = _hydrogens([1.3, 1.5])
    batched = _solver(registry, "b3lyp", lane_mode="batched", backend={"name": "jax", "tile": 4})
    _check_labels(batched.solve(systems), _solver(registry, "b3lyp", backend="libcint").solve(systems))


def test_a_lane_s_bits_depend_neither_on_company_nor_on_place(solver):
    one, two, three = _hydrogens([1.3, 1.5, 2.6])
    first = solver.solve([one, two])
    second = solver.solve([three, one])
    assert first.energy[0] == second.energy[1]
    assert (first[0].orbital_energies == second[1].orbital_energies).all()


@pytest.fixture(scope="module", params=["libcint", pytest.param("jax", marks=pytest.mark.slow)])
def filled_solver(request, registry):
    """Solver of which H2 is filled up to three atoms, so that it goes along with H3+."""
    return _solver(registry, "hf", lane_mode="batched", lane_padding=0.8, backend=request.param)


def _triangle(side):
    corners = side * np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.75**0.5, 0.0]])
    return System(np.array([1, 1, 1], dtype=np.int32), corners, charge=1)


def test_a_molecule_that_is_filled_up_keeps_its_labels_whoever_shares_the_launch(filled_solver, registry):
    """H2 and H3+ in one batch: everything of H2 is as without the third atom, and it has bits of its own."""
    short, long = _hydrogens([1.3, 1.5])
    found = filled_solver.solve([short, _triangle(1.7)], return_density=True)
    alone = _solver(registry, "hf", backend="libcint")
    for index, system in enumerate(found.systems):
        right = alone.solve([system], return_density=True)
        _check_labels(found[index : index + 1], right)
        n, natm = system.natm, system.natm  # a function on each atom
        assert (found.nao[index], found.n_orbitals[index]) == (n, n)
        for name, shape in [
            ("density", (1, n, n)), ("overlap", (n, n)), ("bond_orders", (natm, natm)),
            ("mulliken_charges", (natm,)), ("loewdin_charges", (natm,)), ("dipole", (3,)),
        ]:  # fmt: skip
            ours, theirs = getattr(found, name)[index], getattr(right, name)[0]
            assert ours.shape == shape
            assert np.abs(ours - theirs).max() < 1e-6
        assert np.abs(found.orbital_energies[index, :n] - right.orbital_energies[0]).max() < 1e-7
    assert np.isnan(found.orbital_energies[0, 2])
    assert found.provenance["execution"]["padding"] == 0.8
    other = filled_solver.solve([long, short])
    assert other.energy[1] == found.energy[0]
    assert (other.orbital_energies[1] == found.orbital_energies[0, :2]).all()
    begun = filled_solver.solve([short, _triangle(1.7)], initial_density=found.density)
    assert begun.iterations.max() < found.iterations.min()
    assert np.abs(begun.energy - found.energy).max() < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "libcint"])
def test_filled_lanes_have_the_labels_of_their_own_shape_on_a_grid(backend, registry):
    """HF beside H2O, and BeH beside NH2: p shells, a functional, open shells."""
    hydride = System.from_arrays(["Be", "H"], [[0, 0, 0], [0, 0, 1.34]], multiplicity=2)
    systems = [
        molecule("HF"),
        molecule("H2O"),
        hydride,
        molecule("NH2", multiplicity=2),
    ]
    options = {"lane_width": 2, "grid": (12, 26), "registry": registry}
    padded = scfx.Solver(
        functional="b3lyp", basis="sto-3g", backend=backend, lane_mode="batched", lane_padding=0.5, **options
    )
    batches, _ = padded._batching.batches(systems, padded._basis_of(frozenset({1, 4, 7, 8, 9})))
    assert [indices for indices, _ in batches] == [[0, 1], [2, 3]]
    found = padded.solve(systems).raise_for_status()
    right = scfx.solve(systems, "b3lyp", "sto-3g", "libcint", **options).raise_for_status()
    assert np.abs(found.energy - right.energy).max() < 1e-8
    assert np.abs(found.gap - right.gap).max() < 1e-6
    assert np.abs(found.dipole - right.dipole).max() < 1e-6
    assert (found.n_grid == right.n_grid).all()
    assert np.abs(found.electrons_on_grid - right.electrons_on_grid).max() < 1e-7


@pytest.mark.slow
@pytest.mark.parametrize(
    ("backend", "options"),
    [
        ("simd", {"guess": "core"}),
        ("simd", {"guess": "sap", "precision": "mixed"}),
        ("libcint", {"diis": "adiis", "convergence": {"max_iterations": 3}}),
    ],
)
def test_every_guess_and_rung_serves_filled_lanes(backend, options, registry):
    options = {"functional": "hf", "basis": "sto-3g", "registry": registry, "lane_width": 2, **options}
    systems = [molecule("HF"), molecule("H2O")]
    found, right = (
        scfx.Solver(backend=backend, **options, **how).solve(systems).raise_for_status()
        for how in ({"lane_mode": "batched", "lane_padding": 0.5}, {})
    )
    assert found.rung == right.rung == [("direct-minimisation" if "convergence" in options else "")] * 2
    assert np.abs(found.energy - right.energy).max() < 1e-8
    assert np.abs(found.gap - right.gap).max() < 1e-5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lane_mode": "loop"}, "one after the other here.*lane_mode = 'batched'"),
        (
            {"lane_mode": "batched", "properties": "gradient"},
            "property 'gradient' is not computed.*leave one",
        ),
        ({"lane_mode": "batched", "quadrupole": True}, r"scf\.quadrupole is not computed"),
        ({"lane_mode": "batched", "density_fitting": "auto", "basis": "def2-svp"}, "density_fitting is not"),
        ({"lane_mode": "batched", "functional": "wb97x-v"}, "VV10's correlation is not computed"),
    ],
)
def test_padding_is_refused_where_it_would_be_ignored_or_wrong(options, words, registry):
    with pytest.raises(ConfigError, match=r"scf\.lane_padding: is 0\.2, and .*" + words):
        scfx.Solver(lane_padding=0.2, backend="libcint", registry=registry, **options)


def test_integrals_that_do_not_fit_beside_each_other_are_refused_with_numbers(registry):
    with pytest.raises(ResourceError, match=r"exceed .* GiB"):
        scfx.solve(
            _hydrogens([1.3]), "hf", "sto-3g", "jax", lane_mode="batched", memory_budget=9, registry=registry
        )


def test_a_gpu_that_is_not_there_is_an_error_with_a_remedy(registry):
    with pytest.raises(
        ConfigError, match=r"scf\.device: 'gpu' is asked, and JAX .* sees none.*jax\[cuda12\]"
    ):
        scfx.Solver(device="gpu", backend="jax", registry=registry)
    assert chosen("auto") == Execution("cpu", False)
    assert chosen("cpu", "batched") == Execution("cpu", True)
    with pytest.raises(ConfigError, match=r"scf\.device"):
        scfx.Solver(device="tpu", registry=registry)


def test_a_gpu_works_on_all_lanes_and_has_so_much_memory(monkeypatch):
    gpu = SimpleNamespace(device_kind="made up", memory_stats=lambda: {"bytes_limit": 1000})
    cpu = device._first("cpu")
    monkeypatch.setattr(device, "_has_gpu", lambda: True)
    monkeypatch.setattr(device, "_first", lambda platform: gpu if platform == "gpu" else cpu)
    assert chosen("auto", "auto", 1000) == Execution("gpu", True)
    assert chosen("gpu", "loop", 1000) == Execution("gpu", False)
    assert chosen("cpu", "auto", 10**12) == Execution("cpu", False)  # there, and not asked for
    with pytest.raises(ConfigError, match=r"scf\.memory_budget: is 1,001 bytes, and JAX may take 1,000"):
        chosen("gpu", "auto", 1001)
    assert Execution("gpu", True).provenance() == {"platform": "gpu", "device": "made up", "lanes": "batched"}


def test_a_backend_without_the_platform_is_refused_by_name(monkeypatch, registry):
    monkeypatch.setattr(device, "_has_gpu", lambda: True)
    monkeypatch.setattr(device, "_check_memory", lambda budget: None)
    with pytest.raises(ConfigError, match="platform gpu is asked, it runs on cpu"):
        scfx.Solver(device="gpu", backend="libcint", registry=registry)
    assert scfx.Solver(device="gpu", backend="jax", registry=registry).resolved.execution.platform == "gpu"


def test_the_execution_in_force_ends_with_its_block(monkeypatch):
    with executing(Execution("cpu", True)):
        assert running().batched
        assert jax.config.jax_default_matmul_precision is None
    assert not running().batched
    # A GPU would round the factors of float32 products to 10 bits.
    cpu = device._first("cpu")
    monkeypatch.setattr(device, "_first", lambda platform: cpu)
    with executing(Execution("gpu", True)):
        assert jax.config.jax_default_matmul_precision == "highest"
    assert jax.config.jax_default_matmul_precision is None


def test_grids_of_lanes_at_once_are_those_one_by_one():
    water = molecule("H2O")
    numbers = np.stack([water.atomic_numbers] * 2)
    positions = np.stack([water.positions, 1.1 * water.positions + 0.3])
    spec = GridSpec.from_config({"atom_grid": [10, 14]})
    right = batch_grids(numbers, positions, spec)
    with executing(Execution("cpu", True)):
        for (r, w), (points, weights) in zip(batch_grids(numbers, positions, spec), right, strict=True):
            assert (r == points).all()
            assert np.abs(w - weights).max() < 1e-14 * np.abs(weights).max()
        # Without one of the hydrogens it is the grid of OH: its cell is gone too.
        present = np.array([[True, True, True], [True, False, True]])
        _, (points, weights) = batch_grids(numbers, positions, spec, present)
        r, w = molecular_grid((numbers[1, [0, 2]], positions[1, [0, 2]]), spec)
        assert (r == points).all()
        assert np.abs(w - weights).max() < 1e-14 * np.abs(weights).max()
        positions[1, 2] = positions[1, 1]
        with pytest.raises(InputError, match="batch entry 1: atoms 1 and 2 coincide"):
            batch_grids(numbers, positions, spec)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("precision", "options", "name"),
    [
        ("float64", {"diis": "adiis"}, "OH"),
        ("float64", {"diis": "adiis"}, "NH2"),
        # Where the hole of OH points is rounding's choice here, and the grid tells directions apart by 5e-7 hartree.
        ("mixed", {"reference": "restricted-open"}, "NH2"),
        ("mixed", {}, "OH"),
        ("float32", {}, "OH"),
    ],
)
def test_every_step_of_the_procedure_is_the_same_with_lanes_at_once(precision, options, name, registry):
    """Open shells, a gradient-corrected functional, from the coarse grid to the full one, stretched."""
    radical = molecule(name, multiplicity=2)
    systems = [
        System(radical.atomic_numbers, s * radical.positions, multiplicity=2) for s in (0.97, 1.0, 1.1)
    ]
    found, right = (
        scfx.solve(
            systems,
            "pbe",
            "sto-3g",
            "simd",
            precision,
            1,
            lane_width=4,
            lane_mode=mode,
            registry=registry,
            **options,
        ).raise_for_status()
        for mode in ("batched", "loop")
    )
    allowed = 2e-5 if precision == "float32" else 1e-8
    assert np.abs(found.energy - right.energy).max() < allowed
