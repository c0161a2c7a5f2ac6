"""Measure what a codelet's vertex classes cost on a tile: bytes of code, and of stack on each worker.

The device's compiler is not here, so GCC's figures stand in: the registered unit is compiled with -Os and a section for
each function and table. Code is every section that compute() reaches (a tile holds each once, whichever of its vertices
use it); stack is the frames along the deepest chain of calls. An IPU instruction has 4 bytes, about the mean of x86's.

    measure_codelets.py --compiler g++ --registration rys_registration.cpp --stem rys --output rys_sizes.cpp -- <flags>
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

NODE = re.compile(r'node: \{ title: "([^"]*)" label: "([^"]*)"')
EDGE = re.compile(r'edge: \{ sourcename: "([^"]*)" targetname: "([^"]*)"')
FRAME = re.compile(r"(\d+) bytes \((?:static|dynamic|dynamic,bounded)\)")
SYMBOL = re.compile(r"^[0-9a-f]+ .{7} (\S+)\t[0-9a-f]+ (?:\.hidden )?(\S+)$")
RELOCATIONS = re.compile(r"^RELOCATION RECORDS FOR \[(\S+)\]:$")
RELOCATION = re.compile(r"^[0-9a-f]+ \S+\s+(\S+?)(?:[+-]0x[0-9a-f]+)?$")
#: Sections that take bytes on a tile (strings of error texts do not).
COUNTED = re.compile(r"^\.(text|rodata|data|bss)(?!\.\S*\.str)")


class MeasureError(Exception):
    """The unit does not compile, or calls itself."""


@dataclass
class Unit:
    """A compiled codelet: its functions' frames and calls, its sections' sizes and references."""

    frames: dict[str, int]
    calls: dict[str, set[str]]
    bytes: dict[str, int]
    references: dict[str, set[str]]
    section_of: dict[str, str]


def run(*command: str) -> str:
    """Run a command of the compiler and return what it prints."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise MeasureError(f"{' '.join(command)}:\n{done.stderr}")
    return done.stdout


def compile_unit(compiler: str, source: Path, flags: list[str]) -> Unit:
    """Compile one unit, and return its calls, references and stack frames."""
    with tempfile.TemporaryDirectory() as folder:
        output = f"{folder}/unit.o"
        options = ["-Os", "-g0", "-ffunction-sections", "-fdata-sections", "-fcallgraph-info=su"]
        run(compiler, "-std=c++17", *flags, *options, "-c", str(source), "-o", output)
        (graph,) = Path(folder).glob("*.ci")
        unit = Unit({}, {}, {}, {}, {})
        read_call_graph(graph.read_text(), unit)
        for row in run("size", "-A", output).splitlines():
            if COUNTED.match(row):
                unit.bytes[row.split()[0]] = int(row.split()[1])
        read_references(run("objdump", "-t", "-r", output), unit)
    return unit


def read_call_graph(graph: str, unit: Unit) -> None:
    """Read which function calls which."""
    # A local function's title is "file:symbol"; the object file knows it by its symbol.
    for title, label in NODE.findall(graph):
        if frame := FRAME.search(label):
            unit.frames[title.rpartition(":")[2]] = int(frame[1])
    for source, target in EDGE.findall(graph):
        unit.calls.setdefault(source.rpartition(":")[2], set()).add(target.rpartition(":")[2])


def read_references(dump: str, unit: Unit) -> None:
    """Read which function refers to which section."""
    section = ""
    for row in dump.splitlines():
        if symbol := SYMBOL.match(row):
            unit.section_of[symbol[2]] = symbol[1]
        elif header := RELOCATIONS.match(row):
            section = header[1]
        elif section and (reference := RELOCATION.match(row)):
            target = unit.section_of.get(reference[1], reference[1])
            unit.references.setdefault(section, set()).add(target)


def reachable(unit: Unit, root: str) -> set[str]:
    """Return the functions that can be reached from one."""
    found, waiting = {root}, [root]
    while waiting:
        for name in unit.references.get(waiting.pop(), set()) - found:
            found.add(name)
            waiting.append(name)
    return {name for name in found if unit.bytes.get(name)}


def deepest(unit: Unit, name: str, chain: tuple[str, ...] = ()) -> int:
    """Return the deepest stack that a function needs, with what it calls."""
    if name in chain:
        raise MeasureError(f"recursion through {name}: the device gives every worker a stack of fixed size")
    calls = unit.calls.get(name, set())
    return unit.frames.get(name, 0) + max((deepest(unit, c, (*chain, name)) for c in calls), default=0)


def measure(unit: Unit, stem: str) -> tuple[list[str], list[tuple[int, list[int]]]]:
    """Return sections, and for each vertex its stack and the indices of its sections."""
    pattern = re.compile(rf"^_ZL\d+host_poplar_compute_{re.escape(stem)}_(\d+)Pvj$")
    roots = {int(found[1]): name for name in unit.section_of if (found := pattern.match(name))}
    reached = [reachable(unit, unit.section_of[roots[k]]) for k in range(len(roots))]
    sections = sorted(set().union(*reached))
    index = {name: i for i, name in enumerate(sections)}
    return sections, [
        (deepest(unit, roots[k]), sorted(index[name] for name in names)) for k, names in enumerate(reached)
    ]


def main() -> int:
    """Measure the codelets and write their table."""
    parser = argparse.ArgumentParser(description="measure code and stack of a codelet's vertices")
    parser.add_argument("--compiler", required=True)
    parser.add_argument("--registration", type=Path, required=True)
    parser.add_argument("--stem", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("flags", nargs="*")
    options = parser.parse_args()
    try:
        unit = compile_unit(options.compiler, options.registration, options.flags)
        sections, vertices = measure(unit, options.stem)
    except MeasureError as error:
        print(f"{options.registration}: {error}", file=sys.stderr)
        return 1
    sizes = ", ".join(str(unit.bytes[name]) for name in sections)
    rows = "".join(f"    {{{stack}, {{{', '.join(map(str, used))}}}}},\n" for stack, used in vertices)
    options.output.write_text(
        f"// Measured from {options.registration.name}; do not edit.\n"
        '#include "host_poplar/Registry.hpp"\n\n'
        "// Bytes of each section of code or tables; then, for each vertex, its stack and the sections it uses.\n"
        f'static const host_poplar::RegisterSizes host_poplar_sizes("{options.stem}", {{{sizes}}}, {{\n{rows}}});\n'
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
