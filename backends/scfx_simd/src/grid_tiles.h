// The quadrature of one batch: points of each conformer in tiles of neighbours, and AO values on them. Here the lanes
// of a vector are points, and every decision (order, screening) is made for one conformer by itself, so a row's numbers
// depend on nothing but the row.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>
#include <vector>

#include "arena.h"
#include "grid_factored.h"
#include "lanes.h"

namespace scfx_simd::quadrature {

constexpr int tile_points = 256;   // one list of AOs
// Points between two float64 additions to the potential matrix: a panel of functions on them stays in the first cache.
template <class T> constexpr int chunk_points = sizeof(T) == 8 ? 64 : 128;
constexpr int max_l = 6;
#if defined(SCFX_VARIANT_AVX512)
constexpr int group_vectors = 4, block_rows = 6;  // 24 accumulators of 32 registers
#else
constexpr int group_vectors = 2, block_rows = 5;  // 10 of 16
#endif

// A group of points goes through the density product together; the AO values of a tile are
// [group][component][function][point of the group].
template <class T> constexpr int group_points = group_vectors * Lanes<T>::width;

struct Shell {
  int atom, l, n_primitives, primitive, ao, n_functions;
  bool spherical;
};

struct Layout {
  std::vector<Shell> shells;
  int n_atoms, n_primitives, nao;
  std::vector<std::vector<double>> to_spherical;  // [l][ncart][nsph]
};

struct Tile {
  std::vector<int> shells, aos;
  const void* values = nullptr;  // null: not kept
};

// 64-byte aligned, uninitialised.
template <class T> class Aligned {
 public:
  Aligned() = default;
  explicit Aligned(size_t n);
  ~Aligned();
  Aligned(Aligned&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
  Aligned& operator=(Aligned&& other) noexcept {
    std::swap(data_, other.data_);
    return *this;
  }
  T* get() { return data_; }
  const T* get() const { return data_; }

 private:
  T* data_ = nullptr;
};

// AO values are kept in blocks of this size, all alike: the next batch finds them again, and fresh pages cost more than
// the values.
constexpr size_t block_bytes = size_t(32) << 20;

// One conformer.
struct Entry {
  int n;  // points
  std::vector<int> order;  // where each point in tile order stands among those given
  std::vector<double> position, exponent, coefficient;
  std::vector<int> leader;        // by shell: the first shell of the atom with the same exponents
  std::vector<double> x, y, z;    // in tile order, the last tile filled by repeating its last point
  std::vector<double> weight;     // zero where filled
  std::vector<Tile> tiles;
};

// Sorts points into tiles by repeated bisection of the longest side of their box, at multiples of the tile.
std::vector<int> tile_order(const double* points, int n);

template <class T> class Quadrature {
 public:
  using V = typename Lanes<T>::V;

  // components: 1 (rho), 4 (and its gradient), 5 (and tau). A shell whose values, and gradients if they are needed, are
  // all below `threshold` on a tile is dropped from it. The AO values of the first tiles that fit the budget are kept,
  // the others recomputed in every call by the same code.
  Quadrature(Layout layout, int components, double threshold, size_t memory_budget)
      : layout_(std::move(layout)), components_(components), threshold_(threshold), budget_(memory_budget) {}

  void add(const double* position, const double* exponent, const double* coefficient, int n, const double* points,
           const double* weights);
  // Points [first, first + n), multiples of the tile, of one conformer; beyond its last tile all is zero.
  void weights(int lane, int first, int n, double* out) const;
  // Where each of these points stands among those given to `add`; -1 beyond the last.
  void order(int lane, int first, int n, int32_t* out) const;
  // D [nspin] of nao rows, `row` apart, `matrix` from one spin to the next; out [nspin][components][n].
  void density(int lane, int first, int n, const double* D, int nspin, size_t row, size_t matrix, T* out) const;
  // v [nspin][components][n] with weights; adds to out, laid out as D.
  void potential(int lane, int first, int n, const double* v, int nspin, size_t row, size_t matrix, double* out) const;
  // The derivative of Σ v_c,p (component c at p) by the positions of the atoms' functions at fixed points, and of the
  // points that move with the atoms `owners` [n] at fixed functions; adds to both, [n_atoms][3].
  void gradient(int lane, int first, int n, const double* D, int nspin, size_t row, size_t matrix, const double* v,
                const int32_t* owners, double* functions, double* points) const;
  // Σ f_g ∂w_g/∂R of a whole entry, from positions [n_atoms][3], shifts of cell boundaries [n_atoms][n_atoms] and, at the
  // points in the order of `add`, owners and f times the weight before space was divided. Adds to out [n_atoms][3].
  void weight_gradient(int lane, const double* position, const double* shift, const int32_t* owner,
                       const double* strength, double* out) const;
  size_t kept_bytes() const { return used_; }
  int components() const { return components_; }
  const T* element() const { return nullptr; }

 private:
  // The factor of D, made when D is not what it was the last time; see grid_factored.h.
  const Factor<T>& factor(int lane, int spin, const double* D, size_t row) const;
  void factored_density(const Factor<T>& factor, const Tile& tile, const V* phi, V* psi,
                        V (*sums)[group_vectors]) const;
  int n_values() const { return components_ > 1 ? 4 : 1; }
  template <int Orders>
  void radial(const Entry& e, int tile, const int* shells, int n, double* displacement, double* radial) const;
  template <bool Second>
  void pull(const Entry& e, int tile, const double* radial, const T* weights, double* functions, double* total) const;
  bool significant(const Entry& e, int tile, int shell, const double* radial) const;
  void angular(const Entry& e, int tile, const double* radial, T* out) const;
  void evaluate(const Entry& e, int tile, double* scratch, T* out) const;
  void find_aos(Entry& e, int tile, double* scratch);
  size_t scratch_size() const { return (4 + 2 * layout_.shells.size()) * size_t(tile_points); }
  const T* values(const Entry& e, int tile, Aligned<double>& scratch, Aligned<T>& room) const;
  T* keep(size_t bytes);

  Layout layout_;
  int components_;
  double threshold_;
  std::vector<Arena> blocks_;
  size_t budget_;                // bytes of further blocks
  size_t left_ = 0, used_ = 0;  // bytes of the last block; of all
  std::vector<Entry> entries_;
  mutable std::vector<Factor<T>> factors_;  // by entry and spin; an operator is one thread's
};

}  // namespace scfx_simd::quadrature
