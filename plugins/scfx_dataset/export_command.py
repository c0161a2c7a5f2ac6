"""`scfx dataset export`: a dataset in another program's format."""

from __future__ import annotations

import click
from click.core import ParameterSource


@click.command()
@click.argument("path", type=click.Path())
@click.option(
    "--format",
    "form",
    required=True,
    help="qm1b, extxyz, ase, pyg, parquet, mace, hdf5, torchani, spice, fairchem, nequip, deepmd or huggingface.",
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
@click.option(
    "--filter",
    "filters",
    multiple=True,
    metavar="NAME[=LIMIT],...",
    help="Leave rows out: max_force=10, max_net_force=0.001 (eV/angstrom), not_relaxed, broken_bonds.",
)
@click.pass_context
def export(
    context: click.Context,
    path: str,
    form: str,
    output: str | None,
    part: str | None,
    fractions: str,
    seed: int,
    filters: tuple[str, ...],
) -> None:
    """Write the rows of the dataset in PATH that are ok, with their labels, as one file; deepmd, huggingface: a folder.

    A molecule is in the same part in every format, and in every dataset split with the same seed and shares;
    huggingface has all parts. With --filter a card beside the file says how many rows each filter left out.
    """
    import scfx
    import scfx_dataset
    from scfx_dataset.exports import FORMATS, export_beside
    from scfx_dataset.exports import export as write
    from scfx_dataset.quality import parse

    chosen = parse(filters)
    if form not in FORMATS:
        raise scfx.InputError(f"--format: got {form!r}, expected one of {', '.join(FORMATS)}")
    splits = part is not None or FORMATS[form].parts
    for name in ("fractions", "seed"):
        if not splits and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise scfx.InputError(
                f"--{name}: the format {form!r} has all molecules in one file; say with --part which part of them, or "
                f"leave --{name} out"
            )
    dataset, parts = scfx_dataset.open(path), None
    if splits:
        try:
            train, validation, test = (float(share) for share in fractions.split(","))
        except ValueError:
            raise scfx.InputError(
                f"--fractions: got {fractions!r}, expected three numbers as 0.8,0.1,0.1"
            ) from None
        shares = {"train": train, "validation": validation, "test": test}
        made = dataset.split({k: v for k, v in shares.items() if v != 0}, seed)
        if part is None:
            parts = made
        elif part in made:
            dataset = made[part]
        else:
            raise scfx.InputError(f"--part: the share of {part} is 0 (--fractions {fractions})")
    if output is None:
        rows, target = export_beside(dataset, form, f"export-{part}" if part else "export", chosen, parts)
    else:
        rows, target = write(dataset, form, output, chosen, parts), output
    click.echo(f"wrote {rows} rows to {target} ({FORMATS[form].summary})")
    if chosen:
        click.echo(f"filters left rows out: {target} has a card beside it or in it that says how many")
