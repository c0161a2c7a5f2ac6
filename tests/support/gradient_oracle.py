"""Oracles of nuclear gradients: PySCF's with the response of the quadrature, and differences of our own energies.

Tried with PySCF 2.14 on water and NH2 in STO-3G at level 0, against five-point differences of PySCF's own energies:
its gradient with `grid_response` has net force zero and equals the difference

    for RKS, UKS and ROKS with svwn, pbe, b3lyp, r2scan, tpss, m062x, camb3lyp: within 1e-9 hartree/bohr (RKS), and
    within 6e-8 (UKS, ROKS), where the convergence of the displaced energies is what limits the difference;
    for wb97x-v, VV10's quadrature included: 2e-11 (RKS of HF), 4e-8 (UKS);
    for hse06: 4e-11 (RKS); UKS and ROKS are 1e-5 off, so that differences of our own energies are the oracle there.

wb97m-v was not tried. A degenerate radical (OH) has no smooth energy on a coarse grid, and is no test of either.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gradient_checks import STENCIL
from molecules import moved
from pyscf_oracle import pyscf_solved

import scfx

#: (functional, open shell) whose gradient in PySCF is not the derivative of its energy.
WITHOUT_RESPONSE = {("hse06", True)}


def pyscf_gradient(
    system: scfx.System,
    functional: str,
    basis: str,
    grid: int,
    registry: scfx.Registry,
    *,
    restricted_open: bool = False,
    grid_response: bool = True,
    **settings: Any,
) -> np.ndarray:
    """PySCF's gradient [natm, 3] in hartree/bohr, on the quadrature of `pyscf_solved`, which is ours.

    Without `grid_response` it is what PySCF gives by default.
    """
    if grid_response and (functional, system.multiplicity != 1) in WITHOUT_RESPONSE:
        raise ValueError(f"PySCF's gradient of {functional} is not that of its energy here: take differences")
    field = pyscf_solved(
        system, functional, basis, grid, registry, restricted_open=restricted_open,
        **{"conv_tol_grad": 1e-8, **settings},
    )  # fmt: skip
    gradients = field.nuc_grad_method()
    gradients.verbose = 0
    if functional != "hf":
        gradients.grid_response = grid_response
    return np.asarray(gradients.kernel())


def difference_along(
    system: scfx.System, directions: np.ndarray, step: float = 0.005, **options: Any
) -> np.ndarray:
    """Derivatives of scfx's energy along directions [count, natm, 3] by five points, hartree/bohr.

    All displaced molecules are solved in one call, as lanes; `options` are those of `scfx.solve`. A gradient g is
    compared as (g * direction).sum().
    """
    displaced = [
        moved(system, system.positions + n * step * along) for along in directions for n, _ in STENCIL
    ]
    options = {"convergence": "tight", "threads": 1, **options}
    energies = scfx.solve(displaced, **options).raise_for_status().energy.reshape(len(directions), -1)
    return energies @ np.array([weight for _, weight in STENCIL]) / step


def every_component(natm: int) -> np.ndarray:
    """[3 natm, natm, 3]: one direction for each coordinate, for a gradient component by component."""
    return np.eye(3 * natm).reshape(3 * natm, natm, 3)
