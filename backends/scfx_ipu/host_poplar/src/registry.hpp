// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <string>
#include <vector>

#include "host_poplar/Registry.hpp"

namespace host_poplar {

/// Vertex classes of every codelet source that was linked in, by file name without folder and ending.
std::map<std::string, std::vector<VertexInfo>> &codelet_sources();
std::string codelet_stem(const std::string &path);
/// Device bytes of one entry of a vector of scalars or vectors.
std::size_t inner_device_bytes(const FieldInfo &field);

} // namespace host_poplar
