"""Molecular quadrature: integrals over space as sums over points around the atoms.

    ∫ F(r) d³r ≈ Σ_g w_g F(r_g)

Every atom carries radial shells (`radial`: Treutler and Ahlrichs M4) of directions (`angular`: Lebedev),
thinned where the density is smooth (`pruning`), and the overlap of the atoms' spheres is divided by smooth
cells (`partition`: Becke's, with atomic sizes). Points and weights are those of PySCF's defaults at equal
`level`, so energies compare grid for grid.

Points move with their atom (`owners`), and the weights change with the atoms' distances (`weight_gradient`): both
enter the gradient of an integral.
"""

from scfx.grid.molecular import batch_grids, molecular_grid, point_count
from scfx.grid.owners import Grid, owned_grid, owned_grids
from scfx.grid.spec import GridSpec

__all__ = [
    "Grid",
    "GridSpec",
    "batch_grids",
    "molecular_grid",
    "owned_grid",
    "owned_grids",
    "point_count",
]
