// Coulomb and exchange contributions of one block of lane-packed integrals.
#pragma once

#include "structure.h"

namespace scfx_simd {

// WD stored numbers as float64 lanes.
SCFX_INLINE vd load_lanes(const double* p) { return *reinterpret_cast<const vd*>(p); }
SCFX_INLINE vd load_lanes(const float* p) {
#if defined(SCFX_VARIANT_AVX512)
  return (vd)_mm512_cvtps_pd(_mm256_load_ps(p));
#elif defined(SCFX_VARIANT_AVX2)
  return (vd)_mm256_cvtps_pd(_mm_load_ps(p));
#else
  return vd{p[0], p[1]};
#endif
}

// Numbers that follow each other from p on, in the lanes of `mask`; zero in the others. Reads WD of them.
#if defined(SCFX_VARIANT_AVX512)
SCFX_INLINE vd expand_lanes(const double* p, unsigned mask) {
  return (vd)_mm512_maskz_expand_pd(__mmask8(mask), _mm512_loadu_pd(p));
}
SCFX_INLINE vd expand_lanes(const float* p, unsigned mask) {
  return (vd)_mm512_maskz_expand_pd(__mmask8(mask), _mm512_cvtps_pd(_mm256_loadu_ps(p)));
}
#elif defined(SCFX_VARIANT_AVX2)
// By mask: which number each lane has, as pairs of 32-bit places; a place beyond the last one for none.
struct ExpandTable {
  alignas(32) int32_t place[16][8];
  alignas(32) int64_t keep[16][4];
  constexpr ExpandTable() : place(), keep() {
    for (int mask = 0; mask < 16; ++mask)
      for (int lane = 0, rank = 0; lane < 4; ++lane) {
        const bool has = mask >> lane & 1;
        place[mask][2 * lane] = has ? 2 * rank : 0;
        place[mask][2 * lane + 1] = has ? 2 * rank + 1 : 0;
        keep[mask][lane] = has ? -1 : 0;
        rank += has;
      }
  }
};
inline constexpr ExpandTable expand_table;
SCFX_INLINE vd expand_lanes(__m256d x, unsigned mask) {
  const __m256i place = _mm256_load_si256((const __m256i*)expand_table.place[mask]);
  const __m256i keep = _mm256_load_si256((const __m256i*)expand_table.keep[mask]);
  return (vd)_mm256_castsi256_pd(_mm256_and_si256(_mm256_permutevar8x32_epi32(_mm256_castpd_si256(x), place), keep));
}
SCFX_INLINE vd expand_lanes(const double* p, unsigned mask) { return expand_lanes(_mm256_loadu_pd(p), mask); }
SCFX_INLINE vd expand_lanes(const float* p, unsigned mask) {
  return expand_lanes(_mm256_cvtps_pd(_mm_loadu_ps(p)), mask);
}
#else
template <class T> SCFX_INLINE vd expand_lanes(const T* p, unsigned mask) {
  return vd{mask & 1 ? double(p[0]) : 0.0, mask & 2 ? double(p[mask & 1]) : 0.0};
}
#endif

// Density and half-built J, K of one group, [nao][nao] lane vectors in internal order; null where not wanted.
struct Matrices {
  int nao;
  const vd *density;
  vd *coulomb, *exchange;
};

struct PairPlace { int a, na, b, nb; };  // first functions and counts

// Blocks of one bra with kets of one shape that follow each other in memory. Each stored integral is (ij|kl) times 1/2
// for each of a = b, c = d, ab = cd. With J' and K' from here, J = 2 (J' + J'^T) and K = K' + K'^T: the eight images of
// an integral, four of them by the transposes. J and K do not depend on whether the other is wanted too. Returns where
// the next block starts.
template <class T>
const T* jk_run(const T* g, const PairPlace& bra, const PairPlace* places, const int* kets, int n, const Matrices& m);

}  // namespace scfx_simd
