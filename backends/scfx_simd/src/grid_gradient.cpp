// What moving the functions of an atom, or the points that it owns, does to the components on points.
//
// With X = D φ and X^y = D ∂_yφ, the derivative by the centre of function i at a point is -2 [∂_xφ_i Y_i +
// Σ_y ∂_x∂_yφ_i H_y,i] for Y = v_ρ X + Σ_y v_y X^y and H_y = v_y X + ½ v_τ X^y. Y and H are products over functions in the
// precision of the AO values; the derivatives of AOs are evaluated, contracted and summed in float64, and never stored.
// What an atom's functions pull at its own points is large: it is the same float64 number in both sums.
#include <algorithm>

#include "grid_rows.h"
#include "grid_tiles.h"

namespace scfx_simd::quadrature {

namespace {

constexpr int max_cartesian = (max_l + 1) * (max_l + 2) / 2;

// out_r = Σ_j D_r,j source_j for R functions and one group of points.
template <class T, int R>
SCFX_INLINE void product_block(const T* D, size_t row, const int* aos, int n, int first,
                               const typename Lanes<T>::V* __restrict source, typename Lanes<T>::V* __restrict out) {
  using V = typename Lanes<T>::V;
  const T* d[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) d[r] = D + size_t(aos[first + r]) * row;
  V X[R][group_vectors] = {};
  for (int j = 0; j < n; ++j) {
    const V* phi = source + size_t(j) * group_vectors;
    const int column = aos[j];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < group_vectors; ++v) X[r][v] += d[r][column] * phi[v];
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < group_vectors; ++v) out[size_t(first + r) * group_vectors + v] = X[r][v];
}

template <class T, int R = block_rows - 1, class... Rest> SCFX_INLINE void product_rest(int rows, Rest... rest) {
  if constexpr (R > 0) {
    if (rows == R)
      product_block<T, R>(rest...);
    else
      product_rest<T, R - 1>(rows, rest...);
  }
}

template <class T>
void product(const T* D, size_t row, const int* aos, int n, const typename Lanes<T>::V* source,
             typename Lanes<T>::V* out) {
  int first = 0;
  for (; first + block_rows <= n; first += block_rows)
    product_block<T, block_rows>(D, row, aos, n, first, source, out);
  product_rest<T>(n - first, D, row, aos, n, first, source, out);
}

// The pull of one Cartesian function M(d) g at a vector of points, M a monomial: added to out [3].
// ∂_xφ = M_x g0 + M d_x g1 and ∂_x∂_yφ = M_xy g0 + (M_x d_y + M_y d_x + δ_xy M) g1 + M d_x d_y g2.
template <bool Second>
SCFX_INLINE void monomial(const vd (*power)[max_l + 1], const int* q, const vd* d, const vd* g, vd Y, const vd* H,
                          vd dH, vd* out) {
  const vd f[3] = {power[0][q[0]], power[1][q[1]], power[2][q[2]]};
  vd slope[3];  // of one factor
  for (int x = 0; x < 3; ++x) slope[x] = q[x] ? power[x][q[x] - 1] * double(q[x]) : vd{};
  const vd pair[3] = {f[1] * f[2], f[0] * f[2], f[0] * f[1]};
  const vd M = f[0] * pair[0];
  vd first[3];
  for (int x = 0; x < 3; ++x) first[x] = slope[x] * pair[x];
  if constexpr (!Second) {
    const vd along = M * g[1] * Y, own = g[0] * Y;
    for (int x = 0; x < 3; ++x) out[x] += first[x] * own + d[x] * along;
  } else {
    const vd own = g[0] * Y + g[1] * dH;
    const vd along = M * (g[1] * Y + g[2] * dH) + g[1] * (first[0] * H[0] + first[1] * H[1] + first[2] * H[2]);
    const vd across[3] = {slope[1] * slope[2] * f[0], slope[0] * slope[2] * f[1], slope[0] * slope[1] * f[2]};
    for (int x = 0; x < 3; ++x) {
      const int y = (x + 1) % 3, z = (x + 2) % 3;
      vd second = across[z] * H[y] + across[y] * H[z];
      if (q[x] > 1) second += power[x][q[x] - 2] * double(q[x] * (q[x] - 1)) * pair[x] * H[x];
      out[x] += first[x] * own + d[x] * along + g[1] * M * H[x] + g[0] * second;
    }
  }
}

}  // namespace

