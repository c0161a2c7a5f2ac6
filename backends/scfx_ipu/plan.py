"""What a molecule takes on the IPU: the text of `scfx ipu plan`, and what fits at most."""

from __future__ import annotations

from typing import Any

import numpy as np

from scfx.model.basis import BasisSet
from scfx.model.batch import Batch
from scfx.model.system import System
from scfx_ipu.cost_model import ITERATIONS, predict, schedule
from scfx_ipu.library import Machine, Program
from scfx_ipu.molecule import ShellStructure

_IPUS = (1, 4, 16)
#: Longest alkane that is tried.
_MOST_CARBONS = 120


def report(
    title: str, basis: str, source: Any, structure: ShellStructure, nao: int, tiles: int, largest: bool
) -> str:
    """Return tiles, bytes by kind on the fullest tile, cycles by stage, and rates; and the largest alkane that fits."""
    lines = [
        f"{title} in {basis}: {nao} AOs ({structure.n_functions} Cartesian), {len(structure.shells)} shells"
    ]
    for recompute in (False, True):
        programs = [schedule(structure, Machine(ipus, tiles), recompute) for ipus in _IPUS]
        lines += ["", "recompute" if recompute else "store", *_strategy(programs)]
    if largest:
        lines += ["", f"largest n-alkane on one IPU in {basis}"]
        for recompute in (False, True):
            carbons, functions = largest_alkane(source, Machine(1, tiles), recompute)
            name = f"C{carbons}H{2 * carbons + 2}, {functions} Cartesian functions" if carbons else "none"
            lines.append(f"  {'recompute' if recompute else 'store':24}{name}")
    lines += [
        "",
        f"Cycles are predicted (docs/ipu.md); rates are for {ITERATIONS} Fock matrices, integrals and J/K alone.",
    ]
    return "\n".join(lines)


def _strategy(programs: list[Program]) -> list[str]:
    numbers, predictions = [p.numbers() for p in programs], [predict(p) for p in programs]

    def row(label: str, values: list[str]) -> str:
        return f"  {label:26}" + "".join(f"{value:>16}" for value in values)

    out = [row("IPUs", [str(p.machine.ipus) for p in programs])]
    out.append(row("tiles", [f"{n.tiles:,}" for n in numbers]))
    out.append(row("quartets of shells", [f"{n.quartets:,}" for n in numbers]))
    out.append(row("integrals", [f"{n.integrals:,}" for n in numbers]))
    out.append(row("rounds", [f"{n.rounds:,}" for n in numbers]))
    out.append(row("fits", ["yes" if n.fits else "no" for n in numbers]))
    out.append(row("bytes, fullest tile", [f"{n.needed:,}" for n in numbers]))
    out += [row(f"  {kind}", [f"{n.bytes[kind]:,}" for n in numbers]) for kind in numbers[0].bytes]
    out.append(row("bytes there", [f"{n.tile_bytes:,}" for n in numbers]))
    for stage in ("integrals", "contraction", "sums", "exchange", "final"):
        if stage == "integrals" and programs[0].recompute:
            continue
        label = f"cycles, {stage}" if stage == "integrals" else f"cycles, {stage} (each)"
        out.append(row(label, [f"{getattr(p, stage):,.0f}" for p in predictions]))
    out.append(row("cycles, all", [f"{p.total():,.0f}" for p in predictions]))
    out.append(row("balance of integrals", [f"{p.balance_integrals:.3f}" for p in predictions]))
    out.append(row("balance of J/K", [f"{p.balance_contraction:.3f}" for p in predictions]))
    each = predictions[0].labels_per_second() if numbers[0].fits else 0.0
    out.append(
        row("labels/s, a molecule each", [f"{each * p.machine.ipus:,.0f}" if each else "-" for p in programs])
    )
    out.append(
        row(
            "labels/s, one over all",
            [
                f"{p.labels_per_second():,.0f}" if n.fits else "-"
                for p, n in zip(predictions, numbers, strict=True)
            ],
        )
    )
    return out


def largest_alkane(source: Any, machine: Machine, recompute: bool) -> tuple[int, int]:
    """Return carbons and Cartesian functions of the longest n-alkane whose schedule fits; (0, 0) if methane's does not.

    Only the shells matter to a schedule, so atoms have no real positions here.
    """
    basis = BasisSet.from_source(source, [1, 6])

    def structure(carbons: int) -> ShellStructure:
        numbers = np.array([6] * carbons + [1] * (2 * carbons + 2), dtype=np.int32)
        positions = np.arange(3.0 * len(numbers)).reshape(-1, 3)
        return ShellStructure.from_layout(Batch.from_systems([System(numbers, positions)], basis).layout)

    def fits(carbons: int) -> bool:
        return schedule(structure(carbons), machine, recompute).numbers().fits

    low, high = 0, _MOST_CARBONS + 1
    step = 8
    while low + step < high:  # grow while it fits, so that the largest schedules are not made in vain
        if not fits(low + step):
            high = low + step
            break
        low += step
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return (low, structure(low).n_functions) if low else (0, 0)
