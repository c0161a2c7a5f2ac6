"""What XLA makes of a program for a GPU that is not here: its kernels, the bytes each moves, and their code in PTX.

XLA compiles for a described card without one (`jax.experimental.topologies`), down to PTX. Needed: JAX's CUDA plugin
(`pip install jax-cuda12-plugin jax-cuda12-pjrt nvidia-cuda-nvcc-cu12`), of the version of JAX. Nothing runs.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

#: An H200 (SXM) as XLA asks to have it described: NVIDIA's data sheet and the CUDA programming guide, table of
#: compute capability 9.0. An H100 differs by bandwidth and size of memory, which change nothing here.
CARD = """
gpu_device_info {
  threads_per_block_limit: 1024  threads_per_warp: 32  threads_per_core_limit: 2048
  shared_memory_per_block: 49152  shared_memory_per_core: 233472  shared_memory_per_block_optin: 232448
  core_count: 132  fpus_per_core: 128  clock_rate_ghz: 1.98
  block_dim_limit_x: 2147483647  block_dim_limit_y: 65535  block_dim_limit_z: 65535
  memory_bandwidth: 4800000000000  l2_cache_size: 52428800  device_memory_size: 150000000000
  cuda_compute_capability { major: 9 minor: 0 }
  registers_per_core_limit: 65536  registers_per_block_limit: 65536
}
platform_name: "CUDA"
runtime_version { major: 12 minor: 9 patch: 0 }
dnn_version_info { major: 9 minor: 7 }
device_description_str: "NVIDIA H200"
"""
_SIZES = {"pred": 1, "s8": 1, "u8": 1, "s32": 4, "u32": 4, "f32": 4, "s64": 8, "u64": 8, "f64": 8}
#: Opcodes that move nothing; and branches, of which there is one: for lanes whose density purification has not found.
_FREE = {
    "conditional",
    "parameter",
    "constant",
    "tuple",
    "get-tuple-element",
    "bitcast",
    "after-all",
    "partition-id",
    "replica-id",
}


@cache
def sharding() -> SingleDeviceSharding:
    """Return where programs are compiled for."""
    topology = topologies.get_topology_desc("", platform="cuda", target_config=CARD, topology="1x1x1")
    return SingleDeviceSharding(topology.devices[0])


def shape(*dimensions: int, dtype: Any = "float64") -> Any:
    """Return a stand-in for an array on the card."""
    return jax.ShapeDtypeStruct(dimensions, dtype, sharding=sharding())


@dataclass
class Kernel:
    """One launch: the name of the instruction, how often it goes, and the bytes that it reads and writes each time."""

    name: str
    kind: str
    times: float
    bytes: float


@dataclass
class Compiled:
    """A program compiled for the card."""

    kernels: list[Kernel]
    seconds: float
    code: list[str]

    @property
    def launches(self) -> float:
        """Return how many kernels start."""
        return sum(kernel.times for kernel in self.kernels)

    @property
    def bytes(self) -> float:
        """Return the bytes that all kernels read and write."""
        return sum(kernel.times * kernel.bytes for kernel in self.kernels)


#: Processor seconds of every compilation, by the name that `compiled` was told.
SECONDS: dict[str, list[float]] = defaultdict(list)
_PROGRAMS: dict[str, Compiled] = {}


def compiled(name: str, function: Any, *arguments: Any, rounds: float = 1.0, **options: Any) -> Compiled:
    """Return what XLA makes of a jitted function for the card; matrix products in the full precision of their dtype.

    `rounds`: how often a loop goes round whose end is found on the way. What was compiled for these shapes before is
    taken again. `name`: under which its seconds are kept.
    """
    tree = (arguments, options, rounds)
    key = str((function.__name__, jax.tree.structure(tree), jax.tree.leaves(tree)))
    if key not in _PROGRAMS:
        _PROGRAMS[key] = _compiled(function, arguments, options, rounds)
        SECONDS[name].append(_PROGRAMS[key].seconds)
    return _PROGRAMS[key]


def _compiled(function: Any, arguments: tuple, options: dict[str, Any], rounds: float) -> Compiled:
    with jax.default_matmul_precision("highest"):
        lowered = function.trace(*arguments, **options).lower(lowering_platforms=("cuda",))
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        text = lowered.compile({"xla_dump_to": folder}).as_text()
        seconds = time.process_time() - start
        code = [path.read_text() for path in Path(folder).glob("*.ptx")]
    return Compiled(kernels(text, rounds), seconds, code)


def kernels(text: str, rounds: float) -> list[Kernel]:
    """Return the launches of an optimised HLO module; bodies of loops as often as these go round."""
    computations = {
        match[1]: match[0] for match in re.finditer(r"^(?:ENTRY )?%([\w.\-]+) \(.*?^}", text, re.M | re.S)
    }
    entry = re.search(r"^ENTRY %([\w.\-]+)", text, re.M)
    assert entry
    found: list[Kernel] = []
    _walk(computations, entry[1], 1.0, rounds, found)
    return found


def _walk(computations: dict[str, str], name: str, times: float, rounds: float, found: list[Kernel]) -> None:
    sizes: dict[str, float] = {}
    shapes: dict[str, str] = {}
    for line in computations[name].splitlines():
        match = re.match(r"\s+(?:ROOT )?%([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\((.*)", line)
        if not match:
            continue
        instruction, result, opcode, rest = match.groups()
        sizes[instruction], shapes[instruction] = _bytes(result), result
        operands = re.findall(r"%([\w.\-]+)", rest.split("), ")[0])
        if opcode == "while":
            trips = re.search(r'"known_trip_count":{"n":"(\d+)"', line)
            body = re.search(r"body=%([\w.\-]+)", line)
            assert body
            _walk(computations, body[1], times * (float(trips[1]) if trips else rounds), rounds, found)
        elif opcode in ("call", "async-start"):
            called = re.search(r"(?:to_apply|calls)=%([\w.\-]+)", line)
            assert called
            _walk(computations, called[1], times, rounds, found)
        elif opcode not in _FREE:
            moved = sizes[instruction] + sum(sizes.get(o, 0.0) for o in operands)
            called = re.search(r"calls=%([\w.\-]+)", line)
            if called:
                moved = _of_fusion(computations[called[1]], operands, sizes, sizes[instruction])
            target = re.search(r'custom_call_target="([^"]+)"', line)
            found.append(Kernel(instruction, target[1] if target else opcode, times, moved))


def _of_fusion(body: str, operands: list[str], sizes: dict[str, float], result: float) -> float:
    """Return the bytes of a fusion: of an operand that is only sliced the slice, of one updated in place the update."""
    parameters = {m[2]: m[1] for m in re.finditer(r"%([\w.\-]+) = \S+ parameter\((\d+)\)", body)}
    moved, written = 0.0, result
    for number, operand in enumerate(operands):
        own = parameters.get(str(number))
        whole = sizes.get(operand, 0.0)
        users = [
            line
            for line in body.splitlines()
            if own and re.search(rf"[(, ]%{re.escape(own)}[,)]", line.split(" = ")[-1])
        ]
        sliced = [re.search(r"= (\S+) (?:dynamic-)?slice\(", line) for line in users]
        updated = [
            re.search(rf"dynamic-update-slice\(%{re.escape(own or '')}, %([\w.\-]+)", line) for line in users
        ]
        if users and all(sliced):
            moved += min(whole, sum(_bytes(m[1]) for m in sliced if m))
        elif users and all(updated):
            update = re.search(rf"%{re.escape(updated[0][1])} = (\S+)", body)  # type: ignore[index]
            part = _bytes(update[1]) if update else whole
            written = min(written, part)
        else:
            moved += whole
    return moved + written


def _bytes(shapes: str) -> float:
    total = 0.0
    for dtype, dimensions in re.findall(r"(\w+)\[([\d,]*)\]", shapes):
        size = _SIZES.get(dtype, 4)
        for dimension in filter(None, dimensions.split(",")):
            size *= int(dimension)
        total += size
    return total
