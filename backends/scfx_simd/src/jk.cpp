#include "jk.h"

namespace scfx_simd {

namespace {

constexpr int max_functions = 10;  // Cartesian f

// NC, ND = 0: sizes known only at run time. Row i of K stays in registers while j runs, so a pair should come with its
// smaller composite first (make_structure sees to it).
template <class T, int NC, int ND, bool Exchange>
void contract_block(const T* g, const BlockPlace& at, const Matrices& m) {
  const int nc = NC ? NC : at.nc, nd = ND ? ND : at.nd;
  const size_t n = m.nao;
  constexpr int size_c = NC ? NC : max_functions, size_d = ND ? ND : max_functions;
  vd jkl[size_c * size_d], dkl[size_c * size_d];
  for (int k = 0; k < nc; ++k)
    for (int l = 0; l < nd; ++l) {
      dkl[k * nd + l] = m.density[(at.c + k) * n + at.d + l];
      jkl[k * nd + l] = vd{};
    }
  for (int i = at.a; i < at.a + at.na; ++i) {
    const vd* row = m.density + i * n;
    vd dik[size_c], dil[size_d], kik[size_c], kil[size_d];
    if constexpr (Exchange) {
      for (int k = 0; k < nc; ++k) {
        dik[k] = row[at.c + k];
        kik[k] = vd{};
      }
      for (int l = 0; l < nd; ++l) {
        dil[l] = row[at.d + l];
        kil[l] = vd{};
      }
    }
    for (int j = at.b; j < at.b + at.nb; ++j, g += size_t(nc) * nd * WD) {
      const vd dij = row[j];
      vd jij{};
      if constexpr (Exchange) {
        const vd *djk = m.density + j * n + at.c, *djl = m.density + j * n + at.d;
        vd* row_j = m.exchange + j * n;
        vd kjl[size_d];
#pragma GCC unroll 4
        for (int l = 0; l < nd; ++l) kjl[l] = vd{};
#pragma GCC unroll 4
        for (int k = 0; k < nc; ++k) {
          vd kjk{};
#pragma GCC unroll 4
          for (int l = 0; l < nd; ++l) {
            const vd x = load_lanes(g + size_t(k * nd + l) * WD);
            jij += x * dkl[k * nd + l];
            jkl[k * nd + l] += x * dij;
            kik[k] += x * djl[l];
            kil[l] += x * djk[k];
            kjk += x * dil[l];
            kjl[l] += x * dik[k];
          }
          row_j[at.c + k] += kjk;
        }
        // After the loop over k, one by one: with c = d these are the same numbers.
#pragma GCC unroll 4
        for (int l = 0; l < nd; ++l) row_j[at.d + l] += kjl[l];
      } else {
#pragma GCC unroll 4
        for (int e = 0; e < nc * nd; ++e) {
          const vd x = load_lanes(g + size_t(e) * WD);
          jij += x * dkl[e];
          jkl[e] += x * dij;
        }
      }
      m.coulomb[i * n + j] += jij;
    }
    if constexpr (Exchange) {
      for (int k = 0; k < nc; ++k) m.exchange[i * n + at.c + k] += kik[k];
      for (int l = 0; l < nd; ++l) m.exchange[i * n + at.d + l] += kil[l];
    }
  }
  for (int k = 0; k < nc; ++k)
    for (int l = 0; l < nd; ++l) m.coulomb[(at.c + k) * n + at.d + l] += jkl[k * nd + l];
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
