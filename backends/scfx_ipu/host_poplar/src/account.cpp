// SPDX-License-Identifier: Apache-2.0
// Bytes of every tile by kind, and what every step of the programs moves and computes.
#include <algorithm>
#include <numeric>
#include <set>

#include "internal.hpp"
#include "registry.hpp"

namespace host_poplar {

namespace {

// Assumptions; docs/host-poplar.md, "Bytes on a tile", gives their grounds.
constexpr std::uint64_t variable_alignment = 8;
constexpr std::uint64_t bytes_per_message = 8;
constexpr std::uint64_t control_bytes_per_vertex = 8;
constexpr std::uint64_t control_bytes_per_step = 16;

std::uint64_t largest(const std::vector<std::uint64_t> &v) {
  return v.empty() ? 0 : *std::max_element(v.begin(), v.end());
}
std::uint64_t sum(const std::vector<std::uint64_t> &v) {
  return std::accumulate(v.begin(), v.end(), std::uint64_t{0});
}

class Ledger {
public:
  explicit Ledger(const GraphImpl &graph) : graph_(graph), tiles_(graph.target.getNumTiles()) {
    profile.tiles.resize(tiles_);
    profile.vertices_by_tile.assign(tiles_, 0);
    profile.bytes_per_tile = graph.target.getBytesPerTile();
    set_steps_.resize(graph.compute_sets.size());
    set_known_.resize(graph.compute_sets.size());
  }

  Profile profile;

  void add_variables() {
    std::vector<std::uint64_t> bytes(tiles_);
    std::vector<unsigned> touched;
    for (const Variable &v : graph_.variables) {
      touched.clear();
      for (const auto &[begin, chunk] : v.mapping) {
        if (!bytes[chunk.tile]) touched.push_back(chunk.tile);
        bytes[chunk.tile] += (chunk.end - begin) * type_size(v.type);
      }
      for (const unsigned tile : touched) {
        add(tile, v.constant ? CONSTANTS : VARIABLES, round_up(bytes[tile], variable_alignment));
        bytes[tile] = 0;
      }
    }
  }

  void add_vertices() {
    std::vector<std::set<const VertexInfo *>> types(tiles_);
    for (const VertexInstance &v : graph_.vertices) {
      ++profile.vertices_by_tile[v.tile];
      add(v.tile, VERTEX_STATE, state_bytes(v));
      add(v.tile, CONTROL_CODE, control_bytes_per_vertex);
      types[v.tile].insert(v.type);
    }
    for (unsigned tile = 0; tile < tiles_; ++tile) {
      std::uint64_t stack = 0;
      std::set<std::pair<std::string, unsigned>> pieces;
      for (const VertexInfo *type : types[tile]) {
        for (const CodePiece &p : type->code)
          if (pieces.insert({type->source, p.id}).second) add(tile, VERTEX_CODE, round_up(p.bytes, 8));
        stack = std::max(stack, type->stack_bytes);
      }
      add(tile, STACKS, round_up(stack, 8) * graph_.target.getNumWorkerContexts());
    }
  }

  void walk(const ProgramImpl &p, unsigned program, std::uint64_t repeats, bool dependent) {
    switch (p.kind) {
    case ProgramImpl::SEQUENCE:
      for (const auto &child : p.children) walk(*child, program, repeats, dependent);
      return;
    case ProgramImpl::REPEAT: return walk(*p.children[0], program, repeats * p.count, dependent);
    case ProgramImpl::WHILE_TRUE:
    case ProgramImpl::WHILE_FALSE:
    case ProgramImpl::IF:
      for (const auto &child : p.children) walk(*child, program, repeats, true);
      return;
    case ProgramImpl::CALL:
      if (p.id >= graph_.functions.size())
        throw poplar::graph_error("Call of a function that belongs to no or another graph");
      return walk(*graph_.functions[p.id], program, repeats, dependent);
    case ProgramImpl::PRINT:
      if (p.source->graph != &graph_) throw poplar::graph_error("PrintTensor of a tensor of another graph");
      return; // a transfer to the host that the profile leaves out
    default: break;
    }
    Step step = leaf(p);
    step.program = program;
    step.repeats = repeats;
    step.data_dependent = dependent;
    profile.steps.push_back(std::move(step));
  }

