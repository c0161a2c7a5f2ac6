// Density matrices of low rank: D = L^T L, so that a density is a sum over a few orbitals' squares.
#pragma once

#include <cstddef>
#include <vector>

namespace scfx_simd::quadrature {

// The factor of one density matrix, kept until it is asked for another's.
template <class T> struct Factor {
  std::vector<double> matrix;  // whose it is, [nao][nao]
  int rank = -1;               // -1: not of low rank, or not positive
  std::vector<T> by_orbital;   // L [rank][nao]
  std::vector<T> by_function;  // [nao][rank]
};

// L [rank][n] of a symmetric matrix D by pivoted Cholesky decomposition, if it is positive and of a rank up to `highest`
// (to 1e-13 of the largest element of its diagonal, element by element); else the rank is -1.
int low_rank(const double* D, size_t row, int n, int highest, std::vector<double>& L);

}  // namespace scfx_simd::quadrature
