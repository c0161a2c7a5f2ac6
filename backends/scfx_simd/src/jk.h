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
