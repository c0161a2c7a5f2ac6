"""Meta-GGA functionals on offer, and hybrids of them."""

from __future__ import annotations

from scfx_xc.component import AbstractSumFunctional
from scfx_xc.m06 import M06Correlation, M06Exchange
from scfx_xc.r2scan import R2SCANCorrelation, R2SCANExchange
from scfx_xc.scan import SCANCorrelation, SCANExchange
from scfx_xc.tpss import TPSSCorrelation, TPSSExchange


class TPSS(AbstractSumFunctional):
    """Tao, Perdew, Staroverov, Scuseria, Phys. Rev. Lett. 91, 146401 (2003)."""

    terms = ((1.0, TPSSExchange()), (1.0, TPSSCorrelation()))


class TPSSh(AbstractSumFunctional):
    """TPSS with 10 % exact exchange; Staroverov et al., J. Chem. Phys. 119, 12129 (2003)."""

    terms = ((0.9, TPSSExchange()), (1.0, TPSSCorrelation()))
    exact_exchange = 0.1


class SCAN(AbstractSumFunctional):
    """Sun, Ruzsinszky, Perdew, Phys. Rev. Lett. 115, 036402 (2015)."""

    terms = ((1.0, SCANExchange()), (1.0, SCANCorrelation()))


class SCAN0(AbstractSumFunctional):
    """SCAN with 25 % exact exchange; Hui, Chai, J. Chem. Phys. 144, 044114 (2016)."""

    terms = ((0.75, SCANExchange()), (1.0, SCANCorrelation()))
    exact_exchange = 0.25


class R2SCAN(AbstractSumFunctional):
    """Furness, Kaplan, Ning, Perdew, Sun, J. Phys. Chem. Lett. 11, 8208 (2020)."""

    terms = ((1.0, R2SCANExchange()), (1.0, R2SCANCorrelation()))


class M06L(AbstractSumFunctional):
    """Zhao, Truhlar, J. Chem. Phys. 125, 194101 (2006)."""

    terms = (
        (
            1.0,
            M06Exchange(
                series=(
                    0.3987756, 0.2548219, 0.3923994, -2.103655, -6.302147, 10.97615, 30.97273, -23.18489,
                    -56.7348, 21.60364, 34.21814, -9.049762,
                ),
                local=(0.6012244, 0.004748822, -0.008635108, -9.308062e-06, 4.482811e-05, 0.0),
            ),
        ),
        (
            1.0,
            M06Correlation(
                series_same=(0.5349466, 0.539662, -31.61217, 51.49592, -29.19613),
                local_same=(0.4650534, 0.1617589, 0.1833657, 0.00046921, -0.004990573, 0.0),
                series_opposite=(0.6042374, 177.6783, -251.3252, 76.35173, -12.55699),
                local_opposite=(0.3957626, -0.5614546, 0.01403963, 0.0009831442, -0.003577176, 0.0),
            ),
        ),
    )  # fmt: skip


class M062X(AbstractSumFunctional):
    """The functional M06-2X, 54 % exact exchange; Zhao, Truhlar, Theor. Chem. Acc. 120, 215 (2008)."""

    terms = (
        (
            1.0,
            M06Exchange(
                series=(
                    0.46, -0.2206052, -0.09431788, 2.164494, -2.556466, -14.22133, 15.55044, 35.98078,
                    -27.22754, -39.24093, 15.22808, 15.22227,
                ),
            ),
        ),
        (
            1.0,
            M06Correlation(
                series_same=(0.3097855, -5.528642, 13.4742, -32.13623, 28.46742),
                local_same=(0.6902145, 0.09847204, 0.2214797, -0.001968264, -0.006775479, 0.0),
                series_opposite=(0.8833596, 33.57972, -70.43548, 49.78271, -18.52891),
                local_opposite=(0.1166404, -0.09120847, -0.06726189, 6.72058e-05, 0.0008448011, 0.0),
            ),
        ),
    )  # fmt: skip
    exact_exchange = 0.54
