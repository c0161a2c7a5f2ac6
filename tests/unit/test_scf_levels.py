"""Meta-GGA, range separation, VV10 and dispersion through the driver, against PySCF on the same grid."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import molecule
from pyscf_oracle import frontier, pyscf_mole, pyscf_solved

import scfx
from scfx.abstract import AbstractDispersionCorrection
from scfx.errors import CapabilityError, InputError, UnknownNameError

#: (molecule, charge, multiplicity, functional, basis, backend).
CASES = [
    ("H2O", 0, 1, "wb97x", "6-31g*", "simd"),
    ("NH2", 0, 2, "wb97x", "6-31g", "libcint"),
    ("H2O", 0, 1, "wb97m-v", "def2-svp", "simd"),
    ("H2O", 0, 1, "tpss", "6-31g", "libcint"),
    pytest.param(("NH2", 0, 2, "r2scan", "6-31g*", "simd"), marks=pytest.mark.slow),
    pytest.param(("H2O", 1, 2, "m06-2x", "6-31g", "simd"), marks=pytest.mark.slow),
    pytest.param(("H2CO", 0, 1, "cam-b3lyp", "6-31g", "libcint"), marks=pytest.mark.slow),
    pytest.param(("H2O", 0, 1, "hse06", "6-31g", "simd"), marks=pytest.mark.slow),
    pytest.param(("O2", 0, 3, "m06-l", "6-31g", "simd"), marks=pytest.mark.slow),
    pytest.param(("NH2", 0, 2, "wb97m-v", "6-31g", "libcint"), marks=pytest.mark.slow),
]


def _solve(system, functional, basis, registry, backend="simd", **options):
    options = {"grid": 0, "nonlocal_grid": 0, "threads": 1, **options}
    return scfx.solve(
        system, functional=functional, basis=basis, backend=backend, registry=registry, **options
    ).raise_for_status()


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c)))
def test_energies_beyond_gga_equal_pyscf_on_the_same_grid(case, registry):
    name, charge, multiplicity, functional, basis, backend = case
    system = molecule(name, charge, multiplicity)
    ours = _solve(system, functional, basis, registry, backend)
    from pyscf import dft

    settings = {}
    if functional.endswith("-v"):
        grid = dft.gen_grid.Grids(pyscf_mole(system, basis, registry))
        grid.level = 0
        settings["nlcgrids"] = grid
    theirs = pyscf_solved(system, functional, basis, 0, registry, **settings)
    assert ours.energy[0] == pytest.approx(theirs.e_tot, abs=1e-7)
    assert ours.homo[0] == pytest.approx(frontier(theirs)[0], abs=1e-6)
    if multiplicity > 1:
        assert ours.s_squared[0] == pytest.approx(theirs.spin_square()[0], abs=1e-6)


def test_dispersion_is_added_once_and_reported(registry):
    # D3(BJ) of wB97M for this water, from simple-dftd3 1.7 called by itself.
    import dftd3.interface

    water = molecule("H2O")
    model = dftd3.interface.DispersionModel(np.asarray(water.atomic_numbers), np.asarray(water.positions))
    parameters = dftd3.interface.RationalDampingParam(method="b3lyp")
    expected = float(model.get_dispersion(parameters, grad=False)["energy"])
    plain = _solve(water, "b3lyp", "sto-3g", registry)
    corrected = _solve([water, water], "b3lyp-d3bj", "sto-3g", registry)
    assert corrected.dispersion_energy == pytest.approx(expected, abs=1e-14)
    assert corrected.energy - plain.energy[0] == pytest.approx(expected, abs=1e-12)
    assert plain.dispersion_energy[0] == 0.0
    assert corrected.homo[0] == plain.homo[0]
    assert plain.provenance["spec_hash"] != corrected.provenance["spec_hash"]


def test_a_functional_with_dispersion_of_its_own_takes_no_other(registry):
    with pytest.raises(InputError, match="count it twice"):
        registry.functional("wb97m-v-d3bj")


def test_a_functional_without_parameters_is_refused_before_anything_runs(registry):
    with pytest.raises(InputError, match="parameters"):
        scfx.Solver(functional="svwn-d3bj", basis="sto-3g", registry=registry)


def test_an_unknown_functional_with_a_suffix_is_unknown(registry):
    with pytest.raises(UnknownNameError, match="nonsense-d4"):
        registry.functional("nonsense-d4")


def test_dispersion_of_wb97x_d_is_its_papers_formula():
    # One pair, two helium atoms at the sum of their radii, 2 x 1.012 angstrom: damping 1/(1 + 6), C6 = 0.08 J nm⁶/mol.
    from scfx_dispersion.chg import ChaiHeadGordon

    correction = ChaiHeadGordon()
    assert isinstance(correction, AbstractDispersionCorrection)
    pair = scfx.System.from_arrays(["He", "He"], [[0, 0, 0], [0, 0, 2.024]])
    joule_per_mol = -0.08 / 0.2024**6 / 7.0
    assert correction.energy(pair) == pytest.approx(joule_per_mol / 2625499.639, rel=1e-9)
    with pytest.raises(InputError, match="elements up to 54"):
        correction.energy(scfx.System.from_arrays(["Cs", "H"], [[0, 0, 0], [0, 0, 3.0]]))


def test_meta_gga_with_a_backend_that_lacks_tau_is_a_clear_error():
    class Plugin:
        @scfx.hookimpl
        def scfx_register_backends(self):
            can = scfx.Capabilities(families=("none", "lda", "gga"))
            return [scfx.Offer("plain", "nowhere:Nothing", "a backend without tau", capabilities=can)]

    registry = scfx.Registry.discover(extra=[("plain", Plugin())])
    with pytest.raises(CapabilityError, match=r"kinetic-energy density.*simd"):
        scfx.Solver(functional="tpss", backend="plain", registry=registry)


def test_wrong_multiplicity_is_a_clear_error():
    with pytest.raises(InputError, match="multiplicity"):
        scfx.System.from_arrays(["O", "H", "H"], [[0, 0, 0], [0, 0, 1], [0, 1, 0]], multiplicity=2)
