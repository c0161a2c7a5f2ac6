"""The `scfx` command: one group, its exit codes, and how an error is shown.

Exit codes: 0 done; 1 it ran, but a result is not usable (not converged); 2 the input or the configuration is wrong;
130 interrupted. The commands themselves are in `scfx.commands`; plugins add theirs through `scfx_register_commands`.
"""

from __future__ import annotations

import re
import sys
import traceback
import warnings
from functools import cached_property
from importlib.metadata import PackageNotFoundError, requires
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import get_completion_class

import scfx
from scfx.commands import compilation_cache
from scfx.commands.cite import cite
from scfx.commands.energy import energy
from scfx.commands.info import info
from scfx.commands.level import level
from scfx.commands.plugins import plugins
from scfx.commands.run import run
from scfx.errors import InputError, PluginUnavailableError, ResourceError, ScfxError
from scfx.execution.interrupt import leave_at_second_interrupt
from scfx.registry import PluginWarning, Registry

if TYPE_CHECKING:
    from collections.abc import Sequence

_HELP = """Kohn-Sham and Hartree-Fock labels for small molecules, and what each choice costs.

\b
Examples:
  scfx energy CCO                                  a SMILES string, defaults
  scfx energy water.xyz --functional pbe0 --basis 6-31g* --json
  scfx run config.toml --set scf.precision=mixed   the [[task]] entries of a file
  scfx plugins                                     which names can be used here
"""


#: The variable by which a shell asks for completions; click's own name for the program "scfx".
_COMPLETE = "_SCFX_COMPLETE"


class Session:
    """What the commands share: the registry, discovered when first needed."""

    def __init__(self, registry: Registry | None = None):
        if registry is not None:
            self.__dict__["registry"] = registry

    @cached_property
    def registry(self) -> Registry:
        """Return the installed plugins, discovered when they are first asked for."""
        return Registry.discover()


class _PluginCommands(click.Group):
    """Where plugins put their commands: refuses names that are taken, so that none is replaced silently."""

    def add_command(self, cmd: click.Command, name: str | None = None) -> None:
        name = name or cmd.name
        if name in self.commands or name in BUILT_IN:
            raise InputError(f"the command {name!r} exists already; call it something else")
        super().add_command(cmd, name)


class _Group(click.Group):
    """Built-in commands, then those of plugins, which are asked for only when a name is not built in."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*super().list_commands(ctx), *self._of_plugins(ctx).commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return super().get_command(ctx, cmd_name) or self._of_plugins(ctx).commands.get(cmd_name)

    def _of_plugins(self, ctx: click.Context) -> click.Group:
        session = ctx.ensure_object(Session)
        if "plugin_commands" not in ctx.meta:
            group = _PluginCommands()
            session.registry.hook.scfx_register_commands(group=group)
            ctx.meta["plugin_commands"] = group
        return ctx.meta["plugin_commands"]


def _completion(ctx: click.Context, _: click.Parameter, shell: str | None) -> None:
    """Print click's script for a shell, to be put into its start-up file, and end."""
    if shell is None or ctx.resilient_parsing:
        return
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.command, {}, "scfx", _COMPLETE).source())
    ctx.exit()


@click.group(cls=_Group, help=_HELP, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(scfx.__version__, prog_name="scfx")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--completion",
    type=click.Choice(["bash", "zsh", "fish"]),
    is_eager=True,
    expose_value=False,
    callback=_completion,
    help="Print what makes this shell complete commands and options.",
)
@click.pass_context
def cli(ctx: click.Context, debug: bool) -> None:
    ctx.ensure_object(Session)


for _command in (energy, run, plugins, level, info, cite):
    cli.add_command(_command)
BUILT_IN = frozenset(cli.commands)


def main(arguments: Sequence[str] | None = None, *, registry: Registry | None = None) -> int:
    """Run the command line and return its exit code. `registry` in place of the discovered one is for tests."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    # Read here too: an error must know it even if the command line cannot be parsed.
    debug = "--debug" in arguments
    if debug:
        arguments = ["--debug", *(a for a in arguments if a != "--debug")]
    with warnings.catch_warnings():
        warnings.showwarning = _show_warning
        # Whatever -W says: a plugin's fault is shown and never fatal.
        warnings.simplefilter("always", PluginWarning)
        try:
            compilation_cache.enable()
            with leave_at_second_interrupt():
                code = cli.main(
                    arguments,
                    prog_name="scfx",
                    complete_var=_COMPLETE,
                    standalone_mode=False,
                    obj=Session(registry),
                )
        except click.ClickException as error:
            error.show()
            return 2
        except (click.Abort, KeyboardInterrupt):
            click.echo("scfx: interrupted", err=True)
            return 130
        except (InputError, ResourceError) as error:
            return _fail(error, 2, debug)
        except ScfxError as error:
            return _fail(error, 1, debug)
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and (remedy := _how_to_install(error.name or "")):
                return _fail(PluginUnavailableError("", remedy), 2, debug)
            if debug:
                traceback.print_exc()
            click.echo(
                f"scfx: unexpected {type(error).__name__}: {error}"
                + ("" if debug else "\nThis is a fault of scfx or of a plugin; --debug shows where."),
                err=True,
            )
            return 1
    return code if isinstance(code, int) else 0


def _how_to_install(module: str) -> str:
    """What to say where a package is missing that an extra of scfx names; "" for any other module."""
    package = module.partition(".")[0].replace("_", "-").lower()
    try:
        wanted = requires("scfx") or []
    except PackageNotFoundError:
        return ""
    for line in wanted:
        name, _, marker = line.partition(";")
        extra = re.search(r"""extra\s*==\s*['"]([^'"]+)""", marker)
        if (
            extra
            and extra[1] != "dev"
            and re.split(r"[^A-Za-z0-9_.-]", name)[0].replace("_", "-").lower() == package
        ):
            return (
                f"this needs the package {package!r}, which is not installed: pip install 'scfx[{extra[1]}]'"
            )
    return ""


def _fail(error: Exception, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    click.echo(f"scfx: {error}", err=True)
    return code


def _show_warning(message: Any, category: Any, *_: Any, **__: Any) -> None:
    click.echo(f"scfx: warning: {message}", err=True)
