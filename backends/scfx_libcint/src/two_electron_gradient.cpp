// Derivatives of Coulomb and exchange energies at fixed density, from libcint's shell quartets.
//
// libcint's function for one quartet comes in as a pointer, so that each quartet is contracted as it is made and nothing
// longer than a quartet is ever stored. int2e_ip1 gives (∇i j|kl); moving the centre of i gives -(∇i j|kl). With all
// four places alike by symmetry, of the energy
//
//   c ½ Σ D_ij (ij|kl) D_kl - x ½ Σ_s Σ D_s,ik (ij|kl) D_s,jl
//
// the derivative by the position of the atom of i is
//
//   -Σ (∇i j|kl) [2 c D_ij D_kl - x Σ_s (D_s,ik D_s,jl + D_s,il D_s,jk)]
//
// summed over all i of the atom and all j, k, l. One call works on one molecule with one thread, in a fixed order.

#include <cmath>
#include <cstdint>

#define SCFX_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

// Sun, J. Comput. Chem. 36, 1664 (2015). Integrals of one quartet, first index fastest, components last; 0: all vanish.
using Quartet = int (*)(double* out, const int* dims, const int* shells, const int* atm, int natm, const int* bas,
                        int nbas, const double* env, const void* optimizer, double* cache);

struct Molecule {
  const int* atm;
  int natm;
  const int* bas;
  int nshell;
  const double* env;
  const int32_t* offset;  // [nshell + 1], the first function of each shell

  int size(int shell) const { return offset[shell + 1] - offset[shell]; }
  int atom(int shell) const { return bas[8 * shell]; }
};

struct Energy {
  const double* total;     // [n, n]
  const double* density;   // [nspin, n, n]
  const double* largest_total;    // [nshell, nshell], largest element of each block
  const double* largest_density;  // [nspin, nshell, nshell]
  int64_t nspin;
  double coulomb, exchange;
};

// The largest that the density of a quartet of shells can be.
double density_bound(const Energy& e, int64_t n, int i, int j, int k, int l) {
  double bound = 2.0 * std::fabs(e.coulomb) * e.largest_total[i * n + j] * e.largest_total[k * n + l];
  for (int64_t s = 0; s < e.nspin; ++s) {
    const double* m = e.largest_density + s * n * n;
    bound += std::fabs(e.exchange) * (m[i * n + k] * m[j * n + l] + m[i * n + l] * m[j * n + k]);
  }
  return k == l ? bound : 2.0 * bound;
}

// Adds Σ density · integral of one quartet to sum[3].
void contract(const Molecule& m, const Energy& e, int64_t n, const int* shells, const double* integrals, double* sum) {
  const int ni = m.size(shells[0]), nj = m.size(shells[1]), nk = m.size(shells[2]), nl = m.size(shells[3]);
  const int64_t component = static_cast<int64_t>(ni) * nj * nk * nl;
  const int64_t i0 = m.offset[shells[0]], j0 = m.offset[shells[1]], k0 = m.offset[shells[2]], l0 = m.offset[shells[3]];
  // Only pairs of shells k >= l are visited.
  const double weight = shells[2] == shells[3] ? 1.0 : 2.0;
  double x = 0.0, y = 0.0, z = 0.0;
  const double* at = integrals;
  double quartet[28];  // one row of i; 28 Cartesian functions make an i shell
  for (int l = 0; l < nl; ++l) {
    for (int k = 0; k < nk; ++k) {
      const double coulomb = 2.0 * weight * e.coulomb * e.total[(k0 + k) * n + l0 + l];
      for (int j = 0; j < nj; ++j, at += ni) {
        const double* dj = e.total + (j0 + j) * n + i0;
        for (int i = 0; i < ni; ++i) quartet[i] = coulomb * dj[i];
        if (e.exchange != 0.0) {
          for (int64_t s = 0; s < e.nspin; ++s) {
            const double* d = e.density + s * n * n;
            const double djl = weight * e.exchange * d[(j0 + j) * n + l0 + l];
            const double djk = weight * e.exchange * d[(j0 + j) * n + k0 + k];
            const double* dk = d + (k0 + k) * n + i0;
            const double* dl = d + (l0 + l) * n + i0;
            for (int i = 0; i < ni; ++i) quartet[i] -= djl * dk[i] + djk * dl[i];
          }
        }
        for (int i = 0; i < ni; ++i) {
          x += quartet[i] * at[i];
          y += quartet[i] * at[i + component];
          z += quartet[i] * at[i + 2 * component];
        }
      }
    }
  }
  sum[0] += x;
  sum[1] += y;
  sum[2] += z;
}

}  // namespace

