"""`scfx plugins`: which names can be used here, and why others cannot. Imports neither JAX nor any offer's target."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from scfx.cli import Session
    from scfx.registry import Registry

#: Columns of a terminal from which on a summary fits beside all names, status and plugin.
_WIDE = 140


@click.command(short_help="What is available, missing (why), failed (why).")
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
@click.option("--hooks", is_flag=True, help="Also list the hooks that each plugin implements.")
@click.pass_obj
def plugins(session: Session, as_json: bool, hooks: bool) -> None:
    """List what the installed plugins offer, and plugins that did not load.

    Two plugins may offer one name: then write "distribution:name" (or "plugin:name") where the name is asked for.
    """
    if as_json:
        click.echo(json.dumps(_as_data(session.registry), indent=2))
        return
    _show(session.registry, hooks)


def _as_data(registry: Registry) -> dict[str, Any]:
    from scfx.registry import KINDS

    return {
        "offers": {
            kind: [
                {
                    "name": o.name,
                    "aliases": list(o.offer.aliases),
                    "status": o.status,
                    "reason": o.reason,
                    "distribution": o.distribution,
                    "plugin": o.plugin,
                    "summary": o.offer.summary,
                    "capabilities": asdict(o.offer.capabilities),
                }
                for o in registry.offers(kind)
            ]
            for kind in KINDS
        },
        "plugins": [
            {
                "name": p.name,
                "distribution": p.distribution,
                "version": p.version,
                "status": p.status,
                "reason": p.reason,
                "hooks": list(p.hooks),
                "misspelt": list(p.misspelt),
            }
            for p in registry.plugins
        ],
    }


def _show(registry: Registry, hooks: bool) -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from scfx.registry import KINDS

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 160  # a pipe has no width; wrapping at 80 would cut the reasons up
    colours = {"available": "green", "missing": "yellow", "failed": "red", "incompatible": "red"}

    def mark(status: str) -> str:
        return f"[{colours[status]}]{status}[/]"

    wide = console.width >= _WIDE
    for kind, (_, key) in KINDS.items():
        offers = registry.offers(kind)
        if not offers:
            continue
        title = f"{kind.replace('_', ' ')} ({key})"
        # Where there is less room: names of their own first, and what is the same for all in the title.
        statuses = wide or any(o.status != "available" for o in offers)
        if not wide:
            title += f", from {', '.join(sorted({o.plugin for o in offers}))}"
        table = Table(box=None, pad_edge=False, title=escape(title), title_justify="left")
        for header in ("name", *(["status"] if statuses else []), *(["plugin"] if wide else []), "summary"):
            table.add_column(header, no_wrap=header != "summary")
        names = [o.name for o in offers]
        for o in offers:
            text = o.offer.summary if o.status == "available" else f"{o.reason} - {o.offer.summary}"
            # Names contain commas.
            if not wide and o.offer.aliases:
                text += f" (also {'  '.join(o.offer.aliases)})"
            if not wide and names.count(o.name) > 1:
                text += f" [{o.plugin}]"
            name = "  ".join((o.name, *o.offer.aliases)) if wide else o.name
            table.add_row(
                escape(name),
                *([mark(o.status)] if statuses else []),
                *([escape(o.plugin)] if wide else []),
                escape(text),
            )
        console.print(table, "")
    table = Table(box=None, pad_edge=False, title="plugins", title_justify="left")
    for header in ("name", "status", "distribution", "notes"):
        table.add_column(header, no_wrap=header != "notes")
    for p in registry.plugins:
        notes = [p.reason, *p.misspelt, f"hooks: {', '.join(p.hooks)}" if hooks else ""]
        source = f"{p.distribution} {p.version}".strip()
        table.add_row(
            escape(p.name), mark(p.status), escape(source), escape("; ".join(n for n in notes if n))
        )
    console.print(table)
    if not registry.plugins:
        console.print("none: is scfx installed (pip install), or only its sources on the path?")
