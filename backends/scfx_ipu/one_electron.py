"""One-electron integrals of the backend: in float64 on the host, from libcint through PySCF's integral driver.

They are a thousandth of the work and decide half of the energy's digits, so they have no codelet.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.abstract import OneElectron

if TYPE_CHECKING:
    from scfx.batch import Batch

# Slots of libcint's arrays (Sun, J. Comput. Chem. 36, 1664 (2015), and include/cint.h).
_ENV_START = 20
_FRACTIONAL_CHARGE_NUCLEUS = 3


def one_electron(batch: Batch) -> OneElectron:
    """Overlap, kinetic, nuclear attraction and dipole matrices of every entry in the AO basis."""
    from pyscf.gto import moleintor

    n, nao, to_ao = len(batch), batch.nao, batch.layout.cart_to_ao
    out = OneElectron(
        np.empty((n, nao, nao)), np.empty((n, nao, nao)), np.empty((n, nao, nao)), np.empty((n, 3, nao, nao))
    )
    for entry in range(n):
        atm, bas, env = _tables(batch, entry)
        for matrix, name in zip(out, ("ovlp", "kin", "nuc", "r"), strict=True):
            found = moleintor.getints(f"int1e_{name}_cart", atm, bas, env, hermi=1)
            matrix[entry] = to_ao.T @ found @ to_ao
    return out


def _tables(batch: Batch, entry: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    layout, natm, nprim = batch.layout, batch.natm, batch.exponents.shape[1]
    positions = _ENV_START + 3 * np.arange(natm)
    charges = _ENV_START + 3 * natm + np.arange(natm)
    exponents = _ENV_START + 4 * natm
    env = np.concatenate(
        [
            np.zeros(_ENV_START),
            batch.positions[entry].ravel(),
            batch.nuclear_charges[entry],
            batch.exponents[entry],
            batch.coefficients[entry],
        ]
    )
    atm = np.zeros((natm, 6), dtype=np.int32)
    atm[:, 0], atm[:, 1], atm[:, 4] = batch.atomic_numbers[entry], positions, charges
    atm[:, 2] = _FRACTIONAL_CHARGE_NUCLEUS  # the charge is read from `env`
    bas = np.zeros((layout.n_shells, 8), dtype=np.int32)
    start = layout.primitive_offset[:-1]
    bas[:, 0], bas[:, 1], bas[:, 2], bas[:, 3] = layout.atom, layout.angular_momentum, layout.n_primitives, 1
    bas[:, 5], bas[:, 6] = exponents + start, exponents + nprim + start
    return atm, bas, env
