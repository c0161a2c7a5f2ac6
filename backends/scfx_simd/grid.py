"""`SimdGridOperator`: density and potential contractions on the grid, on tiles of neighbouring points."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Float64, Int, Int32

from scfx.contracts.derivatives import AbstractGridGradientOperator
from scfx.errors import CapabilityError, InputError
from scfx.execution.native import load
from scfx.grid.partition import size_shifts
from scfx.model.basis import cart_to_sph
from scfx_simd.kernels import address, check

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scfx.abstract import Family
    from scfx.config.precision import PrecisionPolicy
    from scfx.grid import Grid
    from scfx.model.batch import Batch

#: Points of a block, whole tiles: enough to make a dispatch cheap. Fixed, so that no number depends on the batch.
POINTS_PER_BLOCK = 2048
#: A shell is dropped from a tile of 256 points where its values (and gradients, above "lda") are all below this, in
#: bohr^(-3/2): by dtype of the AO values. What is lost stays below the rounding of what is kept.
AO_THRESHOLD = {"float64": 1e-13, "float32": 1e-9}
_N_COMPONENTS = {"lda": 1, "gga": 4, "mgga": 5}


@lru_cache(maxsize=1)
def grid_kernels() -> ctypes.CDLL:
    """The grid kernels for this processor, with signatures declared."""
    lib = load("scfx_simd", "scfx_simd_grid")
    pointer, int32, int64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    message = (ctypes.c_char_p, ctypes.c_int)
    lib.scfx_quadrature_new.argtypes = (
        int32, pointer, int32, int32, int32, int32, pointer, int32, int32, ctypes.c_double, int64, pointer,
        *message,
    )  # fmt: skip
    lib.scfx_quadrature_add.argtypes = (pointer, pointer, pointer, pointer, int32, pointer, pointer, *message)
    lib.scfx_quadrature_weights.argtypes = (pointer, int32, int32, int32, pointer)
    lib.scfx_quadrature_weights.restype = None
    contraction = (pointer, int32, int32, int32, pointer, pointer, int32, int64, int64, pointer, *message)
    lib.scfx_quadrature_density.argtypes = contraction
    lib.scfx_quadrature_potential.argtypes = contraction
    lib.scfx_quadrature_order.argtypes = (pointer, int32, int32, int32, pointer)
    lib.scfx_quadrature_order.restype = None
    lib.scfx_quadrature_gradient.argtypes = (
        pointer, int32, int32, int32, pointer, pointer, int32, int64, int64, pointer, pointer, int32, pointer, pointer,
        *message,
    )  # fmt: skip
    lib.scfx_quadrature_weight_gradient.argtypes = (
        pointer, int32, pointer, pointer, pointer, pointer, pointer, *message,
    )  # fmt: skip
    for pairs in (lib.scfx_nonlocal_pair_sums, lib.scfx_nonlocal_pair_derivatives):
        pairs.argtypes = (int32, pointer, int32, pointer, *message)
    lib.scfx_quadrature_kept_bytes.argtypes = (pointer,)
    lib.scfx_quadrature_kept_bytes.restype = int64
    lib.scfx_quadrature_free.argtypes = (pointer,)
    lib.scfx_quadrature_free.restype = None
    return lib


class SimdGridOperator(AbstractGridGradientOperator):
    """Contractions on the grid of one batch. AO values are kept in `policy.orbitals` as far as the budget goes, and
    recomputed beyond it, to the same bits. Points are in the operator's own order, the same in every method.
    """

    def __init__(
        self,
        batch: Batch,
        points: Sequence[Float64[np.ndarray, "npoint 3"]],
        weights: Sequence[Float64[np.ndarray, "npoint"]],
        family: Family,
        policy: PrecisionPolicy,
        memory_budget: int,
    ):
        """Raises `InputError` where points and weights do not match the batch, `CapabilityError` above l = 6."""
        counts = [len(w) for w in weights]
        if len(points) != len(batch) or [len(p) for p in points] != counts or not all(counts):
            raise InputError(
                f"expected points and weights for each of {len(batch)} entries, as many and at least one; got "
                f"{[len(p) for p in points]} points and {counts} weights"
            )
        if family not in _N_COMPONENTS:
            raise InputError(f"family is {family!r}, expected one of {', '.join(_N_COMPONENTS)}")
        self._handle: int | None = None
        self._dtype = np.dtype(policy.orbitals)
        self._components = _N_COMPONENTS[family]
        self._nao = batch.nao
        self._natm = batch.natm
        self._entries = len(batch)
        self._counts = counts
        lib = grid_kernels()
        highest, limit = max(batch.layout.angular_momentum), lib.scfx_quadrature_max_angular_momentum()
        if highest > limit:
            raise CapabilityError(
                "scf.backend",
                f"backend 'simd' has AOs up to l = {limit} on the grid, the basis has l = {highest}; choose another "
                "backend, such as 'libcint'",
            )
        self.n_blocks = -(-max(counts) // POINTS_PER_BLOCK)
        handle = ctypes.c_void_p()
        shells, transforms = _tables(batch)
        check(
            lib.scfx_quadrature_new,
            len(shells), address(shells), batch.natm, batch.exponents.shape[1], batch.nao, highest,
            address(transforms), self._components, int(self._dtype == np.float32),
            AO_THRESHOLD[self._dtype.name], memory_budget, ctypes.byref(handle),
        )  # fmt: skip
        self._handle = handle.value
        try:
            for b in range(len(batch)):
                own = [
                    np.ascontiguousarray(a, dtype=np.float64)
                    for a in (
                        batch.positions[b],
                        batch.exponents[b],
                        batch.coefficients[b],
                        points[b],
                        weights[b],
                    )
                ]
                check(
                    lib.scfx_quadrature_add,
                    self._handle, *map(address, own[:3]), counts[b], *map(address, own[3:]),
                )  # fmt: skip
        except BaseException:
            self.close()
            raise

    def weights(self, block: int, lanes: Int32[np.ndarray, "active"]) -> Float64[np.ndarray, "active point"]:
        """Return the quadrature weights of a block in bohr³."""
        out = np.empty((len(lanes), POINTS_PER_BLOCK))
        for row, lane in zip(out, self._checked(lanes), strict=True):
            grid_kernels().scfx_quadrature_weights(
                self._handle, int(lane), block * POINTS_PER_BLOCK, POINTS_PER_BLOCK, address(row)
            )
        return out

    def order(self, block: int, lanes: Int32[np.ndarray, "active"]) -> Int32[np.ndarray, "active point"]:
        """Return the order in which the operator holds an entry's points."""
        out = np.empty((len(lanes), POINTS_PER_BLOCK), dtype=np.int32)
        for row, lane in zip(out, self._checked(lanes), strict=True):
            grid_kernels().scfx_quadrature_order(
                self._handle, int(lane), block * POINTS_PER_BLOCK, POINTS_PER_BLOCK, address(row)
            )
        return out

    def density(
        self, block: int, density: Float[Any, "active nspin n n"], lanes: Int32[np.ndarray, "active"]
    ) -> Float[np.ndarray, "active nspin component point"]:
        """Return density components on a block; matrices may be padded beyond nao, which is ignored."""
        lanes = self._checked(lanes)
        matrices = np.ascontiguousarray(density, dtype=np.float64)
        self._check_matrices(matrices, lanes)
        nspin, row = matrices.shape[1], matrices.shape[-1]
        out = np.empty((len(lanes), nspin, self._components, POINTS_PER_BLOCK), dtype=self._dtype)
        check(
            grid_kernels().scfx_quadrature_density,
            self._handle, block * POINTS_PER_BLOCK, POINTS_PER_BLOCK, len(lanes), address(lanes),
            address(matrices), nspin, row, row * row, address(out),
        )  # fmt: skip
        return out

    def potential(
        self,
        block: int,
        derivative: Float[Any, "active nspin component point"],
        lanes: Int32[np.ndarray, "active"],
    ) -> Float64[np.ndarray, "active nspin nao nao"]:
        """Return the contribution of a block to the potential matrix."""
        nspin = np.shape(derivative)[1]
        out = np.zeros((len(lanes), nspin, self._nao, self._nao))
        self.add_potential(block, derivative, lanes, out)
        return out

    def add_potential(
        self,
        block: int,
        derivative: Float[Any, "active nspin component point"],
        lanes: Int32[np.ndarray, "active"],
        out: Float64[np.ndarray, "active nspin n n"],
    ) -> None:
        """Add the potential of a block to a matrix. Sums over more points than 128 run in float64."""
        lanes = self._checked(lanes)
        self._check_matrices(out, lanes)
        values = self._checked_derivative(derivative, lanes, out.shape[1])
        nspin, row = out.shape[1], out.shape[-1]
        check(
            grid_kernels().scfx_quadrature_potential,
            self._handle, block * POINTS_PER_BLOCK, POINTS_PER_BLOCK, len(lanes), address(lanes), address(values),
            nspin, row, row * row, address(out),
        )  # fmt: skip

    def gradient(
        self,
        block: int,
        density: Float[Any, "active nspin n n"],
        derivative: Float[Any, "active nspin component point"],
        lanes: Int32[np.ndarray, "active"],
        owners: Int32[np.ndarray, "active point"],
    ) -> tuple[Float64[np.ndarray, "active natm 3"], Float64[np.ndarray, "active natm 3"]]:
        """Return the gradient's parts of a block. Products over functions run in the AO values' dtype, derivatives of
        AOs and all sums over points in float64; nothing is kept.
        """
        lanes = self._checked(lanes)
        matrices = np.ascontiguousarray(density, dtype=np.float64)
        self._check_matrices(matrices, lanes)
        nspin, row = matrices.shape[1], matrices.shape[-1]
        values = self._checked_derivative(derivative, lanes, nspin)
        atoms = np.ascontiguousarray(owners, dtype=np.int32)
        if atoms.shape != (len(lanes), POINTS_PER_BLOCK):
            raise InputError(f"owners have shape {atoms.shape}, expected {(len(lanes), POINTS_PER_BLOCK)}")
        if atoms.size and not 0 <= atoms.min() <= atoms.max() < self._natm:
            raise InputError(
                f"owners are {atoms.min()} to {atoms.max()}, expected atoms 0 to {self._natm - 1} (any where filled up)"
            )
        functions, points = np.zeros((2, len(lanes), self._natm, 3))
        check(
            grid_kernels().scfx_quadrature_gradient,
            self._handle, block * POINTS_PER_BLOCK, POINTS_PER_BLOCK, len(lanes), address(lanes),
            address(matrices), nspin, row, row * row, address(values), address(atoms), self._natm,
            address(functions), address(points),
        )  # fmt: skip
        return functions, points

    def weight_gradient(
        self,
        lane: int,
        atomic_numbers: Int[np.ndarray, "natm"],
        positions: Float64[np.ndarray, "natm 3"],
        grid: Grid,
        energy_density: Float64[np.ndarray, "npoint"],
    ) -> Float64[np.ndarray, "natm 3"]:
        """Return Σ_g f_g ∂w_g/∂R of an entry; `scfx.grid.weight_gradient` does it in JAX."""
        count = self._counts[int(self._checked(np.array([lane]))[0])]
        if not len(energy_density) == len(grid.owner) == len(grid.atomic_weights) == count:
            raise InputError(
                f"entry {lane} has {count} points here, got {len(energy_density)} values at them"
            )
        if positions.shape != (self._natm, 3) or np.shape(atomic_numbers) != (self._natm,):
            raise InputError(f"entry {lane} has {self._natm} atoms here, got positions {positions.shape}")
        out = np.zeros((self._natm, 3))
        given = (positions, size_shifts(atomic_numbers), grid.owner, energy_density * grid.atomic_weights)
        dtypes = (np.float64, np.float64, np.int32, np.float64)
        arrays = [np.ascontiguousarray(a, dtype=t) for a, t in zip(given, dtypes, strict=True)]
        check(
            grid_kernels().scfx_quadrature_weight_gradient,
            self._handle, int(lane), *map(address, arrays), address(out),
        )  # fmt: skip
        return out

    @property
    def kept_bytes(self) -> int:
        """Return the bytes of AO values that are kept."""
        self._checked(np.zeros(0, dtype=np.int32))
        return int(grid_kernels().scfx_quadrature_kept_bytes(self._handle))

    def held_bytes(self) -> int:
        """Return the bytes of AO values held."""
        return 0 if self._handle is None else self.kept_bytes

    def close(self) -> None:
        """Free points and AO values."""
        if self._handle is not None:
            grid_kernels().scfx_quadrature_free(self._handle)
        self._handle = None

    def _checked(self, lanes: np.ndarray) -> np.ndarray:
        if self._handle is None:
            raise InputError("the grid operator is closed")
        lanes = np.ascontiguousarray(lanes, dtype=np.int32)
        if lanes.size and not 0 <= lanes.min() <= lanes.max() < self._entries:
            raise InputError(f"lanes are {lanes.tolist()}, expected 0 to {self._entries - 1}")
        return lanes

    def _checked_derivative(self, derivative: Any, lanes: np.ndarray, nspin: int) -> np.ndarray:
        values = np.ascontiguousarray(derivative, dtype=np.float64)
        expected = (len(lanes), nspin, self._components, POINTS_PER_BLOCK)
        if values.shape != expected:
            raise InputError(f"derivative has shape {values.shape}, expected {expected}")
        return values

    def _check_matrices(self, matrices: np.ndarray, lanes: np.ndarray) -> None:
        shape = matrices.shape
        if len(shape) != 4 or shape[0] != len(lanes) or shape[2] != shape[3] or shape[3] < self._nao:
            raise InputError(
                f"matrices have shape {shape}, expected ({len(lanes)}, nspin, n, n) with n at least {self._nao}"
            )


def _tables(batch: Batch) -> tuple[Int32[np.ndarray, "nshell 7"], Float64[np.ndarray, "n"]]:
    """Shells as the kernels read them, and the transformations to spherical functions from d upwards."""
    layout = batch.layout
    spherical = [not c and l > 1 for l, c in zip(layout.angular_momentum, layout.cartesian, strict=True)]
    columns = [
        layout.atom, layout.angular_momentum, layout.n_primitives, layout.primitive_offset[:-1],
        layout.ao_offset[:-1], layout.n_functions, spherical,
    ]  # fmt: skip
    shells = np.ascontiguousarray(np.stack(columns, axis=1), dtype=np.int32)
    transforms = [cart_to_sph(l).ravel() for l in range(2, max(layout.angular_momentum) + 1)]
    return shells, np.concatenate([*transforms, np.zeros(1)])
