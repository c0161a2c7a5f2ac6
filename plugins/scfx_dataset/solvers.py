"""Between the dataset and the core: what a spec means, and a solver for it in a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import scfx
from scfx.errors import ConfigError
from scfx.execution.cores import available_cores
from scfx_dataset.cost import CostModel
from scfx_dataset.property_columns import property_columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


@runtime_checkable
class LabelSolver(Protocol):
    """What an attempt needs of a solver; `scfx.Solver` is one.

    Promise relied on: the result of a system does not depend on the other systems of the call.
    """

    @property
    def profile(self) -> Mapping[str, float]:
        """Return the seconds by stage since the solver was made, "compile" among them."""
        ...

    def solve(
        self,
        systems: Sequence[scfx.System],
        *,
        progress: Callable[[int, int, dict[str, int]], Any] | None = None,
    ) -> scfx.SCFResult:
        """Return the result of these systems.

        `progress` is called, one call at a time, with (systems done, systems in all, {status: how many}).
        """
        ...


class Description(NamedTuple):
    """A spec in the terms of a plan: its hash, a readable form, and the options outside the hash that still count.

    `cost` estimates what a molecule's label costs and counts its atomic orbitals.
    """

    spec_hash: str
    spec: dict[str, Any]
    solver: dict[str, Any]
    device: str = "cpu"
    cost: CostModel | None = None
    #: The columns of the properties that `scf.properties` asks for, as plain data: they go into the plan.
    columns: tuple[dict[str, Any], ...] = ()


def describe(spec: Any, registry: Any, atomic_numbers: Sequence[int] | None) -> Description:
    """Resolve an `SCFSpec` for the plan, with the elements to come if they are known.

    Raises `ConfigError` for unknown names and missing capabilities, `InputError` for an element not in the basis.
    """
    resolved = spec.resolve(registry, atomic_numbers)
    if labels := sorted(resolved.basis.labelled()):
        raise ConfigError(
            f"scf.basis.{labels[0]}",
            "a dataset's atoms have no labels (they come in the order of a canonical SMILES, or of many files), so a "
            "basis set for one of them cannot be honoured; choose by element, or compute single molecules: scfx energy",
        )
    shown = spec.model_dump(mode="json", exclude={"threads", "memory_budget"})
    # Where it is left out, what is asked for decides it: the plan says what is in force.
    shown["convergence"] = resolved.convergence.model_dump(mode="json")
    solver = {"recovery": spec.recovery, "lane_width": spec.lane_width}
    cost = CostModel.from_spec(resolved)
    return Description(
        resolved.spec_hash,
        {**shown, **resolved.names},
        solver,
        resolved.backend.device(),
        cost,
        property_columns(resolved.properties),
    )


def make_solver(spec: Any, threads: int | None, atomic_numbers: Sequence[int] | None) -> LabelSolver:
    """Return a `scfx.Solver` with the plugins installed here, for these elements (None: any).

    `threads` is this worker's share of the cores (None: all, or as the spec says). It gets the same share of the
    memory budget, so that the workers together keep to it, and each thread has the part it has without workers.
    """
    if threads is not None:
        budget = max(1, spec.memory_budget * threads // max(threads, available_cores()))
        spec = spec.model_copy(update={"threads": threads, "memory_budget": budget})
    return scfx.Solver(spec, scfx.Registry.discover(), atomic_numbers=atomic_numbers)
