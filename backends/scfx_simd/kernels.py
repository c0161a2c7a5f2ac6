"""Bindings (ctypes) of the compiled kernels; mirrors `src/api.cpp`."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int32

from scfx.errors import CapabilityError, InputError, ResourceError
from scfx.execution.native import load
from scfx.model.basis import cart_to_sph

if TYPE_CHECKING:
    from scfx.model.batch import Batch, ShellLayout

MAX_ANGULAR_MOMENTUM = 3
_MESSAGE_BYTES = 512


class _CBatch(ctypes.Structure):
    _fields_ = (
        ("n_entries", ctypes.c_int32),
        ("natm", ctypes.c_int32),
        ("nshell", ctypes.c_int32),
        *((name, ctypes.c_void_p) for name in (
            "shells", "merge_sp", "spherical_d", "spherical_f", "position", "exponent", "coefficient", "charge",
        )),
    )  # fmt: skip


class CEngineOptions(ctypes.Structure):
    """Options of the stored integrals; mirrors `ScfxEngineOptions`, whose fields `src/engine.h` explains."""

    _fields_ = tuple((name, ctypes.c_double) for name in (
        "single_from", "double_from", "negligible_from", "primitive_fraction", "inverse_omega_squared",
        "rounded_from", "rounded_from_d",
    ))  # fmt: skip


class CGradientOptions(ctypes.Structure):
    """Options of a two-electron gradient; mirrors `ScfxGradientOptions`, whose fields `src/gradient.h` explains."""

    _fields_ = tuple((name, ctypes.c_double) for name in (
        "single_from", "double_from", "primitive_fraction", "inverse_omega_squared", "coulomb", "exchange",
    ))  # fmt: skip


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """Return the kernels for this processor, with signatures declared; `PluginUnavailableError` if they are
    not built.
    """
    lib = load("scfx_simd", "scfx_simd")
    pointer, int32, int64 = ctypes.c_void_p, ctypes.c_int32, ctypes.c_int64
    message = (ctypes.c_char_p, ctypes.c_int)
    lib.scfx_simd_lanes.argtypes = (pointer, pointer)
    lib.scfx_simd_two_electron.argtypes = (
        pointer,
        ctypes.POINTER(CEngineOptions),
        int64,
        int32,
        pointer,
        *message,
    )
    lib.scfx_simd_coulomb_exchange.argtypes = (
        pointer,
        pointer,
        int32,
        pointer,
        int32,
        pointer,
        pointer,
        *message,
    )
    lib.scfx_simd_dense.argtypes = (pointer, int32, pointer, *message)
    lib.scfx_simd_statistics.argtypes = (pointer, pointer, pointer)
    lib.scfx_simd_screened.argtypes = (pointer, pointer, pointer)
    lib.scfx_simd_free.argtypes = (pointer,)
    lib.scfx_simd_free.restype = None
    lib.scfx_simd_one_electron.argtypes = (pointer, *(pointer,) * 4, *message)
    lib.scfx_simd_one_electron_gradient.argtypes = (pointer, *(pointer,) * 3, *message)
    lib.scfx_simd_two_electron_gradient.argtypes = (
        pointer,
        ctypes.POINTER(CGradientOptions),
        int32,
        pointer,
        int32,
        pointer,
        *message,
    )
    lib.scfx_simd_boys.argtypes = (int32, ctypes.c_double, int32)
    lib.scfx_simd_boys.restype = ctypes.c_double
    return lib


def check(call: Any, *arguments: Any) -> None:
    """Call a kernel and turn its message into `ResourceError`."""
    message = ctypes.create_string_buffer(_MESSAGE_BYTES)
    if call(*arguments, message, _MESSAGE_BYTES):
        raise ResourceError(
            f"scfx_simd: {message.value.decode(errors='replace')}; use a smaller batch or memory budget"
        )


def lane_counts() -> tuple[int, int]:
    """Return (float64, float32) lanes of a vector on this processor."""
    double, single = ctypes.c_int32(), ctypes.c_int32()
    library().scfx_simd_lanes(ctypes.byref(double), ctypes.byref(single))
    return double.value, single.value


def address(array: np.ndarray | None) -> int | None:
    """Return the pointer to a C-contiguous array's data; None for None."""
    if array is None:
        return None
    if not array.flags.c_contiguous:
        raise InputError(f"the kernels take C-contiguous arrays, got strides {array.strides}")
    return array.ctypes.data


