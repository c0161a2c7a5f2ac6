"""How fast a card is taken to be, and what a stage of a label then takes of it: for `gpu_prediction`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gpu_compiler import Compiled

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
#: Lanes, and pairs of a tile, for which programs are compiled.
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

    def add(self, program: Compiled, times: float = 1.0) -> None:
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
