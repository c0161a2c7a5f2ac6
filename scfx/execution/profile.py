"""`Profile`: where the time of a calculation went."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from scfx.execution.compile_time import compile_seconds


class Profile:
    """Seconds by stage; compilation is counted under "compile" and taken out of the stage it happened in."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of a block of code to a stage."""
        start, compiled = time.perf_counter(), compile_seconds()
        try:
            yield
        finally:
            compiling = compile_seconds() - compiled
            self.seconds["compile"] += compiling
            self.seconds[name] += time.perf_counter() - start - compiling
