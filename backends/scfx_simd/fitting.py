"""Two- and three-index integrals of one entry, whose SIMD lanes are auxiliary shells of one angular momentum."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64

from scfx.contracts.fitting import AbstractFittingRows, RowBlock
from scfx.energy.two_electron.fitted import unpacked
from scfx.errors import CapabilityError, InputError
from scfx.execution.native import load
from scfx.model.basis import cart_to_sph
from scfx.model.batch import Batch
from scfx_simd.kernels import MAX_ANGULAR_MOMENTUM, address, check

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scfx.contracts.derivatives import Operator
    from scfx.model.basis import BasisSet

#: A block of rows ends with the shell that brings it to this many functions.
ROWS_PER_BLOCK = 32


class _CShells(ctypes.Structure):
    """Mirrors `ScfxShells` of `src/fitting_api.cpp`."""

    _fields_ = (
        *((name, ctypes.c_int32) for name in ("natm", "nshell", "nprim", "count")),
        *((name, ctypes.c_void_p) for name in ("shells", "position", "exponent", "coefficient")),
    )


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """Return the kernels for this processor, with signatures declared; `PluginUnavailableError` if they are
    not built.
    """
    lib = load("scfx_simd", "scfx_simd_fitting")
    pointer, int32 = ctypes.c_void_p, ctypes.c_int32
    message = (ctypes.c_char_p, ctypes.c_int)
    lib.scfx_fitting_new.argtypes = (pointer, pointer, pointer, ctypes.c_double, pointer, *message)
    lib.scfx_fitting_free.argtypes = (pointer,)
    lib.scfx_fitting_free.restype = None
    lib.scfx_fitting_order.argtypes = (pointer, pointer)
    lib.scfx_fitting_order.restype = None
    lib.scfx_fitting_significant.argtypes = (pointer, pointer, *message)
    lib.scfx_fitting_rows.argtypes = (pointer, int32, int32, pointer, int32, pointer, *message)
    lib.scfx_fitting_metric.argtypes = (pointer, pointer, *message)
    lib.scfx_fitting_rows_gradient.argtypes = (
        pointer, int32, int32, pointer, int32, pointer, pointer, pointer, *message,
    )  # fmt: skip
    lib.scfx_fitting_metric_gradient.argtypes = (pointer, pointer, pointer, pointer, *message)
    return lib


@lru_cache(maxsize=1)
def _spherical() -> Float64[np.ndarray, "n"]:
    """The matrices of `cart_to_sph`, with libcint's angular factors of s and p, one after another."""
    factor = {0: np.sqrt(1 / (4 * np.pi)), 1: np.sqrt(3 / (4 * np.pi))}
    highest = library().scfx_fitting_max_angular_momentum()
    return np.concatenate([(cart_to_sph(l) * factor.get(l, 1.0)).ravel() for l in range(highest + 1)])


class _Shells:
    """A range of shells of one entry as the kernels read them. Keeps the arrays alive."""

    def __init__(self, batch: Batch, entry: int, shells: tuple[int, int]):
        layout, (start, stop) = batch.layout, shells
        first_primitive, first_function = layout.primitive_offset[start], layout.ao_offset[start]
        primitives = slice(first_primitive, layout.primitive_offset[stop])
        l = np.array(layout.angular_momentum)
        table = np.stack([
            layout.atom, l, layout.n_primitives, layout.primitive_offset[:-1] - first_primitive,
            layout.ao_offset[:-1] - first_function, layout.n_functions, np.array(layout.cartesian) & (l > 1),
        ], axis=1)  # fmt: skip
        self.count = int(layout.ao_offset[stop] - first_function)
        self.first = int(first_function)
        self._arrays = (
            np.ascontiguousarray(table[start:stop], dtype=np.int32),
            np.ascontiguousarray(batch.positions[entry]),
            np.ascontiguousarray(batch.exponents[entry, primitives]),
            np.ascontiguousarray(batch.coefficients[entry, primitives]),
        )
        self.struct = _CShells(
            batch.natm, stop - start, self._arrays[2].size, self.count, *map(address, self._arrays)
        )


