// The pairs of one entry alone, as lanes: kets of one kind side by side under one bra.
//
// What a lane computes does not depend on what its neighbours are, so that kets of one entry in the lanes of a vector have
// the bits that they have among those of other conformers (engine.h).
#pragma once

#include "eri.h"

namespace scfx_simd {

// How the composites and pairs of a structure are cut into lanes.
struct LanePlan {
  // Up to WD composites that follow each other and have equal functions. Function f of one in lane x stands in column
  // `column + f WD + x` of a matrix in packed order.
  struct Group { int first, n, nfunc, column; };
  // Pairs [first, last) of one degree and code, and those of them whose kernels are the same, by kind.
  struct Range { int first, last; std::vector<std::vector<int>> kinds; };
  std::vector<Group> groups;
  std::vector<int> group_of;  // by composite
  std::vector<Range> ranges;  // in the order of the pairs
  int width = 0;              // columns

  explicit LanePlan(const Structure& s);
  int lane(int composite) const { return composite - groups[group_of[composite]].first; }
  int column(int composite) const { return groups[group_of[composite]].column + lane(composite); }
};

// Kets as lanes; the last ones may be missing.
template <class T> struct KetLanes {
  PairView<T> view;
  int n, pair[Lanes<T>::width];
};

// The pairs of one entry in the arithmetic of T: without the primitives that `compress_pairs` would leave out of it.
template <class T> class EntryPairs {
 public:
  using V = typename Lanes<T>::V;
  static constexpr int width = Lanes<T>::width;

  EntryPairs() = default;
  // `lane` of `data`, and thresholds as `compress_pairs` has them. Kets of a kind come sorted by primitives and bounds, so
  // that those that a bra needs stand together.
  EntryPairs(const Structure& s, const LanePlan& plan, const PairData& data, int lane, double threshold,
             double pair_threshold);
  // By range and kind of the plan.
  const std::vector<KetLanes<T>>& kets(int range, int kind) const { return kets_[range][kind]; }
  // Pairs as lanes in `storage`, which is overwritten.
  PairView<T> packed(const int* pairs, int n, Buffer<V>& storage) const;
  PairView<T> spread(int pair, Buffer<V>& storage) const;

 private:
  const T* geometry(int pair) const { return &geometry_[size_t(first_[pair]) * geometry_fields]; }
  const T* parameter(int pair) const { return &parameter_[parameter_first_[pair]]; }
  int kept(int pair) const { return first_[pair + 1] - first_[pair]; }

  const Structure* s_ = nullptr;
  std::vector<T> geometry_, parameter_;  // [kept][geometry_fields], [kept][npar]
  std::vector<int> first_;               // kept primitives before those of a pair
  std::vector<size_t> parameter_first_;
  std::vector<Buffer<V>> storage_;
  std::vector<std::vector<std::vector<KetLanes<T>>>> kets_;
};

}  // namespace scfx_simd
