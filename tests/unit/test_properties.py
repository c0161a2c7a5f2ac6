"""Charges, bond orders and files for looking, against PySCF's and read back by PySCF."""

from __future__ import annotations

import numpy as np
import pytest
from molecules import molecule

import scfx
from scfx.export import to_cube, to_molden


def _pyscf(system, basis, cart=False):
    from pyscf import gto, scf

    mole = gto.M(
        atom=list(zip(system.symbols, system.positions, strict=True)), unit="bohr", basis=basis, cart=cart,
        charge=system.charge, spin=system.multiplicity - 1, verbose=0,
    )  # fmt: skip
    field = (scf.UHF if mole.spin else scf.RHF)(mole)
    field.conv_tol = 1e-12
    field.kernel()
    return mole, field


# The hydrogens come first, so that the batch's own order of atoms differs from the system's.
WATER = (["H", "O", "H"], [[0, 0.757, 0.587], [0, 0, 0], [0, -0.757, 0.587]])
HYDROXYL_ION_RADICAL = scfx.System.from_arrays("HN", [[0, 0, 1.04], [0, 0, 0]], multiplicity=3)


@pytest.fixture(scope="module")
def water():
    return scfx.System.from_arrays(*WATER)


@pytest.mark.parametrize("open_shell", [False, True], ids=["H2O", "NH triplet"])
def test_charges_and_bond_orders_are_pyscfs(water, open_shell):
    system = HYDROXYL_ION_RADICAL if open_shell else water
    result = scfx.solve(system, functional="hf", basis="6-31g", convergence="tight")
    mole, field = _pyscf(system, "6-31g")
    density = field.make_rdm1()
    (_, mulliken) = field.mulliken_pop(mole, density, verbose=0)
    np.testing.assert_allclose(result.mulliken_charges[0], mulliken, atol=1e-6)
    (_, loewdin) = field.mulliken_meta(mole, density, pre_orth_method="ANO", verbose=0)
    assert np.abs(loewdin - result.loewdin_charges[0]).max() < 0.5  # another scheme: same signs and size
    # Mayer's formula, written out over PySCF's matrices.
    overlap = mole.intor("int1e_ovlp")
    spins = density if density.ndim == 3 else np.stack([density / 2] * 2)
    slices = mole.aoslice_by_atom()[:, 2:]
    for a, (a0, a1) in enumerate(slices):
        for b, (b0, b1) in enumerate(slices):
            expected = sum(
                2 * np.sum((p @ overlap)[a0:a1, b0:b1] * (p @ overlap)[b0:b1, a0:a1].T) for p in spins
            )
            assert result.bond_orders[0][a, b] == pytest.approx(0.0 if a == b else expected, abs=1e-6)


def test_loewdin_charges_are_those_of_the_orthogonalised_basis(water):
    import scipy.linalg

    result = scfx.solve(water, functional="hf", basis="sto-3g", return_density=True)
    root = scipy.linalg.sqrtm(result.overlap[0])
    populations = np.diag(root @ result.density[0][0] @ root)
    by_atom = [populations[0], populations[1:6].sum(), populations[6]]
    np.testing.assert_allclose(result.loewdin_charges[0], np.array([1.0, 8.0, 1.0]) - by_atom, atol=1e-9)


def test_charges_add_up_to_the_charge_of_the_molecule():
    ion = scfx.System.from_arrays("OH", [[0, 0, 0], [0, 0, 0.97]], charge=-1)
    result = scfx.solve([ion, molecule("H2O")], functional="pbe", basis="6-31g*", grid=0)
    for charges in (result.mulliken_charges, result.loewdin_charges):
        assert [c.sum() for c in charges] == pytest.approx([-1.0, 0.0], abs=1e-8)


@pytest.mark.parametrize(
    ("basis", "cart"), [("6-31g", False), ("6-31g*", True), ("def2-svp", False), ("cc-pvtz", False)]
)
def test_molden_file_gives_back_the_energy(water, tmp_path, basis, cart):
    # Read by PySCF: its integrals over the file's basis and orbitals must give the Hartree-Fock energy again.
    from pyscf import scf
    from pyscf.tools import molden

    result = scfx.solve(water, functional="hf", basis=basis, return_density=True)
    read, energies, coefficients, occupations, *_ = molden.load(str(to_molden(result, tmp_path / "w.molden")))
    assert read.cart == cart
    overlap = read.intor("int1e_ovlp")
    np.testing.assert_allclose(coefficients.T @ overlap @ coefficients, np.eye(len(overlap)), atol=1e-6)
    np.testing.assert_allclose(energies, result.orbital_energies[0], atol=1e-8)
    density = (coefficients * occupations) @ coefficients.T
    assert scf.RHF(read).energy_tot(dm=density) == pytest.approx(result.energy[0], abs=1e-6)


