"""What a kernel's own code (PTX) does: instructions by loop, and the registers that NVIDIA's assembler gives it."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass
class Loop:
    """Instructions of one round of a loop of a kernel's code, less those of loops inside it."""

    arithmetic: int
    special: int
    loads: int
    all: int


@dataclass
class _Block:
    """Instructions that run one after the other, and the blocks that may come next."""

    lines: list[str]
    next: list[int]


def loops(code: str, name: str) -> list[Loop]:
    """Return the code of a kernel whose loops lie in each other: [outside loops, outermost loop, ..., innermost].

    Loops are found in the graph of jumps, not by the order of the text, in which compilers move blocks about. A jump
    back to a block that every way to the jump passes closes a loop, of which that block is the head; to the loop belong
    all blocks from which one comes to that jump without passing the head. `ValueError` for loops beside each other.
    """
    blocks = _blocks(code, name)
    heads = _loop_heads(blocks)
    members = sorted(heads.values(), key=len, reverse=True)
    for outer, inner in pairwise(members):
        if not inner < outer:
            raise ValueError(
                f"{name}: the loops of blocks {sorted(outer)} and {sorted(inner)} are not nested"
            )
    nested = [set(range(len(blocks))), *members, set()]
    return [
        _counted([line for k in sorted(own - inside) for line in blocks[k].lines])
        for own, inside in pairwise(nested)
    ]


def _blocks(code: str, name: str) -> list[_Block]:
    start = code.index(f"entry {name}(")
    lines = code[code.index("{", code.index(")", start)) + 1 : code.index("\n}", start)].splitlines()
    blocks, labels = [_Block([], [])], dict[str, int]()
    jumps: list[tuple[int, str]] = []
    open_end = True  # the last block runs into the next one
    for line in lines:
        if label := re.match(r"(\$\w+):", line):
            if open_end:
                blocks[-1].next.append(len(blocks))
            labels[label[1]] = len(blocks)
            blocks.append(_Block([], []))
            open_end = True
            continue
        blocks[-1].lines.append(line)
        if found := re.match(r"\s*(@\S+\s+)?(?:bra(?:\.uni)?\s+(\$\w+)|ret|exit)\s*;", line):
            condition, target = found.groups()
            if target:
                jumps.append((len(blocks) - 1, target))
            if condition:
                blocks[-1].next.append(len(blocks))
            blocks.append(_Block([], []))
            open_end = condition is not None
    for block, target in jumps:
        blocks[block].next.append(labels[target])
    return blocks


def _loop_heads(blocks: list[_Block]) -> dict[int, set[int]]:
    """Return the blocks of each loop by its head."""
    before: list[set[int]] = [set() for _ in blocks]
    for k, block in enumerate(blocks):
        for after in block.next:
            before[after].add(k)
    # Blocks that every way from the start to a block passes.
    everything = set(range(len(blocks)))
    passed = [{0}, *(everything for _ in blocks[1:])]
    changed = True
    while changed:
        changed = False
        for k in range(1, len(blocks)):
            ways = [passed[b] for b in before[k]]
            new = {k} | (set.intersection(*ways) if ways else set())
            changed |= new != passed[k]
            passed[k] = new
    found: dict[int, set[int]] = {}
    for k, block in enumerate(blocks):
        for head in passed[k] & set(block.next):
            body, waiting = found.setdefault(head, {head}), [k]
            while waiting:
                one = waiting.pop()
                if one not in body:
                    body.add(one)
                    waiting += before[one]
    return found


def _counted(lines: list[str]) -> Loop:
    words = [
        line.split()[0] if not line.strip().startswith("@") else line.split()[1]
        for line in lines
        if line.strip()
    ]
    code = [w for w in words if re.match(r"[a-z]", w) and not w.startswith("mov.b")]
    loads = sum(line.count("ld.global") + line.count("st.global") for line in lines)
    special = sum(bool(re.match(r"(ex2|rsqrt|rcp|sqrt|lg2)\.", w)) for w in code)
    arithmetic = sum(bool(re.match(r"(add|sub|mul|fma|neg|min|max|div)\S*\.f(32|64)", w)) for w in code)
    return Loop(arithmetic, special, loads, len(code) + loads)


def registers(code: str) -> tuple[int, int]:
    """Return the registers of a thread and the bytes that it spills, as NVIDIA's assembler says."""
    import jax_plugins.xla_cuda12  # type: ignore[import-not-found]

    ptxas = Path(jax_plugins.xla_cuda12.__file__).parents[2] / "nvidia" / "cuda_nvcc" / "bin" / "ptxas"
    with tempfile.NamedTemporaryFile("w", suffix=".ptx") as file:
        file.write(code)
        file.flush()
        said = subprocess.run(
            [ptxas, "-v", "-arch=sm_90a", file.name, "-o", os.devnull],
            capture_output=True,
            text=True,
            check=True,
        ).stderr
    used, spilled = re.search(r"Used (\d+) registers", said), re.search(r"(\d+) bytes spill stores", said)
    if not used or not spilled:
        raise RuntimeError(said)
    return int(used[1]), int(spilled[1])
