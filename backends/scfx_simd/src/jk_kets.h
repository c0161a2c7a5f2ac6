// Coulomb and exchange contributions of one entry whose lanes are kets, added in the order and so to the bits of `jk_run`.
//
// A block is one bra with kets (c, d) of one d, their c in neighbouring lanes. What a ket adds to rows of its own c goes
// lane by lane as vectors; what all kets of a block add to one element (that of d, that of the bra) is added up over the
// lanes in their order, as jk_run adds it ket by ket.
#pragma once

#include "jk.h"
#include "ket_lanes.h"

namespace scfx_simd {

// Lane x of `mask` is the pair of composite x of the group and d. Its integrals are those of its rank in the mask.
struct KetBlock {
  int d;
  int16_t group;
  uint16_t mask;
};

// Of one entry, [nao][plan.width] in packed order. `density_by_second` and `coulomb` have the second function of an element
// as row, the others the first.
struct PackedMatrices {
  const double *density, *density_by_second;
  double *coulomb, *exchange;  // null where not wanted
};

struct KetWorkspace {
  Buffer<vd> storage;
};

// Integrals of one block [row of bra][row of ket][lanes of the mask], each times 1/2 for each of a = b, c = d, ab = cd.
// Lanes of `dropped` are left out. Reads WD numbers at each place.
template <class T>
void jk_block(const T* g, const Structure& s, const LanePlan& plan, const PairShape& bra, const KetBlock& block,
              unsigned dropped, const PackedMatrices& m, KetWorkspace& work);

}  // namespace scfx_simd
