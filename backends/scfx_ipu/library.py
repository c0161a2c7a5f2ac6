"""Bindings (ctypes) of program/c_api.cpp and program/kernels.cpp. ctypes releases the GIL during a call."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64

from scfx.errors import ScfxError
from scfx.execution import native
from scfx_ipu.molecule import ShellStructure

_I32, _I64, _P = ctypes.c_int32, ctypes.c_int64, ctypes.c_void_p
_REASON_LENGTH = 4096
_KINDS = (
    "code", "molecule", "tasks", "integrals", "density", "sums", "reduction", "scratch", "vertices", "exchange",
)  # fmt: skip
#: The operations that the codelets' code is counted in.
OPERATIONS = ("add", "multiply", "divide", "root", "exponential", "other")


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """Return the compiled program, its functions declared."""
    found = native.load("scfx_ipu", "scfx_ipu")
    reason = [ctypes.c_char_p, _I64]
    signatures = {
        "scfx_ipu_plan": (_P, [_I32, _I32, _P, _P, _I32, _I32, _P, _P]),
        "scfx_ipu_plan_numbers": (None, [_P, _P]),
        "scfx_ipu_plan_cycles": (None, [_P, _P, _P, _P, _P]),
        "scfx_ipu_build": (_I32, [_P, _I32, _I32, _I32, ctypes.c_char_p, *reason]),
        "scfx_ipu_built_for_hardware": (_I32, []),
        "scfx_ipu_measured_bytes": (_I64, [_P]),
        "scfx_ipu_exchange_cycles": (_I64, [_P]),
        "scfx_ipu_profile": (None, [_P, *reason]),
        "scfx_ipu_set_molecule": (_I32, [_P, _P, _I64, *reason]),
        "scfx_ipu_coulomb_exchange": (_I32, [_P, _P, _I32, _P, _P, *reason]),
        "scfx_ipu_free": (None, [_P]),
        "scfx_ipu_integrals_of_pair": (None, [_I32, _I32, _P, _I32, _P, _I32, _I32, _P]),
        "scfx_ipu_count_operations": (None, [_P, _P, ctypes.c_float, _P]),
    }
    for name, (result, arguments) in signatures.items():
        getattr(found, name).restype = result
        getattr(found, name).argtypes = arguments
    return found


def codelets() -> Path:
    """Return the codelets' source file, which Poplar compiles when the graph is built."""
    return Path(__file__).parent / "codelets" / "rys.cpp"


def built_for_hardware() -> bool:
    """Return whether the program was compiled against Graphcore's SDK."""
    return bool(library().scfx_ipu_built_for_hardware())


@dataclass(frozen=True)
class Machine:
    """What is scheduled for. Defaults are a Mk2 IPU's (GC200): 1,472 tiles, 6 worker threads, 624 KiB a tile."""

    ipus: int = 1
    tiles: int = 1472
    workers: int = 6
    tile_bytes: int = 624 * 1024


@dataclass(frozen=True)
class Numbers:
    """Totals of a schedule; `bytes` by kind are those of the fullest tile."""

    tiles: int
    fullest: int
    rounds: int
    blocks: int
    packed: int
    quartets: int
    tasks: int
    integrals: int
    touched: int
    gathered: int
    tile_bytes: int
    needed: int
    bytes: dict[str, int]

    @property
    def fits(self) -> bool:
        """Return whether the schedule fits the tiles' memory."""
        return self.needed <= self.tile_bytes


@dataclass(frozen=True, eq=False)
class Cycles:
    """Instructions that each worker issues, by stage, and elements that each tile exchanges."""

    integrals: Float64[np.ndarray, "tile worker"]
    contraction: Float64[np.ndarray, "tile worker"]
    touched: np.ndarray
    gathered: np.ndarray


