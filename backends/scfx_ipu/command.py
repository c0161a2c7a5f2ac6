"""`scfx ipu`: what a molecule would take on the IPU."""

from __future__ import annotations

import click


@click.group(short_help="The IPU backend: plan what a molecule takes.")
def ipu() -> None:
    """Commands of the IPU backend (docs/ipu.md)."""


@ipu.command(short_help="Tiles, bytes, cycles and rates of a molecule.")
@click.argument("molecule")
@click.option("--basis", default="sto-3g", show_default=True, help="Any basis set that scf.basis takes.")
@click.option("--tiles", default=1472, show_default=True, type=click.IntRange(1, 1472), help="Of each IPU.")
@click.option(
    "--largest/--no-largest", default=True, help="Search for the largest alkane that fits (some seconds)."
)
@click.pass_obj
def plan(session, molecule: str, basis: str, tiles: int, largest: bool) -> int:
    """Print what MOLECULE (an xyz file or a SMILES string) takes on 1, 4 and 16 IPUs. Nothing is run."""
    from scfx.commands.energy import read_molecule
    from scfx.model.basis import BasisSet
    from scfx.model.batch import Batch
    from scfx_ipu.molecule import ShellStructure
    from scfx_ipu.plan import report

    system = read_molecule(molecule, None, None, 42)
    source = session.registry.basis(basis)
    batch = Batch.from_systems([system], BasisSet.from_source(source, system.atomic_numbers))
    click.echo(
        report(molecule, basis, source, ShellStructure.from_layout(batch.layout), batch.nao, tiles, largest)
    )
    return 0
