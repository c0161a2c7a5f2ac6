"""What the two ways of evaluating a libxc sum share: the sum, its family, its exact exchange, its refusals."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from scfx.abstract import AbstractFunctional, Family
from scfx.errors import InputError
from scfx_jax_xc.completeness import belonging
from scfx_jax_xc.library import functional
from scfx_jax_xc.names import required

#: Whose version the numbers of an evaluator depend on: libxc is the one that PySCF ships.
_DISTRIBUTION = {"jax-xc": "jax-xc", "libxc": "pyscf"}
_ORDER = ("none", "lda", "gga", "mgga")


class AbstractLibxcSum(AbstractFunctional):
    """A sum of libxc functionals and exact exchange. `xc` is what PySCF's `mf.xc` takes.

    Raises `InputError` for text that PySCF cannot read, and for functionals that a molecular density does not fit
    (kinetic-energy, one- and two-dimensional, Laplacian-dependent), and `RefusedNameError` for names that stand for
    more than scfx has (`completeness`).
    """

    #: How it is evaluated: enters the definition, since the two agree to rounding only.
    evaluator: str

    def __init__(self, xc: str):
        self.sum = required(xc)
        self.name = xc
        self.vv10, self.dispersion = belonging(self.sum)
        families = []
        for part, _ in self.sum.parts:
            found = functional(part, True)
            if found.unusable:
                raise InputError(f"functional {xc!r}: {part} cannot be used, {found.unusable}")
            families.append(found.family or "none")
        self.family: Family = max(families, key=_ORDER.index, default="none")  # type: ignore[assignment]
        self.exact_exchange = self.sum.exact_exchange
        self.long_range_exchange = self.sum.long_range_exchange
        self.omega = self.sum.omega

    def definition(self) -> Mapping[str, Any]:
        """Return the parts with their weights, and which version of whose formulas evaluates them."""
        return {
            "evaluator": [self.evaluator, version(_DISTRIBUTION[self.evaluator])],
            "parts": [[name, weight] for name, weight in self.sum.parts],
            "exact_exchange": self.exact_exchange,
            "long_range_exchange": self.long_range_exchange,
            "omega": self.omega,
            **({} if self.vv10 is None else {"vv10": list(self.vv10)}),
        }
