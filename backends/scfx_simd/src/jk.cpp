#include "jk.h"

namespace scfx_simd {

namespace {

constexpr int max_functions = 10;  // Cartesian f

// NC, ND = 0: sizes known only at run time.
template <class T, int NC, int ND, bool Exchange>
void contract_block(const T* g, const BlockPlace& at, const Matrices& m) {
  const int nc = NC ? NC : at.nc, nd = ND ? ND : at.nd, n = m.nao;
  constexpr int size_c = NC ? NC : max_functions, size_d = ND ? ND : max_functions;
  vd jkl[size_c * size_d], dkl[size_c * size_d];
  for (int k = 0; k < nc; ++k)
    for (int l = 0; l < nd; ++l) {
      dkl[k * nd + l] = m.density[size_t(at.c + k) * n + at.d + l];
      jkl[k * nd + l] = vd{};
    }
  for (int i = at.a; i < at.a + at.na; ++i)
    for (int j = at.b; j < at.b + at.nb; ++j, g += size_t(nc) * nd * WD) {
      const vd dij = m.density[size_t(i) * n + j];
      vd jij{};
      const vd *dik = m.density + size_t(i) * n + at.c, *dil = m.density + size_t(i) * n + at.d;
      const vd *djk = m.density + size_t(j) * n + at.c, *djl = m.density + size_t(j) * n + at.d;
      vd kil[size_d] = {}, kjl[size_d] = {};
      vd *row_i = m.exchange + size_t(i) * n, *row_j = m.exchange + size_t(j) * n;
#pragma GCC unroll 4
      for (int k = 0; k < nc; ++k) {
        vd kik{}, kjk{};
#pragma GCC unroll 4
        for (int l = 0; l < nd; ++l) {
          const vd x = load_lanes(g + size_t(k * nd + l) * WD);
          jij += x * dkl[k * nd + l];
          jkl[k * nd + l] += x * dij;
          if constexpr (Exchange) {
            kik += x * djl[l];
            kjk += x * dil[l];
            kil[l] += x * djk[k];
            kjl[l] += x * dik[k];
          }
        }
        // One after the other: with i = j or c = d these are the same numbers.
        if constexpr (Exchange) {
          row_i[at.c + k] += kik;
          row_j[at.c + k] += kjk;
        }
      }
      if constexpr (Exchange) {
#pragma GCC unroll 4
        for (int l = 0; l < nd; ++l) {
          row_i[at.d + l] += kil[l];
          row_j[at.d + l] += kjl[l];
        }
      }
      m.coulomb[size_t(i) * n + j] += jij;
    }
  for (int k = 0; k < nc; ++k)
    for (int l = 0; l < nd; ++l) m.coulomb[size_t(at.c + k) * n + at.d + l] += jkl[k * nd + l];
}

template <class T, bool Exchange> void dispatch(const T* g, const BlockPlace& at, const Matrices& m) {
  const auto size_code = [](int n) { return n == 1 ? 0 : n == 3 ? 1 : n == 4 ? 2 : 3; };
  using Kernel = void (*)(const T*, const BlockPlace&, const Matrices&);
  static const Kernel table[4][4] = {
      {contract_block<T, 1, 1, Exchange>, contract_block<T, 1, 3, Exchange>, contract_block<T, 1, 4, Exchange>,
       contract_block<T, 0, 0, Exchange>},
      {contract_block<T, 3, 1, Exchange>, contract_block<T, 3, 3, Exchange>, contract_block<T, 3, 4, Exchange>,
       contract_block<T, 0, 0, Exchange>},
      {contract_block<T, 4, 1, Exchange>, contract_block<T, 4, 3, Exchange>, contract_block<T, 4, 4, Exchange>,
       contract_block<T, 0, 0, Exchange>},
      {contract_block<T, 0, 0, Exchange>, contract_block<T, 0, 0, Exchange>, contract_block<T, 0, 0, Exchange>,
       contract_block<T, 0, 0, Exchange>}};
  table[size_code(at.nc)][size_code(at.nd)](g, at, m);
}

}  // namespace

template <class T> void jk_block(const T* g, const BlockPlace& at, const Matrices& m, bool exchange) {
  if (exchange)
    dispatch<T, true>(g, at, m);
  else
    dispatch<T, false>(g, at, m);
}
template void jk_block<double>(const double*, const BlockPlace&, const Matrices&, bool);
template void jk_block<float>(const float*, const BlockPlace&, const Matrices&, bool);

}  // namespace scfx_simd
