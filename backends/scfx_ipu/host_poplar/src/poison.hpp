// SPDX-License-Identifier: Apache-2.0
// The debug mode: which elements hold something that a program wrote, and vertices that betray themselves.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "storage.hpp"

namespace host_poplar {

class Poison {
public:
  /// Fills every variable without initial value with a pattern (NaN, for FLOAT).
  Poison(const GraphImpl &graph, Storage &storage);

  void define(const TensorImpl &t);
  void copy(const TensorImpl &source, const TensorImpl &destination);
  /// Throws runtime_error if `reader` meets an element that nothing wrote.
  void require_defined(const TensorImpl &t, const std::string &reader) const;

  /// Runs a vertex twice on private copies of its fields, with different patterns in its outputs and around all its
  /// fields, workers in opposite orders. What still holds the pattern both times was not written and stays poisoned.
  /// Throws runtime_error when the two runs differ, or when the vertex wrote past a field's ends or into an Input.
  void run(const Task &task);

private:
  const GraphImpl &graph_;
  Storage &storage_;
  std::vector<std::vector<std::uint8_t>> defined_; ///< by variable and element
};

} // namespace host_poplar
