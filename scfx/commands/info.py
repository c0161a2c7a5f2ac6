"""`scfx info`: what a bug report needs."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

import click

from scfx.versions import NUMERICAL, versions

if TYPE_CHECKING:
    from scfx.cli import Session


@click.command(short_help="Versions, devices, and lines from plugins.")
@click.pass_obj
def info(session: Session) -> None:
    """Show versions, platform, the compiled kernels' variant for this processor, JAX's devices, and what plugins add.

    Put its output into a bug report.
    """
    import jax

    from scfx.native import best_variant

    lines = {"python": platform.python_version(), **versions((*NUMERICAL, "rdkit", "pyarrow"))}
    lines["platform"] = f"{platform.system()} {platform.release()} {platform.machine()}"
    lines["processors"] = f"{len(os.sched_getaffinity(0))} usable" if hasattr(os, "sched_getaffinity") else ""
    lines["kernels"] = f"{best_variant()} (the best that this processor can execute)"
    lines["jax devices"] = ", ".join(str(device) for device in jax.devices())
    width = max(map(len, lines))
    for name, text in lines.items():
        if text:
            click.echo(f"{name:<{width}}  {text}")
    for answer in session.registry.hook.scfx_report_header():
        for line in [answer] if isinstance(answer, str) else answer:
            click.echo(line)
    for plugin in session.registry.plugins:
        state = "" if plugin.status == "available" else f"  {plugin.status}: {plugin.reason}"
        click.echo(f"plugin {plugin.name} ({plugin.distribution} {plugin.version}){state}")
