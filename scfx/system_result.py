"""`SystemResult`: the labels of one system of an `SCFResult`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from scfx.errors import ConvergenceError

if TYPE_CHECKING:
    from scfx.contracts.property import AbstractProperty
    from scfx.model.basis import BasisSet
    from scfx.model.system import System
    from scfx.results import Stability, Status


@dataclass(frozen=True, eq=False)
class SystemResult:
    """What `result[i]` is: the fields of `SCFResult` under the same names and in the same units, for one system.

    Numbers in place of arrays over systems; `orbital_energies` [nao], or [2, nao] in a result with an open shell,
    without padding.
    """

    system: System
    energy: float
    homo: float
    lumo: float
    orbital_energies: Float64[np.ndarray, "*spin nao"]
    dipole: Float64[np.ndarray, "3"]
    converged: bool
    iterations: int
    residual: float
    energy_change: float
    status: Status
    rung: str
    reason: str
    nao: int
    n_grid: int
    s_squared: float
    n_orbitals: int
    dispersion_energy: float | None = None
    mulliken_charges: Float64[np.ndarray, "natm"] | None = None
    loewdin_charges: Float64[np.ndarray, "natm"] | None = None
    bond_orders: Float64[np.ndarray, "natm natm"] | None = None
    density: Float64[np.ndarray, "nspin nao nao"] | None = None
    history: Float64[np.ndarray, "iterations 2"] | None = None
    overlap: Float64[np.ndarray, "nao nao"] | None = None
    orbital_coefficients: Float64[np.ndarray, "nspin nao norbital"] | None = None
    quadrupole: Float64[np.ndarray, "3 3"] | None = None
    stability: Stability | None = None
    energy_components: dict[str, float] | None = None
    electrons_on_grid: float | None = None
    gradient: Float64[np.ndarray, "natm 3"] | None = None
    gradient_reason: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    property_reasons: dict[str, str] = field(default_factory=dict)
    descriptors: dict[str, AbstractProperty] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    basis_set: BasisSet | None = None

    @property
    def gap(self) -> float:
        """Return LUMO minus HOMO in hartree."""
        return self.lumo - self.homo

    def __repr__(self) -> str:
        """One line: the system, how it ended, and its energy."""
        level = "/".join(self.provenance[key] for key in ("functional", "basis") if key in self.provenance)
        return (
            f"SystemResult({self.system!r}, {self.status.value}, {self.energy:.8f} hartree"
            f"{f', {level}' if level else ''})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a record of plain numbers, lists and text, with the unit in each name; NaN becomes None."""
        from scfx.contracts.property import plain
        from scfx.model.system import DIPOLE_AU_IN_DEBYE, HARTREE_IN_EV

        record: dict[str, Any] = {
            "name": self.system.name,
            "energy_hartree": plain(self.energy),
            "homo_hartree": plain(self.homo),
            "lumo_hartree": plain(self.lumo),
            "gap_ev": plain(self.gap, HARTREE_IN_EV),
            "dipole_debye": plain(self.dipole, DIPOLE_AU_IN_DEBYE),
            "s_squared": plain(self.s_squared),
            "status": self.status.value,
            "reason": self.reason,
            "rung": self.rung,
            "iterations": int(self.iterations),
        }
        for name, value in self.properties.items():
            record[self.descriptors[name].key] = None if value is None else plain(value)
        return record

    def raise_for_status(self) -> SystemResult:
        """Return self, or raise `ConvergenceError` if the system did not converge."""
        if not self.converged:
            raise ConvergenceError(f"{self.system!r}: {self.reason or self.status.explain()}")
        return self
