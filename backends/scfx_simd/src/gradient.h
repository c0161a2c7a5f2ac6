// Gradients of the two-electron energy: derivative integrals contracted as they are made.
#pragma once

#include "engine.h"

namespace scfx_simd {

struct GradientOptions {
  // Quartets whose Schwarz bound times their largest two-particle density (hartree) is below `single_from` are left out,
  // those in [single_from, double_from) are computed in float32, those above in float64; lane by lane.
  double single_from, double_from;
  double primitive_fraction;     // primitive thresholds are this fraction of single_from
  double inverse_omega_squared;  // 0: 1/r
  double coulomb, exchange;      // energy = coulomb ½ D(ij|kl)D - exchange ½ k Σ_s D_s(ij|kl)D_s, k = ½ for one spin
  int threads;
};

// density [n][nspin][nao][nao], symmetric; out [n][natm][3], hartree/bohr.
void two_electron_gradient(const Structure& s, const BatchInput& input, const GradientOptions& options,
                           const double* density, int nspin, double* out);

}  // namespace scfx_simd
