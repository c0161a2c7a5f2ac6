// exp(x) for x <= 0, every lane at once: 2^n exp(r) with |r| <= ln(2)/2 and the Taylor series of exp(r).
#pragma once

#include "lanes.h"

namespace scfx_simd {

SCFX_INLINE vd exp_negative(vd x) {
  x = select(less(x, splat(-700.0)), splat(-700.0), x);
  const double magic = 6755399441055744.0;  // 1.5 * 2^52: adding it rounds to an integer
  const vd shifted = x * 1.4426950408889634 + magic;
  const vd n = shifted - magic;
  const vd r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
  vd p = splat(1.0 / 6227020800.0);
  constexpr double c[] = {1.0,          1.0,           1.0 / 2,        1.0 / 6,        1.0 / 24,
                          1.0 / 120,    1.0 / 720,     1.0 / 5040,     1.0 / 40320,    1.0 / 362880,
                          1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600};
#pragma GCC unroll 16
  for (int k = 12; k >= 0; --k) p = p * r + c[k];
  vl exponent, bits;
  std::memcpy(&exponent, &shifted, sizeof exponent);
  std::memcpy(&bits, &p, sizeof bits);
  bits += exponent << 52;  // the low bits of `shifted` are n
  std::memcpy(&p, &bits, sizeof p);
  return p;
}

SCFX_INLINE vf exp_negative(vf x) {
  x = select(less(x, splat(-86.0f)), splat(-86.0f), x);
  const float magic = 12582912.0f;
  const vf shifted = x * 1.44269504f + magic;
  const vf n = shifted - magic;
  const vf r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  vf p = splat(1.0f / 5040);
  constexpr float c[] = {1.0f, 1.0f, 1.0f / 2, 1.0f / 6, 1.0f / 24, 1.0f / 120, 1.0f / 720};
#pragma GCC unroll 16
  for (int k = 6; k >= 0; --k) p = p * r + c[k];
  vi exponent, bits;
  std::memcpy(&exponent, &shifted, sizeof exponent);
  std::memcpy(&bits, &p, sizeof bits);
  bits += exponent << 23;
  std::memcpy(&p, &bits, sizeof p);
  return p;
}

}  // namespace scfx_simd
