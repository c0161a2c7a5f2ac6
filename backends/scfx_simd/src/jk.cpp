#include "jk.h"

namespace scfx_simd {

namespace {

// NC, ND = 0: sizes known only at run time. Row i of K stays in registers while j runs, so a pair should come with its
// smaller composite first (make_structure sees to it).
template <class T, int NC, int ND, bool Coulomb, bool Exchange>
const T* contract_run(const T* g, const PairPlace& bra, const PairPlace* places, const int* kets, int n_kets,
                      const Matrices& m) {
  const int nc = NC ? NC : places[kets[0]].na, nd = ND ? ND : places[kets[0]].nb;
  const size_t n = m.nao;
  constexpr int size_c = NC ? NC : max_functions, size_d = ND ? ND : max_functions;
  vd jkl[size_c * size_d], dkl[size_c * size_d];
  for (int ket = 0; ket < n_kets; ++ket) {
    const int c = places[kets[ket]].a, d = places[kets[ket]].b;
#pragma GCC unroll 8
    for (int k = 0; k < nc; ++k)
#pragma GCC unroll 8
      for (int l = 0; l < nd; ++l) {
        if constexpr (Coulomb) {
          dkl[k * nd + l] = m.density[(c + k) * n + d + l];
          jkl[k * nd + l] = vd{};
        }
      }
    for (int i = bra.a; i < bra.a + bra.na; ++i) {
      const vd* row = m.density + i * n;
      vd* row_i = m.exchange + i * n;
      vd dik[size_c], dil[size_d], kik[size_c], kil[size_d];
      if constexpr (Exchange) {
#pragma GCC unroll 8
        for (int k = 0; k < nc; ++k) {
          dik[k] = row[c + k];
          kik[k] = vd{};
        }
#pragma GCC unroll 8
        for (int l = 0; l < nd; ++l) {
          dil[l] = row[d + l];
          kil[l] = vd{};
        }
      }
      for (int j = bra.b; j < bra.b + bra.nb; ++j, g += size_t(nc) * nd * WD) {
        const vd dij = row[j];
        vd jij{};
        if constexpr (Exchange) {
          const vd *djk = m.density + j * n + c, *djl = m.density + j * n + d;
          vd* row_j = m.exchange + j * n;
          vd kjl[size_d];
#pragma GCC unroll 8
          for (int l = 0; l < nd; ++l) kjl[l] = vd{};
#pragma GCC unroll 8
          for (int k = 0; k < nc; ++k) {
            vd kjk{};
#pragma GCC unroll 8
            for (int l = 0; l < nd; ++l) {
              const vd x = load_lanes(g + size_t(k * nd + l) * WD);
              if constexpr (Coulomb) {
                jij += x * dkl[k * nd + l];
                jkl[k * nd + l] += x * dij;
              }
              kik[k] += x * djl[l];
              kil[l] += x * djk[k];
              kjk += x * dil[l];
              kjl[l] += x * dik[k];
            }
            row_j[c + k] += kjk;
          }
          // After the loop over k, one by one: with c = d these are the same numbers.
#pragma GCC unroll 8
          for (int l = 0; l < nd; ++l) row_j[d + l] += kjl[l];
        } else {
#pragma GCC unroll 8
          for (int e = 0; e < nc * nd; ++e) {
            const vd x = load_lanes(g + size_t(e) * WD);
            jij += x * dkl[e];
            jkl[e] += x * dij;
          }
        }
        if constexpr (Coulomb) m.coulomb[i * n + j] += jij;
      }
      if constexpr (Exchange) {
#pragma GCC unroll 8
        for (int k = 0; k < nc; ++k) row_i[c + k] += kik[k];
#pragma GCC unroll 8
        for (int l = 0; l < nd; ++l) row_i[d + l] += kil[l];
      }
    }
    if constexpr (Coulomb) {
#pragma GCC unroll 8
      for (int k = 0; k < nc; ++k)
#pragma GCC unroll 8
        for (int l = 0; l < nd; ++l) m.coulomb[(c + k) * n + d + l] += jkl[k * nd + l];
    }
  }
  return g;
}

template <class T, bool Coulomb, bool Exchange>
const T* dispatch(const T* g, const PairPlace& bra, const PairPlace* places, const int* kets, int n, const Matrices& m) {
  constexpr bool J = Coulomb, K = Exchange;
  const int nc = places[kets[0]].na, nd = places[kets[0]].nb;
  const auto is = [&](int c, int d) { return nc == c && nd == d; };
  if (is(1, 1)) return contract_run<T, 1, 1, J, K>(g, bra, places, kets, n, m);
  if (is(1, 3)) return contract_run<T, 1, 3, J, K>(g, bra, places, kets, n, m);
  if (is(1, 4)) return contract_run<T, 1, 4, J, K>(g, bra, places, kets, n, m);
  if (is(1, 5)) return contract_run<T, 1, 5, J, K>(g, bra, places, kets, n, m);
  if (is(1, 6)) return contract_run<T, 1, 6, J, K>(g, bra, places, kets, n, m);
  if (is(3, 3)) return contract_run<T, 3, 3, J, K>(g, bra, places, kets, n, m);
  if (is(3, 4)) return contract_run<T, 3, 4, J, K>(g, bra, places, kets, n, m);
  if (is(3, 5)) return contract_run<T, 3, 5, J, K>(g, bra, places, kets, n, m);
  if (is(4, 4)) return contract_run<T, 4, 4, J, K>(g, bra, places, kets, n, m);
  if (is(4, 5)) return contract_run<T, 4, 5, J, K>(g, bra, places, kets, n, m);
  if (is(4, 6)) return contract_run<T, 4, 6, J, K>(g, bra, places, kets, n, m);
  if (is(5, 5)) return contract_run<T, 5, 5, J, K>(g, bra, places, kets, n, m);
  if (is(6, 6)) return contract_run<T, 6, 6, J, K>(g, bra, places, kets, n, m);
  return contract_run<T, 0, 0, J, K>(g, bra, places, kets, n, m);
}

}  // namespace

template <class T>
const T* jk_run(const T* g, const PairPlace& bra, const PairPlace* places, const int* kets, int n, const Matrices& m) {
  if (!m.exchange) return dispatch<T, true, false>(g, bra, places, kets, n, m);
  if (!m.coulomb) return dispatch<T, false, true>(g, bra, places, kets, n, m);
  return dispatch<T, true, true>(g, bra, places, kets, n, m);
}
template const double* jk_run<double>(const double*, const PairPlace&, const PairPlace*, const int*, int,
                                      const Matrices&);
template const float* jk_run<float>(const float*, const PairPlace&, const PairPlace*, const int*, int, const Matrices&);

}  // namespace scfx_simd