  void finish() {
    for (unsigned tile = 0; tile < tiles_; ++tile) {
      add(tile, EXCHANGE_BUFFERS, buffers_.empty() ? 0 : buffers_[tile]);
      add(tile, CONTROL_CODE, control_bytes_per_step * leaves_);
      if (profile.tiles[tile].total() > profile.tiles[profile.fullest_tile].total()) profile.fullest_tile = tile;
    }
  }

private:
  void add(unsigned tile, Kind kind, std::uint64_t bytes) { profile.tiles[tile].bytes[kind] += bytes; }

  std::uint64_t state_bytes(const VertexInstance &v) const {
    std::uint64_t bytes = 0, align = 4, elsewhere = 0;
    for (std::size_t f = 0; f < v.fields.size(); ++f) {
      const FieldInfo &info = v.type->fields[f];
      bytes = round_up(bytes, info.device_align()) + info.device_bytes();
      align = std::max<std::uint64_t>(align, info.device_align());
      if (info.level == Level::VECTOR && info.direction == Direction::STATE)
        elsewhere += round_up(v.fields[f].state.size(), 4);
      if (info.level == Level::VECTOR_OF_SCALARS || info.level == Level::VECTOR_OF_VECTORS)
        elsewhere += round_up(v.fields[f].tensors.size() * inner_device_bytes(info), 4);
    }
    return round_up(bytes, align) + elsewhere;
  }

  Step leaf(const ProgramImpl &p) {
    const bool fresh = p.kind == ProgramImpl::EXECUTE ? false : seen_.insert(&p).second;
    if (fresh) ++leaves_;
    switch (p.kind) {
    case ProgramImpl::EXECUTE: return execute(p.id);
    case ProgramImpl::COPY: {
      if (p.source->graph != &graph_) throw poplar::graph_error("Copy between tensors of another graph");
      Step step;
      step.kind = "copy";
      const auto name = [&](const TensorImpl &t) {
        return t.regions.empty() ? "()" : graph_.variables[t.regions[0].variable].name;
      };
      step.name = p.name.empty() ? name(*p.source) + " -> " + name(*p.destination) : p.name;
      move(step, copy_traffic(graph_, *p.source, *p.destination), fresh);
      return step;
    }
    default: {
      const TensorImpl &t = p.kind == ProgramImpl::STREAM_IN ? *p.destination : *p.source;
      if (t.graph != &graph_ || !graph_.streams.count(p.stream))
        throw poplar::graph_error("Copy with the stream '" + p.stream + "' of another graph");
      Step step;
      step.kind = p.kind == ProgramImpl::STREAM_IN ? "host_write" : "host_read";
      step.name = p.name;
      step.host_bytes = t.elements * type_size(t.type);
      return step;
    }
    }
  }

  Step execute(unsigned id) {
    if (id >= graph_.compute_sets.size())
      throw poplar::graph_error("Execute of a compute set that belongs to no or another graph");
    Step &step = set_steps_[id];
    if (set_known_[id]) return step;
    set_known_[id] = true;
    ++leaves_;
    const ComputeSetImpl &set = graph_.compute_sets[id];
    step.kind = "execute";
    step.name = set.name;
    step.vertices = set.vertices.size();
    move(step, compute_set_traffic(graph_, set), true);
    compute(step, set);
    return step;
  }

  void move(Step &step, const Traffic &t, bool count_code) {
    std::vector<std::uint64_t> both = t.received_before;
    for (std::size_t i = 0; i < both.size(); ++i) both[i] += t.received_after[i];
    step.exchange_bytes = sum(both);
    step.exchange_bytes_busiest = largest(both);
    step.inter_ipu_bytes = t.inter_ipu;
    const std::uint64_t rate = graph_.target.getExchangeBytesPerCycle();
    step.exchange_cycles =
        (largest(t.received_before) + rate - 1) / rate + (largest(t.received_after) + rate - 1) / rate;
    buffers_.resize(tiles_);
    for (unsigned tile = 0; tile < tiles_; ++tile) {
      // Steps run one after another, so their buffers share one place.
      buffers_[tile] = std::max(buffers_[tile], t.buffers[tile]);
      if (count_code) add(tile, EXCHANGE_CODE, bytes_per_message * t.messages[tile]);
    }
  }

