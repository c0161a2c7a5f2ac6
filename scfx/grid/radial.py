"""Radial shells: O. Treutler and R. Ahlrichs, J. Chem. Phys. 102, 346 (1995), mapping M4."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from scfx.grid.tables import TREUTLER_SCALE, check_element


def treutler_ahlrichs(
    n_rad: int, atomic_number: int
) -> tuple[Float64[np.ndarray, "n_rad"], Float64[np.ndarray, "n_rad"]]:
    """Return radii r_i (bohr, ascending) and weights w_i (bohr) with ∫₀^∞ f(r) dr ≈ Σ w_i f(r_i).

    Chebyshev abscissas of the second kind x_i = cos θ_i, θ_i = iπ/(n+1), mapped by the paper's M4
    with α = 0.6,

        r = ξ/ln 2 · (1 + x)^α · ln(2/(1 - x)),    w_i = π/(n+1) · sin θ_i · dr/dx,

    ξ being the element's scale (tabulated there). The volume element 4πr² is not included.
    """
    check_element(atomic_number)
    alpha = 0.6
    scale = TREUTLER_SCALE[atomic_number] / np.log(2.0)
    step = np.pi / (n_rad + 1)
    theta = np.arange(n_rad, 0, -1) * step
    # 1 ± x by subtraction, as PySCF has it, and not by half angles: those would be right to the last digit,
    # but 200 shells then differ from PySCF's by 2e-12 at the ends, where the weights are too small to matter.
    x = np.cos(theta)
    stretch = scale * (1 + x) ** alpha
    logarithm = -np.log((1 - x) / 2)
    slope = stretch * (alpha / (1 + x) * logarithm + 1 / (1 - x))
    return stretch * logarithm, step * np.sin(theta) * slope
