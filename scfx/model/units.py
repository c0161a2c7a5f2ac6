"""Units that scfx converts between."""

#: Bohr radius in angstrom: the CODATA 2010 value that PySCF and most quantum-chemistry programs convert with, so that
#: one xyz file is one geometry everywhere.
BOHR_IN_ANGSTROM = 0.52917721092
#: CODATA 2018 hartree in electronvolt.
HARTREE_IN_EV = 27.211386245988
#: Atomic unit of the electric dipole moment in debye.
DIPOLE_AU_IN_DEBYE = 2.541746473
