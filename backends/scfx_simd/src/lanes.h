// Lane vectors: one SIMD lane is one conformer, or one shell pair of a conformer alone (ket_lanes.h). Everything above this file is written once for every instruction set.
//
// A lane's result must not depend on its neighbours, so nothing here reduces over lanes except `any`/`all`, which may
// only decide whether work that is masked to exactly zero in every lane can be skipped.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(SCFX_VARIANT_AVX512) || defined(SCFX_VARIANT_AVX2)
#include <immintrin.h>
#endif

#if defined(SCFX_VARIANT_AVX512)
#define SCFX_VECTOR_BYTES 64
#elif defined(SCFX_VARIANT_AVX2)
#define SCFX_VECTOR_BYTES 32
#else
#define SCFX_VECTOR_BYTES 16
#endif

namespace scfx_simd {

template <class T> struct Lanes {
  typedef T V __attribute__((vector_size(SCFX_VECTOR_BYTES)));
  static constexpr int width = SCFX_VECTOR_BYTES / sizeof(T);
};
using vd = Lanes<double>::V;
using vf = Lanes<float>::V;
typedef int64_t vl __attribute__((vector_size(SCFX_VECTOR_BYTES)));
typedef int32_t vi __attribute__((vector_size(SCFX_VECTOR_BYTES)));
constexpr int WD = Lanes<double>::width;  // conformers in a float64 vector: the unit of storage and of J/K
constexpr int WF = Lanes<float>::width;

#define SCFX_INLINE inline __attribute__((always_inline))

template <class T> SCFX_INLINE typename Lanes<T>::V splat(T x) { return x - typename Lanes<T>::V{}; }

// ---- masks ---------------------------------------------------------------------------------------------------------

#if defined(SCFX_VARIANT_AVX512)
template <class T> struct MaskOf;
template <> struct MaskOf<double> { using type = __mmask8; };
template <> struct MaskOf<float> { using type = __mmask16; };
SCFX_INLINE __mmask8 less(vd a, vd b) { return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_LT_OQ); }
SCFX_INLINE __mmask16 less(vf a, vf b) { return _mm512_cmp_ps_mask((__m512)a, (__m512)b, _CMP_LT_OQ); }
SCFX_INLINE __mmask8 at_least(vd a, vd b) { return _mm512_cmp_pd_mask((__m512d)a, (__m512d)b, _CMP_GE_OQ); }
SCFX_INLINE unsigned bits(__mmask8 m) { return m; }
SCFX_INLINE bool any(__mmask8 m) { return m != 0; }
SCFX_INLINE bool any(__mmask16 m) { return m != 0; }
SCFX_INLINE bool all(__mmask8 m) { return m == 0xff; }
SCFX_INLINE bool all(__mmask16 m) { return m == 0xffff; }
SCFX_INLINE vd select(__mmask8 m, vd a, vd b) { return (vd)_mm512_mask_blend_pd(m, (__m512d)b, (__m512d)a); }
SCFX_INLINE vf select(__mmask16 m, vf a, vf b) { return (vf)_mm512_mask_blend_ps(m, (__m512)b, (__m512)a); }
SCFX_INLINE vd zero_where(__mmask8 m, vd a) { return (vd)_mm512_maskz_mov_pd((__mmask8)~m, (__m512d)a); }
SCFX_INLINE vf zero_where(__mmask16 m, vf a) { return (vf)_mm512_maskz_mov_ps((__mmask16)~m, (__m512)a); }
#else
template <class T> struct MaskOf;
template <> struct MaskOf<double> { using type = vl; };
template <> struct MaskOf<float> { using type = vi; };
#if defined(SCFX_VARIANT_AVX2)
SCFX_INLINE vl less(vd a, vd b) { return a < b; }
SCFX_INLINE vi less(vf a, vf b) { return a < b; }
SCFX_INLINE vl at_least(vd a, vd b) { return a >= b; }
SCFX_INLINE int bits(vl m) { return _mm256_movemask_pd((__m256d)m); }
SCFX_INLINE int bits(vi m) { return _mm256_movemask_ps((__m256)m); }
SCFX_INLINE bool any(vl m) { return bits(m) != 0; }
SCFX_INLINE bool any(vi m) { return bits(m) != 0; }
SCFX_INLINE bool all(vl m) { return bits(m) == 0xf; }
SCFX_INLINE bool all(vi m) { return bits(m) == 0xff; }
#else
// Lane by lane: GCC 12 fails internally on 128-bit comparisons whose results are combined.
template <class M, class V> SCFX_INLINE M compare(V a, V b, bool or_equal) {
  M out;
  for (size_t i = 0; i < SCFX_VECTOR_BYTES / sizeof(a[0]); ++i) out[i] = (or_equal ? a[i] <= b[i] : a[i] < b[i]) ? -1 : 0;
  return out;
}
SCFX_INLINE vl less(vd a, vd b) { return compare<vl>(a, b, false); }
SCFX_INLINE vi less(vf a, vf b) { return compare<vi>(a, b, false); }
SCFX_INLINE vl at_least(vd a, vd b) { return compare<vl>(b, a, true); }
SCFX_INLINE int bits(vl m) { return (m[0] != 0) | (m[1] != 0) << 1; }
template <class M> SCFX_INLINE bool any(M m) {
  bool out = false;
  for (size_t i = 0; i < SCFX_VECTOR_BYTES / sizeof(m[0]); ++i) out |= m[i] != 0;
  return out;
}
template <class M> SCFX_INLINE bool all(M m) {
  bool out = true;
  for (size_t i = 0; i < SCFX_VECTOR_BYTES / sizeof(m[0]); ++i) out &= m[i] != 0;
  return out;
}
#endif
SCFX_INLINE vd select(vl m, vd a, vd b) { return m ? a : b; }
SCFX_INLINE vf select(vi m, vf a, vf b) { return m ? a : b; }
SCFX_INLINE vd zero_where(vl m, vd a) { return m ? vd{} : a; }
SCFX_INLINE vf zero_where(vi m, vf a) { return m ? vf{} : a; }
#endif

