// The C interface of the grid contractions, for ctypes.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>

#include "grid_tiles.h"
#include "nonlocal_pairs.h"

namespace {

using namespace scfx_simd::quadrature;

// One of the two, by the precision of AO values.
struct Handle {
  std::unique_ptr<Quadrature<double>> in_double;
  std::unique_ptr<Quadrature<float>> in_single;
  template <class F> auto with(F f) { return in_single ? f(*in_single) : f(*in_double); }
};

template <class F> int guarded(char* message, int size, F body) {
  try {
    body();
    return 0;
  } catch (const std::exception& error) {
    std::snprintf(message, size, "%s", error.what());
    return 1;
  }
}

}  // namespace

#define SCFX_EXPORT extern "C" __attribute__((visibility("default")))

SCFX_EXPORT int scfx_quadrature_points_per_tile() { return tile_points; }
SCFX_EXPORT int scfx_quadrature_max_angular_momentum() { return max_l; }

// shells [n_shells][7]: atom, angular momentum, primitives, first primitive, first AO, AOs, spherical. to_spherical: the
// [ncart][nsph] matrices of l = 2, 3, ... highest, one after another.
SCFX_EXPORT int scfx_quadrature_new(int32_t n_shells, const int32_t* shells, int32_t n_atoms, int32_t n_primitives,
                                    int32_t nao, int32_t highest, const double* to_spherical, int32_t components,
                                    int32_t single, double threshold, int64_t memory_budget, void** handle,
                                    char* message, int size) {
  return guarded(message, size, [&] {
    Layout layout{{}, n_atoms, n_primitives, nao, {}};
    for (int s = 0; s < n_shells; ++s, shells += 7)
      layout.shells.push_back({shells[0], shells[1], shells[2], shells[3], shells[4], shells[5], shells[6] != 0});
    layout.to_spherical.resize(highest + 1);
    for (int l = 2; l <= highest; ++l) {
      const int count = (l + 1) * (l + 2) / 2 * (2 * l + 1);
      layout.to_spherical[l].assign(to_spherical, to_spherical + count);
      to_spherical += count;
    }
    auto out = std::make_unique<Handle>();
    if (single)
      out->in_single = std::make_unique<Quadrature<float>>(std::move(layout), components, threshold, memory_budget);
    else
      out->in_double = std::make_unique<Quadrature<double>>(std::move(layout), components, threshold, memory_budget);
    *handle = out.release();
  });
}

SCFX_EXPORT int scfx_quadrature_add(void* handle, const double* position, const double* exponent,
                                    const double* coefficient, int32_t n, const double* points, const double* weights,
                                    char* message, int size) {
  return guarded(message, size, [&] {
    static_cast<Handle*>(handle)->with(
        [&](auto& q) { q.add(position, exponent, coefficient, n, points, weights); });
  });
}

SCFX_EXPORT void scfx_quadrature_weights(void* handle, int32_t lane, int32_t first, int32_t n, double* out) {
  static_cast<Handle*>(handle)->with([&](auto& q) { q.weights(lane, first, n, out); });
}

SCFX_EXPORT void scfx_quadrature_order(void* handle, int32_t lane, int32_t first, int32_t n, int32_t* out) {
  static_cast<Handle*>(handle)->with([&](auto& q) { q.order(lane, first, n, out); });
}

// density [nactive][nspin] matrices of nao rows, `row` elements from one row to the next, `matrix` from one matrix to the
// next.
SCFX_EXPORT int scfx_quadrature_density(void* handle, int32_t first, int32_t n, int32_t nactive, const int32_t* lanes,
                                        const double* density, int32_t nspin, int64_t row, int64_t matrix, void* out,
                                        char* message, int size) {
  return guarded(message, size, [&] {
    static_cast<Handle*>(handle)->with([&](auto& q) {
      using T = std::remove_const_t<std::remove_pointer_t<decltype(q.element())>>;
      for (int k = 0; k < nactive; ++k)
        q.density(lanes[k], first, n, density + size_t(k) * nspin * matrix, nspin, row, matrix,
                  static_cast<T*>(out) + size_t(k) * nspin * q.components() * n);
    });
  });
}

// derivative [nactive][nspin][components][n]; adds to out, laid out as the density.
SCFX_EXPORT int scfx_quadrature_potential(void* handle, int32_t first, int32_t n, int32_t nactive, const int32_t* lanes,
                                          const double* derivative, int32_t nspin, int64_t row, int64_t matrix,
                                          double* out, char* message, int size) {
  return guarded(message, size, [&] {
    static_cast<Handle*>(handle)->with([&](auto& q) {
      for (int k = 0; k < nactive; ++k)
        q.potential(lanes[k], first, n, derivative + size_t(k) * nspin * q.components() * n, nspin, row, matrix,
                    out + size_t(k) * nspin * matrix);
    });
  });
}

// density and derivative as above, owners [nactive][n]; adds to functions and points [nactive][n_atoms][3].
SCFX_EXPORT int scfx_quadrature_gradient(void* handle, int32_t first, int32_t n, int32_t nactive, const int32_t* lanes,
                                         const double* density, int32_t nspin, int64_t row, int64_t matrix,
                                         const double* derivative, const int32_t* owners, int32_t n_atoms,
                                         double* functions, double* points, char* message, int size) {
  return guarded(message, size, [&] {
    static_cast<Handle*>(handle)->with([&](auto& q) {
      for (int k = 0; k < nactive; ++k)
        q.gradient(lanes[k], first, n, density + size_t(k) * nspin * matrix, nspin, row, matrix,
                   derivative + size_t(k) * nspin * q.components() * n, owners + size_t(k) * n,
                   functions + size_t(k) * n_atoms * 3, points + size_t(k) * n_atoms * 3);
    });
  });
}

// owner and strength of the entry's points, in the order of scfx_quadrature_add; adds to out [n_atoms][3].
SCFX_EXPORT int scfx_quadrature_weight_gradient(void* handle, int32_t lane, const double* position,
                                                const double* shift, const int32_t* owner, const double* strength,
                                                double* out, char* message, int size) {
  return guarded(message, size, [&] {
    static_cast<Handle*>(handle)->with([&](auto& q) { q.weight_gradient(lane, position, shift, owner, strength, out); });
  });
}

SCFX_EXPORT int64_t scfx_quadrature_kept_bytes(void* handle) {
  return static_cast<Handle*>(handle)->with([](auto& q) { return int64_t(q.kept_bytes()); });
}

SCFX_EXPORT void scfx_quadrature_free(void* handle) { delete static_cast<Handle*>(handle); }

// points [6][n]; out [3][n] and [4][n], see nonlocal_pairs.h.
SCFX_EXPORT int scfx_nonlocal_pair_sums(int32_t n, const double* points, int32_t threads, double* out, char* message,
                                        int size) {
  return guarded(message, size, [&] { scfx_simd::nonlocal::pair_sums(n, points, threads, out); });
}

SCFX_EXPORT int scfx_nonlocal_pair_derivatives(int32_t n, const double* points, int32_t threads, double* out,
                                               char* message, int size) {
  return guarded(message, size, [&] { scfx_simd::nonlocal::pair_derivatives(n, points, threads, out); });
}
