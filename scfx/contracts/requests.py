"""What the core asks of a backend's two-electron integrals, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Operator = Literal["coulomb", "erf", "erfc"]


@dataclass(frozen=True)
class TwoElectronRequest:
    """Which integrals, and which of their contractions with a density will be asked for.

    `operator`: 1/r, erf(omega r)/r or erfc(omega r)/r, with `omega` in bohr⁻¹ (0 for "coulomb"). `coulomb`, `exchange`:
    whether J and K will be asked for; what is not asked for need not be prepared.
    """

    operator: Operator = "coulomb"
    omega: float = 0.0
    coulomb: bool = True
    exchange: bool = True
