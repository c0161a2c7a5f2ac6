#include "grid.h"

#include <algorithm>

#include "exponential.h"
#include "parallel.h"

namespace scfx_simd {

namespace {

constexpr int round_up(int n, int step) { return (n + step - 1) / step * step; }

// Up to the next multiple of both tile sizes.
constexpr int whole_tiles(int rows) {
  while (rows % tile_rows || rows % tile_columns) ++rows;
  return rows;
}

// Offsets from an atom are taken in float64 before rounding to T: cancellation would cost float32 its digits.
SCFX_INLINE void offsets(const double* x, double origin, vd* out) {
  vd value;
  std::memcpy(&value, x, sizeof value);
  *out = value - origin;
}
SCFX_INLINE void offsets(const double* x, double origin, vf* out) {
  vd low, high;
  std::memcpy(&low, x, sizeof low);
  std::memcpy(&high, x + WD, sizeof high);
  low -= origin;
  high -= origin;
#if defined(SCFX_VARIANT_AVX512)
  *out = (vf)_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps((__m512d)low)), _mm512_cvtpd_ps((__m512d)high), 1);
#elif defined(SCFX_VARIANT_AVX2)
  *out = (vf)_mm256_set_m128(_mm256_cvtpd_ps((__m256d)high), _mm256_cvtpd_ps((__m256d)low));
#else
  for (int lane = 0; lane < WD; ++lane) {
    (*out)[lane] = float(low[lane]);
    (*out)[lane + WD] = float(high[lane]);
  }
#endif
}

// AOs and their gradients below this are dropped from a tile. Against a density of order one they change it by less than
// its rounding.
template <class T> constexpr double negligible_orbital = sizeof(T) == 4 ? 1e-8 : 1e-13;

// Beyond this distance from its atom a composite and its gradient are negligible.
double reach_of(const Structure& s, const Composite& c, const double* exponent, const double* coefficient,
                double threshold) {
  double r = 40;
  for (; r > 0.25; r -= 0.25) {
    double bound = 0;
    for (int i = 0; i < c.nshell; ++i)
      for (int k = 0; k < c.nprim; ++k) {
        const double a = exponent[s.shells[c.shell[i]].prim_offset + k];
        // |R| and |dR/dr| for r^l exp(-a r²); angular factors are of order one.
        const double value = std::abs(coefficient[s.shells[c.shell[i]].prim_offset + k]) * std::exp(-a * r * r);
        bound += value * std::pow(std::max(r, 1.0), c.l) * (1 + c.l / r + 2 * a * r);
      }
    if (bound > threshold) break;
  }
  return r + 0.25;
}

struct Site { double x[3]; int index; };

// Bisects along the longest side at whole slabs, then whole tiles, until every tile is compact.
void sort_in_space(Site* sites, int n, int slab, int tile) {
  if (n <= tile) return;
  const int unit = n > slab ? slab : tile;
  const int middle = (n / 2 + unit - 1) / unit * unit;
  if (middle >= n) return;
  double low[3], high[3];
  for (int axis = 0; axis < 3; ++axis) low[axis] = high[axis] = sites[0].x[axis];
  for (int i = 1; i < n; ++i)
    for (int axis = 0; axis < 3; ++axis) {
      low[axis] = std::min(low[axis], sites[i].x[axis]);
      high[axis] = std::max(high[axis], sites[i].x[axis]);
    }
  int axis = 0;
  for (int k = 1; k < 3; ++k)
    if (high[k] - low[k] > high[axis] - low[axis]) axis = k;
  std::nth_element(sites, sites + middle, sites + n, [axis](const Site& p, const Site& q) {
    return p.x[axis] != q.x[axis] ? p.x[axis] < q.x[axis] : p.index < q.index;
  });
  sort_in_space(sites, middle, slab, tile);
  sort_in_space(sites + middle, n - middle, slab, tile);
}

}  // namespace

