// SPDX-License-Identifier: Apache-2.0
// The SDK's exception names. Each is thrown with a text that says what was got and how to fix it.
#pragma once
#include <stdexcept>
#include <string>

namespace poplar {

struct poplar_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
/// A graph that is no valid program: a race, an element without a tile, an edge without a tensor.
struct graph_error : poplar_error {
  using poplar_error::poplar_error;
};
/// addVertex or a field name that no codelet declares.
struct unknown_vertex_type : graph_error {
  using graph_error::graph_error;
};
struct unknown_field : graph_error {
  using graph_error::graph_error;
};
/// A field that was given no tensor or no value.
struct vertex_field_unconnected : graph_error {
  using graph_error::graph_error;
};
struct type_error : poplar_error {
  using poplar_error::poplar_error;
};
struct index_error : poplar_error {
  using poplar_error::poplar_error;
};
struct invalid_tile_mapping : graph_error {
  using graph_error::graph_error;
};
struct invalid_option : poplar_error {
  using poplar_error::poplar_error;
};
struct file_load_error : poplar_error {
  using poplar_error::poplar_error;
};
struct stream_connection_error : poplar_error {
  using poplar_error::poplar_error;
};
/// A vertex that went wrong while it ran (reading what nothing wrote; workers that race).
struct runtime_error : poplar_error {
  using poplar_error::poplar_error;
};

/// More bytes on a tile than the tile has.
struct graph_memory_allocation_error : graph_error {
  using graph_error::graph_error;
};

} // namespace poplar
