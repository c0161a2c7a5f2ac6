"""What a property gives: one value of each converged entry, and how the value is called, shaped and stored.

Results, `scfx energy --json`, columns of datasets and exports are derived from what stands here: a new property is one
class, registered by `scfx_register_properties`.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from jaxtyping import Int32

from scfx.errors import ScfxError

if TYPE_CHECKING:
    from scfx.config.precision import PrecisionPolicy
    from scfx.config.resolved import ResolvedSpec
    from scfx.properties.entry import ConvergedEntry
    from scfx.scf.batch_scf import BatchSCF

#: A value: a number, an array, or numbers by name (axis "component"); float64.
Value = float | np.ndarray | Mapping[str, float]


class PropertyError(ScfxError):
    """Why a property has no value for an entry. It costs the entry that value and nothing else."""


@dataclass(frozen=True)
class Column:
    """How values are stored in a table: under which name, in which unit, multiplied by which factor (with its sign).

    The unit is part of the name, as in "forces_ev_per_angstrom".
    """

    name: str
    unit: str = ""
    factor: float = 1.0
    description: str = ""

    def stored(self, value: Value | None) -> Any:
        """Return a value as plain numbers and lists; None for None and for what is not a number."""
        return None if value is None else plain(value, self.factor)


class AbstractProperty(abc.ABC):
    """One property. Constructed once for a calculation, with the options of its table in `scf.properties`.

    Values are float64 in atomic units, atoms in the system's own order. Axes that scfx knows, and checks: "atom",
    "xyz", "spin" (1 where both spins have one density, else alpha and beta), "ao", "orbital" (those kept), "component"
    (numbers by name). Other axes may have any length. No axis: a number.
    """

    #: Name as registered, as `scf.properties` and `SCFResult.properties` have it.
    name: str
    #: Of the values: "hartree/bohr", "bohr^2", "e" (elementary charge)...; empty: a pure number.
    unit: ClassVar[str] = ""
    axes: ClassVar[tuple[str, ...]] = ()
    #: One line that says what it is.
    summary: ClassVar[str]
    #: Names of other properties whose values it takes, by `entry.value(name)`. They are computed once.
    needs: ClassVar[tuple[str, ...]] = ()
    #: Names of properties that say how good this one is: asking for it asks for them too.
    quality: ClassVar[tuple[str, ...]] = ()
    #: Order of nuclear derivatives of the integrals that it takes from the backend.
    derivatives: int = 0
    #: Whether its error is of first order in that of the density, so that the preset "forces" holds where
    #: `scf.convergence` is left out, and a rule that bounds no residual is refused. So it is where `derivatives` > 0.
    stationary: bool = False
    #: Whether it takes densities under a rule that bounds no residual all the same, because the user said so.
    any_residual: bool = False
    #: How tables store it; None: it has no place in a table.
    column: ClassVar[Column | None] = None

    @property
    def key(self) -> str:
        """Return the name and unit, as `scfx energy --json` writes them: "gradient_hartree_per_bohr"."""
        unit = self.unit.replace("/", "_per_").replace("^", "").replace(" ", "_")
        return f"{self.name}_{unit}" if unit else self.name

    def check(self, resolved: ResolvedSpec) -> None:  # noqa: B027 - most properties need nothing
        """Raise `ConfigError` with the key where the calculation cannot give this property. Before any SCF."""

    def definition(self, policy: PrecisionPolicy) -> Mapping[str, Any]:
        """Return what of its options decides the values, resolved; not empty, it enters spec hash and provenance.

        `policy`: that of the last iterations.
        """
        return {}

    @abc.abstractmethod
    def compute(self, entry: ConvergedEntry) -> Value:
        """Return the value of one converged entry. `PropertyError` says why there is none; other errors are taken as
        that.
        """


class AbstractBatchProperty(AbstractProperty):
    """Marker: a property whose work is done for the entries of a batch together, while its integrals are held."""

    @abc.abstractmethod
    def compute_batch(
        self, run: BatchSCF, lanes: Int32[np.ndarray, "active"]
    ) -> Sequence[Value | PropertyError]:
        """Return a value of each of the entries `lanes`, or (returned, not raised) why there is none."""

    def compute(self, entry: ConvergedEntry) -> Value:
        """Return the value of one entry that `compute_batch` found."""
        return entry.value(self.name)


def plain(value: Any, factor: float = 1.0) -> Any:
    """Return plain Python numbers, lists and dicts of a value times a factor; None for what is not finite."""
    if isinstance(value, Mapping):
        return {name: plain(number, factor) for name, number in value.items()}
    array = np.asarray(value, dtype=np.float64)
    # A factor of 1 changes no bit, and no sign of a zero.
    array = array if factor == 1.0 else array * factor
    return array.tolist() if np.isfinite(array).all() else _without_nan(array.tolist())


def _without_nan(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value if np.isfinite(value) else None
