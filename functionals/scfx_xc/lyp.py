"""Lee-Yang-Parr correlation, in the form without the Laplacian of the density.

Lee, Yang, Parr, Phys. Rev. B 37, 785 (1988); Miehlich, Savin, Stoll, Preuss, Chem. Phys. Lett. 157, 200 (1989), eq. 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi
from typing import Any

import jax.numpy as jnp

from scfx_xc.component import AbstractComponent
from scfx_xc.points import ClosedShellPoint, SpinPoint

#: Thomas-Fermi constant (3/10) (3π²)^(2/3).
_CF = 0.3 * (3.0 * pi**2) ** (2.0 / 3.0)


@dataclass(frozen=True)
class LYPCorrelation(AbstractComponent):
    """Miehlich et al., eq. 2, with ω taken apart: ω ρ² = exp(-c ρ^(-1/3)) D ρ^(-5/3), D = 1/(1 + d ρ^(-1/3)).

    So every power of the density is a small one, and nothing overflows at vanishing density.
    """

    name = "lyp"
    family = "gga"

    a: float = 0.04918
    b: float = 0.132
    c: float = 0.2533
    d: float = 0.349

    def spin_resolved(self, point: SpinPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point, from both spin densities."""
        r = point.inverse_cbrt
        damping = 1.0 / (1.0 + self.d * r)
        delta = self.c * r + self.d * r * damping
        p, q = point.rho_a / point.rho, point.rho_b / point.rho
        aa, bb = point.sigma_aa, point.sigma_bb
        kinetic = p * q * 2.0 ** (11.0 / 3.0) * _CF * ((point.cbrt_a * r) ** 8 + (point.cbrt_b * r) ** 8)
        gradient = (
            p * q * (
                (47.0 - 7.0 * delta) / 18.0 * point.sigma
                - (45.0 - delta) / 18.0 * (aa + bb)
                - (delta - 11.0) / 9.0 * (p * aa + q * bb)
            )
            - 2.0 / 3.0 * point.sigma
            + (2.0 / 3.0 - p * p) * bb
            + (2.0 / 3.0 - q * q) * aa
        )  # fmt: skip
        attenuated = self.b * jnp.exp(-self.c * r) * (point.rho * kinetic + r**5 * gradient)
        return -self.a * damping * (4.0 * p * point.rho_b + attenuated)

    def closed_shell(self, point: ClosedShellPoint) -> Any:
        """Return the energy per volume in hartree/bohr³ at each point where both spins are equal."""
        r = point.inverse_cbrt
        damping = 1.0 / (1.0 + self.d * r)
        delta = self.c * r + self.d * r * damping
        bracket = _CF * point.rho - point.sigma * r**5 * (3.0 + 7.0 * delta) * (1.0 / 72.0)
        return -self.a * damping * (point.rho + self.b * jnp.exp(-self.c * r) * bracket)
