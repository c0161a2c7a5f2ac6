#include "fitting.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "boys.h"
#include "fitting_work.h"

namespace scfx_simd::fitting {

namespace {

constexpr double pi = 3.14159265358979323846;

// A primitive product whose expansion has no larger coefficient adds some 1e-12 hartree to (P|ij) at most.
constexpr double negligible = 1e-14;

// 2 pi^(5/2) / (p q sqrt(p + q)), HJO eq. 9.9.33, split evenly but for the square root, and sqrt(pi)/2 for the scale of
// the Boys functions.
const double half_prefactor = std::sqrt(pi * pi * pi);

double distance_squared(const double* a, const double* b) {
  return (a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) + (a[2] - b[2]) * (a[2] - b[2]);
}

constexpr int most = max_shell_l + 1;  // powers, with one more for a derivative
using Expansion1D = double[most + 1][most][2 * max_shell_l + 2];

// HJO eqs. 9.5.6-9.5.7, with one more power on the first function.
void expand(int la, int lb, double h, double pa, double pb, Expansion1D E) {
  for (int i = 0; i <= la; ++i)
    for (int j = 0; j <= lb; ++j) {
      if (i + j == 0) {
        E[0][0][0] = 1.0;
        continue;
      }
      const double* low = i ? E[i - 1][j] : E[i][j - 1];
      const double x = i ? pa : pb;
      const int top = i + j - 1;
      for (int t = 0; t <= i + j; ++t) {
        double value = 0.0;
        if (t > 0) value += h * low[t - 1];
        if (t <= top) value += x * low[t];
        if (t + 1 <= top) value += (t + 1) * low[t + 1];
        E[i][j][t] = value;
      }
    }
}

// Coefficients of the products of two shells' functions by a pattern. `axis` >= 0: of their derivative by the position of
// the first shell, whose exponent is `a`.
void fill(const std::vector<Function>& left, const std::vector<Function>& right, const Pattern& pattern,
          const Expansion1D* E, double scale, int axis, double a, double* out) {
  int row = 0;
  double dense[n_hermite(max_pair_l + 1)];
  for (const Function& f : left)
    for (const Function& g : right) {
      const int begin = pattern.row_start[row], end = pattern.row_start[row + 1];
      for (int e = begin; e < end; ++e) dense[pattern.hermite[e]] = 0.0;
      for (const Component& x : f.terms)
        for (const Component& y : g.terms) {
          double line[3][2 * max_shell_l + 2];
          int top[3];
          for (int k = 0; k < 3; ++k) {
            const int i = x.power[k], j = y.power[k];
            top[k] = i + j + (k == axis);
            for (int t = 0; t <= top[k]; ++t) {
              if (k != axis) {
                line[k][t] = E[k][i][j][t];
              } else {
                line[k][t] = 2 * a * E[k][i + 1][j][t];
                if (i > 0 && t <= i - 1 + j) line[k][t] -= i * E[k][i - 1][j][t];
              }
            }
          }
          const double c = scale * (x.factor * y.factor);
          for (int t = 0; t <= top[0]; ++t)
            for (int u = 0; u <= top[1]; ++u)
              for (int v = 0; v <= top[2]; ++v) dense[hermite_index(t, u, v)] += c * line[0][t] * line[1][u] * line[2][v];
        }
      for (int e = begin; e < end; ++e) out[e] = dense[pattern.hermite[e]];
      ++row;
    }
}

}  // namespace

std::vector<Function> Integrals::functions_of(const Shell& shell) const {
  std::vector<Function> out;
  const auto powers = cartesian_powers(shell.l);
  for (int m = 0; m < shell.nfunc; ++m) {
    Function function{0, shell.l, {}};
    for (size_t c = 0; c < powers.size(); ++c) {
      const double x = shell.cartesian ? double(int(c) == m) : spherical_[shell.l][c * shell.nfunc + m];
      if (x != 0) function.terms.push_back({{powers[c][0], powers[c][1], powers[c][2]}, x});
    }
    out.push_back(function);
  }
  return out;
}

Integrals::Integrals(Shells orbital, Shells auxiliary, const double* const* spherical, double inverse_omega_squared)
    : orbital_(std::move(orbital)), auxiliary_(std::move(auxiliary)), inverse_omega_squared_(inverse_omega_squared) {
  for (int l = 0; l <= max_auxiliary_l; ++l)
    spherical_.emplace_back(spherical[l], spherical[l] + (l + 1) * (l + 2) / 2 * (2 * l + 1));
  for (const Shell& shell : orbital_.shells) {
    if (shell.l > max_shell_l) throw std::invalid_argument("an orbital shell above f");
    functions_.try_emplace({shell.l, shell.cartesian}, functions_of(shell));
  }
  int highest = 0;
  for (const Shell& a : orbital_.shells)
    for (const Shell& b : orbital_.shells) {
      highest = std::max(highest, a.l + b.l + 1);
      auto [at, inserted] = patterns_.try_emplace(key(a, b));
      if (!inserted) continue;
      const auto &left = functions_.at({a.l, a.cartesian}), &right = functions_.at({b.l, b.cartesian});
      const FunctionList second{right.data(), int(right.size())};
      at->second.plain = make_pattern({left.data(), int(left.size())}, second);
      for (int x = 0; x < 3; ++x) {
        auto moved = left;
        for (Function& f : moved)
          for (Component& term : f.terms) ++term.power[x];
        at->second.moved[x] = make_pattern({moved.data(), int(moved.size())}, second);
      }
    }

  harmonics_.resize(max_auxiliary_l + 1);
  auxiliary_patterns_.resize(max_auxiliary_l + 1);
  for (int l = 0; l <= max_auxiliary_l; ++l) {
    std::vector<Shell*> mine;
    for (Shell& shell : auxiliary_.shells)
      if (shell.l == l) mine.push_back(&shell);
    if (mine.empty()) continue;
    highest = std::max(highest, l + 1);
    Harmonics& harmonics = harmonics_[l];
    Pattern& pattern = auxiliary_patterns_[l];
    for (const Function& function : functions_of(*mine[0])) {
      harmonics.start.push_back(int(harmonics.hermite.size()));
      pattern.row_start.push_back(int(pattern.hermite.size()));
      for (const Component& term : function.terms) {
        harmonics.hermite.push_back(hermite_index(term.power[0], term.power[1], term.power[2]));
        harmonics.factor.push_back(term.factor);
        pattern.hermite.push_back(harmonics.hermite.back());
      }
      ++harmonics.nfunc;
    }
    harmonics.start.push_back(int(harmonics.hermite.size()));
    pattern.row_start.push_back(int(pattern.hermite.size()));
  }
  int first = 0;
  for (int l = 0; l <= max_auxiliary_l; ++l) {
    if (!harmonics_[l].nfunc) continue;
    AuxiliaryClass c;
    c.l = l;
    c.nfunc = harmonics_[l].nfunc;
    c.first = first;
    for (bool contracted : {false, true})
      for (int s = 0; s < int(auxiliary_.shells.size()); ++s)
        if (auxiliary_.shells[s].l == l && (auxiliary_.shells[s].nprim > 1) == contracted) {
          c.lane.push_back(int(c.atom.size()));
          c.length.push_back(auxiliary_.shells[s].nprim);
          c.shells.push_back(s);
          c.atom.insert(c.atom.end(), auxiliary_.shells[s].nprim, auxiliary_.shells[s].atom);
          c.uncontracted += !contracted;
        }
    first += c.nfunc * int(c.shells.size());
    c.vectors = (int(c.atom.size()) + WD - 1) / WD;
    c.exponent.reset(c.vectors);
    c.centre.reset(3 * c.vectors);
    c.weight.reset(c.vectors);
    for (int v = 0; v < c.vectors; ++v) {
      c.exponent[v] = splat(1.0);
      c.weight[v] = c.centre[3 * v] = c.centre[3 * v + 1] = c.centre[3 * v + 2] = vd{};
    }
    for (size_t k = 0; k < c.shells.size(); ++k) {
      const Shell& shell = auxiliary_.shells[c.shells[k]];
      for (int i = 0; i < shell.nprim; ++i) {
        const int v = (c.lane[k] + i) / WD, lane = (c.lane[k] + i) % WD;
        const double q = auxiliary_.exponent[shell.first_primitive + i];
        c.exponent[v][lane] = q;
        for (int x = 0; x < 3; ++x) c.centre[3 * v + x][lane] = auxiliary_.position[3 * shell.atom + x];
        // R depends on P - Q: a ket's odd degrees change sign.
        c.weight[v][lane] = auxiliary_.coefficient[shell.first_primitive + i] * half_prefactor / q * std::pow(-0.5 / q, l);
      }
    }
    c.atom.resize(size_t(c.vectors) * WD, 0);
    for (int L = 0; L <= highest; ++L) {
      std::vector<int> table;
      for (int h = 0; h < n_hermite(L); ++h)
        for (int t : harmonics_[l].hermite) table.push_back(sum_of(h, t));
      c.sums.push_back(table);
    }
    classes_.push_back(std::move(c));
  }
}

void Integrals::order(int* out) const {
  for (const AuxiliaryClass& c : classes_)
    for (int m = 0; m < c.nfunc; ++m)
      for (size_t k = 0; k < c.shells.size(); ++k)
        out[c.first + m * c.shells.size() + k] = auxiliary_.shells[c.shells[k]].first_function + m;
}

Bra Integrals::pair(const Shell& a, const Shell& b, bool derivatives) const {
  const PairPatterns& patterns = patterns_.at(key(a, b));
  Bra out;
  out.L = a.l + b.l;
  out.rows = a.nfunc * b.nfunc;
  out.pattern = &patterns.plain;
  const auto &left = functions_.at({a.l, a.cartesian}), &right = functions_.at({b.l, b.cartesian});
  const double *A = &orbital_.position[3 * a.atom], *B = &orbital_.position[3 * b.atom];
  const double r2 = distance_squared(A, B);
  const size_t entries = patterns.plain.hermite.size();
  for (int x = 0; derivatives && x < 3; ++x) out.moved_pattern[x] = &patterns.moved[x];
  for (int i = 0; i < a.nprim; ++i)
    for (int j = 0; j < b.nprim; ++j) {
      const double alpha = orbital_.exponent[a.first_primitive + i], beta = orbital_.exponent[b.first_primitive + j];
      const double p = alpha + beta, k = std::exp(-alpha * beta / p * r2) * half_prefactor / p;
      const double scale =
          k * orbital_.coefficient[a.first_primitive + i] * orbital_.coefficient[b.first_primitive + j];
      Bra::Primitive primitive{p, {}};
      Expansion1D E[3];
      for (int x = 0; x < 3; ++x) {
        primitive.centre[x] = A[x] - beta / p * (A[x] - B[x]);
        expand(a.l + derivatives, b.l, 0.5 / p, primitive.centre[x] - A[x], primitive.centre[x] - B[x], E[x]);
      }
      const size_t at = out.expansion.size();
      out.expansion.resize(at + entries);
      fill(left, right, patterns.plain, E, scale, -1, 0.0, &out.expansion[at]);
      double largest = 0.0;
      for (size_t e = at; e < at + entries; ++e) largest = std::max(largest, std::abs(out.expansion[e]));
      if (largest < negligible) {
        out.expansion.resize(at);
        continue;
      }
      out.primitives.push_back(primitive);
      for (int x = 0; derivatives && x < 3; ++x) {
        const size_t begin = out.moved[x].size();
        out.moved[x].resize(begin + patterns.moved[x].hermite.size());
        fill(left, right, patterns.moved[x], E, scale, x, alpha, &out.moved[x][begin]);
      }
    }
  return out;
}

Bra Integrals::auxiliary_shell(const Shell& shell) const {
  const Harmonics& harmonics = harmonics_[shell.l];
  Bra out;
  out.L = shell.l;
  out.rows = shell.nfunc;
  out.pattern = &auxiliary_patterns_[shell.l];
  for (int i = 0; i < shell.nprim; ++i) {
    const double q = auxiliary_.exponent[shell.first_primitive + i];
    const double* centre = &auxiliary_.position[3 * shell.atom];
    out.primitives.push_back({q, {centre[0], centre[1], centre[2]}});
    const double scale =
        auxiliary_.coefficient[shell.first_primitive + i] * half_prefactor / q * std::pow(0.5 / q, shell.l);
    for (double factor : harmonics.factor) out.expansion.push_back(scale * factor);
  }
  return out;
}

void Integrals::significant(unsigned char* out) const {
  const int n = int(orbital_.shells.size());
  for (int a = 0; a < n; ++a)
    for (int b = 0; b <= a; ++b)
      out[a * n + b] = out[b * n + a] = !pair(orbital_.shells[a], orbital_.shells[b], false).primitives.empty();
}

void Integrals::integrate(const Bra& bra, Work& work) const {
  work.start(bra, classes_);
  for (size_t k = 0; k < classes_.size(); ++k) {
    const AuxiliaryClass& c = classes_[k];
    const Harmonics& harmonics = harmonics_[c.l];
    const HermiteVector hermite = hermite_vector(bra.L + c.l);
    const Apply apply = apply_kernel(c.nfunc);
    for (int v = 0; v < c.vectors; ++v) {
      vd* out = work.block(k, v);
      const double* E = bra.expansion.data();
      for (const Bra::Primitive& p : bra.primitives) {
        hermite(p, c.exponent[v], &c.centre[3 * v], c.weight[v], inverse_omega_squared_, work.R.get());
        combine(harmonics, c.sums[bra.L].data(), n_hermite(bra.L), work.R.get(), work.Y.get());
        apply(*bra.pattern, E, work.Y.get(), out);
        E += bra.pattern->hermite.size();
      }
    }
  }
}

void Integrals::spread(const Work& work, const Bra& bra, int row, double* out) const {
  for (size_t k = 0; k < classes_.size(); ++k) {
    const AuxiliaryClass& c = classes_[k];
    const int n = int(c.shells.size());
    const size_t stride = size_t(bra.rows) * c.nfunc;  // vectors
    for (int m = 0; m < c.nfunc; ++m) {
      const vd* from = work.block(k, 0) + size_t(row) * c.nfunc + m;
      double* to = out + c.first + m * n;
      int s = 0;
      for (; s + WD <= c.uncontracted; s += WD) std::memcpy(to + s, from + s / WD * stride, sizeof(vd));
      for (; s < c.uncontracted; ++s) to[s] = from[s / WD * stride][s % WD];
      for (; s < n; ++s) {
        double sum = 0.0;
        for (int lane = c.lane[s]; lane < c.lane[s] + c.length[s]; ++lane) sum += from[lane / WD * stride][lane % WD];
        to[s] = sum;
      }
    }
  }
}

void Integrals::rows(int from, int to, const int* columns, int n_columns, double* out) const {
  Work work;
  const int first_row = orbital_.shells[from].first_function, n_rows = functions_before(orbital_, to) - first_row;
  const size_t naux = auxiliary_.count;
  size_t column = 0;
  for (int k = 0; k < n_columns; ++k) {
    const Shell& b = orbital_.shells[columns[k]];
    for (int s = from; s < to; ++s) {
      const Shell& a = orbital_.shells[s];
      const bool mirrored = columns[k] >= from && columns[k] < to;
      if (mirrored && columns[k] > s) continue;  // written with (b a)
      const Bra bra = pair(a, b, false);
      integrate(bra, work);
      for (int i = 0; i < a.nfunc; ++i)
        for (int j = 0; j < b.nfunc; ++j) {
          const size_t row = a.first_function + i - first_row;
          double* at = out + ((column + j) * n_rows + row) * naux;
          spread(work, bra, i * b.nfunc + j, at);
        }
    }
    column += b.nfunc;
  }
  // The square of the block's own shells: its other half, bit for bit.
  column = 0;
  for (int k = 0; k < n_columns; ++k) {
    const Shell& b = orbital_.shells[columns[k]];
    if (columns[k] >= from && columns[k] < to) {
      const size_t own = column - (b.first_function - first_row);  // column of the block's first function
      for (int j = 0; j < b.nfunc; ++j) {
        const size_t row = b.first_function + j - first_row;
        for (size_t other = b.first_function + b.nfunc - first_row; other < size_t(n_rows); ++other)
          std::memcpy(out + ((own + other) * n_rows + row) * naux, out + ((own + row) * n_rows + other) * naux,
                      naux * sizeof(double));
      }
    }
    column += b.nfunc;
  }
}

void Integrals::metric(double* out) const {
  Work work;
  const size_t naux = auxiliary_.count;
  for (const AuxiliaryClass& c : classes_)
    for (size_t k = 0; k < c.shells.size(); ++k) {
      const Bra bra = auxiliary_shell(auxiliary_.shells[c.shells[k]]);
      integrate(bra, work);
      for (int m = 0; m < c.nfunc; ++m) spread(work, bra, m, out + (c.first + m * c.shells.size() + k) * naux);
    }
}

}  // namespace scfx_simd::fitting
