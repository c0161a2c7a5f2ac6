"""scfx as a program of QCEngine: its standard suite's numbers, QCSchema of both versions, and errors by their class."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

# QCElemental, when imported, announces where its models will move.
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import qcelemental
    import qcengine
    from qcengine import exceptions

import scfx
import scfx.qcengine
from scfx.hessian import hessian

# QCSchema v1, which QCEngine still takes, speaks through pydantic's v1 interface.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*pydantic.*"),
    pytest.mark.filterwarnings("ignore::FutureWarning:qcelemental"),
]

LOCAL = {"ncores": 1, "memory": 2}
STO3G = {"method": "hf", "basis": "sto-3g"}
HYDROGEN = {"symbols": ["H", "H"], "geometry": [0.0, 0.0, -0.65, 0.0, 0.0, 0.77]}
WATER = {"symbols": ["H", "O", "H"], "geometry": [1.5, 0.1, 1.1, 0.1, 0.0, 0.2, -1.4, 0.0, 1.2]}

# Geometries, energies (hartree) and gradients (hartree/bohr) of QCEngine's standard suite, which CFOUR, GAMESS, NWChem
# and Psi4 reproduce: MolSSI/QCEngine, qcengine/programs/tests/standard_suite_ref.py at a97b469, BSD-3-Clause, the
# entries "scf_hf_dz_pk_rhf", "scf_bh3p_dz_pk_uhf" and "scf_bh3p_dz_pk_rohf", conventional integrals in cc-pVDZ.
HYDROGEN_FLUORIDE = "H 0 0 -1.64558411\nF 0 0 0.08729475\nunits bohr"
BORANE_CATION = """1 2
B 0 0 0.10369114
H 0 0 -1.13269886
H 0 -0.37149 3.0
H 0 0.37149 3.0
units angstrom"""
SUITE = {
    "RHF": (HYDROGEN_FLUORIDE, "restricted", -100.0194112690227, [0, 0, -0.019789748774, 0, 0, 0.019789748774]),
    "UHF": (
        BORANE_CATION, "unrestricted", -25.94513842869638,
        [0, 0, 0.018283596898, 0, 0, -0.016914487538, 0, 0.004869782481, -0.00068455468, 0, -0.004869782481,
         -0.00068455468],
    ),
    "ROHF": (
        BORANE_CATION, "restricted-open", -25.943614318546,
        [0, 0, 0.022062218595, 0, 0, -0.02050835054, 0, 0.004706239974, -0.000776934027, 0, -0.004706239974,
         -0.000776934027],
    ),
}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _registered():
    scfx.qcengine.register()
    scfx.qcengine.register()  # again has no effect


def asked(driver="energy", model=STO3G, molecule=HYDROGEN, keywords=None, **more):
    return {"molecule": molecule, "driver": driver, "model": model, "keywords": keywords or {}, **more}


def compute(given, raise_error=True, **options):
    return qcengine.compute(given, "scfx", raise_error=raise_error, task_config=LOCAL, **options)


@pytest.mark.parametrize("reference", SUITE)
def test_standard_suite(reference):
    geometry, kind, energy, gradient = SUITE[reference]
    molecule = qcelemental.models.v2.Molecule.from_data(geometry)
    given = asked("gradient", {"method": "hf", "basis": "cc-pvdz"}, molecule, {"reference": kind})
    result = compute(
        qcelemental.models.v2.AtomicInput(molecule=molecule, specification=_specification(given))
    )
    assert result.properties.return_energy == pytest.approx(energy, abs=1e-8)
    np.testing.assert_allclose(result.return_result, np.reshape(gradient, (-1, 3)), atol=1e-8)
    np.testing.assert_array_equal(result.properties.return_gradient, result.return_result)


def _specification(given):
    return {key: given[key] for key in ("driver", "model", "keywords")}


def test_both_versions_of_qcschema_give_the_same():
    given = asked("gradient", molecule=WATER)
    from_dict = compute(given)
    first = compute(qcelemental.models.v1.AtomicInput(**given))
    second = compute(qcelemental.models.v2.AtomicInput(molecule=WATER, specification=_specification(given)))
    assert first.schema_name == from_dict.schema_name == "qcschema_output"
    assert (first.schema_version, second.schema_version) == (1, 2)
    for result in (first, second, from_dict):
        assert result.success
        assert result.provenance.creator == "scfx"
        np.testing.assert_array_equal(result.return_result, second.return_result)


def test_results_are_those_of_solve_in_the_molecules_own_frame_and_order():
    result = compute(asked("gradient", molecule=WATER))
    direct = scfx.solve(scfx.System.from_qcschema(WATER), "hf", "sto-3g", threads=1, properties="gradient")
    assert result.properties.return_energy == direct.energy[0]
    np.testing.assert_array_equal(result.return_result, direct.gradient[0])
    np.testing.assert_array_equal(result.properties.scf_dipole_moment, direct.dipole[0])
    np.testing.assert_array_equal(result.molecule.geometry.ravel(), WATER["geometry"])
    assert result.properties.calcinfo_nbasis == result.properties.calcinfo_nmo == 7
    assert result.properties.calcinfo_nalpha == result.properties.calcinfo_nbeta == 5
    assert result.properties.calcinfo_natom == 3
    assert result.properties.scf_iterations == direct.iterations[0]
    assert result.properties.scf_xc_energy is None


def test_parts_of_the_energy_add_up_to_it():
    of = compute(asked(model={"method": "b3lyp-d3bj", "basis": "sto-3g"}, keywords={"grid": 0})).properties
    parts = (
        of.nuclear_repulsion_energy,
        of.scf_one_electron_energy,
        of.scf_two_electron_energy,
        of.scf_xc_energy,
        of.scf_dispersion_correction_energy,
    )
    assert sum(parts) == pytest.approx(of.scf_total_energy, abs=1e-10)
    assert of.scf_total_energy == of.return_energy


def test_ghost_atoms_charge_and_multiplicity_are_the_molecules():
    molecule = {
        "symbols": ["He", "He"],
        "geometry": [0, 0, 0, 0, 0, 4.0],
        "real": [True, False],
        "molecular_charge": 1,
        "molecular_multiplicity": 2,
    }
    result = compute(asked(molecule=molecule))
    system = scfx.System.from_arrays([2, 2], [[0, 0, 0], [0, 0, 4.0]], "bohr", 1, 2, ghosts=[False, True])
    assert result.return_result == scfx.solve(system, "hf", "sto-3g", threads=1).energy[0]
    assert (result.properties.calcinfo_nalpha, result.properties.calcinfo_nbeta) == (1, 0)


def test_hessian_is_that_of_differences():
    result = compute(asked("hessian"))
    solver = scfx.Solver(functional="hf", basis="sto-3g", properties="gradient", threads=1)
    expected = hessian(solver, scfx.System.from_qcschema(HYDROGEN))
    np.testing.assert_array_equal(result.return_result, expected.matrix)
    assert result.extras["scfx"]["hessian_asymmetry"] == expected.asymmetry
    assert result.properties.return_energy == expected.result.energy[0]


def test_properties_are_returned_by_name():
    result = compute(
        asked("properties", keywords={"properties": ["electronic_spatial_extent"]}), return_version=2
    )
    direct = scfx.solve(
        scfx.System.from_qcschema(HYDROGEN), "hf", "sto-3g", threads=1, properties="electronic_spatial_extent"
    )
    returned, extent = result.return_result, direct.properties["electronic_spatial_extent"][0]
    assert returned["dipole"] == direct.dipole[0].tolist()
    np.testing.assert_array_equal(returned["mulliken_charges"], direct.mulliken_charges[0])
    np.testing.assert_array_equal(returned["electronic_spatial_extent"], extent)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model": {"method": "b3lpy", "basis": "sto-3g"}}, "did you mean 'b3lyp"),
        ({"model": {"method": "hf", "basis": "6-31h"}}, "scf.basis"),
        ({"model": {"method": "hf"}}, "model.basis: got none"),
        ({"model": {**STO3G, "auxiliary": "jkfit"}}, "model.auxiliary"),
        (
            {"keywords": {"refrence": "restricted"}},
            "keywords.refrence: unknown key; did you mean 'reference'",
        ),
        ({"keywords": {"reference": "closed"}}, "keywords.reference"),
        ({"keywords": {"threads": 4}}, "keywords.threads.*ncores"),
        ({"keywords": {"functional": "pbe"}}, "keywords.functional.*model.method"),
        (
            {
                "protocols": {"wavefunction": "all"},
                "model": {"method": "hf", "basis": "6-31g*"},
                "molecule": WATER,
            },
            "protocols.wavefunction.*Cartesian.*to_molden",
        ),
        (
            {"protocols": {"wavefunction": "all"}, "driver": "hessian"},
            "protocols.wavefunction.*another driver",
        ),
        ({"protocols": {"native_files": "all"}}, "protocols.native_files"),
        ({"driver": "gradient", "keywords": {"convergence": "qm1b"}}, "scf.convergence"),
    ],
)
def test_what_cannot_be_computed_as_asked_is_an_input_error(change, says):
    failed = compute(asked(**change), raise_error=False)
    assert not failed.success
    assert failed.error.error_type == "input_error"
    with pytest.raises(exceptions.InputError, match=says):
        compute(asked(**change))


def test_what_does_not_converge_is_a_convergence_error():
    given = asked(molecule=WATER, keywords={"convergence": {"max_iterations": 1}, "recovery": False})
    assert compute(given, raise_error=False).error.error_type == "convergence_error"
    given["driver"] = "hessian"
    assert compute(given, raise_error=False).error.error_type == "convergence_error"


def test_what_does_not_fit_the_memory_is_a_resource_error():
    given = asked(molecule=WATER, keywords={"backend": "libcint"})
    failed = qcengine.compute(given, "scfx", task_config={"ncores": 1, "memory": 1e-7})
    assert failed.error.error_type == "resource_error"


def test_geometric_relaxes_water(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # geomeTRIC leaves its trajectory in the current folder
    given = {
        "initial_molecule": WATER,
        "input_specification": {"driver": "gradient", "model": STO3G},
        "keywords": {"program": "scfx", "convergence_set": "GAU_TIGHT"},
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # geomeTRIC's and QCEngine's own, about what they are going to rename
        result = qcengine.compute_procedure(given, "geometric", raise_error=True, task_config=LOCAL)
    oxygen, *hydrogens = (np.asarray(result.final_molecule.geometry)[i] for i in (1, 0, 2))
    lengths = [np.linalg.norm(h - oxygen) * qcelemental.constants.bohr2angstroms for h in hydrogens]
    # Hehre, Radom, Schleyer and Pople, Ab Initio Molecular Orbital Theory (1986): HF/STO-3G has 0.990 angstrom, 100.0°.
    assert lengths == pytest.approx([0.990, 0.990], abs=1e-3)
    first, second = (h - oxygen for h in hydrogens)
    angle = np.degrees(np.arccos(first @ second / np.linalg.norm(first) / np.linalg.norm(second)))
    assert angle == pytest.approx(100.0, abs=0.1)


@pytest.mark.parametrize(("molecule", "multiplicity"), [(HYDROGEN, 1), (WATER, 3)])
def test_orbitals_fit_the_basis_set_that_comes_with_them(molecule, multiplicity):
    """PySCF's overlap matrix of the basis set in the result, in QCSchema's order of functions."""
    from pyscf import gto

    molecule = {**molecule, "molecular_multiplicity": multiplicity}
    given = asked(
        model={"method": "hf", "basis": "def2-svp"}, molecule=molecule, protocols={"wavefunction": "all"}
    )
    result = compute(given)
    found = result.wavefunction
    assert found.restricted == (multiplicity == 1)
    shells = {
        symbol: [
            [s.angular_momentum[0], *([a, c] for a, c in zip(s.exponents, s.coefficients[0], strict=True))]
            for s in found.basis.center_data[found.basis.atom_map[atom]].electron_shells
        ]
        for atom, symbol in enumerate(result.molecule.symbols)
    }
    atoms = [(s, r) for s, r in zip(result.molecule.symbols, result.molecule.geometry.tolist(), strict=True)]
    other = gto.M(atom=atoms, unit="B", basis=shells, spin=multiplicity - 1, verbose=0)
    # PySCF has p as x, y, z; QCSchema as m = -1, 0, 1.
    starts = [other.ao_loc[i] for i in range(other.nbas)]
    order = np.concatenate(
        [
            start
            + (np.array([1, 2, 0]) if other.bas_angular(i) == 1 else np.arange(2 * other.bas_angular(i) + 1))
            for i, start in enumerate(starts)
        ]
    )
    overlap = other.intor("int1e_ovlp")[np.ix_(order, order)]
    dipole = other.intor("int1e_r")[:, order][:, :, order]
    electronic = 0.0
    for spin in ("a",) if found.restricted else ("a", "b"):
        orbitals = getattr(found, f"scf_orbitals_{spin}")
        np.testing.assert_allclose(orbitals.T @ overlap @ orbitals, np.eye(orbitals.shape[1]), atol=1e-8)
        density = getattr(found, f"scf_density_{spin}")
        occupied = orbitals * getattr(found, f"scf_occupations_{spin}")
        np.testing.assert_allclose(occupied @ occupied.T, density, atol=1e-6)
        assert np.all(np.diff(getattr(found, f"scf_eigenvalues_{spin}")) > -1e-9)
        assert getattr(found, f"orbitals_{spin}") == f"scf_orbitals_{spin}"
        electronic -= np.einsum("xij,ij->x", dipole, density) * (2 if found.restricted else 1)
    nuclear = result.molecule.atomic_numbers @ result.molecule.geometry
    np.testing.assert_allclose(electronic + nuclear, result.properties.scf_dipole_moment, atol=1e-6)
    part = compute({**given, "protocols": {"wavefunction": "occupations_and_eigenvalues"}}).wavefunction
    assert part.scf_orbitals_a is None
    assert part.scf_occupations_a is not None
