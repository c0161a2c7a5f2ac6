"""`scfx energy`: one molecule."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, cast

import click

from scfx.commands.energy_report import about, as_record, as_text, property_lines

if TYPE_CHECKING:
    from scfx.cli import Session
    from scfx.model.stated import LengthUnit
    from scfx.model.system import System

_EPILOG = """\b
Examples:
  scfx energy CCO --json
  scfx energy water.xyz --functional b3lyp --basis 6-31g* --backend libcint --precision float64 --grid 3
  scfx energy '[OH]' --functional pbe0 --multiplicity 2
  scfx energy CO --level ani --set scf.grid=1     a published dataset's level; scfx level lists them
  scfx energy water.xyz --backend '{ name = "simd", threads = 1 }'     options as in TOML
  scfx energy water.xyz --set scf.convergence.energy=1e-9 --json -o water.json

\b
Names: scfx plugins lists them. b3lyp is VWN-RPA, as Gaussian's and PySCF's; b3lyp5 is VWN5, as GAMESS's.
"""


class TomlValue(click.ParamType):
    """A name, an integer, or an inline TOML table, so that a flag takes every form that a file takes."""

    name = "name|table"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the value that a text of the command line stands for, as TOML reads it."""
        import tomllib

        if not isinstance(value, str):
            return value
        if not value.lstrip().startswith("{"):
            return int(value) if value.strip().isdigit() else value
        try:
            return tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError as error:
            self.fail(f'{value!r} is not an inline TOML table as {{ name = "..." }}: {error}', param, ctx)


