// SPDX-License-Identifier: Apache-2.0
#include "registry.hpp"

#include <algorithm>

#include "internal.hpp"

namespace host_poplar {

std::map<std::string, std::vector<VertexInfo>> &codelet_sources() {
  // A function's static: registering objects of other units run before main in no fixed order.
  static std::map<std::string, std::vector<VertexInfo>> sources;
  return sources;
}

namespace {
struct Sizes {
  std::vector<std::uint64_t> pieces;
  std::vector<VertexSize> vertices;
};
std::map<std::string, Sizes> &code_sizes() {
  static std::map<std::string, Sizes> sizes;
  return sizes;
}

/// Sizes and vertices register in no fixed order, so each joins what is already there.
void join(const std::string &source) {
  const auto vertices = codelet_sources().find(source);
  const auto sizes = code_sizes().find(source);
  if (vertices == codelet_sources().end() || sizes == code_sizes().end()) return;
  const Sizes &known = sizes->second;
  for (std::size_t i = 0; i < std::min(vertices->second.size(), known.vertices.size()); ++i) {
    VertexInfo &v = vertices->second[i];
    v.code.clear();
    for (const unsigned piece : known.vertices[i].pieces) v.code.push_back({piece, known.pieces.at(piece)});
    v.stack_bytes = known.vertices[i].stack_bytes;
    v.measured = true;
  }
}

std::size_t pointer_bytes(VectorLayout layout) {
  switch (layout) {
  case VectorLayout::SPAN: return 8;
  case VectorLayout::ONE_PTR:
  case VectorLayout::SHORT_SPAN: return 4;
  case VectorLayout::COMPACT_PTR: return 2;
  }
  return 8;
}
} // namespace

std::size_t FieldInfo::device_bytes() const {
  if (level == Level::SCALAR) return direction == Direction::STATE ? type_size(type) : 4;
  return pointer_bytes(outer);
}
std::size_t FieldInfo::device_align() const {
  if (level == Level::SCALAR) return device_bytes();
  return std::min<std::size_t>(pointer_bytes(outer), 4);
}
std::size_t inner_device_bytes(const FieldInfo &field) {
  return field.level == Level::VECTOR_OF_VECTORS ? pointer_bytes(field.inner) : 4;
}

std::string codelet_stem(const std::string &path) {
  const std::size_t slash = path.find_last_of("/\\");
  const std::string file = slash == std::string::npos ? path : path.substr(slash + 1);
  return file.substr(0, file.find('.'));
}

RegisterCodelets::RegisterCodelets(const char *source, std::vector<VertexInfo> vertices) {
  for (unsigned i = 0; i < vertices.size(); ++i) {
    vertices[i].source = source;
    vertices[i].code = {{i, default_code_bytes}};
    vertices[i].stack_bytes = default_stack_bytes;
  }
  codelet_sources()[source] = std::move(vertices);
  join(source);
}

RegisterSizes::RegisterSizes(const char *source, std::vector<std::uint64_t> piece_bytes,
                             std::vector<VertexSize> vertices) {
  code_sizes()[source] = {std::move(piece_bytes), std::move(vertices)};
  join(source);
}

} // namespace host_poplar
