"""`scfx level`: the levels of theory of published datasets."""

from __future__ import annotations

import json
import textwrap
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from scfx.config.levels import Level

_WIDTH = 80


@click.command(short_help="Levels of theory of published datasets, as keys of [scf].")
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def level(name: str | None, as_json: bool) -> None:
    """List the levels, or print what the level NAME stands for.

    A level is used as `level = "NAME"` in [scf], as scfx.solve(..., level="NAME"), or as
    scfx energy ... --level NAME. Keys that are given besides win over it.
    """
    from scfx.config.levels import LEVELS, level_name
    from scfx.errors import ConfigError

    if name is None:
        if as_json:
            click.echo(json.dumps({key: each.as_dict() for key, each in LEVELS.items()}))
            return
        for key, each in LEVELS.items():
            click.echo(f"{key:<11}{each.title}")
        click.echo("scfx level NAME says what each stands for.")
        return
    try:
        chosen = LEVELS[level_name(name) or ""]
    except ValueError as error:
        raise ConfigError("level", f"got {name!r}; {error}") from None
    if as_json:
        click.echo(json.dumps(chosen.as_dict()))
        return
    click.echo(f"# {chosen.title}; the original is by {chosen.program}")
    click.echo("[scf]")
    for key, value in chosen.scf.items():
        click.echo(_wrapped(f"{key} = ", _toml(value), " " * 4))
    for head, lines in (
        ("The set publishes", chosen.publishes),
        ("Not computed here", chosen.absent),
        ("Differs from the original", chosen.deviations),
        ("A row costs", _costs(chosen)),
        ("Sources", chosen.sources),
    ):
        if lines:
            click.echo(f"\n# {head}")
            for line in lines:
                click.echo(_wrapped("# - ", line, "#   "))


def _costs(chosen: Level) -> list[str]:
    costs = chosen.costs()
    if not costs:
        return []
    seconds = ", ".join(f"{smiles} {value:.3g} s" for smiles, value in costs["seconds"].items())
    return [f"{seconds}: {costs['how']}"]


def _wrapped(head: str, text: str, further: str) -> str:
    return textwrap.fill(
        text,
        _WIDTH,
        initial_indent=head,
        subsequent_indent=further,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _toml(value: Any) -> str:
    """A value of the table as TOML; JSON agrees with it for text, numbers, truth values and lists."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)
