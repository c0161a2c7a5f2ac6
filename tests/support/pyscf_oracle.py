"""PySCF as the oracle: the same molecule, basis numbers, functional and grid, solved by `pyscf.scf` and `pyscf.dft`.

The basis goes over shell by shell, because PySCF's own tables differ from the Basis Set Exchange's in late digits
(STO-3G energies by up to 9e-8 hartree).
"""

from __future__ import annotations

from typing import Any

import numpy as np

import scfx
from scfx.model.basis import BasisSet, radial_norm
from scfx.model.elements import SYMBOLS

#: scfx's name -> PySCF's where they differ; `b3lypg` says VWN-RPA in every version of PySCF.
FUNCTIONALS = {"svwn": "lda,vwn", "b3lyp": "b3lypg"}


def pyscf_mole(system: scfx.System, basis: str, registry: scfx.Registry) -> Any:
    """A built `pyscf.gto.Mole` with exactly our shells. A basis of mixed Cartesian and spherical shells is refused."""
    from pyscf import gto

    source = registry.basis(basis)
    shells_by_element = BasisSet.from_source(source, [int(z) for z in system.atomic_numbers]).shells
    table: dict[str, list] = {}
    kinds = set()
    for z, shells in shells_by_element.items():
        table[SYMBOLS[z]] = []
        for shell in shells:
            l = shell.angular_momentum
            if l > 1:
                kinds.add(bool(shell.cartesian))
            rows = [
                [float(a), float(c / radial_norm(l, a))]
                for a, c in zip(shell.exponents, shell.coefficients, strict=True)
            ]
            table[SYMBOLS[z]].append([l, *rows])
    assert len(kinds) < 2, "PySCF has one Cartesian flag for the whole molecule"
    return gto.M(
        atom=[(s, tuple(r)) for s, r in zip(system.symbols, system.positions.tolist(), strict=True)],
        unit="B",
        charge=system.charge,
        spin=system.multiplicity - 1,
        basis=table,
        cart=kinds == {True},
        verbose=0,
    )


def pyscf_solved(
    system: scfx.System,
    functional: str,
    basis: str,
    grid: int,
    registry: scfx.Registry,
    *,
    restricted_open: bool = False,
    nonlocal_grid: int = 1,
    **settings: Any,
) -> Any:
    """A converged mean-field object. `settings` are set on it (`max_cycle`, `conv_tol`...).

    `nonlocal_grid`: the level of VV10's quadrature, by default that of `scf.nonlocal_grid`.
    """
    from pyscf import dft, scf

    mole = pyscf_mole(system, basis, registry)
    closed = system.multiplicity == 1
    if functional == "hf":
        mf = scf.RHF(mole) if closed else scf.ROHF(mole) if restricted_open else scf.UHF(mole)
    else:
        mf = dft.RKS(mole) if closed else dft.ROKS(mole) if restricted_open else dft.UKS(mole)
        mf.xc = FUNCTIONALS.get(functional, functional)
        mf.grids.level = grid
        mf.nlcgrids.level = nonlocal_grid
    if getattr(mf, "_chkfile", None) is not None:
        mf._chkfile.close()  # or the garbage collector warns of an open file
        mf.chkfile = None
    mf.conv_tol, mf.conv_tol_grad, mf.max_cycle = 1e-11, 1e-7, 100
    for key, value in settings.items():
        setattr(mf, key, value)
    mf.kernel()
    assert mf.converged, f"PySCF did not converge for {system!r}, {functional}/{basis}"
    return mf


def orbital_energies(mf: Any) -> np.ndarray:
    """[nao], or [2, nao] for an unrestricted calculation, sorted."""
    return np.sort(np.asarray(mf.mo_energy), axis=-1)


def frontier(mf: Any) -> tuple[float, float]:
    """(HOMO, LUMO) in hartree over both spins."""
    energies, occupation = np.asarray(mf.mo_energy), np.asarray(mf.mo_occ)
    return float(energies[occupation > 0].max()), float(energies[occupation == 0].min())
