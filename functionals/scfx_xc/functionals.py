"""The functionals on offer, each a sum of components, under PySCF's names (see `scfx_xc.OFFERS` for the aliases)."""

from __future__ import annotations

from scfx_xc.b88 import Becke88Exchange
from scfx_xc.component import AbstractSumFunctional
from scfx_xc.lyp import LYPCorrelation
from scfx_xc.p86 import P86Correlation
from scfx_xc.pbe import PBECorrelation, PBEExchange, RPBEExchange
from scfx_xc.pw92 import PW92Correlation
from scfx_xc.slater import SlaterExchange
from scfx_xc.vwn import VWN5Correlation, VWNRPACorrelation


class HartreeFock(AbstractSumFunctional):
    """Exact exchange, no correlation."""

    terms = ()
    exact_exchange = 1.0


class Slater(AbstractSumFunctional):
    """Local exchange alone."""

    terms = ((1.0, SlaterExchange()),)


class SVWN(AbstractSumFunctional):
    """Local density approximation with VWN5 correlation."""

    terms = ((1.0, SlaterExchange()), (1.0, VWN5Correlation()))


class SVWNRPA(AbstractSumFunctional):
    """Local density approximation with VWN-RPA correlation."""

    terms = ((1.0, SlaterExchange()), (1.0, VWNRPACorrelation()))


class SPW92(AbstractSumFunctional):
    """Local density approximation with Perdew-Wang correlation."""

    terms = ((1.0, SlaterExchange()), (1.0, PW92Correlation()))


class SPW92AsPrinted(AbstractSumFunctional):
    """Slater exchange with PW92 correlation and the rounded parameters of the paper's table I."""

    terms = ((1.0, SlaterExchange()), (1.0, PW92Correlation.as_printed()))


class BLYP(AbstractSumFunctional):
    """Becke 1988 exchange, Lee-Yang-Parr correlation."""

    terms = ((1.0, Becke88Exchange()), (1.0, LYPCorrelation()))


class BP86(AbstractSumFunctional):
    """Becke 1988 exchange, Perdew 1986 correlation."""

    terms = ((1.0, Becke88Exchange()), (1.0, P86Correlation()))


class BPBE(AbstractSumFunctional):
    """Becke 1988 exchange, PBE correlation."""

    terms = ((1.0, Becke88Exchange()), (1.0, PBECorrelation()))


class PBE(AbstractSumFunctional):
    """Perdew-Burke-Ernzerhof."""

    terms = ((1.0, PBEExchange()), (1.0, PBECorrelation()))


class RevPBE(AbstractSumFunctional):
    """PBE with κ = 1.245 (Zhang and Yang 1998)."""

    terms = ((1.0, PBEExchange(kappa=1.245)), (1.0, PBECorrelation()))


class RPBE(AbstractSumFunctional):
    """PBE with the exchange of Hammer, Hansen and Norskov (1999)."""

    terms = ((1.0, RPBEExchange()), (1.0, PBECorrelation()))


class PBESol(AbstractSumFunctional):
    """PBE for solids: μ = 10/81, β = 0.046 (Perdew et al. 2008)."""

    terms = ((1.0, PBEExchange(mu=10.0 / 81.0)), (1.0, PBECorrelation(beta=0.046)))


class PBE0(AbstractSumFunctional):
    """A quarter of exact exchange; Adamo and Barone, J. Chem. Phys. 110, 6158 (1999)."""

    terms = ((0.75, PBEExchange()), (1.0, PBECorrelation()))
    exact_exchange = 0.25


class B3LYP(AbstractSumFunctional):
    """With VWN-RPA, as in Gaussian, libxc and PySCF >= 2.3; Stephens et al., J. Phys. Chem. 98, 11623 (1994)."""

    # a0 = 0.2, ax = 0.72, ac = 0.81; `Becke88Exchange` includes Slater exchange, hence 0.08 = 1 - a0 - ax.
    terms = (
        (0.08, SlaterExchange()), (0.72, Becke88Exchange()), (0.19, VWNRPACorrelation()), (0.81, LYPCorrelation()),
    )  # fmt: skip
    exact_exchange = 0.2


class B3LYP5(AbstractSumFunctional):
    """B3LYP with VWN5, as in GAMESS and Turbomole, PySCF before 2.3, and the data set QM1B."""

    terms = (
        (0.08, SlaterExchange()), (0.72, Becke88Exchange()), (0.19, VWN5Correlation()), (0.81, LYPCorrelation()),
    )  # fmt: skip
    exact_exchange = 0.2


class B1LYP(AbstractSumFunctional):
    """A quarter of exact exchange; Adamo and Barone, Chem. Phys. Lett. 274, 242 (1997)."""

    terms = ((0.75, Becke88Exchange()), (1.0, LYPCorrelation()))
    exact_exchange = 0.25


class BHandHLYP(AbstractSumFunctional):
    """Half exact, half Becke 1988 exchange with Lee-Yang-Parr correlation, as Gaussian defines it."""

    terms = ((0.5, Becke88Exchange()), (1.0, LYPCorrelation()))
    exact_exchange = 0.5


class HFLYP(AbstractSumFunctional):
    """Exact exchange with Lee-Yang-Parr correlation."""

    terms = ((1.0, LYPCorrelation()),)
    exact_exchange = 1.0
