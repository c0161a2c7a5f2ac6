// SPDX-License-Identifier: Apache-2.0
// Building the graph: compute sets, vertices, what their fields are given.
#include "internal.hpp"

namespace poplar {

using namespace host_poplar;

namespace {
const FieldInfo &field_info(const FieldRef &f) { return f.graph_->vertices[f.vertex_].type->fields[f.field_]; }
FieldValue &field_value(const FieldRef &f) { return f.graph_->vertices[f.vertex_].fields[f.field_]; }
std::string describe(const FieldRef &f) {
  std::string s = "field '" + field_info(f).name + "'";
  if (f.index_ != FieldRef::whole) s += text("[", f.index_, "]");
  return s + " of " + host_poplar::describe(*f.graph_, f.vertex_);
}
bool nested(const FieldInfo &f) { return f.level == Level::VECTOR_OF_SCALARS || f.level == Level::VECTOR_OF_VECTORS; }

void require_edge(const FieldRef &f, const TensorImpl &t, bool scalar) {
  const FieldInfo &info = field_info(f);
  if (info.direction == Direction::STATE)
    throw graph_error(describe(f) + " is the vertex's own state, not an Input, Output or InOut: use setInitialValue");
  if (t.type != info.type)
    throw type_error(text(describe(f), " holds ", info.type, " and was connected to ", t.type));
  if (scalar && t.elements != 1)
    throw graph_error(text(describe(f), " is a scalar and was connected to ", t.elements, " elements"));
}
} // namespace

ComputeSet Graph::addComputeSet(const DebugContext &context) {
  impl_->require_open();
  ComputeSetImpl set;
  set.name = context.getPathName();
  if (set.name.empty()) set.name = "compute set " + std::to_string(impl_->compute_sets.size());
  impl_->compute_sets.push_back(std::move(set));
  return ComputeSet(static_cast<unsigned>(impl_->compute_sets.size() - 1));
}

VertexRef Graph::addVertex(ComputeSet cs, StringRef vertexType) {
  impl_->require_open();
  if (cs.getId() >= impl_->compute_sets.size())
    throw graph_error("addVertex: the compute set belongs to no or another graph");
  const auto type = impl_->vertex_types.find(vertexType.cloneAsString());
  if (type == impl_->vertex_types.end()) {
    std::string known;
    for (const auto &t : impl_->vertex_types) known += (known.empty() ? "" : ", ") + t.first;
    throw unknown_vertex_type(text("no vertex class '", vertexType, "'; this graph's codelets have: ",
                                   known.empty() ? "none (call addCodelets first)" : known));
  }
  const auto id = static_cast<std::uint32_t>(impl_->vertices.size());
  VertexInstance v;
  v.type = type->second;
  v.compute_set = cs.getId();
  v.fields.resize(type->second->fields.size());
  impl_->vertices.push_back(std::move(v));
  impl_->compute_sets[cs.getId()].vertices.push_back(id);
  return VertexRef(impl_.get(), id);
}

VertexRef Graph::addVertex(ComputeSet cs, StringRef vertexType, ArrayRef<ConnectionDesc> connections) {
  const VertexRef v = addVertex(cs, vertexType);
  for (const ConnectionDesc &c : connections) {
    if (c.list) connect(v[c.field], ArrayRef<Tensor>(c.tensors));
    else connect(v[c.field], c.tensors[0]);
  }
  return v;
}

FieldRef VertexRef::operator[](StringRef name) const {
  if (!graph_) throw graph_error("a default-constructed VertexRef was used: it comes from Graph::addVertex");
  const auto &fields = graph_->vertices[vertex_].type->fields;
  for (std::size_t i = 0; i < fields.size(); ++i)
    if (name == StringRef(fields[i].name)) return FieldRef(graph_, vertex_, static_cast<std::uint32_t>(i));
  std::string known;
  for (const auto &f : fields) known += (known.empty() ? "" : ", ") + f.name;
  throw unknown_field(text(host_poplar::describe(*graph_, vertex_), " has no field '", name, "'; it has: ", known));
}

FieldRef FieldRef::operator[](std::size_t index) const {
  if (index_ != whole || !nested(field_info(*this)))
    throw graph_error(describe(*this) + " cannot be indexed: it is no vector of scalars or vectors");
  return FieldRef(graph_, vertex_, field_, index);
}

void Graph::connect(FieldRef f, const Tensor &tensor) {
  impl_->require_open();
  const TensorImpl &t = impl_->require_own(tensor, "connect");
  const FieldInfo &info = field_info(f);
  FieldValue &value = field_value(f);
  if (f.index_ != FieldRef::whole) {
    require_edge(f, t, info.level == Level::VECTOR_OF_SCALARS);
    if (f.index_ >= value.tensors.size())
      throw graph_error(
          text(describe(f), ": the field has ", value.tensors.size(), " entries; call setFieldSize first"));
    if (value.tensors[f.index_]) throw graph_error(describe(f) + " is connected already");
    value.tensors[f.index_] = tensor.ptr();
    return;
  }
  if (info.level == Level::VECTOR_OF_SCALARS || info.level == Level::VECTOR_OF_VECTORS) {
    // A tensor with one more dimension than the entries is taken apart along its first, as in the SDK.
    const std::size_t rank = info.level == Level::VECTOR_OF_VECTORS ? 2 : 1;
    if (t.shape.size() != rank)
      throw graph_error(text(describe(f), " takes a list of tensors or one of rank ", rank, ", got ", tensor));
    std::vector<Tensor> parts;
    for (std::size_t i = 0; i < t.shape[0]; ++i) parts.push_back(tensor[i]);
    connect(f, ArrayRef<Tensor>(parts));
    return;
  }
  require_edge(f, t, info.level == Level::SCALAR);
  if (value.set) throw graph_error(describe(f) + " is connected already");
  value.tensors = {tensor.ptr()};
  value.set = true;
}

void Graph::connect(FieldRef f, ArrayRef<Tensor> tensors) {
  impl_->require_open();
  if (f.index_ != FieldRef::whole || !nested(field_info(f)))
    throw graph_error(describe(f) + " is no vector of scalars or vectors, and was connected to a list of tensors");
  setFieldSize(f, tensors.size());
  for (std::size_t i = 0; i < tensors.size(); ++i) connect(f[i], tensors[i]);
}

void Graph::setFieldSize(FieldRef f, std::size_t size) {
  impl_->require_open();
  const FieldInfo &info = field_info(f);
  FieldValue &value = field_value(f);
  if (value.set) throw graph_error(describe(f) + " has its size already");
  if (f.index_ != FieldRef::whole || info.level == Level::SCALAR ||
      (info.level == Level::VECTOR && info.direction != Direction::STATE))
    throw graph_error(describe(f) + " takes its size from the tensor it is connected to");
  value.set = true;
  if (info.level == Level::VECTOR) {
    value.state.assign(size * type_size(info.type), 0);
    value.state_elements = size;
  } else {
    value.tensors.resize(size);
  }
}

void Graph::setInitialValueBytes(FieldRef f, Type given, const void *values, std::size_t n) {
  impl_->require_open();
  const FieldInfo &info = field_info(f);
  FieldValue &value = field_value(f);
  if (info.direction != Direction::STATE)
    throw graph_error(describe(f) + " is connected to a tensor, it has no initial value of its own");
  if (given != info.type) throw type_error(text(describe(f), " holds ", info.type, ", the initial value is ", given));
  if ((info.level == Level::SCALAR) != (n == whole))
    throw graph_error(describe(f) + (n == whole ? " is a Vector: give an ArrayRef or std::vector"
                                                : " is a scalar: give one value"));
  const char *bytes = static_cast<const char *>(values);
  value.state_elements = n == whole ? 1 : n;
  value.state.assign(bytes, bytes + value.state_elements * type_size(info.type));
  value.set = true;
}

void Graph::setTileMapping(VertexRef v, unsigned tile) {
  impl_->require_open();
  if (tile >= impl_->target.getNumTiles())
    throw invalid_tile_mapping(text("setTileMapping of a vertex to tile ", tile, ": the target has tiles 0 to ",
                                    impl_->target.getNumTiles() - 1));
  impl_->vertices.at(v.getId()).tile = tile;
}

void Graph::setPerfEstimate(const VertexRef &v, std::uint64_t cycles, std::uint64_t flops) {
  impl_->require_open();
  VertexInstance &vertex = impl_->vertices.at(v.getId());
  vertex.has_estimate = true;
  vertex.cycles = cycles;
  vertex.flops = flops;
}

VertexPerfEstimate Graph::getPerfEstimate(const VertexRef &v, const Target &) const {
  const VertexInstance &vertex = impl_->vertices.at(v.getId());
  if (!vertex.has_estimate)
    throw graph_error(host_poplar::describe(*impl_, v.getId()) + " has no estimate: call setPerfEstimate");
  return {vertex.cycles, vertex.flops};
}

} // namespace poplar
