"""`qcschema_wavefunction`: basis set, orbitals, energies, occupations and densities as QCSchema has them.

QCSchema's order of functions is that of the Common Component Architecture: atoms, then shells, then m = -l to l.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from scfx.errors import ConfigError
from scfx.model.basis import radial_norm

if TYPE_CHECKING:
    from scfx.model.basis import BasisSet
    from scfx.model.system import System
    from scfx.results import SCFResult

#: Places of m = -1, 0, 1 among x, y, z.
_P = (1, 2, 0)


def qcschema_wavefunction(result: SCFResult, index: int = 0) -> dict[str, Any]:
    """Return one entry of a result with its density, as plain data for QCElemental's `WavefunctionProperties`.

    Orbitals are [nao, n_orbitals], by spin ("_a", "_b"; alpha alone for restricted entries, whose density then is that
    of the alpha electrons). Raises `ConfigError` where QCSchema cannot say it: Cartesian shells above p, whose
    normalisation it leaves open, and effective core potentials.
    """
    basis, system = result.basis_set, result.systems[index]
    assert basis is not None
    assert result.orbital_coefficients is not None
    assert result.density is not None
    check_sayable(basis)
    order = _order(basis, system)
    coefficients = result.orbital_coefficients[index][:, order]
    density = result.density[index][:, order][:, :, order]
    spins, _, n_orbitals = coefficients.shape
    energies = np.atleast_2d(np.asarray(result.orbital_energies[index]))[:, :n_orbitals]
    out: dict[str, Any] = {"basis": _basis(basis, system), "restricted": spins == 1}
    for spin, (suffix, occupied) in enumerate((("a", system.n_alpha), ("b", system.n_beta))[:spins]):
        found = {
            "orbitals": coefficients[spin],
            "eigenvalues": energies[spin],
            "occupations": (np.arange(n_orbitals) < occupied).astype(float),
            "density": density[spin] / (2 if spins == 1 else 1),
        }
        for name, values in found.items():
            out[f"scf_{name}_{suffix}"] = values
            out[f"{name}_{suffix}"] = f"scf_{name}_{suffix}"
    return out


def check_sayable(basis: BasisSet) -> None:
    """Raise `ConfigError` for a basis set whose orbitals QCSchema cannot state."""
    if basis.core_potentials:
        raise ConfigError(
            "protocols.wavefunction",
            f"basis {basis.name!r} has effective core potentials, which scfx does not write in QCSchema; use 'none'",
        )
    if any(s.cartesian and s.angular_momentum > 1 for shells in basis.shells.values() for s in shells):
        raise ConfigError(
            "protocols.wavefunction",
            f"basis {basis.name!r} has Cartesian shells, whose normalisation QCSchema leaves open; use 'none' and "
            "scfx.export.to_molden, or a spherical basis set",
        )


def _order(basis: BasisSet, system: System) -> np.ndarray:
    """Where each function of QCSchema's order stands in ours."""
    places: list[int] = []
    for z in system.atomic_numbers:
        for shell in basis.shells[int(z)]:
            own = _P if shell.angular_momentum == 1 else range(2 * shell.angular_momentum + 1)
            start = len(places)
            places += [start + m for m in own]
    return np.array(places)


def _basis(basis: BasisSet, system: System) -> dict[str, Any]:
    """A `BasisSet` of QCSchema, one centre an element; coefficients are of normalised primitives."""
    centres = {
        f"{basis.name}_{z}": {
            "electron_shells": [
                {
                    "angular_momentum": [shell.angular_momentum],
                    "harmonic_type": "spherical",
                    "exponents": [float(a) for a in shell.exponents],
                    "coefficients": [
                        [
                            float(c / radial_norm(shell.angular_momentum, float(a)))
                            for a, c in zip(shell.exponents, shell.coefficients, strict=True)
                        ]
                    ],
                }
                for shell in basis.shells[z]
            ]
        }
        for z in sorted({int(z) for z in system.atomic_numbers})
    }
    return {
        "name": basis.name,
        "center_data": centres,
        "atom_map": [f"{basis.name}_{int(z)}" for z in system.atomic_numbers],
    }
