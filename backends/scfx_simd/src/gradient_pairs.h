// What the derivatives of pairs of shells need beside their Hermite expansions, lanes = conformers.
//
// A pair of primitives depends on its atoms by its centre P = (aA + bB)/p, by exp(-ab/p |A - B|²), and by P - A and
// P - B in the expansion coefficients E of the rest. With e its energy at some outer potential and T^A, T^B the
// derivatives of e by P - A and P - B at fixed P and exponential,
//     ∂e/∂A = (a/p) ∂e/∂P - (2ab/p)(A - B) e - (b/p) T^A + (a/p) T^B,    ∂e/∂B = ∂e/∂P - ∂e/∂A,
// and T^A has the expansion of the pair with x_A^i differentiated: i x_A^(i-1). HJO section 9.5.
#pragma once

#include <memory>

#include "eri.h"

namespace scfx_simd {

// The derivatives of a composite's functions by their own coordinates, as Cartesian functions one degree down.
struct LoweredTerm { int index; double factor; };
struct Lowered {
  std::vector<Function> functions;
  std::vector<std::array<std::vector<LoweredTerm>, 3>> terms;  // [function of the composite][axis]
};
Lowered lowered(const Structure& s, const Composite& c);

// Which coefficients each Hermite function of a pair has: entries of `pattern` by Hermite function, not by row.
struct ByHermite { std::vector<int> start, entry, row; };

// Expansions of a pair of any shells, and of it with the first or the second composite lowered.
struct GradientShape {
  Pattern whole, lower_a, lower_b;
  ByHermite by_hermite;
  const Lowered *a, *b;
};

struct GradientShapes {
  std::vector<Lowered> lowered;                        // by composite
  std::vector<std::unique_ptr<GradientShape>> shapes;  // shared by pairs of the same kinds
  std::vector<const GradientShape*> of;                // by pair; null where only `scaled` is used

  // `every`: for pairs of s, p and sp composites too.
  GradientShapes(const Structure& s, bool every);
};

// For pairs of s, p and sp composites, energies are sums over products of a number that belongs to the primitive pair
// and a polynomial in A - B, the density and ∂/∂P that belongs to the pair as a whole. With weights w of (ss), (sp), (ps)
// and (pp), c = a/p, d = b/p and h = 1/2p these numbers are:
enum Scaled {
  scaled_ss,     // w_ss
  scaled_sp,     // w_sp c
  scaled_sp_h,   // w_sp h
  scaled_ps,     // -w_ps d
  scaled_ps_h,   // w_ps h
  scaled_pp,     // -w_pp c d
  scaled_pp_1,   // w_pp h, of the trace
  scaled_pp_d,   // -w_pp h d, of (A - B)_i ∂_j
  scaled_pp_c,   // w_pp h c, of (A - B)_j ∂_i
  scaled_pp_h,   // w_pp h²
  n_scaled
};

constexpr int ratio_fields = 2;  // a/p, 2ab/p

// The primitives of one pair that are not negligible in every lane.
template <class T> struct GradientView {
  using V = typename Lanes<T>::V;
  const PairShape* shape;
  const GradientShape* general;  // null for s, p and sp
  bool one_centre;
  V ab[3];
  const V *geometry, *ratio;             // [nkept][geometry_fields], [nkept][ratio_fields]
  const V* scaled;                       // [nkept][n_scaled], where not general
  const V *whole, *lower_a, *lower_b;    // [nkept][coefficients of the pattern]; the latter times -b/p and a/p
  int nkept;
};

template <class T> struct GradientPairs {
  Buffer<typename Lanes<T>::V> storage;
  std::vector<GradientView<T>> views;  // by pair
};

// As `compress_pairs` does with the pairs themselves. `geometry[i]` belongs to `groups[i]`.
template <class T>
void gradient_pairs(const Structure& s, const GradientShapes& shapes, const Geometry* geometry,
                    const PairData* const* groups, double threshold, GradientPairs<T>& out);

}  // namespace scfx_simd
