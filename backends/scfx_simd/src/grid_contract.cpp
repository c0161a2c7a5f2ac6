// The two contractions over AOs: density components on points, and the potential matrix from points.
#include <algorithm>

#include "grid_ahead.h"
#include "grid_factored.h"
#include "grid_tiles.h"

namespace scfx_simd::quadrature {

namespace {

constexpr int panel_vectors = group_vectors;

// ---- density -------------------------------------------------------------------------------------------------------

// X_r = Σ_j D_r,j source_j for R functions, then sums_t += Σ_r target_t,r X_r: one group of points.
template <class T, int R, int Targets>
SCFX_INLINE void density_block(const T* D, size_t row, const int* aos, int n, int first,
                               const typename Lanes<T>::V* __restrict source,
                               const typename Lanes<T>::V* __restrict target, size_t step,
                               typename Lanes<T>::V (*sums)[group_vectors], Ahead ahead) {
  using V = typename Lanes<T>::V;
  const T* d[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) d[r] = D + size_t(aos[first + r]) * row;
  V X[R][group_vectors] = {};
  for (int j = 0; j < n; ++j) {
    const V* phi = source + size_t(j) * group_vectors;
    const int column = aos[j];
    ahead.ask(j);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < group_vectors; ++v) X[r][v] += d[r][column] * phi[v];
  }
#pragma GCC unroll 8
  for (int t = 0; t < Targets; ++t) {
    const V* values = target + t * step + size_t(first) * group_vectors;
    V sum[group_vectors];
#pragma GCC unroll 8
    for (int v = 0; v < group_vectors; ++v) sum[v] = sums[t][v];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < group_vectors; ++v) sum[v] += values[r * group_vectors + v] * X[r][v];
#pragma GCC unroll 8
    for (int v = 0; v < group_vectors; ++v) sums[t][v] = sum[v];
  }
}

template <class T, int R, int Targets, class... Rest>
SCFX_INLINE void density_rest(int rows, Rest... rest) {
  if constexpr (R > 0) {
    if (rows == R)
      density_block<T, R, Targets>(rest...);
    else
      density_rest<T, R - 1, Targets>(rows, rest...);
  }
}

template <class T, int Targets>
void density_group(const T* D, size_t row, const int* aos, int n, const typename Lanes<T>::V* source,
                   const typename Lanes<T>::V* target, size_t step, typename Lanes<T>::V (*sums)[group_vectors],
                   Ahead ahead) {
  int first = 0;
  for (; first + block_rows <= n; first += block_rows, ahead.pass(n))
    density_block<T, block_rows, Targets>(D, row, aos, n, first, source, target, step, sums, ahead);
  density_rest<T, block_rows - 1, Targets>(n - first, D, row, aos, n, first, source, target, step, sums, ahead);
}

// ---- potential -----------------------------------------------------------------------------------------------------

// W vectors become their transpose: log2(W) rounds of swapping off-diagonal squares.
template <class V, int W, int S> SCFX_INLINE void transpose(V* rows) {
  if constexpr (S > 0) {
    using Index = std::conditional_t<sizeof(rows[0][0]) == 8, vl, vi>;
    Index low, high;
#pragma GCC unroll 16
    for (int lane = 0; lane < W; ++lane) {
      low[lane] = lane & S ? lane - S + W : lane;
      high[lane] = lane & S ? lane + W : lane + S;
    }
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i)
      if (!(i & S)) {
        const V a = rows[i], b = rows[i + S];
        rows[i] = __builtin_shuffle(a, b, low);
        rows[i + S] = __builtin_shuffle(a, b, high);
      }
    transpose<V, W, S / 2>(rows);
  }
}

SCFX_INLINE void add_to(vd value, double* to) {
  vd old;
  std::memcpy(&old, to, sizeof old);
  old += value;
  std::memcpy(to, &old, sizeof old);
}
SCFX_INLINE void add_to(vf value, double* to) {
  typedef float half __attribute__((vector_size(SCFX_VECTOR_BYTES / 2)));
  half parts[2];
  std::memcpy(parts, &value, sizeof value);
  add_to(__builtin_convertvector(parts[0], vd), to);
  add_to(__builtin_convertvector(parts[1], vd), to + WD);
}

