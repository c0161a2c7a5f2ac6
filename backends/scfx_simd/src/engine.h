// Two-electron integrals of a batch: stored in a budget, recomputed beyond it, contracted on request.
#pragma once

#include <memory>

#include "arena.h"
#include "engine_options.h"
#include "entry.h"
#include "eri.h"
#include "jk.h"

namespace scfx_simd {

struct BatchInput {
  int n;
  const double *position, *exponent, *coefficient;  // [n][natm*3], [n][nprim], [n][nprim]
};

// Entries first, first + 1, ... as lanes. `centred`: about each centroid, where float32 resolves positions best.
Geometry pack_geometry(const Structure& s, const BatchInput& input, int first, bool centred);

// Stored blocks of one group of WD conformers in one precision, in canonical order.
template <class T> struct Stream {
  struct Run { int bra, first, n; };  // kets [first, first + n) have one shape
  std::vector<Run> runs;
  std::vector<int> kets;
  Arena data;

  void append(const std::vector<PairPlace>& places, int bra, int ket) {
    const bool same = !runs.empty() && runs.back().bra == bra && places[kets.back()].na == places[ket].na &&
                      places[kets.back()].nb == places[ket].nb;
    if (!same) runs.push_back({bra, int(kets.size()), 0});
    ++runs.back().n;
    kets.push_back(ket);
  }
  const T* begin() const { return reinterpret_cast<const T*>(data.data()); }
};

struct Group {  // WD conformers
  PairData pairs;
  PairSet<double> double_pairs;
  Stream<double> in_double;
  Stream<float> in_single;
};

// The largest |D| between two composites, lane by lane: what a quartet's integrals can be multiplied with. A lane whose
// density is not small everywhere is not screened: its elements are infinite.
struct DensityBounds {
  bool screen = false;  // in any lane
  MaskOf<double>::type live{};  // lanes whose density is not zero: the others need no integrals, and ask for nothing
  std::vector<vd> largest;  // [composite][composite]
};

class Engine {
 public:
  Engine(Structure structure, const BatchInput& input, const EngineOptions& options);
  // J, K [nactive][nspin][nao][nao] of the entries `lanes`; one of them may be null, which changes no bit of the other
  // but where K is null and blocks are left out for a small density: J alone needs fewer of them.
  void coulomb_exchange(const double* density, int nspin, const int* lanes, int nactive, double* J, double* K);
  void dense(int entry, double* out);  // (ij|kl), [nao]^4, as J and K see them
  int64_t stored_bytes() const;
  int64_t recomputed_pairs() const;
  // Blocks of integrals that J and K have looked at and left out for every lane, since the engine was made.
  int64_t skipped_blocks() const { return count_.skipped; }
  int64_t seen_blocks() const { return count_.seen; }

 private:
  static constexpr int per_team = WF / WD;  // groups that share a float32 vector
  struct Team {
    std::vector<Group> groups;
    PairSet<float> single_pairs;
    int mask = 0;          // groups that hold entries and not only padding
    int stored_pairs = 0;  // bra pairs before this one are stored
  };

  void prepare(Team& team, int index, const BatchInput& input);
  void store(Team& team, int64_t budget);
  template <class T, class Drop, class Destination, class Done>
  void generate(Team& team, int group_mask, int from, int to, Drop drop, Destination destination, Done done);
  double rounded_from(int bra, int ket) const {
    return s_.pairs[bra].pattern < 0 && s_.pairs[ket].pattern < 0 ? options_.rounded_from : options_.rounded_from_d;
  }
  DensityBounds density_bounds(const vd* density) const;
  MaskOf<double>::type negligible(const Group& group, const DensityBounds& density, int bra, int ket,
                                  bool exchange) const;
  template <class T>
  void contract_stored(const Group& group, const Stream<T>& stored, const DensityBounds& density,
                       const Matrices& m) const;

  Structure s_;
  EngineOptions options_;
  int n_entries_;
  std::vector<PairPlace> places_;  // by pair
  int in_teams_;                   // entries before this one are lanes of teams, the others have lanes of their own
  std::vector<Team> teams_;
  std::unique_ptr<LanePlan> plan_;
  std::vector<std::unique_ptr<Entry>> alone_;
  mutable ScreeningCount count_;
};

}  // namespace scfx_simd
