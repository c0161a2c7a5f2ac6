"""The dtype that each stage really used under each policy, read off the arrays themselves."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest
from molecules import distorted, molecule

import scfx
from scfx.abstract import AbstractLaneTwoElectron
from scfx.config.precision import STAGES
from scfx.energy.exchange_correlation.portable import PortableQuadrature
from scfx.scf import batch_matrices as matrices_module
from scfx.scf import batch_scf as scf_module

#: The dtypes that each policy promises. `mixed` works in the cheap dtypes first and refines in float64.
PROMISED = {
    "float64": {key: {"float64"} for key in STAGES},
    "float32": {
        "integrals": {"float32"},
        "coulomb_exchange": {"float64"},
        "orbitals": {"float32"},
        "functional": {"float64"},
        "accumulation": {"float64"},
        "linear_algebra": {"float32"},
        "orthogonaliser": {"float64"},
    },
    "mixed": {
        **{key: {"float64"} for key in STAGES},
        "integrals": {"float32", "float64"},  # by Schwarz bound
        "orbitals": {"float32", "float64"},
    },
}


class Spy(scfx.AbstractFunctional):
    """Slater exchange that notes the dtype it is traced with."""

    family = "lda"
    exact_exchange = 0.2

    def __init__(self, label: str):
        self.label = label
        self.seen: set[str] = set()

    def energy_density(self, density: scfx.Density):  # type: ignore[override]
        self.seen.add(str(density.rho_a.dtype))
        return -0.9305257363491 * (density.rho_a ** (4 / 3) + density.rho_b ** (4 / 3))

    def definition(self):
        return {"spy": self.label}


@pytest.fixture
def seen(monkeypatch) -> dict[str, set[str]]:
    """Dtypes by stage, noted from the arrays of every batch that is solved in the test."""
    noted: dict[str, set[str]] = defaultdict(set)

    def advance(state, fixed, control, lanes, count, *, dtype, shared):
        noted["linear_algebra"].add(dtype)
        noted["accumulation"] |= {str(a.dtype) for a in (state.energy, state.density, state.fock_orth)}
        return original_advance(state, fixed, control, lanes, count, dtype=dtype, shared=shared)

    def quadrature(self, density, lanes):
        totals = original_evaluate(self, density, lanes)
        noted["orbitals"] |= {str(values.dtype) for values in self._cache if values is not None}
        noted["accumulation"] |= {str(totals.energy.dtype), str(totals.potential.dtype)}
        return totals

    def contract(self, density, lanes, coulomb, exchange):
        j, k = original_contract(self, density, lanes, coulomb, exchange)
        noted["coulomb_exchange"] |= {str(j.dtype)} | ({str(k.dtype)} if k is not None else set())
        for entry in self._kept:  # libcint's stored rows: a flag for each, and the buffers of both widths
            for rows in entry:
                noted["integrals"] |= {str(memory.dtype) for memory in rows.memory if memory.size}
                assert set(np.unique(rows.is_double)) <= {0, 1}
        return j, k

    def orthogonaliser(overlap, dtype, linear_dependence):
        noted["orthogonaliser"].add(str(np.dtype(dtype)))
        return original_orthogonaliser(overlap, dtype, linear_dependence)

    original_advance, original_evaluate = scf_module.advance, PortableQuadrature.evaluate
    original_contract, original_orthogonaliser = (
        AbstractLaneTwoElectron.contract_wanted,
        matrices_module.orthogonaliser,
    )
    monkeypatch.setattr(scf_module, "advance", advance)
    monkeypatch.setattr(PortableQuadrature, "evaluate", quadrature)
    monkeypatch.setattr(AbstractLaneTwoElectron, "contract_wanted", contract)
    monkeypatch.setattr(matrices_module, "orthogonaliser", orthogonaliser)
    return noted


@pytest.mark.parametrize("precision", PROMISED)
def test_every_stage_uses_the_dtype_that_its_policy_names(registry, seen, precision):
    # C2H4 has integrals on both sides of the Schwarz bound of `mixed`. Atomic guesses are float64 under every policy,
    # so they are made first.
    functional = Spy(precision)
    solver = scfx.Solver(
        functional=functional, backend="libcint", precision=precision, grid=0, threads=1, registry=registry
    )
    systems = distorted(molecule("C2H4"), 2)
    solver.solve(systems)
    seen.clear()
    result = solver.solve(systems).raise_for_status()
    found = {**seen, "functional": functional.seen}
    assert found == PROMISED[precision]
    assert {stage: set(names) for stage, names in result.provenance["dtypes"].items()} == PROMISED[precision]


@pytest.mark.parametrize("precision", PROMISED)
def test_results_are_float64_under_every_policy(registry, precision):
    result = scfx.solve(
        molecule("H2O"), "b3lyp", backend="libcint", precision=precision, grid=0, registry=registry
    )
    for name in ("energy", "homo", "lumo", "orbital_energies", "dipole", "residual"):
        assert getattr(result, name).dtype == np.float64


def _small_molecules(registry, precision):
    systems = [*distorted(molecule("CH3OH"), 3), *distorted(molecule("HCOOH"), 3)]
    options = {"backend": "libcint", "precision": precision, "grid": 0, "registry": registry}
    return scfx.solve(systems, "b3lyp", **options).raise_for_status()


@pytest.fixture(scope="module")
def exact(registry):
    return _small_molecules(registry, "float64")


@pytest.mark.parametrize(
    ("precision", "energy", "gap"),
    [
        ("float32", 1e-3, 0.05e-3),
        ("mixed", 0.05e-3, 0.005e-3),
    ],  # promised in eV, for the mean absolute error
)
def test_policies_keep_to_their_targets_on_small_molecules(registry, exact, precision, energy, gap):
    found = _small_molecules(registry, precision)
    assert np.abs(found.energy - exact.energy).mean() * 27.2114 < energy
    assert np.abs(found.gap - exact.gap).mean() * 27.2114 < gap


def test_thresholds_below_the_floor_of_float32_are_raised_and_said(registry):
    result = scfx.solve(
        molecule("H2O"), "hf", backend="libcint", precision="float32", convergence="tight", registry=registry
    ).raise_for_status()
    policy = registry.precision("float32")
    assert result.provenance["gradient_threshold"] == policy.gradient_floor
    assert result.provenance["energy_threshold"] == policy.energy_floor
    refined = scfx.solve(
        molecule("H2O"), "hf", backend="libcint", precision="mixed", convergence="tight", registry=registry
    ).raise_for_status()
    assert refined.provenance["gradient_threshold"] == 1e-8  # `mixed` ends in float64: no floor
    assert refined.residual[0] < 1e-8


def test_policies_with_impossible_dtypes_are_refused():
    with pytest.raises(scfx.InputError, match=r"integrals is 'float16', expected 'float32' or 'float64'"):
        scfx.PrecisionPolicy("half", integrals="float16")  # type: ignore[arg-type]
    with pytest.raises(scfx.InputError, match="accumulation in float32 loses"):
        scfx.PrecisionPolicy("careless", accumulation="float32")


def test_a_policy_may_be_given_as_an_object(registry):
    policy = scfx.PrecisionPolicy(
        "integrals-only", integrals="float32", gradient_floor=5e-6, energy_floor=5e-6
    )
    result = scfx.solve(molecule("H2O"), "hf", backend="libcint", precision=policy, registry=registry)
    assert result.provenance["dtypes"]["integrals"] == ["float32"]
    assert result.provenance["dtypes"]["linear_algebra"] == ["float64"]
    assert result.provenance["precision"] == "integrals-only"


def test_heavy_cores_converge_in_float32_without_recovery(registry):
    # Rounding of the eigenvectors alone leaves 7e-5 hartree with bromine: 2^-24 times its 1s energy, -480 hartree.
    system = scfx.System.from_arrays(
        [35, 6, 1, 1, 1],
        [[0.0, 0.0, 1.93], [0.0, 0.0, 0.0], [1.04, 0.0, -0.34], [-0.52, 0.9, -0.34], [-0.52, -0.9, -0.34]],
    )
    result = scfx.solve(system, "b3lyp", "sto-3g", "libcint", "float32", 0, registry=registry)
    exact = scfx.solve(system, "b3lyp", "sto-3g", "libcint", "float64", 0, registry=registry)
    assert result.converged[0]
    assert result.rung == [""]
    assert result.iterations[0] <= exact.iterations[0] + 2
    assert result.provenance["dtypes"]["linear_algebra"] == ["float32", "float64"]
    assert (
        abs(result.energy[0] - exact.energy[0]) < 1e-3 / 27.2114
    )  # the aim of float32, docs/precision.md: 1 meV


@pytest.mark.parametrize("floor", [0.0, 1e-5])  # of the cheap iterations: the last ones have none
def test_mixed_converges_as_far_as_float64_in_nearly_as_few_iterations(registry, floor):
    # What J and K of small differences leave out must stay below the threshold: with 1e-10 hartree a block the energy
    # of this cage moved by 1e-8 in every iteration, and it went up the recovery ladder.
    cage = scfx.System.from_smiles("C1C2N1C1C3C4CC32C41", seed=4)
    policy = replace(registry.precision("mixed"), gradient_floor=floor, energy_floor=floor)
    mixed, exact = (
        scfx.solve(cage, grid=0, backend="simd", precision=precision, convergence="tight", registry=registry)
        for precision in (policy, "float64")
    )
    assert mixed.provenance["gradient_threshold"] == 1e-8
    assert mixed.converged.all()
    assert mixed.rung == exact.rung == [""]
    # Iterations on the coarse grid come on top.
    assert mixed.iterations[0] <= exact.iterations[0] + 8
    assert abs(mixed.energy[0] - exact.energy[0]) < 1e-8
