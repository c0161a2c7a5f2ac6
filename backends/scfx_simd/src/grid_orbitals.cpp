// AO values and gradients on a tile, evaluated in float64 and then rounded. Normalisation and order as in scfx/basis.py.
#include <cmath>

#include "exponential.h"
#include "grid_rows.h"
#include "grid_tiles.h"

namespace scfx_simd::quadrature {

namespace {

constexpr int max_cartesian = (max_l + 1) * (max_l + 2) / 2;
// A primitive is left out of a tile where exp(-a r²) is below 1e-35 everywhere.
constexpr double negligible_exponent = 80.0;

}  // namespace

// displacement [atom's x, y, z, r²][point] is scratch for one atom; radial [k][Orders][point] for the k-th of `shells`:
// the contracted Gaussian g(r) and its derivatives by r²/2, of which the first is (dg/dr)/r.
template <class T>
template <int Orders>
void Quadrature<T>::radial(const Entry& e, int tile, const int* shells, int n, double* displacement,
                           double* radial) const {
  int atom = -1;
  double nearest = 0;
  double* r2 = displacement + 3 * tile_points;
  std::vector<char> done(n, 0);
  for (int k = 0; k < n; ++k) {
    if (done[k]) continue;
    const Shell& s = layout_.shells[shells[k]];
    if (s.atom != atom) {
      atom = s.atom;
      const double* R = &e.position[3 * atom];
      const double* axes[3] = {&e.x[size_t(tile) * tile_points], &e.y[size_t(tile) * tile_points],
                               &e.z[size_t(tile) * tile_points]};
      vd least = splat(double(INFINITY));
      for (int p = 0; p < tile_points; p += WD) {
        vd sum{};
        for (int x = 0; x < 3; ++x) {
          const vd d = load(axes[x] + p) - R[x];
          sum += d * d;
        }
        store(sum, r2 + p);
        least = select(less(sum, least), sum, least);
      }
      nearest = least[0];
      for (int lane = 1; lane < WD; ++lane) nearest = std::min(nearest, double(least[lane]));
    }
    int members[16], count = 0;
    for (int m = k; m < n && count < 16; ++m)
      if (!done[m] && e.leader[shells[m]] == e.leader[shells[k]]) {
        members[count++] = m;
        done[m] = 1;
        for (int p = 0; p < Orders * tile_points; p += WD) store(vd{}, radial + size_t(m) * Orders * tile_points + p);
      }
    for (int q = 0; q < s.n_primitives; ++q) {
      const double a = e.exponent[s.primitive + q];
      if (a * nearest > negligible_exponent) continue;
      for (int p = 0; p < tile_points; p += WD) {
        const vd g = exp_negative(load(r2 + p) * -a);
        for (int m = 0; m < count; ++m) {
          double* to = radial + size_t(members[m]) * Orders * tile_points + p;
          const vd term = g * e.coefficient[layout_.shells[shells[members[m]]].primitive + q];
          store(load(to) + term, to);
          store(load(to + tile_points) + term * (-2.0 * a), to + tile_points);
          if constexpr (Orders > 2) store(load(to + 2 * tile_points) + term * (4.0 * a * a), to + 2 * tile_points);
        }
      }
    }
  }
}

// Whether a shell reaches the threshold: |r^l g|², and |∇| <= l r^(l-1) |g| + r^(l+1) |g'/r|, against its square.
template <class T>
bool Quadrature<T>::significant(const Entry& e, int tile, int shell, const double* radial) const {
  const Shell& s = layout_.shells[shell];
  const double* R = &e.position[3 * s.atom];
  const size_t start = size_t(tile) * tile_points;
  const vd cut = splat(threshold_ * threshold_);
  for (int p = 0; p < tile_points; p += WD) {
    const vd x = load(&e.x[start + p]) - R[0], y = load(&e.y[start + p]) - R[1], z = load(&e.z[start + p]) - R[2];
    const vd r2 = x * x + y * y + z * z;
    vd power = splat(1.0), lowered = vd{};
    for (int i = 0; i < s.l; ++i) {
      lowered = power;  // r^(2l - 2)
      power *= r2;
    }
    const vd value = load(radial + p), slope = load(radial + tile_points + p);
    if (any(at_least(value * value * power, cut))) return true;
    if (n_values() == 1) continue;
    if (any(at_least(value * value * lowered * double(s.l * s.l), cut))) return true;
    if (any(at_least(slope * slope * power * r2, cut))) return true;
  }
  return false;
}

template <class T> void Quadrature<T>::find_aos(Entry& e, int tile, double* scratch) {
  const int n_shells = int(layout_.shells.size());
  std::vector<int> every(n_shells);
  for (int s = 0; s < n_shells; ++s) every[s] = s;
  double* g = scratch + 4 * tile_points;
  radial<2>(e, tile, every.data(), n_shells, scratch, g);
  Tile& t = e.tiles[tile];
  for (int s = 0; s < n_shells; ++s) {
    const double* from = g + size_t(s) * 2 * tile_points;
    if (!significant(e, tile, s, from)) continue;
    std::memmove(g + t.shells.size() * 2 * tile_points, from, 2 * tile_points * sizeof(double));
    t.shells.push_back(s);
    for (int i = 0; i < layout_.shells[s].n_functions; ++i) t.aos.push_back(layout_.shells[s].ao + i);
  }
  const size_t bytes = t.aos.size() * n_values() * tile_points * sizeof(T);
  T* out = keep(bytes);
  if (!out) return;
  t.values = out;
  angular(e, tile, g, out);
}

template <class T> void Quadrature<T>::evaluate(const Entry& e, int tile, double* scratch, T* out) const {
  const Tile& t = e.tiles[tile];
  double* g = scratch + 4 * tile_points;
  radial<2>(e, tile, t.shells.data(), int(t.shells.size()), scratch, g);
  angular(e, tile, g, out);
}

// Values on a tile from the radial parts of its shells.
template <class T> void Quadrature<T>::angular(const Entry& e, int tile, const double* g, T* out) const {
  const Tile& t = e.tiles[tile];
  const int n = int(t.shells.size());
  const bool gradient = n_values() > 1;
  const Rows<T> rows{out, int(t.aos.size()), n_values()};
  const size_t step = rows.step(), start = size_t(tile) * tile_points;
  int row = 0;
  for (int k = 0; k < n; ++k) {
    const Shell& s = layout_.shells[t.shells[k]];
    const double* R = &e.position[3 * s.atom];
    const double* radial_k = g + size_t(k) * 2 * tile_points;
    int powers[max_cartesian][3], n_cartesian = 0;
    for (int i = s.l; i >= 0; --i)
      for (int j = s.l - i; j >= 0; --j, ++n_cartesian)
        powers[n_cartesian][0] = i, powers[n_cartesian][1] = j, powers[n_cartesian][2] = s.l - i - j;
    for (int p = 0; p < tile_points; p += WD) {
      const vd d[3] = {load(&e.x[start + p]) - R[0], load(&e.y[start + p]) - R[1], load(&e.z[start + p]) - R[2]};
      const vd value = load(radial_k + p), slope = load(radial_k + tile_points + p);
      T* to = rows.at(row, p);
      if (s.l == 0) {
        const double f = 0.28209479177387814;  // 1/sqrt(4 pi)
        store(value * f, to);
        if (gradient)
          for (int x = 0; x < 3; ++x) store(slope * f * d[x], to + (1 + x) * step);
        continue;
      }
      if (s.l == 1) {
        const double f = 0.4886025119029199;  // sqrt(3/(4 pi))
        const vd v = value * f, w = slope * f;
        for (int m = 0; m < 3; ++m, to += group_points<T>) {
          store(d[m] * v, to);
          if (gradient) {
            const vd dw = d[m] * w;
            for (int x = 0; x < 3; ++x) store(x == m ? dw * d[x] + v : dw * d[x], to + (1 + x) * step);
          }
        }
        continue;
      }
      vd power[3][max_l + 2];
      for (int x = 0; x < 3; ++x) {
        power[x][0] = splat(1.0);
        for (int i = 1; i <= s.l + 1; ++i) power[x][i] = power[x][i - 1] * d[x];
      }
      vd cartesian[4][max_cartesian];
      for (int c = 0; c < n_cartesian; ++c) {
        const int* q = powers[c];
        const vd factor[3] = {power[0][q[0]], power[1][q[1]], power[2][q[2]]};
        cartesian[0][c] = factor[0] * factor[1] * factor[2] * value;
        if (!gradient) continue;
        for (int x = 0; x < 3; ++x) {
          vd change = power[x][q[x] + 1] * slope;
          if (q[x]) change += power[x][q[x] - 1] * value * double(q[x]);
          cartesian[1 + x][c] = change * factor[(x + 1) % 3] * factor[(x + 2) % 3];
        }
      }
      const double* transform = s.spherical ? layout_.to_spherical[s.l].data() : nullptr;
      for (int x = 0; x < n_values(); ++x)
        for (int m = 0; m < s.n_functions; ++m) {
          vd sum = cartesian[x][m];
          if (transform) {
            sum = vd{};
            for (int c = 0; c < n_cartesian; ++c)
              if (const double f = transform[c * s.n_functions + m]; f != 0.0) sum += cartesian[x][c] * f;
          }
          store(sum, to + x * step + size_t(m) * group_points<T>);
        }
    }
    row += s.n_functions;
  }
}

template class Quadrature<double>;
template class Quadrature<float>;
template void Quadrature<double>::radial<3>(const Entry&, int, const int*, int, double*, double*) const;
template void Quadrature<float>::radial<3>(const Entry&, int, const int*, int, double*, double*) const;

}  // namespace scfx_simd::quadrature