class Program:
    """A schedule and, once built, the graph that follows it."""

    def __init__(
        self,
        structure: ShellStructure,
        machine: Machine,
        recompute: bool,
        costs: Float32[np.ndarray, "3 class class"],
        code_bytes: Sequence[int],
    ):
        self.structure, self.machine, self.recompute = structure, machine, recompute
        shells = structure.table()
        numbers = np.array([machine.ipus, machine.tiles, machine.workers, machine.tile_bytes], dtype=np.int64)
        code = np.array(code_bytes, dtype=np.int64)
        costs = np.ascontiguousarray(costs, dtype=np.float32)
        self._handle = library().scfx_ipu_plan(
            structure.atoms, len(shells), _pointer(shells), _pointer(numbers), int(recompute), costs.shape[1],
            _pointer(costs), _pointer(code),
        )  # fmt: skip
        if not self._handle:
            raise ScfxError(f"the host ran out of memory while scheduling {structure.n_functions} functions")
        self._free = weakref.finalize(self, library().scfx_ipu_free, self._handle)

    def numbers(self) -> Numbers:
        """Return the totals of the schedule."""
        out = np.empty(12 + len(_KINDS), dtype=np.int64)
        library().scfx_ipu_plan_numbers(self._handle, _pointer(out))
        values = [int(v) for v in out]
        by_kind = dict(zip(_KINDS, values[12:], strict=True))
        return Numbers(*values[:12], by_kind)  # pyright: ignore[reportCallIssue] - a slice has no known length

    def cycles(self) -> Cycles:
        """Return what each worker issues."""
        tiles = self.machine.ipus * self.machine.tiles
        out = Cycles(
            np.empty((tiles, self.machine.workers)),
            np.empty((tiles, self.machine.workers)),
            np.empty(tiles, dtype=np.int64),
            np.empty(tiles, dtype=np.int64),
        )
        library().scfx_ipu_plan_cycles(
            self._handle, *(_pointer(a) for a in (out.integrals, out.contraction, out.touched, out.gathered))
        )
        return out

    def build(self, hardware: bool = False, threads: int = 1, poison: bool = False) -> None:
        """Compile the graph for the host's model or for hardware; `ScfxError` with Poplar's reason."""
        reason = ctypes.create_string_buffer(_REASON_LENGTH)
        failed = library().scfx_ipu_build(
            self._handle,
            int(hardware),
            threads,
            int(poison),
            str(codelets()).encode(),
            reason,
            _REASON_LENGTH,
        )
        self._check(failed, reason, "building the graph")

    def set_molecule(self, values: Float32[np.ndarray, "n"]) -> None:
        """Take a geometry and its basis; integrals are computed now if the strategy keeps them."""
        reason = ctypes.create_string_buffer(_REASON_LENGTH)
        failed = library().scfx_ipu_set_molecule(
            self._handle, _pointer(values), values.size, reason, _REASON_LENGTH
        )
        self._check(failed, reason, "computing integrals")

    def coulomb_exchange(
        self, density: Float64[np.ndarray, "ncart ncart"], exchange: bool
    ) -> tuple[Float64[np.ndarray, "ncart ncart"], Float64[np.ndarray, "ncart ncart"] | None]:
        """Return J and (if asked) K of a symmetric matrix in the Cartesian basis."""
        density = np.ascontiguousarray(density, dtype=np.float64)
        coulomb = np.empty_like(density)
        exchanges = np.empty_like(density) if exchange else None
        reason = ctypes.create_string_buffer(_REASON_LENGTH)
        failed = library().scfx_ipu_coulomb_exchange(
            self._handle, _pointer(density), int(exchange), _pointer(coulomb),
            None if exchanges is None else _pointer(exchanges), reason, _REASON_LENGTH,
        )  # fmt: skip
        self._check(failed, reason, "contracting with a density")
        return coulomb, exchanges

    def measured_bytes(self) -> int:
        """Return the bytes on the fullest tile as the graph's compiler counted them (0 on hardware: see its own
        report).
        """
        return int(library().scfx_ipu_measured_bytes(self._handle))

    def exchange_cycles(self) -> int:
        """Return the cycles of the exchanges of one contraction, as the host's graph compiler counts them."""
        return int(library().scfx_ipu_exchange_cycles(self._handle))

    def profile(self) -> str:
        """Return the graph compiler's report."""
        text = ctypes.create_string_buffer(1 << 20)
        library().scfx_ipu_profile(self._handle, text, len(text))
        return text.value.decode()

    def _check(self, failed: int, reason: ctypes.Array, what: str) -> None:
        if failed:
            raise ScfxError(f"ipu: {what} failed: {reason.value.decode(errors='replace')}")


def integrals_of_pair(
    structure: ShellStructure, molecule: Float32[np.ndarray, "size"], i: int, j: int
) -> Float32[np.ndarray, "ni nj nkl nkl"]:
    """Return (ij|kl) of the shells i >= j and all k >= l <= i, straight from the codelets' code, Cartesian.

    Elements with (k, l) after (i, j) are computed as well; both triangles of kl are filled.
    """
    shells = structure.table()
    widths = [(l + 1) * (l + 2) // 2 for _, l, _, _ in structure.shells]
    n = sum(widths[: i + 1])
    out = np.zeros((widths[i], widths[j], n, n), dtype=np.float32)
    primitives = max(first + count for _, _, count, first in structure.shells)
    library().scfx_ipu_integrals_of_pair(
        structure.atoms, len(shells), _pointer(shells), primitives, _pointer(molecule), i, j, _pointer(out)
    )
    return out


def count_operations(momenta: Sequence[int], primitives: Sequence[int], distance: float) -> np.ndarray:
    """Return the operations [2, 6] of a quartet of shells and of its contraction, in the order of `OPERATIONS`.

    Bra and ket lie `distance` bohr apart, which decides between the tables of roots and their asymptote.
    """
    out = np.zeros((2, len(OPERATIONS)), dtype=np.int64)
    # Held by names until the call returns: a pointer keeps nothing alive.
    l, n = np.array(momenta, dtype=np.int32), np.array(primitives, dtype=np.int32)
    library().scfx_ipu_count_operations(_pointer(l), _pointer(n), distance, _pointer(out))
    return out


def _pointer(array: np.ndarray) -> int:
    return array.ctypes.data
