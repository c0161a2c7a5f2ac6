// The double sum of VV10 in tiles of points: 512 of them, with their sums, stay in the first two caches.
#include "nonlocal_pairs.h"

#include <algorithm>

#include "grid_tiles.h"
#include "parallel.h"

namespace scfx_simd::nonlocal {

namespace {

using quadrature::Aligned;

constexpr int tile = 512, n_fields = 6;
// Tile i works on the sums of slab i mod `n_slabs`, which are added up at the end in their order: the number of threads
// changes no bit.
constexpr int n_slabs = 8;
// Points j that share the loads and stores of a vector of points i.
constexpr int block = 2;

// A point, or a vector of them.
struct Point {
  vd x, y, z, omega, kappa, weight;
};

SCFX_INLINE vd load(const double* from) {
  vd out;
  std::memcpy(&out, from, sizeof out);
  return out;
}
SCFX_INLINE Point points_at(const double* const* fields, int p) {
  return {load(fields[0] + p), load(fields[1] + p), load(fields[2] + p),
          load(fields[3] + p), load(fields[4] + p), load(fields[5] + p)};
}
SCFX_INLINE Point point_in_all_lanes(const double* const* fields, int p) {
  return {splat(fields[0][p]), splat(fields[1][p]), splat(fields[2][p]),
          splat(fields[3][p]), splat(fields[4][p]), splat(fields[5][p])};
}

// What a pair adds to the sums of its first point, and, if `Both`, to those of its second.
struct Sums {
  static constexpr int count = 3;
  template <bool Both> SCFX_INLINE static void add(const Point& i, const Point& j, vd* own, vd* other) {
    const vd x = i.x - j.x, y = i.y - j.y, z = i.z - j.z;
    const vd r2 = x * x + y * y + z * z;
    const vd g = i.omega * r2 + i.kappa, h = j.omega * r2 + j.kappa;
    const vd both = g + h;
    // The one division: 1/g + 1/(g + g') is g' (g + g' + g) times it.
    const vd inverse = 1.0 / (g * h * both), squared = inverse * inverse;
    const vd u = j.weight * (squared * (h * (both + g)));
    own[0] += j.weight * inverse;
    own[1] += u;
    own[2] += u * r2;
    if constexpr (Both) {
      const vd v = i.weight * (squared * (g * (both + h)));
      other[0] += i.weight * inverse;
      other[1] += v;
      other[2] += v * r2;
    }
  }
};

struct Derivatives {
  static constexpr int count = 4;
  template <bool Both> SCFX_INLINE static void add(const Point& i, const Point& j, vd* own, vd* other) {
    const vd x = i.x - j.x, y = i.y - j.y, z = i.z - j.z;
    const vd r2 = x * x + y * y + z * z;
    const vd g = i.omega * r2 + i.kappa, h = j.omega * r2 + j.kappa;
    const vd both = g + h, product = g * h;
    const vd inverse = 1.0 / (product * both);
    const vd slope =
        inverse * inverse * ((i.omega * h + j.omega * g) * both + (i.omega + j.omega) * product);
    const vd u = j.weight * slope;
    own[0] += j.weight * inverse;
    own[1] += u * x;
    own[2] += u * y;
    own[3] += u * z;
    if constexpr (Both) {
      const vd v = i.weight * slope;
      other[0] += i.weight * inverse;
      other[1] -= v * x;
      other[2] -= v * y;
      other[3] -= v * z;
    }
  }
};

SCFX_INLINE double over_lanes(vd values) {
  double sum = values[0];
  for (int lane = 1; lane < WD; ++lane) sum += values[lane];
  return sum;
}

// All pairs of two tiles. Both tiles' sums grow, or, of a tile with itself, its own once.
template <class Kernel, bool Both>
void pairs(const double* const* fields, int first_i, int first_j, int stop_j, size_t stride, double* sums) {
  constexpr int count = Kernel::count;
  for (int j = first_j; j < stop_j; j += block) {
    Point others[block];
    vd other[block][count] = {};
#pragma GCC unroll 2
    for (int b = 0; b < block; ++b) others[b] = point_in_all_lanes(fields, j + b);
    for (int i = first_i; i < first_i + tile; i += WD) {
      const Point own = points_at(fields, i);
      vd sum[count];
#pragma GCC unroll 4
      for (int k = 0; k < count; ++k) sum[k] = load(sums + k * stride + i);
#pragma GCC unroll 2
      for (int b = 0; b < block; ++b) Kernel::template add<Both>(own, others[b], sum, other[b]);
#pragma GCC unroll 4
      for (int k = 0; k < count; ++k) std::memcpy(sums + k * stride + i, &sum[k], sizeof sum[k]);
    }
    if constexpr (Both)
      for (int b = 0; b < block; ++b)
        for (int k = 0; k < count; ++k) sums[k * stride + j + b] += over_lanes(other[b][k]);
  }
}

template <class Kernel> void all_pairs(int n, const double* points, int threads, double* out) {
  const int tiles = (n + tile - 1) / tile;
  const size_t padded = size_t(tiles) * tile;
  // Filled up with points that are at no distance, and weigh nothing.
  Aligned<double> room(n_fields * padded);
  std::fill_n(room.get(), n_fields * padded, 1.0);
  const double* fields[n_fields];
  for (int f = 0; f < n_fields; ++f) {
    double* to = room.get() + f * padded;
    std::copy_n(points + size_t(f) * n, n, to);
    if (f == n_fields - 1) std::fill(to + n, to + padded, 0.0);
    fields[f] = to;
  }
  const int slabs = std::min(n_slabs, tiles);
  const size_t size = Kernel::count * padded;
  Aligned<double> sums(slabs * size);
  std::fill_n(sums.get(), slabs * size, 0.0);
  parallel(threads, slabs, [&](int slab) {
    double* own = sums.get() + slab * size;
    for (int i = slab; i < tiles; i += slabs) {
      pairs<Kernel, false>(fields, i * tile, i * tile, (i + 1) * tile, padded, own);
      for (int j = i + 1; j < tiles; ++j)
        pairs<Kernel, true>(fields, i * tile, j * tile, (j + 1) * tile, padded, own);
    }
  });
  for (int k = 0; k < Kernel::count; ++k)
    for (int p = 0; p < n; ++p) {
      double sum = 0;
      for (int slab = 0; slab < slabs; ++slab) sum += sums.get()[slab * size + k * padded + p];
      out[size_t(k) * n + p] = sum;
    }
}

}  // namespace

void pair_sums(int n, const double* points, int threads, double* out) { all_pairs<Sums>(n, points, threads, out); }

void pair_derivatives(int n, const double* points, int threads, double* out) {
  all_pairs<Derivatives>(n, points, threads, out);
}

}  // namespace scfx_simd::nonlocal
