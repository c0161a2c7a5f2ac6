#include "entry.h"

#include <algorithm>
#include <cmath>

namespace scfx_simd {

template <> Entry::Stream<double>& Entry::stream<double>() { return in_double_; }
template <> Entry::Stream<float>& Entry::stream<float>() { return in_single_; }
template <> const Entry::Stream<double>& Entry::stream<double>() const { return in_double_; }
template <> const Entry::Stream<float>& Entry::stream<float>() const { return in_single_; }
template <> const EntryPairs<double>& Entry::pairs_of<double>() const { return double_pairs_; }
template <> const EntryPairs<float>& Entry::pairs_of<float>() const { return single_pairs_; }

namespace {

// Arithmetic of S: its own pairs, of which one is the bra in every lane.
template <class S> struct Arithmetic {
  using V = typename Lanes<S>::V;
  EriWorkspace<S> eri;
  Buffer<V> block, bra_storage, ket_storage;
  PairView<S> bra;
  int bra_is = -1;
};

constexpr auto all_wanted = [](int, const KetBlock&) { return 0u; };

}  // namespace

// What the making of integrals in T needs: float64, too, for those that are rounded.
template <class T> struct Entry::Work {
  Arithmetic<double> in_double;
  Arithmetic<float> in_single;
  // By pair: where its first integral goes and how far from one to the next; null where it is not wanted.
  std::vector<T*> place;
  std::vector<int> step;
  std::vector<char> rounded;  // wanted in float64
  std::vector<int> wanted;
};

Entry::Entry(const Structure& s, const LanePlan& plan, const EngineOptions& options, const PairData& data, int lane,
             int64_t budget)
    : s_(s), plan_(plan), options_(options) {
  for (size_t pair = 0; pair < s.pairs.size(); ++pair) schwarz_.push_back(data.schwarz[pair][lane]);
  const int n_columns = int(plan.groups.size()) * WD;
  schwarz_by_.reset(s.composites.size() * n_columns);
  std::fill_n(schwarz_by_.get(), schwarz_by_.size(), 0.0);
  for (size_t pair = 0; pair < s.pairs.size(); ++pair)
    schwarz_by_[size_t(s.pairs[pair].b) * n_columns + column_of(s.pairs[pair].a)] = schwarz_[pair];
  const double primitives = options.single_from * options.primitive_fraction;
  const double from = std::min({options.double_from, options.rounded_from, options.rounded_from_d});
  if (std::isfinite(from)) double_pairs_ = EntryPairs<double>(s, plan, data, lane, primitives, from);
  if (options.single_from < options.double_from)
    single_pairs_ = EntryPairs<float>(s, plan, data, lane, double(float(primitives)), options.single_from);
  store(budget);
}

double Entry::scale(int bra, int ket) const {
  const PairShape &x = s_.pairs[bra], &y = s_.pairs[ket];
  return (x.a == x.b ? 0.5 : 1.0) * (y.a == y.b ? 0.5 : 1.0) * (bra == ket ? 0.5 : 1.0);
}

template <class T> Entry::Bounds Entry::bounds(int bra, int range) const {
  if (sizeof(T) == 8) return {options_.double_from, HUGE_VAL, HUGE_VAL};
  const bool without_d = s_.pairs[bra].pattern < 0 && s_.pairs[plan_.ranges[range].first].pattern < 0;
  return {options_.single_from, options_.double_from, without_d ? options_.rounded_from : options_.rounded_from_d};
}

// Integrals of one bra with the wanted among kets of one kind, computed in S.
template <class S, class T>
void Entry::evaluate(int bra, const EntryPairs<S>& pairs, const std::vector<KetLanes<S>>& kets, Work<T>& work) const {
  constexpr int W = Lanes<S>::width;
  constexpr bool rounding = sizeof(S) != sizeof(T);
  const auto wanted = [&](int pair) { return work.place[pair] && bool(work.rounded[pair]) == rounding; };
  work.wanted.clear();
  int touched = 0;
  for (const KetLanes<S>& lanes : kets) {
    const size_t before = work.wanted.size();
    for (int x = 0; x < lanes.n; ++x)
      if (wanted(lanes.pair[x])) work.wanted.push_back(lanes.pair[x]);
    touched += work.wanted.size() != before;
  }
  if (!touched) return;
  Arithmetic<S>* of;
  if constexpr (sizeof(S) == 8) of = &work.in_double;
  else of = &work.in_single;
  if (of->bra_is != bra) of->bra = pairs.spread(bra, of->bra_storage);
  of->bra_is = bra;
  const EriOptions<S> options{S(options_.single_from * options_.primitive_fraction), S(options_.inverse_omega_squared)};
  const auto run = [&](const PairView<S>& ket, const int* lanes, int n) {
    const int size = of->bra.shape->nrow * ket.shape->nrow;
    of->block.reset(size);
    eri_block<S>(of->bra, ket, options, of->eri, of->block.get());
    T *to[W], scales[W];
    int step[W], from[W], count = 0;
    for (int x = 0; x < n; ++x) {
      if (!wanted(lanes[x])) continue;
      to[count] = work.place[lanes[x]];
      step[count] = work.step[lanes[x]];
      scales[count] = T(scale(bra, lanes[x]));
      from[count++] = x;
    }
    const S* values = reinterpret_cast<const S*>(of->block.get());
    for (int e = 0; e < size; ++e, values += W)
      for (int x = 0; x < count; ++x) {
        *to[x] = T(values[from[x]]) * scales[x];
        to[x] += step[x];
      }
  };
  // Kets stand in lanes already; they are packed anew where too many of those would compute nothing.
  if (3 * ((work.wanted.size() + W - 1) / W) > 2 * size_t(touched)) {
    for (const KetLanes<S>& lanes : kets)
      if (std::any_of(lanes.pair, lanes.pair + lanes.n, wanted)) run(lanes.view, lanes.pair, lanes.n);
    return;
  }
  for (size_t i = 0; i < work.wanted.size(); i += W) {
    const int n = int(std::min(work.wanted.size() - i, size_t(W)));
    run(pairs.packed(&work.wanted[i], n, of->ket_storage), &work.wanted[i], n);
  }
}

// Blocks of bra pairs [from, to) in precision T, range by range: `drop(bra, block)` says which lanes to leave out,
// `allocate(size)` where they go, and `done(bra, blocks, data)` gets them.
template <class T, class Drop, class Allocate, class Done>
void Entry::generate(int from, int to, Drop drop, Allocate allocate, Done done, int64_t& seen, int64_t& skipped) const {
  if (!(bounds<T>(0, 0).low < bounds<T>(0, 0).high)) return;
  Work<T> work;
  work.place.assign(s_.pairs.size(), nullptr);
  work.step.assign(s_.pairs.size(), 0);
  work.rounded.assign(s_.pairs.size(), 0);
  std::vector<KetBlock> blocks;
  std::vector<int> kets;
  for (int bra = from; bra < to; ++bra)
    for (int range = 0; range < int(plan_.ranges.size()) && plan_.ranges[range].first <= bra; ++range) {
      const Bounds p = bounds<T>(bra, range);
      blocks.clear();
      kets.clear();
      size_t size = 0;
      const int last = std::min(plan_.ranges[range].last, bra + 1);
      KetBlock looked_at{-1, -1, 0};
      unsigned dropped = 0;
      for (int ket = plan_.ranges[range].first; ket < last; ++ket) {
        const double bound = schwarz_[bra] * schwarz_[ket];
        if (bound < p.low || bound >= p.high) continue;
        const PairShape& shape = s_.pairs[ket];
        const int group = plan_.group_of[shape.a];
        if (looked_at.d != shape.b || looked_at.group != group) {
          looked_at = {shape.b, int16_t(group), 0};
          dropped = drop(bra, looked_at);
        }
        ++seen;
        if (dropped >> plan_.lane(shape.a) & 1) {
          ++skipped;
          continue;
        }
        if (blocks.empty() || blocks.back().d != shape.b || blocks.back().group != group)
          blocks.push_back({shape.b, int16_t(group), 0});
        blocks.back().mask = uint16_t(blocks.back().mask | 1 << plan_.lane(shape.a));
        work.rounded[ket] = bound >= p.rounded_from;
        kets.push_back(ket);
        size += size_t(s_.pairs[bra].nrow) * shape.nrow;
      }
      if (kets.empty()) continue;
      T* const data = allocate(size);
      T* at = data;
      const int* ket = kets.data();
      for (const KetBlock& block : blocks) {
        const int count = __builtin_popcount(block.mask);
        for (int rank = 0; rank < count; ++rank) {
          work.place[ket[rank]] = at + rank;
          work.step[ket[rank]] = count;
        }
        at += size_t(s_.pairs[bra].nrow) * s_.pairs[*ket].nrow * count;
        ket += count;
      }
      for (size_t kind = 0; kind < plan_.ranges[range].kinds.size(); ++kind) {
        evaluate<T, T>(bra, pairs_of<T>(), pairs_of<T>().kets(range, int(kind)), work);
        if constexpr (sizeof(T) == 4)
          if (std::isfinite(p.rounded_from))
            evaluate<double, T>(bra, double_pairs_, double_pairs_.kets(range, int(kind)), work);
      }
      for (const int x : kets) work.place[x] = nullptr;
      done(bra, blocks, data);
    }
}

int64_t Entry::bytes_of(int bra, bool in_double) const {
  const double low = in_double ? options_.double_from : options_.single_from;
  const double high = in_double ? HUGE_VAL : options_.double_from;
  int64_t functions = 0;
  for (int ket = 0; ket <= bra; ++ket) {
    const double bound = schwarz_[bra] * schwarz_[ket];
    if (!(bound < low || bound >= high)) functions += s_.pairs[ket].nrow;
  }
  return functions * s_.pairs[bra].nrow * (in_double ? sizeof(double) : sizeof(float));
}

void Entry::store(int64_t budget) {
  constexpr int64_t beyond = WD * sizeof(double);  // may be read, not used
  const bool singles = options_.single_from < options_.double_from;
  int64_t in_double = 0, in_single = 0;
  for (stored_pairs_ = 0; stored_pairs_ < int(s_.pairs.size()); ++stored_pairs_) {
    const int64_t more_double = bytes_of(stored_pairs_, true), more_single = singles ? bytes_of(stored_pairs_, false) : 0;
    if (in_double + in_single + more_double + more_single + 2 * beyond > budget) break;
    in_double += more_double;
    in_single += more_single;
  }
  if (in_double) in_double_.data = Arena(size_t(in_double + beyond));
  if (in_single) in_single_.data = Arena(size_t(in_single + beyond));
  const auto make = [&](auto zero) {
    using T = decltype(zero);
    int64_t seen = 0, skipped = 0;
    Stream<T>& to = stream<T>();
    T* end = reinterpret_cast<T*>(to.data.data());
    to.end.assign(stored_pairs_, 0);
    generate<T>(
        0, stored_pairs_, all_wanted, [&](size_t size) { T* at = end; end += size; return at; },
        [&](int bra, const std::vector<KetBlock>& blocks, const T*) {
          to.blocks.insert(to.blocks.end(), blocks.begin(), blocks.end());
          to.end[bra] = to.blocks.size();
        },
        seen, skipped);
    for (int bra = 1; bra < stored_pairs_; ++bra) to.end[bra] = std::max(to.end[bra], to.end[bra - 1]);
  };
  make(double(0));
  make(float(0));
}

Entry::SmallDensity Entry::small_density(const double* density) const {
  SmallDensity out;
  double largest = 0.0;
  const auto grow = [](double& most, double x) {
    const double size = x < 0 ? -x : x;
    if (most < size) most = size;
  };
  const size_t width = plan_.width;
  for (int x = 0; x < s_.nao; ++x)
    for (size_t y = 0; y < width; ++y) grow(largest, density[x * width + y]);
  if (!(largest < small_element) || !(0.0 < largest)) return out;
  out.screen = true;
  out.n_columns = int(plan_.groups.size()) * WD;
  const int n = int(s_.composites.size());
  out.largest.reset(size_t(n) * out.n_columns);
  out.largest_by_second.reset(size_t(n) * out.n_columns);
  std::fill_n(out.largest.get(), size_t(n) * out.n_columns, 0.0);
  std::fill_n(out.largest_by_second.get(), size_t(n) * out.n_columns, 0.0);
  for (int a = 0; a < n; ++a)
    for (int b = 0; b < n; ++b) {
      double most = 0.0;
      const Composite &A = s_.composites[a], &B = s_.composites[b];
      for (int i = A.first; i < A.first + A.nfunc; ++i)
        for (int j = 0; j < B.nfunc; ++j) grow(most, density[i * width + plan_.column(b) + j * WD]);
      out.largest[size_t(a) * out.n_columns + column_of(b)] = most;
      out.largest_by_second[size_t(b) * out.n_columns + column_of(a)] = most;
    }
  return out;
}

// Lanes of the block in which no integral, times an element of the density that it meets, reaches `negligible_from`.
unsigned Entry::negligible(const SmallDensity& density, int bra, const KetBlock& block, bool exchange) const {
  const PairShape& x = s_.pairs[bra];
  const size_t column = size_t(block.group) * WD, n = density.n_columns;
  const auto lanes = [&](const Buffer<double>& from, int row) {
    return *reinterpret_cast<const vd*>(from.get() + row * n + column);
  };
  const auto larger = [](vd a, vd b) { return select(less(a, b), b, a); };
  vd most = larger(splat(density.between(x.a, column_of(x.b))), lanes(density.largest_by_second, block.d));
  if (exchange) {
    const double to_d = std::max(density.between(x.a, column_of(block.d)), density.between(x.b, column_of(block.d)));
    most = larger(larger(most, splat(to_d)), larger(lanes(density.largest, x.a), lanes(density.largest, x.b)));
  }
  return unsigned(bits(less(splat(schwarz_[bra]) * lanes(schwarz_by_, block.d) * most, splat(options_.negligible_from))));
}

template <class T>
void Entry::contract(const PackedMatrices& m, const SmallDensity& density, ScreeningCount& count) const {
  KetWorkspace work;
  int64_t seen = 0, skipped = 0;
  const auto block_of = [&](const T*& g, int bra, const KetBlock& block) {
    unsigned dropped = 0;
    if (density.screen) {
      dropped = negligible(density, bra, block, m.exchange != nullptr) & block.mask;
      seen += __builtin_popcount(block.mask);
      skipped += __builtin_popcount(dropped);
    }
    jk_block<T>(g, s_, plan_, s_.pairs[bra], block, dropped, m, work);
    const LanePlan::Group& group = plan_.groups[block.group];
    g += size_t(s_.pairs[bra].nrow) * group.nfunc * s_.composites[block.d].nfunc * __builtin_popcount(block.mask);
  };
  const Stream<T>& stored = stream<T>();
  const T* g = reinterpret_cast<const T*>(stored.data.data());
  size_t at = 0;
  for (int bra = 0; bra < stored_pairs_; ++bra)
    for (; at < stored.end[bra]; ++at) block_of(g, bra, stored.blocks[at]);
  // Beyond the budget: the same blocks in the same order, recomputed.
  Buffer<T> staging;
  const auto drop = [&](int bra, const KetBlock& block) {
    return density.screen ? negligible(density, bra, block, m.exchange != nullptr) : 0u;
  };
  const auto allocate = [&](size_t size) { staging.reset(size + WD); return staging.get(); };
  const auto done = [&](int bra, const std::vector<KetBlock>& blocks, const T* data) {
    for (const KetBlock& block : blocks) {
      jk_block<T>(data, s_, plan_, s_.pairs[bra], block, 0, m, work);
      const LanePlan::Group& group = plan_.groups[block.group];
      data += size_t(s_.pairs[bra].nrow) * group.nfunc * s_.composites[block.d].nfunc * __builtin_popcount(block.mask);
    }
  };
  const int total = int(s_.pairs.size());
  generate<T>(stored_pairs_, total, drop, allocate, done, seen, skipped);
  if (!density.screen) return;
  count.seen += seen;
  count.skipped += skipped;
}

void Entry::coulomb_exchange(const double* density, int nspin, double* J, double* K, ScreeningCount& count) const {
  const size_t n = s_.nao, width = plan_.width;
  std::vector<int> column(n);
  for (size_t c = 0; c < s_.composites.size(); ++c)
    for (int f = 0; f < s_.composites[c].nfunc; ++f) column[s_.composites[c].first + f] = plan_.column(int(c)) + f * WD;
  Buffer<double> by_first(n * width), by_second(J ? n * width : 0), Jp(J ? n * width : 0), Kp(K ? n * width : 0);
  for (int spin = 0; spin < nspin; ++spin, density += n * n) {
    for (const Buffer<double>* each : {&by_first, &by_second, &Jp, &Kp}) std::fill_n(each->get(), each->size(), 0.0);
    for (size_t x = 0; x < n; ++x)
      for (size_t y = 0; y < n; ++y) {
        const double d = density[size_t(s_.ao[x]) * n + s_.ao[y]];
        by_first[x * width + column[y]] = d;
        if (J) by_second[y * width + column[x]] = d;
      }
    const PackedMatrices m{by_first.get(), by_second.get(), J ? Jp.get() : nullptr, K ? Kp.get() : nullptr};
    const SmallDensity small = small_density(by_first.get());
    contract<double>(m, small, count);
    contract<float>(m, small, count);
    for (size_t x = 0; x < n; ++x)
      for (size_t y = 0; y < n; ++y) {
        const size_t to = spin * n * n + size_t(s_.ao[x]) * n + s_.ao[y];
        if (J) J[to] = 2 * (Jp[y * width + column[x]] + Jp[x * width + column[y]]);
        if (K) K[to] = Kp[x * width + column[y]] + Kp[y * width + column[x]];
      }
  }
}

void Entry::dense(double* out) const {
  const size_t n = s_.nao;
  std::fill_n(out, n * n * n * n, 0.0);
  const auto scatter = [&](int bra, const KetBlock& block, const auto* g) {
    const PairShape& pair = s_.pairs[bra];
    const Composite &A = s_.composites[pair.a], &B = s_.composites[pair.b], &D = s_.composites[block.d];
    const LanePlan::Group& group = plan_.groups[block.group];
    for (int a = 0; a < A.nfunc; ++a)
      for (int b = 0; b < B.nfunc; ++b)
        for (int c = 0; c < group.nfunc; ++c)
          for (int d = 0; d < D.nfunc; ++d)
            for (unsigned left = block.mask; left; left &= left - 1, ++g) {
              const Composite& C = s_.composites[group.first + __builtin_ctz(left)];
              const size_t i = s_.ao[A.first + a], j = s_.ao[B.first + b], k = s_.ao[C.first + c], l = s_.ao[D.first + d];
              const size_t images[8][4] = {{i, j, k, l}, {j, i, k, l}, {i, j, l, k}, {j, i, l, k},
                                           {k, l, i, j}, {k, l, j, i}, {l, k, i, j}, {l, k, j, i}};
              for (const auto& o : images) out[((o[0] * n + o[1]) * n + o[2]) * n + o[3]] += double(*g);
            }
    return g;
  };
  const auto both = [&](auto zero) {
    using T = decltype(zero);
    const Stream<T>& stored = stream<T>();
    const T* g = reinterpret_cast<const T*>(stored.data.data());
    size_t at = 0;
    for (int bra = 0; bra < stored_pairs_; ++bra)
      for (; at < stored.end[bra]; ++at) g = scatter(bra, stored.blocks[at], g);
    Buffer<T> staging;
    int64_t seen = 0, skipped = 0;
    generate<T>(
        stored_pairs_, int(s_.pairs.size()), all_wanted,
        [&](size_t size) { staging.reset(size); return staging.get(); },
        [&](int bra, const std::vector<KetBlock>& blocks, const T* data) {
          for (const KetBlock& block : blocks) data = scatter(bra, block, data);
        },
        seen, skipped);
  };
  both(double(0));
  both(float(0));
}

}  // namespace scfx_simd
