"""The 6-31G(2df,p) of QM9, which is not what today's tables hold under that name.

QM9 (Ramakrishnan et al., Sci. Data 1, 140022 (2014)) was computed with Gaussian 09. There 6-31G(2df,p) is
6-31G with two d shells that split the 6-31G* exponent 0.8 by two (1.6 and 0.4; Frisch, Pople, Binkley, J.
Chem. Phys. 80, 3265 (1984)), one f shell, and the 6-31G** p shell 1.1 on hydrogen, with Cartesian d (6
components) and spherical f (7). The Basis Set Exchange and PySCF tables of that name split the 6-311G
exponents instead and give energies 3 to 5 millihartree away; this one reproduces QM9's water, methane and
ammonia to 1.6e-6 hartree.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from scfx.abstract import AbstractBasisSource
from scfx.errors import BasisError
from scfx.model.basis import Shell
from scfx.model.elements import SYMBOLS
from scfx_bse.source import PublishedShell, digest, published

_D_EXPONENTS = (1.6, 0.4)
_F_EXPONENTS = {6: 0.8, 7: 1.0, 8: 1.4, 9: 1.85}
_HYDROGEN_P_EXPONENT = 1.1


class QM9Source(AbstractBasisSource):
    """`6-31g(2df,p)-qm9`: H, C, N, O and F, the elements of QM9."""

    name = "6-31g(2df,p)-qm9"

    def __init__(self) -> None:
        self._core = published("6-31G")

    def _published_shells(self, z: int) -> tuple[PublishedShell, ...]:
        shells = self._core.shells[z]
        if z == 1:
            return (*shells, (1, (_HYDROGEN_P_EXPONENT,), (1.0,), False))
        d = tuple((2, (exponent,), (1.0,), True) for exponent in _D_EXPONENTS)
        return (*shells, *d, (3, (_F_EXPONENTS[z],), (1.0,), False))

    def shells(self, atomic_number: int) -> tuple[Shell, ...]:
        """Return the normalised shells of H, C, N, O or F, sorted by angular momentum; `BasisError` for any other
        element.
        """
        z = int(atomic_number)
        if z != 1 and z not in _F_EXPONENTS:
            raise BasisError(
                f"basis {self.name!r} has no functions for {SYMBOLS[z]}; it covers H, C-F (QM9's elements)"
            )
        found = sorted(self._published_shells(z), key=lambda shell: shell[0])
        return tuple(Shell.normalised(*shell) for shell in found)

    def definition(self) -> dict[str, Any]:
        """Return the digest of every number in the basis set."""
        return {"basis": self.name, "sha256": self._digest}

    @cached_property
    def _digest(self) -> str:
        return digest({z: self._published_shells(z) for z in (1, *_F_EXPONENTS)})
