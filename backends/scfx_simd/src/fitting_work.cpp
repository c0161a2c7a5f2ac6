#include "fitting_work.h"

#include <array>

namespace scfx_simd::fitting {

int sum_of(int a, int b) {
  static const std::vector<std::array<int, 3>> powers = [] {
    std::vector<std::array<int, 3>> out(n_hermite(max_pair_l + 1));
    for (int t = 0; t <= max_pair_l + 1; ++t)
      for (int u = 0; t + u <= max_pair_l + 1; ++u)
        for (int v = 0; t + u + v <= max_pair_l + 1; ++v) out[hermite_index(t, u, v)] = {t, u, v};
    return out;
  }();
  const auto &x = powers[a], &y = powers[b];
  return hermite_index(x[0] + y[0], x[1] + y[1], x[2] + y[2]);
}

namespace {

template <int L>
void hermite(const Bra::Primitive& bra, vd q, const vd* centre, vd weight, double inverse_omega_squared, vd* R) {
  static_assert(L < max_boys, "the tables of Boys functions end before");
  const vd p = splat(bra.p), pq = p * q;
  const vd r = rsqrt(p + q + pq * inverse_omega_squared);
  const vd alpha = pq * (r * r);
  const vd PQ[3] = {bra.centre[0] - centre[0], bra.centre[1] - centre[1], bra.centre[2] - centre[2]};
  vd F[L + 1];
  boys<double, L>(alpha * (PQ[0] * PQ[0] + PQ[1] * PQ[1] + PQ[2] * PQ[2]), F);
  vd factor = r * weight;
  const vd step = alpha * -2.0;
  F[0] = F[0] * factor;
#pragma GCC unroll 16
  for (int m = 1; m <= L; ++m) {
    factor = factor * step;
    F[m] = F[m] * factor;
  }
  hermite_integrals<double, L>(F, PQ, R);
}

template <int N> void apply(const Pattern& pattern, const double* E, const vd* Y, vd* out) {
  const int rows = int(pattern.row_start.size()) - 1;
  for (int row = 0; row < rows; ++row, out += N) {
    vd sum[N];
#pragma GCC unroll 16
    for (int m = 0; m < N; ++m) sum[m] = out[m];
    for (int e = pattern.row_start[row]; e < pattern.row_start[row + 1]; ++e) {
      const vd c = splat(E[e]);
      const vd* y = Y + size_t(pattern.hermite[e]) * N;
#pragma GCC unroll 16
      for (int m = 0; m < N; ++m) sum[m] += c * y[m];
    }
#pragma GCC unroll 16
    for (int m = 0; m < N; ++m) out[m] = sum[m];
  }
}

}  // namespace

HermiteVector hermite_vector(int L) {
  static constexpr HermiteVector table[max_total_l + 1] = {
      hermite<0>, hermite<1>, hermite<2>, hermite<3>,  hermite<4>,  hermite<5>,  hermite<6>,
      hermite<7>, hermite<8>, hermite<9>, hermite<10>, hermite<11>, hermite<12>, hermite<13>};
  static_assert(max_total_l == 13, "one kernel for each degree");
  return table[L];
}

Apply apply_kernel(int nfunc) {
  static constexpr Apply table[max_auxiliary_l + 1] = {apply<1>, apply<3>, apply<5>, apply<7>, apply<9>, apply<11>, apply<13>};
  static_assert(max_auxiliary_l == 6, "one kernel for each angular momentum");
  return table[nfunc / 2];
}

}  // namespace scfx_simd::fitting
