"""Writes examples/hard30.xyz: 30 molecules on which SCF, and float32, have a hard time, each with its reason.

    python benchmarks/hard_set.py examples/hard30.xyz

Geometries are near the experimental ones of small molecules (rounded, written from memory, not looked up), the same
with bonds pulled, symmetric saddle points with plausible bond lengths, or (three organic molecules) ETKDGv3 relaxed
with MMFF94. None is optimised at a level of this program: they are test cases, not results.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np


def polar(distance: float, angle: float, dihedral: float = 0.0) -> list[float]:
    """A point at an angle from x, turned about x by the dihedral (degrees)."""
    a, d = np.radians(angle), np.radians(dihedral)
    return [distance * np.cos(a), distance * np.sin(a) * np.cos(d), distance * np.sin(a) * np.sin(d)]


def line(*places: float) -> list[list[float]]:
    return [[x, 0.0, 0.0] for x in places]


def ring(n: int, bond: float, outward: float = 0.0) -> list[list[float]]:
    """A regular polygon of n atoms with this bond length, moved outward."""
    radius = bond / (2 * np.sin(np.pi / n)) + outward
    return [[radius * np.cos(2 * np.pi * k / n), radius * np.sin(2 * np.pi * k / n), 0.0] for k in range(n)]


def bent(r: float, angle: float) -> list[list[float]]:
    """The middle atom at the origin, then its two neighbours."""
    return [[0.0, 0.0, 0.0], [r, 0.0, 0.0], polar(r, angle)]


def ethane(cc: float) -> list[list[float]]:
    """Staggered, C-H 1.09, H-C-C 111 degrees."""
    near = [polar(1.09, 111.2, 120 * k) for k in range(3)]
    far = [polar(1.09, 111.2, 120 * k + 60) for k in range(3)]
    return [[0, 0, 0], [cc, 0, 0], *near, *([cc - x, y, z] for x, y, z in far)]


def ethylene(cc: float, twist: float) -> list[list[float]]:
    near = [polar(1.086, 121.3, 180 * k) for k in range(2)]
    far = [polar(1.086, 121.3, 180 * k + twist) for k in range(2)]
    return [[0, 0, 0], [cc, 0, 0], *near, *([cc - x, y, z] for x, y, z in far)]


def trigonal(centre_to_halide: float) -> list[list[float]]:
    """X-CH3-X with planar CH3, C-H 1.075: the saddle point of an identity SN2 reaction."""
    hydrogens = [polar(1.075, 90, 120 * k) for k in range(3)]
    return [[0, 0, 0], [centre_to_halide, 0, 0], [-centre_to_halide, 0, 0], *hydrogens]


def peroxide() -> list[list[float]]:
    """FOOF: O-O 1.217, O-F 1.575, O-O-F 109.5, dihedral 87.5 degrees, about as measured."""
    f = polar(1.575, 109.5, 0.0)
    g = polar(1.575, 109.5, 87.5)
    return [[0, 0, 0], [1.217, 0, 0], f, [1.217 - g[0], g[1], g[2]]]


def diborane() -> list[list[float]]:
    """B-B 1.770, terminal B-H 1.192 (H-B-H 121.8), bridging B-H 1.329."""
    half = 1.770 / 2
    bridge = np.sqrt(1.329**2 - half**2)
    x, y = 1.192 * np.cos(np.radians(60.9)), 1.192 * np.sin(np.radians(60.9))
    ends = [[s * (half + x), t * y, 0.0] for s in (1, -1) for t in (1, -1)]
    return [[half, 0, 0], [-half, 0, 0], *ends, [0, 0, bridge], [0, 0, -bridge]]


def octahedron(r: float) -> list[list[float]]:
    return [[0, 0, 0], *(s * r * np.eye(3)[k] for k in range(3) for s in (1, -1))]


def relaxed(smiles: str) -> tuple[list[str], list[list[float]]]:
    """One ETKDGv3 conformer (seed 42) relaxed with MMFF94."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    molecule = Chem.AddHs(Chem.MolFromSmiles(smiles))
    parameters = AllChem.ETKDGv3()
    parameters.randomSeed = 42
    AllChem.EmbedMolecule(molecule, parameters)
    AllChem.MMFFOptimizeMolecule(molecule, maxIters=2000)
    return [a.GetSymbol() for a in molecule.GetAtoms()], molecule.GetConformer().GetPositions().tolist()


