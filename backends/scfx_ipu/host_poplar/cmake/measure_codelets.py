"""Measure what a codelet's vertex classes cost on a tile: bytes of code, and of stack on each worker.

The device's compiler is not here, so GCC's figures stand in: the registered unit is compiled with -Os, and for each
vertex the sizes of compute() and of all that it calls are added (code), and the frames along its deepest chain of
calls (stack). An x86 instruction is 4 bytes on the average, an IPU instruction always is.

    measure_codelets.py --compiler g++ --registration rys_registration.cpp --stem rys --output rys_sizes.cpp -- <flags>
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

NODE = re.compile(r'node: \{ title: "([^"]*)" label: "([^"]*)"')
EDGE = re.compile(r'edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"')
FRAME = re.compile(r"(\d+) bytes \((static|dynamic|dynamic,bounded)\)")


class MeasureError(Exception):
    """The unit does not compile or calls itself."""


@dataclass
class Function:
    frame: int = 0
    code: int = 0
    calls: set[str] = field(default_factory=set)


def compile_unit(compiler: str, unit: Path, folder: Path, flags: list[str]) -> tuple[Path, Path]:
    output = folder / "unit.o"
    command = [compiler, "-std=c++17", *flags, "-Os", "-g0", "-fcallgraph-info=su", "-c", str(unit), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise MeasureError(done.stderr)
    (graph,) = folder.glob("*.ci")
    return output, graph


def read_functions(graph: str, symbols: str) -> dict[str, Function]:
    functions: dict[str, Function] = {}

    def of(title: str) -> Function:
        # A local function's title is "file:symbol"; `nm` knows it by its symbol.
        return functions.setdefault(title.rpartition(":")[2], Function())

    for title, label in NODE.findall(graph):
        if frame := FRAME.search(label):
            of(title).frame = int(frame[1])
    for source, target in EDGE.findall(graph):
        of(source).calls.add(target.rpartition(":")[2])
    for row in symbols.splitlines():
        parts = row.split()
        if len(parts) == 4 and parts[2] in "TtWw":
            functions.setdefault(parts[3], Function()).code = int(parts[1], 16)
    return functions


def reachable(functions: dict[str, Function], root: str) -> set[str]:
    found, waiting = {root}, [root]
    while waiting:
        for name in functions.get(waiting.pop(), Function()).calls - found:
            found.add(name)
            waiting.append(name)
    return found


def deepest(functions: dict[str, Function], name: str, chain: tuple[str, ...] = ()) -> int:
    if name in chain:
        raise MeasureError(f"recursion through {name}: the device gives every worker a stack of fixed size")
    function = functions.get(name, Function())
    return function.frame + max((deepest(functions, c, (*chain, name)) for c in function.calls), default=0)


def read_only_bytes(sections: str) -> int:
    """Tables of the unit: they lie on every tile that runs one of its vertices."""
    return sum(int(row.split()[1]) for row in sections.splitlines() if re.match(r"\.rodata(?!\.\S*str)", row))


def measure(functions: dict[str, Function], stem: str) -> list[tuple[int, int]]:
    pattern = re.compile(rf"^_ZL\d+host_poplar_compute_{re.escape(stem)}_(\d+)Pvj")
    roots: dict[int, str] = {}
    for name in functions:
        # The part that GCC split off (".cold") belongs to the same function.
        if (found := pattern.match(name)) and "." not in name:
            roots[int(found[1])] = name
    figures = []
    for k in range(len(roots)):
        names = reachable(functions, roots[k])
        code = sum(f.code for name, f in functions.items() if name.partition(".cold")[0] in names)
        figures.append((code, deepest(functions, roots[k])))
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description="measure code and stack of a codelet's vertices")
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--registration", type=Path, required=True)
    parser.add_argument("--stem", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("flags", nargs="*")
    options = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory() as folder:
            unit, graph = compile_unit(options.compiler, options.registration, Path(folder), options.flags)
            symbols = subprocess.run(["nm", "-S", str(unit)], capture_output=True, text=True, check=True).stdout
            sections = subprocess.run(["size", "-A", str(unit)], capture_output=True, text=True, check=True).stdout
            figures = measure(read_functions(graph.read_text(), symbols), options.stem)
    except MeasureError as error:
        print(f"{options.registration}: {error}", file=sys.stderr)
        return 1
    tables = read_only_bytes(sections)
    rows = "".join(f"    {{{code + tables}, {stack}}},\n" for code, stack in figures)
    options.output.write_text(
        f"// Measured from {options.registration.name}; do not edit. Code (with {tables} bytes of tables) and stack.\n"
        '#include "host_poplar/Registry.hpp"\n\n'
        f'static const host_poplar::RegisterSizes host_poplar_sizes("{options.stem}", {{\n{rows}}});\n'
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
