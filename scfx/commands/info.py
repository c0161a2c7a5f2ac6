"""`scfx info`: what a bug report needs."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

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

    from scfx.execution.native import best_variant, built_variants

    lines = {"python": platform.python_version(), **versions((*NUMERICAL, "rdkit", "pyarrow"))}
    lines["platform"] = f"{platform.system()} {platform.release()} {platform.machine()}"
    lines["processors"] = f"{len(os.sched_getaffinity(0))} usable" if hasattr(os, "sched_getaffinity") else ""
    best = best_variant()
    built = [library for plugin in session.registry.plugins for library in _built(plugin, built_variants)]
    lesser = [f"{stem}: {variant}, as no {best} is built" for stem, variant in built if variant != best]
    lines["kernels"] = f"{best} (the best that this processor can execute)" + "".join(
        f"; but {text}" for text in lesser
    )
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


def _built(plugin: Any, built_variants: Any) -> list[tuple[str, str]]:
    """(library, variant that is loaded) of a plugin's compiled kernels; none for a plugin without or that fails."""
    if plugin.status != "available":
        return []
    try:
        return list(built_variants(plugin.name).items())
    except (ImportError, AttributeError):
        return []
