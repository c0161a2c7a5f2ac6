#include "structure.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <stdexcept>

#include "contract.h"

namespace scfx_simd {

namespace {

constexpr double pi = 3.14159265358979323846;

// 2 pi^(5/2) / (p q sqrt(p + q)), HJO eq. 9.9.33, split evenly between the two pairs but for the square root, and
// sqrt(pi)/2 for the scale of the Boys functions.
const double half_prefactor = std::sqrt(pi * pi * pi);

double angular_factor(int l) { return l == 0 ? std::sqrt(1 / (4 * pi)) : l == 1 ? std::sqrt(3 / (4 * pi)) : 1.0; }

void append_functions(const Shell& shell, int index, const double* const* spherical, Structure& s) {
  const auto powers = cartesian_powers(shell.l);
  const double f = angular_factor(shell.l);
  for (int m = 0; m < shell.nfunc; ++m) {
    Function function{index, shell.l, {}};
    for (size_t c = 0; c < powers.size(); ++c) {
      const bool identity = shell.cartesian || shell.l < 2;
      const double x = identity ? double(int(c) == m) : spherical[shell.l][c * shell.nfunc + m];
      if (x != 0) function.terms.push_back({{powers[c][0], powers[c][1], powers[c][2]}, x * f});
    }
    s.functions.push_back(function);
    s.ao.push_back(shell.ao_offset + m);
  }
}

}  // namespace

std::vector<std::array<int, 3>> cartesian_powers(int l) {
  std::vector<std::array<int, 3>> out;
  for (int i = l; i >= 0; --i)
    for (int j = l - i; j >= 0; --j) out.push_back({i, j, l - i - j});
  return out;
}

Pattern make_pattern(FunctionList a, FunctionList b) {
  Pattern out;
  for (int i = 0; i < a.n; ++i)
    for (int j = 0; j < b.n; ++j) {
      std::vector<int> found;
      for (const auto& x : a.first[i].terms)
        for (const auto& y : b.first[j].terms)
          for (int t = 0; t <= x.power[0] + y.power[0]; ++t)
            for (int u = 0; u <= x.power[1] + y.power[1]; ++u)
              for (int v = 0; v <= x.power[2] + y.power[2]; ++v) found.push_back(hermite_index(t, u, v));
      std::sort(found.begin(), found.end());
      found.erase(std::unique(found.begin(), found.end()), found.end());
      const auto odd = std::stable_partition(found.begin(), found.end(), [](int h) { return !odd_degree(h); });
      out.row_start.push_back(int(out.hermite.size()));
      out.row_odd.push_back(int(out.hermite.size() + (odd - found.begin())));
      out.hermite.insert(out.hermite.end(), found.begin(), found.end());
    }
  out.row_start.push_back(int(out.hermite.size()));
  return out;
}

Structure make_structure(int natm, const std::vector<Shell>& shells, const double* const* spherical,
                         const int* merge_sp) {
  Structure s;
  s.natm = natm;
  s.shells = shells;
  std::vector<bool> merged(shells.size(), false);
  std::vector<Composite> found;
  for (size_t i = 0; i < shells.size(); ++i) {
    if (shells[i].l > max_shell_l) throw std::invalid_argument("a shell above f");
    s.nao += shells[i].nfunc;
    s.nprim += shells[i].nprim;
    if (merge_sp[i] >= 0) merged[merge_sp[i]] = true;
  }
  for (size_t i = 0; i < shells.size(); ++i) {
    if (merged[i]) continue;
    const Shell& shell = shells[i];
    Composite c{Kind::general, shell.atom, shell.nprim, shell.l, 0, shell.nfunc, {int(i), -1}, 1};
    if (merge_sp[i] >= 0) {
      c.kind = Kind::sp;
      c.shell[1] = merge_sp[i];
      c.nshell = 2;
      c.l = 1;
      c.nfunc = 4;
    } else if (shell.l <= 1) {
      c.kind = shell.l ? Kind::p : Kind::s;
    }
    found.push_back(c);
  }
  std::stable_sort(found.begin(), found.end(), [](const Composite& x, const Composite& y) {
    return std::make_pair(int(x.kind), x.l) < std::make_pair(int(y.kind), y.l);
  });
  for (Composite& c : found) {
    c.first = int(s.functions.size());
    for (int i = 0; i < c.nshell; ++i) append_functions(shells[c.shell[i]], c.shell[i], spherical, s);
  }
  s.composites = found;

  std::map<std::array<int, 6>, int> pattern_of;
  for (int b = 0; b < int(found.size()); ++b)
    for (int a = 0; a <= b; ++a) {
      const Composite &A = found[a], &B = found[b];
      PairShape pair{a, b, A.nprim * B.nprim, A.nfunc * B.nfunc, A.l + B.l, n_hermite(A.l + B.l), 0, 0, 0, 0, -1};
      if (A.kind == Kind::general || B.kind == Kind::general) {
        const std::array<int, 6> key{int(A.kind), A.l, A.nfunc, int(B.kind), B.l, B.nfunc};
        if (!pattern_of.count(key)) {
          pattern_of[key] = int(s.patterns.size());
          s.patterns.push_back(make_pattern(functions_of(s, A), functions_of(s, B)));
        }
        pair.pattern = pattern_of[key];
        pair.code = general_code;
        pair.npar = int(s.patterns[pair.pattern].hermite.size());
      } else {
        pair.code = int(A.kind) * 3 + int(B.kind);
        pair.npar = simple_parameters(pair.code);
      }
      s.pairs.push_back(pair);
    }
  std::stable_sort(s.pairs.begin(), s.pairs.end(), [](const PairShape& x, const PairShape& y) {
    return std::make_pair(x.L, x.code) < std::make_pair(y.L, y.code);
  });
  for (PairShape& pair : s.pairs) {
    pair.geometry_offset = s.geometry_size;
    pair.parameter_offset = s.parameter_size;
    s.geometry_size += size_t(pair.nprim) * geometry_fields;
    s.parameter_size += size_t(pair.nprim) * pair.npar;
  }
  return s;
}

// HJO eqs. 9.5.6-9.5.7.
void expansion(int la, int lb, vd h, vd pa, vd pb, Expansion E) {
  for (int i = 0; i <= la; ++i)
    for (int j = 0; j <= lb; ++j) {
      if (i + j == 0) {
        E[0][0][0] = splat(1.0);
        continue;
      }
      const vd* low = i ? E[i - 1][j] : E[i][j - 1];
      const vd x = i ? pa : pb;
      const int top = i + j - 1;
      for (int t = 0; t <= i + j; ++t) {
        vd value{};
        if (t > 0) value += h * low[t - 1];
        if (t <= top) value += x * low[t];
        if (t + 1 <= top) value += double(t + 1) * low[t + 1];
        E[i][j][t] = value;
      }
    }
}

void fill_expansion(const Composite& A, const Composite& B, FunctionList a, FunctionList b, const Pattern& pattern,
                    const Expansion* E, const vd* weight, vd* out) {
  vd dense[n_hermite(max_pair_l)];
  int row = 0;
  for (int i = 0; i < a.n; ++i)
    for (int j = 0; j < b.n; ++j, ++row) {
      const Function &f = a.first[i], &g = b.first[j];
      const vd k = weight[2 * (f.shell != A.shell[0]) + (g.shell != B.shell[0])];
      for (int n = 0; n < n_hermite(A.l + B.l); ++n) dense[n] = vd{};
      for (const auto& x : f.terms)
        for (const auto& y : g.terms) {
          const vd scale = k * (x.factor * y.factor);
          for (int t = 0; t <= x.power[0] + y.power[0]; ++t)
            for (int u = 0; u <= x.power[1] + y.power[1]; ++u) {
              const vd xy = scale * E[0][x.power[0]][y.power[0]][t] * E[1][x.power[1]][y.power[1]][u];
              for (int v = 0; v <= x.power[2] + y.power[2]; ++v)
                dense[hermite_index(t, u, v)] += xy * E[2][x.power[2]][y.power[2]][v];
            }
        }
      for (int e = pattern.row_start[row]; e < pattern.row_start[row + 1]; ++e) out[e] = dense[pattern.hermite[e]];
    }
}

void apply_angular_factors(const Composite& A, const Composite& B, vd* weight) {
  const double fa = angular_factor(A.kind == Kind::p), fb = angular_factor(B.kind == Kind::p);
  weight[0] = weight[0] * (fa * fb);
  if (B.kind == Kind::sp) weight[1] = weight[1] * (fa * angular_factor(1));
  if (A.kind == Kind::sp) weight[2] = weight[2] * (angular_factor(1) * fb);
  if (A.kind == Kind::sp && B.kind == Kind::sp) weight[3] = weight[3] * (angular_factor(1) * angular_factor(1));
}

PrimitivePair primitive_pair(const Structure& s, const PairShape& pair, const Geometry& g, int i, int j) {
  const Composite &A = s.composites[pair.a], &B = s.composites[pair.b];
  PrimitivePair out;
  vd r2{};
  for (int x = 0; x < 3; ++x) {
    out.ab[x] = g.position[3 * A.atom + x] - g.position[3 * B.atom + x];
    r2 += out.ab[x] * out.ab[x];
  }
  const vd a = g.exponent[s.shells[A.shell[0]].prim_offset + i];
  const vd b = g.exponent[s.shells[B.shell[0]].prim_offset + j];
  const vd inverse = 1.0 / (a + b), argument = a * b * inverse * r2;
  vd k;
  for (int lane = 0; lane < WD; ++lane) k[lane] = std::exp(-argument[lane]);
  k = k * (inverse * half_prefactor);
  out.a = a;
  out.b = b;
  out.p = a + b;
  out.h = 0.5 * inverse;
  for (int x = 0; x < 3; ++x) {
    out.pa[x] = -(b * inverse) * out.ab[x];
    out.pb[x] = (a * inverse) * out.ab[x];
    out.centre[x] = g.position[3 * A.atom + x] + out.pa[x];
  }
  for (int x = 0; x < A.nshell; ++x)
    for (int y = 0; y < B.nshell; ++y)
      out.weight[2 * x + y] = k * g.coefficient[s.shells[A.shell[x]].prim_offset + i] *
                              g.coefficient[s.shells[B.shell[y]].prim_offset + j];
  return out;
}

void fill_pairs(const Structure& s, const Geometry& g, PairData& out) {
  out.geometry.reset(s.geometry_size);
  out.parameter.reset(s.parameter_size);
  for (const PairShape& pair : s.pairs) {
    const Composite &A = s.composites[pair.a], &B = s.composites[pair.b];
    vd* geometry = out.geometry.get() + pair.geometry_offset;
    vd* parameter = out.parameter.get() + pair.parameter_offset;
    for (int i = 0; i < A.nprim; ++i)
      for (int j = 0; j < B.nprim; ++j, geometry += geometry_fields, parameter += pair.npar) {
        PrimitivePair x = primitive_pair(s, pair, g, i, j);
        geometry[0] = x.p;
        for (int axis = 0; axis < 3; ++axis) geometry[1 + axis] = x.centre[axis];
        geometry[4] = vd{};
        if (pair.pattern >= 0) {
          Expansion E[3];
          for (int axis = 0; axis < 3; ++axis) expansion(A.l, B.l, x.h, x.pa[axis], x.pb[axis], E[axis]);
          fill_expansion(A, B, functions_of(s, A), functions_of(s, B), s.patterns[pair.pattern], E, x.weight, parameter);
        } else {
          apply_angular_factors(A, B, x.weight);
          fill_simple(pair.code, x.weight, x.h, x.pa, x.pb, parameter);
        }
      }
  }
}

}  // namespace scfx_simd
