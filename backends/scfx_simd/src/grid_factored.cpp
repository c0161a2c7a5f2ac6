// The density on points by way of orbitals: 2 nao rank products a point in place of nao², and 4 nao rank with tau in place
// of 4 nao². What a density matrix of occupied orbitals is made of, in any basis set beyond a minimal one.
#include "grid_factored.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "grid_ahead.h"

namespace scfx_simd::quadrature {

int low_rank(const double* D, size_t row, int n, int highest, std::vector<double>& L) {
  std::vector<double> left(n);
  double largest = 0;
  for (int i = 0; i < n; ++i) largest = std::max(largest, std::abs(left[i] = D[i * row + i]));
  const double cut = 5e-14 * largest;
  L.clear();
  int rank = 0;
  for (;; ++rank) {
    const int pivot = int(std::max_element(left.begin(), left.end()) - left.begin());
    if (!(left[pivot] > cut)) break;
    if (rank == highest) return -1;
    L.resize(size_t(rank + 1) * n);
    double* own = L.data() + size_t(rank) * n;
    for (int i = 0; i < n; ++i) own[i] = D[pivot * row + i];
    for (int k = 0; k < rank; ++k) {
      const double* other = L.data() + size_t(k) * n;
      const double factor = other[pivot];
      for (int i = 0; i < n; ++i) own[i] -= factor * other[i];
    }
    const double scale = 1.0 / std::sqrt(own[pivot]);
    for (int i = 0; i < n; ++i) {
      own[i] *= scale;
      left[i] -= own[i] * own[i];
    }
  }
  // A matrix that is not positive may have nothing left on its diagonal, too.
  std::vector<double> product(n);
  for (int i = 0; i < n; ++i) {
    std::copy_n(D + i * row, n, product.data());
    for (int k = 0; k < rank; ++k) {
      const double* own = L.data() + size_t(k) * n;
      const double factor = own[i];
      for (int j = 0; j < n; ++j) product[j] -= factor * own[j];
    }
    for (int j = 0; j < n; ++j)
      if (!(std::abs(product[j]) <= 2 * cut)) return -1;
  }
  return rank;
}

namespace {

using Ahead4 = AheadBy<4>;

// out_r = Σ_j L_r,j source_j: R orbitals on one group of points. `columns`: where the functions of the tile stand in L.
template <class T, int R>
SCFX_INLINE void orbital_block(const T* L, size_t row, const int* columns, int n,
                               const typename Lanes<T>::V* __restrict source, typename Lanes<T>::V* __restrict out,
                               Ahead4 ahead) {
  using V = typename Lanes<T>::V;
  V X[R][group_vectors] = {};
  for (int j = 0; j < n; ++j) {
    const V* phi = source + size_t(j) * group_vectors;
    const T* l = L + columns[j];
    ahead.ask(j);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < group_vectors; ++v) X[r][v] += l[r * row] * phi[v];
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < group_vectors; ++v) out[r * group_vectors + v] = X[r][v];
}

template <class T, int R = block_rows>
void orbitals(const T* L, size_t row, int rank, const int* columns, int n, const typename Lanes<T>::V* source,
              typename Lanes<T>::V* out, Ahead4& ahead) {
  if constexpr (R > 0) {
    int k = 0;
    for (; k + R <= rank; k += R, ahead.pass(n))
      orbital_block<T, R>(L + k * row, row, columns, n, source, out + size_t(k) * group_vectors, ahead);
    if (k < rank) orbitals<T, R - 1>(L + k * row, row, rank - k, columns, n, source, out + size_t(k) * group_vectors, ahead);
  }
}

// sums_x += Σ_i ∂_x φ_i Σ_k L_i,k ψ_k for R functions.
template <class T, int R>
SCFX_INLINE void slope_block(const T* L, int rank, const int* aos, const typename Lanes<T>::V* __restrict psi,
                             const typename Lanes<T>::V* __restrict slopes, size_t step,
                             typename Lanes<T>::V (*sums)[group_vectors], Ahead4 ahead) {
  using V = typename Lanes<T>::V;
  const T* l[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) l[r] = L + size_t(aos[r]) * rank;
  V X[R][group_vectors] = {};
  for (int k = 0; k < rank; ++k) {
    const V* orbital = psi + size_t(k) * group_vectors;
    ahead.ask(k);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < group_vectors; ++v) X[r][v] += l[r][k] * orbital[v];
  }
#pragma GCC unroll 3
  for (int x = 0; x < 3; ++x)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < group_vectors; ++v) sums[x][v] += slopes[x * step + r * group_vectors + v] * X[r][v];
}

