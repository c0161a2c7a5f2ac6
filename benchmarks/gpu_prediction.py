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
from pathlib import Path
from typing import TYPE_CHECKING

import jax
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from gpu import REFERENCE, StoredGuess, basis_set, systems_of
from gpu_compiler import SECONDS
from gpu_host import host_seconds
from gpu_integrals import KERNELS, table_lines
from gpu_rates import (
    ARITHMETIC,
    CARDS,
    EIGH,
    ITERATIONS,
    LANES,
    LAUNCH,
    MEMORY,
    ROUND,
    SQUARINGS,
    TILE,
    UNIT,
)
from gpu_stages import stages
from scfx_jax.two_electron import row_plan
from scfx_precision import policies

from scfx.model.batch import Batch

if TYPE_CHECKING:
    from gpu_rates import Stage

#: Lanes of the batches whose rates are printed.
BATCHES = (64, 256, 1024)


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
    print(CODE)
    for kernel in KERNELS:
        counted = " | ".join(
            f"{loop.arithmetic} + {loop.special} + {loop.loads} of {loop.all}" for loop in kernel.loops[1:]
        )
        classes = kernel.classes.replace("|", "\\|")
        print(f"| {classes} | {kernel.dtype} | {counted} | {kernel.registers} | {kernel.spilled} "
              f"| {kernel.seconds:.1f} |")  # fmt: skip
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

CODE = """
## The kernels of integrals

Floating-point, special-function and memory instructions, and all, of one round of the loop over the bra's primitives
and over the ket's; registers of a thread and bytes that it spills, as NVIDIA's assembler says. What runs only for
some arguments is counted as if it always ran. A division or square root counts as one instruction, and is several.

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
