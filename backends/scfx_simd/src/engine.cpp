#include "engine.h"

#include <algorithm>

#include "parallel.h"

namespace scfx_simd {

namespace {

using Mask = MaskOf<double>::type;

template <class T> const PairSet<T>& pairs_of(const PairSet<double>& d, const PairSet<float>& f);
template <> const PairSet<double>& pairs_of<double>(const PairSet<double>& d, const PairSet<float>&) { return d; }
template <> const PairSet<float>& pairs_of<float>(const PairSet<double>&, const PairSet<float>& f) { return f; }

}  // namespace

Geometry pack_geometry(const Structure& s, const BatchInput& input, int first, bool centred) {
  Geometry g;
  g.position.resize(size_t(3) * s.natm);
  g.exponent.resize(s.nprim);
  g.coefficient.resize(s.nprim);
  for (int lane = 0; lane < WD; ++lane) {
    // Short groups repeat the last entry; the repeated lanes are never read.
    const size_t entry = std::min(first + lane, input.n - 1);
    const double* position = input.position + entry * 3 * s.natm;
    double centroid[3] = {0, 0, 0};
    if (centred)
      for (int k = 0; k < 3 * s.natm; ++k) centroid[k % 3] += position[k] / s.natm;
    for (int k = 0; k < 3 * s.natm; ++k) g.position[k][lane] = position[k] - centroid[k % 3];
    for (int k = 0; k < s.nprim; ++k) {
      g.exponent[k][lane] = input.exponent[entry * s.nprim + k];
      g.coefficient[k][lane] = input.coefficient[entry * s.nprim + k];
    }
  }
  return g;
}

Engine::Engine(Structure structure, const BatchInput& input, const EngineOptions& options)
    : s_(std::move(structure)), options_(options), n_entries_(input.n) {
  for (const PairShape& pair : s_.pairs) {
    const Composite &a = s_.composites[pair.a], &b = s_.composites[pair.b];
    places_.push_back({a.first, a.nfunc, b.first, b.nfunc});
  }
  const int rest = n_entries_ % WD;
  in_teams_ = rest <= most_alone ? n_entries_ - rest : n_entries_;
  const int n_groups = (in_teams_ + WD - 1) / WD;
  teams_.resize((n_groups + per_team - 1) / per_team);
  for (Team& team : teams_) team.groups.resize(per_team);
  alone_.resize(n_entries_ - in_teams_);
  if (!alone_.empty()) plan_ = std::make_unique<LanePlan>(s_);
  const int64_t share = options_.budget / n_entries_;
  parallel(options_.threads, int(teams_.size() + (alone_.empty() ? 0 : 1)), [&](int i) {
    if (i == int(teams_.size())) {
      PairData pairs;
      fill_pairs(s_, pack_geometry(s_, input, in_teams_, true), pairs);
      fill_bounds(s_, pairs, options_.inverse_omega_squared);
      for (int k = 0; k < int(alone_.size()); ++k)
        alone_[k] = std::make_unique<Entry>(s_, *plan_, options_, pairs, k, share);
      return;
    }
    prepare(teams_[i], i, input);
    store(teams_[i], share * std::min(per_team * WD, in_teams_ - i * per_team * WD));
  });
}

void Engine::prepare(Team& team, int index, const BatchInput& input) {
  const PairData* pointers[per_team];
  for (int i = 0; i < per_team; ++i) {
    Group& group = team.groups[i];
    const Geometry g = pack_geometry(s_, input, (index * per_team + i) * WD, true);
    fill_pairs(s_, g, group.pairs);
    fill_bounds(s_, group.pairs, options_.inverse_omega_squared);
    const PairData* self = &group.pairs;
    if ((index * per_team + i) * WD < in_teams_) team.mask |= 1 << i;
    const double from = std::min({options_.double_from, options_.rounded_from, options_.rounded_from_d});
    if (std::isfinite(from) && (team.mask >> i & 1))
      compress_pairs<double>(s_, &self, options_.single_from * options_.primitive_fraction, from, group.double_pairs);
    pointers[i] = self;
  }
  if (options_.single_from < options_.double_from)
    compress_pairs<float>(s_, pointers, float(options_.single_from * options_.primitive_fraction),
                          options_.single_from, team.single_pairs);
  for (Group& group : team.groups) {
    group.pairs.geometry = Buffer<vd>();
    group.pairs.parameter = Buffer<vd>();
  }
}

DensityBounds Engine::density_bounds(const vd* density) const {
  const int n = int(s_.composites.size());
  DensityBounds out;
  vd largest{};
  const auto grow = [](vd& most, vd x) {
    const vd size = select(less(x, vd{}), -x, x);
    most = select(less(most, size), size, most);
  };
  for (size_t e = 0; e < size_t(s_.nao) * s_.nao; ++e) grow(largest, density[e]);
  const auto small = less(largest, splat(small_element));
  out.live = less(vd{}, largest);
  if (!any(Mask(small & out.live))) return out;
  out.screen = true;
  out.largest.assign(size_t(n) * n, vd{});
  for (int a = 0; a < n; ++a)
    for (int b = 0; b < n; ++b) {
      vd& most = out.largest[size_t(a) * n + b];
      const Composite &A = s_.composites[a], &B = s_.composites[b];
      for (int i = A.first; i < A.first + A.nfunc; ++i)
        for (int j = B.first; j < B.first + B.nfunc; ++j) grow(most, density[size_t(i) * s_.nao + j]);
      most = select(small, most, splat(double(HUGE_VAL)));
    }
  return out;
}

// Lanes in which no integral of the block, times an element of the density that it meets, reaches `negligible_from`.
Mask Engine::negligible(const Group& group, const DensityBounds& density, int bra, int ket, bool exchange) const {
  const int n = int(s_.composites.size());
  const PairShape &x = s_.pairs[bra], &y = s_.pairs[ket];
  vd most = density.largest[size_t(x.a) * n + x.b];
  const auto grow = [&](int a, int b) {
    const vd other = density.largest[size_t(a) * n + b];
    most = select(less(most, other), other, most);
  };
  grow(y.a, y.b);
  if (exchange) {
    grow(x.a, y.a);
    grow(x.a, y.b);
    grow(x.b, y.a);
    grow(x.b, y.b);
  }
  return less(group.pairs.schwarz[bra] * group.pairs.schwarz[ket] * most, splat(options_.negligible_from));
}

template <class T>
void Engine::contract_stored(const Group& group, const Stream<T>& stored, const DensityBounds& density,
                             const Matrices& m) const {
  const T* g = stored.begin();
  if (!density.screen) {
    for (const auto& run : stored.runs)
      g = jk_run<T>(g, places_[run.bra], places_.data(), &stored.kets[run.first], run.n, m);
    return;
  }
  Buffer<T> masked;
  int64_t skipped = 0, seen = 0;
  for (const auto& run : stored.runs) {
    const PairPlace &x = places_[run.bra], &y = places_[stored.kets[run.first]];
    const size_t size = size_t(x.na) * x.nb * y.na * y.nb * WD;
    const int end = run.first + run.n;
    for (int k = run.first; k < end;) {
      // Blocks that all lanes need go through together; others are skipped, or copied with some lanes cleared.
      int whole = k;
      Mask dropped{};
      for (; whole < end; ++whole) {
        dropped = negligible(group, density, run.bra, stored.kets[whole], m.exchange != nullptr);
        if (any(Mask(dropped & density.live))) break;
      }
      if (whole > k) g = jk_run<T>(g, x, places_.data(), &stored.kets[k], whole - k, m);
      seen += whole - k;
      k = whole;
      if (k == end) break;
      ++seen;
      if (all(dropped)) {
        ++skipped;
      } else {
        masked.reset(size);
        const vd keep = zero_where(dropped, splat(1.0));
        for (size_t e = 0; e < size; e += WD)
          for (int lane = 0; lane < WD; ++lane) masked[e + lane] = keep[lane] == 0.0 ? T(0) : g[e + lane];
        jk_run<T>(masked.get(), x, places_.data(), &stored.kets[k], 1, m);
      }
      g += size;
      ++k;
    }
  }
  count_.skipped += skipped;
  count_.seen += seen;
}

// Blocks of bra pairs [from, to) in precision T, each written for the groups of `group_mask` where
// `destination(group, bra, ket, size)` says, then announced by `done(group, bra, ket, data)`. Lanes of `drop(group, bra,
// ket)` are zero.
template <class T, class Drop, class Destination, class Done>
void Engine::generate(Team& team, int group_mask, int from, int to, Drop drop, Destination destination, Done done) {
  using V = typename Lanes<T>::V;
  constexpr bool is_double = sizeof(T) == 8;
  constexpr int n_groups = is_double ? 1 : per_team;
  const double low = is_double ? options_.double_from : options_.single_from;
  const double high = is_double ? HUGE_VAL : options_.double_from;
  if (!(low < high)) return;
  const EriOptions<T> eri{T(options_.single_from * options_.primitive_fraction), T(options_.inverse_omega_squared)};
  const EriOptions<double> exact{options_.single_from * options_.primitive_fraction, options_.inverse_omega_squared};
  EriWorkspace<T> work;
  EriWorkspace<double> exact_work;
  Buffer<V> block;
  Buffer<vd> exact_block;
  const vd vlow = splat(low), vhigh = splat(high);
  for (int first = 0; first < per_team; first += n_groups) {
    if (!((group_mask >> first) & ((1 << n_groups) - 1))) continue;
    const PairSet<T>& set = pairs_of<T>(team.groups[first].double_pairs, team.single_pairs);
    for (int bra = from; bra < to; ++bra)
      for (int ket = 0; ket <= bra; ++ket) {
        bool wanted[n_groups], computed = false;
        Mask dropped[n_groups], rounded[n_groups];
        const vd from_rounded = splat(is_double ? double(HUGE_VAL) : rounded_from(bra, ket));
        for (int i = 0; i < n_groups; ++i) {
          const Buffer<vd>& schwarz = team.groups[first + i].pairs.schwarz;
          const vd bound = schwarz[bra] * schwarz[ket];
          dropped[i] = Mask(less(bound, vlow) | at_least(bound, vhigh));
          if ((group_mask >> (first + i) & 1) && !all(dropped[i])) dropped[i] = Mask(dropped[i] | drop(first + i, bra, ket));
          rounded[i] = at_least(bound, from_rounded);
          wanted[i] = (group_mask >> (first + i) & 1) && !all(dropped[i]);
          computed |= wanted[i] && !all(Mask(dropped[i] | rounded[i]));
        }
        if (!computed && !std::any_of(wanted, wanted + n_groups, [](bool x) { return x; })) continue;
        const PairShape &x = s_.pairs[bra], &y = s_.pairs[ket];
        const int n = x.nrow * y.nrow;
        block.reset(n);
        if (computed) eri_block<T>(set.views[bra], set.views[ket], eri, work, block.get());
        const T scale = T((x.a == x.b ? 0.5 : 1.0) * (y.a == y.b ? 0.5 : 1.0) * (bra == ket ? 0.5 : 1.0));
        for (int i = 0; i < n_groups; ++i) {
          if (!wanted[i]) continue;
          T* out = destination(first + i, bra, ket, n);
          T keep[WD];
          for (int lane = 0; lane < WD; ++lane) keep[lane] = scale;
          if (any(dropped[i])) {
            const vd factor = zero_where(dropped[i], splat(1.0));
            for (int lane = 0; lane < WD; ++lane) keep[lane] = T(factor[lane] * scale);
          }
          if (computed) {
            const T* from_block = reinterpret_cast<const T*>(block.get()) + i * WD;
            for (int e = 0; e < n; ++e)
              for (int lane = 0; lane < WD; ++lane)
                out[e * WD + lane] = from_block[e * Lanes<T>::width + lane] * keep[lane];
          } else {
            // Every lane that counts is written below; the dropped ones must not keep what lay in the memory.
            std::fill_n(out, size_t(n) * WD, T(0));
          }
          if (any(rounded[i])) {
            const PairSet<double>& pairs = team.groups[first + i].double_pairs;
            exact_block.reset(n);
            eri_block<double>(pairs.views[bra], pairs.views[ket], exact, exact_work, exact_block.get());
            const vd replace = splat(1.0) - zero_where(rounded[i], splat(1.0));
            for (int lane = 0; lane < WD; ++lane)
              if (replace[lane] != 0.0)
                for (int e = 0; e < n; ++e) out[e * WD + lane] = T(exact_block[e][lane]) * keep[lane];
          }
          done(first + i, bra, ket, out);
        }
      }
  }
}

void Engine::store(Team& team, int64_t budget) {
  // What each bra pair needs, exactly: then the arena is one block and nothing moves.
  const int n_pairs = int(s_.pairs.size());
  std::vector<size_t> in_double(per_team, 0), in_single(per_team, 0);
  int64_t total = 0;
  const vd from_single = splat(options_.single_from), from_double = splat(options_.double_from);
  for (team.stored_pairs = 0; team.stored_pairs < n_pairs; ++team.stored_pairs) {
    const int bra = team.stored_pairs;
    std::vector<size_t> row_double(per_team, 0), row_single(per_team, 0);
    int64_t row = 0;
    for (int i = 0; i < per_team; ++i) {
      if (!(team.mask >> i & 1)) continue;
      const Buffer<vd>& schwarz = team.groups[i].pairs.schwarz;
      for (int ket = 0; ket <= bra; ++ket) {
        const vd bound = schwarz[bra] * schwarz[ket];
        const size_t n = size_t(s_.pairs[bra].nrow) * s_.pairs[ket].nrow * WD;
        const auto below_single = less(bound, from_single), below_double = less(bound, from_double);
        if (!all(below_double)) row_double[i] += n * sizeof(double);
        if (options_.single_from < options_.double_from &&
            !all(Mask(below_single | at_least(bound, from_double))))
          row_single[i] += n * sizeof(float);
      }
      row += int64_t(row_double[i] + row_single[i]);
    }
    if (total + row > budget) break;
    total += row;
    for (int i = 0; i < per_team; ++i) {
      in_double[i] += row_double[i];
      in_single[i] += row_single[i];
    }
  }
  std::vector<double*> double_end(per_team);
  std::vector<float*> single_end(per_team);
  for (int i = 0; i < per_team; ++i) {
    team.groups[i].in_double.data = Arena(in_double[i]);
    team.groups[i].in_single.data = Arena(in_single[i]);
    double_end[i] = reinterpret_cast<double*>(team.groups[i].in_double.data.data());
    single_end[i] = reinterpret_cast<float*>(team.groups[i].in_single.data.data());
  }
  const auto nothing = [](int, int, int) { return Mask{}; };
  generate<double>(
      team, team.mask, 0, team.stored_pairs, nothing,
      [&](int i, int, int, int n) { double* at = double_end[i]; double_end[i] += size_t(n) * WD; return at; },
      [&](int i, int bra, int ket, double*) { team.groups[i].in_double.append(places_, bra, ket); });
  generate<float>(
      team, team.mask, 0, team.stored_pairs, nothing,
      [&](int i, int, int, int n) { float* at = single_end[i]; single_end[i] += size_t(n) * WD; return at; },
      [&](int i, int bra, int ket, float*) { team.groups[i].in_single.append(places_, bra, ket); });
}

void Engine::coulomb_exchange(const double* density, int nspin, const int* lanes, int nactive, double* J, double* K) {
  const int n = s_.nao;
  const size_t n2 = size_t(n) * n;
  std::vector<int> slot_of(std::max(teams_.size() * per_team * WD, size_t(n_entries_)), -1);
  for (int i = 0; i < nactive; ++i) slot_of[lanes[i]] = i;
  parallel(options_.threads, int(teams_.size() + alone_.size()), [&](int index) {
    if (index >= int(teams_.size())) {
      const int slot = slot_of[in_teams_ + index - int(teams_.size())];
      if (slot < 0) return;
      const size_t base = size_t(slot) * nspin * n2;
      alone_[index - teams_.size()]->coulomb_exchange(density + base, nspin, J ? J + base : nullptr,
                                                      K ? K + base : nullptr, count_);
      return;
    }
    Team& team = teams_[index];
    int mask = 0;
    for (int i = 0; i < per_team; ++i)
      for (int lane = 0; lane < WD; ++lane)
        if ((index * per_team + i) * WD + lane < in_teams_ && slot_of[(index * per_team + i) * WD + lane] >= 0) mask |= 1 << i;
    if (!mask) return;
    Buffer<vd> D(n2 * per_team), Jp(J ? n2 * per_team : 1), Kp(K ? n2 * per_team : 1);
    Buffer<double> staging_double;
    Buffer<float> staging_single;
    for (int spin = 0; spin < nspin; ++spin) {
      Matrices m[per_team];
      DensityBounds bounds[per_team];
      const auto drop = [&](int i, int bra, int ket) {
        if (!bounds[i].screen) return Mask{};
        const Mask out = negligible(team.groups[i], bounds[i], bra, ket, K != nullptr);
        ++count_.seen;
        if (all(out)) ++count_.skipped;
        return out;
      };
      for (int i = 0; i < per_team; ++i) {
        if (!(mask >> i & 1)) continue;
        const int* slot = &slot_of[(index * per_team + i) * WD];
        vd *d = D.get() + i * n2, *j = J ? Jp.get() + i * n2 : nullptr, *k = K ? Kp.get() + i * n2 : nullptr;
        if (J)
          for (size_t e = 0; e < n2; ++e) j[e] = vd{};
        if (K)
          for (size_t e = 0; e < n2; ++e) k[e] = vd{};
        for (int lane = 0; lane < WD; ++lane) {
          const double* from = slot[lane] < 0 ? nullptr : density + (size_t(slot[lane]) * nspin + spin) * n2;
          for (int x = 0; x < n; ++x)
            for (int y = 0; y < n; ++y)
              d[size_t(x) * n + y][lane] = from ? from[size_t(s_.ao[x]) * n + s_.ao[y]] : 0.0;
        }
        m[i] = {n, d, j, k};
        bounds[i] = density_bounds(d);
        contract_stored<double>(team.groups[i], team.groups[i].in_double, bounds[i], m[i]);
      }
      // Beyond the budget: the same blocks in the same order, recomputed, so that the bits do not depend on the budget.
      const int total = int(s_.pairs.size());
      if (team.stored_pairs < total)
        generate<double>(
            team, mask, team.stored_pairs, total, drop,
            [&](int, int, int, int size) { staging_double.reset(size_t(size) * WD); return staging_double.get(); },
            [&](int i, int bra, int ket, const double* g) {
              jk_run<double>(g, places_[bra], places_.data(), &ket, 1, m[i]);
            });
      for (int i = 0; i < per_team; ++i)
        if (mask >> i & 1) contract_stored<float>(team.groups[i], team.groups[i].in_single, bounds[i], m[i]);
      if (team.stored_pairs < total)
        generate<float>(
            team, mask, team.stored_pairs, total, drop,
            [&](int, int, int, int size) { staging_single.reset(size_t(size) * WD); return staging_single.get(); },
            [&](int i, int bra, int ket, const float* g) {
              jk_run<float>(g, places_[bra], places_.data(), &ket, 1, m[i]);
            });
      for (int i = 0; i < per_team; ++i) {
        if (!(mask >> i & 1)) continue;
        for (int lane = 0; lane < WD; ++lane) {
          const int slot = slot_of[(index * per_team + i) * WD + lane];
          if (slot < 0) continue;
          const size_t base = (size_t(slot) * nspin + spin) * n2;
          for (int x = 0; x < n; ++x)
            for (int y = 0; y < n; ++y) {
              const size_t to = base + size_t(s_.ao[x]) * n + s_.ao[y];
              const size_t xy = size_t(x) * n + y, yx = size_t(y) * n + x;
              if (J) J[to] = 2 * (m[i].coulomb[xy][lane] + m[i].coulomb[yx][lane]);
              if (K) K[to] = m[i].exchange[xy][lane] + m[i].exchange[yx][lane];
            }
        }
      }
    }
  });
}

void Engine::dense(int entry, double* out) {
  if (entry >= in_teams_) return alone_[entry - in_teams_]->dense(out);
  const int wanted = entry % (per_team * WD) / WD, lane = entry % WD, total = int(s_.pairs.size());
  Team& team = teams_[entry / (per_team * WD)];
  const size_t n = s_.nao;
  std::fill(out, out + n * n * n * n, 0.0);
  const auto scatter = [&](int bra, int ket, const auto* g) {
    const PairPlace &x = places_[bra], &y = places_[ket];
    for (int a = 0; a < x.na; ++a)
      for (int b = 0; b < x.nb; ++b)
        for (int c = 0; c < y.na; ++c)
          for (int d = 0; d < y.nb; ++d, g += WD) {
            const size_t i = s_.ao[x.a + a], j = s_.ao[x.b + b], k = s_.ao[y.a + c], l = s_.ao[y.b + d];
            const size_t images[8][4] = {{i, j, k, l}, {j, i, k, l}, {i, j, l, k}, {j, i, l, k},
                                         {k, l, i, j}, {k, l, j, i}, {l, k, i, j}, {l, k, j, i}};
            for (const auto& o : images) out[((o[0] * n + o[1]) * n + o[2]) * n + o[3]] += double(g[lane]);
          }
    return g;
  };
  const auto stored = [&](const auto& stream) {
    auto g = stream.begin();
    for (const auto& run : stream.runs)
      for (int k = run.first; k < run.first + run.n; ++k) g = scatter(run.bra, stream.kets[k], g);
  };
  stored(team.groups[wanted].in_double);
  stored(team.groups[wanted].in_single);
  Buffer<double> staging_double;
  Buffer<float> staging_single;
  const auto nothing = [](int, int, int) { return Mask{}; };
  generate<double>(
      team, 1 << wanted, team.stored_pairs, total, nothing,
      [&](int, int, int, int size) { staging_double.reset(size_t(size) * WD); return staging_double.get(); },
      [&](int, int bra, int ket, const double* g) { scatter(bra, ket, g); });
  generate<float>(
      team, 1 << wanted, team.stored_pairs, total, nothing,
      [&](int, int, int, int size) { staging_single.reset(size_t(size) * WD); return staging_single.get(); },
      [&](int, int bra, int ket, const float* g) { scatter(bra, ket, g); });
}

int64_t Engine::stored_bytes() const {
  int64_t out = 0;
  for (const Team& team : teams_)
    for (const Group& group : team.groups) out += int64_t(group.in_double.data.size() + group.in_single.data.size());
  for (const auto& entry : alone_) out += entry->stored_bytes();
  return out;
}

int64_t Engine::recomputed_pairs() const {
  int64_t out = 0;
  for (const auto& entry : alone_) out += entry->recomputed_pairs();
  for (const Team& team : teams_) out += int64_t(s_.pairs.size()) - team.stored_pairs;
  return out;
}

}  // namespace scfx_simd
