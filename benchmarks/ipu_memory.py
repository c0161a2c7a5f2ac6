"""How large a molecule fits the tiles: the paper's private matrices, and this program's schedules.

    python benchmarks/ipu_memory.py [--basis sto-3g]

n-alkanes. The paper (Mathiasen et al. 2023, section 5) gives each of 1,472 x 6 threads a private N x N matrix in
float32 (173 MB at N = 70) and names that as the limit of its molecules; its other arrays are not published, so only
these matrices are counted for it, one a thread. Here a tile keeps what its quartets touch.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np
from scfx_ipu.cost_model import schedule
from scfx_ipu.library import Machine
from scfx_ipu.molecule import ShellStructure
from scfx_ipu.plan import largest_alkane

import scfx
from scfx.model.basis import BasisSet
from scfx.model.batch import Batch

_CARBONS = (4, 8, 10, 15, 20, 30, 40)


def private_matrices(n: int, machine: Machine) -> int:
    """Bytes of one float32 matrix for each thread of a tile."""
    return machine.workers * 4 * n * n


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--basis", default="sto-3g")
    given = parser.parse_args()
    machine = Machine()
    whole = machine.tiles * private_matrices(70, machine)
    print(f"private matrices at N = 70: {whole / 1e6:.1f} MB on {machine.tiles} tiles (published: 173 MB)")
    last = max(n for n in range(1, 1000) if private_matrices(n, machine) <= machine.tile_bytes)
    print(f"private matrices alone fill a tile of {machine.tile_bytes:,} bytes beyond N = {last}")
    print(f"{'alkane':>9} {'N':>5} {'private, bytes a tile':>22} {'store, bytes':>13} {'rounds':>7} "
          f"{'recompute, bytes':>17} {'rounds':>7}")  # fmt: skip
    source = scfx.Registry.discover().basis(given.basis)
    basis = BasisSet.from_source(source, [1, 6])
    for carbons in _CARBONS:
        numbers = np.array([6] * carbons + [1] * (2 * carbons + 2), dtype=np.int32)
        positions = np.arange(3.0 * len(numbers)).reshape(-1, 3)
        structure = ShellStructure.from_layout(
            Batch.from_systems([scfx.System(numbers, positions)], basis).layout
        )
        store, recompute = (schedule(structure, machine, r).numbers() for r in (False, True))
        print(
            f"{f'C{carbons}H{2 * carbons + 2}':>9} {structure.n_functions:5} "
            f"{private_matrices(structure.n_functions, machine):22,} "
            f"{store.needed:12,}{' ' if store.fits else '!'} {store.rounds:7} {recompute.needed:16,}"
            f"{' ' if recompute.fits else '!'} {recompute.rounds:7}",
            flush=True,
        )
    print("! does not fit")
    for recompute in (False, True):
        carbons, n = largest_alkane(source, machine, recompute)
        print(
            f"largest, {'recompute' if recompute else 'store'}: C{carbons}H{2 * carbons + 2}, N = {n}",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