class SimdFittingRows(AbstractFittingRows):
    """Rows of the three-index integrals of one entry. `shells`: of the auxiliary basis; None: all."""

    def __init__(
        self,
        batch: Batch,
        entry: int,
        auxiliary: BasisSet,
        operator: Operator,
        omega: float,
        shells: tuple[int, int] | None = None,
    ):
        self._handles: list[tuple[float, int]] = []
        fitting = Batch.from_systems([batch.systems[entry]], auxiliary)
        _check_shells(batch, fitting)
        orbital = _Shells(batch, entry, (0, batch.layout.n_shells))
        own = _Shells(fitting, 0, (0, fitting.layout.n_shells) if shells is None else shells)
        self.n_auxiliary = own.count
        self._layout, self._natm = batch.layout, batch.natm
        # The atom of the orbital batch on which each atom of the auxiliary batch stands.
        of_system = np.argsort(batch.atom_order[entry])
        self._auxiliary_atom = np.ascontiguousarray(of_system[fitting.atom_order[0]], dtype=np.int32)
        for factor, inverse_omega_squared in _operators(operator, omega):
            handle = ctypes.c_void_p()
            check(
                library().scfx_fitting_new, ctypes.byref(orbital.struct), ctypes.byref(own.struct),
                address(_spherical()), inverse_omega_squared, ctypes.byref(handle),
            )  # fmt: skip
            assert handle.value is not None
            self._handles.append((factor, handle.value))
        self._shell_blocks = self._blocks()
        self.blocks = tuple(self._row_block(*each) for each in self._shell_blocks)

    def _blocks(self) -> list[tuple[int, int, np.ndarray]]:
        """Ranges of shells, and the shells with which any of them has a product worth computing."""
        n, offset = self._layout.n_shells, self._layout.ao_offset
        kept = np.empty((n, n), dtype=np.uint8)
        check(library().scfx_fitting_significant, self._handles[0][1], address(kept))
        out, start = [], 0
        while start < n:
            stop = start + 1
            while stop < n and offset[stop] - offset[start] < ROWS_PER_BLOCK:
                stop += 1
            columns = np.asarray(kept[start:stop, :stop].any(axis=0))
            columns[start:] = True
            out.append((start, stop, np.flatnonzero(columns).astype(np.int32)))
            start = stop
        return out

    def _row_block(self, start: int, stop: int, columns: np.ndarray) -> RowBlock:
        offset = self._layout.ao_offset
        functions = [np.arange(int(offset[s]), int(offset[s + 1]), dtype=np.int64) for s in columns]
        return RowBlock(int(offset[start]), int(offset[stop]), np.concatenate(functions))

    def order(self) -> Int64[np.ndarray, "naux"]:
        """Return where each function stands in the auxiliary basis set's own order, or in the chosen part of it."""
        out = np.empty(self.n_auxiliary, dtype=np.int32)
        library().scfx_fitting_order(self._handles[0][1], address(out))
        return out.astype(np.int64)

    def rows(self, block: int) -> Float64[np.ndarray, "column row naux"]:
        """Return (P|ij) of one block of rows."""
        start, stop, columns = self._shell_blocks[block]
        at = self.blocks[block]

        def one(handle: int) -> np.ndarray:
            out = np.empty((at.columns.size, at.stop - at.start, self.n_auxiliary))
            check(
                library().scfx_fitting_rows, handle, start, stop, address(columns), columns.size, address(out)
            )
            return out

        return self._sum(one)

    def metric(self) -> Float64[np.ndarray, "naux naux"]:
        """Return the metric (P|Q)."""

        def one(handle: int) -> np.ndarray:
            out = np.empty((self.n_auxiliary, self.n_auxiliary))
            check(library().scfx_fitting_metric, handle, address(out))
            return out

        return self._sum(one)

    def _sum(self, one: Any) -> np.ndarray:
        if not self._handles:
            raise InputError("these integrals have been closed")
        total = None
        for factor, handle in self._handles:
            part = one(handle)
            if factor != 1.0:
                part *= factor
            total = part if total is None else np.add(total, part, out=total)
        assert total is not None
        return total

    def packed(self) -> Float64[np.ndarray, "naux npair"]:
        """Return (P|ij) for pairs j <= i in the orders of `AbstractFittingBackend.three_index`."""
        nao = self._layout.nao
        out = np.zeros((self.n_auxiliary, nao * (nao + 1) // 2))
        order = self.order()
        for k, block in enumerate(self.blocks):
            found = self.rows(k)
            for row, i in enumerate(range(block.start, block.stop)):
                columns = block.columns[: np.searchsorted(block.columns, i, side="right")]
                out[np.ix_(order, i * (i + 1) // 2 + columns)] = found[: columns.size, row].T
        return out

    def gradient(self, density: Float64[np.ndarray, "naux npair"]) -> Float64[np.ndarray, "natm 3"]:
        """Return Σ Γ_P,ij ∂(P|ij)/∂R, hartree/bohr."""
        full = unpacked(density[self.order()])
        out = np.zeros((self._natm, 3))
        for (start, stop, columns), block in zip(self._shell_blocks, self.blocks, strict=True):
            part = full[:, block.columns][:, :, block.start : block.stop]
            part = np.ascontiguousarray(part.transpose(1, 2, 0))
            for factor, handle in self._handles:
                own = np.zeros_like(out)
                check(
                    library().scfx_fitting_rows_gradient, handle, start, stop, address(columns), columns.size,
                    address(part), address(self._auxiliary_atom), address(own),
                )  # fmt: skip
                out += factor * own
        return out

    def metric_gradient(self, density: Float64[np.ndarray, "naux naux"]) -> Float64[np.ndarray, "natm 3"]:
        """Return Σ Γ_PQ ∂(P|Q)/∂R, hartree/bohr."""
        order = self.order()
        own = np.ascontiguousarray(density[np.ix_(order, order)])
        out = np.zeros((self._natm, 3))
        for factor, handle in self._handles:
            part = np.zeros_like(out)
            check(
                library().scfx_fitting_metric_gradient, handle, address(own), address(self._auxiliary_atom),
                address(part),
            )  # fmt: skip
            out += factor * part
        return out

    def __enter__(self) -> SimdFittingRows:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the tables of the entry."""
        for _, handle in self._handles:
            library().scfx_fitting_free(handle)
        self._handles = []

    def __del__(self) -> None:
        self.close()


def _operators(operator: Operator, omega: float) -> Iterator[tuple[float, float]]:
    """(factor, 1/omega²) of the kernels' operators that add up to one; 0 stands for 1/r."""
    if operator == "coulomb":
        if omega != 0.0:
            raise InputError(f"omega: got {omega!r} for the Coulomb operator, which has none")
        yield 1.0, 0.0
        return
    if operator not in ("erf", "erfc"):
        raise InputError(f"operator: got {operator!r}, expected 'coulomb', 'erf' or 'erfc'")
    if not omega > 0.0:
        raise InputError(f"omega: got {omega!r}, expected a positive range-separation parameter in bohr^-1")
    if operator == "erfc":
        yield 1.0, 0.0
    yield (1.0 if operator == "erf" else -1.0), omega**-2


def _check_shells(batch: Batch, fitting: Batch) -> None:
    highest = library().scfx_fitting_max_angular_momentum()
    letters = "spdfghiklmn"
    for layout, most, key, what in (
        (batch.layout, MAX_ANGULAR_MOMENTUM, "scf.backend", "basis"),
        (fitting.layout, highest, "scf.density_fitting", "auxiliary basis"),
    ):
        l = max(layout.angular_momentum, default=0)
        if l > most:
            name = batch.basis.name if what == "basis" else fitting.basis.name
            raise CapabilityError(
                key,
                f"backend 'simd' has shells of the {what} up to {letters[most]}, {name!r} has l = {l}; "
                "use backend = 'libcint'",
            )
    own = fitting.layout
    if any(c and l > 1 for c, l in zip(own.cartesian, own.angular_momentum, strict=True)):
        raise CapabilityError(
            "scf.density_fitting",
            f"backend 'simd' has spherical auxiliary functions only, {fitting.basis.name!r} has Cartesian ones; "
            "use backend = 'libcint'",
        )
