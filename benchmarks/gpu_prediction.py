"""What backend `jax` with all lanes at once should do on an H100 and an H200, from what XLA compiles for them.

    python benchmarks/gpu_prediction.py > docs/measurements/gpu_prediction.md

No GPU is used. XLA compiles each program of a B3LYP/STO-3G label (grid level 0) for a described H200 (`gpu_compiler`,
which says what must be installed): its kernels and the bytes that they read and write are those of the compiled
programs, and the arithmetic of the integrals is counted in the code of their kernels. Rates are the vendor's published
ones, of which a share is taken as reachable. Library calls are taken from cited measurements. What the host does is
timed here.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import gpu_compiler
from gpu import REFERENCE, StoredGuess, basis_set, conformers, systems_of
from gpu_compiler import compiled, shape
from scfx_jax import repulsion
from scfx_jax.boys import boys_table
from scfx_jax.pairs import PairClass, Products, molecules_of, pair_tables, power_of_two, products_of_class
from scfx_jax.straight_line import UNROLLED_ORDER, KernelPlan, block_of
from scfx_jax.two_electron import _block, _contract, row_plan
from scfx_precision import policies
from scfx_xc.functionals import B3LYP

from scfx.energy.exchange_correlation.portable import (
    BLOCK,
    BLOCKS,
    PortableQuadrature,
    StaticFunctional,
    Totals,
    _quadrature_blocks,
)
from scfx.energy.orbitals import orbital_tables, orbital_values
from scfx.execution.device import Execution, executing
from scfx.execution.lanes import ActiveLanes, ao_bucket
from scfx.grid import GridSpec, batch_grids, partition
from scfx.model.batch import Batch
from scfx.scf import step
from scfx.scf.batch_matrices import orthogonaliser
from scfx.scf.diis import DIISState

#: Published: bytes/s, and operations/s in float64 and float32 without matrix units (SXM parts, vendor's datasheets).
CARDS = {"H100": (3.35e12, 34e12, 67e12), "H200": (4.8e12, 34e12, 67e12)}
#: Multiprocessors and clock of both, and warp instructions that one issues in a clock.
MULTIPROCESSORS, CLOCK, ISSUE = 132, 1.98e9, 4
#: Shares taken as reachable: of dense arithmetic, of memory, and of the busiest unit in the kernels of integrals.
ARITHMETIC, MEMORY, UNIT = 0.4, 0.85, 0.5
#: Seconds for a kernel to start, and for a loop whose end is found on the device to go round once. Assumed.
LAUNCH, ROUND = 3e-6, 15e-6
#: Iterations of a label (docs/speed.md), squarings of a purification, and Fock matrices remembered.
ITERATIONS, SQUARINGS, HISTORY = 15, 30, 8
#: Diagonalisation, seconds: 8.97 ms for 128 matrices of order 64, 0.26 for 128 of order 8 (jax-ml/jax issue 31368,
#: batched, float32, card not named there; float64 taken as twice that).
EIGH, SMALL_EIGH = 2 * 8.97e-3 / 128, 2 * 0.26e-3
BATCHES = (64, 256, 1024)
#: Lanes and tiles for which programs are compiled.
LANES, TILE = 256, 64


@dataclass
class Stage:
    """What a stage of one label takes: seconds of arithmetic, bytes, and launches and rounds of loops of a batch."""

    arithmetic: float = 0.0
    bytes: float = 0.0
    launches: float = 0.0
    rounds: float = 0.0
    library: float = 0.0
    library_of_batch: float = 0.0

    def add(self, program: gpu_compiler.Compiled, times: float = 1.0) -> None:
        """Add a compiled program that runs so many times."""
        self.bytes += times * program.bytes / LANES
        self.launches += times * program.launches

    def seconds(self, card: tuple[float, float, float], lanes: int) -> tuple[float, str]:
        """Return seconds of one label in a batch, and what bounds it."""
        parts = {
            "arithmetic": self.arithmetic,
            "memory": self.bytes / (MEMORY * card[0]),
            "launches": (self.launches * LAUNCH + self.rounds * ROUND) / lanes,
            "library": self.library + self.library_of_batch / lanes,
        }
        total = max(parts["arithmetic"], parts["memory"]) + parts["launches"] + parts["library"]
        return total, max(parts, key=lambda name: parts[name])


def operations(flops: float, dtype: str) -> float:
    """Return the seconds of dense arithmetic."""
    return flops / (ARITHMETIC * (CARDS["H200"][1] if dtype == "float64" else CARDS["H200"][2]))


LOOPS: dict[str, tuple[list[gpu_compiler.Loop], int, int, float]] = {}
SECONDS: dict[str, list[float]] = defaultdict(list)
PROGRAMS: dict[str, gpu_compiler.Compiled] = {}


def _compiled(name: str, function: Any, *arguments: Any, **options: Any) -> gpu_compiler.Compiled:
    """Return a program for the card; what was compiled for these shapes before is taken again."""
    key = str((name, jax.tree.structure((arguments, options)), jax.tree.leaves((arguments, options))))
    if key not in PROGRAMS:
        PROGRAMS[key] = compiled(function, *arguments, **options)
        SECONDS[name].append(PROGRAMS[key].seconds)
    return PROGRAMS[key]


def _products() -> Products:
    return Products(shape(64, 9, TILE, LANES), shape(64, 3, TILE, LANES), shape(64, 0, 1, TILE, LANES))


def _name(kind: PairClass) -> str:
    return "".join("spdf"[l] for l, _ in kind)


@cache
def quartet_kernel(x: PairClass, y: PairClass, dtype: str) -> list[gpu_compiler.Loop]:
    """Return the code of the kernel of two classes: outside loops, a round over the bra's primitives, the ket's."""
    assert x.order + y.order <= UNROLLED_ORDER
    table = boys_table(x.order + y.order, dtype)
    made = _compiled(
        f"integrals, {dtype}", repulsion.quartets, _products(), _products(), shape(8, 6, dtype="int32"),
        shape(dtype="int32"), shape(), shape(*table.shape, dtype=dtype), kind_x=x, kind_y=y, dtype=dtype, on_gpu=True,
    )  # fmt: skip
    (code,) = (code for code in made.code if "entry _kernel(" in code)
    found = gpu_compiler.loops(code, "_kernel")
    assert len(found) == 3
    LOOPS[f"{_name(x)} {_name(y)} {dtype}"] = (found, *gpu_compiler.registers(code), made.seconds)
    return found


def table_lines(molecule: dict, basis: Any, dtype: str) -> float:
    """Return how many lines of 128 bytes of the Boys table a warp's 32 conformers read at once, in the mean.

    Of 20,000 pairs of products of primitives at random. The first cache, which holds the table, gives a line a clock.
    """
    geometries = conformers(np.array(molecule["positions_bohr"]), 32, 0)
    batch = Batch.from_systems(systems_of(molecule, geometries), basis)
    arrays = molecules_of(batch, 0, 32)
    exponents, centres = [], []
    for tables in pair_tables(batch.layout, TILE):
        products, _ = products_of_class(arrays, tables, False)
        real = (tables.primitive[0] >= 0) & (tables.slab_tile >= 0)[:, None]
        exponents.append(np.asarray(products.values)[:, 0][real])
        centres.append(np.moveaxis(np.asarray(products.centre), 1, -1)[real])
    p, centre = np.concatenate(exponents), np.concatenate(centres)
    one, two = np.random.default_rng(0).integers(len(p), size=(2, 20_000))
    t = p[one] * p[two] / (p[one] + p[two]) * ((centre[one] - centre[two]) ** 2).sum(axis=-1)
    table = boys_table(0, dtype)
    row = np.minimum(t * 16 + 0.5, len(table) - 1).astype(int)
    first = row * table.shape[1] * table.itemsize // 128
    return float(np.count_nonzero(np.diff(np.sort(first, axis=1), axis=1), axis=1).mean() + 1)


def clocks(loop: gpu_compiler.Loop, dtype: str, gathers: float) -> float:
    """Return the clocks of one multiprocessor that a warp takes for a round, if its busiest unit bounds it."""
    return max(
        loop.all / ISSUE,
        loop.arithmetic / (2 if dtype == "float64" else ISSUE),
        2.0 * loop.special,
        loop.loads + gathers,
    )


def integrals(plan: Any, dtype: str, lines: float) -> Stage:
    """Return the making of all integrals of a label; each look-up of a warp reads `lines` of the Boys table."""
    stage, size = Stage(), 8 if dtype == "float64" else 4
    gathers = boys_table(0, dtype).shape[1] * (lines - 1.0)
    for number, x in enumerate(plan.classes):
        for y in plan.classes[: number + 1]:
            outside, bra, ket = (
                clocks(loop, dtype, gathers if depth == 2 else 0)
                for depth, loop in enumerate(quartet_kernel(x.kind, y.kind, dtype))
            )
            block = block_of(TILE, LANES, True)
            turns = KernelPlan(x.kind, y.kind, block, (1, 1, 1)).turns
            for tile in range(x.n_tiles):
                _, n_x, used_x = x.slabs(tile)
                for other in range(y.n_tiles):
                    _, n_y, used_y = y.slabs(other)
                    elements = turns * used_x * (-(-used_y // block[1]) * block[1])
                    work = elements * (outside + n_x * (bra + n_y * ket))
                    stage.arithmetic += work / 32 / (MULTIPROCESSORS * CLOCK * UNIT)
                stage.launches += 1
                items = power_of_two(y.n_tiles) * TILE**2
                stage.bytes += items * x.kind.n_functions * y.kind.n_functions * size
    return stage


def rows(plan: Any, dtype: str) -> Stage:
    """Return the putting of integrals into rows."""
    stage = Stage()
    for c, mine in enumerate(plan.classes):
        parts: list[Any] = []
        for other, theirs in enumerate(plan.classes):
            x, y = (mine, theirs) if other <= c else (theirs, mine)
            made = shape(
                power_of_two(y.n_tiles),
                x.kind.n_functions,
                y.kind.n_functions,
                TILE,
                TILE,
                LANES,
                dtype=dtype,
            )
            parts.append(made if other <= c else (made,) * theirs.n_tiles)
        swapped = tuple(other > c for other in range(len(plan.classes)))
        program = _compiled("rows", _block, tuple(parts), shape(dtype="int32"), shape(plan.n**2, dtype="int32"),
                            swapped=swapped, n=plan.n)  # fmt: skip
        stage.add(program, mine.n_tiles)
    return stage


@cache
def contraction(rows: int, n: int, stored: str, working: str) -> gpu_compiler.Compiled:
    """Return J and K from one block of rows."""
    return _compiled(
        "J and K", _contract, shape(LANES, rows, n, n, dtype=stored), shape(LANES, 1, n, n, dtype=working),
        *(shape(rows, dtype="int32"),) * 2, shape(rows), *(shape(LANES, 1, n, n),) * 2, coulomb=True, exchange=True,
    )  # fmt: skip


def _active() -> ActiveLanes:
    return ActiveLanes(shape(LANES, dtype="int32"), True)


@cache
def quadrature(n: int, dtype: str) -> gpu_compiler.Compiled:
    """Return density, functional and potential on a chunk of points."""
    totals = Totals(shape(LANES), shape(LANES), shape(LANES, 1, n, n))
    return _compiled(
        "exchange-correlation", _quadrature_blocks, StaticFunctional(B3LYP()), totals,
        shape(LANES, BLOCKS, 4, n, BLOCK, dtype=dtype), shape(LANES, BLOCKS, BLOCK), shape(LANES, 1, n, n), _active(),
        shape(dtype="int32"), dtype="float64",
    )  # fmt: skip


@cache
def functional_flops() -> float:
    """Return the operations of the functional at a point, all in float64, as XLA counts them."""
    from scfx.energy.exchange_correlation.functional_at_points import evaluate_closed_shell

    def at_points(components: Any, weights: Any) -> Any:
        return evaluate_closed_shell(B3LYP(), components, weights, np.dtype("float64"))

    lowered = jax.jit(at_points).lower(np.ones((4, 512)), np.ones(512))
    return (lowered.cost_analysis() or {})["flops"] / 512


@cache
def matrices(n: int) -> tuple[gpu_compiler.Compiled, gpu_compiler.Compiled, gpu_compiler.Compiled]:
    """Return the step's three programs: Fock matrix and energy, new density, canonical orbitals."""
    square, old = shape(LANES, 1, n, n), shape(LANES, HISTORY, 1, n, n)
    number = shape(LANES)
    state = step.SCFState(
        square,
        square,
        square,
        square,
        number,
        number,
        number,
        DIISState(old, old, shape(LANES, dtype="int32")),
    )
    fixed = step.Fixed(shape(LANES, n, n), shape(LANES, n, n), shape(LANES), shape(LANES, 1, dtype="int32"),
                       shape(LANES, dtype="int32"))  # fmt: skip
    parts = step.FockParts(*(square if name != "energy" else shape(LANES) for name in step.FockParts._fields))
    control = step.Control(shape(LANES), shape(LANES), shape(LANES, dtype="bool"))
    count = shape(dtype="int32")
    return (
        _compiled("step", step.build, state, fixed, parts, _active(), count, shared=False),
        _compiled("step", step.advance, state, fixed, control, _active(), count, dtype="float64", shared=False,
                  rounds=SQUARINGS),
        _compiled("step", step.canonical_orbitals, state, fixed, _active(), count, shape(dtype="bool"),
                  shape(dtype="bool")),
    )  # fmt: skip