template <class T>
Grid<T>::Grid(Structure structure, const BatchInput& input, const int32_t* n_points, const double* points,
              int components, int threads, int32_t* order)
    : s_(std::move(structure)), components_(components), threads_(threads), entries_(input.n) {
  rows_ = s_.nao;
  while (rows_ % tile_rows || rows_ % tile_columns) ++rows_;
  std::vector<size_t> start(input.n + 1, 0);
  for (int i = 0; i < input.n; ++i) start[i + 1] = start[i] + n_points[i];
  parallel(threads, input.n, [&](int i) {
    Entry& e = entries_[i];
    e.n = n_points[i];
    e.position.assign(input.position + size_t(i) * 3 * s_.natm, input.position + size_t(i + 1) * 3 * s_.natm);
    e.exponent.assign(input.exponent + size_t(i) * s_.nprim, input.exponent + size_t(i + 1) * s_.nprim);
    e.coefficient.assign(input.coefficient + size_t(i) * s_.nprim, input.coefficient + size_t(i + 1) * s_.nprim);
    // Angular factors of s and p: 1/sqrt(4 pi) and sqrt(3/(4 pi)); those of d and f are in their terms.
    for (const Shell& shell : s_.shells)
      for (int k = 0; k < shell.nprim && shell.l < 2; ++k)
        e.coefficient[shell.prim_offset + k] *= shell.l ? 0.48860251190291992 : 0.28209479177387814;
    for (const Composite& c : s_.composites)
      e.reach.push_back(reach_of(s_, c, e.exponent.data(), e.coefficient.data(), negligible_orbital<T>));
    std::vector<Site> sites(e.n);
    const double* mine = points + 3 * start[i];
    for (int p = 0; p < e.n; ++p) sites[p] = {{mine[p], mine[e.n + p], mine[2 * e.n + p]}, p};
    sort_in_space(sites.data(), e.n, slab_vectors * W, tile_points);
    const int padded = round_up(std::max(e.n, 1), slab_vectors * W);
    e.x.resize(padded);
    e.y.resize(padded);
    e.z.resize(padded);
    for (int p = 0; p < padded && e.n; ++p) {
      const Site& site = sites[std::min(p, e.n - 1)];
      e.x[p] = site.x[0];
      e.y[p] = site.x[1];
      e.z[p] = site.x[2];
      if (p < e.n) order[start[i] + p] = site.index;
    }
  });
}

template <class T> void Grid<T>::find_active(const Entry& e, int point, int n, Active& out) const {
  out.composites.clear();
  out.functions.clear();
  const double* axes[3] = {&e.x[point], &e.y[point], &e.z[point]};
  double low[3], high[3];
  for (int axis = 0; axis < 3; ++axis) {
    low[axis] = *std::min_element(axes[axis], axes[axis] + n);
    high[axis] = *std::max_element(axes[axis], axes[axis] + n);
  }
  for (size_t i = 0; i < s_.composites.size(); ++i) {
    const Composite& c = s_.composites[i];
    double distance = 0;  // squared, from the atom to the box around the points
    for (int axis = 0; axis < 3; ++axis) {
      const double x = e.position[3 * c.atom + axis], d = std::max({low[axis] - x, x - high[axis], 0.0});
      distance += d * d;
    }
    if (distance > e.reach[i] * e.reach[i]) continue;
    out.composites.push_back(int(i));
    for (int f = 0; f < c.nfunc; ++f) out.functions.push_back(c.first + f);
  }
}