// weights [group][1 or 4][function][point of the group]: Y, and H with Second. Adds the pull of the tile's functions,
// without its factor of -2, to functions [n_atoms][3], and writes its sum over functions to total [3][point].
template <class T>
template <bool Second>
void Quadrature<T>::pull(const Entry& e, int tile, const double* radial, const T* weights, double* functions,
                         double* total) const {
  constexpr int orders = Second ? 3 : 2, n_weights = Second ? 4 : 1;
  const Tile& t = e.tiles[tile];
  const size_t start = size_t(tile) * tile_points;
  const Rows<const T> rows{weights, int(t.aos.size()), n_weights};
  const size_t step = rows.step();
  alignas(64) double own[3][tile_points];
  std::fill(total, total + 3 * tile_points, 0.0);
  int row = 0;
  for (int k = 0; k < int(t.shells.size()); ++k) {
    const Shell& s = layout_.shells[t.shells[k]];
    const double* R = &e.position[3 * s.atom];
    const double* g_k = radial + size_t(k) * orders * tile_points;
    if (k == 0 || layout_.shells[t.shells[k - 1]].atom != s.atom) std::fill(own[0], own[0] + 3 * tile_points, 0.0);
    int powers[max_cartesian][3], n_cartesian = 0;
    for (int i = s.l; i >= 0; --i)
      for (int j = s.l - i; j >= 0; --j, ++n_cartesian)
        powers[n_cartesian][0] = i, powers[n_cartesian][1] = j, powers[n_cartesian][2] = s.l - i - j;
    const double* transform = s.spherical ? layout_.to_spherical[s.l].data() : nullptr;
    const double factor = s.l == 0 ? 0.28209479177387814 : s.l == 1 ? 0.4886025119029199 : 1.0;
    for (int p = 0; p < tile_points; p += WD) {
      const vd d[3] = {load(&e.x[start + p]) - R[0], load(&e.y[start + p]) - R[1], load(&e.z[start + p]) - R[2]};
      vd g[3];
      for (int o = 0; o < orders; ++o) g[o] = load(g_k + o * tile_points + p) * factor;
      const T* from = rows.at(row, p);
      vd out[3];
      for (int x = 0; x < 3; ++x) out[x] = load(own[x] + p);
      if (s.l == 0) {
        const vd Y = load(from);
        vd along = g[1] * Y;
        if constexpr (Second) {
          const vd H[3] = {load(from + step), load(from + 2 * step), load(from + 3 * step)};
          along += g[2] * (d[0] * H[0] + d[1] * H[1] + d[2] * H[2]);
          for (int x = 0; x < 3; ++x) out[x] += g[1] * H[x];
        }
        for (int x = 0; x < 3; ++x) out[x] += d[x] * along;
      } else if (s.l == 1) {
        for (int m = 0; m < 3; ++m, from += group_points<T>) {
          const vd Y = load(from);
          vd mine = g[0] * Y, along = d[m] * g[1] * Y;
          if constexpr (Second) {
            const vd H[3] = {load(from + step), load(from + 2 * step), load(from + 3 * step)};
            const vd dH = d[0] * H[0] + d[1] * H[1] + d[2] * H[2], across = d[m] * g[1];
            mine += g[1] * dH;
            along += d[m] * g[2] * dH + g[1] * H[m];
            for (int x = 0; x < 3; ++x) out[x] += across * H[x];
          }
          for (int x = 0; x < 3; ++x) out[x] += d[x] * along;
          out[m] += mine;
        }
      } else {
        vd power[3][max_l + 1];
        for (int x = 0; x < 3; ++x) {
          power[x][0] = splat(1.0);
          for (int i = 1; i <= s.l; ++i) power[x][i] = power[x][i - 1] * d[x];
        }
        vd mine[4][2 * max_l + 1 > max_cartesian ? 2 * max_l + 1 : max_cartesian];
        for (int w = 0; w < n_weights; ++w)
          for (int m = 0; m < s.n_functions; ++m) mine[w][m] = load(from + w * step + size_t(m) * group_points<T>);
        for (int c = 0; c < n_cartesian; ++c) {
          vd weight[4];
          for (int w = 0; w < n_weights; ++w) {
            weight[w] = mine[w][c];
            if (transform) {
              weight[w] = vd{};
              for (int m = 0; m < s.n_functions; ++m)
                if (const double f = transform[c * s.n_functions + m]; f != 0.0) weight[w] += mine[w][m] * f;
            }
          }
          vd dH{};
          if constexpr (Second) dH = d[0] * weight[1] + d[1] * weight[2] + d[2] * weight[3];
          monomial<Second>(power, powers[c], d, g, weight[0], weight + 1, dH, out);
        }
      }
      for (int x = 0; x < 3; ++x) store(out[x], own[x] + p);
    }
    row += s.n_functions;
    if (k + 1 < int(t.shells.size()) && layout_.shells[t.shells[k + 1]].atom == s.atom) continue;
    for (int x = 0; x < 3; ++x) {
      vd sum{};
      for (int p = 0; p < tile_points; p += WD) {
        const vd value = load(own[x] + p);
        sum += value;
        store(load(total + x * tile_points + p) + value, total + x * tile_points + p);
      }
      double whole = 0;
      for (int lane = 0; lane < WD; ++lane) whole += sum[lane];
      functions[3 * s.atom + x] += whole;
    }
  }
}