def stages(batch: Batch, policy: Any, lines: dict[str, float]) -> dict[str, Stage]:
    """Return what a label costs the card by stage."""
    stored = "float32" if policy.integrals == "float32" and policy.schwarz_float64 is None else "float64"
    working = "float64" if stored == "float64" else policy.coulomb_exchange
    orbital, n, plan = policy.orbitals, ao_bucket(batch.nao), row_plan(batch.layout, TILE)
    points = len(batch_grids(batch.atomic_numbers, batch.positions, GridSpec.from_config(0))[0][1])
    chunks = -(-points // (BLOCK * BLOCKS))
    found = {"integrals": integrals(plan, stored, lines[stored]), "integrals into rows": rows(plan, stored)}

    jk = found["J and K"] = Stage()
    for number, tables in enumerate(plan.classes):
        jk.add(contraction(plan.block_rows(number), n, stored, working), tables.n_tiles * ITERATIONS)
    # Three products of each integral, and of sums over l with the rows' functions.
    kept = plan.stored_rows()
    jk.arithmetic = ITERATIONS * (
        operations(6.0 * kept * n**2, working) + operations(6.0 * kept * n**2, "float64")
    )

    tables, lmax = orbital_tables(batch, 1)
    wide = jax.tree.map(lambda a: shape(LANES, *a.shape[1:], dtype=a.dtype), tables[:3])
    shared = [None if a is None else shape(*a.shape, dtype=a.dtype) for a in tables[3:]]
    ao = _compiled("AO values", orbital_values, type(tables)(*wide, *shared), shape(LANES, BLOCKS, 3, BLOCK), _active(),
                   shape(dtype="int32"), lmax=lmax, derivatives=True, dtype=orbital)  # fmt: skip
    found["AO values"] = Stage()
    found["AO values"].add(ao, chunks)

    atoms = -(-batch.natm // partition.ATOM_BUCKET) * partition.ATOM_BUCKET
    blocks = -(-points // partition.POINT_BLOCK)
    share = _compiled(
        "Becke's cells", partition._compiled_for_lanes(), shape(LANES, 3, partition.POINT_BLOCK),
        shape(LANES, partition.POINT_BLOCK, dtype="int32"), shape(LANES, atoms, 3), *(shape(LANES, atoms, atoms),) * 2,
        shape(dtype="int32"), rounds=batch.natm,
    )  # fmt: skip
    found["weights of points"] = Stage(operations(25.0 * batch.natm**2 * points, "float64"))
    found["weights of points"].add(share, blocks)
    found["weights of points"].rounds = 2.0 * batch.natm * blocks

    xc = found["exchange-correlation"] = Stage()
    xc.add(quadrature(n, orbital), chunks * ITERATIONS)
    padded = chunks * BLOCK * BLOCKS
    xc.arithmetic = ITERATIONS * padded * (
        operations(4.0 * n**2 + 16.0 * n, orbital) + operations(functional_flops(), "float64")
    )  # fmt: skip

    build, advance, orbitals = matrices(n)
    linear = found["Fock matrix, DIIS, purification"] = Stage()
    linear.add(build, ITERATIONS)
    linear.add(advance, ITERATIONS)
    linear.arithmetic = operations(ITERATIONS * (SQUARINGS + 8) * 2.0 * n**3, "float64")
    linear.rounds, linear.library_of_batch = ITERATIONS * SQUARINGS, ITERATIONS * SMALL_EIGH
    found["orbital energies"] = Stage(library=EIGH * (n / 64) ** 2)
    found["orbital energies"].add(orbitals)
    return found


def host_seconds(molecule: dict, basis: Any, guess: Any) -> dict[str, float]:
    """Return the processor seconds of a label that stay with the host, timed here on one core, by what it does."""
    entries = 64
    systems = systems_of(molecule, conformers(np.array(molecule["positions_bohr"]), entries, 0))
    spent = {}

    def timed(name: str, work: Any) -> Any:
        made, times = None, []
        for _ in range(4):
            start = time.process_time()
            made = work()
            times.append(time.process_time() - start)
        spent[name] = min(times) / entries
        return made

    batch = timed("batch of systems", lambda: Batch.from_systems(systems, basis))
    whole = partition.becke_fractions_of_lanes
    partition.becke_fractions_of_lanes = lambda numbers, positions, points, owners: [
        np.ones(o.size) for o in owners
    ]
    try:
        with executing(Execution("cpu", True)):
            grids = timed(
                "points", lambda: batch_grids(batch.atomic_numbers, batch.positions, GridSpec.from_config(0))
            )
    finally:
        partition.becke_fractions_of_lanes = whole
    timed("points in blocks",
          lambda: PortableQuadrature(batch, grids, B3LYP(), policies.FLOAT32, entries, 2**40))  # fmt: skip
    timed("first density", lambda: guess.density(batch))
    overlap = np.broadcast_to(np.eye(batch.nao) + 0.01, (entries, batch.nao, batch.nao)).copy()
    timed("orthogonaliser", lambda: [orthogonaliser(s, np.dtype("float64"), 1e-8) for s in overlap])
    return spent


def main() -> int:
    """Print the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--molecules", nargs="+", default=["FC=C1C2CN2N=C1C=O", "CCCCCCCCC"])
    parser.add_argument("--policies", nargs="+", default=["float32", "mixed", "float64"])
    arguments = parser.parse_args()
    reference = json.loads(REFERENCE.read_text())
    basis = basis_set(reference)
    print(HEAD.format(jax=jax.__version__, arithmetic=100 * ARITHMETIC, memory=100 * MEMORY, unit=100 * UNIT,
                      launch=1e6 * LAUNCH, round=1e6 * ROUND, iterations=ITERATIONS, squarings=SQUARINGS, tile=TILE,
                      lanes=LANES,  eigh=1e6 * EIGH))  # fmt: skip
    with jax.enable_x64(True):
        for smiles in arguments.molecules:
            molecule = reference["molecules"][smiles]
            batch = Batch.from_systems(systems_of(molecule, np.array([molecule["positions_bohr"]])), basis)
            plan = row_plan(batch.layout, TILE)
            host = host_seconds(molecule, basis, StoredGuess(reference))
            print(
                f"\n## `{smiles}`, {batch.nao} functions, {plan.stored_rows():,} rows of {plan.n**2:,} integrals\n"
            )
            lines = {dtype: table_lines(molecule, basis, dtype) for dtype in ("float32", "float64")}
            read = ", ".join(f"{n:.1f} ({dtype})" for dtype, n in lines.items())
            print(f"Lines of the Boys table that a warp reads: {read}.\n")
            print("Host, milliseconds of one core a label: "
                  + ", ".join(f"{name} {1e3 * t:.2f}" for name, t in host.items()) + ".\n")  # fmt: skip
            for policy in arguments.policies:
                report(stages(batch, getattr(policies, policy.upper()), lines), policy, sum(host.values()))
                sys.stdout.flush()
    print(KERNELS)
    for name, (found, registers, spilled, seconds) in LOOPS.items():
        counted = " | ".join(
            f"{loop.arithmetic} + {loop.special} + {loop.loads} of {loop.all}" for loop in found[1:]
        )
        x, y, dtype = name.split()
        print(f"| ({x}\\|{y}) | {dtype} | {counted} | {registers} | {spilled} | {seconds:.1f} |")
    print(COMPILE)
    for name, spent in sorted(SECONDS.items(), key=lambda item: -sum(item[1])):
        print(f"| {name} | {len(spent)} | {sum(spent):.1f} | {max(spent):.1f} |")
    return 0


def report(found: dict[str, Stage], policy: str, host: float) -> None:
    """Print the tables of one molecule and policy."""
    print(f"`{policy}`, a label:\n")
    print(
        "| stage | ms of arithmetic | MB | launches of a batch | bound on H200, 256 lanes | ms on H100 | ms on H200 |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, stage in found.items():
        on = {card: stage.seconds(rates, 256) for card, rates in CARDS.items()}
        times = " | ".join(f"{1e3 * t:.3f}" for t, _ in on.values())
        print(f"| {name} | {1e3 * stage.arithmetic:.3f} | {stage.bytes / 1e6:.1f} | {stage.launches:,.0f} | "
              f"{on['H200'][1]} | {times} |")  # fmt: skip
    print(
        "\n| labels a second | " + " | ".join(f"{card}, {n} lanes" for card in CARDS for n in BATCHES) + " |"
    )
    print("|---|" + "---|" * (len(CARDS) * len(BATCHES)))
    for name, more in (("the card alone", 0.0), ("one host core before it, as built", host)):
        rates = [
            f"{1.0 / (more + sum(stage.seconds(card, lanes)[0] for stage in found.values())):,.0f}"
            for card in CARDS.values()
            for lanes in BATCHES
        ]
        print(f"| {name} | " + " | ".join(rates) + " |")
    print()


HEAD = """# Predicted: labels on an H100 and an H200

Made by `benchmarks/gpu_prediction.py`, with jax {jax}, before any run on a device. **There has been none: every time
and rate here is a prediction.** Kernels, and the bytes that they read and write, are those that XLA compiles for an
H200 ({lanes} lanes, tiles of {tile} pairs). B3LYP/STO-3G, grid level 0, {iterations} iterations, {squarings}
squarings in each purification.

Taken as reachable: {memory:.0f} % of the published bandwidth, {arithmetic:.0f} % of the published arithmetic without
matrix units, and in the kernels of integrals, whose instructions are counted in their code, {unit:.0f} % of what the
busiest unit of a multiprocessor can do. A look-up in the Boys table takes a clock for each line of 128 bytes that a
warp's 32 conformers read, counted on displaced geometries. Assumed: {launch:.0f} microseconds for a kernel to start,
{round:.0f} for a loop whose end is found on the way to go round once. Times on a card are the larger of arithmetic and
memory, plus launches and library calls shared by the lanes. Diagonalisation: {eigh:.0f} microseconds for a matrix of
order 64 in a batch, twice what is reported for float32 (jax issue 31368, whose author names no card); once a label, for
orbital energies. `mixed` is taken in its first phase; its last iterations are `float64`.

The host's part is timed on one core of the machine that made this page, which has no GPU. As built nothing overlaps:
the host prepares a batch, then the card works. Not in it: copying points to the card, and results into rows of a
dataset."""

KERNELS = """
## The kernels of integrals

Floating-point, special-function and memory instructions, and all, of one round of the loop over the bra's primitives
and over the ket's; registers of a thread and bytes that it spills, as NVIDIA's assembler says. In float64 the code of
(ps|ss) and (ps|ps) interleaves the two loops, and their instructions are not rightly told apart here: by comparison
with float32, the ket's rounds of these two are counted about 30 and 12 % too low.

| integrals | dtype | bra | ket | registers | spilled | seconds to compile |
|---|---|---|---|---|---|---|"""

COMPILE = """
## Compiling

Seconds of processor time for the programs above, for the card, on the machine that made this page, which was busy with
other work; without XLA's cache of compiled programs.

| program | compiled | seconds in all | longest |
|---|---|---|---|"""


if __name__ == "__main__":
    sys.exit(main())
