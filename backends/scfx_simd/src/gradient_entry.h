// The two-electron gradient of one entry alone, its kets as lanes: the bits that it has among conformers.
#pragma once

#include "gradient_density.h"
#include "gradient_pairs.h"
#include "ket_lanes.h"

namespace scfx_simd {

// Entries whose pairs stand in the lanes of one group; `lane` is the one meant. density [nspin][nao][nao], symmetric;
// out [natm][3], hartree/bohr.
void entry_gradient(const Structure& s, const LanePlan& plan, const GradientShapes& shapes, const GradientOptions& options,
                    const Geometry& geometry, const PairData& pairs, int lane, const double* density, int nspin,
                    double* out);

}  // namespace scfx_simd