template <class T>
void Quadrature<T>::gradient(int lane, int first, int n, const double* D, int nspin, size_t row, size_t matrix,
                             const double* v, const int32_t* owners, double* functions, double* points) const {
  const Entry& e = entries_[lane];
  const int nao = layout_.nao, first_tile = first / tile_points;
  const int last_tile = std::min<int>(e.tiles.size(), first_tile + n / tile_points);
  const bool second = components_ > 1;
  const int n_weights = second ? 4 : 1, orders = second ? 3 : 2;
  Aligned<T> rounded(size_t(nspin) * nao * nao);
  for (int spin = 0; spin < nspin; ++spin)
    for (int i = 0; i < nao; ++i)
      for (int j = 0; j < nao; ++j)
        rounded.get()[(size_t(spin) * nao + i) * nao + j] = T(D[spin * matrix + i * row + j]);
  Aligned<double> scratch, radial_room((4 + orders * layout_.shells.size()) * size_t(tile_points));
  Aligned<T> room, weights_room(size_t(n_weights) * nao * tile_points), source_room(size_t(nao) * group_points<T>),
      product_room(size_t(nao) * group_points<T>);
  V* source = reinterpret_cast<V*>(source_room.get());
  V* X = reinterpret_cast<V*>(product_room.get());
  std::vector<double> own(size_t(layout_.n_atoms) * 3, 0.0);
  alignas(64) double total[3 * tile_points];
  for (int tile = first_tile; tile < last_tile; ++tile) {
    const Tile& t = e.tiles[tile];
    const int rows = int(t.aos.size()), *aos = t.aos.data();
    if (!rows) continue;
    const V* phi = reinterpret_cast<const V*>(values(e, tile, scratch, room));
    V* weights = reinterpret_cast<V*>(weights_room.get());
    const size_t step = size_t(rows) * group_vectors;
    const int in_block = (tile - first_tile) * tile_points;
    for (int group = 0; group < tile_points / group_points<T>;
         ++group, phi += step * n_values(), weights += step * n_weights)
      for (int spin = 0; spin < nspin; ++spin) {
        const T* d = rounded.get() + size_t(spin) * nao * nao;
        V factor[5][group_vectors] = {};
        for (int c = 0; c < components_; ++c) {
          const double* from = v + (size_t(spin) * components_ + c) * n + in_block + group * group_points<T>;
          T values[group_points<T>];
          for (int p = 0; p < group_points<T>; ++p) values[p] = T(from[p]);
          std::memcpy(factor[c], values, sizeof values);
        }
        // weights[w] (+)= factor[c] * values, of all functions.
        const auto add = [&](int w, int c, const V* values, bool replace, T scale) {
          V* to = weights + w * step;
          V f[group_vectors];
          for (int u = 0; u < group_vectors; ++u) f[u] = factor[c][u] * scale;
          for (int i = 0; i < rows; ++i)
            for (int u = 0; u < group_vectors; ++u) {
              const size_t at = size_t(i) * group_vectors + u;
              to[at] = replace ? f[u] * values[at] : to[at] + f[u] * values[at];
            }
        };
        product<T>(d, nao, aos, rows, phi, X);
        if (components_ == 4) {
          for (int i = 0; i < rows; ++i)
            for (int u = 0; u < group_vectors; ++u) {
              const V* f = phi + size_t(i) * group_vectors + u;
              source[size_t(i) * group_vectors + u] = factor[0][u] * f[0] + factor[1][u] * f[step] +
                                                      factor[2][u] * f[2 * step] + factor[3][u] * f[3 * step];
            }
          for (int y = 0; y < 3; ++y) add(1 + y, 1 + y, X, spin == 0, T(1));
          if (spin == 0) {
            product<T>(d, nao, aos, rows, source, weights);
          } else {
            product<T>(d, nao, aos, rows, source, X);
            for (size_t at = 0; at < step; ++at) weights[at] += X[at];
          }
          continue;
        }
        add(0, 0, X, spin == 0, T(1));
        if (components_ == 1) continue;
        for (int y = 0; y < 3; ++y) add(1 + y, 1 + y, X, spin == 0, T(1));
        for (int y = 0; y < 3; ++y) {
          product<T>(d, nao, aos, rows, phi + (1 + y) * step, X);
          add(0, 1 + y, X, false, T(1));
          add(1 + y, 4, X, false, T(0.5));
        }
      }
    double* g = radial_room.get() + 4 * tile_points;
    if (second) {
      radial<3>(e, tile, t.shells.data(), int(t.shells.size()), radial_room.get(), g);
      pull<true>(e, tile, g, weights_room.get(), own.data(), total);
    } else {
      radial<2>(e, tile, t.shells.data(), int(t.shells.size()), radial_room.get(), g);
      pull<false>(e, tile, g, weights_room.get(), own.data(), total);
    }
    const int filled = std::min(tile_points, e.n - tile * tile_points);
    for (int p = 0; p < filled; ++p)
      for (int x = 0; x < 3; ++x) points[3 * owners[in_block + p] + x] += 2.0 * total[x * tile_points + p];
  }
  for (size_t i = 0; i < own.size(); ++i) functions[i] -= 2.0 * own[i];
}

template void Quadrature<double>::gradient(int, int, int, const double*, int, size_t, size_t, const double*,
                                           const int32_t*, double*, double*) const;
template void Quadrature<float>::gradient(int, int, int, const double*, int, size_t, size_t, const double*,
                                          const int32_t*, double*, double*) const;

}  // namespace scfx_simd::quadrature