// Lanes by the bits of a number.
SCFX_INLINE MaskOf<double>::type lanes_of(unsigned mask) {
#if defined(SCFX_VARIANT_AVX512)
  return __mmask8(mask);
#elif defined(SCFX_VARIANT_AVX2)
  return vl{-int64_t(mask & 1), -int64_t(mask >> 1 & 1), -int64_t(mask >> 2 & 1), -int64_t(mask >> 3 & 1)};
#else
  return vl{-int64_t(mask & 1), -int64_t(mask >> 1 & 1)};
#endif
}

// r[x][y] to r[y][x].
SCFX_INLINE void transpose(vd* r) {
#if defined(SCFX_VARIANT_AVX512)
  __m512d pairs[8], out[8];
#pragma GCC unroll 4
  for (int k = 0; k < 4; ++k) {
    pairs[k] = _mm512_unpacklo_pd((__m512d)r[2 * k], (__m512d)r[2 * k + 1]);
    pairs[4 + k] = _mm512_unpackhi_pd((__m512d)r[2 * k], (__m512d)r[2 * k + 1]);
  }
#pragma GCC unroll 2
  for (int odd = 0; odd < 2; ++odd) {
    const __m512d* p = pairs + 4 * odd;
    const __m512d low_a = _mm512_shuffle_f64x2(p[0], p[1], 0x44), low_b = _mm512_shuffle_f64x2(p[2], p[3], 0x44);
    const __m512d high_a = _mm512_shuffle_f64x2(p[0], p[1], 0xee), high_b = _mm512_shuffle_f64x2(p[2], p[3], 0xee);
    out[odd] = _mm512_shuffle_f64x2(low_a, low_b, 0x88);
    out[2 + odd] = _mm512_shuffle_f64x2(low_a, low_b, 0xdd);
    out[4 + odd] = _mm512_shuffle_f64x2(high_a, high_b, 0x88);
    out[6 + odd] = _mm512_shuffle_f64x2(high_a, high_b, 0xdd);
  }
#pragma GCC unroll 8
  for (int k = 0; k < 8; ++k) r[k] = (vd)out[k];
#elif defined(SCFX_VARIANT_AVX2)
  const __m256d a = _mm256_unpacklo_pd((__m256d)r[0], (__m256d)r[1]), b = _mm256_unpackhi_pd((__m256d)r[0], (__m256d)r[1]);
  const __m256d c = _mm256_unpacklo_pd((__m256d)r[2], (__m256d)r[3]), d = _mm256_unpackhi_pd((__m256d)r[2], (__m256d)r[3]);
  r[0] = (vd)_mm256_permute2f128_pd(a, c, 0x20);
  r[1] = (vd)_mm256_permute2f128_pd(b, d, 0x20);
  r[2] = (vd)_mm256_permute2f128_pd(a, c, 0x31);
  r[3] = (vd)_mm256_permute2f128_pd(b, d, 0x31);
#else
  const vd a{r[0][0], r[1][0]}, b{r[0][1], r[1][1]};
  r[0] = a;
  r[1] = b;
#endif
}

