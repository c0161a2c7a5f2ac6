"""What backend `jax` with all lanes at once should do on an H100 and an H200, from XLA's own counts. No GPU is used.

    python benchmarks/gpu_prediction.py > docs/measurements/gpu_prediction.md

XLA compiles each program of a B3LYP/STO-3G label (grid level 0) for the processor and says how many operations it does
and how many bytes its fused loops read and write (`cost_analysis`). It counts the body of a loop once; here counts are
multiplied by the trip counts that the molecules' shells give. Rates are the vendors' published ones, of which a share
is taken as reachable. What XLA does not count (library calls, launches) is added from stated assumptions.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from gpu import REFERENCE, SMILES, basis_set, systems_of
from scfx_jax import repulsion
from scfx_jax.hermite import hermite_count
from scfx_jax.pairs import MoleculeArrays, Products, pair_tables, products_of
from scfx_jax.two_electron import _contract, row_plan
from scfx_xc.functionals import B3LYP

from scfx.energy.exchange_correlation.portable import (
    BLOCK,
    BLOCKS,
    StaticFunctional,
    Totals,
    _quadrature_blocks,
)
from scfx.energy.orbitals import orbital_tables, orbital_values
from scfx.execution.lanes import ActiveLanes, ao_bucket
from scfx.grid import GridSpec, batch_grids
from scfx.model.batch import Batch

#: Published: bytes/s, and operations/s in float64 and float32 without matrix units (SXM parts, vendor's datasheets).
CARDS = {"H100": (3.35e12, 34e12, 67e12), "H200": (4.8e12, 34e12, 67e12)}
#: Shares of these taken as reachable: of elementwise arithmetic, and of memory (4.3 TB/s of copies were seen on H200s).
ARITHMETIC, MEMORY = 0.4, 0.85
#: Seconds for a kernel to start, and for a loop whose end the host decides to go round once. Assumed, not measured.
LAUNCH, ROUND = 3e-6, 15e-6
#: Iterations of a label (docs/speed.md), and the width at which programs are counted.
ITERATIONS, WIDTH = 15, 16
BATCHES = (64, 256, 1024)


#: Seconds of processor time that each program took to compile, by name.
COMPILED: dict[str, list[float]] = defaultdict(list)


def counts(function: Any, *arguments: Any, **options: Any) -> SimpleNamespace:
    """Return flops, bytes and kernels of a program, loop bodies once."""
    start = time.process_time()
    compiled = function.lower(*arguments, **options).compile()
    COMPILED[getattr(function, "__name__", "")].append(time.process_time() - start)
    found = compiled.cost_analysis()
    found = found[0] if isinstance(found, list) else found
    text = compiled.as_text() or ""
    kernels = sum(
        text.count(f" {name}(") for name in ("fusion", "dot", "custom-call", "gather", "reduce", "call")
    )
    return SimpleNamespace(
        flops=found.get("flops", 0.0), bytes=found.get("bytes accessed", 0.0), kernels=kernels
    )


def _shape(*shape: int, dtype: Any = "float64") -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))


def _products(order: int, functions: int) -> Products:
    return Products(
        _shape(4, 1, WIDTH), _shape(4, 3, 1, WIDTH), _shape(4, functions, hermite_count(order), 1, WIDTH)
    )


@cache
def quartet_costs(order_x: int, fx: int, order_y: int, fy: int, dtype: str) -> tuple[Any, Any]:
    """Return (of a slab of the ket, of a slab of the bra) for one lane of WIDTH x WIDTH quartets."""
    whole = counts(
        repulsion.quartets, _products(order_x, fx), _products(order_y, fy), _shape(1, 4, dtype="int32"), 1, 0.0,
        _shape(1025, 7, dtype=dtype), order_x=order_x, order_y=order_y, dtype=dtype,
    )  # fmt: skip
    hx, tile = hermite_count(order_x), (1, WIDTH, WIDTH)
    outer = jax.jit(lambda inner, left, total: total + repulsion._hermite_sum(None, inner, left, total.shape))
    bra = counts(
        outer, _shape(hx, fy, *tile, dtype=dtype), _shape(fx, hx, 1, WIDTH, 1, dtype=dtype),
        _shape(fy, fx, *tile, dtype=dtype),
    )  # fmt: skip
    # What is written at the end of an item is in `whole` too, and small beside a slab's work.
    ket = SimpleNamespace(
        flops=max(0.0, whole.flops - bra.flops),
        bytes=max(0.0, whole.bytes - bra.bytes),
        kernels=whole.kernels,
    )
    return ket, bra


def integrals(layout: Any, tile: int, dtype: str) -> SimpleNamespace:
    """Return flops and bytes of all integrals of one lane, and kernels and rounds of loops of a batch."""
    total = SimpleNamespace(flops=0.0, bytes=0.0, kernels=0.0, rounds=0.0)
    classes, share = pair_tables(layout, tile), (tile / WIDTH) ** 2
    for number, first in enumerate(classes):
        for second in classes[: number + 1]:
            ket, bra = quartet_costs(
                first.kind.order, first.kind.n_functions, second.kind.order, second.kind.n_functions, dtype
            )
            slabs = float(first.tile_count.sum() * second.tile_count.sum())
            bras = float(first.tile_count.sum() * second.n_tiles)
            total.flops += share * (ket.flops * slabs + bra.flops * bras)
            total.bytes += share * (ket.bytes * slabs + bra.bytes * bras)
            total.kernels += ket.kernels * slabs
            total.rounds += slabs + bras
    return total


@cache
def contraction(rows: int, n: int, stored: str) -> SimpleNamespace:
    """Return the counts of J and K from one block of rows of one lane."""
    return counts(
        _contract, _shape(1, rows, n, n, dtype=stored), _shape(1, 1, n, n), *(_shape(rows, dtype="int32"),) * 2,
        _shape(rows), _shape(1, 1, n, n), _shape(1, 1, n, n), coulomb=True, exchange=True,
    )  # fmt: skip


@cache
def quadrature(n: int, dtype: str) -> SimpleNamespace:
    """Return the counts of density, functional and potential on one block of points of one lane."""
    totals = Totals(_shape(1), _shape(1), _shape(1, 1, n, n))
    return counts(
        _quadrature_blocks, StaticFunctional(B3LYP()), totals, _shape(1, BLOCKS, 4, n, BLOCK, dtype=dtype),
        _shape(1, BLOCKS, BLOCK), _shape(1, 1, n, n), ActiveLanes(_shape(1, dtype="int32"), False), 1, dtype="float64",
    )  # fmt: skip


def orbitals(batch: Batch, dtype: str) -> SimpleNamespace:
    """Return the counts of AO values and gradients on one block of points of one lane."""
    tables, lmax = orbital_tables(batch, 1)
    return counts(
        orbital_values, tables, _shape(1, BLOCKS, 3, BLOCK), ActiveLanes(_shape(1, dtype="int32"), False), 1,
        lmax=lmax, derivatives=True, dtype=dtype,
    )  # fmt: skip


def eigenproblems(n: int) -> dict[str, tuple[float, float, float]]:
    """Return flops, bytes and kernels of one Fock matrix to its density, float64, by ways to do it.

    Jacobi in lanes: 8 sweeps of n - 1 rounds of n/2 rotations at once, 18 n operations a rotation; each round reads and
    writes the matrix and the vectors. Purification (SP2; Niklasson 2002): 30 squarings, 2 n³ operations each, three
    matrices read or written. `library`: one problem after the other, 0.7 ms each (assumed; see the text).
    """
    matrix = 8.0 * n * n
    return {
        "Jacobi": (8 * (n - 1) * (n / 2) * 18 * n, 8 * (n - 1) * 4 * matrix, 8 * (n - 1) * 3),
        "purification": (30 * 2.0 * n**3, 30 * 3 * matrix, 60),
        "library": (0.0, 0.0, 0.0),
    }


def stages(batch: Batch, tile: int, policy: str) -> dict[str, SimpleNamespace]:
    """Return by stage what a label costs: flops in float64 and float32, bytes, and kernels and rounds of a batch."""
    narrow = policy == "float32"
    stored, size = ("float32", 4) if narrow else ("float64", 8)
    orbital = "float64" if policy == "float64" else "float32"
    n, plan = ao_bucket(batch.nao), row_plan(batch.layout, tile)
    points = len(batch_grids(batch.atomic_numbers, batch.positions, GridSpec.from_config(0))[0][1])
    chunks = -(-points // (BLOCK * BLOCKS))
    made = integrals(batch.layout, tile, stored)
    # A block of integrals is written, put in order and written again as rows.
    rows = size * plan.stored_rows() * (2.0 * plan.n_columns + 2.0 * plan.n**2)
    jk = SimpleNamespace(flops=0.0, bytes=0.0, kernels=0.0)
    for number, tables in enumerate(plan.classes):
        one = contraction(plan.block_rows(number), n, stored)
        for key in ("flops", "bytes", "kernels"):
            setattr(jk, key, getattr(jk, key) + tables.n_tiles * getattr(one, key))
    xc, ao = quadrature(n, orbital), orbitals(batch, orbital)

    def stage(flops: float, bytes_: float, kernels: float, rounds: float, narrow: bool) -> SimpleNamespace:
        return SimpleNamespace(flops=flops, bytes=bytes_, kernels=kernels, rounds=rounds, narrow=narrow)

    blocks = sum(tables.n_tiles for tables in plan.classes)
    kept, values = (
        size * plan.stored_rows() * plan.n**2,
        4.0 * n * points * (8 if orbital == "float64" else 4),
    )
    return {
        "integrals": stage(made.flops, made.bytes + rows, made.kernels, made.rounds, narrow),
        "integrals, one kernel for two classes": stage(made.flops, rows, 4 * blocks, 0, narrow),
        "J and K": stage(jk.flops * ITERATIONS, jk.bytes * ITERATIONS, jk.kernels * ITERATIONS, 0, False),
        "J and K, each integral read three times": stage(
            jk.flops * ITERATIONS, 3.0 * kept * ITERATIONS, 8 * blocks * ITERATIONS, 0, False
        ),
        "AO values": stage(ao.flops * chunks * BLOCKS, ao.bytes * chunks * BLOCKS, ao.kernels * chunks, chunks, False),
        "exchange-correlation": stage(
            xc.flops * chunks * BLOCKS * ITERATIONS, xc.bytes * chunks * BLOCKS * ITERATIONS,
            xc.kernels * chunks * BLOCKS * ITERATIONS, chunks * BLOCKS * ITERATIONS, orbital == "float32",
        ),
        "exchange-correlation, AO values read twice": stage(
            xc.flops * chunks * BLOCKS * ITERATIONS, 2.0 * values * ITERATIONS, 12.0 * chunks * ITERATIONS, 0,
            orbital == "float32",
        ),
        **{
            f"diagonalisation, {name}": stage(
                flops * ITERATIONS, bytes_ * ITERATIONS, kernels * ITERATIONS, 0, False
            )
            for name, (flops, bytes_, kernels) in eigenproblems(n).items()
        },
    }  # fmt: skip


def seconds(stage: SimpleNamespace, card: tuple[float, float, float], lanes: int) -> tuple[float, str]:
    """Return the seconds of a stage for one label in a batch of `lanes`, and what bounds it."""
    memory, double, single = card
    parts = {
        "arithmetic": stage.flops / (ARITHMETIC * (single if stage.narrow else double)),
        "memory": stage.bytes / (MEMORY * memory),
        "launches": (stage.kernels * LAUNCH + stage.rounds * ROUND) / lanes,
    }
    bound = max(parts, key=lambda name: parts[name])
    return max(parts["arithmetic"], parts["memory"]) + parts["launches"], bound


LIBRARY = 0.7e-3 * ITERATIONS


def main() -> int:
    """Print the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tile", type=int, default=64)
    parser.add_argument("--molecules", nargs="+", default=[s for s in SMILES if s != "O"])
    arguments = parser.parse_args()
    reference = json.loads(REFERENCE.read_text())
    basis = basis_set(reference)
    print(HEAD.format(tile=arguments.tile, iterations=ITERATIONS, jax=jax.__version__, arithmetic=100 * ARITHMETIC,
                      memory=100 * MEMORY, launch=1e6 * LAUNCH, round=1e6 * ROUND))  # fmt: skip
    with jax.enable_x64(True):
        for smiles in arguments.molecules:
            molecule = reference["molecules"][smiles]
            batch = Batch.from_systems(systems_of(molecule, np.array([molecule["positions_bohr"]])), basis)
            plan = row_plan(batch.layout, arguments.tile)
            print(
                f"\n## `{smiles}`, {batch.nao} functions, {plan.stored_rows():,} rows of {plan.n**2:,} integrals\n"
            )
            for policy in ("float32", "mixed", "float64"):
                report(stages(batch, arguments.tile, policy), policy)
                sys.stdout.flush()
        kinds = pair_tables(batch.layout, WIDTH)
        for tables in kinds:
            molecules = MoleculeArrays(_shape(1, 64), _shape(1, 64), _shape(1, 16, 3), _shape(1, 16))
            indices = _shape(2, 16, WIDTH, dtype="int32")
            counts(products_of, molecules, indices, indices, _shape(1, 16), kind=tables.kind)
    print(COMPILE)
    for name, found in sorted(COMPILED.items(), key=lambda item: -sum(item[1])):
        if name != "<lambda>":
            print(f"| `{name}` | {len(found)} | {sum(found):.1f} | {max(found):.1f} |")
    return 0


