"""What a label costs, from its size alone: it cuts shards and extrapolates a timed sample.

The model is a sum of the stages of one label, each with its known growth, and one constant measured once. It enters
no label. Shards are cut by it, so it must give the same numbers on every machine: nothing here is timed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from scfx.errors import BasisError

if TYPE_CHECKING:
    from collections.abc import Iterable

# Seconds of the stages of a float32 B3LYP/STO-3G label of FC=C1C2CN2N=C1C=O on one core (docs/measurements/speed.md):
# 55 AOs, 13,912 points, 13 iterations. Each is scaled by the growth of its arithmetic.
_AOS, _POINTS = 55.0, 13_912.0
_QUADRATURE = 0.038  # points x nao²
_INTEGRALS = 0.0165  # integrals with J and K: nao⁴
_LINEAR_ALGEBRA = 0.005  # nao³
_PER_POINT = 0.006  # grid, AO values: points x nao
_FIXED = 0.0015

#: Whether a label is dearer than the model's float32: measured ratios of docs/measurements/speed.md, grid level 0.
_POLICY = {"float32": 1.0, "mixed": 1.3, "float64": 2.0}


@dataclass(frozen=True)
class CostModel:
    """`functions(z)`: atomic orbitals of an element, None if the basis lacks it; `points(z)`: its grid points.

    `factor` multiplies the reference seconds (precision policy, a functional without a grid...).
    """

    functions: Callable[[int], int | None]
    points: Callable[[int], int]
    factor: float = 1.0

    @classmethod
    def from_spec(cls, resolved: Any) -> CostModel:
        """Return the model of a `scfx.config.resolved.ResolvedSpec`."""
        from scfx.grid.molecular import point_count

        @cache
        def functions(z: int) -> int | None:
            try:
                return sum(shell.nfunc for shell in resolved.basis.shells(z)) or None
            except BasisError:
                return None

        @cache
        def points(z: int) -> int:
            return 0 if resolved.functional.family == "none" else point_count([z], resolved.grid)

        return cls(functions, points, _POLICY.get(resolved.precision.name, 2.0))

    def nao(self, numbers: Iterable[tuple[int, int]]) -> int | None:
        """Return the atomic orbitals of a molecule given as (atomic number, count) pairs; None if the basis lacks an
        element.
        """
        total = 0
        for z, count in numbers:
            functions = self.functions(z)
            if functions is None:
                return None
            total += count * functions
        return total

    def seconds(self, numbers: Iterable[tuple[int, int]]) -> float:
        """Return the model seconds of one label on one core of the reference machine; molecules the basis lacks cost
        nothing.
        """
        numbers = tuple(numbers)
        nao = self.nao(numbers)
        if nao is None:
            return _FIXED
        aos = nao / _AOS
        points = sum(count * self.points(z) for z, count in numbers) / _POINTS
        work = _QUADRATURE * points * aos**2 + _INTEGRALS * aos**4 + _LINEAR_ALGEBRA * aos**3
        return self.factor * (work + _PER_POINT * points * aos + _FIXED)
