#include "gradient_kernels.h"

namespace scfx_simd {

namespace {

// Rows of a simple bra's `work`: sums over the density, then the potentials that `add_potential` gathers.
enum { sum_sp, sum_ps, sum_pp, sum_trace, sum_d, sum_c = sum_d + 3, sum_h = sum_c + 3, n_sums = sum_h + 6 };
enum { at_sp = n_sums, at_ps, at_pp, at_d, at_c = at_d + 3, n_simple_work = at_c + 3 };
constexpr int second_degree[6][2] = {{0, 0}, {0, 1}, {0, 2}, {1, 1}, {1, 2}, {2, 2}};

template <class T, int Code> struct SimpleBra {
  using V = typename Lanes<T>::V;
  static constexpr bool sa = has_s(Code / 3), pa = has_p(Code / 3), sb = has_s(Code % 3), pb = has_p(Code % 3);
  static constexpr int first_a = sa ? 1 : 0, first_b = sb ? 1 : 0, width = first_b + (pb ? 3 : 0);
  static constexpr bool has_sp = sa && pb, has_ps = pa && sb, has_pp = pa && pb;
  static constexpr int row_sp(int j) { return first_b + j; }
  static constexpr int row_ps(int i) { return (first_a + i) * width; }
  static constexpr int row_pp(int i, int j) { return (first_a + i) * width + first_b + j; }

  static void prepare(const GradientView<T>& bra, const V* gamma, int nk, V* work) {
    const V* ab = bra.ab;
    for (int k = 0; k < nk; ++k) {
      const V* g = gamma + k;
      const auto at = [&](int row) { return g[size_t(row) * nk]; };
      const auto put = [&](int row, V x) { work[size_t(row) * nk + k] = x; };
      if constexpr (has_sp) put(sum_sp, ab[0] * at(row_sp(0)) + ab[1] * at(row_sp(1)) + ab[2] * at(row_sp(2)));
      if constexpr (has_ps) put(sum_ps, ab[0] * at(row_ps(0)) + ab[1] * at(row_ps(1)) + ab[2] * at(row_ps(2)));
      if constexpr (has_pp) {
        V x[3], y[3]{}, all{}, trace{};
#pragma GCC unroll 3
        for (int i = 0; i < 3; ++i) {
          x[i] = V{};
#pragma GCC unroll 3
          for (int j = 0; j < 3; ++j) {
            const V z = at(row_pp(i, j));
            x[i] += ab[j] * z;
            y[j] += ab[i] * z;
            if (i == j) trace += z;
          }
          all += ab[i] * x[i];
        }
        put(sum_pp, all);
        put(sum_trace, trace);
#pragma GCC unroll 3
        for (int i = 0; i < 3; ++i) {
          put(sum_d + i, y[i]);
          put(sum_c + i, x[i]);
        }
#pragma GCC unroll 6
        for (int n = 0; n < 6; ++n) {
          const int i = second_degree[n][0], j = second_degree[n][1];
          put(sum_h + n, i == j ? at(row_pp(i, i)) : at(row_pp(i, j)) + at(row_pp(j, i)));
        }
      }
    }
    for (size_t e = size_t(n_sums) * nk; e < size_t(n_simple_work) * nk; ++e) work[e] = V{};
  }

  static void density(const GradientView<T>& bra, int primitive, const V* gamma, int nk, const V* work, V* out) {
    const V* w = bra.scaled + size_t(primitive) * n_scaled;
    const auto row = [&](const V* from, int r) { return from + size_t(r) * nk; };
    for (int k = 0; k < nk; ++k) {
      V sum{};
      if constexpr (sa && sb) sum += w[scaled_ss] * gamma[k];
      if constexpr (has_sp) sum += w[scaled_sp] * row(work, sum_sp)[k];
      if constexpr (has_ps) sum += w[scaled_ps] * row(work, sum_ps)[k];
      if constexpr (has_pp) sum += w[scaled_pp] * row(work, sum_pp)[k] + w[scaled_pp_1] * row(work, sum_trace)[k];
      out[k] = sum;
    }
    if constexpr (pa || pb)
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i)
        for (int k = 0; k < nk; ++k) {
          V sum{};
          if constexpr (has_sp) sum += w[scaled_sp_h] * row(gamma, row_sp(i))[k];
          if constexpr (has_ps) sum += w[scaled_ps_h] * row(gamma, row_ps(i))[k];
          if constexpr (has_pp) sum += w[scaled_pp_d] * row(work, sum_d + i)[k] + w[scaled_pp_c] * row(work, sum_c + i)[k];
          out[size_t(1 + i) * nk + k] = sum;
        }
    if constexpr (has_pp)
      for (int k = 0; k < 6 * nk; ++k) out[4 * nk + k] = w[scaled_pp_h] * work[sum_h * nk + k];
  }

  static void add_potential(const GradientView<T>& bra, int primitive, const V* half, int nk, V* work) {
    const V* w = bra.scaled + size_t(primitive) * n_scaled;
    for (int k = 0; k < nk; ++k) {
      const V r = half[k];
      if constexpr (has_sp) work[at_sp * nk + k] += w[scaled_sp] * r;
      if constexpr (has_ps) work[at_ps * nk + k] += w[scaled_ps] * r;
      if constexpr (has_pp) work[at_pp * nk + k] += w[scaled_pp] * r;
    }
    if constexpr (has_pp)
      for (int k = 0; k < 3 * nk; ++k) {
        work[at_d * nk + k] += w[scaled_pp_d] * half[nk + k];
        work[at_c * nk + k] += w[scaled_pp_c] * half[nk + k];
      }
  }

