"""Where float32 loses digits of one-centre integrals of core functions: the codelet's stages, emulated one by one.

    python benchmarks/ipu_rounding.py
    python benchmarks/ipu_rounding.py --basis 6-31g --elements C N O F S

(11|11) of each element's innermost s shell. On one centre X = 0 and the Rys weight is 1, so all that can round is:
the input (exponents and coefficients to float32), the prefactors of pairs of primitives c c' / (a + a'), the rest of
each quartet of primitives, and the sum over them. Stages in float32 are added from left to right; the last but one
has float64 pairs, and sums over the ket's pairs in float32 that are added in float64. Relative errors against
float64, in units of 1e-8 (half a unit in the last place of float32 is at most 6). Such an integral is the same in
every molecule, so its error has one sign in a data set. The last column is the codelet itself.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from scfx_ipu.library import integrals_of_pair
from scfx_ipu.molecule import ShellStructure, molecule_table

import scfx
from scfx.model.basis import BasisSet
from scfx.model.batch import Batch

FACTOR = 2.0 * np.pi**2.5


def integral(
    exponents: np.ndarray, coefficients: np.ndarray, pairs: type, quartets: type, inner: type, outer: type
) -> float:
    """(ss|ss) on one centre: the stages in the types given, each result rounded to the next stage's.

    `pairs`: prefactors of two primitives; `quartets`: what becomes of two of these; `inner`: sums over the pairs of the
    ket; `outer`: the sum of these over the pairs of the bra, going on from one sum to the next where both are alike.
    """
    a, c = exponents.astype(pairs), coefficients.astype(pairs)
    p = (a[:, None] + a[None, :]).ravel()
    prefactor = ((c[:, None] * c[None, :]).ravel() * (pairs(1.0) / p)).astype(quartets)
    p = p.astype(quartets)
    value = outer(0.0)
    for bra in range(len(p)):
        part = inner(value) if inner is outer else inner(0.0)
        for ket in range(len(p)):
            root = np.sqrt(quartets(1.0) / (p[bra] + p[ket]))
            part = part + inner(prefactor[bra] * prefactor[ket] * root)
        value = part if inner is outer else value + outer(part)
    return float(outer(value))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--basis", default="sto-3g")
    parser.add_argument("--elements", nargs="+", default=["C", "N", "O", "F"])
    given = parser.parse_args()
    source = scfx.Registry.discover().basis(given.basis)
    narrow, wide = np.float32, np.float64
    stages = {
        "input": (wide, wide, wide, wide),
        "+ quartets": (wide, narrow, wide, wide),
        "+ pairs": (narrow, narrow, wide, wide),
        "+ one long sum": (narrow, narrow, narrow, narrow),
        "or sums of kets": (wide, narrow, narrow, wide),
    }
    print(f"(11|11) in {given.basis}, relative errors in 1e-8")
    print("element  hartree" + "".join(f"{name:>16}" for name in (*stages, "codelet")))
    for symbol in given.elements:
        system = scfx.System.from_arrays([symbol], np.zeros((1, 3)), multiplicity=None)
        batch = Batch.from_systems([system], BasisSet.from_source(source, system.atomic_numbers))
        layout, table = batch.layout, molecule_table(batch, 0)
        n, nprim = layout.n_primitives[0], batch.exponents.shape[1]
        exponents, coefficients = batch.exponents[0, :n], batch.coefficients[0, :n]
        # The shell's angular factor, and a fourth of the constant of every integral, are in the codelet's coefficients.
        scale = (FACTOR / (4.0 * np.pi) ** 2) ** 0.25
        exact = integral(exponents, coefficients * scale, wide, wide, wide, wide)
        given_exponents, given_coefficients = table[6:][:n], table[6 + nprim :][:n]
        found = [integral(given_exponents, given_coefficients, *types) for types in stages.values()]
        found.append(float(integrals_of_pair(ShellStructure.from_layout(layout), table, 0, 0)[0, 0, 0, 0]))
        print(f"{symbol:7} {exact:8.4f}" + "".join(f"{1e8 * (value / exact - 1.0):16.1f}" for value in found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
