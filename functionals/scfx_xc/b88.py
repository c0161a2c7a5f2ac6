"""Becke's 1988 exchange. A. D. Becke, Phys. Rev. A 38, 3098 (1988), eq. 8; includes Slater exchange."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp

from scfx_xc.component import AbstractComponent
from scfx_xc.points import ClosedShellPoint, SpinPoint
from scfx_xc.slater import SPIN_EXCHANGE_CONSTANT


@dataclass(frozen=True)
class Becke88Exchange(AbstractComponent):
    """Becke's exchange of 1988, e_x = -Σ_s ρ_s^(4/3) [C + β x²/(1 + 6 β x asinh x)], x = |∇ρ_s| / ρ_s^(4/3)."""

    name = "b88"
    family = "gga"

    beta: float = 0.0042

    def _bracket(self, x: Any) -> Any:
        # asinh written out: one logarithm of a vectorised square root. Its rounding for small x does no harm
        # because the term is added to 1.
        asinh = jnp.log(x + jnp.sqrt(1.0 + x * x))
        return SPIN_EXCHANGE_CONSTANT + self.beta * x * x / (1.0 + 6.0 * self.beta * x * asinh)

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³, of both spins."""
        total = 0.0
        for rho, cbrt, sigma in point.spins():
            x = jnp.sqrt(sigma) / (rho * cbrt)
            total = total - rho * cbrt * self._bracket(x)
        return total

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ where both spins are equal."""
        # ρ_s = ρ/2 and σ_ss = σ/4 give x = 2^(1/3) |∇ρ| / ρ^(4/3).
        x = 2.0 ** (1.0 / 3.0) * jnp.sqrt(point.sigma) * point.inverse_cbrt**4
        return -(2.0 ** (-1.0 / 3.0)) * point.rho * point.cbrt * self._bracket(x)
