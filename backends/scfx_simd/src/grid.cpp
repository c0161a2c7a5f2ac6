#include "grid.h"

#include <algorithm>

#include "exponential.h"
#include "parallel.h"

namespace scfx_simd {

namespace {

constexpr int round_up(int n, int step) { return (n + step - 1) / step * step; }

// Offsets from an atom are taken in float64 before rounding to T: cancellation would cost float32 its digits.
template <class T> SCFX_INLINE typename Lanes<T>::V offsets(const double* x, double origin) {
  typename Lanes<T>::V out;
  for (int lane = 0; lane < Lanes<T>::width; ++lane) out[lane] = T(x[lane] - origin);
  return out;
}

}  // namespace

template <class T>
Grid<T>::Grid(Structure structure, const BatchInput& input, const int32_t* n_points, const double* points,
              int components, int threads)
    : s_(std::move(structure)), components_(components), threads_(threads) {
  rows_ = round_up(round_up(s_.nao, tile_rows), tile_columns);
  while (rows_ % tile_rows || rows_ % tile_columns) ++rows_;
  for (int i = 0; i < input.n; ++i) {
    Entry e;
    e.n = n_points[i];
    e.position.assign(input.position + size_t(i) * 3 * s_.natm, input.position + size_t(i + 1) * 3 * s_.natm);
    e.exponent.assign(input.exponent + size_t(i) * s_.nprim, input.exponent + size_t(i + 1) * s_.nprim);
    e.coefficient.assign(input.coefficient + size_t(i) * s_.nprim, input.coefficient + size_t(i + 1) * s_.nprim);
    const int padded = round_up(std::max(e.n, 1), slab_vectors * W);
    std::vector<double>* axes[3] = {&e.x, &e.y, &e.z};
    for (int axis = 0; axis < 3; ++axis) {
      axes[axis]->resize(padded, 0.0);
      for (int p = 0; p < padded && e.n; ++p) (*axes[axis])[p] = points[size_t(axis) * e.n + std::min(p, e.n - 1)];
    }
    points += size_t(3) * e.n;
    entries_.push_back(std::move(e));
  }
}

// out[derivative][row][tile_vectors]: values, then d/dx, d/dy, d/dz if n_derivatives is 4; padded rows are zero.
template <class T> void Grid<T>::orbitals(const Entry& e, int point, int n_derivatives, V* out) const {
  const size_t plane = size_t(rows_) * tile_vectors;
  const bool gradient = n_derivatives > 1;
  const V negligible = splat<T>(T(-60));
  for (const Composite& c : s_.composites) {
    const double* R = &e.position[3 * c.atom];
    for (int v = 0; v < tile_vectors; ++v) {
      const int at = point + v * W;
      V d[3] = {offsets<T>(&e.x[at], R[0]), offsets<T>(&e.y[at], R[1]), offsets<T>(&e.z[at], R[2])};
      const V r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
      V radial[2] = {}, slope[2] = {};  // slope: (dR/dr)/r
      for (int k = 0; k < c.nprim; ++k) {
        const T a = T(e.exponent[s_.shells[c.shell[0]].prim_offset + k]);
        const V argument = r2 * -a;
        if (all(less(argument, negligible))) continue;
        const V g = exp_negative(argument);
        for (int i = 0; i < c.nshell; ++i) {
          const V term = g * T(e.coefficient[s_.shells[c.shell[i]].prim_offset + k]);
          radial[i] += term;
          slope[i] += term * (T(-2) * a);
        }
      }
      V* row = out + size_t(c.first) * tile_vectors + v;
      if (c.kind != Kind::general) {
        if (c.kind != Kind::p) {
          const T f = T(0.28209479177387814);  // 1/sqrt(4 pi)
          row[0] = radial[0] * f;
          if (gradient)
            for (int x = 0; x < 3; ++x) row[(1 + x) * plane] = slope[0] * f * d[x];
          row += tile_vectors;
        }
        if (c.kind != Kind::s) {
          const T f = T(0.4886025119029199);  // sqrt(3/(4 pi))
          const V r = radial[c.nshell - 1] * f, s = slope[c.nshell - 1] * f;
          for (int m = 0; m < 3; ++m, row += tile_vectors) {
            row[0] = d[m] * r;
            if (gradient)
              for (int x = 0; x < 3; ++x) row[(1 + x) * plane] = d[m] * d[x] * s + (x == m ? r : V{});
          }
        }
        continue;
      }
      V powers[3][5];
      for (int x = 0; x < 3; ++x) {
        powers[x][0] = splat<T>(T(1));
        for (int i = 1; i <= c.l + 1; ++i) powers[x][i] = powers[x][i - 1] * d[x];
      }
      for (int m = 0; m < c.nfunc; ++m, row += tile_vectors) {
        V value{}, first[3] = {};
        for (const Component& t : s_.functions[c.first + m].terms) {
          const int* n = t.power;
          const T f = T(t.factor);
          value += f * powers[0][n[0]] * powers[1][n[1]] * powers[2][n[2]];
          if (!gradient) continue;
          for (int x = 0; x < 3; ++x)
            if (n[x])
              first[x] += T(n[x]) * f * powers[x][n[x] - 1] * powers[(x + 1) % 3][n[(x + 1) % 3]] *
                          powers[(x + 2) % 3][n[(x + 2) % 3]];
        }
        row[0] = value * radial[0];
        if (gradient)
          for (int x = 0; x < 3; ++x) row[(1 + x) * plane] = first[x] * radial[0] + value * d[x] * slope[0];
      }
    }
  }
  for (int x = 0; x < n_derivatives; ++x)
    for (size_t k = size_t(s_.nao) * tile_vectors; k < plane; ++k) out[x * plane + k] = V{};
}

namespace {

// For each row block i: X_i = Σ_j D_ij source_j over one tile of points, then sums[t] += Σ_i target_t,i X_i.
// `panels` is D as [row block][j][tile_rows].
template <class T, int Targets>
void contract_density(const T* panels, int rows, int nao, const typename Lanes<T>::V* source,
                      const typename Lanes<T>::V* const* targets, typename Lanes<T>::V (*sums)[tile_vectors]) {
  using V = typename Lanes<T>::V;
  for (int first = 0; first < rows; first += tile_rows, panels += size_t(nao) * tile_rows) {
    V X[tile_rows][tile_vectors] = {};
    for (int j = 0; j < nao; ++j) {
      const V* phi = source + size_t(j) * tile_vectors;
      const T* d = panels + size_t(j) * tile_rows;
#pragma GCC unroll 8
      for (int i = 0; i < tile_rows; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < tile_vectors; ++v) X[i][v] += d[i] * phi[v];
    }
    for (int t = 0; t < Targets; ++t)
#pragma GCC unroll 8
      for (int i = 0; i < tile_rows; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < tile_vectors; ++v)
          sums[t][v] += targets[t][size_t(first + i) * tile_vectors + v] * X[i][v];
  }
}

SCFX_INLINE void add_double(vd sum, vd* to) { to[0] += sum; }
SCFX_INLINE void add_double(vf sum, vd* to) {
  // The two halves of a float32 vector add in float64.
#if defined(SCFX_VARIANT_AVX512)
  to[0] += (vd)_mm512_cvtps_pd(_mm512_castps512_ps256((__m512)sum)) +
           (vd)_mm512_cvtps_pd(_mm512_extractf32x8_ps((__m512)sum, 1));
#else
  vd out;
  for (int lane = 0; lane < WD; ++lane) out[lane] = double(sum[lane]) + double(sum[lane + WD]);
  to[0] += out;
#endif
}

// M_ij += Σ_points left_i right_j over one slab; [row][slab] operands, M in float64 lanes.
template <class T>
void contract_potential(const typename Lanes<T>::V* left, const typename Lanes<T>::V* right, int rows, int slab, vd* M) {
  using V = typename Lanes<T>::V;
  for (int i0 = 0; i0 < rows; i0 += tile_rows)
    for (int j0 = 0; j0 < rows; j0 += tile_columns) {
      V acc[tile_rows][tile_columns] = {};
      const V *a = left + size_t(i0) * slab, *b = right + size_t(j0) * slab;
      for (int p = 0; p < slab; ++p) {
        V y[tile_columns];
#pragma GCC unroll 8
        for (int j = 0; j < tile_columns; ++j) y[j] = b[size_t(j) * slab + p];
#pragma GCC unroll 8
        for (int i = 0; i < tile_rows; ++i) {
          const V x = a[size_t(i) * slab + p];
#pragma GCC unroll 8
          for (int j = 0; j < tile_columns; ++j) acc[i][j] += x * y[j];
        }
      }
#pragma GCC unroll 8
      for (int i = 0; i < tile_rows; ++i)
#pragma GCC unroll 8
        for (int j = 0; j < tile_columns; ++j) add_double(acc[i][j], M + size_t(i0 + i) * rows + j0 + j);
    }
}

}  // namespace

template <class T>
void Grid<T>::density(int first, int n, const double* D, int nspin, const int* lanes, int nactive, T* out) const {
  const int derivatives = components_ > 1 ? 4 : 1, nao = s_.nao;
  parallel(threads_, nactive, [&](int index) {
    const Entry& e = entries_[lanes[index]];
    const size_t plane = size_t(rows_) * tile_vectors, panel = size_t(rows_) * nao;
    Buffer<V> phi(plane * derivatives);
    Buffer<T> panels(panel * nspin);
    for (int spin = 0; spin < nspin; ++spin) {
      const double* from = D + (size_t(index) * nspin + spin) * nao * nao;
      for (int i = 0; i < rows_; ++i)
        for (int j = 0; j < nao; ++j)
          panels[spin * panel + (size_t(i / tile_rows) * nao + j) * tile_rows + i % tile_rows] =
              i < nao ? T(from[size_t(s_.ao[i]) * nao + s_.ao[j]]) : T(0);
    }
    for (int point = 0; point < n; point += tile_points) {
      const bool empty = first + point >= e.n;
      if (!empty) orbitals(e, first + point, derivatives, phi.get());
      for (int spin = 0; spin < nspin; ++spin) {
        V sums[5][tile_vectors] = {};
        if (!empty) {
          const V* targets[4] = {phi.get(), phi.get() + plane, phi.get() + 2 * plane, phi.get() + 3 * plane};
          const T* d = &panels[spin * panel];
          if (components_ == 1) {
            contract_density<T, 1>(d, rows_, nao, phi.get(), targets, sums);
          } else {
            contract_density<T, 4>(d, rows_, nao, phi.get(), targets, sums);
            if (components_ == 5)
              for (int x = 0; x < 3; ++x) contract_density<T, 1>(d, rows_, nao, targets[1 + x], targets + 1 + x, sums + 4);
          }
        }
        for (int c = 0; c < components_; ++c) {
          const T factor = c == 0 ? T(1) : c < 4 ? T(2) : T(0.5);
          T* to = out + ((size_t(index) * nspin + spin) * components_ + c) * n + point;
          for (int p = 0; p < tile_points; ++p) to[p] = first + point + p < e.n ? factor * sums[c][p / W][p % W] : T(0);
        }
      }
    }
  });
}

template <class T>
void Grid<T>::potential(int first, int n, const T* v, int nspin, const int* lanes, int nactive, double* out) const {
  const int derivatives = components_ > 1 ? 4 : 1, nao = s_.nao;
  const int passes = components_ == 5 ? 4 : 1;
  parallel(threads_, nactive, [&](int index) {
    const Entry& e = entries_[lanes[index]];
    const size_t plane = size_t(rows_) * tile_vectors, slab_size = size_t(rows_) * slab_vectors;
    const size_t square = size_t(rows_) * rows_;
    Buffer<V> phi(plane * derivatives), right(slab_size * passes), left(slab_size * passes * nspin);
    Buffer<vd> M(square * nspin);
    for (size_t k = 0; k < square * nspin; ++k) M[k] = vd{};
    for (int start = 0; start < n && first + start < e.n; start += slab_vectors * W) {
      for (int tile = 0; tile < slab_vectors; tile += tile_vectors) {
        const int point = start + tile * W;
        orbitals(e, first + point, derivatives, phi.get());
        for (int spin = 0; spin < nspin; ++spin) {
          const T* from = v + (size_t(index) * nspin + spin) * components_ * n + point;
          V value[5][tile_vectors];
          for (int c = 0; c < components_; ++c)
            for (int p = 0; p < tile_points; ++p)
              value[c][p / W][p % W] = first + point + p < e.n ? from[size_t(c) * n + p] : T(0);
          for (int i = 0; i < rows_; ++i)
            for (int t = 0; t < tile_vectors; ++t) {
              const V* f = phi.get() + size_t(i) * tile_vectors + t;
              const size_t at = size_t(i) * slab_vectors + tile + t;
              // Half of V: the rest is the transpose.
              V y = T(0.5) * value[0][t] * f[0];
              for (int x = 1; x < derivatives; ++x) y += value[x][t] * f[x * plane];
              left[spin * passes * slab_size + at] = y;
              if (spin == 0) right[at] = f[0];
              for (int x = 1; x < passes; ++x) {
                left[(spin * passes + x) * slab_size + at] = T(0.25) * value[4][t] * f[x * plane];
                if (spin == 0) right[x * slab_size + at] = f[x * plane];
              }
            }
        }
      }
      for (int spin = 0; spin < nspin; ++spin)
        for (int x = 0; x < passes; ++x)
          contract_potential<T>(left.get() + (spin * passes + x) * slab_size, right.get() + x * slab_size, rows_,
                                slab_vectors, M.get() + spin * square);
    }
    for (int spin = 0; spin < nspin; ++spin) {
      double* to = out + (size_t(index) * nspin + spin) * nao * nao;
      for (int i = 0; i < nao; ++i)
        for (int j = 0; j <= i; ++j) {
          const vd both = M[spin * square + size_t(i) * rows_ + j] + M[spin * square + size_t(j) * rows_ + i];
          double sum = 0;
          for (int lane = 0; lane < WD; ++lane) sum += both[lane];
          to[size_t(s_.ao[i]) * nao + s_.ao[j]] = to[size_t(s_.ao[j]) * nao + s_.ao[i]] = sum;
        }
    }
  });
}

template class Grid<double>;
template class Grid<float>;

}  // namespace scfx_simd
