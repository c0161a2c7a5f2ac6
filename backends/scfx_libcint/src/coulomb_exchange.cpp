// Coulomb and exchange matrices from the rows of the symmetric electron-repulsion tensor.
//
// A row is (ij|kl) for one pair ij = i(i+1)/2 + j, j <= i, and all kl <= ij. Rows are stored "weighted": halved once for
// each of i = j, k = l, ij = kl. Halving is exact, and with it every integral is used alike (all eight permutations):
//
//   B_ij += 2 (ij|kl) D_kl   B_kl += 2 (ij|kl) D_ij                        J = B + B^T
//   A_ik += (ij|kl) D_jl   A_il += (ij|kl) D_jk   A_jk += (ij|kl) D_il   A_jl += (ij|kl) D_ik   K = A + A^T
//
// One call works on one molecule with one thread, in a fixed order: its bits depend on nothing else. The plain
// reference is scfx.DenseTwoElectron.

#include <cstdint>
#include <cstring>

#define SCFX_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// The widest vector of each variant; wider ones, split by the compiler, are several times slower.
#if defined(SCFX_VARIANT_AVX512)
constexpr int kLanes = 8;
#elif defined(SCFX_VARIANT_AVX2)
constexpr int kLanes = 4;
#else
constexpr int kLanes = 2;
#endif
typedef double Lanes __attribute__((vector_size(kLanes * sizeof(double))));
typedef float NarrowLanes __attribute__((vector_size(kLanes * sizeof(float))));
typedef int64_t Mask __attribute__((vector_size(kLanes * sizeof(int64_t))));

inline Lanes load(const double* p) {
  Lanes v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

inline Lanes load(const float* p) {
  NarrowLanes v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_convertvector(v, Lanes);
}

inline void store(double* p, Lanes v) { std::memcpy(p, &v, sizeof v); }

// Keeps the first `count` lanes. A masked load reads up to seven numbers past a row: rows are allocated with that slack.
inline Lanes keep_first(Lanes v, int count) {
  Mask lane;
  for (int x = 0; x < kLanes; ++x) lane[x] = x;
  const Mask mask = lane < static_cast<int64_t>(count);
  Mask bits;
  std::memcpy(&bits, &v, sizeof v);
  bits &= mask;
  std::memcpy(&v, &bits, sizeof v);
  return v;
}

inline double sum(Lanes v) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int x = 0; x < half; ++x) v[x] += v[x + half];
  }
  return v[0];
}

inline int64_t rounded(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }
inline int64_t pairs(int64_t n) { return n * (n + 1) / 2; }

// Which of J and K are wanted. Neither depends on whether the other is.
struct Wanted {
  bool coulomb, exchange;
};

// Views into the work space of one molecule and spin: padded D and A, packed D and B.
struct Work {
  double* density;         // [n, stride]
  double* exchange;        // [n, stride]
  double* packed_density;  // [pairs + slack]
  double* packed_coulomb;  // [pairs + slack]
};

inline int64_t work_size(int64_t n) { return 2 * n * rounded(n) + 2 * rounded(pairs(n) + kLanes); }

inline Work view(double* work, int64_t n, int64_t spin) {
  double* base = work + spin * work_size(n);
  Work w;
  w.density = base;
  w.exchange = base + n * rounded(n);
  w.packed_density = w.exchange + n * rounded(n);
  w.packed_coulomb = w.packed_density + rounded(pairs(n) + kLanes);
  return w;
}

template <typename Real>
void coulomb_row(const Real* row, int64_t ij, const Work& w) {
  const int64_t length = ij + 1;
  const double twice = 2.0 * w.packed_density[ij];
  Lanes total0 = {}, total1 = {};
  int64_t kl = 0;
  for (; kl + 2 * kLanes <= length; kl += 2 * kLanes) {
    const Lanes v0 = load(row + kl), v1 = load(row + kl + kLanes);
    total0 += v0 * load(w.packed_density + kl);
    total1 += v1 * load(w.packed_density + kl + kLanes);
    store(w.packed_coulomb + kl, load(w.packed_coulomb + kl) + v0 * twice);
    store(w.packed_coulomb + kl + kLanes, load(w.packed_coulomb + kl + kLanes) + v1 * twice);
  }
  for (; kl < length; kl += kLanes) {
    const Lanes v = keep_first(load(row + kl), static_cast<int>(length - kl < kLanes ? length - kl : kLanes));
    total0 += v * load(w.packed_density + kl);
    store(w.packed_coulomb + kl, load(w.packed_coulomb + kl) + v * twice);
  }
  w.packed_coulomb[ij] += 2.0 * sum(total0 + total1);
}

