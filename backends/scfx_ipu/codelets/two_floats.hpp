// Sums and products whose rounding error is kept: a number as the unevaluated sum of two floats (Dekker, Numer. Math. 18,
// 224 (1971)). Nothing here may be fused or reordered: compile with -ffp-contract=off.
#ifndef SCFX_TWO_FLOATS_HPP
#define SCFX_TWO_FLOATS_HPP

namespace scfx_rys {

template <class Real>
struct TwoFloats {
  Real value, rest;
};

// a + b exactly (Knuth, TAOCP 2, section 4.2.2).
template <class Real>
inline TwoFloats<Real> exact_sum(Real a, Real b) {
  const Real total = a + b;
  const Real shifted = total - a;
  return {total, (a - (total - shifted)) + (b - shifted)};
}

// sum += value, keeping in `rest` what rounding loses.
template <class Real>
inline void add_compensated(Real& sum, Real& rest, Real value) {
  const TwoFloats<Real> total = exact_sum(sum, value);
  sum = total.value;
  rest = rest + total.rest;
}

// a b exactly, of factors cut into halves of twelve bits (Veltkamp and Dekker): no fused multiply-add is needed.
template <class Real>
inline TwoFloats<Real> exact_product(Real a, Real b) {
  const auto high = [](Real x) {
    const Real scaled = Real(4097.0f) * x;
    return scaled - (scaled - x);
  };
  const Real product = a * b;
  const Real a_high = high(a), a_low = a - a_high, b_high = high(b), b_low = b - b_high;
  const Real rest = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low;
  return {product, rest};
}

// a b to the digits of two floats.
template <class Real>
inline TwoFloats<Real> product(TwoFloats<Real> a, TwoFloats<Real> b) {
  const TwoFloats<Real> leading = exact_product(a.value, b.value);
  return {leading.value, leading.rest + (a.value * b.rest + a.rest * b.value)};
}

// 1 / p to the digits of two floats: one step of Newton's iteration.
template <class Real>
inline TwoFloats<Real> reciprocal(TwoFloats<Real> p) {
  const Real inverse = Real(1.0f) / p.value;
  const TwoFloats<Real> one = exact_product(p.value, inverse);
  return {inverse, inverse * (((Real(1.0f) - one.value) - one.rest) - p.rest * inverse)};
}

}  // namespace scfx_rys

#endif
