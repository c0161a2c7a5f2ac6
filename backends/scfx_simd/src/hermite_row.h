// Hermite Coulomb integrals of one bra primitive with every primitive of a ket, for every lane.
#pragma once

#include "boys.h"
#include "eri.h"

namespace scfx_simd {

// hermite_index of the sum of two Hermite functions, by row.
struct SumTable {
  static constexpr int n = n_hermite(max_pair_l);
  int value[n][n];
  SumTable() {
    std::vector<std::array<int, 3>> powers(n);
    for (int t = 0; t <= max_pair_l; ++t)
      for (int u = 0; t + u <= max_pair_l; ++u)
        for (int v = 0; t + u + v <= max_pair_l; ++v) powers[hermite_index(t, u, v)] = {t, u, v};
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < n; ++j)
        value[i][j] = hermite_index(powers[i][0] + powers[j][0], powers[i][1] + powers[j][1], powers[i][2] + powers[j][2]);
  }
};
extern const SumTable sums;

// R_tuv(p, q) up to degree L with the prefactor 1/sqrt(p + q), the rest of it being in the pairs. For erf(omega r)/r
// both p + q -> p + q + pq/omega² and the reduced exponent follow (HJO exercise 9.; Gill and Adamson, Chem. Phys. Lett.
// 261, 105 (1996)). A primitive quartet counts as zero in a lane where its Schwarz bound is below `threshold`.
// Returns how many kets are kept; slot k of `R` belongs to ket list[k].
template <class T, int L, int Unrolled = 4>
int hermite_row(const typename Lanes<T>::V* bra, const typename Lanes<T>::V* kets, int n,
                typename Lanes<T>::V threshold, typename Lanes<T>::V inverse_omega, typename Lanes<T>::V* R, int* list) {
  using V = typename Lanes<T>::V;
  static_assert(L < max_boys, "the tables of Boys functions end before");
  const V p = bra[0], px = bra[1], py = bra[2], pz = bra[3], bound = bra[4];
  int kept = 0;
  for (int k = 0; k < n; ++k) {
    const V* ket = kets + k * geometry_fields;
    const auto negligible = less(bound * ket[4], threshold);
    if (all(negligible)) continue;
    const V q = ket[0], pq = p * q;
    const V r = rsqrt(p + q + pq * inverse_omega);
    const V alpha = pq * (r * r);
    const V PQ[3] = {px - ket[1], py - ket[2], pz - ket[3]};
    V F[L + 1];
    boys<T, L>(alpha * (PQ[0] * PQ[0] + PQ[1] * PQ[1] + PQ[2] * PQ[2]), F);
    V factor = zero_where(negligible, r);
    const V step = alpha * T(-2);
    F[0] = F[0] * factor;
#pragma GCC unroll 16
    for (int m = 1; m <= L; ++m) {
      factor = factor * step;
      F[m] = F[m] * factor;
    }
    hermite_integrals<T, L, Unrolled>(F, PQ, R + size_t(kept) * n_hermite(L));
    list[kept++] = k;
  }
  return kept;
}

}  // namespace scfx_simd
