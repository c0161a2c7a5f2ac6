"""`scfx dataset ...`. Heavy imports are in the callbacks: listing the commands must stay fast."""

from __future__ import annotations

import json

import click

from scfx_dataset.export_command import export
from scfx_dataset.plan_command import plan
from scfx_dataset.report_command import report


@click.group()
def dataset() -> None:
    """Plan, look at and check datasets of labels.

    A dataset is made by `scfx run config.toml` with a [[task]] whose name is "dataset"; running it again resumes it.
    """


dataset.add_command(plan)
dataset.add_command(export)
dataset.add_command(report)


@dataset.command()
@click.argument("path", type=click.Path(file_okay=False))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def summary(path: str, as_json: bool) -> None:
    """Rows by status, gap statistics, speed and time by stage of the dataset in PATH."""
    import scfx_dataset
    from scfx_dataset.summary import as_text

    found = scfx_dataset.open(path).summary()
    click.echo(json.dumps(found, indent=2) if as_json else as_text(found))


@dataset.command()
@click.argument("path", type=click.Path(file_okay=False))
@click.option(
    "--drop-damaged", is_flag=True, help="Take back the commits of damaged shards: a run makes them again."
)
def verify(path: str, drop_damaged: bool) -> None:
    """Read everything in PATH and compare it with the checksums of the plan and the commits. Exit code 1: damaged."""
    import scfx_dataset
    from scfx_dataset.commits import drop_damaged as drop

    opened = scfx_dataset.open(path)
    problems = opened.verify()
    for problem in problems:
        click.echo(problem, err=True)
    if problems and drop_damaged:
        click.echo(f"took back {drop(opened)} commits; run the same configuration again to compute them")
    if problems:
        raise SystemExit(1)
    click.echo(f"{len(opened)} committed rows of {opened.plan.counts['rows']} planned: all checksums agree")


@dataset.command()
@click.argument("path", type=click.Path(file_okay=False))
@click.option(
    "--write", is_flag=True, help="Also write README.md, summary.json, failures.parquet and gaps.png."
)
def card(path: str, write: bool) -> None:
    """Print the dataset card (Hugging Face layout) of the dataset in PATH."""
    import scfx_dataset
    from scfx_dataset.report import card as make_card
    from scfx_dataset.report import write_report
    from scfx_dataset.store import open_store

    opened = scfx_dataset.open(path)
    found = opened.summary()
    click.echo(make_card(opened, found, bool(found["gap_ev"]["n"])))
    if write:
        write_report(opened, open_store(path), found)


@dataset.command()
@click.argument("path")
def compact(path: str) -> None:
    """Copy all commit records of PATH to one file, commits.parquet, which readers then use.

    For datasets of many thousands of shards. The records stay, and only they say what is committed; run it again whenever.
    """
    import scfx_dataset
    from scfx_dataset.commits import compact as write

    click.echo(f"compacted {write(scfx_dataset.open(path).plan)} commit records")
