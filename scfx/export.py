"""Files for looking at a result: Molden (orbitals) and Gaussian cube (a density or an orbital on a grid).

Both need a result of `solve(..., return_density=True)`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np

from scfx.errors import InputError
from scfx.model.basis import cartesian_powers, radial_norm

if TYPE_CHECKING:
    from scfx.model.basis import BasisSet, Shell
    from scfx.results import SCFResult

# The order of components in a Molden file, as positions in ours (m = -l..l, or `cartesian_powers`).
_SPHERICAL = {l: [l] + [l + s * m for m in range(1, l + 1) for s in (1, -1)] for l in (2, 3, 4)}
_CARTESIAN = {
    2: ("xx", "yy", "zz", "xy", "xz", "yz"),
    3: ("xxx", "yyy", "zzz", "xyy", "xxy", "xxz", "xzz", "yzz", "yyz", "xyz"),
    4: (
        "xxxx", "yyyy", "zzzz", "xxxy", "xxxz", "xyyy", "yyyz", "xzzz", "yzzz", "xxyy", "xxzz", "yyzz",
        "xxyz", "xyyz", "xyzz",
    ),
}  # fmt: skip
_LETTERS = "spdfg"


def to_molden(result: SCFResult, path: str | os.PathLike[str], index: int = 0) -> Path:
    """Write geometry, basis and canonical orbitals of one system in Molden's format; returns the path.

    Format: Schaftenaar and Noordik, J. Comput.-Aided Mol. Des. 14, 123 (2000). AOs are normalised one by one, as
    Molden expects of Cartesian functions. Raises `InputError` where Molden cannot say it: shells above g, or a basis
    that mixes Cartesian and spherical shells of one angular momentum.
    """
    basis, overlap, coefficients = _one(result, index)
    system = result.systems[index]
    sets = basis.of_atoms(system)
    shells = [
        (atom, shell) for atom, z in enumerate(system.atomic_numbers) for shell in sets[atom].shells[int(z)]
    ]
    flags = _flags(shells, basis.name)
    order = _molden_order(shells)
    scale = np.sqrt(np.diag(overlap))
    energies = np.atleast_2d(np.asarray(result.orbital_energies[index]))
    occupied = _occupied(result, index)
    target = Path(path)
    with target.open("w", encoding="ascii") as out:
        out.write("[Molden Format]\n[Title]\nwritten by scfx\n[Atoms] AU\n")
        for i, (symbol, z, r) in enumerate(
            zip(system.symbols, system.nuclear_charges, system.positions, strict=True), 1
        ):
            out.write(f"{symbol} {i} {z} {r[0]:.12f} {r[1]:.12f} {r[2]:.12f}\n")
        cores = [(i, n) for i, z in enumerate(system.nuclear_charges, 1) if (n := sets[i - 1].n_core(int(z)))]
        if cores:
            out.write("[Core]\n" + "".join(f"{i} : {n}\n" for i, n in cores))
        _write_basis(out, shells, system.natm)
        out.write("".join(f"[{flag}]\n" for flag in flags))
        out.write("[MO]\n")
        spins = coefficients.shape[0]
        for s in range(spins):
            for k in range(coefficients.shape[2]):
                filling = (2.0 if spins == 1 else 1.0) * (k < occupied[s])
                out.write(f" Sym= A\n Ene= {energies[s, k]:.10f}\n Spin= {('Alpha', 'Beta')[s]}\n")
                out.write(f" Occup= {filling:.1f}\n")
                column = (coefficients[s, :, k] * scale)[order]
                out.write("".join(f"{i} {c:.12g}\n" for i, c in enumerate(column, 1)))
    return target


def to_cube(
    result: SCFResult,
    path: str | os.PathLike[str],
    quantity: str | int = "density",
    index: int = 0,
    spacing: float = 0.3,
    margin: float = 6.0,
) -> Path:
    """Write a scalar on a regular grid in Gaussian's cube format; returns the path.

    `quantity`: "density" (electrons/bohr³), "spin_density" (alpha less beta), "homo", "lumo" (of alpha), or the
    number of an alpha orbital from 0 (bohr^(-3/2)). `spacing` of points and `margin` around the nuclei in bohr.
    """
    from scfx.energy.orbitals import evaluate_orbitals
    from scfx.model.batch import Batch

    basis, _, coefficients = _one(result, index)
    assert result.density is not None
    density = result.density[index]
    system = result.systems[index]
    if isinstance(quantity, str) and quantity in ("homo", "lumo"):
        number = _occupied(result, index)[0] - (1 if quantity == "homo" else 0)
    elif isinstance(quantity, int):
        number = quantity
    elif quantity in ("density", "spin_density"):
        number = -1
    else:
        raise InputError(
            f"quantity: got {quantity!r}, expected 'density', 'spin_density', 'homo', 'lumo' or a number"
        )
    is_orbital = quantity not in ("density", "spin_density")
    if is_orbital and not 0 <= number < coefficients.shape[2]:
        raise InputError(f"quantity: there is no orbital {number}; there are {coefficients.shape[2]}, from 0")
    low, high = system.positions.min(axis=0) - margin, system.positions.max(axis=0) + margin
    counts = np.ceil((high - low) / spacing).astype(int) + 1
    axes = [low[k] + spacing * np.arange(counts[k]) for k in range(3)]
    matrix = density.sum(axis=0)
    if quantity == "spin_density":
        matrix = density[0] - density[1] if len(density) == 2 else np.zeros_like(density[0])
    batch = Batch.from_systems([system], basis)
    # The batch orders its atoms by their shells; the result's matrices follow the system's own atoms.
    places = np.argsort(batch.atom_order[0])
    own = np.concatenate([np.flatnonzero(batch.layout.ao_atom == p) for p in places])
    target = Path(path)
    with target.open("w", encoding="ascii") as out:
        out.write(f"{quantity} of {system.name or system!r}\nwritten by scfx, atomic units\n")
        out.write(f"{system.natm:5d} {low[0]:12.6f} {low[1]:12.6f} {low[2]:12.6f}\n")
        for k in range(3):
            step = np.eye(3)[k] * spacing
            out.write(f"{counts[k]:5d} {step[0]:12.6f} {step[1]:12.6f} {step[2]:12.6f}\n")
        for z, r in zip(system.nuclear_charges, system.positions, strict=True):
            out.write(f"{z:5d} {float(z):12.6f} {r[0]:12.6f} {r[1]:12.6f} {r[2]:12.6f}\n")
        for x in axes[0]:
            points = np.stack(np.meshgrid([x], axes[1], axes[2], indexing="ij"), axis=-1).reshape(-1, 3)
            values = evaluate_orbitals(batch, points[None])[0, 0, own].T
            plane = (
                values @ coefficients[0, :, number]
                if is_orbital
                else np.einsum("gi,ij,gj->g", values, matrix, values, optimize=True)
            )
            for row in plane.reshape(counts[1], counts[2]):
                text = [f"{v:13.5E}" for v in row]
                out.write("\n".join("".join(text[i : i + 6]) for i in range(0, len(text), 6)) + "\n")
    return target


def _one(result: SCFResult, index: int) -> tuple[BasisSet, np.ndarray, np.ndarray]:
    if result.orbital_coefficients is None or result.overlap is None or result.basis_set is None:
        raise InputError("this result has no orbitals: ask for them with solve(..., return_density=True)")
    if not 0 <= index < len(result):
        raise InputError(f"index: got {index}, the result has {len(result)} systems")
    return result.basis_set, result.overlap[index], result.orbital_coefficients[index]


def _occupied(result: SCFResult, index: int) -> tuple[int, int]:
    system, basis = result.systems[index], result.basis_set
    assert basis is not None
    sets = basis.of_atoms(system)
    pairs = sum(own.n_core(int(z)) for own, z in zip(sets, system.nuclear_charges, strict=True)) // 2
    return system.n_alpha - pairs, system.n_beta - pairs


def _flags(shells: list[tuple[int, Shell]], name: str) -> list[str]:
    kinds: dict[int, bool] = {}
    for _, shell in shells:
        l = shell.angular_momentum
        if l > 4:
            raise InputError(f"Molden's format ends at g shells; {name!r} has l = {l}")
        if l > 1 and kinds.setdefault(l, shell.cartesian) != shell.cartesian:
            raise InputError(
                f"Molden's format wants all {_LETTERS[l]} shells Cartesian or all spherical; {name!r} mixes them"
            )
    d, f = kinds.get(2, kinds.get(3, False)), kinds.get(3, kinds.get(2, False))
    first = {(False, False): ["5D"], (False, True): ["5D10F"], (True, False): ["7F"], (True, True): []}[
        (d, f)
    ]
    return first + (["9G"] if not kinds.get(4, True) else [])


def _molden_order(shells: list[tuple[int, Shell]]) -> np.ndarray:
    out: list[int] = []
    start = 0
    for _, shell in shells:
        l = shell.angular_momentum
        if l < 2:
            out += range(start, start + shell.nfunc)
        elif shell.cartesian:
            place = {powers: i for i, powers in enumerate(cartesian_powers(l))}
            out += [start + place[(t.count("x"), t.count("y"), t.count("z"))] for t in _CARTESIAN[l]]
        else:
            out += [start + m for m in _SPHERICAL[l]]
        start += shell.nfunc
    return np.array(out)


def _write_basis(out: TextIO, shells: list[tuple[int, Shell]], n_atoms: int) -> None:
    out.write("[GTO]\n")
    for atom in range(n_atoms):
        out.write(f"{atom + 1} 0\n")
        for shell in [shell for owner, shell in shells if owner == atom]:
            l = shell.angular_momentum
            out.write(f" {_LETTERS[l]} {len(shell.exponents)} 1.00\n")
            # Published coefficients refer to normalised primitives; ours include their norm.
            published = shell.coefficients / radial_norm(l, shell.exponents)
            for a, c in zip(shell.exponents, published, strict=True):
                out.write(f" {a:.12e} {c:.12e}\n")
        out.write("\n")
