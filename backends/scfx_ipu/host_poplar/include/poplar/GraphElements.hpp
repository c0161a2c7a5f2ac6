// SPDX-License-Identifier: Apache-2.0
// Handles to what a graph holds: vertices, their fields, compute sets, functions.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "poplar/StringRef.hpp"

namespace host_poplar {
struct GraphImpl;
}

namespace poplar {

class ComputeSet {
public:
  ComputeSet() = default;
  explicit ComputeSet(unsigned id) : id_(id) {}
  unsigned getId() const { return id_; }

private:
  unsigned id_ = ~0u;
};

class Function {
public:
  Function() = default;
  explicit Function(unsigned id) : id_(id) {}
  unsigned getId() const { return id_; }

private:
  unsigned id_ = ~0u;
};

/// A field of a vertex: `v["x"]`; `v["xs"][3]` is the fourth vector of a vector of vectors.
class FieldRef {
public:
  FieldRef operator[](std::size_t index) const;

  /// Internal to the library.
  static constexpr std::size_t whole = ~std::size_t{0};
  FieldRef(host_poplar::GraphImpl *graph, std::uint32_t vertex, std::uint32_t field, std::size_t index = whole)
      : graph_(graph), vertex_(vertex), field_(field), index_(index) {}
  host_poplar::GraphImpl *graph_;
  std::uint32_t vertex_;
  std::uint32_t field_;
  std::size_t index_;
};

class VertexRef {
public:
  VertexRef() = default;
  /// Throws unknown_field with the fields that the codelet has.
  FieldRef operator[](StringRef fieldName) const;
  unsigned getId() const { return vertex_; }

  /// Internal to the library.
  VertexRef(host_poplar::GraphImpl *graph, std::uint32_t vertex) : graph_(graph), vertex_(vertex) {}
  host_poplar::GraphImpl *graph_ = nullptr;
  std::uint32_t vertex_ = ~0u;
};

} // namespace poplar