template <typename Real>
void exchange_row(const Real* row, int64_t i, int64_t j, int64_t n, const Work& w) {
  const int64_t stride = rounded(n);
  const double* di = w.density + i * stride;
  const double* dj = w.density + j * stride;
  double* ai = w.exchange + i * stride;
  double* aj = w.exchange + j * stride;
  const Real* segment = row;
  for (int64_t k = 0; k <= i; ++k) {
    const int64_t length = k < i ? k + 1 : j + 1;
    const double djk = dj[k], dik = di[k];
    Lanes aik = {}, ajk = {};
    int64_t l = 0;
    for (; l + kLanes <= length; l += kLanes) {
      const Lanes v = load(segment + l);
      aik += v * load(dj + l);
      ajk += v * load(di + l);
      store(ai + l, load(ai + l) + v * djk);
      store(aj + l, load(aj + l) + v * dik);
    }
    if (l < length) {
      const Lanes v = keep_first(load(segment + l), static_cast<int>(length - l));
      aik += v * load(dj + l);
      ajk += v * load(di + l);
      store(ai + l, load(ai + l) + v * djk);
      store(aj + l, load(aj + l) + v * dik);
    }
    ai[k] += sum(aik);
    aj[k] += sum(ajk);
    segment += length;
  }
}

template <typename Real>
void contract_row(const void* data, int64_t i, int64_t j, int64_t n, int64_t nspin, double* work, Wanted wanted) {
  const Real* row = static_cast<const Real*>(data);
  for (int64_t spin = 0; spin < nspin; ++spin) {
    const Work w = view(work, n, spin);
    if (wanted.coulomb) coulomb_row(row, pairs(i) + j, w);
    if (wanted.exchange) exchange_row(row, i, j, n, w);
  }
}

template <typename Real>
void weighted_row(const double* integrals, int64_t i, int64_t j, Real* out) {
  const double outer = i == j ? 0.5 : 1.0;
  int64_t kl = 0;
  for (int64_t k = 0; k <= i; ++k) {
    const int64_t last = k < i ? k : j;
    for (int64_t l = 0; l <= last; ++l, ++kl) out[kl] = static_cast<Real>(outer * integrals[kl]);
    if (last == k) out[kl - 1] *= static_cast<Real>(0.5);
  }
  out[kl - 1] *= static_cast<Real>(0.5);
}

}  // namespace

// Doubles of work space that one molecule with `nspin` densities needs.
SCFX_EXPORT int64_t scfx_jk_work_size(int64_t n, int64_t nspin) { return nspin * work_size(n); }

// Loads symmetric densities [nspin, n, n] and clears the accumulators. `work` is zero where never written.
SCFX_EXPORT void scfx_jk_begin(int64_t n, int64_t nspin, const double* density, double* work) {
  std::memset(work, 0, sizeof(double) * nspin * work_size(n));
  for (int64_t spin = 0; spin < nspin; ++spin) {
    const Work w = view(work, n, spin);
    const double* d = density + spin * n * n;
    for (int64_t i = 0; i < n; ++i) {
      std::memcpy(w.density + i * rounded(n), d + i * n, sizeof(double) * n);
      std::memcpy(w.packed_density + pairs(i), d + i * n, sizeof(double) * (i + 1));
    }
  }
}

// Contracts rows (pair_i[r], pair_j[r]), which lie at rows[r], float64 where is_double[r], else float32. `coulomb`,
// `exchange`: whether J and K are wanted.
SCFX_EXPORT void scfx_jk_rows(int64_t n, int64_t nspin, int64_t nrow, const int32_t* pair_i, const int32_t* pair_j,
                              const void* const* rows, const uint8_t* is_double, int32_t coulomb, int32_t exchange,
                              double* work) {
  const Wanted wanted{coulomb != 0, exchange != 0};
  for (int64_t r = 0; r < nrow; ++r) {
    if (is_double[r]) {
      contract_row<double>(rows[r], pair_i[r], pair_j[r], n, nspin, work, wanted);
    } else {
      contract_row<float>(rows[r], pair_i[r], pair_j[r], n, nspin, work, wanted);
    }
  }
}

// Completes J and K, [nspin, n, n] and exactly symmetric; one of them may be null.
SCFX_EXPORT void scfx_jk_end(int64_t n, int64_t nspin, const double* work, double* coulomb, double* exchange) {
  for (int64_t spin = 0; spin < nspin; ++spin) {
    const Work w = view(const_cast<double*>(work), n, spin);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        const int64_t upper = spin * n * n + j * n + i, lower = spin * n * n + i * n + j;
        if (coulomb) {
          const double b = w.packed_coulomb[pairs(i) + j];
          coulomb[lower] = coulomb[upper] = i == j ? 2.0 * b : b;
        }
        if (exchange) {
          exchange[lower] = exchange[upper] = w.exchange[i * rounded(n) + j] + w.exchange[j * rounded(n) + i];
        }
      }
    }
  }
}

// Weights integrals[r], the numbers (ij|kl) of row r, and writes them to rows[r] as float64 where is_double[r], else
// rounded to float32. A float64 row may be written in place.
SCFX_EXPORT void scfx_jk_pack(int64_t nrow, const int32_t* pair_i, const int32_t* pair_j,
                              const double* const* integrals, void* const* rows, const uint8_t* is_double) {
  for (int64_t r = 0; r < nrow; ++r) {
    if (is_double[r]) {
      weighted_row(integrals[r], pair_i[r], pair_j[r], static_cast<double*>(rows[r]));
    } else {
      weighted_row(integrals[r], pair_i[r], pair_j[r], static_cast<float*>(rows[r]));
    }
  }
}
