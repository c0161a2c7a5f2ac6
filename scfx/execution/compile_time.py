"""How long XLA has spent compiling in this thread, so that a profile can tell it from computing."""

from __future__ import annotations

import threading
import time

import jax

_local = threading.local()
_lock = threading.Lock()
_listening = False
_EVENTS = (
    "/jax/core/compile/jaxpr_trace_duration",
    "/jax/core/compile/jaxpr_to_mlir_module_duration",
    "/jax/core/compile/backend_compile_duration",
)


def _listen(event: str, duration_secs: float, **_: str | int) -> None:
    if event not in _EVENTS:
        return
    end = time.perf_counter()
    start = end - duration_secs
    # Inner functions are traced inside outer ones and report first: an interval replaces those within it.
    spans: list[tuple[float, float]] = getattr(_local, "spans", [])
    seconds = getattr(_local, "seconds", 0.0)
    while spans and spans[-1][0] >= start:
        inner = spans.pop()
        seconds -= inner[1] - inner[0]
    spans.append((start, end))
    _local.spans, _local.seconds = spans[-64:], seconds + duration_secs


def compile_seconds() -> float:
    """Return the seconds this thread has spent tracing, lowering and compiling since it first asked (cache reads
    included).
    """
    global _listening
    with _lock:
        if not _listening:
            jax.monitoring.register_event_duration_secs_listener(_listen)
            _listening = True
    return getattr(_local, "seconds", 0.0)