// out[derivative][row][tile_vectors], rows being the active functions, then zeros up to whole tiles: values, then
// d/dx, d/dy, d/dz if n_derivatives is 4.
template <class T>
void Grid<T>::orbitals(const Entry& e, int point, int n_derivatives, const Active& active, V* out) const {
  const size_t plane = this->plane();
  const bool gradient = n_derivatives > 1;
  const V negligible = splat<T>(T(sizeof(T) == 4 ? -32 : -60));
  int first_row = 0, atom = -1;
  V offset[tile_vectors][3], square[tile_vectors];
  for (int composite : active.composites) {
    const Composite& c = s_.composites[composite];
    if (c.atom != atom) {
      atom = c.atom;
      const double* R = &e.position[3 * atom];
      for (int v = 0; v < tile_vectors; ++v) {
        V* d = offset[v];
        offsets(&e.x[point + v * W], R[0], d);
        offsets(&e.y[point + v * W], R[1], d + 1);
        offsets(&e.z[point + v * W], R[2], d + 2);
        square[v] = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
      }
    }
    for (int v = 0; v < tile_vectors; ++v) {
      const V* d = offset[v];
      const V r2 = square[v];
      V radial[2] = {}, slope[2] = {};  // slope: (dR/dr)/r
      for (int k = 0; k < c.nprim; ++k) {
        // In two pieces: a rounded exponent or angular factor would scale the AO everywhere alike.
        const double exact = e.exponent[s_.shells[c.shell[0]].prim_offset + k];
        const T a = T(exact), rest = T(exact - double(a));
        const V argument = r2 * -a - r2 * rest;
        if (all(less(argument, negligible))) continue;
        const V g = exp_negative(argument);
        for (int i = 0; i < c.nshell; ++i) {
          const V term = g * T(e.coefficient[s_.shells[c.shell[i]].prim_offset + k]);
          radial[i] += term;
          slope[i] += term * (T(-2) * a);
        }
      }
      V* row = out + size_t(first_row) * tile_vectors + v;
      if (c.kind != Kind::general) {
        if (c.kind != Kind::p) {
          row[0] = radial[0];
          if (gradient)
            for (int x = 0; x < 3; ++x) row[(1 + x) * plane] = slope[0] * d[x];
          row += tile_vectors;
        }
        if (c.kind != Kind::s) {
          const V r = radial[c.nshell - 1], s = slope[c.nshell - 1];
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
    first_row += c.nfunc;
  }
  const int end = whole_tiles(first_row);
  for (int x = 0; x < n_derivatives; ++x)
    for (int k = first_row * tile_vectors; k < end * tile_vectors; ++k) out[x * plane + k] = V{};
}

namespace {

// X_i = Σ_j D_ij source_j over one tile of points, then sums[t] += Σ_i target_t,i X_i, i and j being active functions.
template <class T, int Targets>
void contract_density(const T* D, int nao, const std::vector<int>& functions, const typename Lanes<T>::V* source,
                      const typename Lanes<T>::V* const* targets, typename Lanes<T>::V (*sums)[tile_vectors]) {
  using V = typename Lanes<T>::V;
  const int n = int(functions.size());
  for (int first = 0; first < n; first += tile_rows) {
    const T* row[tile_rows];  // beyond the last: any row, its targets being zero
    for (int i = 0; i < tile_rows; ++i) row[i] = D + size_t(functions[std::min(first + i, n - 1)]) * nao;
    V X[tile_rows][tile_vectors] = {};
    for (int j = 0; j < n; ++j) {
      const V* phi = source + size_t(j) * tile_vectors;
      const int column = functions[j];
#pragma GCC unroll 8
      for (int i = 0; i < tile_rows; ++i)
#pragma GCC unroll 8
        for (int v = 0; v < tile_vectors; ++v) X[i][v] += row[i][column] * phi[v];
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

// M_ij += Σ_points left_i right_j over one slab, rows being active functions; [row][slab] operands, M [nao][nao] in
// float64 lanes.
template <class T>
void contract_potential(const typename Lanes<T>::V* left, const typename Lanes<T>::V* right,
                        const std::vector<int>& functions, int nao, int slab, vd* M) {
  using V = typename Lanes<T>::V;
  const int n = int(functions.size()), rows = whole_tiles(n);
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
        for (int j = 0; j < tile_columns; ++j)
          if (i0 + i < n && j0 + j < n)
            add_double(acc[i][j], M + size_t(functions[i0 + i]) * nao + functions[j0 + j]);
    }
}

}  // namespace

template <class T>
void Grid<T>::density(int first, int n, const double* D, int nspin, const int* lanes, int nactive, T* out) const {
  const int derivatives = components_ > 1 ? 4 : 1, nao = s_.nao;
  parallel(threads_, nactive, [&](int index) {
    const Entry& e = entries_[lanes[index]];
    const size_t plane = this->plane(), square = size_t(nao) * nao;
    Buffer<V> phi(plane * derivatives);
    Buffer<T> matrix(square * nspin);
    Active active;
    for (int spin = 0; spin < nspin; ++spin) {
      const double* from = D + (size_t(index) * nspin + spin) * square;
      for (int i = 0; i < nao; ++i)
        for (int j = 0; j < nao; ++j)
          matrix[spin * square + size_t(i) * nao + j] = T(from[size_t(s_.ao[i]) * nao + s_.ao[j]]);
    }
    for (int point = 0; point < n; point += tile_points) {
      const bool empty = first + point >= e.n;
      if (!empty) {
        find_active(e, first + point, tile_points, active);
        orbitals(e, first + point, derivatives, active, phi.get());
      }
      for (int spin = 0; spin < nspin; ++spin) {
        V sums[5][tile_vectors] = {};
        if (!empty) {
          const V* targets[4] = {phi.get(), phi.get() + plane, phi.get() + 2 * plane, phi.get() + 3 * plane};
          const T* d = &matrix[spin * square];
          if (components_ == 1) {
            contract_density<T, 1>(d, nao, active.functions, phi.get(), targets, sums);
          } else {
            contract_density<T, 4>(d, nao, active.functions, phi.get(), targets, sums);
            if (components_ == 5)
              for (int x = 1; x < 4; ++x)
                contract_density<T, 1>(d, nao, active.functions, targets[x], targets + x, sums + 4);
          }
        }
        for (int c = 0; c < components_; ++c) {
          const T factor = c == 0 ? T(1) : c < 4 ? T(2) : T(0.5);
          T* to = out + ((size_t(index) * nspin + spin) * components_ + c) * n + point;
          for (int t = 0; t < tile_vectors; ++t) sums[c][t] *= factor;
          std::memcpy(to, sums[c], sizeof sums[c]);
          for (int p = std::max(0, e.n - first - point); p < tile_points; ++p) to[p] = T(0);
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
    const size_t plane = this->plane(), slab_size = size_t(rows_) * slab_vectors, square = size_t(nao) * nao;
    Buffer<V> phi(plane * derivatives), right(slab_size * passes), left(slab_size * passes * nspin);
    Buffer<vd> M(square * nspin);
    Active active;
    for (size_t k = 0; k < square * nspin; ++k) M[k] = vd{};
    for (int start = 0; start < n && first + start < e.n; start += slab_vectors * W) {
      find_active(e, first + start, slab_vectors * W, active);
      const int rows = whole_tiles(int(active.functions.size()));
      for (int tile = 0; tile < slab_vectors; tile += tile_vectors) {
        const int point = start + tile * W;
        orbitals(e, first + point, derivatives, active, phi.get());
        for (int spin = 0; spin < nspin; ++spin) {
          const T* from = v + (size_t(index) * nspin + spin) * components_ * n + point;
          V value[5][tile_vectors];  // zero at padded points, where the caller's weight is
          for (int c = 0; c < components_; ++c)
            std::memcpy(value[c], from + size_t(c) * n, sizeof value[c]);
          for (int i = 0; i < rows; ++i)
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
          contract_potential<T>(left.get() + (spin * passes + x) * slab_size, right.get() + x * slab_size,
                                active.functions, nao, slab_vectors, M.get() + spin * square);
    }
    for (int spin = 0; spin < nspin; ++spin) {
      double* to = out + (size_t(index) * nspin + spin) * nao * nao;
      for (int i = 0; i < nao; ++i)
        for (int j = 0; j <= i; ++j) {
          const vd both = M[spin * square + size_t(i) * nao + j] + M[spin * square + size_t(j) * nao + i];
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
