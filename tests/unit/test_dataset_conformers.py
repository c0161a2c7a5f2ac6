"""A conformer is a function of its own row: canonical SMILES, seed, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scfx_dataset.conformers import conformer_seed, embed
from scfx_dataset.molecules import read_molecule
from scfx_dataset.options import Embedding

BUTANOL = "CCCCO"


def seeds(smiles, n, seed=42):
    return [conformer_seed(seed, smiles, k) for k in range(n)]


def positions(smiles, chosen, **options):
    return [c.positions for c in embed(smiles, chosen, Embedding(**options)).conformers]


def test_the_same_seed_gives_the_same_bits():
    first, second = (positions(BUTANOL, seeds(BUTANOL, 3)) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_conformer_does_not_depend_on_how_many_are_asked():
    many = positions(BUTANOL, seeds(BUTANOL, 5))
    assert np.array_equal(positions(BUTANOL, seeds(BUTANOL, 5)[4:])[0], many[4])


def test_conformers_and_stated_seeds_differ():
    geometries = positions(BUTANOL, seeds(BUTANOL, 3) + seeds(BUTANOL, 1, seed=43))
    for i, a in enumerate(geometries):
        assert all(np.abs(a - b).max() > 1e-3 for b in geometries[:i])


def test_seeds_are_stable_across_versions():
    # SHA-256 of "42|CCO|0": first 8 bytes modulo 2^31 - 1, plus 1. Changing it would change every dataset.
    import hashlib

    value = int.from_bytes(hashlib.sha256(b"42|CCO|0").digest()[:8], "big")
    assert conformer_seed(42, "CCO", 0) == 1 + value % (2**31 - 1)


def test_the_way_a_smiles_is_written_does_not_matter():
    written = [read_molecule(s) for s in ("OCCCC", "C(CCC)O", BUTANOL)]
    assert len({m.smiles for m in written}) == 1


def test_hydrogens_are_added_and_the_order_is_the_structures():
    molecule = embed("CO", seeds("CO", 1), Embedding())
    assert molecule.atomic_numbers == (6, 8, 1, 1, 1, 1)
    assert molecule.inchikey == "OKKJLVBELUTLKV-UHFFFAOYSA-N"  # methanol, NIST Chemistry WebBook
    bond = np.linalg.norm(molecule.conformers[0].positions[0] - molecule.conformers[0].positions[1])
    assert bond == pytest.approx(1.42, abs=0.05)  # C-O 1.4246 angstrom: Herzberg 1966


def test_an_embedding_that_fails_says_why_and_harms_no_other():
    # Cyclopropyne: a linear triple bond in a three-membered ring cannot be embedded.
    failed = embed("C1#CC1", seeds("C1#CC1", 2), Embedding()).conformers
    assert [c.positions for c in failed] == [None, None]
    assert failed[0].reason.startswith("embedding: ETKDGv3 found no conformer (most attempts failed at")


def test_pruning_keeps_the_first_of_alike_conformers():
    # Ethane has one conformer up to symmetry: the hydrogens do not count.
    ethane = embed("CC", seeds("CC", 3), Embedding(prune_rms=0.5)).conformers
    assert ethane[0].positions is not None
    assert [c.positions is None for c in ethane[1:]] == [True, True]
    assert "prune_rms = 0.5" in ethane[1].reason


def test_the_shape_counts_atoms_by_period():
    assert read_molecule("CCO").shape == "p2:3 p1:6"
    assert read_molecule("CC=O").shape == "p2:3 p1:4"
    assert read_molecule("NCO").shape == "p2:3 p1:5"
    assert read_molecule("[CH3]").shape == "p2:1 p1:3 open"
    assert read_molecule("CS").shape == "p3:1 p2:1 p1:4"


def test_relaxation_ends_in_a_minimum_of_mmff94():
    from rdkit import Chem
    from rdkit.Chem import rdForceFieldHelpers
    from rdkit.Geometry import Point3D

    (relaxed,) = positions(BUTANOL, seeds(BUTANOL, 1), relax="mmff94")
    (plain,) = positions(BUTANOL, seeds(BUTANOL, 1))
    molecule = Chem.AddHs(Chem.MolFromSmiles(BUTANOL))
    properties = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
    found = []
    for geometry in (plain, relaxed):
        conformer = Chem.Conformer(molecule.GetNumAtoms())
        for i, position in enumerate(geometry):
            conformer.SetAtomPosition(i, Point3D(*position))
        molecule.RemoveAllConformers()
        molecule.AddConformer(conformer)
        field = rdForceFieldHelpers.MMFFGetMoleculeForceField(molecule, properties)
        found.append((field.CalcEnergy(), np.abs(field.CalcGrad()).max()))
    assert found[1][0] < found[0][0] - 1  # kcal/mol
    assert found[1][1] < 1e-2 < found[0][1]  # kcal/mol/angstrom


def test_a_relaxation_that_does_not_end_is_a_failed_row_that_says_so():
    (conformer,) = embed(BUTANOL, seeds(BUTANOL, 1), Embedding(relax="mmff94", relax_iterations=1)).conformers
    assert conformer.positions is None
    assert "did not converge in embedding.relax_iterations = 1" in conformer.reason


def test_displacement_is_seeded_by_the_row_and_added_to_the_embedded_geometry():
    plain = positions(BUTANOL, seeds(BUTANOL, 2))
    first, again = (positions(BUTANOL, seeds(BUTANOL, 2), displacement_angstrom=0.1) for _ in range(2))
    moved = np.array(first) - np.array(plain)
    assert np.array_equal(first, again)
    assert np.abs(moved[0] - moved[1]).max() > 0.01
    # 90 normal deviates: the standard error of their deviation is 0.1 / sqrt(180).
    assert moved.std() == pytest.approx(0.1, abs=4 * 0.1 / np.sqrt(180))
