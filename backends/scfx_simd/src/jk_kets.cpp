#include "jk_kets.h"

#include <algorithm>

namespace scfx_simd {

namespace {

// What the kets of a block add, lanes = kets: [i][j][k] and so on, i and j in the bra, k in c, l in d.
struct Contributions { vd *jk, *jl, *ik, *il, *ij, *kl; };

struct BlockPlaces {
  int width;                    // of a row of the matrices
  int a, na, b, nb, d, nd, nc;  // first functions and counts
  int column_b, column_c, column_d;  // of the first functions; that of c in lane 0
};

// NC, ND = 0: sizes known only at run time.
template <class T, int NC, int ND, bool Coulomb, bool Exchange>
void contributions(const T* g, unsigned mask, unsigned used, const BlockPlaces& x, const PackedMatrices& m,
                   const Contributions& out) {
  const int nc = NC ? NC : x.nc, nd = ND ? ND : x.nd, step = __builtin_popcount(mask);
  const size_t width = x.width;
  constexpr int size_c = NC ? NC : max_functions, size_d = ND ? ND : max_functions;
  const auto left_out = lanes_of(~used);
  vd jkl[size_c * size_d], dkl[size_c * size_d];
  if constexpr (Coulomb)
    for (int k = 0; k < nc; ++k)
      for (int l = 0; l < nd; ++l) {
        dkl[k * nd + l] = *reinterpret_cast<const vd*>(m.density_by_second + (x.d + l) * width + x.column_c + k * WD);
        jkl[k * nd + l] = vd{};
      }
  for (int i = 0; i < x.na; ++i) {
    const double* row = m.density + (x.a + i) * width;
    vd dik[size_c], dil[size_d], kik[size_c], kil[size_d];
    if constexpr (Exchange) {
#pragma GCC unroll 8
      for (int k = 0; k < nc; ++k) {
        dik[k] = *reinterpret_cast<const vd*>(row + x.column_c + k * WD);
        kik[k] = vd{};
      }
#pragma GCC unroll 8
      for (int l = 0; l < nd; ++l) {
        dil[l] = splat(row[x.column_d + l * WD]);
        kil[l] = vd{};
      }
    }
    for (int j = 0; j < x.nb; ++j) {
      const vd dij = splat(row[x.column_b + j * WD]);
      vd jij{}, djl[size_d], kjl[size_d];
      const double* row_j = m.density + (x.b + j) * width;
      if constexpr (Exchange) {
#pragma GCC unroll 8
        for (int l = 0; l < nd; ++l) {
          djl[l] = splat(row_j[x.column_d + l * WD]);
          kjl[l] = vd{};
        }
      }
#pragma GCC unroll 8
      for (int k = 0; k < nc; ++k) {
        vd kjk{}, djk{};
        if constexpr (Exchange) djk = *reinterpret_cast<const vd*>(row_j + x.column_c + k * WD);
#pragma GCC unroll 8
        for (int l = 0; l < nd; ++l, g += step) {
          const vd value = zero_where(left_out, expand_lanes(g, mask));
          if constexpr (Coulomb) {
            jij += value * dkl[k * nd + l];
            jkl[k * nd + l] += value * dij;
          }
          if constexpr (Exchange) {
            kik[k] += value * djl[l];
            kil[l] += value * djk;
            kjk += value * dil[l];
            kjl[l] += value * dik[k];
          }
        }
        if constexpr (Exchange) out.jk[(i * x.nb + j) * nc + k] = kjk;
      }
      if constexpr (Exchange) {
#pragma GCC unroll 8
        for (int l = 0; l < nd; ++l) out.jl[(i * x.nb + j) * nd + l] = kjl[l];
      }
      if constexpr (Coulomb) out.ij[i * x.nb + j] = jij;
    }
    if constexpr (Exchange) {
#pragma GCC unroll 8
      for (int k = 0; k < nc; ++k) out.ik[i * nc + k] = kik[k];
#pragma GCC unroll 8
      for (int l = 0; l < nd; ++l) out.il[i * nd + l] = kil[l];
    }
  }
  if constexpr (Coulomb)
    for (int e = 0; e < nc * nd; ++e) out.kl[e] = jkl[e];
}

// target(t) += buffer[i][t] over the lanes of `lanes`: lane by lane, then by i. Reads up to WD - 1 vectors beyond.
template <class At>
SCFX_INLINE void add_over_lanes(const vd* buffer, int n, int depth, unsigned lanes, vd* turned, At target) {
  for (int first = 0; first < n; first += WD) {
    const int count = std::min(WD, n - first);
    vd sum{};
    if (count <= 2) {
      for (int t = 0; t < count; ++t) {
        double* to = target(first + t);
        double value = *to;
        for (unsigned left = lanes; left; left &= left - 1) {
          const int lane = __builtin_ctz(left);
          for (int i = 0; i < depth; ++i) value += buffer[size_t(i) * n + first + t][lane];
        }
        *to = value;
      }
      continue;
    }
    for (int t = 0; t < count; ++t) sum[t] = *target(first + t);
    for (int i = 0; i < depth; ++i) {
      vd r[WD];
#pragma GCC unroll 8
      for (int t = 0; t < WD; ++t) r[t] = buffer[size_t(i) * n + first + t];
      transpose(r);
#pragma GCC unroll 8
      for (int t = 0; t < WD; ++t) turned[i * WD + t] = r[t];
    }
    for (unsigned left = lanes; left; left &= left - 1) {
      const int lane = __builtin_ctz(left);
      for (int i = 0; i < depth; ++i) sum += turned[i * WD + lane];
    }
    for (int t = 0; t < count; ++t) *target(first + t) = sum[t];
  }
}

// The exchange of one lane, as jk_run adds it.
void add_lane(const Contributions& from, const BlockPlaces& x, int lane, double* exchange) {
  const size_t width = x.width;
  const int column_c = x.column_c + lane;
  for (int i = 0; i < x.na; ++i) {
    for (int j = 0; j < x.nb; ++j) {
      double* row = exchange + (x.b + j) * width;
      for (int k = 0; k < x.nc; ++k) row[column_c + k * WD] += from.jk[(i * x.nb + j) * x.nc + k][lane];
      for (int l = 0; l < x.nd; ++l) row[x.column_d + l * WD] += from.jl[(i * x.nb + j) * x.nd + l][lane];
    }
    double* row = exchange + (x.a + i) * width;
    for (int k = 0; k < x.nc; ++k) row[column_c + k * WD] += from.ik[i * x.nc + k][lane];
    for (int l = 0; l < x.nd; ++l) row[x.column_d + l * WD] += from.il[i * x.nd + l][lane];
  }
}

// `own`: the lane in which c = d, or none.
void add_exchange(const Contributions& from, const BlockPlaces& x, unsigned used, unsigned own, vd* turned,
                  double* exchange) {
  const size_t width = x.width;
  if (x.a == x.b) {
    // Rows i and j are the same ones: in turn.
    for (unsigned left = used; left; left &= left - 1) add_lane(from, x, __builtin_ctz(left), exchange);
    return;
  }
  const auto left_out = lanes_of(~used | own);
  const auto row = [&](int function, int column) { return exchange + function * width + column; };
  for (int j = 0; j < x.nb; ++j)
    for (int k = 0; k < x.nc; ++k) {
      vd* to = reinterpret_cast<vd*>(row(x.b + j, x.column_c + k * WD));
      vd sum = *to;
      for (int i = 0; i < x.na; ++i) sum += zero_where(left_out, from.jk[(i * x.nb + j) * x.nc + k]);
      *to = sum;
    }
  for (int i = 0; i < x.na; ++i)
    for (int k = 0; k < x.nc; ++k)
      *reinterpret_cast<vd*>(row(x.a + i, x.column_c + k * WD)) += zero_where(left_out, from.ik[i * x.nc + k]);
  const unsigned others = used & ~own;
  add_over_lanes(from.jl, x.nb * x.nd, x.na, others, turned,
                 [&](int t) { return row(x.b + t / x.nd, x.column_d + t % x.nd * WD); });
  add_over_lanes(from.il, x.na * x.nd, 1, others, turned,
                 [&](int t) { return row(x.a + t / x.nd, x.column_d + t % x.nd * WD); });
  // c = d stands last in its block: both of its parts go to the elements to which the others have added.
  if (used & own) add_lane(from, x, __builtin_ctz(own), exchange);
}

template <class T, bool Coulomb, bool Exchange>
void dispatch(const T* g, unsigned mask, unsigned used, const BlockPlaces& x, const PackedMatrices& m,
              const Contributions& out) {
  constexpr bool J = Coulomb, K = Exchange;
  const auto is = [&](int nc, int nd) { return x.nc == nc && x.nd == nd; };
  if (is(1, 1)) return contributions<T, 1, 1, J, K>(g, mask, used, x, m, out);
  if (is(1, 3)) return contributions<T, 1, 3, J, K>(g, mask, used, x, m, out);
  if (is(1, 4)) return contributions<T, 1, 4, J, K>(g, mask, used, x, m, out);
  if (is(1, 5)) return contributions<T, 1, 5, J, K>(g, mask, used, x, m, out);
  if (is(1, 6)) return contributions<T, 1, 6, J, K>(g, mask, used, x, m, out);
  if (is(3, 3)) return contributions<T, 3, 3, J, K>(g, mask, used, x, m, out);
  if (is(3, 5)) return contributions<T, 3, 5, J, K>(g, mask, used, x, m, out);
  if (is(4, 4)) return contributions<T, 4, 4, J, K>(g, mask, used, x, m, out);
  if (is(4, 5)) return contributions<T, 4, 5, J, K>(g, mask, used, x, m, out);
  if (is(4, 6)) return contributions<T, 4, 6, J, K>(g, mask, used, x, m, out);
  if (is(5, 5)) return contributions<T, 5, 5, J, K>(g, mask, used, x, m, out);
  if (is(6, 6)) return contributions<T, 6, 6, J, K>(g, mask, used, x, m, out);
  contributions<T, 0, 0, J, K>(g, mask, used, x, m, out);
}

}  // namespace

template <class T>
void jk_block(const T* g, const Structure& s, const LanePlan& plan, const PairShape& bra, const KetBlock& block,
              unsigned dropped, const PackedMatrices& m, KetWorkspace& work) {
  const unsigned mask = block.mask, used = mask & ~dropped;
  if (!used) return;
  const LanePlan::Group& group = plan.groups[block.group];
  const Composite &A = s.composites[bra.a], &B = s.composites[bra.b], &D = s.composites[block.d];
  const BlockPlaces x{plan.width, A.first, A.nfunc, B.first, B.nfunc, D.first, D.nfunc, group.nfunc,
                      plan.column(bra.b), group.column, plan.column(block.d)};
  const size_t pairs = size_t(x.na) * x.nb, functions = size_t(x.nc) + x.nd;
  const size_t parts = pairs * (functions + 1) + x.na * functions + size_t(x.nc) * x.nd + WD;
  work.storage.reset(parts + size_t(x.na) * WD);
  vd* at = work.storage.get();
  const auto take = [&](size_t n) { vd* from = at; at += n; return from; };
  const Contributions part{take(pairs * x.nc), take(pairs * x.nd), take(size_t(x.na) * x.nc), take(size_t(x.na) * x.nd),
                           take(pairs), take(size_t(x.nc) * x.nd)};
  take(WD);
  vd* turned = at;
  if (!m.exchange) dispatch<T, true, false>(g, mask, used, x, m, part);
  else if (!m.coulomb) dispatch<T, false, true>(g, mask, used, x, m, part);
  else dispatch<T, true, true>(g, mask, used, x, m, part);
  if (m.exchange) {
    const int own = block.d - group.first;
    add_exchange(part, x, used, own >= 0 && own < group.n ? 1u << own : 0u, turned, m.exchange);
  }
  if (m.coulomb) {
    const int column_a = plan.column(bra.a);
    add_over_lanes(part.ij, x.na * x.nb, 1, used, turned,
                   [&](int t) { return m.coulomb + (x.b + t % x.nb) * size_t(x.width) + column_a + t / x.nb * WD; });
    // After the bra's own, which is the last of its kets.
    for (int k = 0; k < x.nc; ++k)
      for (int l = 0; l < x.nd; ++l)
        *reinterpret_cast<vd*>(m.coulomb + (x.d + l) * size_t(x.width) + x.column_c + k * WD) += part.kl[k * x.nd + l];
  }
}

template void jk_block<double>(const double*, const Structure&, const LanePlan&, const PairShape&, const KetBlock&,
                               unsigned, const PackedMatrices&, KetWorkspace&);
template void jk_block<float>(const float*, const Structure&, const LanePlan&, const PairShape&, const KetBlock&,
                              unsigned, const PackedMatrices&, KetWorkspace&);

}  // namespace scfx_simd
