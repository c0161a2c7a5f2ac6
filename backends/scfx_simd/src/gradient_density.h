// Two-particle densities of a quartet and their bounds, for whatever stands in the lanes.
#pragma once

#include "gradient.h"

namespace scfx_simd {

// What one energy's two-particle density is made of: coulomb/2 D_ij D_kl - exchange (D_ik D_jl + D_il D_jk), the latter
// by spin and symmetrised in i and j.
struct DensityFactors {
  double coulomb, exchange;
  int nspin;
  DensityFactors(const GradientOptions& o, int spins)
      : coulomb(0.5 * o.coulomb), exchange(0.25 * o.exchange * (spins == 1 ? 0.5 : 1.0)), nspin(spins) {}
};

// Largest |D| between the four composites of a quartet: the total, then by spin.
struct LargestDensity { vd ab, cd, ac[2], bd[2], ad[2], bc[2]; };
vd density_bound(const DensityFactors& f, const LargestDensity& most);

// Elements of D between the composites, row by row: the total, then by spin.
struct DensityBlocks {
  int na, nb, nc, nd;
  const vd *ij, *kl, *ik[2], *il[2], *jk[2], *jl[2];
};
// gamma [row of bra][row of ket] times `images`, WD lanes within vectors of T.
template <class T> void two_particle_density(const DensityFactors& f, const DensityBlocks& d, vd images, T* gamma);

}  // namespace scfx_simd
