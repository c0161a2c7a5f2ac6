// SPDX-License-Identifier: Apache-2.0
// Building the graph: codelets, variables, mapping, host access.
#include <cstring>

#include "internal.hpp"
#include "registry.hpp"

namespace host_poplar {

void GraphImpl::require_open() const {
  if (compiled)
    throw poplar::graph_error(
        "the graph was changed after an engine compiled it: build everything first, or a new Graph");
}

const TensorImpl &GraphImpl::require_own(const poplar::Tensor &t, const char *where) const {
  if (t.impl().graph != this) throw poplar::graph_error(text(where, ": the tensor belongs to another graph"));
  return t.impl();
}

std::string describe(const GraphImpl &graph, std::uint32_t vertex) {
  const VertexInstance &v = graph.vertices[vertex];
  std::string s =
      text("vertex ", vertex, " (", v.type->name, ", compute set '", graph.compute_sets[v.compute_set].name, "'");
  if (v.tile != no_tile) s += text(", tile ", v.tile);
  return s + ")";
}

std::string describe(const GraphImpl &graph, const Region &r) {
  const std::string &name = graph.variables[r.variable].name;
  if (r.size() == 1) return text("element ", r.begin, " of '", name, "'");
  return text("elements [", r.begin, ", ", r.end, ") of '", name, "'");
}

} // namespace host_poplar

