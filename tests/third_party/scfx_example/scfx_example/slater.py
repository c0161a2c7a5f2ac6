"""Slater exchange. Dirac, Proc. Camb. Phil. Soc. 26, 376 (1930), spin-resolved."""

import math

import scfx


class Slater(scfx.AbstractFunctional):
    """`scale` times the exchange energy of the homogeneous electron gas."""

    family = "lda"

    def __init__(self, scale: float = 1.0):
        self.scale = scale

    def energy_density(self, density):
        # E_x[rho_a, rho_b] = (E_x[2 rho_a] + E_x[2 rho_b]) / 2 with E_x[rho] = -3/4 (3/π)^(1/3) ∫ rho^(4/3)
        c = 0.75 * (3.0 / math.pi) ** (1.0 / 3.0)
        a, b = 2.0 * density.rho_a, 2.0 * density.rho_b
        return -0.5 * self.scale * c * (a ** (4.0 / 3.0) + b ** (4.0 / 3.0))

    def definition(self):
        return {**super().definition(), "scale": self.scale}
