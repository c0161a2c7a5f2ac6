"""Dtypes by stage of the three built-in policies; `scfx.PrecisionPolicy` explains the stages.

The choices follow where float32 loses digits, measured on C7H9NO (55 AOs, meV of total energy): integrals stored in
float32 0.05; J summed in order in float32 7.9 against 0.05 with a float64 final sum; the exchange-correlation sum in
float32 39 against 0.03 for float32 densities into the float64 functional; S^(-1/2) and eigenvectors in float32 0.09,
which one float64 re-orthonormalisation of the orbitals removes. Losses are in reductions, not in storage.
"""

from __future__ import annotations

from scfx.config.precision import FLOAT64 as FLOAT64
from scfx.config.precision import PrecisionPolicy

#: Integrals, AO values, contractions, diagonalisation and DIIS in float32; long sums and the functional in float64.
FLOAT32 = PrecisionPolicy(
    "float32",
    integrals="float32",
    coulomb_exchange="float64",
    orbitals="float32",
    functional="float64",
    linear_algebra="float32",
    orthogonaliser="float64",
    # The residual settles at 2e-6 to 4e-6 and the energy wanders by 1e-6: rounding of densities on the grid.
    gradient_floor=5e-6,
    energy_floor=5e-6,
    early_grid="coarse",
)

#: Integrals whose Schwarz bound exceeds this many hartree are stored in float64 by `mixed`. A float32 integral below
#: it is off by at most 1e-4 * 2^-24 = 6e-12 hartree.
SCHWARZ_FLOAT64 = 1e-4

#: Large integrals, linear algebra and the last iterations in float64; the rest of the work in float32.
MIXED = PrecisionPolicy(
    "mixed",
    integrals="float32",
    coulomb_exchange="float64",
    orbitals="float32",
    functional="float64",
    linear_algebra="float64",
    orthogonaliser="float64",
    schwarz_float64=SCHWARZ_FLOAT64,
    final="float64",
    early_grid="coarse",
)