COMPILE = """
## Compiling

Seconds of processor time for the programs counted above, in two precisions each where there are two, on one core of the
machine that made this page, without XLA's cache of compiled programs. A card's compiler may take longer.

| program | compiled | seconds in all | longest |
|---|---|---|---|"""


def report(found: dict[str, SimpleNamespace], policy: str) -> None:
    """Print the tables of one molecule and policy."""
    print(f"`{policy}`, a label:\n")
    print("| stage | Gflop | MB | bound on H200, 256 lanes | ms on H100 | ms on H200 |")
    print("|---|---|---|---|---|---|")
    for name, stage in found.items():
        if name.endswith("library"):
            print(f"| {name} | | | one after the other | {1e3 * LIBRARY:.1f} | {1e3 * LIBRARY:.1f} |")
            continue
        on = {card: seconds(stage, rates, 256) for card, rates in CARDS.items()}
        times = " | ".join(f"{1e3 * t:.3f}" for t, _ in on.values())
        print(f"| {name} | {stage.flops / 1e9:.3f} | {stage.bytes / 1e6:.1f} | {on['H200'][1]} | {times} |")
    common = [stage for name, stage in found.items() if not name.startswith("diagonalisation")]
    print(
        "\n| labels a second | " + " | ".join(f"{card}, {n} lanes" for card in CARDS for n in BATCHES) + " |"
    )
    print("|---|" + "---|" * (len(CARDS) * len(BATCHES)))
    for fused in (False, True):
        common = [found["AO values"], *(found[BETTER[name] if fused else name] for name in BETTER)]
        for name in ("library", "Jacobi", "purification"):
            rates = []
            for card in CARDS.values():
                for lanes in BATCHES:
                    label = sum(seconds(stage, card, lanes)[0] for stage in common)
                    own = found[f"diagonalisation, {name}"]
                    label += LIBRARY if name == "library" else seconds(own, card, lanes)[0]
                    rates.append(f"{1.0 / label:,.0f}")
            print(f"| {'fused' if fused else 'as counted'}, {name} | " + " | ".join(rates) + " |")
    print()


