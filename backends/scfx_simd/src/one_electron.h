// Overlap, kinetic energy, nuclear attraction and dipole matrices, lanes = conformers, float64.
#pragma once

#include "engine.h"

namespace scfx_simd {

struct OneElectronOutput { double *overlap, *kinetic, *nuclear, *dipole; };  // [n][nao][nao], dipole [n][3][nao][nao]

void one_electron(const Structure& s, const BatchInput& input, const double* charge, const OneElectronOutput& out);

// Σ D ∂(T + V)/∂R - Σ W ∂S/∂R for symmetric D and W [n][nao][nao]; out [n][natm][3], hartree/bohr.
void one_electron_gradient(const Structure& s, const BatchInput& input, const double* charge, const double* density,
                           const double* energy_weighted, double* out);

// One-dimensional overlaps S[i][j] of x_A^i exp(-a x_A²) and x_B^j exp(-b x_B²) by the Obara-Saika recursion,
// HJO eqs. 9.3.8-9.3.10, i <= la, j <= lb.
using OneDimensional = vd[max_shell_l + 3][max_shell_l + 3];
void overlaps_1d(int la, int lb, vd h, vd pa, vd pb, vd s00, OneDimensional S);

// F_m(t) as the kernels compute it, for tests.
double boys_lane(int m, double t, bool single);

}  // namespace scfx_simd