  /// Vertices go to the worker that is free first, in order; a MultiVertex waits for all six and takes them all. A worker
  /// issues one instruction every `workers` clock cycles.
  void compute(Step &step, const ComputeSetImpl &set) {
    constexpr unsigned workers = 6;
    std::vector<std::array<std::uint64_t, workers>> load(tiles_, std::array<std::uint64_t, workers>{});
    for (const std::uint32_t id : set.vertices) {
      const VertexInstance &v = graph_.vertices[id];
      step.vertices_without_estimate += !v.has_estimate;
      step.flops += v.flops;
      auto &mine = load[v.tile];
      if (v.type->multi) {
        mine.fill(*std::max_element(mine.begin(), mine.end()) + v.cycles);
        step.total_worker_cycles += workers * v.cycles;
      } else {
        *std::min_element(mine.begin(), mine.end()) += v.cycles;
        step.total_worker_cycles += v.cycles;
      }
    }
    for (const auto &mine : load)
      step.compute_cycles = std::max(step.compute_cycles, workers * *std::max_element(mine.begin(), mine.end()));
  }

  const GraphImpl &graph_;
  unsigned tiles_;
  std::vector<Step> set_steps_;
  std::vector<bool> set_known_;
  std::set<const ProgramImpl *> seen_;
  std::vector<std::uint64_t> buffers_;
  std::uint64_t leaves_ = 0;
};

} // namespace

Profile account(const GraphImpl &graph, const std::vector<std::shared_ptr<ProgramImpl>> &programs) {
  Ledger ledger(graph);
  ledger.add_variables();
  ledger.add_vertices();
  for (unsigned i = 0; i < programs.size(); ++i) ledger.walk(*programs[i], i, 1, false);
  ledger.finish();
  return std::move(ledger.profile);
}

void refuse_overflow(const GraphImpl &graph, const Profile &profile) {
  const TileBytes &tile = profile.tiles[profile.fullest_tile];
  if (tile.total() <= profile.bytes_per_tile) return;
  std::size_t overflowing = 0;
  for (const TileBytes &t : profile.tiles) overflowing += t.total() > profile.bytes_per_tile;

  std::string kinds, names;
  for (int k = 0; k < NUM_KINDS; ++k)
    if (tile.bytes[k]) kinds += text(kinds.empty() ? "" : ", ", kindName(static_cast<Kind>(k)), " ", tile.bytes[k]);
  std::vector<std::pair<std::uint64_t, const Variable *>> on_tile;
  for (const Variable &v : graph.variables) {
    std::uint64_t bytes = 0;
    for (const auto &[begin, chunk] : v.mapping)
      if (chunk.tile == profile.fullest_tile) bytes += (chunk.end - begin) * type_size(v.type);
    if (bytes) on_tile.emplace_back(bytes, &v);
  }
  std::stable_sort(on_tile.begin(), on_tile.end(), [](const auto &a, const auto &b) { return a.first > b.first; });
  for (std::size_t i = 0; i < std::min<std::size_t>(3, on_tile.size()); ++i)
    names += text(i ? ", '" : "", i ? "" : "'", on_tile[i].second->name, "' ", on_tile[i].first);
  throw poplar::graph_memory_allocation_error(
      text("tile ", profile.fullest_tile, " needs ", tile.total(), " bytes and has ", profile.bytes_per_tile,
           " (over by ", tile.total() - profile.bytes_per_tile, "): ", kinds,
           names.empty() ? "" : ". Largest variables on it: ", names, ". ", overflowing, " of ", profile.tiles.size(),
           " tiles overflow. Spread variables and vertices over more tiles, or set the ",
           "engine option debug.allowOutOfMemory to see the whole profile"));
}

} // namespace host_poplar
