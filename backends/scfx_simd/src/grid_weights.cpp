// Becke's cells and their slopes for a vector of points at a time, all of whose arrays stay in the first cache.
#include "grid_weights.h"

#include <cmath>
#include <vector>

#include "grid_rows.h"

namespace scfx_simd::quadrature {

namespace {

// An atom with a share below this on every point of a vector pulls at nothing: d ln s is at most some hundreds there.
constexpr double negligible_share = 1e-16;

// ν of a pair, its smoothings, and the half-cells s_ij and s_ji = s_ij(-ν), neither by cancellation:
// ½ (1 - p(x)) = ¼ (1 - x)² (2 + x).
struct Boundary {
  vd mu, slope, cell_i, cell_j;
  template <bool Slope> SCFX_INLINE void set(vd r_i, vd r_j, double inverse, double shift) {
    mu = (r_i - r_j) * inverse;
    const vd nu = mu + shift * (1.0 - mu * mu);
    const vd nu2 = nu * nu, first = nu * (1.5 - 0.5 * nu2);
    const vd first2 = first * first, second = first * (1.5 - 0.5 * first2);
    const vd up = 1.0 + second, down = 1.0 - second;
    cell_i = (0.25 * (down * down)) * (1.0 + up);
    cell_j = (0.25 * (up * up)) * (1.0 + down);
    // ds_ji/dμ = -ds_ij/dμ
    if constexpr (Slope)
      slope = ((27.0 / 16.0) * (up * down)) * ((1.0 - first2) * (1.0 - nu2)) * (1.0 - (2.0 * shift) * mu);
  }
};

SCFX_INLINE double sum_of(vd value) {
  double out = 0;
  for (int lane = 0; lane < WD; ++lane) out += value[lane];
  return out;
}

}  // namespace

void weight_gradient(int n_atoms, const double* position, const double* shift, int n, const double* x, const double* y,
                     const double* z, const int* owner, const double* strength, double* out) {
  const int na = n_atoms;
  // Vectors by atom: distance and its inverse (0 on the nucleus, where the cells have no slope), cell and then share,
  // what a change of the logarithm of the cell is worth, and the pull by distance; sums by atom and axis, and by pair.
  Aligned<double> room((size_t(8) * na + size_t(na) * na) * WD);
  double *r = room.get(), *inverse_r = r + na * WD, *share = inverse_r + na * WD, *worth = share + na * WD,
         *pull = worth + na * WD, *sums = pull + na * WD, *stretch = sums + 3 * na * WD;
  std::fill(sums, sums + 3 * na * WD + size_t(na) * na * WD, 0.0);
  std::vector<double> inverse(size_t(na) * na, 0.0);
  for (int i = 0; i < na; ++i)
    for (int j = 0; j < i; ++j) {
      double r2 = 0;
      for (int a = 0; a < 3; ++a) {
        const double d = position[3 * i + a] - position[3 * j + a];
        r2 += d * d;
      }
      inverse[i * na + j] = inverse[j * na + i] = 1.0 / std::sqrt(r2);
    }
  const double* axes[3] = {x, y, z};
  std::vector<char> present(na);
  for (int p = 0; p < n; p += WD) {
    const vd at[3] = {load(x + p), load(y + p), load(z + p)};
    for (int i = 0; i < na; ++i) {
      vd r2{};
      for (int a = 0; a < 3; ++a) {
        const vd d = at[a] - position[3 * i + a];
        r2 += d * d;
      }
      const auto nowhere = less(r2, splat(1e-200));
      const vd from_r = zero_where(nowhere, rsqrt(select(nowhere, splat(1.0), r2)));
      store(r2 * from_r, r + i * WD);
      store(from_r, inverse_r + i * WD);
      store(splat(1.0), share + i * WD);
      store(vd{}, pull + i * WD);
    }
    for (int i = 0; i < na; ++i) {
      const vd r_i = load(r + i * WD);
      vd cell = load(share + i * WD);
      for (int j = 0; j < i; ++j) {
        Boundary b;
        b.set<false>(r_i, load(r + j * WD), inverse[i * na + j], shift[i * na + j]);
        cell *= b.cell_i;
        store(load(share + j * WD) * b.cell_j, share + j * WD);
      }
      store(cell, share + i * WD);
    }
    vd total{};
    for (int i = 0; i < na; ++i) total += load(share + i * WD);
    const vd scale = 1.0 / total;
    for (int i = 0; i < na; ++i) store(load(share + i * WD) * scale, share + i * WD);
    double own[WD];
    for (int lane = 0; lane < WD; ++lane) own[lane] = strength[p + lane] * share[owner[p + lane] * WD + lane];
    const vd strengths = load(own);
    if (!any(less(vd{}, strengths * strengths))) continue;
    for (int i = 0; i < na; ++i) {
      const vd q = load(share + i * WD);
      store(-q * strengths, worth + i * WD);
      present[i] = any(at_least(q, splat(negligible_share)));
    }
    for (int lane = 0; lane < WD; ++lane) {
      const int o = owner[p + lane] * WD + lane;
      worth[o] = (1.0 - share[o]) * own[lane];
    }
    for (int i = 0; i < na; ++i) {
      const vd r_i = load(r + i * WD), worth_i = load(worth + i * WD);
      vd pull_i = load(pull + i * WD);
      for (int j = 0; j < i; ++j) {
        if (!present[i] && !present[j]) continue;
        Boundary b;
        b.set<true>(r_i, load(r + j * WD), inverse[i * na + j], shift[i * na + j]);
        const vd both = b.cell_i * b.cell_j, tiny = splat(1e-200);
        const vd K = (load(worth + j * WD) * b.cell_i - worth_i * b.cell_j) * (b.slope * inverse[i * na + j]) /
                     select(less(both, tiny), tiny, both);
        pull_i += K;
        store(load(pull + j * WD) - K, pull + j * WD);
        double* along = stretch + (size_t(i) * na + j) * WD;
        store(load(along) - K * b.mu, along);
      }
      store(pull_i, pull + i * WD);
    }
    // A point's own atom keeps its distance.
    for (int lane = 0; lane < WD; ++lane) pull[owner[p + lane] * WD + lane] = 0.0;
    vd on_point[3] = {};
    for (int i = 0; i < na; ++i) {
      const vd value = load(pull + i * WD) * load(inverse_r + i * WD);
      for (int a = 0; a < 3; ++a) {
        const vd part = value * (at[a] - position[3 * i + a]);
        on_point[a] += part;
        double* to = sums + (3 * i + a) * WD;
        store(load(to) - part, to);
      }
    }
    for (int lane = 0; lane < WD; ++lane)
      for (int a = 0; a < 3; ++a) out[3 * owner[p + lane] + a] += on_point[a][lane];
  }
  for (int i = 0; i < 3 * na; ++i) out[i] += sum_of(load(sums + i * WD));
  for (int i = 0; i < na; ++i)
    for (int j = 0; j < i; ++j) {
      const double along = sum_of(load(stretch + (size_t(i) * na + j) * WD)) * inverse[i * na + j];
      for (int a = 0; a < 3; ++a) {
        const double value = along * (position[3 * i + a] - position[3 * j + a]);
        out[3 * i + a] += value;
        out[3 * j + a] -= value;
      }
    }
}

}  // namespace scfx_simd::quadrature
