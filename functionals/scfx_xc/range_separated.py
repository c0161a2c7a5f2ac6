"""Range-separated functionals on offer: exact exchange at long range (wB97 family, CAM-B3LYP) or short range (HSE06).

`exact_exchange` is the fraction at short range and `long_range_exchange` what is added at long range.
"""

from __future__ import annotations

from typing import ClassVar

from scfx_xc.attenuation import ShortRangeBecke88Exchange
from scfx_xc.b88 import Becke88Exchange
from scfx_xc.b97 import B97Correlation, Coefficients, ShortRangeB97Exchange
from scfx_xc.b97m import B97MCorrelation, ShortRangeB97MExchange
from scfx_xc.component import AbstractComponent, AbstractSumFunctional
from scfx_xc.hse import ShortRangePBEHoleExchange
from scfx_xc.lyp import LYPCorrelation
from scfx_xc.pbe import PBECorrelation
from scfx_xc.vwn import VWN5Correlation


class CAMB3LYP(AbstractSumFunctional):
    """The functional CAM-B3LYP, 19 % exact exchange at short, 65 % at long range; Yanai, Tew, Handy, Chem. Phys. Lett.
    393, 51 (2004).
    """

    terms = (
        (0.35, Becke88Exchange()), (0.46, ShortRangeBecke88Exchange(omega=0.33)),
        (0.19, VWN5Correlation()), (0.81, LYPCorrelation()),
    )  # fmt: skip
    exact_exchange = 0.19
    long_range_exchange = 0.46
    omega = 0.33


class HSE06(AbstractSumFunctional):
    """The functional HSE06, 25 % exact exchange at short range only; Krukau, Vydrov, Izmaylov, Scuseria, JCP 125,
    224106 (2006).
    """

    # The full-range part, too, is that of the PBE hole, as in libxc, and not PBE's own closed form.
    terms = (
        (1.0, ShortRangePBEHoleExchange(omega=0.0)), (-0.25, ShortRangePBEHoleExchange(omega=0.11)),
        (1.0, PBECorrelation()),
    )  # fmt: skip
    exact_exchange = 0.25
    long_range_exchange = -0.25
    omega = 0.11


def _wb97(
    omega: float, exchange: Coefficients, same_spin: Coefficients, opposite_spin: Coefficients
) -> tuple[tuple[float, AbstractComponent], ...]:
    """The terms that the wB97 family shares: power series of exchange and of both parts of correlation."""
    return (
        (1.0, ShortRangeB97Exchange(omega, exchange)),
        (1.0, B97Correlation(same_spin, opposite_spin)),
    )


class WB97(AbstractSumFunctional):
    """Full exact exchange at long range, none at short; Chai, Head-Gordon, JCP 128, 084106 (2008)."""

    terms = _wb97(
        0.4,
        (1.0, 1.13116, -2.74915, 12.09, -5.71642),
        (1.0, -2.55352, 11.8926, -26.9452, 17.0927),
        (1.0, 3.99051, -17.0066, 1.07292, 8.88211),
    )
    exact_exchange = 0.0
    long_range_exchange = 1.0
    omega = 0.4


class WB97X(AbstractSumFunctional):
    """The functional wB97X, 15.7706 % exact exchange at short range; Chai, Head-Gordon, JCP 128, 084106 (2008)."""

    terms = _wb97(
        0.3,
        (0.842294, 0.726479, 1.0476, -5.70635, 13.2794),
        (1.0, -4.33879, 18.2308, -31.743, 17.2901),
        (1.0, 2.37031, -11.3995, 6.58405, -3.78132),
    )
    exact_exchange = 0.157706
    long_range_exchange = 0.842294
    omega = 0.3


class WB97XD(AbstractSumFunctional):
    """With the empirical dispersion of its paper; Chai, Head-Gordon, PCCP 10, 6615 (2008)."""

    terms = _wb97(
        0.2,
        (0.777964, 0.66116, 0.574541, -5.25671, 11.6386),
        (1.0, -6.90539, 31.3343, -51.0533, 26.4423),
        (1.0, 1.79413, -12.0477, 14.0847, -8.50809),
    )
    exact_exchange = 0.222036
    long_range_exchange = 0.777964
    omega = 0.2
    dispersion: ClassVar = {"method": "chg", "functional": "wb97x-d"}


class WB97XD3(AbstractSumFunctional):
    """With D3 dispersion, zero damping; Lin, Li, Mao, Chai, JCTC 9, 263 (2013)."""

    terms = _wb97(
        0.25,
        (0.804272, 0.6989, 0.50894, -3.744903, 10.06079),
        (1.0, -4.868902, 21.295726, -36.020866, 19.177018),
        (1.0, 2.433266, -15.446008, 17.64439, -8.879494),
    )
    exact_exchange = 0.195728
    long_range_exchange = 0.804272
    omega = 0.25
    dispersion: ClassVar = {"method": "d3zero", "functional": "wb97x"}


class WB97XV(AbstractSumFunctional):
    """With VV10 non-local correlation; Mardirossian, Head-Gordon, PCCP 16, 9904 (2014)."""

    terms = _wb97(0.3, (0.833, 0.603, 1.194), (0.556, -0.257), (1.219, -1.850))
    exact_exchange = 0.167
    long_range_exchange = 0.833
    omega = 0.3
    vv10 = (6.0, 0.01)


class WB97XD3BJ(AbstractSumFunctional):
    """The functional wB97X-V with D3(BJ) in place of VV10; Najibi, Goerigk, JCTC 14, 5725 (2018)."""

    terms = WB97XV.terms
    exact_exchange = WB97XV.exact_exchange
    long_range_exchange = WB97XV.long_range_exchange
    omega = WB97XV.omega
    dispersion: ClassVar = {"method": "d3bj", "functional": "wb97x"}


class WB97MV(AbstractSumFunctional):
    """Meta-GGA with VV10 non-local correlation; Mardirossian, Head-Gordon, JCP 144, 214110 (2016)."""

    terms = (
        (1.0, ShortRangeB97MExchange(0.3, ((0.85, 0, 0), (1.007, 0, 1), (0.259, 1, 0)))),
        (
            1.0,
            B97MCorrelation(
                ((0.443, 0, 0), (-1.437, 0, 4), (-4.535, 1, 0), (-3.39, 2, 0), (4.278, 4, 3)),
                ((1.0, 0, 0), (1.358, 1, 0), (2.924, 2, 0), (-8.812, 2, 1), (-1.39, 6, 0), (9.142, 6, 1)),
            ),
        ),
    )
    exact_exchange = 0.15
    long_range_exchange = 0.85
    omega = 0.3
    vv10 = (6.0, 0.01)


class WB97MD3BJ(AbstractSumFunctional):
    """The functional wB97M-V with D3(BJ) in place of VV10 (SPICE's level); Najibi, Goerigk, JCTC 14, 5725 (2018)."""

    terms = WB97MV.terms
    exact_exchange = WB97MV.exact_exchange
    long_range_exchange = WB97MV.long_range_exchange
    omega = WB97MV.omega
    dispersion: ClassVar = {"method": "d3bj", "functional": "wb97m"}
