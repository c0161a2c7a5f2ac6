// Hermite Coulomb integrals R_tuv and their indexing.
// L. E. McMurchie and E. R. Davidson, J. Comput. Phys. 26, 218 (1978); HJO section 9.9, eqs. 9.9.18-9.9.20.
#pragma once

#include <array>
#include <utility>

#include "lanes.h"

namespace scfx_simd {

// Of a shell (f), of a pair and of a quartet. Whoever raises it finds by static_assert what else has to grow.
constexpr int max_shell_l = 3, max_pair_l = 2 * max_shell_l, max_l = 4 * max_shell_l;
constexpr int max_functions = (max_shell_l + 1) * (max_shell_l + 2) / 2;  // Cartesian, of one shell

// Number of (t, u, v) with t + u + v <= L.
constexpr int n_hermite(int L) { return (L + 1) * (L + 2) * (L + 3) / 6; }

// By degree, then x before y before z: the index of a (t, u, v) does not depend on L.
constexpr int hermite_index(int t, int u, int v) {
  const int n = t + u + v;
  return n * (n + 1) * (n + 2) / 6 + (u + v) * (u + v + 1) / 2 + v;
}

constexpr bool odd_degree(int h) {
  int degree = 0;
  while (n_hermite(degree) <= h) ++degree;
  return degree % 2 != 0;
}

// How each R_tuv follows from lower ones: R[k] = PQ[axis] R[parent] + count R[grandparent], one auxiliary order up.
struct HermiteStep { int16_t parent, grandparent; int8_t axis, count; };

template <int L> constexpr std::array<HermiteStep, n_hermite(L)> hermite_steps() {
  std::array<HermiteStep, n_hermite(L)> out{};
  for (int n = 1; n <= L; ++n)
    for (int t = n; t >= 0; --t)
      for (int u = n - t; u >= 0; --u) {
        const int power[3] = {t, u, n - t - u};
        // An axis with power one has no second term.
        int axis = -1;
        for (int i = 0; i < 3; ++i)
          if (power[i] == 1) axis = i;
        if (axis < 0) axis = t ? 0 : (u ? 1 : 2);
        int a[3] = {t, u, n - t - u};
        a[axis] -= 1;
        HermiteStep step{};
        step.parent = int16_t(hermite_index(a[0], a[1], a[2]));
        step.axis = int8_t(axis);
        step.count = int8_t(power[axis] - 1);
        a[axis] -= 1;
        step.grandparent = power[axis] > 1 ? int16_t(hermite_index(a[0], a[1], a[2])) : int16_t(0);
        out[hermite_index(t, u, n - t - u)] = step;
      }
  return out;
}

template <int L> struct HermiteSteps { static constexpr auto value = hermite_steps<L>(); };

template <class T, int L, int K> SCFX_INLINE void hermite_step(const typename Lanes<T>::V* PQ, typename Lanes<T>::V* R) {
  constexpr HermiteStep s = HermiteSteps<L>::value[K];
  if constexpr (s.count == 0)
    R[K] = PQ[s.axis] * R[s.parent];
  else if constexpr (s.count == 1)
    R[K] = PQ[s.axis] * R[s.parent] + R[s.grandparent];
  else
    R[K] = PQ[s.axis] * R[s.parent] + T(s.count) * R[s.grandparent];
}

template <class T, int L, int N, int... K>
SCFX_INLINE void hermite_level(const typename Lanes<T>::V* PQ, typename Lanes<T>::V* R, std::integer_sequence<int, K...>) {
  (hermite_step<T, L, N - 1 - K>(PQ, R), ...);
}

template <class T, int L, int Order>
SCFX_INLINE void hermite_orders(const typename Lanes<T>::V* F, const typename Lanes<T>::V* PQ, typename Lanes<T>::V* R) {
  // Parents and grandparents have lower indices: going down, each level can overwrite the one above it.
  constexpr int n = n_hermite(L - Order);
  hermite_level<T, L, n>(PQ, R, std::make_integer_sequence<int, n - 1>{});
  R[0] = F[Order];
  if constexpr (Order > 0) hermite_orders<T, L, Order - 1>(F, PQ, R);
}

// R[0..n_hermite(L)) from F[n] = prefactor (-2 alpha)^n F_n(T). Up to L = `Unrolled` without a loop.
template <class T, int L, int Unrolled = 4>
SCFX_INLINE void hermite_integrals(const typename Lanes<T>::V* F, const typename Lanes<T>::V* PQ, typename Lanes<T>::V* R) {
  using V = typename Lanes<T>::V;
  if constexpr (L == 0) {
    R[0] = F[0];
  } else if constexpr (L <= Unrolled) {
    V local[n_hermite(L)];
    local[0] = F[L];
    hermite_orders<T, L, L - 1>(F, PQ, local);
    for (int k = 0; k < n_hermite(L); ++k) R[k] = local[k];
  } else {
    R[0] = F[L];
    for (int order = L - 1; order >= 0; --order) {
      for (int k = n_hermite(L - order) - 1; k > 0; --k) {
        const HermiteStep s = HermiteSteps<L>::value[k];
        R[k] = PQ[int(s.axis)] * R[s.parent] + T(s.count) * R[s.grandparent];
      }
      R[0] = F[order];
    }
  }
}

}  // namespace scfx_simd