def sp_partner(layout: ShellLayout, exponents: Float64[np.ndarray, "nprim"]) -> Int32[np.ndarray, "nshell"]:
    """Return for each s shell the p shell of the same atom with the same exponents, else -1: what one entry can share.

    Each p shell is given to one s shell, each s shell to one p shell, in order.
    """
    offset = layout.primitive_offset
    partner = np.full(layout.n_shells, -1, dtype=np.int32)
    taken: set[int] = set()
    for s in range(layout.n_shells):
        if layout.angular_momentum[s] != 0:
            continue
        for p in range(layout.n_shells):
            if (
                layout.angular_momentum[p] == 1
                and layout.atom[p] == layout.atom[s]
                and p not in taken
                and layout.n_primitives[p] == layout.n_primitives[s]
                and np.array_equal(exponents[offset[p] : offset[p + 1]], exponents[offset[s] : offset[s + 1]])
            ):
                partner[s] = p
                taken.add(p)
                break
    return partner


class PackedBatch:
    """Entries of a `Batch` that share one s-p pattern, as the kernels read them. Keeps the arrays alive."""

    def __init__(self, batch: Batch, entries: Int32[np.ndarray, "n"], partner: Int32[np.ndarray, "nshell"]):
        layout = batch.layout
        highest = max(layout.angular_momentum, default=0)
        if highest > MAX_ANGULAR_MOMENTUM:
            raise CapabilityError(
                "scf.backend",
                f"backend 'simd' has shells up to f (l = 3), the basis has l = {highest}; "
                "choose another backend, such as 'libcint'",
            )
        # As in the table of the grid kernels: where functions are combinations of Cartesian ones.
        spherical = [l > 1 and not c for l, c in zip(layout.angular_momentum, layout.cartesian, strict=True)]
        self.entries = entries
        self._arrays = {
            "shells": np.ascontiguousarray(
                np.stack([
                    layout.atom, layout.angular_momentum, layout.n_primitives, layout.primitive_offset[:-1],
                    layout.ao_offset[:-1], layout.n_functions, spherical,
                ], axis=1), dtype=np.int32,
            ),
            "merge_sp": np.ascontiguousarray(partner, dtype=np.int32),
            "spherical_d": np.ascontiguousarray(cart_to_sph(2)),
            "spherical_f": np.ascontiguousarray(cart_to_sph(3)),
            "position": np.ascontiguousarray(batch.positions[entries], dtype=np.float64),
            "exponent": np.ascontiguousarray(batch.exponents[entries], dtype=np.float64),
            "coefficient": np.ascontiguousarray(batch.coefficients[entries], dtype=np.float64),
            "charge": np.ascontiguousarray(batch.nuclear_charges[entries], dtype=np.float64),
        }  # fmt: skip
        self.struct = _CBatch(
            len(entries), batch.natm, layout.n_shells, **{k: address(v) for k, v in self._arrays.items()}
        )

    @property
    def pointer(self) -> Any:
        """Return the address of the batch's structure for the kernels."""
        return ctypes.byref(self.struct)


def pack(batch: Batch) -> list[PackedBatch]:
    """Split a batch by s-p pattern (a property of each row alone, so no label depends on its neighbours)."""
    groups: dict[bytes, tuple[np.ndarray, list[int]]] = {}
    known: dict[bytes, np.ndarray] = {}
    for b, exponents in enumerate(batch.exponents):
        key = exponents.tobytes()
        if key not in known:
            known[key] = sp_partner(batch.layout, exponents)
        partner = known[key]
        groups.setdefault(partner.tobytes(), (partner, []))[1].append(b)
    return [PackedBatch(batch, np.array(rows, dtype=np.int32), partner) for partner, rows in groups.values()]
