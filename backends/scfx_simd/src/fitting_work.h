// The innermost loops of two- and three-index integrals.
#pragma once

#include "boys.h"
#include "fitting.h"

namespace scfx_simd::fitting {

// Index of the sum of two Hermite functions.
int sum_of(int a, int b);

inline int functions_before(const Shells& shells, int shell) {
  return shell < int(shells.shells.size()) ? shells.shells[shell].first_function : shells.count;
}

// R_tuv of one primitive with a vector of auxiliary ones, up to a degree, times `weight`; see `hermite_row`.
using HermiteVector = void (*)(const Bra::Primitive& p, vd q, const vd* centre, vd weight, double inverse_omega_squared,
                               vd* R);
HermiteVector hermite_vector(int L);

// Y[h][m] = Σ over the terms of function m of factor · R[h + term].
inline void combine(const Harmonics& harmonics, const int* sums, int n, const vd* R, vd* Y) {
  const int terms = int(harmonics.hermite.size());
  for (int h = 0; h < n; ++h, sums += terms)
    for (int m = 0; m < harmonics.nfunc; ++m) {
      vd value{};
      for (int e = harmonics.start[m]; e < harmonics.start[m + 1]; ++e) value += harmonics.factor[e] * R[sums[e]];
      *Y++ = value;
    }
}

// out[row][m] += Σ E · Y[Hermite][m] over the entries of a row of the pattern.
using Apply = void (*)(const Pattern& pattern, const double* E, const vd* Y, vd* out);
Apply apply_kernel(int nfunc);

struct Integrals::Work {
  Buffer<vd> R{size_t(n_hermite(max_total_l))};
  Buffer<vd> Y{size_t(n_hermite(max_pair_l + 1)) * (2 * max_auxiliary_l + 1)};
  Buffer<vd> blocks;            // by class: [vector][row][component]
  std::vector<size_t> first;    // of each class
  std::vector<size_t> stride;   // of a vector in each class

  // Zero blocks for a bra.
  void start(const Bra& bra, const std::vector<AuxiliaryClass>& classes) {
    first.clear();
    stride.clear();
    size_t size = 0;
    for (const AuxiliaryClass& c : classes) {
      first.push_back(size);
      stride.push_back(size_t(bra.rows) * c.nfunc);
      size += stride.back() * c.vectors;
    }
    blocks.reset(size);
    for (size_t i = 0; i < size; ++i) blocks[i] = vd{};
  }
  vd* block(size_t k, int v) const { return blocks.get() + first[k] + v * stride[k]; }
};

}  // namespace scfx_simd::fitting
