// SPDX-License-Identifier: Apache-2.0
// Which bytes a step moves between tiles, and the buffers it needs while they are there.
#include <algorithm>
#include <unordered_set>

#include "internal.hpp"

namespace host_poplar {

namespace {

constexpr std::uint64_t alignment = 8; // a 64-bit load's

/// A contiguous piece that one tile sends; every receiver listens to the same message.
struct Sent {
  unsigned tile;
  std::uint32_t variable;
  std::size_t begin;
  std::size_t end;
  bool operator<(const Sent &o) const {
    if (tile != o.tile) return tile < o.tile;
    if (variable != o.variable) return variable < o.variable;
    return begin != o.begin ? begin < o.begin : end < o.end;
  }
  bool operator==(const Sent &o) const {
    return tile == o.tile && variable == o.variable && begin == o.begin && end == o.end;
  }
};

struct Wanted {
  unsigned tile;
  Region region;
};

std::size_t hash_regions(const TensorImpl &t) {
  std::size_t h = t.regions.size();
  const auto mix = [&h](std::size_t x) { h ^= x + 0x9e3779b97f4a7c15u + (h << 6) + (h >> 2); };
  for (const Region &r : t.regions) {
    mix(r.variable);
    mix(r.begin);
    mix(r.end);
  }
  return h;
}

/// A scattered view that a tile gathers once, however many of its vertices read it.
struct Gathered {
  unsigned tile;
  const TensorImpl *tensor;
  std::size_t hash;
  bool operator==(const Gathered &o) const {
    return tile == o.tile && hash == o.hash && (tensor == o.tensor || tensor->regions == o.tensor->regions);
  }
};
struct GatheredHash {
  std::size_t operator()(const Gathered &g) const { return g.hash * 31 + g.tile; }
};

class Accumulator {
public:
  explicit Accumulator(const GraphImpl &graph) : graph_(graph) {
    const std::size_t tiles = graph.target.getNumTiles();
    traffic.received_before.assign(tiles, 0);
    traffic.received_after.assign(tiles, 0);
    traffic.buffers.assign(tiles, 0);
    traffic.messages.assign(tiles, 0);
  }

  std::size_t bytes_of(const Region &r) const { return r.size() * type_size(graph_.variables[r.variable].type); }

  bool lies_on(const Region &r, unsigned tile) const {
    bool local = true;
    for_each_chunk(graph_.variables[r.variable], r.begin, r.end,
                   [&](unsigned t, std::size_t, std::size_t) { local &= t == tile; });
    return local;
  }

  void receive(unsigned tile, const Region &r) {
    for_each_chunk(graph_.variables[r.variable], r.begin, r.end,
                   [&](unsigned from, std::size_t begin, std::size_t end) {
                     if (from == tile) return;
                     move(from, tile, bytes_of({r.variable, begin, end}), traffic.received_before);
                     sent_.push_back({from, r.variable, begin, end});
                   });
  }

  void send_home(unsigned tile, const Region &r) {
    for_each_chunk(graph_.variables[r.variable], r.begin, r.end,
                   [&](unsigned home, std::size_t begin, std::size_t end) {
                     if (home == tile) return;
                     move(tile, home, bytes_of({r.variable, begin, end}), traffic.received_after);
                     ++traffic.messages[tile];
                   });
  }

  void move(unsigned from, unsigned to, std::uint64_t bytes, std::vector<std::uint64_t> &received) {
    received[to] += bytes;
    ++traffic.messages[to];
    const unsigned per_ipu = graph_.target.getTilesPerIPU();
    if (from / per_ipu != to / per_ipu) traffic.inter_ipu += bytes;
  }

  void add_buffer(unsigned tile, std::uint64_t bytes) { traffic.buffers[tile] += round_up(bytes, alignment); }

  void count_sent() {
    std::sort(sent_.begin(), sent_.end());
    sent_.erase(std::unique(sent_.begin(), sent_.end()), sent_.end());
    for (const Sent &s : sent_) ++traffic.messages[s.tile];
    sent_.clear();
  }
  void record_sent(const Sent &s) { sent_.push_back(s); }

