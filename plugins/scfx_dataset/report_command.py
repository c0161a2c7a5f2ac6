"""`scfx dataset report`: the files beside the data, made again."""

from __future__ import annotations

import click


@click.command()
@click.argument("path", type=click.Path())
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False), help="Write the HTML report there and nothing in PATH."
)
def report(path: str, output: str | None) -> None:
    """Make the HTML report of the dataset in PATH, and with it card, summary, failures and histogram again."""
    from pathlib import Path

    import scfx
    import scfx_dataset
    from scfx_dataset.report import html_of, write_report

    if output is not None and "://" in output:
        raise scfx.InputError(
            f"--output: got {output!r}, expected a file of this machine; without it the report goes to the dataset "
            "itself, also in a bucket"
        )
    opened = scfx_dataset.open(path)
    found = opened.summary()
    if output is not None:
        target = Path(output)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(html_of(opened, found), encoding="utf-8")
        click.echo(f"wrote {output}")
        return
    click.echo(f"wrote {', '.join(write_report(opened, opened.plan.store, found))} in {path}")
