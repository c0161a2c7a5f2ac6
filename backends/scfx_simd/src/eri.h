// Contracted electron-repulsion integrals (ab|cd) of one pair of composite pairs, every lane at once.
#pragma once

#include "contract.h"

namespace scfx_simd {

// The primitives of one pair that are not negligible in every lane.
template <class T> struct PairView {
  using V = typename Lanes<T>::V;
  const PairShape* shape;
  const Pattern* pattern;
  const V* geometry;   // [nkept][5]
  const V* parameter;  // [nkept][npar]
  int nkept;
};

// Lane-packed primitive pairs in the arithmetic of T, compressed to what survives screening.
template <class T> struct PairSet {
  Buffer<typename Lanes<T>::V> geometry, parameter;
  std::vector<PairView<T>> views;
};

// `groups`: one PairData of WD lanes for double, WF / WD of them for float. A primitive pair is dropped where its
// bound times the largest bound of any is below `threshold` in every lane; all primitives of a pair are where its Schwarz
// bound times the largest of any pair is below `pair_threshold`.
template <class T>
void compress_pairs(const Structure& s, const PairData* const* groups, T threshold, double pair_threshold,
                    PairSet<T>& out);

// One primitive of one lane's pair in the arithmetic of T; `step` numbers lie between two fields.
template <class T>
void copy_primitive(const PairShape& pair, const PairData& data, int lane, int primitive, int step, T* geometry,
                    T* parameter);

template <class T> struct EriWorkspace {
  Buffer<typename Lanes<T>::V> hermite, half;
  std::vector<int> ket_list, bra_list;
};

template <class T> struct EriOptions {
  T threshold;              // a primitive quartet counts as zero in a lane where its Schwarz bound is below this
  T inverse_omega_squared;  // 0: 1/r; else erf(omega r)/r
};

// out[row of bra][row of ket]; bra must not come before ket in Structure::pairs.
template <class T>
void eri_block(const PairView<T>& bra, const PairView<T>& ket, const EriOptions<T>& options, EriWorkspace<T>& work,
               typename Lanes<T>::V* out);

// Schwarz bounds of primitive pairs (into geometry field 4) and of contracted pairs (into `schwarz`).
void fill_bounds(const Structure& s, PairData& data, double inverse_omega_squared);

}  // namespace scfx_simd
