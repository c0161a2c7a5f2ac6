"""`SimdBackend`: the backend whose SIMD lanes are conformers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int32

from scfx.abstract import AbstractAttenuatedBackend, AbstractGridBackend, OneElectron
from scfx.contracts.derivatives import AbstractGradientBackend
from scfx.contracts.fitting import AbstractFittingRowsBackend
from scfx.contracts.grid import AbstractNonlocalBackend
from scfx.errors import ConfigError, InputError
from scfx.execution.native import loaded_variant
from scfx_simd import gradient, nonlocal_pairs
from scfx_simd.fitting import SimdFittingRows
from scfx_simd.grid import SimdGridOperator
from scfx_simd.kernels import MAX_ANGULAR_MOMENTUM, address, check, lane_counts, library, pack
from scfx_simd.two_electron import (
    ROUNDED_FROM,
    ROUNDED_FROM_D,
    STORED_IN_FLOAT64_FROM,
    SimdTwoElectron,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.abstract import Family
    from scfx.config.precision import PrecisionPolicy
    from scfx.contracts.derivatives import Operator, TwoElectronEnergy
    from scfx.model.basis import BasisSet
    from scfx.model.batch import Batch

#: Bytes of an unscreened integral where those above a Schwarz bound are float64: measured 6.3 for C7H5FN2O in 6-31G*
#: under `mixed`, since a block with lanes on both sides of the bound is stored twice.
_MIXED_BYTES = 7


class SimdBackend(
    AbstractAttenuatedBackend,
    AbstractGridBackend,
    AbstractNonlocalBackend,
    AbstractGradientBackend,
    AbstractFittingRowsBackend,
):
    """McMurchie-Davidson integrals with one conformer, or one shell pair of a conformer alone, to each SIMD lane.

    Where entries fill vectors, a lane is an entry. Up to half a vector of entries that are left over, or a single one,
    compute one by one with the kets of a bra as lanes, and hold their own integrals only. An entry's bits are the same
    either way.

    Options: `threads` (over groups of conformers, and over VV10's pairs of points; no number depends on it),
    `screening` and `screening_float32` (hartree): shell quartets whose Schwarz bound is below are dropped, conformer by
    conformer. Times the elements of a small density the bound is compared with `screening`, or, under policies with a
    convergence floor, with the threshold of the policy's integrals.
    """

    name = "simd"
    max_angular_momentum = MAX_ANGULAR_MOMENTUM
    borrows = ("one_electron", "two_electron")

    def __init__(self, threads: int = 1, screening: float = 1e-13, screening_float32: float = 1e-10):
        if threads < 1:
            raise ConfigError("backend.threads", f"threads is {threads}, expected 1 or more")
        for key, value in (("screening", screening), ("screening_float32", screening_float32)):
            if not 0 < value < 1e-5:
                raise ConfigError(f"backend.{key}", f"{value} hartree, expected above 0 and below 1e-5")
        self._threads = int(threads)
        self._thresholds = (float(screening), float(screening_float32))
        library()

    def definition(self) -> dict[str, Any]:
        """Return what of the options enters the spec hash; no number depends on `threads`."""
        # `float64_from`: what of float32 integrals is computed, and stored, in float64.
        return {
            "name": self.name,
            "screening": list(self._thresholds),
            "float64_from": [ROUNDED_FROM, ROUNDED_FROM_D, STORED_IN_FLOAT64_FROM],
        }

    def kernels(self) -> str:
        """Return the instruction set that the loaded library was compiled for."""
        return loaded_variant("scfx_simd", "scfx_simd") or ""

    def one_electron(self, batch: Batch) -> OneElectron:
        """Return overlap, kinetic, nuclear attraction and dipole matrices of the batch."""
        n, nao = len(batch), batch.nao
        square = (n, nao, nao)
        out = OneElectron(np.empty(square), np.empty(square), np.empty(square), np.empty((n, 3, nao, nao)))
        for packed in pack(batch):
            whole = len(packed.entries) == n
            shapes = [(len(packed.entries), *matrix.shape[1:]) for matrix in out]
            part = out if whole else OneElectron._make(np.empty(shape) for shape in shapes)
            check(library().scfx_simd_one_electron, packed.pointer, *map(address, part))
            if not whole:
                for to, source in zip(out, part, strict=True):
                    to[packed.entries] = source
        return out

    def two_electron(self, batch: Batch, policy: PrecisionPolicy, memory_budget: int) -> SimdTwoElectron:
        """Return an operator with integrals within `memory_budget` bytes; what exceeds it is recomputed in every call,
        to the same bits.

        Either way blocks that small densities (the driver's differences) make negligible are left out.
        """
        return SimdTwoElectron(batch, policy, memory_budget, self._thresholds, self._threads)

    def attenuated_two_electron(
        self, batch: Batch, omega: float, policy: PrecisionPolicy, memory_budget: int
    ) -> SimdTwoElectron:
        """Return an operator of erf(omega r12)/r12; `omega` in bohr⁻¹."""
        if not omega > 0:
            raise InputError(f"omega is {omega} bohr⁻¹, expected above 0")
        return SimdTwoElectron(batch, policy, memory_budget, self._thresholds, self._threads, float(omega))

    def one_electron_gradient(
        self,
        batch: Batch,
        lanes: Int32[np.ndarray, "active"],
        density: Float64[np.ndarray, "active nao nao"],
        energy_weighted_density: Float64[np.ndarray, "active nao nao"],
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return Σ D ∂(T + V) - Σ W ∂S of the entries `lanes`, hartree/bohr."""
        return gradient.one_electron_gradient(batch, lanes, density, energy_weighted_density)

    def two_electron_gradient(
        self,
        batch: Batch,
        lanes: Int32[np.ndarray, "active"],
        density: Float64[np.ndarray, "active nspin nao nao"],
        energies: Sequence[TwoElectronEnergy],
        policy: PrecisionPolicy,
    ) -> Float64[np.ndarray, "active natm 3"]:
        """Return the derivative of the two-electron energies, hartree/bohr; the bits depend on the entry alone."""
        return gradient.two_electron_gradient(
            batch, lanes, density, energies, policy, self._thresholds, self._threads
        )

    def grid_operator(
        self,
        batch: Batch,
        points: Sequence[Float64[np.ndarray, "npoint 3"]],
        weights: Sequence[Float64[np.ndarray, "npoint"]],
        family: Family,
        policy: PrecisionPolicy,
        memory_budget: int,
    ) -> SimdGridOperator:
        """Return an operator on the given points; AO values beyond the budget are recomputed, to the same bits."""
        return SimdGridOperator(batch, points, weights, family, policy, memory_budget)

    def nonlocal_pair_sums(self, points: Float64[np.ndarray, "6 n"]) -> Float64[np.ndarray, "3 n"]:
        """Return VV10's sums over pairs of points; in float64 under every policy."""
        return nonlocal_pairs.pair_sums(points, self._threads)

    def nonlocal_pair_derivatives(self, points: Float64[np.ndarray, "6 n"]) -> Float64[np.ndarray, "4 n"]:
        """Return the derivatives of VV10's sums over pairs of points; in float64 under every policy."""
        return nonlocal_pairs.pair_derivatives(points, self._threads)

    def fitting_rows(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        operator: Operator = "coulomb",
        omega: float = 0.0,
    ) -> SimdFittingRows:
        """Return the rows of three-index integrals of one entry. In float64: the metric would magnify float32's
        rounding.
        """
        return SimdFittingRows(batch, entry, auxiliary, operator, omega)

    def three_index(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        operator: Operator = "coulomb",
        omega: float = 0.0,
        shells: tuple[int, int] | None = None,
    ) -> Float64[np.ndarray, "naux npair"]:
        """Return (P|ij) of one entry for pairs j <= i of AOs."""
        with SimdFittingRows(batch, entry, auxiliary, operator, omega, shells) as rows:
            return rows.packed()

    def two_index(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        operator: Operator = "coulomb",
        omega: float = 0.0,
    ) -> Float64[np.ndarray, "naux naux"]:
        """Return the metric (P|Q) of one entry."""
        with SimdFittingRows(batch, entry, auxiliary, operator, omega) as rows:
            metric, out, order = rows.metric(), np.empty((rows.n_auxiliary,) * 2), rows.order()
            out[np.ix_(order, order)] = metric
            return out

    def three_index_gradient(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        density: Float64[np.ndarray, "naux npair"],
        operator: Operator = "coulomb",
        omega: float = 0.0,
        shells: tuple[int, int] | None = None,
    ) -> Float64[np.ndarray, "natm 3"]:
        """Return Σ Γ_P,ij ∂(P|ij)/∂R of one entry."""
        with SimdFittingRows(batch, entry, auxiliary, operator, omega, shells) as rows:
            return rows.gradient(density)

    def two_index_gradient(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        density: Float64[np.ndarray, "naux naux"],
        operator: Operator = "coulomb",
        omega: float = 0.0,
    ) -> Float64[np.ndarray, "natm 3"]:
        """Return Σ Γ_PQ ∂(P|Q)/∂R of one entry."""
        with SimdFittingRows(batch, entry, auxiliary, operator, omega) as rows:
            return rows.metric_gradient(density)

    def max_batch(self, layout: Any, policy: PrecisionPolicy, memory_budget: int) -> int | None:
        """Return the entries whose unscreened integrals fit: whole groups of lanes, or as few as compute with lanes of
        their own.

        Never 0: beyond the budget integrals are recomputed.
        """
        # Blocks of shells are whole, those of a shell or pair with itself too.
        squares = [int(n) ** 2 for n in layout.n_functions]
        pairs = (layout.nao**2 + sum(squares)) / 2
        quartets = (pairs**2 + (sum(squares) ** 2 + sum(n * n for n in squares)) / 2) / 2
        mixed = policy.integrals == "float32" and policy.schwarz_float64 is not None
        width = 8 if policy.integrals == "float64" else _MIXED_BYTES if mixed else 4
        fits = int(memory_budget / (quartets * width * 1.1))
        double, single = lane_counts()
        group = double if policy.integrals == "float64" else single
        if fits >= group:
            return fits // group * group
        return double if fits >= double else max(1, min(fits, double // 2))