// Doubles of scratch that an integral function needs for any quartet of these shells.
SCFX_EXPORT int64_t scfx_gradient_cache_size(const void* integral, const int* atm, int natm, const int* bas, int nshell,
                                             const double* env) {
  const auto quartet = reinterpret_cast<Quartet>(const_cast<void*>(integral));
  int largest = 0;
  for (int i = 0; i < nshell; ++i) {
    const int shells[4] = {i, i, i, i};
    const int size = quartet(nullptr, nullptr, shells, atm, natm, bas, nshell, env, nullptr, nullptr);
    largest = size > largest ? size : largest;
  }
  return largest;
}

// bounds[i, j] = the largest sqrt((ij|ij)) over the functions of shells i and j, of an integral function with so
// many components, of which every `step`-th from the first on is diagonal: int2e (1, 1), int2e_ip1ip2 (9, 4).
SCFX_EXPORT void scfx_gradient_bounds(const void* integral, const void* optimizer, const int* atm, int natm,
                                      const int* bas, int nshell, const double* env, const int32_t* offset,
                                      int32_t components, int32_t step, double* buffer, double* cache, double* bounds) {
  const Molecule m{atm, natm, bas, nshell, env, offset};
  const auto quartet = reinterpret_cast<Quartet>(const_cast<void*>(integral));
  for (int i = 0; i < nshell; ++i) {
    for (int j = 0; j < nshell; ++j) {
      const int shells[4] = {i, j, i, j};
      double largest = 0.0;
      if (quartet(buffer, nullptr, shells, atm, natm, bas, nshell, env, optimizer, cache)) {
        const int64_t pairs = static_cast<int64_t>(m.size(i)) * m.size(j);
        for (int32_t c = 0; c < components; c += step) {
          for (int64_t ij = 0; ij < pairs; ++ij) {
            largest = std::fmax(largest, std::fabs(buffer[(c * pairs + ij) * pairs + ij]));
          }
        }
      }
      bounds[static_cast<int64_t>(i) * nshell + j] = std::sqrt(largest);
    }
  }
}

// Adds the derivative to gradient[natm, 3]. `bra` and `ket` are bounds of (∇i j| and |kl); a quartet whose bound times
// that of its density is at most `threshold` is left out.
SCFX_EXPORT void scfx_gradient_quartets(const void* integral, const void* optimizer, const int* atm, int natm,
                                        const int* bas, int nshell, const double* env, const int32_t* offset,
                                        const double* bra, const double* ket, const double* total,
                                        const double* density, const double* largest_total,
                                        const double* largest_density, int64_t nspin, double coulomb, double exchange,
                                        double threshold, double* buffer, double* cache, double* gradient) {
  const Molecule m{atm, natm, bas, nshell, env, offset};
  const Energy e{total, density, largest_total, largest_density, nspin, coulomb, exchange};
  const auto quartet = reinterpret_cast<Quartet>(const_cast<void*>(integral));
  const int64_t n = offset[nshell];
  for (int i = 0; i < nshell; ++i) {
    double of_shell[3] = {0.0, 0.0, 0.0};
    for (int j = 0; j < nshell; ++j) {
      double of_pair[3] = {0.0, 0.0, 0.0};
      const double bound = bra[static_cast<int64_t>(i) * nshell + j];
      for (int k = 0; k < nshell; ++k) {
        for (int l = 0; l <= k; ++l) {
          const double integrals = bound * ket[static_cast<int64_t>(k) * nshell + l];
          if (integrals * density_bound(e, nshell, i, j, k, l) <= threshold) continue;
          const int shells[4] = {i, j, k, l};
          if (!quartet(buffer, nullptr, shells, atm, natm, bas, nshell, env, optimizer, cache)) continue;
          contract(m, e, n, shells, buffer, of_pair);
        }
      }
      for (int x = 0; x < 3; ++x) of_shell[x] += of_pair[x];
    }
    for (int x = 0; x < 3; ++x) gradient[3 * m.atom(i) + x] -= of_shell[x];
  }
}