// ---- 1/sqrt --------------------------------------------------------------------------------------------------------

#if defined(SCFX_VARIANT_AVX512)
// A 14-bit estimate r, then the binomial series of (1 - e)^(-1/2), e = 1 - x r², to third order: e < 2^-13, so the
// remainder 35/128 e^4 is below 2^-53. Division and square root would cost three times as much.
SCFX_INLINE vd rsqrt(vd x) {
  const vd r = (vd)_mm512_rsqrt14_pd((__m512d)x);
  const vd e = 1.0 - (x * r) * r;
  const vd series = (0.3125 * e + 0.375) * e + 0.5;
  return r + (r * e) * series;
}
SCFX_INLINE vf rsqrt(vf x) {
  const vf r = (vf)_mm512_rsqrt14_ps((__m512)x);
  const vf e = 1.0f - (x * r) * r;
  return r + (r * e) * (0.375f * e + 0.5f);
}
#elif defined(SCFX_VARIANT_AVX2)
SCFX_INLINE vd rsqrt(vd x) { return 1.0 / (vd)_mm256_sqrt_pd((__m256d)x); }
SCFX_INLINE vf rsqrt(vf x) { return 1.0f / (vf)_mm256_sqrt_ps((__m256)x); }
#else
template <class V> SCFX_INLINE V rsqrt(V x) {
  V out;
  for (size_t i = 0; i < SCFX_VECTOR_BYTES / sizeof(x[0]); ++i) out[i] = 1 / std::sqrt(x[i]);
  return out;
}
#endif

// ---- small tables, one entry by lane -------------------------------------------------------------------------------
// `index` carries the entry in the low bits of an integer lane. With AVX-512 the whole table sits in two registers and
// a lookup is one permute.

template <class T> struct Table;
template <> struct Table<double> { static constexpr int size = 16; using Index = vl; };
template <> struct Table<float> { static constexpr int size = 32; using Index = vi; };

SCFX_INLINE vd lookup(const double* table, vl index) {
#if defined(SCFX_VARIANT_AVX512)
  return (vd)_mm512_permutex2var_pd(_mm512_load_pd(table), (__m512i)index, _mm512_load_pd(table + 8));
#elif defined(SCFX_VARIANT_AVX2)
  return (vd)_mm256_i64gather_pd(table, (__m256i)(index & 15), 8);
#else
  return vd{table[index[0] & 15], table[index[1] & 15]};
#endif
}
SCFX_INLINE vf lookup(const float* table, vi index) {
#if defined(SCFX_VARIANT_AVX512)
  return (vf)_mm512_permutex2var_ps(_mm512_load_ps(table), (__m512i)index, _mm512_load_ps(table + 16));
#elif defined(SCFX_VARIANT_AVX2)
  return (vf)_mm256_i32gather_ps(table, (__m256i)(index & 31), 4);
#else
  return vf{table[index[0] & 31], table[index[1] & 31], table[index[2] & 31], table[index[3] & 31]};
#endif
}

}  // namespace scfx_simd
