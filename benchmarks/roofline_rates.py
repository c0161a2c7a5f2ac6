"""The rates that a core reaches, and rows of roofline.py: a stage's arithmetic and bytes beside its time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from roofline_counts import Operations


@dataclass(frozen=True)
class Rates:
    """Operations a second by dtype, and bytes a second."""

    float32: float
    float64: float
    bandwidth: float


@dataclass(frozen=True)
class Stage:
    """One row, for one conformer and one call. Seconds as taken."""

    name: str
    variant: str
    often: str
    operations: Operations
    n_bytes: float
    seconds: float

    def implied(self, rates: Rates) -> float:
        """Seconds at the measured rates."""
        arithmetic = self.operations.float32 / rates.float32 + self.operations.float64 / rates.float64
        return max(arithmetic, self.n_bytes / rates.bandwidth)

    def row(self, rates: Rates) -> str:
        """As a table row; milliseconds."""
        arithmetic = self.operations.float32 / rates.float32 + self.operations.float64 / rates.float64
        memory = self.n_bytes / rates.bandwidth
        implied = self.implied(rates)
        return (
            f"| {self.name} | {self.variant} | {self.often} | {self.operations.float32 / 1e6:.2f} "
            f"| {self.operations.float64 / 1e6:.2f} | {self.n_bytes / 1e6:.3f} | {1e3 * arithmetic:.3f} "
            f"| {1e3 * memory:.3f} | {1e3 * self.seconds:.3f} | {100 * implied / self.seconds:.0f}% |"
        )


def median_seconds(call: Callable[[], object], repeats: int) -> float:
    """Median over `repeats` calls, after one that warms up."""
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return float(np.median(taken[1:]))


def measure_rates(repeats: int) -> Rates:
    """The rates of this core; the best of the repeats, which is what a ceiling means."""
    rates = []
    n = 1024
    for dtype in (np.float32, np.float64):
        a = np.random.default_rng(0).random((n, n)).astype(dtype)
        out = np.empty_like(a)
        best = min(median_seconds(lambda a=a, out=out: np.matmul(a, a, out=out), 1) for _ in range(repeats))
        rates.append(2 * n**3 / best)
    source = np.ones(2**25)
    target = np.zeros_like(source)
    best = min(median_seconds(lambda: np.copyto(target, source), 1) for _ in range(repeats))
    return Rates(rates[0], rates[1], 2 * source.nbytes / best)
