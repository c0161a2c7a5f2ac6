#include "gradient_density.h"

#include "structure.h"

namespace scfx_simd {

namespace {

// WD numbers in double as lanes of T.
SCFX_INLINE void store_lanes(double* to, vd x) { *reinterpret_cast<vd*>(to) = x; }
SCFX_INLINE void store_lanes(float* to, vd x) {
  typedef float Half __attribute__((vector_size(WD * sizeof(float))));
  *reinterpret_cast<Half*>(to) = __builtin_convertvector(x, Half);
}

}  // namespace

vd density_bound(const DensityFactors& f, const LargestDensity& most) {
  vd out{};
  if (f.coulomb != 0.0) out = std::abs(f.coulomb) * most.ab * most.cd;
  if (f.exchange != 0.0)
    for (int spin = 0; spin < f.nspin; ++spin)
      out += std::abs(f.exchange) * (most.ac[spin] * most.bd[spin] + most.ad[spin] * most.bc[spin]);
  return out;
}

template <class T> void two_particle_density(const DensityFactors& f, const DensityBlocks& d, vd images, T* gamma) {
  const vd coulomb = images * f.coulomb, exchange = images * f.exchange;
  constexpr int W = Lanes<T>::width;
  for (int i = 0; i < d.na; ++i)
    for (int j = 0; j < d.nb; ++j) {
      const vd dij = coulomb * d.ij[i * d.nb + j];
      for (int k = 0; k < d.nc; ++k)
        for (int l = 0; l < d.nd; ++l, gamma += W) {
          vd value = dij * d.kl[k * d.nd + l];
          if (f.exchange != 0.0)
            for (int spin = 0; spin < f.nspin; ++spin)
              value -= exchange * (d.ik[spin][i * d.nc + k] * d.jl[spin][j * d.nd + l] +
                                   d.il[spin][i * d.nd + l] * d.jk[spin][j * d.nc + k]);
          store_lanes(gamma, value);
        }
    }
}
template void two_particle_density<double>(const DensityFactors&, const DensityBlocks&, vd, double*);
template void two_particle_density<float>(const DensityFactors&, const DensityBlocks&, vd, float*);

}  // namespace scfx_simd
