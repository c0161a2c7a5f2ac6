"""Frequencies against analytic Hessians, thermochemistry against measured entropies, symmetry against group theory."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import molecule as ase_molecule
from molecules import molecule, rotation
from pyscf import gto, scf
from scfx_geometry.frequencies import frequencies
from scfx_geometry.harmonic import Modes, normal_modes
from scfx_geometry.isotopes import commonest_isotope_masses
from scfx_geometry.relax import relax
from scfx_geometry.rotor import rotational_constants, shape, symmetry_number
from scfx_geometry.thermochemistry import heat_capacity, thermochemistry

import scfx

CALORIE, BAR = 4.184, 1e5


@pytest.fixture(scope="module")
def solver(registry):
    spec = scfx.SCFSpec.create(
        {"functional": "hf", "basis": "sto-3g", "threads": 1, "properties": ["gradient"]}
    )
    return scfx.Solver(spec, registry)


@pytest.fixture(scope="module")
def water(solver):
    (done,) = relax(solver, [molecule("H2O")], criteria="gau_tight")
    return done.system


@pytest.fixture(scope="module")
def analysed(solver, water):
    return frequencies(solver, water)


def of_pyscf(system, positions=None):
    atoms = list(zip(system.symbols, system.positions if positions is None else positions, strict=True))
    mole = gto.M(atom=atoms, unit="bohr", basis="sto-3g", verbose=0)
    return scf.RHF(mole).run(conv_tol=1e-12)


# ---- vibrations ----------------------------------------------------------------------------------------------------


def test_frequencies_of_water_are_those_of_the_analytic_hessian(water, analysed):
    analytic = of_pyscf(water).Hessian().kernel().transpose(0, 2, 1, 3).reshape(9, 9)
    assert np.abs(analytic - analysed.differences.hessian).max() < 1e-4
    masses = commonest_isotope_masses(water.atomic_numbers)
    expected = normal_modes(masses, water.positions, analytic, np.zeros((9, 3))).frequencies
    np.testing.assert_allclose(analysed.modes.frequencies, expected, rtol=0, atol=1.0)
    # CCCBDB (NIST SRD 101), HF/STO-3G: 2170, 4140, 4391 cm-1.
    np.testing.assert_allclose(analysed.modes.frequencies, [2170, 4140, 4391], rtol=0, atol=1.0)
    assert analysed.modes.geometry == "nonlinear"
    assert analysed.doubt == ""
    assert analysed.differences.acoustic_sum < 1e-5  # third derivatives times the square of the step
    assert analysed.differences.asymmetry < 1e-4


def test_the_analysis_of_a_hessian_is_pyscfs(water, analysed):
    from pyscf.hessian import thermo

    mole = of_pyscf(water).mol
    # PySCF takes average masses: the same analysis with those.
    masses = mole.atom_mass_list(isotope_avg=True)
    blocks = analysed.differences.hessian.reshape(3, 3, 3, 3).transpose(0, 2, 1, 3)
    theirs = thermo.harmonic_analysis(mole, blocks)
    ours = normal_modes(masses, water.positions, analysed.differences.hessian, np.zeros((9, 3)))
    np.testing.assert_allclose(ours.frequencies, theirs["freq_wavenumber"], rtol=1e-5)
    np.testing.assert_allclose(ours.reduced_masses, theirs["reduced_mass"], rtol=1e-4)


def test_intensities_are_those_of_dipoles_along_the_modes(water, analysed):
    modes, step = analysed.modes, 0.01
    for mode in range(3):
        ahead, behind = (
            of_pyscf(water, water.positions + sign * step * modes.displacements[mode]).dip_moment(
                unit="au", verbose=0
            )
            for sign in (1, -1)
        )
        slope = (ahead - behind) / (2 * step)  # e, along the unit displacement
        # 974.88 km/mol of one e²/dalton: N_A e² / (12 epsilon_0 c²), CODATA 2018.
        expected = 974.88 * slope @ slope / modes.reduced_masses[mode]
        assert modes.intensities[mode] == pytest.approx(expected, rel=2e-3)


def test_carbon_dioxide_has_four_modes_with_a_degenerate_bend(solver):
    (done,) = relax(solver, [molecule("CO2")], criteria="gau_tight")
    found = frequencies(solver, done.system)
    bend1, bend2, symmetric, antisymmetric = found.modes.frequencies
    assert found.modes.geometry == "linear"
    assert bend1 == pytest.approx(bend2, abs=0.1)
    assert 400 < bend1 < symmetric < antisymmetric
    assert found.modes.intensities[2] < 1e-3  # no dipole changes in the symmetric stretch
    assert min(found.modes.intensities[[0, 1, 3]]) > 1
    assert found.thermochemistry.symmetry_number == 2
    assert len(found.rotational_constants) == 1


def test_a_geometry_that_is_not_stationary_is_doubted(solver):
    found = frequencies(solver, molecule("H2O"))
    assert "not a stationary point" in found.doubt


def test_frequencies_do_not_change_when_the_molecule_is_turned(water, analysed):
    masses, turn = commonest_isotope_masses(water.atomic_numbers), rotation(5)
    every = np.kron(np.eye(3), turn)
    turned = normal_modes(
        masses,
        water.positions @ turn.T + 7.0,
        every @ analysed.differences.hessian @ every.T,
        every @ analysed.differences.dipole_derivatives @ turn.T,
    )
    np.testing.assert_allclose(turned.frequencies, analysed.modes.frequencies, rtol=1e-9)
    np.testing.assert_allclose(turned.intensities, analysed.modes.intensities, rtol=1e-8)


def test_translations_and_rotations_have_no_part_in_the_modes(water):
    # A Hessian of one everywhere pulls on translations too: what is left has 3N - 6 modes, none of them moves the mass.
    masses = commonest_isotope_masses(water.atomic_numbers)
    modes = normal_modes(masses, water.positions, np.eye(9), np.zeros((9, 3)))
    assert modes.displacements.shape == (3, 3, 3)
    moved = np.einsum("a,mab->mb", masses, modes.displacements)
    turned = np.einsum("a,mab->mb", masses, np.cross(water.positions[None], modes.displacements))
    np.testing.assert_allclose(moved, 0, atol=1e-12)
    np.testing.assert_allclose(turned, 0, atol=1e-11)


# ---- rotors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "number"),
    # Orders of the pure rotation groups: T 12, D6 12, D3 6 and 3, C2 2, D2 4, C3 3; D-infinity 2, C-infinity 1.
    [
        ("CH4", 12), ("C6H6", 12), ("C2H6", 6), ("C2H4", 4), ("NH3", 3), ("H2O", 2), ("BF3", 6), ("CH3OH", 1),
        ("CO2", 2), ("C2H2", 2), ("HCN", 1), ("H2", 2), ("CO", 1), ("H", 1),
    ],
)  # fmt: skip
def test_symmetry_numbers_are_the_orders_of_the_rotation_groups(name, number):
    system = scfx.System.from_ase(ase_molecule(name))
    masses = commonest_isotope_masses(system.atomic_numbers)
    noise = np.random.default_rng(1).normal(
        size=system.positions.shape, scale=2e-3
    )  # bohr, as a relaxation leaves
    noise = noise if shape(masses, system.positions) == "nonlinear" else 0 * noise
    turned = (system.positions + noise) @ rotation(2).T
    assert symmetry_number(system.atomic_numbers, masses, turned) == number


def test_a_molecule_distorted_by_more_than_the_tolerance_has_no_symmetry():
    system = scfx.System.from_ase(ase_molecule("CH4"))
    moved = system.positions + np.random.default_rng(0).normal(size=(5, 3), scale=0.1)
    assert symmetry_number(system.atomic_numbers, commonest_isotope_masses(system.atomic_numbers), moved) == 1


def test_the_rotational_constant_of_carbon_monoxide_is_the_measured_one():
    # Huber and Herzberg (1979): r_e = 1.128323 angstrom, B_e = 1.93128 cm-1 of 12C16O.
    system = scfx.System.from_arrays(["C", "O"], [[0, 0, 0], [0, 0, 1.128323]])
    (b,) = rotational_constants(commonest_isotope_masses(system.atomic_numbers), system.positions)
    assert b / 29.9792458 == pytest.approx(1.93128, abs=2e-4)


def test_isotopes_are_the_commonest():
    # NIST: 1H, 12C, 16O, 35Cl, 79Br.
    masses = commonest_isotope_masses(np.array([1, 6, 8, 17, 35], dtype=np.int32))
    np.testing.assert_allclose(
        masses, [1.00782503, 12.0, 15.99491462, 34.96885268, 78.9183376], rtol=0, atol=1e-7
    )
    with pytest.raises(scfx.InputError, match="92"):
        commonest_isotope_masses(np.array([93], dtype=np.int32))


# ---- thermochemistry -----------------------------------------------------------------------------------------------


def vibrating(geometry, *values):
    n = len(values)
    return Modes(geometry, np.array(values, dtype=float), np.zeros(n), np.ones(n), np.zeros((n, 1, 3)))


def test_the_entropy_of_argon_is_the_measured_one():
    argon = scfx.System.from_arrays(["Ar"], [[0, 0, 0]])
    found = thermochemistry(argon, 0.0, np.array([39.948]), vibrating("monatomic"), 1, pressure=BAR)
    # CODATA key values: 154.846(3) J/mol/K at 298.15 K and 1 bar.
    assert found.entropy * CALORIE == pytest.approx(154.846, abs=3e-3)
    assert found.cv * CALORIE == pytest.approx(1.5 * 8.314462618, abs=1e-6)
    assert (found.zpve, found.u0) == (0.0, 0.0)
    assert found.h - found.u == pytest.approx(298.15 * 3.166811563e-6, rel=1e-6)  # R T, CODATA 2018


def test_the_entropy_of_nitrogen_is_the_measured_one():
    nitrogen = scfx.System.from_arrays(["N", "N"], [[0, 0, 0], [0, 0, 1.0977]])  # Huber and Herzberg (1979)
    masses = np.array([14.0067, 14.0067])
    found = thermochemistry(nitrogen, 0.0, masses, vibrating("linear", 2358.57), 2, pressure=BAR)
    # CODATA key values: 191.609(4) J/mol/K; a rigid rotor at r_e lacks a little.
    assert found.entropy * CALORIE == pytest.approx(191.609, abs=0.2)


def test_thermochemistry_of_water_is_pyscfs(water, analysed):
    from pyscf.hessian import thermo

    mf = of_pyscf(water)
    blocks = analysed.differences.hessian.reshape(3, 3, 3, 3).transpose(0, 2, 1, 3)
    theirs = thermo.thermo(mf, thermo.harmonic_analysis(mf.mol, blocks)["freq_au"], 298.15, 101325)
    ours = analysed.thermochemistry
    # PySCF's masses are averages (18.0153 and not 18.0106 daltons), which is the difference that is left.
    assert ours.zpve == pytest.approx(theirs["ZPE"][0], abs=5e-6)
    assert ours.u - analysed.differences.energy == pytest.approx(theirs["E_tot"][0] - mf.e_tot, abs=5e-6)
    assert ours.h - analysed.differences.energy == pytest.approx(theirs["H_tot"][0] - mf.e_tot, abs=5e-6)
    assert ours.g - analysed.differences.energy == pytest.approx(theirs["G_tot"][0] - mf.e_tot, abs=1e-5)
    assert ours.cv == pytest.approx(theirs["Cv_tot"][0] * 627509.474, rel=1e-4)
    assert ours.entropy == pytest.approx(theirs["S_tot"][0] * 627509.474, rel=1e-4)
    assert ours.symmetry_number == theirs["sym_number"][0] == 2


def test_an_oscillator_much_softer_than_kt_has_the_heat_capacity_of_equipartition():
    soft = heat_capacity(vibrating("nonlinear", 0.5), 298.15) - heat_capacity(vibrating("nonlinear"), 298.15)
    assert soft * CALORIE == pytest.approx(8.314462618, rel=1e-5)
    assert heat_capacity(vibrating("nonlinear", 1e6), 298.15) == heat_capacity(vibrating("nonlinear"), 298.15)


def test_imaginary_frequencies_leave_no_thermochemistry_and_say_so(water):
    masses = commonest_isotope_masses(water.atomic_numbers)
    found = thermochemistry(water, -75.0, masses, vibrating("nonlinear", -310.04, 1600.0, 3700.0), 2)
    assert (found.u0, found.u, found.h, found.g, found.cv, found.entropy) == (None,) * 6
    assert "310.0i" in found.reason
    assert found.zpve == pytest.approx(2650 / 219474.6313632, rel=1e-6)


@pytest.mark.parametrize("options", [{"step": 0.0}, {"temperature": 0.0}, {"pressure": -1.0}])
def test_what_cannot_be_done_is_refused(solver, options):
    with pytest.raises(scfx.InputError):
        frequencies(solver, molecule("H2O"), **options)
