"""Geometries: ETKDGv3 embedding, relaxation, displacement; each a function of its own row and nothing else."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64
from rdkit import Chem, RDLogger
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers, rdMolAlign

from scfx.model.structures import placed_apart

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx_dataset.options import Embedding

RDLogger.DisableLog("rdApp.*")  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Conformer:
    """A geometry in angstrom, hydrogens included, or (positions None) the reason why there is none."""

    positions: Float64[np.ndarray, "natm 3"] | None
    reason: str = ""


@dataclass(frozen=True)
class Conformers:
    """The asked conformers of one molecule, in the order asked."""

    atomic_numbers: tuple[int, ...]
    inchikey: str
    conformers: tuple[Conformer, ...]


def conformer_seed(seed: int, smiles: str, conformer: int) -> int:
    """Seed of one conformer, 1 .. 2^31 - 1: SHA-256 of the stated seed, the canonical SMILES and the index.

    RDKit multiplies one seed by the conformer's index, so neighbouring molecules would share random streams.
    """
    digest = hashlib.sha256(f"{seed}|{smiles}|{conformer}".encode()).digest()
    return 1 + int.from_bytes(digest[:8], "big") % (2**31 - 1)


def recipe(embedded: bool, options: Embedding) -> str:
    """Return how a geometry comes about, such as 'etkdgv3+mmff94+displaced:0.05': the column `geometry`."""
    steps = ["etkdgv3" if embedded else "given"]
    if embedded and options.relax != "none":
        steps.append(options.relax)
    if options.displacement_angstrom:
        steps.append(f"displaced:{options.displacement_angstrom:g}")
    return "+".join(steps)


def displace(
    positions: Float64[np.ndarray, "natm 3"], seed: int, standard_deviation: float
) -> Float64[np.ndarray, "natm 3"]:
    """Add a normal deviate (angstrom) to every Cartesian coordinate: numpy's PCG64, seeded by the row's seed."""
    if not standard_deviation:
        return positions
    # The same seed drives RDKit's embedding: another stream, so that the two are independent.
    generator = np.random.Generator(np.random.PCG64([0x5CF0, seed]))
    return positions + standard_deviation * generator.standard_normal(positions.shape)


def embed(smiles: str, seeds: Sequence[int], options: Embedding) -> Conformers:
    """Return one conformer of canonical `smiles` per seed.

    Each is a separate single-threaded call, so a failure, or the number of conformers asked, changes no other one
    (RDKit's own many-conformer call returns the survivors without their places). With `prune_rms` a conformer
    depends on the earlier ones of its molecule, which is then never split over shards. Pruning looks at
    relaxed geometries, displacement comes last.
    """
    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    numbers = tuple(atom.GetAtomicNum() for atom in molecule.GetAtoms())
    # Of the structure, before it has positions: with them InChI would see the stereo centres of that one conformer.
    key = Chem.MolToInchiKey(molecule)
    kept: list[Chem.Mol] = []
    conformers = []
    for seed in seeds:
        conformer = _embed_one(molecule, seed, options)
        if conformer.positions is not None and options.relax == "mmff94":
            conformer = _relax(molecule, options.relax_iterations)
        if conformer.positions is not None and options.prune_rms is not None:
            copy = Chem.RemoveHs(Chem.Mol(molecule))
            near = next((i for i, other in enumerate(kept) if _rms(copy, other) < options.prune_rms), None)
            if near is None:
                kept.append(copy)
            else:
                reason = f"pruned: within prune_rms = {options.prune_rms:g} angstrom of an earlier conformer"
                conformer = Conformer(None, reason)
        if conformer.positions is not None:
            conformer = Conformer(displace(conformer.positions, seed, options.displacement_angstrom))
        conformers.append(conformer)
    return Conformers(numbers, key, tuple(conformers))


def _embed_one(molecule: Chem.Mol, seed: int, options: Embedding) -> Conformer:
    parameters = rdDistGeom.ETKDGv3()
    parameters.randomSeed = int(seed)
    parameters.numThreads = 1
    parameters.maxIterations = options.max_attempts
    parameters.timeout = options.timeout
    parameters.trackFailures = True
    try:
        found = rdDistGeom.EmbedMolecule(molecule, parameters)
    except (RuntimeError, ValueError) as error:
        return Conformer(None, f"embedding: RDKit raised {type(error).__name__}: {error}")
    if found != 0:
        return Conformer(None, f"embedding: ETKDGv3 found no conformer ({_main_cause(parameters)})")
    # Distance geometry puts the fragments of a salt on top of each other.
    positions = placed_apart(molecule)
    if not np.isfinite(positions).all():
        return Conformer(None, "embedding: ETKDGv3 gave positions that are not finite")
    molecule.GetConformer().SetPositions(positions)
    return Conformer(positions)


def _relax(molecule: Chem.Mol, iterations: int) -> Conformer:
    """MMFF94 (Halgren 1996) on the embedded conformer, in RDKit; changes `molecule`'s conformer."""
    if not rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule):
        return Conformer(None, "relaxation: MMFF94 has no parameters for an atom or bond of this molecule")
    try:
        more = rdForceFieldHelpers.MMFFOptimizeMolecule(molecule, mmffVariant="MMFF94", maxIters=iterations)
    except (RuntimeError, ValueError) as error:
        return Conformer(None, f"relaxation: RDKit raised {type(error).__name__}: {error}")
    if more != 0:
        reason = f"relaxation: MMFF94 did not converge in embedding.relax_iterations = {iterations} steps"
        return Conformer(None, reason)
    positions = np.array(molecule.GetConformer().GetPositions(), dtype=np.float64)
    if not np.isfinite(positions).all():
        return Conformer(None, "relaxation: MMFF94 gave positions that are not finite")
    return Conformer(positions)


def _main_cause(parameters) -> str:
    names = {int(value): name for name, value in rdDistGeom.EmbedFailureCauses.names.items()}
    counts = list(parameters.GetFailureCounts())
    timeout = next(index for index, name in names.items() if name == "EXCEEDED_TIMEOUT")
    if counts[timeout]:
        return f"more than embedding.timeout = {parameters.timeout} s"
    if not any(counts):
        return "RDKit gives no cause"
    worst = int(np.argmax(counts))
    return f"most attempts failed at {names[worst].lower()}"


def _rms(probe: Chem.Mol, reference: Chem.Mol) -> float:
    # GetBestRMS moves the probe: give it a copy.
    return float(rdMolAlign.GetBestRMS(Chem.Mol(probe), reference))
