// Vectors of points in memory: float64 in registers, kept in either precision.
#pragma once

#include <cstring>

#include "grid_tiles.h"

namespace scfx_simd::quadrature {

SCFX_INLINE vd load(const double* from) {
  vd out;
  std::memcpy(&out, from, sizeof out);
  return out;
}
SCFX_INLINE vd load(const float* from) {
  typedef float half __attribute__((vector_size(SCFX_VECTOR_BYTES / 2)));
  half out;
  std::memcpy(&out, from, sizeof out);
  return __builtin_convertvector(out, vd);
}
SCFX_INLINE void store(vd value, double* to) { std::memcpy(to, &value, sizeof value); }
SCFX_INLINE void store(vd value, float* to) {
  typedef float half __attribute__((vector_size(SCFX_VECTOR_BYTES / 2)));
  const half out = __builtin_convertvector(value, half);
  std::memcpy(to, &out, sizeof out);
}

template <class T> struct Rows {
  T* out;
  int n_rows, n_values;
  // Where row `row` of component 0 has point `point` of the tile; the next component is `step` on.
  T* at(int row, int point) const {
    const int group = point / group_points<T>, within = point % group_points<T>;
    return out + (size_t(group) * n_values * n_rows + row) * group_points<T> + within;
  }
  size_t step() const { return size_t(n_rows) * group_points<T>; }
};

}  // namespace scfx_simd::quadrature
