"""STO-3G of hydrogen and oxygen: Hehre, Stewart and Pople, J. Chem. Phys. 51, 2657 (1969); the eight digits that
Gaussian, GAMESS and PySCF use."""

import scfx

_SP = (5.0331513, 1.1695961, 0.3803890)
_S = (0.15432897, 0.53532814, 0.44463454)
#: atomic number -> (angular momentum, exponents, coefficients) of each shell
_SHELLS = {
    1: [(0, (3.42525091, 0.62391373, 0.16885540), _S)],
    8: [
        (0, (130.7093200, 23.8088610, 6.4436083), _S),
        (0, _SP, (-0.09996723, 0.39951283, 0.70011547)),
        (1, _SP, (0.15591627, 0.60768372, 0.39195739)),
    ],
}


class STO3G(scfx.AbstractBasisSource):
    name = "example-sto-3g"

    def shells(self, atomic_number):
        return [scfx.Shell.normalised(*shell) for shell in _SHELLS.get(atomic_number, [])]

    def definition(self):
        return {"shells": _SHELLS}
