// Electron-repulsion integrals of one quartet of Cartesian shells by Rys quadrature (Dupuis, Rys, King, J. Chem. Phys.
// 65, 111 (1976); Rys, Dupuis, King, J. Comput. Chem. 4, 154 (1983)), in the arithmetic of `Real`.
//
// `Real` is float in the codelets. The cost model counts operations by running the same code on a counting type.
// Nothing outside this folder is used, and no memory is allotted: the caller brings the scratch.
#ifndef SCFX_RYS_QUARTET_HPP
#define SCFX_RYS_QUARTET_HPP

#include <cmath>

#include "rys_tables.hpp"
#include "two_floats.hpp"

namespace scfx_rys {

inline float square_root(float x) { return std::sqrt(x); }
inline float exponential(float x) { return std::exp(x); }
inline int truncate(float x) { return int(x); }

constexpr int components(int l) { return (l + 1) * (l + 2) / 2; }

// Powers (x, y, z) of the Cartesian components of a shell: xx, xy, xz, yy, yz, zz for l = 2.
template <int L>
struct Powers {
  int of[components(L)][3] = {};
  constexpr Powers() {
    int n = 0;
    for (int i = L; i >= 0; --i)
      for (int j = L - i; j >= 0; --j, ++n) {
        of[n][0] = i;
        of[n][1] = j;
        of[n][2] = L - i - j;
      }
  }
};

// A contracted shell. `centre` is x, y, z rounded to float, then what the rounding left, so that differences of
// centres keep the digits that float coordinates lose. Coefficients carry every normalisation and a factor
// (2 π^(5/2))^(1/4).
template <class Real>
struct Shell {
  const float* centre;
  const float* exponents;
  const float* coefficients;
  int primitives;
};

template <class Real>
inline void difference(const float* a, const float* b, Real* out) {
  for (int d = 0; d < 3; ++d) out[d] = (Real(a[d]) - Real(b[d])) + (Real(a[d + 3]) - Real(b[d + 3]));
}

template <class Real>
inline TwoFloats<Real> square(const Real* v) {
  TwoFloats<Real> sum = exact_product(v[0], v[0]);
  for (int d = 1; d < 3; ++d) {
    const TwoFloats<Real> term = exact_product(v[d], v[d]);
    add_compensated(sum.value, sum.rest, term.value);
    sum.rest = sum.rest + term.rest;
  }
  return sum;
}

// A product of two primitives: exponent, its inverse, prefactor, and centre relative to the first shell.
template <class Real>
struct Pair {
  Real p, inverse, factor, offset[3];
};

// Prefactors below this contribute nothing that float32 sums could hold.
constexpr float kNegligible = 1e-13f;

// The prefactor is rounded once, at its end. A shell's pair with itself has the same prefactors in every molecule, and
// squared where bra and ket are alike: rounding at every step adds up to errors of one sign (docs/ipu.md).
template <class Real>
inline Pair<Real> make_pair(Real a, Real b, Real first, Real second, const Real* separation, TwoFloats<Real> distance2) {
  const TwoFloats<Real> p = exact_sum(a, b), inverse = reciprocal(p);
  const TwoFloats<Real> share = product(inverse, {b, Real(0.0f)});
  const TwoFloats<Real> power = product(product(share, {a, Real(0.0f)}), distance2);
  const TwoFloats<Real> front = product(exact_product(first, second), inverse);
  // exp(-(value + rest)) = exp(-value) (1 - rest)
  const Real decay = exponential(-power.value);
  Pair<Real> out;
  out.p = p.value;
  out.inverse = inverse.value + inverse.rest;
  out.factor = front.value * decay + (front.rest - front.value * power.rest) * decay;
  for (int d = 0; d < 3; ++d) out.offset[d] = -(share.value * separation[d]);
  return out;
}

// Floats of scratch that a quartet needs: the pairs of its second half.
inline int scratch_size(int primitives_c, int primitives_d) { return 6 * primitives_c * primitives_d; }

// Roots x = t² and weights for N roots at X.
template <class Real, int N>
inline void roots(Real x, Real* root, Real* weight) {
  using T = Table<N>;
  if (x >= Real(T::kLimit)) {
    const Real inverse = Real(1.0f) / x;
    const Real scale = square_root(inverse);
    for (int r = 0; r < N; ++r) {
      root[r] = Real(T::kHermite[r]) * inverse;
      weight[r] = Real(T::kHermite[N + r]) * scale;
    }
    return;
  }
  const Real scaled = x * Real(kIntervalsPerUnit);
  const int interval = truncate(scaled);
  const Real u = (scaled - Real(float(interval))) * Real(2.0f) - Real(1.0f);
  const auto& table = T::kPolynomials[interval];
  for (int k = 0; k < 2 * N; ++k) {
    Real value = Real(table[k][kDegree]);
    for (int power = kDegree - 1; power >= 0; --power) value = value * u + Real(table[k][power]);
    (k < N ? root[k] : weight[k - N]) = value;
  }
}

// One Cartesian direction for one root: [LA+1][LB+1][LC+1][LD+1] two-dimensional integrals from the first one,
// `start`: recurrences along the first centres, then the transfer of powers to the second ones (Rys, Dupuis, King 1983).
template <class Real, int LA, int LB, int LC, int LD>
inline void two_dimensional(Real start, Real c00, Real c0p, Real b00, Real b10, Real b01, Real ab, Real cd,
                            Real (&out)[LA + 1][LB + 1][LC + 1][LD + 1]) {
  constexpr int M = LA + LB, N = LC + LD;
  Real g[M + 1][N + 1];
  g[0][0] = start;
  if constexpr (M > 0) g[1][0] = c00 * start;
  for (int m = 1; m < M; ++m) g[m + 1][0] = c00 * g[m][0] + Real(float(m)) * b10 * g[m - 1][0];
  for (int n = 0; n < N; ++n)
    for (int m = 0; m <= M; ++m) {
      Real value = c0p * g[m][n];
      if (n > 0) value = value + Real(float(n)) * b01 * g[m][n - 1];
      if (m > 0) value = value + Real(float(m)) * b00 * g[m - 1][n];
      g[m][n + 1] = value;
    }
  // (i, j+1| = (i+1, j| + (A - B)(i, j|, for every n; g keeps the present j.
  Real h[LA + 1][LB + 1][N + 1];
  for (int j = 0; j <= LB; ++j) {
    for (int i = 0; i <= LA; ++i)
      for (int n = 0; n <= N; ++n) h[i][j][n] = g[i][n];
    if (j < LB)
      for (int m = 0; m < M - j; ++m)
        for (int n = 0; n <= N; ++n) g[m][n] = g[m + 1][n] + ab * g[m][n];
  }
  for (int i = 0; i <= LA; ++i)
    for (int j = 0; j <= LB; ++j) {
      Real(&row)[N + 1] = h[i][j];
      for (int l = 0; l <= LD; ++l) {
        for (int k = 0; k <= LC; ++k) out[i][j][k][l] = row[k];
        if (l < LD)
          for (int n = 0; n < N - l; ++n) row[n] = row[n + 1] + cd * row[n];
      }
    }
}

// The same by recurrences on all four centres. Transfer subtracts numbers of the size of a distance to the power of the
// momenta, which for d shells two bonds apart costs float32 a digit; here nothing large is ever subtracted.
template <class Real, int LA, int LB, int LC, int LD>
inline void two_dimensional_stable(Real start, Real c00, Real c0p, Real b00, Real b10, Real b01, Real ab, Real cd,
                                   Real (&out)[LA + 1][LB + 1][LC + 1][LD + 1]) {
  const Real second_bra = c00 + ab, second_ket = c0p + cd;
  Real n00[LA + LB + 1], n10[LA + LB + 1], n01[LC + LD + 1];
  for (int n = 1; n <= LA + LB; ++n) n00[n] = Real(float(n)) * b00, n10[n] = Real(float(n)) * b10;
  for (int n = 1; n <= LC + LD; ++n) n01[n] = Real(float(n)) * b01;
  for (int i = 0; i <= LA; ++i)
    for (int j = 0; j <= LB; ++j)
      for (int k = 0; k <= LC; ++k)
        for (int l = 0; l <= LD; ++l) {
          Real value = start;
          if (l > 0) {
            value = second_ket * out[i][j][k][l - 1];
            if (l > 1) value = value + n01[l - 1] * out[i][j][k][l - 2];
            if (k > 0) value = value + n01[k] * out[i][j][k - 1][l - 1];
            if (i > 0) value = value + n00[i] * out[i - 1][j][k][l - 1];
            if (j > 0) value = value + n00[j] * out[i][j - 1][k][l - 1];
          } else if (k > 0) {
            value = c0p * out[i][j][k - 1][0];
            if (k > 1) value = value + n01[k - 1] * out[i][j][k - 2][0];
            if (i > 0) value = value + n00[i] * out[i - 1][j][k - 1][0];
            if (j > 0) value = value + n00[j] * out[i][j - 1][k - 1][0];
          } else if (j > 0) {
            value = second_bra * out[i][j - 1][0][0];
            if (j > 1) value = value + n10[j - 1] * out[i][j - 2][0][0];
            if (i > 0) value = value + n10[i] * out[i - 1][j - 1][0][0];
          } else if (i > 0) {
            value = c00 * out[i - 1][0][0][0];
            if (i > 1) value = value + n10[i - 1] * out[i - 2][0][0][0];
          }
          out[i][j][k][l] = value;
        }
}

// Adds one quartet of primitives to out[a][b][c][d].
template <class Real, int LA, int LB, int LC, int LD>
inline void add_primitive(const Pair<Real>& bra, const Pair<Real>& ket, const Real* ab, const Real* cd, const Real* ac,
                          Real* out) {
  constexpr int kRoots = (LA + LB + LC + LD) / 2 + 1;
  constexpr int NA = components(LA), NB = components(LB), NC = components(LC), ND = components(LD);
  constexpr Powers<LA> pa;
  constexpr Powers<LB> pb;
  constexpr Powers<LC> pc;
  constexpr Powers<LD> pd;
  const Real inverse = Real(1.0f) / (bra.p + ket.p);
  Real pq[3];
  for (int d = 0; d < 3; ++d) pq[d] = ac[d] + (bra.offset[d] - ket.offset[d]);
  const Real rho = bra.p * ket.p * inverse;
  const Real x = rho * (pq[0] * pq[0] + pq[1] * pq[1] + pq[2] * pq[2]);
  const Real factor = bra.factor * ket.factor * square_root(inverse);
  Real root[kRoots], weight[kRoots];
  roots<Real, kRoots>(x, root, weight);
  if constexpr (LA + LB + LC + LD == 0) {
    out[0] = out[0] + factor * weight[0];
  } else {
    const Real half(0.5f);
    for (int r = 0; r < kRoots; ++r) {
      const Real t = root[r] * inverse;
      const Real bra_share = ket.p * t, ket_share = bra.p * t;
      const Real b00 = half * t;
      const Real b10 = half * bra.inverse * (Real(1.0f) - bra_share);
      const Real b01 = half * ket.inverse * (Real(1.0f) - ket_share);
      Real plane[3][LA + 1][LB + 1][LC + 1][LD + 1];
      for (int d = 0; d < 3; ++d) {
        const Real start = d == 2 ? factor * weight[r] : Real(1.0f);
        const Real c00 = bra.offset[d] - bra_share * pq[d], c0p = ket.offset[d] + ket_share * pq[d];
        if constexpr (LA + LB > 2)
          two_dimensional_stable<Real, LA, LB, LC, LD>(start, c00, c0p, b00, b10, b01, ab[d], cd[d], plane[d]);
        else
          two_dimensional<Real, LA, LB, LC, LD>(start, c00, c0p, b00, b10, b01, ab[d], cd[d], plane[d]);
      }
      Real* target = out;
      for (int a = 0; a < NA; ++a)
        for (int b = 0; b < NB; ++b) {
          const auto& ix = plane[0][pa.of[a][0]][pb.of[b][0]];
          const auto& iy = plane[1][pa.of[a][1]][pb.of[b][1]];
          const auto& iz = plane[2][pa.of[a][2]][pb.of[b][2]];
          for (int c = 0; c < NC; ++c)
            for (int d = 0; d < ND; ++d, ++target)
              *target = *target + ix[pc.of[c][0]][pd.of[d][0]] * iy[pc.of[c][1]][pd.of[d][1]] *
                                      iz[pc.of[c][2]][pd.of[d][2]];
        }
    }
  }
}

// Up to so many integrals a quartet, that is up to p shells, sums over primitives are compensated. Contracted shells, and
// so long sums, are s and p; the buffers of higher classes would fill the workers' stacks.
constexpr int kMostCompensated = 81;

// All integrals (ab|cd) of a quartet, LA >= LB and LC >= LD, into out[a][b][c][d]. `scratch` holds `scratch_size`.
template <class Real, int LA, int LB, int LC, int LD>
void quartet(const Shell<Real>& a, const Shell<Real>& b, const Shell<Real>& c, const Shell<Real>& d, Real* scratch,
             Real* out) {
  constexpr int kSize = components(LA) * components(LB) * components(LC) * components(LD);
  constexpr bool kCompensated = kSize <= kMostCompensated;
  Real part[kCompensated ? kSize : 1], rest[kCompensated ? kSize : 1];  // of one pair of the bra; what sums lost
  for (int n = 0; n < kSize; ++n) {
    out[n] = Real(0.0f);
    if constexpr (kCompensated) rest[n] = Real(0.0f);
  }
  Real ab[3], cd[3], ac[3];
  difference(a.centre, b.centre, ab);
  difference(c.centre, d.centre, cd);
  difference(a.centre, c.centre, ac);
  const TwoFloats<Real> ab2 = square(ab), cd2 = square(cd);
  auto* kets = reinterpret_cast<Pair<Real>*>(scratch);
  int n_kets = 0;
  for (int i = 0; i < c.primitives; ++i)
    for (int j = 0; j < d.primitives; ++j) {
      const Pair<Real> ket = make_pair(Real(c.exponents[i]), Real(d.exponents[j]), Real(c.coefficients[i]),
                                       Real(d.coefficients[j]), cd, cd2);
      if (ket.factor > Real(kNegligible) || ket.factor < Real(-kNegligible)) kets[n_kets++] = ket;
    }
  for (int i = 0; i < a.primitives; ++i)
    for (int j = 0; j < b.primitives; ++j) {
      const Pair<Real> bra = make_pair(Real(a.exponents[i]), Real(b.exponents[j]), Real(a.coefficients[i]),
                                       Real(b.coefficients[j]), ab, ab2);
      if (bra.factor < Real(kNegligible) && bra.factor > Real(-kNegligible)) continue;
      Real* target = kCompensated ? part : out;
      if constexpr (kCompensated)
        for (int n = 0; n < kSize; ++n) part[n] = Real(0.0f);
      for (int k = 0; k < n_kets; ++k) {
        const Real product = bra.factor * kets[k].factor;
        if (product < Real(kNegligible) && product > Real(-kNegligible)) continue;
        add_primitive<Real, LA, LB, LC, LD>(bra, kets[k], ab, cd, ac, target);
      }
      if constexpr (kCompensated)
        for (int n = 0; n < kSize; ++n) add_compensated(out[n], rest[n], part[n]);
    }
  if constexpr (kCompensated)
    for (int n = 0; n < kSize; ++n) out[n] = out[n] + rest[n];
}

// Run-time choice of the class; every codelet instantiates it for its highest shell. Momenta above LMAX do not occur.
template <class Real, int LMAX, int LA = 0, int LB = 0, int LC = 0, int LD = 0>
void dispatch(int la, int lb, int lc, int ld, const Shell<Real>& a, const Shell<Real>& b, const Shell<Real>& c,
              const Shell<Real>& d, Real* scratch, Real* out) {
  if constexpr (LA <= LMAX) {
    if (la != LA) {
      if constexpr (LA < LMAX) dispatch<Real, LMAX, LA + 1>(la, lb, lc, ld, a, b, c, d, scratch, out);
    } else if (lb != LB) {
      if constexpr (LB < LA) dispatch<Real, LMAX, LA, LB + 1>(la, lb, lc, ld, a, b, c, d, scratch, out);
    } else if (lc != LC) {
      if constexpr (LC < LA) dispatch<Real, LMAX, LA, LB, LC + 1>(la, lb, lc, ld, a, b, c, d, scratch, out);
    } else if (ld != LD) {
      if constexpr (LD < LC) dispatch<Real, LMAX, LA, LB, LC, LD + 1>(la, lb, lc, ld, a, b, c, d, scratch, out);
    } else if constexpr (LA * (LA + 1) / 2 + LB >= LC * (LC + 1) / 2 + LD) {
      quartet<Real, LA, LB, LC, LD>(a, b, c, d, scratch, out);
    }
  }
}

}  // namespace scfx_rys

#endif
