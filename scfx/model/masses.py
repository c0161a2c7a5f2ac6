"""Standard atomic weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from scfx.errors import InputError

if TYPE_CHECKING:
    from jaxtyping import Float64, Int32

# Meija et al., Pure Appl. Chem. 88, 265 (2016), conventional values; where an element has
# none, of a long-lived isotope.
# fmt: off
_WEIGHTS = np.array((
    0.0,
    1.008, 4.002602, 6.94, 9.0121831, 10.81, 12.011, 14.007, 15.999, 18.998403163, 20.1797, 22.98976928,
    24.305, 26.9815385, 28.085, 30.973761998, 32.06, 35.45, 39.948, 39.0983, 40.078, 44.955908, 47.867,
    50.9415, 51.9961, 54.938044, 55.845, 58.933194, 58.6934, 63.546, 65.38, 69.723, 72.63, 74.921595,
    78.971, 79.904, 83.798, 85.4678, 87.62, 88.90584, 91.224, 92.90637, 95.95, 97.90721, 101.07, 102.9055,
    106.42, 107.8682, 112.414, 114.818, 118.71, 121.76, 127.6, 126.90447, 131.293, 132.90545196, 137.327,
    138.90547, 140.116, 140.90766, 144.242, 144.91276, 150.36, 151.964, 157.25, 158.92535, 162.5, 164.93033,
    167.259, 168.93422, 173.054, 174.9668, 178.49, 180.94788, 183.84, 186.207, 190.23, 192.217, 195.084,
    196.966569, 200.592, 204.38, 207.2, 208.9804, 208.98243, 209.98715, 222.01758, 223.01974, 226.02541,
    227.02775, 232.0377, 231.03588, 238.02891, 237.04817, 244.06421, 243.06138,
))
# fmt: on
_WEIGHTS.setflags(write=False)


def standard_atomic_weights(atomic_numbers: Int32[np.ndarray, "natm"]) -> Float64[np.ndarray, "natm"]:
    """Return the masses in daltons, averaged over natural isotopes; 0 for the atomic number 0 of a ghost."""
    if np.max(atomic_numbers) >= len(_WEIGHTS):
        raise InputError(f"masses are known up to element {len(_WEIGHTS) - 1}, got {np.max(atomic_numbers)}")
    return _WEIGHTS[atomic_numbers]
