// Density at, and potential matrices from, quadrature points. Here lanes are points of one conformer: blocks, screening
// and order are decided for each conformer by itself, so a row's numbers depend on nothing but the row.
#pragma once

#include "engine.h"

namespace scfx_simd {

#if defined(SCFX_VARIANT_AVX512)
constexpr int tile_vectors = 4, tile_rows = 5, tile_columns = 5;  // 32 registers: 20 or 25 accumulators
#else
constexpr int tile_vectors = 2, tile_rows = 5, tile_columns = 2;  // 16 registers
#endif

// AO values are recomputed in each call: reading them back from memory would take as long.
template <class T> class Grid {
 public:
  using V = typename Lanes<T>::V;
  static constexpr int W = Lanes<T>::width;
  static constexpr int tile_points = tile_vectors * W;
  static constexpr int slab_vectors = 32;  // points between two float64 additions to the potential matrix

  // points: [entry][3][n_points[entry]], concatenated. components: 1 (rho), 4 (and its gradient), 5 (and tau).
  // order: [entry][n_points[entry]], which given point became which of the grid's: neighbours in space come together.
  Grid(Structure structure, const BatchInput& input, const int32_t* n_points, const double* points, int components,
       int threads, int32_t* order);
  // Points [first, first + n) of each entry; n a multiple of the slab. out [active][nspin][components][n].
  void density(int first, int n, const double* D, int nspin, const int* lanes, int nactive, T* out) const;
  // v [active][nspin][components][n] with weights; out [active][nspin][nao][nao].
  void potential(int first, int n, const T* v, int nspin, const int* lanes, int nactive, double* out) const;

 private:
  struct Entry {
    std::vector<double> position, exponent, coefficient, reach;  // reach: of each composite, bohr
    std::vector<double> x, y, z;                                 // padded by repeating the last point
    int n;
  };
  // Composites that are not negligible everywhere in a stretch of points, and their functions.
  struct Active {
    std::vector<int> composites, functions;
  };
  void find_active(const Entry& e, int point, int n, Active& out) const;
  void orbitals(const Entry& e, int point, int n_derivatives, const Active& active, V* out) const;
  size_t plane() const { return size_t(rows_) * tile_vectors; }

  Structure s_;
  int components_, threads_, rows_;  // rows_: functions, rounded up to whole tiles
  std::vector<Entry> entries_;
};

}  // namespace scfx_simd