class Names(click.ParamType):
    """Names separated by commas, or a TOML list, whose items may be tables with options."""

    name = "names"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the names in a comma-separated text."""
        import tomllib

        if not isinstance(value, str):
            return value
        if not value.lstrip().startswith("["):
            return tuple(name.strip() for name in value.split(","))
        try:
            return tuple(tomllib.loads(f"value = {value}")["value"])
        except tomllib.TOMLDecodeError as error:
            self.fail(f"{value!r} is not a TOML list: {error}", param, ctx)


def _levels(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    from scfx.config.levels import LEVELS

    return [name for name in LEVELS if name.startswith(incomplete)]


@click.command(short_help="Energy, HOMO, LUMO and gap of one molecule.", epilog=_EPILOG)
@click.argument("molecule")
@click.option(
    "--level",
    default=None,
    shell_complete=_levels,
    help="Of a published dataset, as spice; other flags win over it.",
)
@click.option(
    "--functional", type=TomlValue(), default="b3lyp", show_default=True, help="PySCF's names, case-free."
)
@click.option(
    "--basis", type=TomlValue(), default="sto-3g", show_default=True, help="Any Basis Set Exchange name."
)
@click.option(
    "--backend", type=TomlValue(), default="auto", show_default=True, help="Who computes the integrals."
)
@click.option("--precision", type=TomlValue(), default="float64", show_default=True, help="Precision policy.")
@click.option("--grid", type=TomlValue(), default=3, show_default=True, help="PySCF's grid level, 0 to 9.")
@click.option(
    "--convergence",
    type=TomlValue(),
    default="default",
    help="default, tight, forces, loose, qm1b. [default: default; forces where a gradient is asked for]",
)
@click.option(
    "--reference",
    type=click.Choice(["auto", "restricted", "unrestricted", "restricted-open"]),
    default="auto",
    show_default=True,
    help="auto: restricted for singlets, else unrestricted.",
)
@click.option(
    "--charge",
    type=int,
    default=None,
    help="Total charge. [default: the file's or the SMILES's; 0 if it has none]",
)
@click.option(
    "--multiplicity", type=int, default=None, help="2S + 1. [default: the file's; else the lowest possible]"
)
@click.option(
    "--unit", type=click.Choice(["angstrom", "bohr"]), default=None, help="Of an xyz file. [default: its own]"
)
@click.option("--frame", type=int, default=None, help="Of an xyz file with several, from 1.")
@click.option("--seed", type=int, default=42, show_default=True, help="Of the conformer made from a SMILES.")
@click.option(
    "--threads", type=int, default=None, help="Host threads. [default: all that the process may use]"
)
@click.option(
    "--properties",
    type=Names(),
    default=(),
    metavar="NAME,...",
    help="What else to compute, as gradient,hirshfeld_charges. See scfx plugins.",
)
@click.option("--quadrupole", is_flag=True, help="The quadrupole moment too.")
@click.option("--stability", is_flag=True, help="Whether the solution is a minimum.")
@click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="scf.KEY=VALUE",
    help="Any other key of [scf]; the value is TOML, or plain text. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of text.")
@click.option(
    "-o",
    "--output",
    type=click.Path(),
    default=None,
    help="Write to this new file instead of standard output; JSON if it ends in .json.",
)
@click.pass_obj
def energy(
    session: Session,
    molecule: str,
    charge: int | None,
    multiplicity: int | None,
    unit: str | None,
    frame: int | None,
    seed: int,
    overrides: tuple[str, ...],
    as_json: bool,
    output: str | None,
    **spec: Any,
) -> int:
    """Compute MOLECULE: the path of an xyz or extended xyz file, or a SMILES string.

    Exit code 1 if it does not converge, 2 if the input is wrong.
    """
    from scfx.config.spec import SCFSpec

    checked = SCFSpec.create(_with_overrides(spec, overrides))
    _check_output(output)
    system = read_molecule(molecule, charge, multiplicity, None if _is_default("seed") else seed, unit, frame)

    from scfx.driver import Solver  # loads JAX, which bad input should not wait for

    result = Solver(checked, session.registry, atomic_numbers=system.atomic_numbers).solve([system])
    record = about(system, checked.reference) | as_record(result)
    text = "\n".join([as_text(record), *property_lines(result)])
    shown = json.dumps(record, allow_nan=False) if as_json or (output or "").endswith(".json") else text
    if output is None:
        click.echo(shown)
    else:
        with open(output, "x", encoding="utf-8") as handle:
            handle.write(shown + "\n")
    return 0 if record["converged"] else 1


def _is_default(option: str) -> bool:
    context = click.get_current_context(silent=True)
    source = context.get_parameter_source(option) if context else None
    return source is not click.core.ParameterSource.COMMANDLINE


def _with_overrides(spec: dict[str, Any], overrides: tuple[str, ...]) -> dict[str, Any]:
    """The flags as a table of [scf], with what `--set` says on top; one key is not said in both ways."""
    from scfx.config.toml import apply_override
    from scfx.errors import ConfigError

    # Left out where it was not given: the thresholds then are those that what is asked for needs.
    if _is_default("convergence"):
        spec = {key: value for key, value in spec.items() if key != "convergence"}
    # A flag that was not given says nothing against the level.
    if spec.get("level") is not None or any(text.startswith("scf.level=") for text in overrides):
        spec = {key: value for key, value in spec.items() if key == "level" or not _is_default(key)}
    table: dict[str, Any] = {"scf": {key: value for key, value in spec.items() if value is not None}}
    for override in overrides:
        key = override.partition("=")[0].strip()
        if not key.startswith("scf."):
            raise ConfigError("--set", f"got {override!r}; here the keys are those of [scf], as scf.grid=1")
        flag = key.removeprefix("scf.")
        if flag in spec and not _is_default(flag):
            raise ConfigError("--set", f"{key} is also given as --{flag}; keep one of them")
        table = apply_override(table, override)
    return table["scf"]


def _check_output(output: str | None) -> None:
    """Raise `InputError` before the calculation for a file that exists or a folder that does not."""
    from scfx.errors import InputError

    if output is None:
        return
    if os.path.lexists(output):
        raise InputError(f"--output: {output!r} exists; remove it or choose another name")
    if not os.path.isdir(os.path.dirname(output) or "."):
        raise InputError(f"--output: there is no folder {os.path.dirname(output)!r}")


def read_molecule(
    molecule: str,
    charge: int | None,
    multiplicity: int | None,
    seed: int | None,
    unit: str | None = None,
    frame: int | None = None,
) -> System:
    """Return an xyz file if there is one of that name (or it ends so), else SMILES. None: what the molecule says
    itself.

    Raises `InputError` for options that are for the other of the two.
    """
    from scfx.errors import InputError, PluginUnavailableError
    from scfx.model.conversion import is_xyz_path
    from scfx.model.system import System

    if is_xyz_path(molecule):
        if seed is not None:
            raise InputError("--seed is for conformers of SMILES strings; the geometry of a file has none")
        return System.from_xyz(
            molecule, charge, multiplicity, unit=cast("LengthUnit | None", unit), frame=frame
        )
    for option, value in (("--unit", unit), ("--frame", frame)):
        if value is not None:
            raise InputError(
                f"{option} is for xyz files; {molecule!r} is no file, and is read as a SMILES string"
            )
    try:
        return System.from_smiles(molecule, 42 if seed is None else seed, multiplicity, charge=charge)
    except PluginUnavailableError:
        raise
    except InputError as error:
        raise InputError(f"MOLECULE: got {molecule!r}, which is no file; read as SMILES: {error}") from error
