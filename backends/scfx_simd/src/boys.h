// Boys functions F_m(T) = ∫_0^1 u^(2m) exp(-T u²) du, m = 0..M, for every lane at once.
// S. F. Boys, Proc. R. Soc. A 200, 542 (1950); Helgaker, Jorgensen, Olsen (2000), section 9.8.
//
// Below `t_max`: F_M from a piecewise polynomial whose coefficients are looked up by lane, exp(-T) likewise, then
// downward recursion (stable). Above: the asymptotic F_0 = sqrt(pi/T)/2, upward recursion without the exponential,
// whose neglect is an absolute error below exp(-T)/(2T): 2e-16 at T = 32, 4e-9 at T = 16.
//
// What is computed is 2/sqrt(pi) F_m, so that the asymptotic form needs no constant: sqrt(pi)/2 rounded to float32 is off
// by 3e-8, which scales every distant repulsion alike and shifted the energy of C7H9NO-sized molecules by 0.5 meV.
#pragma once

#include "lanes.h"

namespace scfx_simd {

constexpr int max_boys = 14;  // orders 0 to 13, those of a gradient of four f shells

template <class T> struct BoysShape;
template <> struct BoysShape<double> {
  static constexpr int degree = 12, exp_degree = 11;  // 16 intervals of width 2
  static constexpr double t_max = 32, scale = 0.5, magic = 6755399441055744.0;  // 1.5 * 2^52
};
template <> struct BoysShape<float> {
  static constexpr int degree = 5, exp_degree = 5;  // 32 intervals of width 1/2
  static constexpr float t_max = 16, scale = 2, magic = 12582912.0f;  // 1.5 * 2^23
};

template <class T> struct BoysTables {
  using S = BoysShape<T>;
  alignas(64) T coefficient[max_boys][S::degree + 1][Table<T>::size];
  alignas(64) T exp_center[Table<T>::size];
  T exp_series[S::exp_degree + 1];  // of exp(-x/(2 scale)), to be squared
};

// Filled once, in long double, when the library is loaded.
extern const BoysTables<double> boys_double;
extern const BoysTables<float> boys_float;
template <class T> const BoysTables<T>& boys_tables();
template <> inline const BoysTables<double>& boys_tables<double>() { return boys_double; }
template <> inline const BoysTables<float>& boys_tables<float>() { return boys_float; }

double boys_reference(int m, double t);

constexpr double boys_scale = 1.1283791670955125739;  // 2/sqrt(pi)

// F[m] = boys_scale F_m(t), m = 0..M, for t >= 0.
template <class T, int M> SCFX_INLINE void boys(typename Lanes<T>::V t, typename Lanes<T>::V* F) {
  using V = typename Lanes<T>::V;
  using S = BoysShape<T>;
  const BoysTables<T>& tab = boys_tables<T>();
  const auto small = less(t, splat<T>(S::t_max));
  const bool none_large = all(small);
  V large[M + 1] = {};
  if (!none_large) {
    const V r = rsqrt(t);
    const V half_inverse = T(0.5) * r * r;
    large[0] = r;
#pragma GCC unroll 16
    for (int m = 1; m <= M; ++m) large[m] = large[m - 1] * half_inverse * T(2 * m - 1);
    if (!any(small)) {
#pragma GCC unroll 16
      for (int m = 0; m <= M; ++m) F[m] = large[m];
      return;
    }
  }
  // Adding 1.5 * 2^52 rounds to an integer and leaves it in the low bits.
  const V scaled = t * S::scale - T(0.5);
  const V shifted = scaled + S::magic;
  const V x = scaled - (shifted - S::magic);
  typename Table<T>::Index index;
  std::memcpy(&index, &shifted, sizeof index);
  V f = lookup(tab.coefficient[M][S::degree], index);
#pragma GCC unroll 16
  for (int k = S::degree - 1; k >= 0; --k) f = f * x + lookup(tab.coefficient[M][k], index);
  F[M] = f;
  if constexpr (M > 0) {
    V e = splat<T>(tab.exp_series[S::exp_degree]);
#pragma GCC unroll 16
    for (int k = S::exp_degree - 1; k >= 0; --k) e = e * x + tab.exp_series[k];
    e = e * e * lookup(tab.exp_center, index);
    const V t2 = t + t;
#pragma GCC unroll 16
    for (int m = M - 1; m >= 0; --m) {
      // 1/3, 1/5... in two pieces: their rounding to T would be a systematic error.
      const double inverse = 1.0 / (2 * m + 1);
      const V sum = t2 * F[m + 1] + e;
      F[m] = sum * T(inverse);
      if (sizeof(T) == 4 && m > 0) F[m] += sum * T(inverse - double(T(inverse)));
    }
  }
  if (!none_large)
#pragma GCC unroll 16
    for (int m = 0; m <= M; ++m) F[m] = select(small, F[m], large[m]);
}

}  // namespace scfx_simd
