// Derivatives of two- and three-index integrals by the positions of the nuclei, contracted as they are made.
//
// The position of the auxiliary function enters by R(P - Q) alone: one more Hermite degree. That of the first orbital
// function moves its own powers up and down; the second one follows, since a common move of all three changes nothing.
#include <algorithm>

#include "fitting_work.h"

namespace scfx_simd::fitting {

namespace {

double sum_of_lanes(vd x) {
  double out = 0.0;
  for (int lane = 0; lane < WD; ++lane) out += x[lane];
  return out;
}

// Σ Γ[row][m] E · Y[Hermite][m] over all rows, by lane.
vd contracted(const Pattern& pattern, const double* E, const vd* Y, int nfunc, const vd* density) {
  const int rows = int(pattern.row_start.size()) - 1;
  vd out{};
  for (int row = 0; row < rows; ++row, density += nfunc)
    for (int e = pattern.row_start[row]; e < pattern.row_start[row + 1]; ++e) {
      const vd* y = Y + size_t(pattern.hermite[e]) * nfunc;
      vd sum{};
      for (int m = 0; m < nfunc; ++m) sum += density[m] * y[m];
      out += E[e] * sum;
    }
  return out;
}

}  // namespace

void Integrals::gather(const double* in, const Bra& bra, int row, double factor, Work& work) const {
  for (size_t k = 0; k < classes_.size(); ++k) {
    const AuxiliaryClass& c = classes_[k];
    const int n = int(c.shells.size());
    const size_t stride = size_t(bra.rows) * c.nfunc;
    for (int m = 0; m < c.nfunc; ++m) {
      vd* to = work.block(k, 0) + size_t(row) * c.nfunc + m;
      const double* from = in + c.first + m * n;
      for (int s = 0; s < n; ++s)
        for (int lane = c.lane[s]; lane < c.lane[s] + c.length[s]; ++lane) to[lane / WD * stride][lane % WD] = factor * from[s];
    }
  }
}

void Integrals::differentiate(const Bra& bra, Work& work, const int* auxiliary_atom, double* of_bra, double* gradient,
                              double* of_auxiliary) const {
  const bool moves = bra.moved_pattern[0] != nullptr;
  const int top = bra.L + moves, steps[3] = {hermite_index(1, 0, 0), hermite_index(0, 1, 0), hermite_index(0, 0, 1)};
  for (size_t k = 0; k < classes_.size(); ++k) {
    const AuxiliaryClass& c = classes_[k];
    const Harmonics& harmonics = harmonics_[c.l];
    const HermiteVector hermite = hermite_vector(bra.L + c.l + 1);
    // The terms of the auxiliary functions, one degree up along each axis.
    std::vector<int> stepped[3];
    for (int x = 0; x < 3; ++x)
      for (int h = 0; h < n_hermite(bra.L); ++h)
        for (int t : harmonics.hermite) stepped[x].push_back(sum_of(h, sum_of(t, steps[x])));
    for (int v = 0; v < c.vectors; ++v) {
      const vd* density = work.block(k, v);
      vd lanes[3] = {}, bras[3] = {};
      for (size_t p = 0; p < bra.primitives.size(); ++p) {
        hermite(bra.primitives[p], c.exponent[v], &c.centre[3 * v], c.weight[v], inverse_omega_squared_, work.R.get());
        const double* E = &bra.expansion[p * bra.pattern->hermite.size()];
        for (int x = 0; x < 3; ++x) {
          combine(harmonics, stepped[x].data(), n_hermite(bra.L), work.R.get(), work.Y.get());
          lanes[x] -= contracted(*bra.pattern, E, work.Y.get(), c.nfunc, density);
        }
        if (!moves) continue;
        combine(harmonics, c.sums[top].data(), n_hermite(top), work.R.get(), work.Y.get());
        for (int x = 0; x < 3; ++x) {
          const Pattern& pattern = *bra.moved_pattern[x];
          bras[x] += contracted(pattern, &bra.moved[x][p * pattern.hermite.size()], work.Y.get(), c.nfunc, density);
        }
      }
      for (int x = 0; x < 3; ++x) {
        of_bra[x] += sum_of_lanes(bras[x]);
        of_auxiliary[x] += sum_of_lanes(lanes[x]);
        for (int lane = 0; lane < WD; ++lane)
          gradient[3 * auxiliary_atom[c.atom[size_t(v) * WD + lane]] + x] += lanes[x][lane];
      }
    }
  }
}

void Integrals::rows_gradient(int from, int to, const int* columns, int n_columns, const double* density,
                              const int* auxiliary_atom, double* gradient) const {
  Work work;
  const int first_row = orbital_.shells[from].first_function, n_rows = functions_before(orbital_, to) - first_row;
  const size_t naux = auxiliary_.count;
  size_t column = 0;
  for (int k = 0; k < n_columns; ++k) {
    const Shell& b = orbital_.shells[columns[k]];
    for (int s = from; s < to; ++s) {
      const Shell& a = orbital_.shells[s];
      const bool own = columns[k] >= from && columns[k] < to;
      if (own && columns[k] > s) continue;
      const Bra bra = pair(a, b, true);
      work.start(bra, classes_);
      // (ij) and (ji) are both meant; within one shell both are here.
      const double factor = columns[k] == s ? 1.0 : 2.0;
      for (int i = 0; i < a.nfunc; ++i)
        for (int j = 0; j < b.nfunc; ++j) {
          const size_t row = a.first_function + i - first_row;
          gather(density + ((column + j) * n_rows + row) * naux, bra, i * b.nfunc + j, factor, work);
        }
      double of_bra[3] = {}, of_auxiliary[3] = {};
      differentiate(bra, work, auxiliary_atom, of_bra, gradient, of_auxiliary);
      for (int x = 0; x < 3; ++x) {
        gradient[3 * a.atom + x] += of_bra[x];
        gradient[3 * b.atom + x] -= of_bra[x] + of_auxiliary[x];
      }
    }
    column += b.nfunc;
  }
}

void Integrals::metric_gradient(const double* density, const int* auxiliary_atom, double* gradient) const {
  Work work;
  const size_t naux = auxiliary_.count;
  for (const AuxiliaryClass& c : classes_)
    for (size_t k = 0; k < c.shells.size(); ++k) {
      const Shell& shell = auxiliary_.shells[c.shells[k]];
      const Bra bra = auxiliary_shell(shell);
      work.start(bra, classes_);
      for (int m = 0; m < c.nfunc; ++m) gather(density + (c.first + m * c.shells.size() + k) * naux, bra, m, 1.0, work);
      double none[3] = {}, of_auxiliary[3] = {};
      differentiate(bra, work, auxiliary_atom, none, gradient, of_auxiliary);
      for (int x = 0; x < 3; ++x) gradient[3 * auxiliary_atom[shell.atom] + x] -= of_auxiliary[x];
    }
}

}  // namespace scfx_simd::fitting
