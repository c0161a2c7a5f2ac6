// From Hermite functions to products of contracted AOs, on either side of an integral.
//
// The same kernel serves bra and ket: a column is whatever stays fixed (a Hermite index of the bra while the ket is
// contracted; an AO product of the ket while the bra is), and it sums over primitive pairs with the accumulators in
// registers. On the ket side odd Hermite degrees change sign, since R depends on P - Q.
#pragma once

#include "hermite.h"
#include "structure.h"

namespace scfx_simd {

constexpr int general_code = 9;

template <class T> struct Contraction {
  using V = typename Lanes<T>::V;
  const V* input;           // [primitive][stride], Hermite h of column c at input[k*stride + offset[c*offset_step + h] + c*column_step]
  size_t stride;
  const int* offset;
  int offset_step, column_step, columns;
  const V* parameter;       // [primitive][npar]
  int npar;
  const int* primitives;    // which primitives; entry k reads input slot k
  int n;
  V* output;                // row r of column c at output[r*row_step + c*out_column_step]; added to
  size_t row_step, out_column_step;
  const Pattern* pattern;
};

constexpr bool has_s(int kind) { return kind != int(Kind::p); }
constexpr bool has_p(int kind) { return kind != int(Kind::s); }

// Parameters of a pair of s, p and sp composites: the weights present, then h = 1/2p, PA, PB as needed.
constexpr int simple_weights(int code) {
  const int a = code / 3, b = code % 3;
  return (int(has_s(a)) + int(has_p(a))) * (int(has_s(b)) + int(has_p(b)));
}
constexpr int simple_parameters(int code) {
  const int a = code / 3, b = code % 3;
  return simple_weights(code) + (has_p(a) || has_p(b) ? 1 : 0) + (has_p(a) ? 3 : 0) + (has_p(b) ? 3 : 0);
}

inline void fill_simple(int code, const vd* weight, vd h, const vd* pa, const vd* pb, vd* out) {
  const int a = code / 3, b = code % 3;
  int n = 0;
  for (int x = 0; x < int(has_s(a)) + int(has_p(a)); ++x)
    for (int y = 0; y < int(has_s(b)) + int(has_p(b)); ++y) out[n++] = weight[2 * x + y];
  if (has_p(a) || has_p(b)) out[n++] = h;
  if (has_p(a))
    for (int i = 0; i < 3; ++i) out[n++] = pa[i];
  if (has_p(b))
    for (int i = 0; i < 3; ++i) out[n++] = pb[i];
}

template <class T, int Code, bool Ket> void contract_simple(const Contraction<T>& c) {
  using V = typename Lanes<T>::V;
  constexpr int a = Code / 3, b = Code % 3;
  constexpr bool sa = has_s(a), pa = has_p(a), sb = has_s(b), pb = has_p(b);
  constexpr int rows = (int(sa) + 3 * int(pa)) * (int(sb) + 3 * int(pb)), width = int(sb) + 3 * int(pb);
  constexpr int n_hermites = n_hermite(int(pa) + int(pb)), nw = simple_weights(Code);
  constexpr int at_h = nw, at_pa = nw + 1, at_pb = nw + 1 + (pa ? 3 : 0), npar = simple_parameters(Code);
  constexpr int w_sp = sa && sb ? 1 : 0;                       // weight of (s p)
  constexpr int w_ps = sa ? int(sb) + int(pb) : 0;             // weight of (p s)
  constexpr int w_pp = w_ps + (sb ? 1 : 0);                    // weight of (p p)
  for (int column = 0; column < c.columns; ++column) {
    int offset[n_hermites];
    for (int k = 0; k < n_hermites; ++k)
      offset[k] = c.offset[column * c.offset_step + k] + column * c.column_step;
    V* out = c.output + column * c.out_column_step;
    V acc[rows];
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) acc[r] = out[r * c.row_step];
    for (int k = 0; k < c.n; ++k) {
      const V* R = c.input + k * c.stride;
      const V* par = c.parameter + size_t(c.primitives[k]) * npar;
      const V r0 = R[offset[0]];
      if constexpr (sa && sb) acc[0] += par[0] * r0;
      if constexpr (pa || pb) {
        const V h = par[at_h], hs = Ket ? -h : h;
        V s[3], u[3];
#pragma GCC unroll 3
        for (int i = 0; i < 3; ++i) s[i] = hs * R[offset[1 + i]];
        if constexpr (pb) {
#pragma GCC unroll 3
          for (int j = 0; j < 3; ++j) {
            u[j] = par[at_pb + j] * r0 + s[j];
            if constexpr (sa) acc[int(sb) + j] += par[w_sp] * u[j];
          }
        }
        if constexpr (pa && sb) {
#pragma GCC unroll 3
          for (int i = 0; i < 3; ++i) acc[(int(sa) + i) * width] += par[w_ps] * (par[at_pa + i] * r0 + s[i]);
        }
        if constexpr (pa && pb) {
          const V h2 = h * h, diagonal = h * r0;
          constexpr int index[3][3] = {{4, 5, 6}, {5, 7, 8}, {6, 8, 9}};
#pragma GCC unroll 3
          for (int i = 0; i < 3; ++i)
#pragma GCC unroll 3
            for (int j = 0; j < 3; ++j) {
              V v = par[at_pb + j] * s[i] + h2 * R[offset[index[i][j]]];
              if (i == j) v += diagonal;
              v += par[at_pa + i] * u[j];
              acc[(int(sa) + i) * width + int(sb) + j] += par[w_pp] * v;
            }
        }
      }
    }
#pragma GCC unroll 16
    for (int r = 0; r < rows; ++r) out[r * c.row_step] = acc[r];
  }
}

