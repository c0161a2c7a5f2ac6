// The C interface of two- and three-index integrals, for ctypes.
#include <cstdint>
#include <cstdio>
#include <exception>

#include "fitting.h"

using namespace scfx_simd::fitting;

#define SCFX_EXPORT extern "C" __attribute__((visibility("default")))

// Mirrored by scfx_simd/fitting.py. shells [nshell][7]: atom, l, primitives, first primitive, first function, functions,
// Cartesian.
struct ScfxShells {
  int32_t natm, nshell, nprim, count;
  const int32_t* shells;
  const double *position, *exponent, *coefficient;
};

namespace {

template <class F> int guarded(char* message, int size, F body) {
  try {
    body();
    return 0;
  } catch (const std::exception& error) {
    std::snprintf(message, size, "%s", error.what());
    return 1;
  }
}

Shells shells_of(const ScfxShells& from) {
  Shells out;
  for (int s = 0; s < from.nshell; ++s) {
    const int32_t* x = from.shells + 7 * s;
    out.shells.push_back({x[0], x[1], x[2], x[3], x[4], x[5], x[6] != 0});
  }
  out.position.assign(from.position, from.position + 3 * from.natm);
  out.exponent.assign(from.exponent, from.exponent + from.nprim);
  out.coefficient.assign(from.coefficient, from.coefficient + from.nprim);
  out.count = from.count;
  return out;
}

const Integrals& of(void* handle) { return *static_cast<Integrals*>(handle); }

}  // namespace

SCFX_EXPORT int scfx_fitting_max_angular_momentum() { return max_auxiliary_l; }

// spherical: the [ncart][2l+1] matrices of l = 0..max_auxiliary_l one after another.
SCFX_EXPORT int scfx_fitting_new(const ScfxShells* orbital, const ScfxShells* auxiliary, const double* spherical,
                                 double inverse_omega_squared, void** handle, char* message, int size) {
  return guarded(message, size, [&] {
    const double* tables[max_auxiliary_l + 1];
    for (int l = 0; l <= max_auxiliary_l; ++l) {
      tables[l] = spherical;
      spherical += (l + 1) * (l + 2) / 2 * (2 * l + 1);
    }
    *handle = new Integrals(shells_of(*orbital), shells_of(*auxiliary), tables, inverse_omega_squared);
  });
}

SCFX_EXPORT void scfx_fitting_free(void* handle) { delete static_cast<Integrals*>(handle); }

SCFX_EXPORT void scfx_fitting_order(void* handle, int32_t* out) { of(handle).order(out); }

SCFX_EXPORT int scfx_fitting_significant(void* handle, uint8_t* out, char* message, int size) {
  return guarded(message, size, [&] { of(handle).significant(out); });
}

SCFX_EXPORT int scfx_fitting_rows(void* handle, int32_t from, int32_t to, const int32_t* columns, int32_t n_columns,
                                  double* out, char* message, int size) {
  return guarded(message, size, [&] { of(handle).rows(from, to, columns, n_columns, out); });
}

SCFX_EXPORT int scfx_fitting_metric(void* handle, double* out, char* message, int size) {
  return guarded(message, size, [&] { of(handle).metric(out); });
}

SCFX_EXPORT int scfx_fitting_rows_gradient(void* handle, int32_t from, int32_t to, const int32_t* columns,
                                           int32_t n_columns, const double* density, const int32_t* auxiliary_atom,
                                           double* gradient, char* message, int size) {
  return guarded(message, size, [&] {
    of(handle).rows_gradient(from, to, columns, n_columns, density, auxiliary_atom, gradient);
  });
}

SCFX_EXPORT int scfx_fitting_metric_gradient(void* handle, const double* density, const int32_t* auxiliary_atom,
                                             double* gradient, char* message, int size) {
  return guarded(message, size, [&] { of(handle).metric_gradient(density, auxiliary_atom, gradient); });
}
