#include "boys.h"

#include <vector>

namespace scfx_simd {

namespace {

using Real = long double;

// F_m(t) = exp(-t) Σ_i (2t)^i / ((2m+1)(2m+3)...(2m+2i+1)): all terms positive. HJO eq. 9.8.11.
Real boys_series(int m, Real t) {
  Real term = 1 / Real(2 * m + 1), sum = term;
  for (int i = 1; i < 400 && term > 1e-22L * sum; ++i) {
    term *= 2 * t / Real(2 * m + 2 * i + 1);
    sum += term;
  }
  return std::exp(-t) * sum;
}

// Monomial coefficients, in x over [-1/2, 1/2], of the Chebyshev interpolant of degree n.
template <class Function> std::vector<Real> interpolate(Function f, int n) {
  const int points = n + 1;
  const Real pi = std::acos(Real(-1));
  std::vector<Real> chebyshev(points, 0), values(points);
  for (int j = 0; j < points; ++j) values[j] = f(std::cos(pi * (j + Real(0.5)) / points) / 2);
  for (int k = 0; k < points; ++k) {
    for (int j = 0; j < points; ++j) chebyshev[k] += values[j] * std::cos(pi * k * (j + Real(0.5)) / points);
    chebyshev[k] *= (k ? Real(2) : Real(1)) / points;
  }
  // T_{k+1}(y) = 2 y T_k - T_{k-1} with y = 2x
  std::vector<Real> previous(points, 0), current(points, 0), out(points, 0);
  previous[0] = 1;
  if (points > 1) current[1] = 2;
  for (int k = 0; k < points; ++k) {
    const std::vector<Real>& t = k == 0 ? previous : current;
    for (int i = 0; i < points; ++i) out[i] += chebyshev[k] * t[i];
    if (k == 0) continue;
    std::vector<Real> next(points, 0);
    for (int i = 0; i < points; ++i) next[i] = (i ? 4 * current[i - 1] : 0) - previous[i];
    previous = current;
    current = next;
  }
  return out;
}

template <class T> BoysTables<T> make_tables() {
  using S = BoysShape<T>;
  BoysTables<T> out;
  const Real width = 1 / Real(S::scale), scale = 2 / std::sqrt(std::acos(Real(-1)));
  for (int n = 0; n < Table<T>::size; ++n) {
    const Real center = (n + Real(0.5)) * width;
    out.exp_center[n] = T(scale * std::exp(-center));
    for (int m = 0; m < max_boys; ++m) {
      const auto c = interpolate([&](Real x) { return scale * boys_series(m, center + x * width); }, S::degree);
      for (int k = 0; k <= S::degree; ++k) out.coefficient[m][k][n] = T(c[k]);
    }
  }
  const auto c = interpolate([&](Real x) { return std::exp(-x * width / 2); }, S::exp_degree);
  for (int k = 0; k <= S::exp_degree; ++k) out.exp_series[k] = T(c[k]);
  return out;
}

}  // namespace

double boys_reference(int m, double t) { return double(boys_series(m, t)); }

const BoysTables<double> boys_double = make_tables<double>();
const BoysTables<float> boys_float = make_tables<float>();

}  // namespace scfx_simd
