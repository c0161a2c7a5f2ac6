// Two-electron integrals of one entry alone, where conformers would leave lanes empty: lanes are its kets.
//
// An entry's J and K have the bits that they have among conformers (engine.h): the same integrals, added in the same
// order.
#pragma once

#include <atomic>

#include "arena.h"
#include "engine_options.h"
#include "jk_kets.h"

namespace scfx_simd {

// Blocks of integrals looked at and left out for a small density.
struct ScreeningCount { std::atomic<int64_t> seen{0}, skipped{0}; };

class Entry {
 public:
  // `lane` of `data`, whose bounds are filled. Integrals of at most `budget` bytes are kept.
  Entry(const Structure& s, const LanePlan& plan, const EngineOptions& options, const PairData& data, int lane,
        int64_t budget);
  // J, K [nspin][nao][nao] in the order of AOs, either of which may be null.
  void coulomb_exchange(const double* density, int nspin, double* J, double* K, ScreeningCount& count) const;
  void dense(double* out) const;  // (ij|kl), [nao]^4, as J and K see them
  int64_t stored_bytes() const { return int64_t(in_double_.data.size() + in_single_.data.size()); }
  int64_t recomputed_pairs() const { return int64_t(s_.pairs.size()) - stored_pairs_; }

 private:
  // Blocks of the bra pairs before `stored_pairs_`, those of each bra together.
  template <class T> struct Stream {
    std::vector<KetBlock> blocks;
    std::vector<size_t> end;  // of each bra's blocks
    Arena data;
  };
  // The largest |D| between composites, if it is small everywhere. By the group and lane of the second one and, the other
  // way round, of the first, so that the lanes of a block stand together.
  struct SmallDensity {
    bool screen = false;
    int n_columns = 0;                          // groups * WD
    Buffer<double> largest, largest_by_second;  // [composite][group][lane of the other]
    double between(int a, int column_b) const { return largest[size_t(a) * n_columns + column_b]; }
  };

  // Of what is made in T, and of what of it is made in float64 and rounded to T.
  struct Bounds { double low, high, rounded_from; };
  template <class T> Bounds bounds(int bra, int range) const;
  template <class T> Stream<T>& stream();
  template <class T> const Stream<T>& stream() const;
  template <class T> const EntryPairs<T>& pairs_of() const;

  int column_of(int composite) const { return plan_.group_of[composite] * WD + plan_.lane(composite); }
  int64_t bytes_of(int bra, bool in_double) const;
  void store(int64_t budget);
  SmallDensity small_density(const double* packed) const;
  unsigned negligible(const SmallDensity& density, int bra, const KetBlock& block, bool exchange) const;
  template <class T, class Drop, class Allocate, class Done>
  void generate(int from, int to, Drop drop, Allocate allocate, Done done, int64_t& seen, int64_t& skipped) const;
  template <class T> struct Work;
  template <class S, class T>
  void evaluate(int bra, const EntryPairs<S>& pairs, const std::vector<KetLanes<S>>& kets, Work<T>& work) const;
  template <class T>
  void contract(const PackedMatrices& m, const SmallDensity& density, ScreeningCount& count) const;
  double scale(int bra, int ket) const;

  const Structure& s_;
  const LanePlan& plan_;
  EngineOptions options_;
  std::vector<double> schwarz_;  // by pair
  Buffer<double> schwarz_by_;    // [d][group][lane of c]
  EntryPairs<double> double_pairs_;
  EntryPairs<float> single_pairs_;
  Stream<double> in_double_;
  Stream<float> in_single_;
  int stored_pairs_ = 0;
};

}  // namespace scfx_simd
