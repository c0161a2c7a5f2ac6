"""libcint's derivative integrals: against PySCF's own, differences of energies, and published gradients."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gradient_checks import (
    difference,
    directions,
    hartree_fock_gradient,
    in_system_order,
    random_symmetric,
    repulsion_gradient,
    two_electron_energy,
)
from molecules import molecule, moved
from pyscf_oracle import pyscf_mole
from scfx_libcint.backend import LibcintBackend

import scfx
from scfx.config.precision import FLOAT64
from scfx.contracts.derivatives import AbstractGradientBackend, TwoElectronEnergy
from scfx.errors import InputError
from scfx.model.basis import BasisSet, Shell
from scfx.model.batch import Batch

ONLY = np.zeros(1, dtype=np.int32)
#: Every atom off the axes, hydrogens first, so that the batch orders the atoms otherwise than the system.
AMINE = scfx.System.from_arrays(
    ["H", "H", "N"], [[-0.9, 1.2, 0.1], [1.0, 1.1, -0.2], [0.1, -0.3, 0.4]], multiplicity=2, unit="bohr"
)
METHYL_BROMIDE = (
    ["C", "Br", "H", "H", "H"],
    [[0, 0, 0], [0, 0, 3.7], [1.95, 0, -0.7], [-1, 1.7, -0.7], [-1, -1.7, -0.7]],
)


def _batch(system: scfx.System, basis: str | BasisSet, registry: scfx.Registry) -> Batch:
    if isinstance(basis, str):
        basis = BasisSet.from_source(registry.basis(basis), [int(z) for z in system.atomic_numbers])
    return Batch.from_systems([system], basis)


def _two_electron(backend: LibcintBackend, batch: Batch, density: np.ndarray, *energies: TwoElectronEnergy):
    return backend.two_electron_gradient(batch, ONLY, density[None], list(energies), FLOAT64)[0]


def _pyscf_order(batch: Batch, mole) -> np.ndarray:
    """Where each AO of PySCF's molecule, whose atoms come in the system's order, stands in the batch."""
    place = np.argsort(batch.atom_order[0])
    own = batch.layout.ao_atom
    return np.concatenate([np.flatnonzero(own == place[a]) for a in range(mole.natm)])


@pytest.mark.parametrize("basis", ["sto-3g", "6-31g*", "def2-svp"])
def test_contractions_are_those_of_pyscfs_derivative_matrices(basis, registry):
    # 6-31G*: Cartesian; def2-SVP: spherical.
    from pyscf import grad, scf

    batch = _batch(AMINE, basis, registry)
    mole = pyscf_mole(AMINE, basis, registry)
    order = np.ix_(*2 * [_pyscf_order(batch, mole)])
    alpha, beta, weighted = random_symmetric(3, 3, batch.nao, batch.nao)
    field = grad.uhf.Gradients(scf.UHF(mole))
    slices = mole.aoslice_by_atom()[:, 2:]
    core, overlap = field.hcore_generator(mole), field.get_ovlp(mole)
    total, w = (alpha + beta)[order], weighted[order]
    coulomb, exchange = field.get_jk(mole, np.stack([alpha[order], beta[order]]))
    one, two, closed = np.zeros((3, 3)), np.zeros((3, 3)), np.zeros((3, 3))
    for atom, (start, stop) in enumerate(slices):
        rows = slice(start, stop)
        one[atom] = np.einsum("xij,ij->x", core(atom), total)
        one[atom] -= 2 * np.einsum("xij,ij->x", overlap[:, rows], w[rows])
        two[atom] = 2 * 0.7 * np.einsum("xij,ij->x", coulomb.sum(0)[:, rows], total[rows])
        for of_spin, d in zip(exchange, (alpha[order], beta[order]), strict=True):
            two[atom] -= 2 * 0.3 * np.einsum("xij,ij->x", of_spin[:, rows], d[rows])
        closed[atom] = np.einsum("xij,ij->x", exchange.sum(0)[:, rows], total[rows])  # -½ · ½ · (-4)
    backend = LibcintBackend()
    assert isinstance(backend, AbstractGradientBackend)
    found = backend.one_electron_gradient(batch, ONLY, (alpha + beta)[None], weighted[None])[0]
    np.testing.assert_allclose(in_system_order(batch, 0, found), one, rtol=0, atol=1e-11)
    energy = TwoElectronEnergy(coulomb=0.7, exchange=0.3)
    found = _two_electron(backend, batch, np.stack([alpha, beta]), energy)
    np.testing.assert_allclose(in_system_order(batch, 0, found), two, rtol=0, atol=1e-10)
    restricted = TwoElectronEnergy(coulomb=0.0, exchange=-1.0)
    found = _two_electron(backend, batch, (alpha + beta)[None], restricted)
    np.testing.assert_allclose(in_system_order(batch, 0, found), closed, rtol=0, atol=1e-10)


def _mixed_to_g() -> BasisSet:
    """Cartesian d and g beside spherical d and f, as no table has them."""

    def shell(l: int, exponent: float, cartesian: bool = False) -> Shell:
        return Shell.normalised(l, [exponent, 0.4 * exponent], [0.6, 0.5], cartesian)

    return BasisSet(
        "mixed to g",
        {
            1: (shell(0, 1.2), shell(1, 0.9), shell(2, 0.8, True)),
            7: (shell(0, 9.0), shell(0, 0.7), shell(1, 0.8), shell(2, 1.1), shell(3, 1.0), shell(4, 1.3, True)),
        },
    )  # fmt: skip


ENERGIES = {
    "coulomb": (TwoElectronEnergy(coulomb=1.0, exchange=0.2),),
    "range-separated": (
        TwoElectronEnergy(coulomb=1.0, exchange=0.19),
        TwoElectronEnergy("erf", 0.33, coulomb=0.0, exchange=0.46),
    ),
    "short-range": (TwoElectronEnergy("erfc", 0.4, coulomb=0.6, exchange=0.25),),
}


@pytest.mark.parametrize("nspin", [1, 2])
@pytest.mark.parametrize("case", ENERGIES)
def test_two_electron_gradient_is_the_energys_derivative(case, nspin, registry):
    system = AMINE if case == "coulomb" else molecule("OH", 0, 2)
    basis = _mixed_to_g() if case == "coulomb" else "6-31g*"
    backend, energies = LibcintBackend(), ENERGIES[case]
    batch = _batch(system, basis, registry)
    density = random_symmetric(5, nspin, batch.nao, batch.nao)

    def energy(of: scfx.System) -> float:
        at = _batch(of, basis, registry)
        full, parts = backend.two_electron(at, FLOAT64, 2**30), []
        for part in energies:
            attenuated = part.omega and backend.attenuated_two_electron(at, part.omega, FLOAT64, 2**30)
            if part.operator != "erf":
                parts.append((part, full))
            if part.operator == "erf":
                parts.append((part, attenuated))
            elif part.operator == "erfc":
                minus = part._replace(coulomb=-part.coulomb, exchange=-part.exchange)
                parts.append((minus, attenuated))
        return two_electron_energy(parts, density)

    found = in_system_order(batch, 0, _two_electron(backend, batch, density, *energies))
    (along,) = directions(system, 1)
    scale = np.abs(found).max()
    assert np.sum(found * along) == pytest.approx(difference(energy, system, along), abs=2e-9 * scale)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-11 * scale)


def _one_electron_energy(batch: Batch, density: np.ndarray, weighted: np.ndarray) -> float:
    core = LibcintBackend().one_electron(batch)
    return float(np.sum(density * (core.kinetic[0] + core.nuclear[0])) - np.sum(weighted * core.overlap[0]))


@pytest.mark.parametrize("charges", [None, [0.0, 0.6, 7.3]], ids=["nuclei", "ghost and fractional"])
def test_one_electron_gradient_is_the_energys_derivative(charges, registry):
    basis = _mixed_to_g()

    def at(system: scfx.System) -> Batch:
        batch = _batch(system, basis, registry)
        if charges is None:
            return batch
        return replace(batch, nuclear_charges=np.array([charges])[:, batch.atom_order[0]])

    batch = at(AMINE)
    density, weighted = random_symmetric(6, 2, batch.nao, batch.nao)
    found = LibcintBackend().one_electron_gradient(batch, ONLY, density[None], weighted[None])[0]
    found = in_system_order(batch, 0, found)
    for along in directions(AMINE, 3):
        # Tight nitrogen functions: the integrals' fifth derivatives are large, so the step is small.
        numeric = difference(lambda s: _one_electron_energy(at(s), density, weighted), AMINE, along, 0.001)
        assert np.sum(found * along) == pytest.approx(numeric, abs=2e-8)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-10)
    assert (
        charges is None or np.abs(found[0]).min() > 1e-3
    )  # a centre without charge is pulled by its functions


def test_repulsion_gradient_is_the_energys_derivative(registry):
    system = molecule("H2CO")
    batch = _batch(system, "sto-3g", registry)
    found = in_system_order(batch, 0, repulsion_gradient(batch)[0])
    for along in directions(system, 2):
        numeric = difference(
            lambda s: float(_batch(s, "sto-3g", registry).nuclear_repulsion[0]), system, along, 0.01
        )
        assert np.sum(found * along) == pytest.approx(numeric, abs=1e-7)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-13)


def test_lanes_choose_entries_whose_bits_depend_on_neither_company_nor_threads(registry):
    systems = [moved(AMINE, AMINE.positions * scale) for scale in (1.0, 1.05, 1.1)]
    basis = BasisSet.from_source(registry.basis("6-31g"), [1, 7])
    batch = Batch.from_systems(systems, basis)
    density = random_symmetric(8, 3, 2, batch.nao, batch.nao)
    energies = [TwoElectronEnergy(coulomb=1.0, exchange=1.0)]

    def both(lanes: list[int], threads: int, of: Batch, d: np.ndarray) -> np.ndarray:
        backend, chosen = LibcintBackend(threads=threads), np.array(lanes, dtype=np.int32)
        one = backend.one_electron_gradient(of, chosen, d.sum(1), d[:, 0])
        return np.stack([one, backend.two_electron_gradient(of, chosen, d, energies, FLOAT64)])

    together = both([0, 1, 2], 2, batch, density)
    assert (both([2, 0], 1, batch, density[[2, 0]]) == together[:, [2, 0]]).all()
    assert (both([0], 1, batch.take([1]), density[[1]])[:, 0] == together[:, 1]).all()
    assert both([], 1, batch, density[:0]).shape == (2, 0, 3, 3)


@pytest.mark.parametrize(
    ("energy", "message"),
    [
        (TwoElectronEnergy("erf", 0.0), "omega: got 0.0, expected a positive"),
        (TwoElectronEnergy("coulomb", 0.3), "omega: got 0.3 for the Coulomb operator"),
        (TwoElectronEnergy("gaunt", 0.3), "operator: got 'gaunt'"),  # type: ignore[arg-type]
    ],
)
def test_operators_that_are_none_are_refused(energy, message, registry, without_shape_checks):
    batch = _batch(molecule("H2"), "sto-3g", registry)
    with pytest.raises(InputError, match=message):
        _two_electron(LibcintBackend(), batch, np.ones((1, 2, 2)), energy)


def test_core_potential_moves_with_its_atom(registry):
    # Both derivatives of the potential: by the functions, and by the atom that carries it.
    system = scfx.System.from_arrays(["H", "I"], [[0.1, -0.2, 0.3], [0.4, 0.5, 3.2]], unit="bohr")
    batch = _batch(system, "def2-svp", registry)
    density, weighted = 0.01 * random_symmetric(6, 2, batch.nao, batch.nao)
    found = LibcintBackend().one_electron_gradient(batch, ONLY, density[None], weighted[None])[0]
    found = in_system_order(batch, 0, found)
    (along,) = directions(system, 1)
    numeric = difference(
        lambda s: _one_electron_energy(_batch(s, "def2-svp", registry), density, weighted),
        system,
        along,
        0.002,
    )
    assert np.sum(found * along) == pytest.approx(numeric, abs=1e-8)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-9)


@pytest.mark.parametrize(
    ("symbols", "positions", "basis"),
    [
        (["H", "I"], [[0, 0, 0], [0, 0, 3.1]], "def2-svp"),
        (*METHYL_BROMIDE, "lanl2dz"),
    ],
    ids=["HI/def2-SVP", "CH3Br/LANL2DZ"],
)  # fmt: skip
def test_hartree_fock_gradient_with_core_potential_is_pyscfs(symbols, positions, basis, registry):
    from pyscf import gto, scf

    mole = gto.M(
        atom=list(zip(symbols, positions, strict=True)), unit="B", basis=basis, verbose=0,
        ecp={s: basis for s in symbols if s in ("Br", "I")},
    )  # fmt: skip
    field = scf.RHF(mole)
    field.conv_tol, field.conv_tol_grad = 1e-12, 1e-8
    field.kernel()
    gradients = field.nuc_grad_method()
    gradients.verbose = 0
    ours = _hartree_fock(symbols, positions, 0, 1, basis, registry)
    np.testing.assert_allclose(ours, gradients.kernel(), rtol=0, atol=1e-7)


def _hartree_fock(symbols, positions, charge, multiplicity, basis, registry, **options) -> np.ndarray:
    system = scfx.System.from_arrays(
        symbols, positions, charge=charge, multiplicity=multiplicity, unit=options.pop("unit", "bohr")
    )
    result = scfx.solve(
        system, "hf", basis, "libcint", convergence="tight", threads=1, registry=registry,
        return_density=True, **options,
    ).raise_for_status()  # fmt: skip
    return hartree_fock_gradient(result, LibcintBackend())


# ---- Hartree-Fock gradients of QCEngine's standard suite -----------------------------------------------------------
# github:MolSSI/QCEngine@a97b469, qcengine/programs/tests/standard_suite_ref.py (BSD-3-Clause); CFOUR, GAMESS, NWChem
# and Psi4 agree on them. z components by atom, and those of y where they are not zero by symmetry; hartree/bohr.

_WATER = (
    ["O", "H", "H"],
    [[0, 0, -0.1240388603], [0, -1.431430901356, 0.984293362719], [0, 1.431430901356, 0.984293362719]],
)
_AMINO = (
    ["N", "H", "H"],
    [
        [0, 0, -0.145912918634892],
        [0, -1.511214298139, 1.013682596946108],
        [0, 1.511214298139, 1.013682596946108],
    ],
)
_BORANE = (
    ["B", "H", "H", "H"],
    [[0, 0, 0.10369114], [0, 0, -1.13269886], [0, -0.37149, 3.0], [0, 0.37149, 3.0]],
)
STANDARD_SUITE = {
    "HF": (
        ["H", "F"], [[0, 0, -1.64558411], [0, 0, 0.08729475]], 0, 1, "cc-pvdz", {},
        [0, 0], [-0.019789748774, 0.019789748774],
    ),
    "H2O": (
        *_WATER, 0, 1, "aug-cc-pvdz", {},
        [0, -0.011259127342, 0.011259127342], [-0.021391822417, 0.010695911208, 0.010695911208],
    ),
    "NH2 unrestricted": (
        *_AMINO, 0, 2, "aug-cc-pvdz", {},
        [0, 0.004518040488, -0.004518040488], [0.008498123792, -0.004249061896, -0.004249061896],
    ),
    "NH2 restricted open": (
        *_AMINO, 0, 2, "aug-cc-pvdz", {"reference": "restricted-open"},
        [0, 0.003856927713, -0.003856927713], [0.007678819724, -0.003839409862, -0.003839409862],
    ),
    "BH3+ unrestricted": (
        *_BORANE, 1, 2, "cc-pvdz", {"unit": "angstrom"},
        [0, 0, 0.004869782481, -0.004869782481],
        [0.018283596898, -0.016914487538, -0.00068455468, -0.00068455468],
    ),
    "BH3+ restricted open": (
        *_BORANE, 1, 2, "cc-pvdz", {"unit": "angstrom", "reference": "restricted-open"},
        [0, 0, 0.004706239974, -0.004706239974],
        [0.022062218595, -0.02050835054, -0.000776934027, -0.000776934027],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", STANDARD_SUITE)
def test_hartree_fock_gradient_of_the_standard_suite(case, registry):
    *what, options, y, z = STANDARD_SUITE[case]
    found = _hartree_fock(*what, registry, **options)
    np.testing.assert_allclose(found, np.stack([np.zeros(len(y)), y, z], axis=1), rtol=0, atol=1e-8)