  Traffic traffic;

private:
  const GraphImpl &graph_;
  std::vector<Sent> sent_;
};

} // namespace

Traffic compute_set_traffic(const GraphImpl &graph, const ComputeSetImpl &set) {
  Accumulator acc(graph);
  std::vector<Wanted> wanted; // contiguous edges: what overlaps on a tile is received once
  std::unordered_set<Gathered, GatheredHash> gathered;
  std::unordered_map<const TensorImpl *, std::size_t> hashes;

  for (const std::uint32_t id : set.vertices) {
    const VertexInstance &v = graph.vertices[id];
    for (std::size_t f = 0; f < v.fields.size(); ++f) {
      const Direction direction = v.type->fields[f].direction;
      for (const TensorPtr &t : v.fields[f].tensors) {
        const bool contiguous = t->regions.size() <= 1;
        if (t->regions.empty() || (contiguous && acc.lies_on(t->regions[0], v.tile))) continue; // used where it lies
        if (direction == Direction::INPUT) {
          if (contiguous) {
            wanted.push_back({v.tile, t->regions[0]});
            continue;
          }
          const auto [hash, fresh] = hashes.emplace(t.get(), 0);
          if (fresh) hash->second = hash_regions(*t);
          if (!gathered.insert({v.tile, t.get(), hash->second}).second) continue;
        }
        acc.add_buffer(v.tile, t->elements * type_size(t->type));
        for (const Region &r : t->regions) {
          if (direction != Direction::OUTPUT) acc.receive(v.tile, r);
          if (direction != Direction::INPUT) acc.send_home(v.tile, r);
        }
      }
    }
  }

  std::sort(wanted.begin(), wanted.end(), [](const Wanted &a, const Wanted &b) {
    if (a.tile != b.tile) return a.tile < b.tile;
    if (a.region.variable != b.region.variable) return a.region.variable < b.region.variable;
    return a.region.begin < b.region.begin;
  });
  for (std::size_t i = 0; i < wanted.size();) {
    Wanted joined = wanted[i];
    for (++i; i < wanted.size() && wanted[i].tile == joined.tile &&
              wanted[i].region.variable == joined.region.variable && wanted[i].region.begin < joined.region.end;
         ++i)
      joined.region.end = std::max(joined.region.end, wanted[i].region.end);
    acc.add_buffer(joined.tile, acc.bytes_of(joined.region));
    acc.receive(joined.tile, joined.region);
  }
  acc.count_sent();
  return std::move(acc.traffic);
}

Traffic copy_traffic(const GraphImpl &graph, const TensorImpl &source, const TensorImpl &destination) {
  Accumulator acc(graph);
  std::size_t s = 0, d = 0, at_s = 0, at_d = 0;
  while (s < source.regions.size()) {
    const Region &from = source.regions[s];
    const Region &to = destination.regions[d];
    const std::size_t n = std::min(from.size() - at_s, to.size() - at_d);
    for_each_chunk(graph.variables[from.variable], from.begin + at_s, from.begin + at_s + n,
                   [&](unsigned tile_s, std::size_t begin_s, std::size_t end_s) {
                     const std::size_t shift = begin_s - from.begin - at_s;
                     const std::size_t begin = to.begin + at_d + shift;
                     for_each_chunk(graph.variables[to.variable], begin, begin + end_s - begin_s,
                                    [&](unsigned tile_d, std::size_t begin_d, std::size_t end_d) {
                                      if (tile_s == tile_d) return;
                                      acc.move(tile_s, tile_d, acc.bytes_of({to.variable, begin_d, end_d}),
                                               acc.traffic.received_before);
                                      const std::size_t first = begin_s + begin_d - begin;
                                      acc.record_sent({tile_s, from.variable, first, first + end_d - begin_d});
                                    });
                   });
    at_s += n;
    at_d += n;
    if (at_s == from.size()) ++s, at_s = 0;
    if (at_d == to.size()) ++d, at_d = 0;
  }
  acc.count_sent();
  return std::move(acc.traffic);
}

} // namespace host_poplar
