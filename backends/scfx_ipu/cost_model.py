"""Cycles by stage of the IPU program, from counted operations and published properties of the hardware.

Every constant here was set, and committed, before the prediction was compared with the paper's profile
(`benchmarks/ipu_cost_model.py` prints the comparison); none is fitted to it.

What is covered: what runs as vertices, that is integrals, the contraction to J and K, and their sums, with their
exchanges. The exchange-correlation part, the eigenproblem and DIIS run on the host in scfx and are not covered.

What is assumed: a worker issues one bundle every six cycles of its tile (six workers take turns), and a bundle holds
one scalar floating-point instruction beside one load, store or integer instruction ("dual issue"), of which none is
counted by itself: a lower bound, as if every operand were in a register. `costs(from_memory=True)` is the other end:
every operand loaded and every result stored, one access a bundle, arithmetic beside them. Neither counts instructions
of loops and addresses. On the other side no instruction works on two floats at once, multiplications are not fused
with additions, every quartet of primitives is counted, though the codelets leave out those whose prefactor is below
1e-13, and every one with a look-up of its roots, though distant ones have the cheaper asymptote.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from scfx_ipu.library import OPERATIONS, Machine, Program, count_operations

if TYPE_CHECKING:
    from scfx_ipu.molecule import ShellStructure

#: Bundles of a scalar float32 operation. Add, multiply, compare: one instruction. Division, square root and
#: exponential: half of what Graphcore's poplibs (popops, estimates for element-wise vertices) gives for two of them:
#: 10, 10 and 6 cycles of a worker.
BUNDLES = {"add": 1.0, "multiply": 1.0, "divide": 5.0, "root": 5.0, "exponential": 3.0, "other": 1.0}
#: Bundles of the same where every operand is loaded and every result stored, one 32-bit access a bundle (Tile Worker
#: ISA: a bundle has one instruction of the main pipeline, which loads and stores): two operands and a result, or one.
MEMORY_BUNDLES = {"add": 3.0, "multiply": 3.0, "divide": 3.0, "root": 2.0, "exponential": 2.0, "other": 2.0}
#: Cycles of the tile from one bundle of a worker to its next: six worker contexts take turns (IPU Programmer's Guide).
CYCLES_PER_BUNDLE = 6
#: Bytes that a tile receives in a cycle within an IPU (what Poplar's own model of the IPU takes).
EXCHANGE_BYTES_PER_CYCLE = 4.0
#: Cycles of a synchronisation of all tiles with the start of a compute set or an exchange: assumed, a few hundred.
SYNC_CYCLES = 250.0
#: Bytes in a cycle between two IPUs: assumed, 64 GB/s in each direction over their links, at the tile's clock.
LINK_BYTES_PER_CYCLE = 64e9 / 1.33e9
#: Tile clock of a Mk2 IPU (GC200), hertz.
CLOCK = 1.33e9
#: Iterations of a run, for rates: what the paper does (Mathiasen et al. 2023).
ITERATIONS = 20
#: Distance of bra and ket at which operations are counted, bohr: with unit exponents X = 4, so roots come from tables.
_COUNTED_DISTANCE = 2.0
_HIGHEST = 3
#: Bundles of an element in a compensated sum of two (value, rest) pairs: eight additions.
_SUM_BUNDLES = 8.0


@lru_cache(maxsize=2)
def costs(from_memory: bool = False) -> Float32[np.ndarray, "3 class class"]:
    """Return bundles by pair classes of bra and ket: of a primitive quartet, of a shell quartet besides, of its
    contraction.

    The operations of pairs of primitives are spread over the quartets as they are with three primitives a shell.
    An operation takes the longer of its arithmetic and, with `from_memory`, of the accesses that it needs.
    """
    pairs = [(a, b) for a in range(_HIGHEST + 1) for b in range(a + 1)]
    price = np.array([max(BUNDLES[name], from_memory * MEMORY_BUNDLES[name]) for name in OPERATIONS])
    out = np.zeros((3, len(pairs), len(pairs)), dtype=np.float32)
    for x, bra in enumerate(pairs):
        for y, ket in enumerate(pairs[: x + 1]):
            one, contraction = count_operations((*bra, *ket), (1, 1, 1, 1), _COUNTED_DISTANCE) @ price
            many, _ = count_operations((*bra, *ket), (3, 3, 3, 3), _COUNTED_DISTANCE) @ price
            primitive = (many - one) / 80.0
            out[:, x, y] = out[:, y, x] = primitive, one - primitive, contraction
    out.setflags(write=False)
    return out


@dataclass(frozen=True)
class Prediction:
    """Tile cycles by stage, and the balance of workers (mean over busiest) of the two computing stages.

    `integrals` once; `contraction`, `sums` and `exchange` for each Fock matrix (with recomputation `contraction` holds
    the integrals as well). `final` is the sum over IPUs.
    """

    integrals: float
    contraction: float
    sums: float
    exchange: float
    final: float
    balance_integrals: float
    balance_contraction: float
    recompute: bool

    @property
    def iteration(self) -> float:
        """Return the cycles of one J and K."""
        return self.contraction + self.sums + self.exchange + self.final

    def total(self, iterations: int = ITERATIONS) -> float:
        """Return the cycles of integrals and `iterations` contractions."""
        return (0.0 if self.recompute else self.integrals) + iterations * self.iteration

    def labels_per_second(self, iterations: int = ITERATIONS) -> float:
        """Return the molecules a second if nothing but these stages took time."""
        return CLOCK / self.total(iterations)


def predict(program: Program) -> Prediction:
    """Return the cycles of a schedule's stages."""
    numbers, cycles, machine = program.numbers(), program.cycles(), program.machine
    contraction = cycles.contraction + (cycles.integrals if program.recompute else 0.0)
    rounds = numbers.rounds
    # Sums of the workers on a tile, of what tiles gathered, and of its parts; four floats an element, two a pair.
    touched, gathered = cycles.touched.max(), cycles.gathered.max()
    owned = np.ceil(numbers.packed / machine.tiles)
    pairs = 2.0 * (touched * machine.workers + rounds * (gathered + owned * machine.workers))
    sums = _SUM_BUNDLES * pairs / machine.workers * CYCLES_PER_BUNDLE
    received = 8.0 * touched + 16.0 * rounds * gathered
    steps = 6 * rounds + 1
    final = 0.0
    if machine.ipus > 1 or rounds > 1:
        crossing = 16.0 * numbers.packed * (machine.ipus - 1) + 8.0 * numbers.packed * (machine.ipus - 1)
        final = crossing / LINK_BYTES_PER_CYCLE + 2 * SYNC_CYCLES
    return Prediction(
        integrals=CYCLES_PER_BUNDLE * float(cycles.integrals.max()) + 4 * SYNC_CYCLES,
        contraction=CYCLES_PER_BUNDLE * float(contraction.max()),
        sums=float(sums),
        exchange=float(received / EXCHANGE_BYTES_PER_CYCLE + steps * SYNC_CYCLES),
        final=float(final),
        balance_integrals=_balance(cycles.integrals),
        balance_contraction=_balance(contraction),
        recompute=program.recompute,
    )


def _balance(load: np.ndarray) -> float:
    return float(load.mean() / load.max()) if load.max() > 0 else 1.0


def schedule(
    structure: ShellStructure, machine: Machine, recompute: bool, from_memory: bool = False
) -> Program:
    """Return a schedule with this model's costs; the graph is not built."""
    return Program(structure, machine, recompute, costs(from_memory), CODE_BYTES)


#: Bytes of code, tables of roots and worker stacks on a tile for bases up to s, p, d and f: what GCC makes of the
#: codelets for x86 at -Os, as `host_poplar` measures it, rounded up. The SDK's compiler will differ (docs/ipu.md).
CODE_BYTES = (47_000, 47_000, 90_000, 190_000)
