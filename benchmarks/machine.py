"""What a table of timings must say about where it was made, and where it is written."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from pathlib import Path

import scfx
from scfx.execution.native import best_variant


def processor() -> str:
    """The processor's name, family and model as Linux gives them."""
    fields: dict[str, str] = {}
    info = Path("/proc/cpuinfo")
    for line in info.read_text(encoding="utf-8").splitlines() if info.exists() else []:
        name, _, value = line.partition(":")
        fields.setdefault(name.strip(), value.strip())
    if "model name" not in fields:
        return platform.processor() or platform.machine()
    return f"{fields['model name']} (family {fields.get('cpu family')}, model {fields.get('model')})"


def describe() -> str:
    """One line: date, versions, processor, instruction set, cores in the affinity mask, load of the machine."""
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"{now}, scfx {scfx.__version__}, {processor()}, {best_variant()}, "
        f"{len(os.sched_getaffinity(0))} core(s) in the affinity mask, load average at the start "
        f"{os.getloadavg()[0]:.1f}."
    )


def lines_to(lines: list[str], path: str | None) -> None:
    """Write lines to a file, if one is asked for."""
    if path:
        Path(path).write_text("\n".join(lines) + "\n", encoding="utf-8")
