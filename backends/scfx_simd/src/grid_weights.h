// The response of Becke's cells to the motion of the atoms.
#pragma once

namespace scfx_simd::quadrature {

// Σ_p strength_p ∂(share of owner_p at p)/∂R, added to out [n_atoms][3]: points move with their owners. `n` points, a
// multiple of the tile, neighbours next to each other; position [n_atoms][3]; shift [n_atoms][n_atoms] of the cell
// boundaries, antisymmetric. The formulas are those of scfx/grid/weight_gradient.py.
void weight_gradient(int n_atoms, const double* position, const double* shift, int n, const double* x, const double* y,
                     const double* z, const int* owner, const double* strength, double* out);

}  // namespace scfx_simd::quadrature
