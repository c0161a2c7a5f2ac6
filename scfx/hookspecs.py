"""What a plugin may offer. `docs/hooks.md` explains each; a test fails when one is missing there.

Hooks run on the host, at discovery or around a calculation, never inside `jit`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    import click

    from scfx.config.resolved import ResolvedSpec
    from scfx.contracts.basis import AbstractBasisSource
    from scfx.contracts.construction import ConstructionContext
    from scfx.contracts.functional import AbstractFunctional
    from scfx.model.batch import Batch
    from scfx.offer import Offer
    from scfx.results import SCFResult

hookspec = pluggy.HookspecMarker("scfx")
hookimpl = pluggy.HookimplMarker("scfx")


@hookspec
def scfx_register_backends() -> list[Offer]:  # type: ignore[empty-body]
    """Offer integral backends (`AbstractIntegralBackend`). All results are collected."""


@hookspec
def scfx_register_functionals() -> list[Offer]:  # type: ignore[empty-body]
    """Offer exchange-correlation functionals (`AbstractFunctional`). All results are collected."""


@hookspec
def scfx_register_dispersion_corrections() -> list[Offer]:  # type: ignore[empty-body]
    """Offer dispersion corrections (`AbstractDispersionCorrection`) that functionals name. All results are
    collected.
    """


@hookspec
def scfx_register_basis_sets() -> list[Offer]:  # type: ignore[empty-body]
    """Offer basis sets (`AbstractBasisSource`). All results are collected."""


@hookspec
def scfx_register_precision_policies() -> list[Offer]:  # type: ignore[empty-body]
    """Offer precision policies (`PrecisionPolicy` instances). All results are collected."""


@hookspec
def scfx_register_properties() -> list[Offer]:  # type: ignore[empty-body]
    """Offer properties (`AbstractProperty`) that `scf.properties` can name. All results are collected."""


@hookspec
def scfx_register_tasks() -> list[Offer]:  # type: ignore[empty-body]
    """Offer tasks (`AbstractTask`) that a `[[task]]` table can name. All results are collected."""


@hookspec
def scfx_register_labels() -> list[Offer]:  # type: ignore[empty-body]
    """Offer makers and readers of datasets of labels (`AbstractLabels`), which other tasks ask for. All are
    collected.
    """


@hookspec
def scfx_register_optimizers() -> list[Offer]:  # type: ignore[empty-body]
    """Offer optimisers of geometries (`AbstractOptimizer` classes) that a task can name. All results are collected."""


@hookspec
def scfx_register_executors() -> list[Offer]:  # type: ignore[empty-body]
    """Offer executors (`AbstractExecutor`) that run the attempts of a job. All results are collected."""


@hookspec
def scfx_register_models() -> list[Offer]:  # type: ignore[empty-body]
    """Offer machine-learning models for the training tasks. All results are collected."""


@hookspec(firstresult=True)
def scfx_resolve_functional(name: str, context: ConstructionContext) -> AbstractFunctional | None:
    """Return the functional of an open-ended family that `name` means, or None. Stops at the first that is not None.

    Asked only when no registered functional has the name. `context` has the registry that asks; leave it out of the
    arguments if you do not need it. `scfx.errors.RefusedNameError` ends the search: the name is known and must not be
    given in part.
    """


@hookspec(firstresult=True)
def scfx_resolve_basis(name: str, context: ConstructionContext) -> AbstractBasisSource | None:
    """Return the basis set of an open-ended family that `name` means, or None. Stops at the first that is not None.

    Asked only when no registered basis set has the name. `context` is that of `scfx_resolve_functional`.
    """


@hookspec
def scfx_register_commands(group: click.Group) -> None:
    """Add commands to the `scfx` command line: `group` is its `click.Group`. Import heavy modules in the callbacks."""


@hookspec
def scfx_report_header() -> str | list[str]:  # type: ignore[empty-body]
    """Return lines for `scfx info` (versions, devices found). All results are shown."""


@hookspec
def scfx_before_scf(batch: Batch, spec: ResolvedSpec) -> None:
    """Observe each batch before it is solved. The batch is read-only; called on the host."""


@hookspec
def scfx_after_scf(result: SCFResult) -> None:
    """Observe the result of each `scfx.solve`. Called on the host."""
