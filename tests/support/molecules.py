"""Small molecules that several tests use. Positions in angstrom, from standard experimental bond lengths and angles,
rounded: every comparison here is made at one geometry, so nothing depends on them.
"""

from __future__ import annotations

import numpy as np

import scfx

_TETRAHEDRAL = 0.6291  # C-H 1.09 angstrom along (1, 1, 1)
_CORNERS = [[1, 1, 1], [1, -1, -1], [-1, 1, -1], [-1, -1, 1]]

#: name -> (symbols, positions)
GEOMETRIES: dict[str, tuple[list[str], list[list[float]]]] = {
    "H": (["H"], [[0, 0, 0]]),
    "He": (["He"], [[0, 0, 0]]),
    "F": (["F"], [[0, 0, 0]]),
    "H2": (["H", "H"], [[0, 0, 0], [0, 0, 0.74]]),
    "HF": (["F", "H"], [[0, 0, 0], [0, 0, 0.917]]),
    "CO": (["C", "O"], [[0, 0, 0], [0, 0, 1.128]]),
    "N2": (["N", "N"], [[0, 0, 0], [0, 0, 1.098]]),
    "O2": (["O", "O"], [[0, 0, 0], [0, 0, 1.208]]),
    "F2": (["F", "F"], [[0, 0, 0], [0, 0, 1.412]]),
    "CN": (["C", "N"], [[0, 0, 0], [0, 0, 1.172]]),
    "OH": (["O", "H"], [[0, 0, 0], [0, 0, 0.97]]),
    "LiF": (["Li", "F"], [[0, 0, 0], [0, 0, 1.564]]),
    "H2O": (["O", "H", "H"], [[0, 0, 0.1173], [0, 0.7572, -0.4692], [0, -0.7572, -0.4692]]),
    "NH2": (["N", "H", "H"], [[0, 0, 0], [0, 0.8036, 0.6347], [0, -0.8036, 0.6347]]),
    "CH2": (["C", "H", "H"], [[0, 0, 0], [0, 0.9955, 0.4262], [0, -0.9955, 0.4262]]),
    "HCN": (["H", "C", "N"], [[0, 0, -1.064], [0, 0, 0], [0, 0, 1.156]]),
    "HCO": (["C", "O", "H"], [[0, 0, 0], [0, 0, 1.175], [0.9263, 0, -0.6349]]),
    "NO2": (["N", "O", "O"], [[0, 0, 0], [0, 1.0989, 0.4653], [0, -1.0989, 0.4653]]),
    "CO2": (["C", "O", "O"], [[0, 0, 0], [0, 0, 1.162], [0, 0, -1.162]]),
    "NH3": (
        ["N", "H", "H", "H"],
        [[0, 0, 0.1127], [0, 0.9396, -0.2630], [0.8137, -0.4698, -0.2630], [-0.8137, -0.4698, -0.2630]],
    ),
    "CH3": (["C", "H", "H", "H"], [[0, 0, 0], [1.079, 0, 0], [-0.5395, 0.9344, 0], [-0.5395, -0.9344, 0]]),
    "H2CO": (["C", "O", "H", "H"], [[0, 0, 0], [0, 0, 1.203], [0, 0.9429, -0.5876], [0, -0.9429, -0.5876]]),
    "CH4": (["C", "H", "H", "H", "H"], [[0, 0, 0]] + [[_TETRAHEDRAL * x for x in c] for c in _CORNERS]),
    "NH4": (["N", "H", "H", "H", "H"], [[0, 0, 0]] + [[0.589 * x for x in c] for c in _CORNERS]),
    "CH3F": (
        ["C", "F", "H", "H", "H"],
        [[0, 0, 0], [0, 0, 1.383], [1.028, 0, -0.355], [-0.514, 0.8903, -0.355], [-0.514, -0.8903, -0.355]],
    ),
    "HCOOH": (
        ["C", "O", "O", "H", "H"],
        [[0, 0.42, 0], [1.16, 0.10, 0], [-1.02, -0.45, 0], [-0.37, 1.45, 0], [-0.63, -1.34, 0]],
    ),
    "C2H4": (
        ["C", "C", "H", "H", "H", "H"],
        [[0, 0, 0.6695], [0, 0, -0.6695]]
        + [[0, s * 0.9289, t * 1.2321] for s in (1, -1) for t in (1, -1)],
    ),
    "CH3OH": (
        ["C", "O", "H", "H", "H", "H"],
        [
            [-0.047, 0.664, 0], [-0.047, -0.758, 0], [-1.094, 0.970, 0],
            [0.437, 1.071, 0.891], [0.437, 1.071, -0.891], [0.868, -1.057, 0],
        ],
    ),
}  # fmt: skip


def molecule(name: str, charge: int = 0, multiplicity: int | None = None) -> scfx.System:
    """A System from the table; `multiplicity=None` is the lowest."""
    symbols, positions = GEOMETRIES[name]
    return scfx.System.from_arrays(symbols, positions, "angstrom", charge, multiplicity, name)


def moved(system: scfx.System, positions: np.ndarray) -> scfx.System:
    """The same molecule with other positions (bohr)."""
    return scfx.System(system.atomic_numbers, positions, system.charge, system.multiplicity, system.name)


def distorted(system: scfx.System, count: int, seed: int = 0, size: float = 0.05) -> list[scfx.System]:
    """`count` copies with every coordinate moved by a normal deviate of `size` bohr: stand-ins for conformers."""
    random = np.random.default_rng(seed)
    return [
        moved(system, system.positions + size * random.standard_normal(system.positions.shape))
        for _ in range(count)
    ]


def rotation(seed: int) -> np.ndarray:
    """A random proper rotation matrix [3, 3]."""
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((3, 3)))
    q = q * np.sign(np.diag(r))
    return q if np.linalg.det(q) > 0 else -q
