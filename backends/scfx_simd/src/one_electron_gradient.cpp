#include <algorithm>

#include "boys.h"
#include "gradient_kernels.h"
#include "one_electron.h"

namespace scfx_simd {

namespace {

constexpr double pi = 3.14159265358979323846;

// Σ_mn D_mn ∂T_mn/∂A - W_mn ∂S_mn/∂A of one pair of composites; the derivative by B is minus that by A. A function's
// derivative by its centre is 2a times the one a degree up less i times the one a degree down, HJO eq. 9.2.12.
void overlap_and_kinetic(const Structure& s, const PairShape& pair, const Geometry& g, const vd* D, const vd* W, vd* by_a) {
  const Composite &A = s.composites[pair.a], &B = s.composites[pair.b];
  for (int i = 0; i < A.nprim; ++i)
    for (int j = 0; j < B.nprim; ++j) {
      const PrimitivePair x = primitive_pair(s, pair, g, i, j);
      constexpr int size = max_shell_l + 1;
      OneDimensional S[3];
      vd K[3][size + 1][size], dS[3][size][size], dK[3][size][size], r2{}, normal;
      for (int axis = 0; axis < 3; ++axis) {
        overlaps_1d(A.l + 1, B.l + 2, x.h, x.pa[axis], x.pb[axis], splat(1.0), S[axis]);
        for (int p = 0; p <= A.l + 1; ++p)
          for (int q = 0; q <= B.l; ++q) {
            K[axis][p][q] = x.b * (2.0 * q + 1.0) * S[axis][p][q] - 2.0 * x.b * x.b * S[axis][p][q + 2];
            if (q > 1) K[axis][p][q] -= 0.5 * q * (q - 1) * S[axis][p][q - 2];
          }
        for (int p = 0; p <= A.l; ++p)
          for (int q = 0; q <= B.l; ++q) {
            dS[axis][p][q] = 2.0 * x.a * S[axis][p + 1][q];
            dK[axis][p][q] = 2.0 * x.a * K[axis][p + 1][q];
            if (p) dS[axis][p][q] -= double(p) * S[axis][p - 1][q];
            if (p) dK[axis][p][q] -= double(p) * K[axis][p - 1][q];
          }
        r2 += x.ab[axis] * x.ab[axis];
      }
      const vd argument = x.a * x.b * 2.0 * x.h * r2;
      for (int lane = 0; lane < WD; ++lane)
        normal[lane] = std::exp(-argument[lane]) * std::pow(2 * pi * x.h[lane], 1.5);
      int row = 0;
      for (int m = 0; m < A.nfunc; ++m)
        for (int n = 0; n < B.nfunc; ++n, ++row) {
          const Function &f = s.functions[A.first + m], &e = s.functions[B.first + n];
          const vd c = normal * g.coefficient[s.shells[f.shell].prim_offset + i] *
                       g.coefficient[s.shells[e.shell].prim_offset + j];
          for (const auto& u : f.terms)
            for (const auto& v : e.terms) {
              const vd w = c * (u.factor * v.factor), kinetic = w * D[row], overlap = w * W[row];
              vd sx[3], kx[3];
              for (int axis = 0; axis < 3; ++axis) {
                sx[axis] = S[axis][u.power[axis]][v.power[axis]];
                kx[axis] = K[axis][u.power[axis]][v.power[axis]];
              }
              for (int axis = 0; axis < 3; ++axis) {
                const int y = (axis + 1) % 3, z = (axis + 2) % 3;
                const vd ds = dS[axis][u.power[axis]][v.power[axis]], dk = dK[axis][u.power[axis]][v.power[axis]];
                by_a[axis] += kinetic * (dk * sx[y] * sx[z] + ds * (kx[y] * sx[z] + sx[y] * kx[z]));
                by_a[axis] -= overlap * (ds * sx[y] * sx[z]);
              }
            }
        }
    }
}

// The potential of all nuclei in Hermite functions of one primitive pair, one degree up, and what the pair's Hermite
// density does to each nucleus.
template <int L>
void attraction(const vd* geometry, int natm, const vd* position, const vd* charge, const vd* density, vd* potential,
                vd* gradient) {
  const double constant = 2 * pi / (boys_scale * std::sqrt(pi * pi * pi));
  for (int h = 0; h < n_hermite(L + 1); ++h) potential[h] = vd{};
  for (int c = 0; c < natm; ++c) {
    const vd PC[3] = {geometry[1] - position[3 * c], geometry[2] - position[3 * c + 1], geometry[3] - position[3 * c + 2]};
    vd F[L + 2], R[n_hermite(L + 1)];
    boys<double, L + 1>(geometry[0] * (PC[0] * PC[0] + PC[1] * PC[1] + PC[2] * PC[2]), F);
    vd factor = charge[c] * -constant;
    for (int m = 0; m <= L + 1; ++m) {
      F[m] = F[m] * factor;
      factor = factor * (-2.0 * geometry[0]);
    }
    hermite_integrals<double, L + 1>(F, PC, R);
    for (int h = 0; h < n_hermite(L + 1); ++h) potential[h] += R[h];
    for (int h = 0; h < n_hermite(L); ++h)
      for (int axis = 0; axis < 3; ++axis) gradient[3 * c + axis] -= density[h] * R[shifts.value[h][axis]];
  }
}

using Attraction = void (*)(const vd*, int, const vd*, const vd*, const vd*, vd*, vd*);
constexpr Attraction attractions[] = {attraction<0>, attraction<1>, attraction<2>, attraction<3>,
                                      attraction<4>, attraction<5>, attraction<6>};
static_assert(sizeof(attractions) / sizeof(Attraction) == max_pair_l + 1, "one kernel for each angular momentum");

// Σ_mn D_mn ∂V_mn/∂A of one pair for all its primitives, and by both its centres.
void nuclear(const Structure& s, const GradientView<double>& pair, const Geometry& g, const vd* charge, const vd* D,
             vd* by_a, vd* by_both, vd* gradient) {
  const GradientShape& shape = *pair.general;
  const int L = pair.shape->L, na = int(shape.a->terms.size()), nb = int(shape.b->terms.size());
  const int lower_b = int(shape.b->functions.size());
  vd density[n_hermite(max_pair_l)], potential[n_hermite(max_pair_l + 1)];
  const auto row_of = [&](const Pattern& pattern, const vd* E, int row) {
    vd sum{};
    for (int e = pattern.row_start[row]; e < pattern.row_start[row + 1]; ++e) sum += E[e] * potential[pattern.hermite[e]];
    return sum;
  };
  for (int k = 0; k < pair.nkept; ++k) {
    const vd* E = pair.whole + size_t(k) * shape.whole.hermite.size();
    const vd* Ea = pair.lower_a + size_t(k) * shape.lower_a.hermite.size();
    const vd* Eb = pair.lower_b + size_t(k) * shape.lower_b.hermite.size();
    const vd* ratio = pair.ratio + size_t(k) * ratio_fields;
    std::fill(density, density + n_hermite(L), vd{});
    for (int row = 0; row < na * nb; ++row)
      for (int e = shape.whole.row_start[row]; e < shape.whole.row_start[row + 1]; ++e)
        density[shape.whole.hermite[e]] += E[e] * D[row];
    attractions[L](pair.geometry + size_t(k) * geometry_fields, s.natm, g.position.data(), charge, density, potential,
                   gradient);
    vd energy{}, by_p[3]{};
    for (int h = 0; h < n_hermite(L); ++h) {
      energy += density[h] * potential[h];
      for (int axis = 0; axis < 3; ++axis) by_p[axis] += density[h] * potential[shifts.value[h][axis]];
    }
    for (int axis = 0; axis < 3; ++axis) {
      by_both[axis] += by_p[axis];
      by_a[axis] += ratio[0] * by_p[axis] - ratio[1] * energy * pair.ab[axis];
    }
    if (pair.one_centre) continue;
    for (int i = 0; i < na; ++i)
      for (int j = 0; j < nb; ++j)
        for (int axis = 0; axis < 3; ++axis) {
          for (const LoweredTerm& t : shape.a->terms[i][axis])
            by_a[axis] += t.factor * D[i * nb + j] * row_of(shape.lower_a, Ea, t.index * nb + j);
          for (const LoweredTerm& t : shape.b->terms[j][axis])
            by_a[axis] += t.factor * D[i * nb + j] * row_of(shape.lower_b, Eb, i * lower_b + t.index);
        }
  }
}

}  // namespace

void one_electron_gradient(const Structure& s, const BatchInput& input, const double* charge, const double* density,
                           const double* energy_weighted, double* out) {
  const GradientShapes shapes(s, true);
  const size_t n2 = size_t(s.nao) * s.nao;
  for (int first = 0; first < input.n; first += WD) {
    const Geometry g = pack_geometry(s, input, first, false);
    const auto entry = [&](int lane) { return size_t(std::min(first + lane, input.n - 1)); };
    std::vector<vd> Z(s.natm), gradient(size_t(3) * s.natm);
    for (int lane = 0; lane < WD; ++lane)
      for (int c = 0; c < s.natm; ++c) Z[c][lane] = charge[entry(lane) * s.natm + c];
    PairData data;
    fill_pairs(s, g, data);
    const PairData* pointer = &data;
    GradientPairs<double> pairs;
    gradient_pairs<double>(s, shapes, &g, &pointer, -1.0, pairs);
    for (size_t p = 0; p < s.pairs.size(); ++p) {
      const PairShape& pair = s.pairs[p];
      const Composite &A = s.composites[pair.a], &B = s.composites[pair.b];
      Buffer<vd> block(size_t(pair.nrow) * 2);
      vd *D = block.get(), *W = D + pair.nrow;
      const double images = pair.a == pair.b ? 1.0 : 2.0;
      int row = 0;
      for (int m = 0; m < A.nfunc; ++m)
        for (int n = 0; n < B.nfunc; ++n, ++row)
          for (int lane = 0; lane < WD; ++lane) {
            const size_t at = entry(lane) * n2 + size_t(s.ao[A.first + m]) * s.nao + s.ao[B.first + n];
            D[row][lane] = images * density[at];
            W[row][lane] = images * energy_weighted[at];
          }
      vd by_a[3]{}, by_both[3]{};
      if (A.atom != B.atom) overlap_and_kinetic(s, pair, g, D, W, by_a);
      nuclear(s, pairs.views[p], g, Z.data(), D, by_a, by_both, gradient.data());
      for (int axis = 0; axis < 3; ++axis) {
        gradient[3 * A.atom + axis] += by_a[axis];
        gradient[3 * B.atom + axis] += by_both[axis] - by_a[axis];
      }
    }
    for (int lane = 0; lane < WD && first + lane < input.n; ++lane)
      for (int x = 0; x < 3 * s.natm; ++x) out[size_t(first + lane) * 3 * s.natm + x] = gradient[x][lane];
  }
}

}  // namespace scfx_simd
