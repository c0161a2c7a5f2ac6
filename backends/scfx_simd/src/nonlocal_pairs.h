// Sums over pairs of grid points of VV10 non-local correlation (Vydrov, Van Voorhis, J. Chem. Phys. 133, 244103 (2010)).
// Lanes are points; the pairs of two different tiles are visited once for both of their points.
#pragma once

namespace scfx_simd::nonlocal {

// points [6][n]: x, y, z, omega0, kappa and weight times density W. With g = omega_i R² + kappa_i, g' the same of j, and
// N = g g' (g + g'):

// out [3][n]: at each i Σ_j W_j/N, Σ_j (W_j/N) [1/g + 1/(g + g')], and the latter times R². j runs over all points, i too.
void pair_sums(int n, const double* points, int threads, double* out);

// out [4][n]: at each i Σ_j W_j/N, and Σ_j (W_j/N) [omega_i/g + omega_j/g' + (omega_i + omega_j)/(g + g')] (r_i - r_j).
void pair_derivatives(int n, const double* points, int threads, double* out);

}  // namespace scfx_simd::nonlocal
