"""Conformers of the example molecules, and PySCF's float64 labels of them: what the accuracy scripts compare with.

PySCF gets the very same basis numbers, points and weights, converged tightly. Its labels are kept in `.cache/` (not
part of the repository), by geometry and settings, because it takes a second or more for each.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from pyscf import __version__ as pyscf_version
from pyscf import dft, gto, scf

import scfx
from scfx.model.basis import BasisSet, radial_norm
from scfx.model.elements import SYMBOLS
from scfx.model.system import HARTREE_IN_EV

MEV = 1e3 * HARTREE_IN_EV
ROOT = Path(__file__).parent.parent


def conformers(count: int, per_molecule: int = 4, first: int = 0) -> list[scfx.System]:
    """`count` ETKDGv3 conformers of the molecules in examples/gdb9.smi, in file order; seeds 1, 2, ... each."""
    lines = (ROOT / "examples" / "gdb9.smi").read_text().splitlines()
    smiles = [line.split()[0] for line in lines if line.strip() and not line.startswith("#")]
    systems: list[scfx.System] = []
    for text in smiles[first:]:
        for seed in range(1, per_molecule + 1):
            try:
                systems.append(scfx.System.from_smiles(text, seed=seed))
            except scfx.InputError:  # RDKit does not embed every molecule
                break
            if len(systems) == count:
                return systems
    return systems


def _mole(system: scfx.System, basis: BasisSet) -> gto.Mole:
    table = {
        SYMBOLS[z]: [
            [
                s.angular_momentum,
                *zip(
                    s.exponents, s.coefficients / radial_norm(s.angular_momentum, s.exponents), strict=False
                ),
            ]
            for s in shells
        ]
        for z, shells in basis.shells.items()
    }
    return gto.M(
        atom=list(zip(system.symbols, system.positions, strict=True)),
        unit="B", charge=system.charge, spin=system.multiplicity - 1, basis=table, verbose=0,
        cart=any(s.cartesian for shells in basis.shells.values() for s in shells),
    )  # fmt: skip


def labels(
    systems: list[scfx.System], functional: str, basis_name: str, grid: int, registry: scfx.Registry
) -> np.ndarray:
    """PySCF's energy, HOMO and LUMO in hartree, [batch, 3]; NaN for what it did not converge."""
    folder = ROOT / ".cache" / "pyscf-labels"
    folder.mkdir(parents=True, exist_ok=True)
    source = registry.basis(basis_name)
    out = np.full((len(systems), 3), np.nan)
    for row, system in enumerate(systems):
        settings = [pyscf_version, functional, source.definition(), grid, system.charge, system.multiplicity]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
        digest.update(system.atomic_numbers.tobytes() + system.positions.tobytes())
        kept = folder / f"{digest.hexdigest()[:32]}.json"
        if not kept.exists():
            basis = BasisSet.from_source(source, [int(z) for z in system.atomic_numbers])
            mole = _mole(system, basis)
            mf = scf.RHF(mole) if functional == "hf" else dft.RKS(mole, xc=functional)
            if functional != "hf":
                mf.grids.level = grid
            mf.conv_tol, mf.conv_tol_grad, mf.max_cycle, mf.chkfile = 1e-11, 1e-7, 100, None
            mf.kernel()
            occupied = mf.mo_occ > 0
            found = [
                float(mf.e_tot),
                float(mf.mo_energy[occupied].max()),
                float(mf.mo_energy[~occupied].min()),
            ]
            kept.write_text(json.dumps(found if mf.converged else [None] * 3))
        out[row] = [np.nan if x is None else x for x in json.loads(kept.read_text())]
    return out


def errors(result: scfx.SCFResult, reference: np.ndarray) -> dict[str, np.ndarray]:
    """Differences in meV of energy, HOMO, LUMO and gap, for the entries that both programs converged."""
    both = result.converged & np.isfinite(reference).all(axis=1)
    found = np.stack([result.energy, result.homo, result.lumo], axis=1)
    difference = (found - reference)[both] * MEV
    energy, homo, lumo = difference.T
    return {"energy": energy, "homo": homo, "lumo": lumo, "gap": lumo - homo}


def table_row(name: str, found: dict[str, np.ndarray]) -> str:
    """One row of Markdown: mean absolute and largest error of each label."""
    cells = [f"{np.abs(v).mean():.4f} / {np.abs(v).max():.4f}" for v in found.values()]
    return f"| {name} | " + " | ".join(cells) + " |"


HEADER = "| | energy | HOMO | LUMO | gap |\n|---|---|---|---|---|"