// Any angular momenta, by table. Four columns at a time share the loads of the expansion coefficients.
template <class T, bool Ket, int Block> void contract_general_block(const Contraction<T>& c, int column) {
  using V = typename Lanes<T>::V;
  const Pattern& pattern = *c.pattern;
  const int rows = int(pattern.row_start.size()) - 1;
  for (int k = 0; k < c.n; ++k) {
    const V* E = c.parameter + size_t(c.primitives[k]) * c.npar;
    const V* R[Block];
    const int* offset[Block];
    for (int b = 0; b < Block; ++b) {
      R[b] = c.input + k * c.stride + (column + b) * c.column_step;
      offset[b] = c.offset + (column + b) * c.offset_step;
    }
    for (int r = 0; r < rows; ++r) {
      V* out = c.output + r * c.row_step + column * c.out_column_step;
      V even[Block], odd[Block];
#pragma GCC unroll 4
      for (int b = 0; b < Block; ++b) {
        even[b] = out[b * c.out_column_step];
        odd[b] = V{};
      }
      const int middle = pattern.row_odd[r], end = pattern.row_start[r + 1];
      for (int e = pattern.row_start[r]; e < middle; ++e) {
        const int h = pattern.hermite[e];
#pragma GCC unroll 4
        for (int b = 0; b < Block; ++b) even[b] += E[e] * R[b][offset[b][h]];
      }
      for (int e = middle; e < end; ++e) {
        const int h = pattern.hermite[e];
#pragma GCC unroll 4
        for (int b = 0; b < Block; ++b) odd[b] += E[e] * R[b][offset[b][h]];
      }
#pragma GCC unroll 4
      for (int b = 0; b < Block; ++b) out[b * c.out_column_step] = Ket ? even[b] - odd[b] : even[b] + odd[b];
    }
  }
}

template <class T, bool Ket> void contract_general(const Contraction<T>& c) {
  int column = 0;
  for (; column + 4 <= c.columns; column += 4) contract_general_block<T, Ket, 4>(c, column);
  for (; column < c.columns; ++column) contract_general_block<T, Ket, 1>(c, column);
}

template <class T> using Contract = void (*)(const Contraction<T>&);
template <class T> Contract<T> contract_kernel(int code, bool ket);

}  // namespace scfx_simd