// M_r,j += Σ_p left_r,p right_p,j over a chunk of points, for R rows and N of the Width vectors of columns; M in float64.
template <class T, int R, int N, int Width = N>
void potential_block(const T* __restrict left, const typename Lanes<T>::V* __restrict right, double* __restrict M,
                     size_t row, Ahead ahead) {
  using V = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::width;
  V sum[R][N] = {};
  for (int p = 0; p < chunk_points<T>; ++p) {
    const V* from = right + size_t(p) * Width;
    ahead.ask(p);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
      for (int v = 0; v < N; ++v) sum[r][v] += left[r * chunk_points<T> + p] * from[v];
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 8
    for (int v = 0; v < N; ++v) {
      add_to(sum[r][v], M + r * row + v * W);
    }
}

// All rows for one panel of N vectors of columns.
template <class T, int N, int R = block_rows - 1>
SCFX_INLINE void potential_last(int rows, const T* left, const typename Lanes<T>::V* right, double* M, size_t row,
                                Ahead ahead) {
  if constexpr (R > 0) {
    if (rows == R)
      potential_block<T, R, N>(left, right, M, row, ahead);
    else
      potential_last<T, N, R - 1>(rows, left, right, M, row, ahead);
  }
}
template <class T, int N = panel_vectors>
void potential_panel(int n_vectors, int rows, const T* left, const typename Lanes<T>::V* right, double* M, size_t row,
                     Ahead ahead) {
  if (n_vectors < N) {
    if constexpr (N > 1) potential_panel<T, N - 1>(n_vectors, rows, left, right, M, row, ahead);
    return;
  }
  int i = 0;
  for (; i + block_rows <= rows; i += block_rows, ahead.pass(chunk_points<T>))
    potential_block<T, block_rows, N>(left + size_t(i) * chunk_points<T>, right, M + i * row, row, ahead);
  potential_last<T, N>(rows - i, left + size_t(i) * chunk_points<T>, right, M + i * row, row, ahead);
}

// As `potential_panel` for a symmetric product, of which M_i,j is wanted for i >= j only: `rows` and M begin at the
// panel's first column.
template <class T, int Vectors = panel_vectors>
void full_panel_rows(int wanted, const T* left, const typename Lanes<T>::V* right, double* M, size_t row, Ahead ahead) {
  if constexpr (Vectors > 0) {
    if (wanted == Vectors)
      potential_block<T, block_rows, Vectors, panel_vectors>(left, right, M, row, ahead);
    else
      full_panel_rows<T, Vectors - 1>(wanted, left, right, M, row, ahead);
  }
}
template <class T>
void lower_panel(int n_vectors, int rows, const T* left, const typename Lanes<T>::V* right, double* M, size_t row,
                 Ahead ahead) {
  if (n_vectors < panel_vectors) {
    potential_panel<T>(n_vectors, rows, left, right, M, row, ahead);
    return;
  }
  int i = 0;
  for (; i + block_rows <= rows; i += block_rows, ahead.pass(chunk_points<T>)) {
    const int reached = (i + block_rows - 1) / Lanes<T>::width + 1;
    full_panel_rows<T>(std::min(panel_vectors, reached), left + size_t(i) * chunk_points<T>, right, M + i * row, row,
                       ahead);
  }
  potential_last<T, panel_vectors>(rows - i, left + size_t(i) * chunk_points<T>, right, M + i * row, row, ahead);
}

}  // namespace

