#include "one_electron.h"

#include <algorithm>

#include "boys.h"

namespace scfx_simd {

void overlaps_1d(int la, int lb, vd h, vd pa, vd pb, vd s00, OneDimensional S) {
  S[0][0] = s00;
  for (int i = 0; i <= la; ++i)
    for (int j = 0; j <= lb; ++j) {
      if (i + j == 0) continue;
      if (i > 0) {
        S[i][j] = pa * S[i - 1][j];
        if (i > 1) S[i][j] += h * double(i - 1) * S[i - 2][j];
        if (j > 0) S[i][j] += h * double(j) * S[i - 1][j - 1];
      } else {
        S[i][j] = pb * S[i][j - 1];
        if (j > 1) S[i][j] += h * double(j - 1) * S[i][j - 2];
      }
    }
}

namespace {

constexpr double pi = 3.14159265358979323846;

// Overlap, kinetic energy (HJO eqs. 9.3.36-9.3.37) and dipole about the origin of one pair of shells.
void multipoles(const Structure& s, const Composite& A, const Composite& B, const Geometry& g, vd* S, vd* T, vd* D) {
  const vd* RA = &g.position[3 * A.atom];
  const vd* RB = &g.position[3 * B.atom];
  const int rows = A.nfunc * B.nfunc;
  std::fill(S, S + rows, vd{});
  std::fill(T, T + rows, vd{});
  std::fill(D, D + 3 * rows, vd{});
  vd r2{};
  for (int x = 0; x < 3; ++x) r2 += (RA[x] - RB[x]) * (RA[x] - RB[x]);
  for (int i = 0; i < A.nprim; ++i)
    for (int j = 0; j < B.nprim; ++j) {
      const vd a = g.exponent[s.shells[A.shell[0]].prim_offset + i];
      const vd b = g.exponent[s.shells[B.shell[0]].prim_offset + j];
      const vd inverse = 1.0 / (a + b), h = 0.5 * inverse, argument = a * b * inverse * r2;
      vd k;
      for (int lane = 0; lane < WD; ++lane)
        k[lane] = std::exp(-argument[lane]) * std::pow(pi * inverse[lane], 1.5);
      OneDimensional s1[3];
      vd t1[3][max_shell_l + 1][max_shell_l + 1], d1[3][max_shell_l + 1][max_shell_l + 1];
      for (int x = 0; x < 3; ++x) {
        const vd ab = RA[x] - RB[x];
        // One more on A for the dipole, two more on B for the kinetic energy.
        overlaps_1d(A.l + 1, B.l + 2, h, -(b * inverse) * ab, (a * inverse) * ab, splat(1.0), s1[x]);
        for (int p = 0; p <= A.l; ++p)
          for (int q = 0; q <= B.l; ++q) {
            t1[x][p][q] = b * (2.0 * q + 1.0) * s1[x][p][q] - 2.0 * b * b * s1[x][p][q + 2];
            if (q > 1) t1[x][p][q] -= 0.5 * q * (q - 1) * s1[x][p][q - 2];
            d1[x][p][q] = s1[x][p + 1][q] + RA[x] * s1[x][p][q];
          }
      }
      int row = 0;
      for (int m = 0; m < A.nfunc; ++m)
        for (int n = 0; n < B.nfunc; ++n, ++row) {
          const Function &f = s.functions[A.first + m], &e = s.functions[B.first + n];
          const vd c = k * g.coefficient[s.shells[f.shell].prim_offset + i] *
                       g.coefficient[s.shells[e.shell].prim_offset + j];
          for (const auto& u : f.terms)
            for (const auto& v : e.terms) {
              const int *p = u.power, *q = v.power;
              const vd w = c * (u.factor * v.factor);
              const vd x = s1[0][p[0]][q[0]], y = s1[1][p[1]][q[1]], z = s1[2][p[2]][q[2]];
              S[row] += w * x * y * z;
              T[row] += w * (t1[0][p[0]][q[0]] * y * z + x * t1[1][p[1]][q[1]] * z + x * y * t1[2][p[2]][q[2]]);
              D[row] += w * d1[0][p[0]][q[0]] * y * z;
              D[rows + row] += w * x * d1[1][p[1]][q[1]] * z;
              D[2 * rows + row] += w * x * y * d1[2][p[2]][q[2]];
            }
        }
    }
}

// Σ_C -Z_C R_tuv(p, P - C), HJO eq. 9.9.32, for each primitive of a pair; the 2 pi / p is in the pair but for a constant.
template <int L>
void attraction(const vd* geometry, int nprim, int natm, const vd* position, const vd* charge, vd* out) {
  const double constant = 2 * pi / (boys_scale * std::sqrt(pi * pi * pi));
  for (int k = 0; k < nprim; ++k, geometry += geometry_fields, out += n_hermite(L)) {
    for (int h = 0; h < n_hermite(L); ++h) out[h] = vd{};
    for (int c = 0; c < natm; ++c) {
      const vd PC[3] = {geometry[1] - position[3 * c], geometry[2] - position[3 * c + 1],
                        geometry[3] - position[3 * c + 2]};
      vd F[L + 1], R[n_hermite(L)];
      boys<double, L>(geometry[0] * (PC[0] * PC[0] + PC[1] * PC[1] + PC[2] * PC[2]), F);
      vd factor = charge[c] * -constant;
      for (int m = 0; m <= L; ++m) {
        F[m] = F[m] * factor;
        factor = factor * (-2.0 * geometry[0]);
      }
      hermite_integrals<double, L>(F, PC, R);
      for (int h = 0; h < n_hermite(L); ++h) out[h] += R[h];
    }
  }
}

using Attraction = void (*)(const vd*, int, int, const vd*, const vd*, vd*);
constexpr Attraction attractions[max_pair_l + 1] = {attraction<0>, attraction<1>, attraction<2>, attraction<3>,
                                                    attraction<4>, attraction<5>, attraction<6>};
static_assert(max_pair_l == 6, "one kernel for each angular momentum of a pair");

}  // namespace

void one_electron(const Structure& s, const BatchInput& input, const double* charge, const OneElectronOutput& out) {
  const size_t n2 = size_t(s.nao) * s.nao;
  std::vector<int> identity(n_hermite(max_pair_l));
  for (size_t i = 0; i < identity.size(); ++i) identity[i] = int(i);
  for (int first = 0; first < input.n; first += WD) {
    const Geometry g = pack_geometry(s, input, first, false);
    std::vector<vd> Z(s.natm);
    for (int lane = 0; lane < WD; ++lane)
      for (int c = 0; c < s.natm; ++c) Z[c][lane] = charge[size_t(std::min(first + lane, input.n - 1)) * s.natm + c];
    PairData pairs;
    fill_pairs(s, g, pairs);
    for (const PairShape& pair : s.pairs) {
      const Composite &A = s.composites[pair.a], &B = s.composites[pair.b];
      Buffer<vd> block(size_t(pair.nrow) * 6), hermite(size_t(pair.nprim) * pair.nherm);
      vd *S = block.get(), *T = S + pair.nrow, *V = T + pair.nrow, *D = V + pair.nrow;
      multipoles(s, A, B, g, S, T, D);
      attractions[pair.L](pairs.geometry.get() + pair.geometry_offset, pair.nprim, s.natm, g.position.data(), Z.data(),
                          hermite.get());
      std::fill(V, V + pair.nrow, vd{});
      std::vector<int> every(pair.nprim);
      for (int k = 0; k < pair.nprim; ++k) every[k] = k;
      contract_kernel<double>(pair.code, false)(
          {hermite.get(), size_t(pair.nherm), identity.data(), 0, 0, 1, pairs.parameter.get() + pair.parameter_offset,
           pair.npar, every.data(), pair.nprim, V, 1, 0, pair.pattern < 0 ? nullptr : &s.patterns[pair.pattern]});
      for (int lane = 0; lane < WD && first + lane < input.n; ++lane) {
        const size_t at = size_t(first + lane) * n2;
        int row = 0;
        for (int m = 0; m < A.nfunc; ++m)
          for (int n = 0; n < B.nfunc; ++n, ++row) {
            const size_t i = s.ao[A.first + m], j = s.ao[B.first + n];
            for (size_t e : {i * s.nao + j, j * s.nao + i}) {
              out.overlap[at + e] = S[row][lane];
              out.kinetic[at + e] = T[row][lane];
              out.nuclear[at + e] = V[row][lane];
              for (int x = 0; x < 3; ++x) out.dipole[3 * at + x * n2 + e] = D[x * pair.nrow + row][lane];
            }
          }
      }
    }
  }
}

namespace {

template <class T, int M> double boys_at(T t) {
  typename Lanes<T>::V F[M + 1];
  boys<T, M>(splat<T>(t), F);
  return double(F[M][0]);
}

template <class T> double boys_any(int m, T t) {
  using Function = double (*)(T);
  static const Function table[max_boys] = {boys_at<T, 0>, boys_at<T, 1>, boys_at<T, 2>,  boys_at<T, 3>, boys_at<T, 4>,
                                           boys_at<T, 5>, boys_at<T, 6>, boys_at<T, 7>,  boys_at<T, 8>, boys_at<T, 9>,
                                           boys_at<T, 10>, boys_at<T, 11>, boys_at<T, 12>, boys_at<T, 13>};
  static_assert(max_boys == 14, "one function for each order");
  return table[m](t);
}

}  // namespace

double boys_lane(int m, double t, bool single) {
  return (single ? boys_any<float>(m, float(t)) : boys_any<double>(m, t)) / boys_scale;
}

}  // namespace scfx_simd
