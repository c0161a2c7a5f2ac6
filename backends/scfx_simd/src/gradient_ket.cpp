#include "gradient_kernels.h"
#include "hermite_row.h"

namespace scfx_simd {

namespace {

// Energy and its derivative by P of one quartet of primitives whose density in Hermite functions is given one by one.
template <class V> struct Sums {
  V energy{}, by_bra[3]{};
  SCFX_INLINE void add(V density, const V* R, int h) {
    const int16_t* to = shifts.value[h];
    energy += density * R[h];
    by_bra[0] += density * R[to[0]];
    by_bra[1] += density * R[to[1]];
    by_bra[2] += density * R[to[2]];
  }
};

template <class T> SCFX_INLINE void collect(const KetInput<T>& in, int primitive, const Sums<typename Lanes<T>::V>& s,
                                            KetOutput<T>& out) {
  const auto* ratio = in.ket->ratio + size_t(primitive) * ratio_fields;
  out.energy += s.energy;
  const auto pull = ratio[1] * s.energy;
  for (int i = 0; i < 3; ++i) {
    out.by_bra[i] += s.by_bra[i];
    out.by_first[i] -= ratio[0] * s.by_bra[i] + pull * in.ket->ab[i];
  }
}

// Kets of s, p and sp composites: see `Scaled`. Derivatives by Q are minus those by P, so odd degrees change sign.
template <class T, int Code, int BraL>
void ket_simple(const KetInput<T>& in, GradientWorkspace<T>&, KetOutput<T>& out) {
  using V = typename Lanes<T>::V;
  constexpr bool sc = has_s(Code / 3), pc = has_p(Code / 3), sd = has_s(Code % 3), pd = has_p(Code % 3);
  constexpr int first_c = sc ? 1 : 0, first_d = sd ? 1 : 0, width = first_d + (pd ? 3 : 0);
  constexpr int rows = (first_c + (pc ? 3 : 0)) * width;
  constexpr int below = n_hermite(BraL - 1), n0 = n_hermite(BraL), n1 = n_hermite(BraL + 1), n2 = n_hermite(BraL + 2);
  constexpr bool has_sp = sc && pd, has_ps = pc && sd, has_pp = pc && pd;
  const V* cd = in.ket->ab;

  V Z[n_scaled][has_pp ? n2 : n1], both[3][has_pp ? n0 : 1];
  if constexpr (has_sp)
    for (int h = 0; h < n1; ++h) Z[scaled_sp_h][h] = V{};
  if constexpr (has_ps)
    for (int h = 0; h < n1; ++h) Z[scaled_ps_h][h] = V{};
  if constexpr (has_pp) {
    for (int h = 0; h < n1; ++h) Z[scaled_pp_d][h] = Z[scaled_pp_c][h] = V{};
    for (int h = 0; h < n2; ++h) Z[scaled_pp_h][h] = V{};
  }
  for (int h = 0; h < n0; ++h) {
    const V* z = in.density + h * rows;
    const int16_t* to = shifts.value[h];
    if constexpr (sc && sd) Z[scaled_ss][h] = z[0];
    if constexpr (has_sp) {
      V sum{};
      for (int l = 0; l < 3; ++l) {
        sum += cd[l] * z[first_d + l];
        Z[scaled_sp_h][to[l]] -= z[first_d + l];
      }
      Z[scaled_sp][h] = sum;
    }
    if constexpr (has_ps) {
      V sum{};
      for (int k = 0; k < 3; ++k) {
        sum += cd[k] * z[(first_c + k) * width];
        Z[scaled_ps_h][to[k]] -= z[(first_c + k) * width];
      }
      Z[scaled_ps][h] = sum;
    }
    if constexpr (has_pp) {
      const V* zpp = z + first_c * width + first_d;
      V x[3], y[3]{}, sum{};
#pragma GCC unroll 3
      for (int k = 0; k < 3; ++k) {
        x[k] = cd[0] * zpp[k * width] + cd[1] * zpp[k * width + 1] + cd[2] * zpp[k * width + 2];
        sum += cd[k] * x[k];
        const int16_t* twice = shifts.value[to[k]];
#pragma GCC unroll 3
        for (int l = 0; l < 3; ++l) {
          y[l] += cd[k] * zpp[k * width + l];
          Z[scaled_pp_h][twice[l]] += zpp[k * width + l];
        }
      }
      Z[scaled_pp][h] = sum;
      Z[scaled_pp_1][h] = zpp[0] + zpp[width + 1] + zpp[2 * width + 2];
#pragma GCC unroll 3
      for (int k = 0; k < 3; ++k) {
        Z[scaled_pp_d][to[k]] -= y[k];
        Z[scaled_pp_c][to[k]] -= x[k];
        both[k][h] = x[k] + y[k];
      }
    }
  }

  for (int k = 0; k < in.n; ++k) {
    const V* R = in.R + k * in.stride;
    const V* w = in.ket->scaled + size_t(in.list[k]) * n_scaled;
    Sums<V> s;
    for (int h = 0; h < n0; ++h) {
      V phi{};
      if constexpr (sc && sd) phi += w[scaled_ss] * Z[scaled_ss][h];
      if constexpr (has_sp) phi += w[scaled_sp] * Z[scaled_sp][h] + w[scaled_sp_h] * Z[scaled_sp_h][h];
      if constexpr (has_ps) phi += w[scaled_ps] * Z[scaled_ps][h] + w[scaled_ps_h] * Z[scaled_ps_h][h];
      if constexpr (has_pp) {
        phi += w[scaled_pp] * Z[scaled_pp][h] + w[scaled_pp_1] * Z[scaled_pp_1][h];
        phi += w[scaled_pp_d] * Z[scaled_pp_d][h] + w[scaled_pp_c] * Z[scaled_pp_c][h];
        phi += w[scaled_pp_h] * Z[scaled_pp_h][h];
      }
      s.add(phi, R, h);
    }
    if constexpr (has_sp || has_ps || has_pp)
      for (int h = n0; h < n1; ++h) {
        V phi{};
        if constexpr (has_sp) phi += w[scaled_sp_h] * Z[scaled_sp_h][h];
        if constexpr (has_ps) phi += w[scaled_ps_h] * Z[scaled_ps_h][h];
        if constexpr (has_pp) {
          phi += w[scaled_pp_d] * Z[scaled_pp_d][h] + w[scaled_pp_c] * Z[scaled_pp_c][h];
          phi += w[scaled_pp_h] * Z[scaled_pp_h][h];
        }
        s.add(phi, R, h);
      }
    if constexpr (has_pp)
      for (int h = n1; h < n2; ++h) s.add(w[scaled_pp_h] * Z[scaled_pp_h][h], R, h);
    collect(in, in.list[k], s, out);
  }

  constexpr bool has_any_p = has_sp || has_ps || has_pp;
  const bool want_ket = has_any_p && !in.ket->one_centre;
  if (!want_ket && !in.want_half) return;
  // Potentials of the ket's primitives, summed with each of their numbers.
  V B[n_scaled][n1];
  const auto potentials = [&](auto which, int from, int to) {
    for (int h = from; h < to; ++h) {
      V sum[n_scaled]{};
      for (int k = 0; k < in.n; ++k) {
        const V r = in.R[k * in.stride + h];
        const V* w = in.ket->scaled + size_t(in.list[k]) * n_scaled;
#pragma GCC unroll 10
        for (int x = 0; x < n_scaled; ++x)
          if (which(x)) sum[x] += w[x] * r;
      }
#pragma GCC unroll 10
      for (int x = 0; x < n_scaled; ++x)
        if (which(x)) B[x][h] = sum[x];
    }
  };
  const auto present = [](int x) {
    return x == scaled_ss ? sc && sd : x <= scaled_sp_h ? has_sp : x <= scaled_ps_h ? has_ps : has_pp;
  };
  potentials(present, 0, below);
  potentials([&](int x) { return present(x) && x != scaled_ss && x != scaled_pp_1; }, below, n0);
  if constexpr (has_pp) potentials([](int x) { return x >= scaled_pp_d; }, n0, n1);

  if (want_ket) {
    V by[3]{};
    for (int h = 0; h < n0; ++h) {
      const V* z = in.density + h * rows;
      const V* zpp = z + first_c * width + first_d;
      const int16_t* to = shifts.value[h];
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i) {
        if constexpr (has_sp) by[i] += z[first_d + i] * B[scaled_sp][h];
        if constexpr (has_ps) by[i] += z[(first_c + i) * width] * B[scaled_ps][h];
        if constexpr (has_pp) {
          by[i] += both[i][h] * B[scaled_pp][h];
#pragma GCC unroll 3
          for (int l = 0; l < 3; ++l) {
            by[i] -= zpp[i * width + l] * B[scaled_pp_d][to[l]];
            by[i] -= zpp[l * width + i] * B[scaled_pp_c][to[l]];
          }
        }
      }
    }
    for (int i = 0; i < 3; ++i) out.by_first[i] += by[i];
  }
  if (in.want_half)
    for (int h = 0; h < below; ++h) {
      V* half = out.half + h * rows;
      const int16_t* to = shifts.value[h];
      if constexpr (sc && sd) half[0] = B[scaled_ss][h];
      if constexpr (has_sp)
        for (int l = 0; l < 3; ++l) half[first_d + l] = cd[l] * B[scaled_sp][h] - B[scaled_sp_h][to[l]];
      if constexpr (has_ps)
        for (int k = 0; k < 3; ++k) half[(first_c + k) * width] = cd[k] * B[scaled_ps][h] - B[scaled_ps_h][to[k]];
      if constexpr (has_pp)
#pragma GCC unroll 3
        for (int k = 0; k < 3; ++k)
#pragma GCC unroll 3
          for (int l = 0; l < 3; ++l) {
            V x = cd[k] * (cd[l] * B[scaled_pp][h] - B[scaled_pp_d][to[l]]) - cd[l] * B[scaled_pp_c][to[k]];
            x += B[scaled_pp_h][shifts.value[to[k]][l]];
            if (k == l) x += B[scaled_pp_1][h];
            half[(first_c + k) * width + first_d + l] = x;
          }
    }
}

// Any ket, by table.
template <class T, int Block>
void fold_block(const GradientShape& shape, const typename Lanes<T>::V* E, const typename Lanes<T>::V* density, int rows,
                int first, int n_ket, typename Lanes<T>::V* phi) {
  using V = typename Lanes<T>::V;
  const ByHermite& by = shape.by_hermite;
  for (int h = 0; h < n_ket; ++h) {
    V sum[Block]{};
    for (int e = by.start[h]; e < by.start[h + 1]; ++e) {
      const V x = E[by.entry[e]];
      const V* z = density + size_t(first) * rows + by.row[e];
#pragma GCC unroll 4
      for (int b = 0; b < Block; ++b) sum[b] += x * z[size_t(b) * rows];
    }
    const bool odd = odd_degree(h);
    for (int b = 0; b < Block; ++b) {
      V& to = phi[sums.value[first + b][h]];
      to = odd ? to - sum[b] : to + sum[b];
    }
  }
}

template <class T> void ket_general(const KetInput<T>& in, GradientWorkspace<T>& work, KetOutput<T>& out) {
  using V = typename Lanes<T>::V;
  const GradientView<T>& ket = *in.ket;
  const PairShape& k = *ket.shape;
  const GradientShape& shape = *ket.general;
  const int nb = n_hermite(in.bra_l), n = n_hermite(in.bra_l + k.L), rows = k.nrow;
  const int n_whole = int(shape.whole.hermite.size());
  work.phi.reset(n);
  V* phi = work.phi.get();
  for (int slot = 0; slot < in.n; ++slot) {
    const V* R = in.R + slot * in.stride;
    const V* E = ket.whole + size_t(in.list[slot]) * n_whole;
    for (int h = 0; h < n; ++h) phi[h] = V{};
    int first = 0;
    for (; first + 4 <= nb; first += 4) fold_block<T, 4>(shape, E, in.density, rows, first, k.nherm, phi);
    for (; first < nb; ++first) fold_block<T, 1>(shape, E, in.density, rows, first, k.nherm, phi);
    Sums<V> s;
    for (int h = 0; h < n; ++h) s.add(phi[h], R, h);
    collect(in, in.list[slot], s, out);
  }
  const auto contract = [&](const Pattern& pattern, const V* parameter, int columns, int n_rows, V* output) {
    for (int e = 0; e < columns * n_rows; ++e) output[e] = V{};
    contract_general<T, true>({in.R, in.stride, sums.value[0], SumTable::n, 0, columns, parameter,
                               int(pattern.hermite.size()), in.list, in.n, output, 1, size_t(n_rows), &pattern});
  };
  if (in.want_half) contract(shape.whole, ket.whole, n_hermite(in.bra_l - 1), rows, out.half);
  if (ket.one_centre) return;
  const int nc = int(shape.a->terms.size()), nd = int(shape.b->terms.size());
  const int lower_c = int(shape.a->functions.size()), lower_d = int(shape.b->functions.size());
  const auto add = [&](V factor, int axis) { out.by_first[axis] += factor; };
  if (lower_c) {
    const int n_rows = lower_c * nd;
    work.lowered_ket.reset(size_t(nb) * n_rows);
    contract(shape.lower_a, ket.lower_a, nb, n_rows, work.lowered_ket.get());
    for (int c = 0; c < nc; ++c)
      for (int axis = 0; axis < 3; ++axis)
        for (const LoweredTerm& term : shape.a->terms[c][axis]) {
          V sum{};
          for (int h = 0; h < nb; ++h) {
            const V *z = in.density + size_t(h) * rows + c * nd, *x = work.lowered_ket.get() + size_t(h) * n_rows + term.index * nd;
            for (int d = 0; d < nd; ++d) sum += z[d] * x[d];
          }
          add(sum * T(term.factor), axis);
        }
  }
  if (lower_d) {
    const int n_rows = nc * lower_d;
    work.lowered_ket.reset(size_t(nb) * n_rows);
    contract(shape.lower_b, ket.lower_b, nb, n_rows, work.lowered_ket.get());
    for (int d = 0; d < nd; ++d)
      for (int axis = 0; axis < 3; ++axis)
        for (const LoweredTerm& term : shape.b->terms[d][axis]) {
          V sum{};
          for (int h = 0; h < nb; ++h) {
            const V *z = in.density + size_t(h) * rows + d, *x = work.lowered_ket.get() + size_t(h) * n_rows + term.index;
            for (int c = 0; c < nc; ++c) sum += z[c * nd] * x[c * lower_d];
          }
          add(sum * T(term.factor), axis);
        }
  }
}

template <class T, int Code> KetSide<T> simple_side(int bra_l) {
  static const KetSide<T> table[max_pair_l + 1] = {ket_simple<T, Code, 0>, ket_simple<T, Code, 1>, ket_simple<T, Code, 2>,
                                                   ket_simple<T, Code, 3>, ket_simple<T, Code, 4>, ket_simple<T, Code, 5>,
                                                   ket_simple<T, Code, 6>};
  static_assert(max_pair_l == 6, "one kernel for each angular momentum of a pair");
  return table[bra_l];
}

}  // namespace

template <class T> KetSide<T> ket_side(int code, int bra_l) {
  using Choose = KetSide<T> (*)(int);
  static const Choose table[general_code] = {simple_side<T, 0>, simple_side<T, 1>, simple_side<T, 2>,
                                             simple_side<T, 3>, simple_side<T, 4>, simple_side<T, 5>,
                                             simple_side<T, 6>, simple_side<T, 7>, simple_side<T, 8>};
  static_assert(general_code == 9, "one kernel for each pair of s, p and sp");
  return code == general_code ? KetSide<T>(ket_general<T>) : table[code](bra_l);
}
template KetSide<double> ket_side<double>(int, int);
template KetSide<float> ket_side<float>(int, int);

}  // namespace scfx_simd
