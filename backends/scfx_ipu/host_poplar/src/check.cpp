// SPDX-License-Identifier: Apache-2.0
// What makes a graph no program: missing edges, missing tiles, races.
#include <algorithm>

#include "internal.hpp"

namespace host_poplar {

namespace {

bool writes(const FieldInfo &f) { return f.direction == Direction::OUTPUT || f.direction == Direction::INOUT; }

void check_field(const GraphImpl &graph, std::uint32_t vertex, const FieldInfo &info, const FieldValue &value) {
  const auto where = [&] { return "field '" + info.name + "' of " + describe(graph, vertex); };
  if (!value.set) {
    if (info.direction != Direction::STATE)
      throw poplar::vertex_field_unconnected(where() + " is not connected to a tensor: graph.connect(vertex[\"" +
                                             info.name + "\"], tensor)");
    throw poplar::vertex_field_unconnected(where() + " has no value: graph.setInitialValue(vertex[\"" + info.name +
                                           "\"], ...)" +
                                           (info.level == Level::VECTOR ? " or graph.setFieldSize" : ""));
  }
  for (std::size_t i = 0; i < value.tensors.size(); ++i)
    if (!value.tensors[i])
      throw poplar::vertex_field_unconnected(text("entry ", i, " of ", where(), " is not connected to a tensor"));
  if (writes(info))
    for (const TensorPtr &t : value.tensors)
      for (const Region &r : t->regions)
        if (graph.variables[r.variable].constant)
          throw poplar::graph_error(where() + " writes " + describe(graph, r) + ", which is a constant");

  // A SHORT_SPAN keeps its size in 11 bits (Poplar user guide, "Vertex vector types").
  constexpr std::size_t short_span_limit = (1u << 11) - 1;
  const auto short_span = [&](VectorLayout layout, std::size_t n) {
    if (layout == VectorLayout::SHORT_SPAN && n > short_span_limit)
      throw poplar::graph_error(
          text(where(), " is a SHORT_SPAN of ", n, " elements; it can count to ", short_span_limit, ": use SPAN"));
  };
  if (info.level == Level::VECTOR)
    short_span(info.outer, info.direction == Direction::STATE ? value.state_elements : value.tensors[0]->elements);
  if (info.level == Level::VECTOR_OF_SCALARS || info.level == Level::VECTOR_OF_VECTORS)
    short_span(info.outer, value.tensors.size());
  if (info.level == Level::VECTOR_OF_VECTORS)
    for (const TensorPtr &t : value.tensors) short_span(info.inner, t->elements);
}

struct Access {
  std::uint32_t variable;
  std::uint32_t vertex;
  std::size_t begin;
  std::size_t end;
  std::uint32_t field;
  bool write;
};

std::string who(const GraphImpl &graph, const Access &a) {
  return "field '" + graph.vertices[a.vertex].type->fields[a.field].name + "' of " + describe(graph, a.vertex);
}

[[noreturn]] void throw_race(const GraphImpl &graph, const ComputeSetImpl &set, Access a, Access b) {
  const Region both{a.variable, std::max(a.begin, b.begin), std::min(a.end, b.end)};
  const std::string start = "race in compute set '" + set.name + "': ";
  const bool one_vertex = a.vertex == b.vertex;
  if (a.write && b.write)
    throw poplar::graph_error(start + who(graph, a) + " and " + who(graph, b) + " both write " +
                              describe(graph, both) +
                              "; give each writer its own elements, or put them in compute sets of their own");
  if (a.write) std::swap(a, b);
  throw poplar::graph_error(
      start + who(graph, a) + " reads " + describe(graph, both) + ", which " + who(graph, b) + " writes" +
      (one_vertex ? "; declare one InOut field" : "; put them in compute sets of their own, or read a copy"));
}

} // namespace

void check_vertices(const GraphImpl &graph) {
  for (std::uint32_t id = 0; id < graph.vertices.size(); ++id) {
    const VertexInstance &v = graph.vertices[id];
    for (std::size_t f = 0; f < v.fields.size(); ++f) check_field(graph, id, v.type->fields[f], v.fields[f]);
    if (v.tile == no_tile)
      throw poplar::invalid_tile_mapping(describe(graph, id) + " has no tile: graph.setTileMapping(vertex, tile)");
  }
}

void check_mapping(const GraphImpl &graph) {
  for (std::uint32_t id = 0; id < graph.variables.size(); ++id) {
    const Variable &v = graph.variables[id];
    std::size_t at = 0;
    for (const auto &[begin, chunk] : v.mapping) {
      if (begin != at) break;
      at = chunk.end;
    }
    if (at != v.elements) {
      const auto next = v.mapping.upper_bound(at);
      const Region missing{id, at, next == v.mapping.end() ? v.elements : next->first};
      throw poplar::invalid_tile_mapping(describe(graph, missing) +
                                         " have no tile: graph.setTileMapping(tensor, tile)");
    }
  }
}

void check_races(const GraphImpl &graph) {
  std::vector<Access> accesses;
  for (const ComputeSetImpl &set : graph.compute_sets) {
    accesses.clear();
    for (const std::uint32_t id : set.vertices) {
      const VertexInstance &v = graph.vertices[id];
      for (std::uint32_t f = 0; f < v.fields.size(); ++f)
        for (const TensorPtr &t : v.fields[f].tensors)
          for (const Region &r : t->regions)
            accesses.push_back({r.variable, id, r.begin, r.end, f, writes(v.type->fields[f])});
    }
    std::sort(accesses.begin(), accesses.end(), [](const Access &a, const Access &b) {
      if (a.variable != b.variable) return a.variable < b.variable;
      if (a.begin != b.begin) return a.begin < b.begin;
      return a.vertex != b.vertex ? a.vertex < b.vertex : a.field < b.field;
    });
    // Of all accesses so far, the write and the read that reach furthest meet the next one if any does.
    const Access *write = nullptr;
    const Access *read = nullptr;
    for (const Access &a : accesses) {
      if (write && write->variable != a.variable) write = nullptr;
      if (read && read->variable != a.variable) read = nullptr;
      if (write && a.begin < write->end) throw_race(graph, set, *write, a);
      if (a.write && read && a.begin < read->end) throw_race(graph, set, *read, a);
      const Access *&last = a.write ? write : read;
      if (!last || a.end > last->end) last = &a;
    }
  }
}

} // namespace host_poplar