def molecules() -> list[tuple]:
    """(name, group, why, symbols, positions in angstrom, charge, multiplicity)."""
    out = []

    def add(name, group, why, symbols, positions, charge=0, multiplicity=1):
        out.append((name, group, why, list(symbols), positions, charge, multiplicity))

    small = "small gap"
    add("ozone", small, "biradical character, small gap", ["O"] * 3, bent(1.278, 116.8))
    add("FOOF", small, "long weak O-F bonds, low sigma* orbital", "OOFF", peroxide())
    add("singlet methylene", small, "empty p orbital beside a lone pair", "CHH", bent(1.107, 102.4))
    for name, smiles, why in (
        ("nitrosomethane", "CN=O", "low pi* orbital beside lone pairs: blue"),
        ("s-tetrazine", "c1nncnn1", "four lone pairs, low pi*: red"),
        ("hexatriene", "C=CC=CC=C", "conjugation"),
    ):
        add(name, small, why, *relaxed(smiles))
    pulled = "stretched bond"
    add("H2 at 2.5 A", pulled, "restricted solution far from dissociation's truth", "HH", line(0, 2.5))
    add("N2 at 1.8 A", pulled, "three bonds half broken", "NN", line(0, 1.8))
    add("F2 at 2.1 A", pulled, "gap closes as the bond breaks", "FF", line(0, 2.1))
    add("LiH at 3.2 A", pulled, "ionic and covalent states cross", ["Li", "H"], line(0, 3.2))
    add("H2O, both O-H 1.9 A", pulled, "two bonds broken at once", "OHH", bent(1.9, 104.5))
    add("ethane, C-C 2.5 A", pulled, "sigma bond half broken", "CCHHHHHH", ethane(2.5))
    saddle = "transition state"
    add(
        "HCN to HNC",
        saddle,
        "hydrogen over the triple bond",
        "CNH",
        [[0, 0, 0], [1.194, 0, 0], polar(1.19, 72)],
    )
    add("H + H2", saddle, "linear saddle point, 0.930 A, doublet", "HHH", line(-0.930, 0, 0.930), 0, 2)
    add("F-CH3-F anion", saddle, "identity SN2, pentavalent carbon, anion", "CFFHHH", trigonal(1.83), -1)
    add("Cl-CH3-Cl anion", saddle, "identity SN2, pentavalent carbon, anion", ["C", "Cl", "Cl", *"HHH"],
        trigonal(2.32), -1)  # fmt: skip
    add("planar ammonia", saddle, "inversion", "NHHH", [[0, 0, 0], *(polar(1.0, 120 * k) for k in range(3))])
    add("square cyclobutadiene", saddle, "automerisation; two electrons in two degenerate orbitals",
        "CCCCHHHH", ring(4, 1.44) + ring(4, 1.44, 1.08))  # fmt: skip
    degenerate = "near-degenerate orbitals"
    add("square H4", degenerate, "frontier orbitals degenerate by symmetry", "HHHH", ring(4, 1.23))
    add("ethylene twisted by 90", degenerate, "pi and pi* degenerate", "CCHHHH", ethylene(1.34, 90))
    add("Be2", degenerate, "2s and 2p close, bond by correlation alone", ["Be", "Be"], line(0, 2.45))
    add("singlet O2", degenerate, "closed shell in two degenerate pi*", "OO", line(0, 1.208))
    add("C2", degenerate, "multireference, low pi and sigma", "CC", line(0, 1.243))
    valence = "unusual valence"
    add("SF6", valence, "six bonds", ["S", *"FFFFFF"], octahedron(1.561))
    add("PF5", valence, "five bonds, two kinds", ["P", *"FFFFF"],
        [[0, 0, 0], [1.577, 0, 0], [-1.577, 0, 0], *(polar(1.534, 90, 120 * k) for k in range(3))])  # fmt: skip
    add("ClF3", valence, "T shape", ["Cl", *"FFF"],
        [[0, 0, 0], [1.598, 0, 0], polar(1.698, 87.5), polar(1.698, -87.5)])  # fmt: skip
    add("diborane", valence, "bonds of three centres", "BBHHHHHH", diborane())
    anion = "anion"
    add("cyclopentadienide", anion, "delocalised charge, diffuse functions overlap much", "CCCCCHHHHH",
        ring(5, 1.41) + ring(5, 1.41, 1.08), -1)  # fmt: skip
    add("carbonate", anion, "unbound dianion: orbitals above zero", "COOO",
        [[0, 0, 0], *(polar(1.31, 120 * k) for k in range(3))], -2)  # fmt: skip
    add("superoxide", anion, "doublet with a hole in degenerate pi*", "OO", line(0, 1.35), -1, 2)
    return out


def main() -> int:
    frames = []
    for name, group, why, symbols, positions, charge, multiplicity in molecules():
        rows = [
            f"{s:2s} {p[0]:13.8f} {p[1]:13.8f} {p[2]:13.8f}" for s, p in zip(symbols, positions, strict=True)
        ]
        header = (
            f'Properties=species:S:1:pos:R:3 name="{name}" group="{group}" why="{why}" '
            f"charge={charge} multiplicity={multiplicity}"
        )
        frames += [str(len(symbols)), header, *rows]
    Path(sys.argv[1]).write_text("\n".join(frames) + "\n", encoding="utf-8")
    print(f"{len(molecules())} molecules")
    return 0


if __name__ == "__main__":
    sys.exit(main())
