// Overlap, kinetic energy, nuclear attraction and dipole matrices, lanes = conformers, float64.
#pragma once

#include "engine.h"

namespace scfx_simd {

struct OneElectronOutput { double *overlap, *kinetic, *nuclear, *dipole; };  // [n][nao][nao], dipole [n][3][nao][nao]

void one_electron(const Structure& s, const BatchInput& input, const double* charge, const OneElectronOutput& out);

// F_m(t) as the kernels compute it, for tests.
double boys_lane(int m, double t, bool single);

}  // namespace scfx_simd