def test_molden_file_of_an_open_shell_has_both_spins(tmp_path):
    from pyscf.tools import molden

    result = scfx.solve(HYDROXYL_ION_RADICAL, functional="hf", basis="6-31g", return_density=True)
    _, _, _, occupations, *_ = molden.load(str(to_molden(result, tmp_path / "nh.molden")))
    assert [float(np.sum(o)) for o in occupations] == [5.0, 3.0]


def test_cube_of_the_density_holds_the_electrons(tmp_path):
    # Hydrogen: without a core's cusp, which would fall between the points of a regular grid.
    result = scfx.solve(molecule("H2"), functional="hf", basis="6-31g", return_density=True)
    lines = to_cube(result, tmp_path / "h.cube", spacing=0.2, margin=7.0).read_text().splitlines()
    values = np.array(" ".join(lines[8:]).split(), dtype=float)
    counts = [int(line.split()[0]) for line in lines[3:6]]
    assert values.size == np.prod(counts)
    assert values.sum() * 0.2**3 == pytest.approx(2.0, abs=0.01)


def test_cube_of_an_orbital_is_normalised_and_orthogonal(water, tmp_path):
    result = scfx.solve(water, functional="hf", basis="sto-3g", return_density=True)
    fields = []
    for quantity in ("homo", "lumo"):
        lines = to_cube(result, tmp_path / "o.cube", quantity, spacing=0.25).read_text().splitlines()
        fields.append(np.array(" ".join(lines[9:]).split(), dtype=float))
    cell = 0.25**3
    assert np.sum(fields[0] ** 2) * cell == pytest.approx(1.0, abs=0.02)
    assert np.sum(fields[0] * fields[1]) * cell == pytest.approx(0.0, abs=1e-3)


def test_export_asks_for_the_density(water, tmp_path):
    plain = scfx.solve(water, functional="hf", basis="sto-3g")
    with pytest.raises(scfx.InputError, match="return_density=True"):
        to_molden(plain, tmp_path / "w.molden")
    full = scfx.solve(water, functional="hf", basis="sto-3g", return_density=True)
    with pytest.raises(scfx.InputError, match="there is no orbital 7"):
        to_cube(full, tmp_path / "w.cube", 7)
    with pytest.raises(scfx.InputError, match="got 'spin'"):
        to_cube(full, tmp_path / "w.cube", "spin")


@pytest.mark.parametrize(
    ("system", "basis"),
    [
        (scfx.System.from_arrays(*WATER), {"name": "6-31g*", "cartesian": True}),
        (HYDROXYL_ION_RADICAL, "cc-pvtz"),
        (scfx.System.from_arrays("IH", [[0, 0, 0], [0, 0, 1.609]]), "def2-svp"),
    ],
    ids=["H2O", "NH triplet", "HI with a core potential"],
)
def test_quadrupole_is_that_of_pyscfs_second_moments(system, basis):
    from pyscf import gto

    result = scfx.solve(
        system, functional="hf", basis=basis, backend="libcint", return_density=True, quadrupole=True
    )
    name = basis if isinstance(basis, str) else basis["name"]
    mole = gto.M(
        atom=list(zip(system.symbols, system.positions, strict=True)), unit="bohr", basis=name,
        ecp="def2-svp" if 53 in system.atomic_numbers else {}, cart=not isinstance(basis, str),
        spin=system.multiplicity - 1, verbose=0,
    )  # fmt: skip
    origin = system.atomic_numbers @ system.positions / system.atomic_numbers.sum()
    with mole.with_common_orig(origin):
        integrals = mole.intor("int1e_rr").reshape(3, 3, mole.nao, mole.nao)
    nuclei = mole.atom_coords() - origin
    second = np.einsum("a,ax,ay->xy", mole.atom_charges(), nuclei, nuclei)
    second -= np.einsum("xyij,sij->xy", integrals, result.density[0])
    expected = 0.5 * (3.0 * second - np.trace(second) * np.eye(3))
    # PySCF's tables of these basis sets have the same digits.
    np.testing.assert_allclose(result.quadrupole[0], expected, atol=1e-6)


def test_quadrupole_of_hydrogen_is_the_published_one():
    # Θ_zz of H2 at 1.4 bohr is 0.4568 e bohr² (Poll and Wolniewicz, J. Chem. Phys. 68, 3053 (1978), correlated);
    # Hartree-Fock is known to give some 8 % more.
    system = scfx.System.from_arrays("HH", [[0, 0, 0], [0, 0, 1.4]], "bohr")
    (moment,) = scfx.solve(system, functional="hf", basis="cc-pvtz", quadrupole=True).quadrupole
    np.testing.assert_allclose(moment, np.diag(np.diag(moment)), atol=1e-9)
    assert np.trace(moment) == pytest.approx(0.0, abs=1e-9)
    assert 0.4568 < moment[2, 2] < 1.12 * 0.4568
