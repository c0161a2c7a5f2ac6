"""STO-3G of hydrogen and oxygen: Hehre, Stewart and Pople, J. Chem. Phys. 51, 2657 (1969); digits of the Basis Set
Exchange."""

import scfx

_SP = (5.033151319, 1.169596125, 0.3803889600)
_S = (0.1543289673, 0.5353281423, 0.4446345422)
#: atomic number -> (angular momentum, exponents, coefficients) of each shell
_SHELLS = {
    1: [(0, (3.425250914, 0.6239137298, 0.1688554040), _S)],
    8: [
        (0, (130.7093214, 23.80886605, 6.443608313), _S),
        (0, _SP, (-0.09996722919, 0.3995128261, 0.7001154689)),
        (1, _SP, (0.1559162750, 0.6076837186, 0.3919573931)),
    ],
}


class STO3G(scfx.AbstractBasisSource):
    name = "example-sto-3g"

    def shells(self, atomic_number):
        return [scfx.Shell.normalised(*shell) for shell in _SHELLS.get(atomic_number, [])]

    def definition(self):
        return {"shells": _SHELLS}
