"""`SCFResult`: what a calculation gives, system by system."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from jaxtyping import Bool, Float64, Int32

from scfx.errors import ConvergenceError, PluginUnavailableError
from scfx.status import INSTABILITY as INSTABILITY
from scfx.status import Stability as Stability
from scfx.status import Status as Status

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from scfx.contracts.property import AbstractProperty
    from scfx.model.basis import BasisSet
    from scfx.model.system import System
    from scfx.system_result import SystemResult


#: Fields of `SCFResult` that are not arrays or lists over systems.
_OF_ALL = ("properties", "property_reasons", "descriptors", "provenance", "basis_set")


@dataclass(frozen=True, eq=False)
class SCFResult:
    """Labels of a list of systems, in the order they were given. Energies in hartree, dipoles in atomic units.

    `result[0]` has those of one system (`SystemResult`), `for one in result` goes through them, and slices, numbers
    and masks give a result of some. `save` writes all of it into a file.

    `energy`, `homo`, `lumo`, `gap` [batch]: NaN for entries that failed, and for `lumo` and `gap` where the basis
    leaves no orbital empty. `orbital_energies` [batch, nao], or [batch, 2, nao] (alpha, beta; of "restricted-open"
    runs Roothaan's, twice) if any entry is open shell; rows of smaller molecules are padded with NaN.
    `dipole` [batch, 3] in e·bohr about the coordinate origin (which matters for ions).
    `residual` [batch] is the largest element of the orbital gradient
    (X^T (FDS - SDF) X); `energy_change` that of the last iteration. `rung` says which step of the recovery ladder
    gave the result ("" for the plain procedure). An entry with `converged` False keeps its last values for looking,
    never as labels. `n_orbitals` is below `nao` where linearly dependent combinations of AOs were left out
    (`scf.linear_dependence_threshold`); the last of `orbital_energies` are then NaN. `density` holds one density matrix
    [nspin, nao, nao] per system when asked for, in the AO order of the system's own atoms. `dispersion_energy`
    [batch] is the part of `energy` that the functional's dispersion correction adds (0 where it has none).

    `mulliken_charges`, `loewdin_charges` [natm] (elementary charges) and Mayer's `bond_orders` [natm, natm] are lists
    by system, atoms in the system's own order. With the density come `overlap` [nao, nao], `orbital_coefficients`
    [nspin, nao, n_orbitals] (columns belong to `orbital_energies`), in the same AO order, and the `basis_set`:
    what `scfx.export.to_molden` and `to_cube` write.

    `quadrupole` [batch, 3, 3], where `scf.quadrupole` asks for it, is the traceless moment of Buckingham in e·bohr²
    about the centre of nuclear charge. `stability` holds a `Stability` by system where `scf.stability` asks for it
    (None for one that did not converge).

    `energy_components` are the parts of `energy` by name in hartree, by system: "kinetic", "nuclear_attraction",
    "coulomb", "exchange", "exchange_correlation", "nonlocal_correlation", "nuclear_repulsion", "dispersion", as far as
    the functional has them; they add up to it. `electrons_on_grid` [batch] is the number of electrons that the grid
    integrates to (NaN without a functional): how far it is from the true one says how good the grid is.

    `gradient`, where `scf.properties` has "gradient", is a list by system of [natm, 3] in hartree/bohr, atoms in the
    system's own order: the derivative of `energy` by the positions, minus the force. None where there is none, with
    the reason in `gradient_reason`.

    `properties` holds what `scf.properties` asks for by name, and what says how good it is: a list by system of a
    number, an array or numbers by name, in atomic units; None where there is none, with the reason in
    `property_reasons`. `descriptors` say of each its unit, its axes and how it is stored (`AbstractProperty`).
    """

    systems: Sequence[System]
    energy: Float64[np.ndarray, "batch"]
    homo: Float64[np.ndarray, "batch"]
    lumo: Float64[np.ndarray, "batch"]
    orbital_energies: Float64[np.ndarray, "batch *spin nao"]
    dipole: Float64[np.ndarray, "batch 3"]
    converged: Bool[np.ndarray, "batch"]
    iterations: Int32[np.ndarray, "batch"]
    residual: Float64[np.ndarray, "batch"]
    energy_change: Float64[np.ndarray, "batch"]
    status: list[Status]
    rung: list[str]
    reason: list[str]
    nao: Int32[np.ndarray, "batch"]
    n_grid: Int32[np.ndarray, "batch"]
    s_squared: Float64[np.ndarray, "batch"]
    n_orbitals: Int32[np.ndarray, "batch"]
    dispersion_energy: Float64[np.ndarray, "batch"] | None = None
    mulliken_charges: list[np.ndarray] | None = None
    loewdin_charges: list[np.ndarray] | None = None
    bond_orders: list[np.ndarray] | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    density: list[np.ndarray] | None = None
    history: list[np.ndarray] | None = None
    overlap: list[np.ndarray] | None = None
    orbital_coefficients: list[np.ndarray] | None = None
    basis_set: BasisSet | None = None
    quadrupole: Float64[np.ndarray, "batch 3 3"] | None = None
    stability: list[Stability | None] | None = None
    energy_components: list[dict[str, float]] | None = None
    electrons_on_grid: Float64[np.ndarray, "batch"] | None = None
    gradient: list[np.ndarray | None] | None = None
    gradient_reason: list[str] | None = None
    properties: dict[str, list[Any]] = field(default_factory=dict)
    property_reasons: dict[str, list[str]] = field(default_factory=dict)
    descriptors: dict[str, AbstractProperty] = field(default_factory=dict)

    @property
    def gap(self) -> Float64[np.ndarray, "batch"]:
        """Return LUMO minus HOMO in hartree."""
        return self.lumo - self.homo

    def __len__(self) -> int:
        return len(self.systems)

    def _repr_html_(self) -> str:
        from scfx.notebook import result_html

        return result_html(self)

    def __repr__(self) -> str:
        """One line: how many, how they ended, and what they are of."""
        counts = ", ".join(
            f"{sum(s is status for s in self.status)} {status.value}"
            for status in Status
            if status in self.status
        )
        level = "/".join(self.provenance[key] for key in ("functional", "basis") if key in self.provenance)
        asked = f", properties: {', '.join(self.properties)}" if self.properties else ""
        return f"SCFResult({counts}{f', {level}' if level else ''}{asked})"

    def __iter__(self) -> Iterator[SystemResult]:
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, which: int | np.integer) -> SystemResult: ...
    @overload
    def __getitem__(self, which: slice | Sequence[int] | np.ndarray) -> SCFResult: ...
    def __getitem__(self, which: Any) -> SystemResult | SCFResult:
        """The labels of one system for a number; of some systems for a slice, numbers, or an array of True and False.

        `result[0]`, `result[-1]`; `result[:10]`, `result[[3, 1]]`, `result[result.converged]`.
        """
        if isinstance(which, (int, np.integer)) and not isinstance(which, (bool, np.bool_)):
            if not -len(self) <= which < len(self):
                raise IndexError(f"there are {len(self)} systems, and no number {which}")
            return self._one(range(len(self))[int(which)])
        indices = np.arange(len(self))[which if isinstance(which, slice) else np.asarray(which)]
        if indices.ndim != 1:
            raise TypeError(
                f"expected a number, a slice, numbers or an array of True and False, got {which!r}"
            )
        return self._some(indices)

    def _by_system(self) -> dict[str, Any]:
        """The fields that are arrays or lists over systems, as far as they are there."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in _OF_ALL}
        return {name: value for name, value in values.items() if value is not None}

    def _of_all(self) -> dict[str, Any]:
        return {
            "provenance": self.provenance, "basis_set": self.basis_set, "descriptors": self.descriptors,
        }  # fmt: skip

    def _one(self, index: int) -> SystemResult:
        from scfx.system_result import SystemResult

        own = {
            name: value[index].item() if isinstance(value, np.ndarray) and value.ndim == 1 else value[index]
            for name, value in self._by_system().items()
        }
        own["system"] = own.pop("systems")
        own["orbital_energies"] = own["orbital_energies"][..., : own["nao"]]
        return SystemResult(
            **own,
            properties={name: values[index] for name, values in self.properties.items()},
            property_reasons={name: values[index] for name, values in self.property_reasons.items()},
            **self._of_all(),
        )

    def _some(self, indices: np.ndarray) -> SCFResult:
        def taken(values: Any) -> Any:
            return values[indices] if isinstance(values, np.ndarray) else [values[i] for i in indices]

        own = {name: taken(value) for name, value in self._by_system().items()}
        own["orbital_energies"] = own["orbital_energies"][..., : max(own["nao"], default=0)]
        return SCFResult(
            **own,
            properties={name: taken(values) for name, values in self.properties.items()},
            property_reasons={name: taken(values) for name, values in self.property_reasons.items()},
            **self._of_all(),
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write everything into one file, `path` ending in ".npz"; `SCFResult.load` reads it. Returns the path.

        Arrays over systems are numpy's own: `numpy.load(path)["energy"]` needs no scfx. A table without the matrices:
        `to_pandas().to_csv(path)`.
        """
        from scfx.result_file import save

        return save(self, path)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SCFResult:
        """Read what `save` wrote: equal to the bit, but for `descriptors`, which can describe and not compute."""
        from scfx.result_file import load

        return cls(**load(path))

    def to_dict(self) -> list[dict[str, Any]]:
        """Return a record of plain numbers, lists and text for each system, with the unit in each name; NaN becomes
        None.
        """
        return [one.to_dict() for one in self]

    def to_pandas(self) -> Any:
        """Return `to_dict` as a table, a row a system. Needs pandas."""
        try:
            import pandas
        except ImportError as error:
            raise PluginUnavailableError(
                "", "to_pandas needs the package 'pandas': pip install pandas"
            ) from error
        return pandas.DataFrame(self.to_dict())

    def raise_for_status(self) -> SCFResult:
        """Return self, or raise `ConvergenceError` naming the entries that did not converge."""
        bad = [i for i, ok in enumerate(self.converged) if not ok]
        if bad:
            lines = "; ".join(
                f"entry {i} ({self.systems[i]!r}): {self.reason[i] or self.status[i].explain()}"
                for i in bad[:5]
            )
            raise ConvergenceError(f"{len(bad)} of {len(self)} entries did not converge: {lines}")
        return self