namespace poplar {

using namespace host_poplar;

namespace {
void require_storable(const Type &type, const std::string &name) {
  if (type == HALF)
    throw type_error("variable '" + name +
                     "': HALF is not supported by the host's Poplar (no IEEE half arithmetic here); use FLOAT");
  type_size(type);
}

Tensor new_variable(GraphImpl &graph, const Type &type, ArrayRef<std::size_t> shape, bool constant,
                    const DebugContext &context) {
  graph.require_open();
  Variable v;
  v.name = context.getPathName();
  if (v.name.empty()) v.name = "variable " + std::to_string(graph.variables.size());
  require_storable(type, v.name);
  v.type = type;
  v.elements = 1;
  for (const std::size_t n : shape) v.elements *= n;
  v.constant = constant;
  const auto id = static_cast<std::uint32_t>(graph.variables.size());
  const std::size_t elements = v.elements;
  graph.variables.push_back(std::move(v));
  return Tensor(make_tensor(&graph, type, shape.cloneAsVector(), {{id, 0, elements}}));
}

void map_region(Variable &v, std::size_t begin, std::size_t end, unsigned tile) {
  auto &m = v.mapping;
  auto it = m.upper_bound(begin);
  if (it != m.begin()) {
    auto before = std::prev(it);
    const Chunk old = before->second;
    if (old.end > begin) {
      before->second.end = begin;
      if (old.end > end) m[end] = old;
      if (before->first == begin) m.erase(before);
    }
  }
  for (it = m.lower_bound(begin); it != m.end() && it->first < end; it = m.erase(it))
    if (it->second.end > end) m[end] = it->second;
  m[begin] = {end, tile};
}

void require_tile(const GraphImpl &graph, unsigned tile, const char *what) {
  if (tile >= graph.target.getNumTiles())
    throw invalid_tile_mapping(text("setTileMapping of a ", what, " to tile ", tile, ": the target has tiles 0 to ",
                                    graph.target.getNumTiles() - 1));
}
} // namespace

Graph::Graph(const Target &target) : impl_(std::make_shared<GraphImpl>()) { impl_->target = target; }
Graph::Graph(const Device &device) : Graph(device.getTarget()) {}
Graph::Graph(Graph &&) noexcept = default;
Graph &Graph::operator=(Graph &&) noexcept = default;
Graph::~Graph() = default;

const Target &Graph::getTarget() const { return impl_->target; }
unsigned Graph::getNumVertices() const { return static_cast<unsigned>(impl_->vertices.size()); }

bool Graph::addCodelets(StringRef src, CodeletFileType, StringRef, StringRef) {
  impl_->require_open();
  const std::string stem = codelet_stem(src.cloneAsString());
  const auto it = codelet_sources().find(stem);
  if (it == codelet_sources().end()) {
    std::string known;
    for (const auto &s : codelet_sources()) known += (known.empty() ? "" : ", ") + s.first;
    throw file_load_error(text("codelets '", src.cloneAsString(),
                               "' were not compiled into this program; it has: ", known.empty() ? "none" : known,
                               ". Add the source to host_poplar_codelet_sources in CMake"));
  }
  for (const VertexInfo &v : it->second) {
    const auto [known, added] = impl_->vertex_types.emplace(v.name, &v);
    if (!added && known->second != &v)
      throw graph_error(
          text("vertex class '", v.name, "' comes from two codelet sources: ", known->second->source, " and ", stem));
  }
  return true;
}
void Graph::addCodelets(ArrayRef<std::string> sources, StringRef flags) {
  for (const auto &s : sources) addCodelets(s, CodeletFileType::Auto, flags);
}

Tensor Graph::addVariable(const Type &type, ArrayRef<std::size_t> shape, const DebugContext &context) {
  return new_variable(*impl_, type, shape, false, context);
}

Tensor Graph::addVariable(const Type &type, ArrayRef<std::size_t> shape, VariableMappingMethod method,
                          const DebugContext &context) {
  Tensor t = addVariable(type, shape, context);
  if (method == VariableMappingMethod::NONE) return t;
  Variable &v = impl_->variables.back();
  const std::size_t tiles = impl_->target.getNumTiles();
  for (std::size_t tile = 0; tile < tiles; ++tile) {
    const std::size_t begin = v.elements * tile / tiles, end = v.elements * (tile + 1) / tiles;
    if (begin < end) map_region(v, begin, end, static_cast<unsigned>(tile));
  }
  return t;
}

Tensor Graph::clone(const Type &type, const Tensor &t, const DebugContext &context) {
  const TensorImpl &from = impl_->require_own(t, "clone");
  Tensor copy = addVariable(type, from.shape, context);
  setTileMapping(copy, getTileMapping(t, false));
  return copy;
}
Tensor Graph::clone(const Tensor &t, const DebugContext &context) { return clone(t.elementType(), t, context); }

Tensor Graph::addConstantBytes(const Type &type, ArrayRef<std::size_t> shape, Type given, const void *values,
                               std::size_t n, const DebugContext &context) {
  Tensor t = new_variable(*impl_, type, shape, true, context);
  setInitialTensorBytes(t, given, values, n == whole ? t.numElements() : n);
  return t;
}

void Graph::setInitialTensorBytes(const Tensor &t, Type given, const void *values, std::size_t n) {
  impl_->require_open();
  const TensorImpl &tensor = impl_->require_own(t, "setInitialValue");
  if (given != tensor.type)
    throw type_error(
        text("initial value of type ", given, " for a tensor of type ", tensor.type, ": convert it first"));
  const std::size_t count = n == whole ? 1 : n;
  if (count != 1 && count != tensor.elements)
    throw graph_error(text("initial value has ", count, " elements, the tensor has ", tensor.elements));
  const char *bytes = static_cast<const char *>(values);
  impl_->initial_values.push_back({t.ptr(), {bytes, bytes + count * type_size(tensor.type)}});
}

void Graph::setTileMapping(const Tensor &t, unsigned tile) {
  impl_->require_open();
  require_tile(*impl_, tile, "tensor");
  for (const Region &r : impl_->require_own(t, "setTileMapping").regions)
    map_region(impl_->variables[r.variable], r.begin, r.end, tile);
}

void Graph::setTileMapping(const Tensor &t, const TileToTensorMapping &mapping) {
  const Tensor flat = t.flatten();
  for (std::size_t tile = 0; tile < mapping.size(); ++tile)
    for (const Interval &i : mapping[tile]) setTileMapping(flat.slice(i), static_cast<unsigned>(tile));
}

TileToTensorMapping Graph::getTileMapping(const Tensor &t, bool requireComplete) const {
  const TensorImpl &tensor = impl_->require_own(t, "getTileMapping");
  TileToTensorMapping mapping(impl_->target.getNumTiles());
  std::size_t mapped = 0;
  for (std::size_t i = 0; i < tensor.regions.size(); ++i) {
    const Region &r = tensor.regions[i];
    for_each_chunk(impl_->variables[r.variable], r.begin, r.end,
                   [&](unsigned tile, std::size_t begin, std::size_t end) {
                     auto &list = mapping[tile];
                     const std::size_t at = tensor.starts[i] + begin - r.begin;
                     if (!list.empty() && list.back().end() == at)
                       list.back() = {list.back().begin(), at + end - begin};
                     else list.emplace_back(at, at + end - begin);
                     mapped += end - begin;
                   });
  }
  if (requireComplete && mapped != tensor.elements)
    throw invalid_tile_mapping(text(tensor.elements - mapped, " of ", tensor.elements,
                                    " elements of a tensor have no tile: setTileMapping"));
  return mapping;
}

void Graph::createHostWrite(StringRef handle, const Tensor &t, bool) {
  impl_->require_open();
  impl_->require_own(t, "createHostWrite");
  if (t.containsAliases())
    throw graph_error(text("createHostWrite '", handle, "': the tensor holds an element twice"));
  if (!impl_->host_writes.emplace(handle.cloneAsString(), HostAccess{t.ptr(), true}).second)
    throw graph_error(text("createHostWrite: the handle '", handle, "' is taken"));
}
void Graph::createHostRead(StringRef handle, const Tensor &t, bool) {
  impl_->require_open();
  impl_->require_own(t, "createHostRead");
  if (!impl_->host_reads.emplace(handle.cloneAsString(), HostAccess{t.ptr(), false}).second)
    throw graph_error(text("createHostRead: the handle '", handle, "' is taken"));
}

namespace {
DataStream add_stream(GraphImpl &graph, StringRef handle, DataStreamType kind, const Type &type, std::size_t n) {
  graph.require_open();
  require_storable(type, handle.cloneAsString());
  DataStream s(handle.cloneAsString(), kind, type, n);
  if (!graph.streams.emplace(s.handle(), s).second)
    throw graph_error(text("the stream handle '", handle, "' is taken"));
  return s;
}
} // namespace
DataStream Graph::addHostToDeviceFIFO(StringRef handle, const Type &type, std::size_t n) {
  return add_stream(*impl_, handle, DataStreamType::HostToDeviceFIFO, type, n);
}
DataStream Graph::addDeviceToHostFIFO(StringRef handle, const Type &type, std::size_t n) {
  return add_stream(*impl_, handle, DataStreamType::DeviceToHostFIFO, type, n);
}

Function Graph::addFunction(const program::Program &program) {
  impl_->require_open();
  impl_->functions.push_back(std::make_shared<ProgramImpl>(*program.impl()));
  return Function(static_cast<unsigned>(impl_->functions.size() - 1));
}

} // namespace poplar