#: What stands in the place of a stage where loops are fused as far as they could be.
BETTER = {
    "integrals": "integrals, one kernel for two classes",
    "J and K": "J and K, each integral read three times",
    "exchange-correlation": "exchange-correlation, AO values read twice",
}


HEAD = """# Predicted: labels on an H100 and an H200

Made by `benchmarks/gpu_prediction.py`, with jax {jax}, before any run on a device. **There has been none: every time
and rate here is a prediction.** Operations and bytes are XLA's own counts of the programs compiled for the processor;
its fusions for a GPU differ. B3LYP/STO-3G, grid level 0, tiles of {tile} pairs, {iterations} iterations.

Taken as reachable: {arithmetic:.0f} % of the published arithmetic without matrix units, {memory:.0f} % of the
published bandwidth. Assumed: {launch:.0f} microseconds for a kernel to start, {round:.0f} for a loop with a dynamic end
to go round once. Times on a card are the larger of arithmetic and memory, plus launches shared by the lanes. The host's
part (points and weights, first density, orthogonaliser, transfers) is not in them.

Rows with a remark are what a stage would take if its loops were fused as far as they could be: integrals of two classes
in one kernel that keeps intermediates in registers and loops over primitives itself; J and K that read each integral
three times an iteration; a quadrature that reads the AO values twice. *As counted* leaves these out, *fused* puts them
in the place of their stages: what a GPU's compiler makes of the programs lies between, and nearer to the first for the
integrals, whose loops over primitives it does not fuse.

Diagonalisation is a library call, which XLA does not count. Three ways are set beside each other. *Library*: one matrix
after the other at 0.7 ms, what a divide-and-conquer solver may take for a small matrix that is a call of its own
(assumed). *Jacobi* in lanes and *purification* (SP2: Niklasson, Phys. Rev. B 66, 155115 (2002)) are counts of what
they would do; **neither is built**: `jnp.linalg.eigh` runs today, as the installed jaxlib does it for many matrices."""


if __name__ == "__main__":
    sys.exit(main())