template <class T>
void Quadrature<T>::density(int lane, int first, int n, const double* D, int nspin, size_t row, size_t matrix,
                            T* out) const {
  const Entry& e = entries_[lane];
  const int nao = layout_.nao, first_tile = first / tile_points;
  const int last_tile = std::min<int>(e.tiles.size(), first_tile + n / tile_points);
  const Factor<T>* factors[2];
  int highest = 0;
  for (int spin = 0; spin < nspin; ++spin) {
    factors[spin] = &factor(lane, spin, D + spin * matrix, row);
    highest = std::max(highest, factors[spin]->rank);
  }
  Aligned<T> rounded(size_t(nspin) * nao * nao), orbitals(size_t(n_values()) * highest * group_points<T>);
  for (int spin = 0; spin < nspin; ++spin)
    if (factors[spin]->rank < 0)
      for (int i = 0; i < nao; ++i)
        for (int j = 0; j < nao; ++j)
          rounded.get()[(size_t(spin) * nao + i) * nao + j] = T(D[spin * matrix + i * row + j]);
  Aligned<double> scratch;
  Aligned<T> room;
  for (int tile = first_tile; tile < last_tile; ++tile) {
    const Tile& t = e.tiles[tile];
    const int rows = int(t.aos.size());
    const V* phi = reinterpret_cast<const V*>(values(e, tile, scratch, room));
    const size_t step = size_t(rows) * group_vectors;
    for (int group = 0; group < tile_points / group_points<T>; ++group, phi += step * n_values())
      for (int spin = 0; spin < nspin; ++spin) {
        V sums[5][group_vectors] = {};
        const T* d = rounded.get() + size_t(spin) * nao * nao;
        const size_t bytes = step * n_values() * sizeof(V);
        const Ahead ahead(phi + step * n_values(), bytes, std::max<size_t>(1, rows * blocks_of(rows)));
        if (factors[spin]->rank >= 0) {
          factored_density(*factors[spin], t, phi, reinterpret_cast<V*>(orbitals.get()), sums);
        } else if (components_ == 1) {
          density_group<T, 1>(d, nao, t.aos.data(), rows, phi, phi, step, sums, ahead);
        } else {
          density_group<T, 4>(d, nao, t.aos.data(), rows, phi, phi, step, sums, ahead);
          if (components_ == 5)
            for (int x = 1; x < 4; ++x)
              density_group<T, 1>(d, nao, t.aos.data(), rows, phi + x * step, phi + x * step, step, sums + 4,
                                  ahead);
        }
        const int point = (tile - first_tile) * tile_points + group * group_points<T>;
        for (int c = 0; c < components_; ++c) {
          const T factor = c == 0 ? T(1) : c < 4 ? T(2) : T(0.5);
          for (int v = 0; v < group_vectors; ++v) sums[c][v] *= factor;
          std::memcpy(out + (size_t(spin) * components_ + c) * n + point, sums[c], sizeof sums[c]);
        }
      }
  }
  const int done = std::clamp(e.n - first, 0, n);
  for (int k = 0; k < nspin * components_; ++k) std::fill(out + size_t(k) * n + done, out + size_t(k + 1) * n, T(0));
}

