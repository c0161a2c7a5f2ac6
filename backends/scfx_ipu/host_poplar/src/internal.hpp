// SPDX-License-Identifier: Apache-2.0
// What the handles of the public headers point to.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "host_poplar/Profile.hpp"
#include "host_poplar/Registry.hpp"
#include "poplar/Engine.hpp"
#include "poplar/Graph.hpp"
#include "poplar/Program.hpp"

namespace host_poplar {

using poplar::Type;

/// Text from anything that streams: the errors here carry numbers.
template <class... Args> std::string text(const Args &...args) {
  std::ostringstream os;
  (os << ... << args);
  return os.str();
}

std::size_t type_size(const Type &type);
constexpr std::uint64_t round_up(std::uint64_t n, std::uint64_t to) { return (n + to - 1) / to * to; }

/// Elements [begin, end) of a variable.
struct Region {
  std::uint32_t variable;
  std::size_t begin;
  std::size_t end;
  std::size_t size() const { return end - begin; }
  bool operator==(const Region &o) const { return variable == o.variable && begin == o.begin && end == o.end; }
};

struct TensorImpl {
  const GraphImpl *graph = nullptr;
  Type type;
  std::vector<std::size_t> shape;
  std::size_t elements = 0;
  std::vector<Region> regions;     ///< in order of the flattened view, adjacent ones joined, none empty
  std::vector<std::size_t> starts; ///< flat index at which each region begins
};
using TensorPtr = std::shared_ptr<const TensorImpl>;

struct Chunk {
  std::size_t end;
  unsigned tile;
};

struct InitialValue {
  TensorPtr tensor;
  std::vector<char> bytes; ///< one element (fills the tensor) or all of them
};

struct Variable {
  std::string name;
  Type type;
  std::size_t elements = 0;
  bool constant = false;
  std::map<std::size_t, Chunk> mapping; ///< begin -> chunk; chunks do not overlap
};

/// What a field of one vertex was given.
struct FieldValue {
  std::vector<TensorPtr> tensors; ///< one, or one for each inner vector; null where not connected yet
  std::vector<char> state;        ///< initial value
  std::size_t state_elements = 0;
  bool set = false; ///< any of connect, setInitialValue, setFieldSize
};

constexpr unsigned no_tile = ~0u;

struct VertexInstance {
  const VertexInfo *type = nullptr;
  std::uint32_t compute_set = 0;
  unsigned tile = no_tile;
  bool has_estimate = false;
  std::uint64_t cycles = 0;
  std::uint64_t flops = 0;
  std::vector<FieldValue> fields;
};

struct ComputeSetImpl {
  std::string name;
  std::vector<std::uint32_t> vertices;
};

struct HostAccess {
  TensorPtr tensor;
  bool write;
};

struct ProgramImpl;

struct GraphImpl {
  poplar::Target target;
  std::vector<Variable> variables;
  std::vector<InitialValue> initial_values;
  std::deque<VertexInstance> vertices;
  std::vector<ComputeSetImpl> compute_sets;
  std::unordered_map<std::string, const VertexInfo *> vertex_types;
  std::vector<std::shared_ptr<ProgramImpl>> functions;
  std::map<std::string, HostAccess> host_writes;
  std::map<std::string, HostAccess> host_reads;
  std::map<std::string, poplar::DataStream> streams;
  bool compiled = false;

  /// Throws once an engine has compiled the graph.
  void require_open() const;
  const TensorImpl &require_own(const poplar::Tensor &t, const char *where) const;
};

struct ProgramImpl {
  enum Kind { SEQUENCE, EXECUTE, COPY, STREAM_IN, STREAM_OUT, REPEAT, WHILE_TRUE, WHILE_FALSE, IF, CALL, PRINT };
  Kind kind = SEQUENCE;
  std::string name;
  std::vector<std::shared_ptr<ProgramImpl>> children;
  unsigned id = 0; ///< compute set or function
  TensorPtr source;
  TensorPtr destination;
  TensorPtr predicate;
  std::string stream;
  std::size_t stream_elements = 0;
  Type stream_type;
  unsigned count = 1;
};

/// "vertex 12 (Scale, compute set 'a', tile 3)".
std::string describe(const GraphImpl &graph, std::uint32_t vertex);
/// "elements [4, 9) of 'x'".
std::string describe(const GraphImpl &graph, const Region &region);

/// A tensor's elements from their bytes, rows in braces.
void print_elements(std::ostream &os, const TensorImpl &t, const char *bytes);

/// Joins neighbouring regions, drops empty ones, fills the prefix sums.
TensorPtr make_tensor(const GraphImpl *graph, Type type, std::vector<std::size_t> shape, std::vector<Region> regions);

/// Number of elements of dimensions [from, to).
std::size_t product(const std::vector<std::size_t> &shape, std::size_t from, std::size_t to);

/// Appends the regions of flat elements [begin, end).
void append_range(const TensorImpl &t, std::size_t begin, std::size_t end, std::vector<Region> &out);

/// Some element is in both tensors.
bool overlap(const TensorImpl &a, const TensorImpl &b);

// check.cpp: throws vertex_field_unconnected, type_error, invalid_tile_mapping, graph_error.
void check_vertices(const GraphImpl &graph);
void check_mapping(const GraphImpl &graph);
void check_races(const GraphImpl &graph);

/// Bytes moved by one step, by tile.
struct Traffic {
  std::vector<std::uint64_t> received_before; ///< before compute (or by a copy)
  std::vector<std::uint64_t> received_after;  ///< results on their way home
  std::vector<std::uint64_t> buffers;         ///< bytes of exchange buffers alive during the step
  std::vector<std::uint64_t> messages;        ///< contiguous pieces sent or received
  std::uint64_t inter_ipu = 0;
};

// traffic.cpp
Traffic compute_set_traffic(const GraphImpl &graph, const ComputeSetImpl &set);
Traffic copy_traffic(const GraphImpl &graph, const TensorImpl &source, const TensorImpl &destination);
/// Calls f(tile, begin, end) for the pieces of a region by tile, in order.
template <class F> void for_each_chunk(const Variable &variable, std::size_t begin, std::size_t end, F &&f) {
  auto it = variable.mapping.upper_bound(begin);
  if (it != variable.mapping.begin()) --it;
  for (; it != variable.mapping.end() && it->first < end; ++it) {
    const std::size_t from = it->first > begin ? it->first : begin;
    const std::size_t to = it->second.end < end ? it->second.end : end;
    if (from < to) f(it->second.tile, from, to);
  }
}

// account.cpp: bytes on every tile and cycles of every step.
Profile account(const GraphImpl &graph, const std::vector<std::shared_ptr<ProgramImpl>> &programs);
void refuse_overflow(const GraphImpl &graph, const Profile &profile);

struct Options {
  bool allow_out_of_memory = false;
  bool poison = false;
  unsigned threads = 0;
};
Options parse_options(const poplar::OptionFlags &flags);

struct Compiled {
  std::shared_ptr<const GraphImpl> graph;
  std::vector<std::shared_ptr<ProgramImpl>> programs;
  Profile profile;
  Options options;
};

} // namespace host_poplar
