"""Host speed of the IPU backend beside libcint, and what the cost model predicts of the IPU itself.

    python benchmarks/ipu_speed.py                                  # the paper's two molecules in STO-3G
    python benchmarks/ipu_speed.py --basis 6-31g --molecules O C=O

One core: building the graph (once a shell structure), integrals, and one J and K. The host model exists for parity and
planning; its times say nothing about the hardware.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402 - after the number of threads is set
from machine import describe  # noqa: E402
from scfx_ipu.cost_model import CLOCK, predict, schedule  # noqa: E402
from scfx_ipu.library import Machine  # noqa: E402
from scfx_ipu.molecule import ShellStructure, molecule_table  # noqa: E402

import scfx  # noqa: E402
from scfx.model.basis import BasisSet  # noqa: E402
from scfx.model.batch import Batch  # noqa: E402

PAPER = ["Fc1nocnc(=O)c1=O", "FC=C1C2CN2N=C1C=O"]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--molecules", nargs="+", default=PAPER)
    parser.add_argument("--basis", default="sto-3g")
    given = parser.parse_args()
    print(describe(), flush=True)
    registry = scfx.Registry.discover()
    libcint = registry.backend({"name": "libcint", "threads": 1})
    print(f"{'molecule':22} {'who':14} {'build s':>9} {'integrals s':>12} {'J and K ms':>11} {'IPU integrals ms':>17} "
          f"{'IPU J and K ms':>15}")  # fmt: skip
    for smiles in given.molecules:
        system = scfx.System.from_smiles(smiles, seed=42)
        basis = BasisSet.from_source(registry.basis(given.basis), system.atomic_numbers)
        batch = Batch.from_systems([system], basis)
        density = np.random.default_rng(0).uniform(-1.0, 1.0, (1, batch.nao, batch.nao))
        density = density + np.swapaxes(density, -1, -2)
        start = time.perf_counter()
        with libcint.two_electron(batch, registry.precision("float64"), 2**32) as operator:
            integrals = time.perf_counter() - start
            contraction = best(lambda op=operator, d=density: op.coulomb_exchange(d))
        print(f"{smiles:22} {'libcint':14} {'-':>9} {integrals:12.3f} {1000 * contraction:11.1f}", flush=True)
        cartesian = batch.layout.cart_to_ao @ density[0] @ batch.layout.cart_to_ao.T
        for recompute in (False, True):
            program = schedule(ShellStructure.from_layout(batch.layout), Machine(), recompute)
            start = time.perf_counter()
            program.build()
            build = time.perf_counter() - start
            table = molecule_table(batch, 0)
            kept = best(lambda p=program, t=table: p.set_molecule(t), 2)
            contraction = best(
                lambda p=program, d=cartesian: p.coulomb_exchange(d, True), 2 if recompute else 5
            )
            predicted = predict(program)
            print(
                f"{smiles:22} {'ipu recompute' if recompute else 'ipu store':14} {build:9.2f} {kept:12.3f} "
                f"{1000 * contraction:11.1f} {0.0 if recompute else 1000 * predicted.integrals / CLOCK:17.3f} "
                f"{1000 * predicted.iteration / CLOCK:15.3f}",
                flush=True,
            )
    return 0


def best(call, times: int = 5) -> float:
    """Shortest of some runs, seconds."""
    found = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


if __name__ == "__main__":
    sys.exit(main())
