"""`scfx dataset export`: a dataset in another program's format."""

from __future__ import annotations

import click


@click.command()
@click.argument("path", type=click.Path())
@click.option(
    "--format", "form", required=True, help="qm1b, extxyz, ase, pyg, parquet, mace, hdf5, torchani or spice."
)
@click.option(
    "--output",
    "-o",
    type=click.Path(dir_okay=False),
    help="File to write; default: export-FORMAT.<ending> in PATH.",
)
@click.option(
    "--part", type=click.Choice(["train", "validation", "test"]), help="Only this part of the molecules."
)
@click.option(
    "--fractions", default="0.8,0.1,0.1", show_default=True, help="Shares of train, validation and test."
)
@click.option("--seed", default=0, show_default=True, help="Seed of the split.")
def export(path: str, form: str, output: str | None, part: str | None, fractions: str, seed: int) -> None:
    """Write the rows of the dataset in PATH that are ok, with their labels, as one file.

    A molecule is in the same part in every format, and in every dataset split with the same seed and shares.
    """
    import scfx
    import scfx_dataset
    from scfx_dataset.exports import FORMATS, export_beside
    from scfx_dataset.exports import export as write

    if form not in FORMATS:
        raise scfx.InputError(f"--format: got {form!r}, expected one of {', '.join(FORMATS)}")
    dataset = scfx_dataset.open(path)
    if part is not None:
        try:
            train, validation, test = (float(share) for share in fractions.split(","))
        except ValueError:
            raise scfx.InputError(
                f"--fractions: got {fractions!r}, expected three numbers as 0.8,0.1,0.1"
            ) from None
        shares = {"train": train, "validation": validation, "test": test}
        dataset = dataset.split({k: v for k, v in shares.items() if v > 0}, seed)[part]
    if output is None:
        rows, target = export_beside(dataset, form, f"export-{part}" if part else "export")
    else:
        rows, target = write(dataset, form, output), output
    click.echo(f"wrote {rows} rows to {target} ({FORMATS[form].summary})")
