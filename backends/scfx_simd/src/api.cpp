// The C interface, called through ctypes (which drops the GIL). Every function returns 0 or writes a message.
#include <cstdio>
#include <exception>

#include "engine.h"
#include "gradient.h"
#include "one_electron.h"

using namespace scfx_simd;

#define SCFX_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

template <class F> int guarded(char* message, int size, F body) {
  try {
    body();
    return 0;
  } catch (const std::bad_alloc&) {
    std::snprintf(message, size, "out of memory");
  } catch (const std::exception& e) {
    std::snprintf(message, size, "%s", e.what());
  }
  return 1;
}

}  // namespace

// What the batch is made of; mirrored by scfx_simd/kernels.py.
struct ScfxBatch {
  int32_t n_entries, natm, nshell;
  const int32_t* shells;    // [nshell][7]: atom, l, nprim, primitive offset, AO offset, functions, spherical, as in grid_api
  const int32_t* merge_sp;  // [nshell]
  const double *spherical_d, *spherical_f;  // [ncart][2l+1]
  const double *position, *exponent, *coefficient, *charge;
};

// Fields by name on both sides: see `EngineOptions` and `GradientOptions`.
struct ScfxEngineOptions {
  double single_from, double_from, negligible_from, primitive_fraction, inverse_omega_squared, rounded_from, rounded_from_d;
};
struct ScfxGradientOptions {
  double single_from, double_from, primitive_fraction, inverse_omega_squared, coulomb, exchange;
};

namespace {

BatchInput input_of(const ScfxBatch& b) { return {b.n_entries, b.position, b.exponent, b.coefficient}; }

Structure structure_of(const ScfxBatch& b) {
  std::vector<Shell> shells;
  for (int i = 0; i < b.nshell; ++i) {
    const int32_t* x = b.shells + 7 * i;
    shells.push_back({x[0], x[1], x[2], x[3], x[4], x[5], x[6] == 0});
  }
  const double* spherical[max_shell_l + 1] = {nullptr, nullptr, b.spherical_d, b.spherical_f};
  static_assert(max_shell_l == 3, "one table of spherical functions for each angular momentum from d");
  return make_structure(b.natm, shells, spherical, b.merge_sp);
}

}  // namespace

SCFX_EXPORT int scfx_simd_lanes(int32_t* float64, int32_t* float32) {
  *float64 = WD;
  *float32 = WF;
  return 0;
}

SCFX_EXPORT int scfx_simd_two_electron(const ScfxBatch* batch, const ScfxEngineOptions* options, int64_t budget,
                                       int32_t threads, void** handle, char* message, int size) {
  return guarded(message, size, [&] {
    const EngineOptions o{options->single_from,           options->double_from,  options->negligible_from,
                          options->rounded_from,          options->rounded_from_d, options->primitive_fraction,
                          options->inverse_omega_squared, budget,                threads};
    *handle = new Engine(structure_of(*batch), input_of(*batch), o);
  });
}

SCFX_EXPORT int scfx_simd_coulomb_exchange(void* handle, const double* density, int32_t nspin, const int32_t* lanes,
                                           int32_t nactive, double* J, double* K, char* message, int size) {
  return guarded(message, size,
                 [&] { static_cast<Engine*>(handle)->coulomb_exchange(density, nspin, lanes, nactive, J, K); });
}

SCFX_EXPORT int scfx_simd_dense(void* handle, int32_t entry, double* out, char* message, int size) {
  return guarded(message, size, [&] { static_cast<Engine*>(handle)->dense(entry, out); });
}

SCFX_EXPORT int scfx_simd_statistics(void* handle, int64_t* stored_bytes, int64_t* recomputed_pairs) {
  *stored_bytes = static_cast<Engine*>(handle)->stored_bytes();
  *recomputed_pairs = static_cast<Engine*>(handle)->recomputed_pairs();
  return 0;
}

SCFX_EXPORT int scfx_simd_screened(void* handle, int64_t* seen_blocks, int64_t* skipped_blocks) {
  *seen_blocks = static_cast<Engine*>(handle)->seen_blocks();
  *skipped_blocks = static_cast<Engine*>(handle)->skipped_blocks();
  return 0;
}

SCFX_EXPORT void scfx_simd_free(void* handle) { delete static_cast<Engine*>(handle); }

SCFX_EXPORT void scfx_simd_trim() { trim_arenas(); }

SCFX_EXPORT int scfx_simd_one_electron(const ScfxBatch* batch, double* overlap, double* kinetic, double* nuclear,
                                       double* dipole, char* message, int size) {
  return guarded(message, size, [&] {
    one_electron(structure_of(*batch), input_of(*batch), batch->charge, {overlap, kinetic, nuclear, dipole});
  });
}

SCFX_EXPORT int scfx_simd_one_electron_gradient(const ScfxBatch* batch, const double* density,
                                                const double* energy_weighted, double* out, char* message, int size) {
  return guarded(message, size, [&] {
    one_electron_gradient(structure_of(*batch), input_of(*batch), batch->charge, density, energy_weighted, out);
  });
}

SCFX_EXPORT int scfx_simd_two_electron_gradient(const ScfxBatch* batch, const ScfxGradientOptions* options,
                                                int32_t threads, const double* density, int32_t nspin, double* out,
                                                char* message, int size) {
  return guarded(message, size, [&] {
    const GradientOptions o{options->single_from,           options->double_from, options->primitive_fraction,
                            options->inverse_omega_squared, options->coulomb,     options->exchange,
                            threads};
    two_electron_gradient(structure_of(*batch), input_of(*batch), o, density, nspin, out);
  });
}

SCFX_EXPORT double scfx_simd_boys(int32_t m, double t, int32_t single) { return boys_lane(m, t, single != 0); }