template <class T>
void Quadrature<T>::potential(int lane, int first, int n, const double* v, int nspin, size_t row, size_t matrix,
                              double* out) const {
  constexpr int W = Lanes<T>::width, chunk_groups = chunk_points<T> / group_points<T>;
  const Entry& e = entries_[lane];
  const int nao = layout_.nao, first_tile = first / tile_points;
  const int last_tile = std::min<int>(e.tiles.size(), first_tile + n / tile_points);
  const int passes = components_ == 5 ? 4 : 1, widest = (nao + W - 1) / W;
  // The half of V that is not yet symmetrised: of a tile's functions, and of all. What tau adds is symmetric by itself:
  // its lower triangle.
  Aligned<double> part(size_t(nao) * widest * W), half(size_t(nspin) * nao * nao);
  Aligned<double> lower(passes > 1 ? size_t(nao) * widest * W : 0);
  std::fill(half.get(), half.get() + size_t(nspin) * nao * nao, 0.0);
  Aligned<T> left_room(size_t(nao) * chunk_points<T>), right_room(size_t(widest) * W * chunk_points<T>);
  Aligned<double> scratch;
  Aligned<T> room;
  T* left = left_room.get();
  V* right = reinterpret_cast<V*>(right_room.get());
  for (int tile = first_tile; tile < last_tile; ++tile) {
    const Tile& t = e.tiles[tile];
    const int rows = int(t.aos.size()), n_vectors = (rows + W - 1) / W;
    const size_t step = size_t(rows) * group_vectors, part_row = size_t(n_vectors) * W;
    if (!rows) continue;
    const V* tile_values = reinterpret_cast<const V*>(values(e, tile, scratch, room));
    for (int spin = 0; spin < nspin; ++spin) {
      std::fill(part.get(), part.get() + rows * part_row, 0.0);
      if (passes > 1) std::fill(lower.get(), lower.get() + rows * part_row, 0.0);
      for (int chunk = 0; chunk < tile_points / chunk_points<T>; ++chunk) {
        const int point = (tile - first_tile) * tile_points + chunk * chunk_points<T>;
        const V* chunk_values = tile_values + chunk * chunk_groups * step * n_values();
        for (int pass = 0; pass < passes; ++pass) {
          for (int group = 0; group < chunk_groups; ++group) {
            const V* phi = chunk_values + group * step * n_values();
            V factor[5][group_vectors];
            for (int c = 0; c < components_; ++c) {
              const double* from = v + (size_t(spin) * components_ + c) * n + point + group * group_points<T>;
              T rounded[group_points<T>];
              for (int p = 0; p < group_points<T>; ++p) rounded[p] = T(from[p]);
              std::memcpy(factor[c], rounded, sizeof rounded);
            }
            // Half of the value's own term: the transpose adds the rest. The other half is in tau's definition.
            for (int u = 0; u < group_vectors; ++u) {
              factor[0][u] *= T(0.5);
              if (pass) factor[4][u] *= T(0.5);
            }
            const V* function = phi + pass * step;
            T* to = left + group * group_points<T>;
            if (pass) {
              for (int i = 0; i < rows; ++i)
                for (int u = 0; u < group_vectors; ++u) {
                  const V y = factor[4][u] * function[size_t(i) * group_vectors + u];
                  std::memcpy(to + size_t(i) * chunk_points<T> + u * W, &y, sizeof y);
                }
            } else if (components_ == 1) {
              for (int i = 0; i < rows; ++i)
                for (int u = 0; u < group_vectors; ++u) {
                  const V y = factor[0][u] * function[size_t(i) * group_vectors + u];
                  std::memcpy(to + size_t(i) * chunk_points<T> + u * W, &y, sizeof y);
                }
            } else {
              for (int i = 0; i < rows; ++i)
                for (int u = 0; u < group_vectors; ++u) {
                  const V* f = phi + size_t(i) * group_vectors + u;
                  const V y = factor[0][u] * f[0] + factor[1][u] * f[step] + factor[2][u] * f[2 * step] +
                              factor[3][u] * f[3 * step];
                  std::memcpy(to + size_t(i) * chunk_points<T> + u * W, &y, sizeof y);
                }
            }
            for (int column = 0; column < n_vectors; ++column)
              for (int u = 0; u < group_vectors; ++u) {
                V square[W];
                const int present = std::min(W, rows - column * W);
#pragma GCC unroll 16
                for (int i = 0; i < W; ++i)
                  square[i] = i < present ? function[size_t(column * W + i) * group_vectors + u] : V{};
                transpose<V, W, W / 2>(square);
                // [panel][point][vector of the panel]
                const int first_column = column / panel_vectors * panel_vectors;
                const int width = std::min(panel_vectors, n_vectors - first_column);
                V* at = right + size_t(first_column) * chunk_points<T> +
                        size_t(group * group_points<T> + u * W) * width + (column - first_column);
#pragma GCC unroll 16
                for (int p = 0; p < W; ++p) at[size_t(p) * width] = square[p];
              }
          }
          const size_t values_of_chunk = chunk_groups * step * n_values();
          const size_t panels = (n_vectors + panel_vectors - 1) / panel_vectors;
          Ahead ahead(chunk_values + values_of_chunk, values_of_chunk * sizeof(V),
                      chunk_points<T> * blocks_of(rows) * panels);
          for (int first_column = 0; first_column < n_vectors; first_column += panel_vectors) {
            const int width = std::min(panel_vectors, n_vectors - first_column);
            const V* columns = right + size_t(first_column) * chunk_points<T>;
            const int skipped = pass ? first_column * W : 0;
            double* to = (pass ? lower : part).get() + skipped * part_row + size_t(first_column) * W;
            if (pass)
              lower_panel<T>(width, rows - skipped, left + size_t(skipped) * chunk_points<T>, columns, to, part_row,
                             ahead);
            else
              potential_panel<T>(width, rows, left, columns, to, part_row, ahead);
            ahead.pass(chunk_points<T> * blocks_of(rows));
          }
        }
      }
      double* sum = half.get() + size_t(spin) * nao * nao;
      for (int i = 0; i < rows; ++i) {
        double* to = sum + size_t(t.aos[i]) * nao;
        const double* from = part.get() + i * part_row;
        for (int j = 0; j < rows; ++j) to[t.aos[j]] += from[j];
        if (passes == 1) continue;
        const double* symmetric = lower.get() + i * part_row;
        for (int j = 0; j < i; ++j) to[t.aos[j]] += symmetric[j];
        to[t.aos[i]] += 0.5 * symmetric[i];
      }
    }
  }
  for (int spin = 0; spin < nspin; ++spin) {
    const double* sum = half.get() + size_t(spin) * nao * nao;
    for (int i = 0; i < nao; ++i)
      for (int j = 0; j <= i; ++j) {
        const double both = sum[size_t(i) * nao + j] + sum[size_t(j) * nao + i];
        out[spin * matrix + i * row + j] += both;
        if (i != j) out[spin * matrix + j * row + i] += both;
      }
  }
}

template class Quadrature<double>;
template class Quadrature<float>;

}  // namespace scfx_simd::quadrature