template <class T, int R = block_rows>
void slopes(const T* L, int rank, const int* aos, int n, const typename Lanes<T>::V* psi,
            const typename Lanes<T>::V* values, size_t step, typename Lanes<T>::V (*sums)[group_vectors],
            Ahead4& ahead) {
  if constexpr (R > 0) {
    int i = 0;
    for (; i + R <= n; i += R, ahead.pass(rank))
      slope_block<T, R>(L, rank, aos + i, psi, values + size_t(i) * group_vectors, step, sums, ahead);
    if (i < n)
      slopes<T, R - 1>(L, rank, aos + i, n - i, psi, values + size_t(i) * group_vectors, step, sums, ahead);
  }
}

}  // namespace

template <class T>
const Factor<T>& Quadrature<T>::factor(int lane, int spin, const double* D, size_t row) const {
  const int n = layout_.nao;
  if (factors_.size() < 2 * entries_.size()) factors_.resize(2 * entries_.size());
  Factor<T>& f = factors_[2 * size_t(lane) + spin];
  bool same = f.matrix.size() == size_t(n) * n;
  for (int i = 0; same && i < n; ++i) same = !std::memcmp(&f.matrix[size_t(i) * n], D + i * row, n * sizeof(double));
  if (same) return f;
  f.matrix.resize(size_t(n) * n);
  for (int i = 0; i < n; ++i) std::copy_n(D + i * row, n, &f.matrix[size_t(i) * n]);
  std::vector<double> L;
  // Where it is well below the nao² products of each pass over the functions.
  f.rank = low_rank(f.matrix.data(), n, n, components_ == 4 ? 3 * n / 10 : n / 2, L);
  f.by_orbital.assign(L.begin(), L.end());
  f.by_function.resize(L.size());
  for (int k = 0; k < f.rank; ++k)
    for (int i = 0; i < n; ++i) f.by_function[size_t(i) * f.rank + k] = T(L[size_t(k) * n + i]);
  return f;
}

// The components on one group of points from the values of the tile's functions.
template <class T>
void Quadrature<T>::factored_density(const Factor<T>& factor, const Tile& tile, const V* phi, V* psi,
                                     V (*sums)[group_vectors]) const {
  const int n = int(tile.aos.size()), rank = factor.rank;
  const size_t step = size_t(n) * group_vectors, row = layout_.nao, orbital_step = size_t(rank) * group_vectors;
  const int passes = components_ == 5 ? 4 : 1;
  size_t turns = passes * blocks_of(rank) * n + (components_ == 4 ? blocks_of(n) * rank : 0);
  Ahead4 ahead(phi + step * n_values(), step * n_values() * sizeof(V), std::max<size_t>(1, turns));
  for (int pass = 0; pass < passes; ++pass)
    orbitals<T>(factor.by_orbital.data(), row, rank, tile.aos.data(), n, phi + pass * step, psi + pass * orbital_step,
                ahead);
  for (int k = 0; k < rank; ++k)
#pragma GCC unroll 8
    for (int v = 0; v < group_vectors; ++v) {
      const V* own = psi + size_t(k) * group_vectors + v;
      sums[0][v] += own[0] * own[0];
      if (components_ == 5)
        for (int x = 1; x < 4; ++x) {
          const V slope = own[x * orbital_step];
          sums[x][v] += own[0] * slope;
          sums[4][v] += slope * slope;
        }
    }
  if (components_ == 4)
    slopes<T>(factor.by_function.data(), rank, tile.aos.data(), n, psi, phi + step, step, sums + 1, ahead);
}

template const Factor<double>& Quadrature<double>::factor(int, int, const double*, size_t) const;
template const Factor<float>& Quadrature<float>::factor(int, int, const double*, size_t) const;
template void Quadrature<double>::factored_density(const Factor<double>&, const Tile&, const V*, V*,
                                                   V (*)[group_vectors]) const;
template void Quadrature<float>::factored_density(const Factor<float>&, const Tile&, const V*, V*,
                                                  V (*)[group_vectors]) const;

}  // namespace scfx_simd::quadrature