  static void finish(const GradientView<T>& bra, const V* gamma, int nk, const V* work, V* by_first) {
    (void)bra;
    V by[3]{};
    for (int k = 0; k < nk; ++k) {
      const auto g = [&](int row) { return gamma[size_t(row) * nk + k]; };
      const auto at = [&](int row) { return work[size_t(row) * nk + k]; };
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i) {
        if constexpr (has_sp) by[i] += g(row_sp(i)) * at(at_sp);
        if constexpr (has_ps) by[i] += g(row_ps(i)) * at(at_ps);
        if constexpr (has_pp) {
          by[i] += (at(sum_c + i) + at(sum_d + i)) * at(at_pp);
#pragma GCC unroll 3
          for (int j = 0; j < 3; ++j) by[i] += g(row_pp(i, j)) * at(at_d + j) + g(row_pp(j, i)) * at(at_c + j);
        }
      }
    }
    for (int i = 0; i < 3; ++i) by_first[i] += by[i];
  }
};

// Any bra, by table. `work`: potentials of the pair with its first, then with its second composite lowered.
template <class T> struct GeneralBra {
  using V = typename Lanes<T>::V;

  static void prepare(const GradientView<T>& bra, const V*, int nk, V* work) {
    for (size_t e = 0; e < bra_work(bra, nk); ++e) work[e] = V{};
  }

  template <int Block> static void density_block(const GradientView<T>& bra, const V* E, const V* gamma, int nk, int k, V* out) {
    const ByHermite& by = bra.general->by_hermite;
    for (int h = 0; h < bra.shape->nherm; ++h) {
      V sum[Block]{};
      for (int e = by.start[h]; e < by.start[h + 1]; ++e) {
        const V x = E[by.entry[e]];
        const V* g = gamma + size_t(by.row[e]) * nk + k;
#pragma GCC unroll 4
        for (int b = 0; b < Block; ++b) sum[b] += x * g[b];
      }
      for (int b = 0; b < Block; ++b) out[size_t(h) * nk + k + b] = sum[b];
    }
  }

  static void density(const GradientView<T>& bra, int primitive, const V* gamma, int nk, const V*, V* out) {
    const V* E = bra.whole + size_t(primitive) * bra.general->whole.hermite.size();
    int k = 0;
    for (; k + 4 <= nk; k += 4) density_block<4>(bra, E, gamma, nk, k, out);
    for (; k < nk; ++k) density_block<1>(bra, E, gamma, nk, k, out);
  }

  static void contract(const Pattern& pattern, const V* E, const V* half, int nk, V* out) {
    for (int row = 0; row + 1 < int(pattern.row_start.size()); ++row)
      for (int e = pattern.row_start[row]; e < pattern.row_start[row + 1]; ++e) {
        const V x = E[e];
        const V* r = half + size_t(pattern.hermite[e]) * nk;
        V* to = out + size_t(row) * nk;
        for (int k = 0; k < nk; ++k) to[k] += x * r[k];
      }
  }

  static void add_potential(const GradientView<T>& bra, int primitive, const V* half, int nk, V* work) {
    const Pattern &a = bra.general->lower_a, &b = bra.general->lower_b;
    contract(a, bra.lower_a + size_t(primitive) * a.hermite.size(), half, nk, work);
    contract(b, bra.lower_b + size_t(primitive) * b.hermite.size(), half, nk, work + (a.row_start.size() - 1) * nk);
  }

  static void finish(const GradientView<T>& bra, const V* gamma, int nk, const V* work, V* by_first) {
    const Lowered &a = *bra.general->a, &b = *bra.general->b;
    const int na = int(a.terms.size()), nb = int(b.terms.size()), lower_b = int(b.functions.size());
    const auto add = [&](int row, int lowered_row, const LoweredTerm& term, int axis) {
      const V *g = gamma + size_t(row) * nk, *x = work + size_t(lowered_row) * nk;
      V sum{};
      for (int k = 0; k < nk; ++k) sum += g[k] * x[k];
      by_first[axis] += sum * T(term.factor);
    };
    const int second = int(bra.general->lower_a.row_start.size()) - 1;
    for (int i = 0; i < na; ++i)
      for (int j = 0; j < nb; ++j)
        for (int axis = 0; axis < 3; ++axis) {
          for (const LoweredTerm& term : a.terms[i][axis]) add(i * nb + j, term.index * nb + j, term, axis);
          for (const LoweredTerm& term : b.terms[j][axis]) add(i * nb + j, second + i * lower_b + term.index, term, axis);
        }
  }
};

template <class T, class Side> constexpr BraSide<T> side{Side::prepare, Side::density, Side::add_potential, Side::finish};

}  // namespace

template <class T> const BraSide<T>& bra_side(int code) {
  static const BraSide<T> table[general_code + 1] = {
      side<T, SimpleBra<T, 0>>, side<T, SimpleBra<T, 1>>, side<T, SimpleBra<T, 2>>, side<T, SimpleBra<T, 3>>,
      side<T, SimpleBra<T, 4>>, side<T, SimpleBra<T, 5>>, side<T, SimpleBra<T, 6>>, side<T, SimpleBra<T, 7>>,
      side<T, SimpleBra<T, 8>>, side<T, GeneralBra<T>>};
  static_assert(general_code == 9, "one side for each pair of s, p and sp, and one for all others");
  return table[code];
}

template <class T> size_t bra_work(const GradientView<T>& bra, int nk) {
  if (!bra.general) return size_t(n_simple_work) * nk;
  return (bra.general->lower_a.row_start.size() + bra.general->lower_b.row_start.size() - 2) * nk;
}

template const BraSide<double>& bra_side<double>(int);
template const BraSide<float>& bra_side<float>(int);
template size_t bra_work<double>(const GradientView<double>&, int);
template size_t bra_work<float>(const GradientView<float>&, int);

}  // namespace scfx_simd
