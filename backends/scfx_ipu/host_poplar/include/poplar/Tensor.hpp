// SPDX-License-Identifier: Apache-2.0
// A tensor is a view: a shape over a list of contiguous pieces of variables. No operation here moves data.
#pragma once
#include <cstddef>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "poplar/ArrayRef.hpp"
#include "poplar/Interval.hpp"
#include "poplar/Type.hpp"

namespace host_poplar {
struct TensorImpl;
}

namespace poplar {

/// Errors of every view: index_error naming the bounds asked for and the shape there is.
class Tensor {
public:
  Tensor() = default;

  bool valid() const { return impl_ != nullptr; }
  Type elementType() const;
  std::size_t numElements() const;
  unsigned rank() const;
  const std::vector<std::size_t> &shape() const;
  std::size_t dim(unsigned i) const;
  std::string shapeToString() const;
  /// One contiguous piece of one variable.
  bool isContiguous() const;
  /// Some element occurs twice (after broadcast or concat).
  bool containsAliases() const;
  bool isParallelWriteable() const { return !containsAliases(); }

  Tensor operator[](std::size_t i) const;
  Tensor index(ArrayRef<std::size_t> indices) const;
  /// Elements [begin, end) of a dimension; the other dimensions stay whole.
  Tensor slice(std::size_t begin, std::size_t end, unsigned dimension = 0) const;
  Tensor slice(const Interval &region, unsigned dimension = 0) const {
    return slice(region.begin(), region.end(), dimension);
  }
  Tensor slice(ArrayRef<std::size_t> begin, ArrayRef<std::size_t> end) const;
  std::vector<Tensor> slices(ArrayRef<Interval> intervals, unsigned dimension = 0) const;

  /// Row-major order of elements, one dimension.
  Tensor flatten() const;
  /// Dimensions [dimBegin, dimEnd) become one.
  Tensor flatten(unsigned dimBegin, unsigned dimEnd) const;
  Tensor reshape(ArrayRef<std::size_t> shape) const;
  Tensor reshapePartial(unsigned beginIndex, unsigned endIndex, ArrayRef<std::size_t> newDims) const;
  /// Inserts a dimension of one before each of the given dimensions.
  Tensor expand(ArrayRef<std::size_t> indices) const;
  Tensor squeeze(ArrayRef<std::size_t> indices) const;
  Tensor dimShuffle(ArrayRef<unsigned> permutation) const;
  /// Swaps the first two dimensions (the SDK's meaning), the whole of a matrix.
  Tensor transpose() const;
  /// n repetitions along a dimension; the copies alias, so no vertex may write through them.
  Tensor broadcast(unsigned n, unsigned dimension) const;

  /// Maximal runs of elements contiguous in their variable, in order of the flattened view.
  std::vector<Interval> getContiguousRegions() const;

  bool operator==(const Tensor &o) const;
  bool operator!=(const Tensor &o) const { return !(*this == o); }

  /// Internal to the library.
  explicit Tensor(std::shared_ptr<const host_poplar::TensorImpl> impl) : impl_(std::move(impl)) {}
  const host_poplar::TensorImpl &impl() const;
  const std::shared_ptr<const host_poplar::TensorImpl> &ptr() const {
    impl();
    return impl_;
  }

private:
  std::shared_ptr<const host_poplar::TensorImpl> impl_;
};

Tensor concat(ArrayRef<Tensor> ts, unsigned dimension = 0);
Tensor concat(const Tensor &first, const Tensor &second, unsigned dimension = 0);
Tensor append(const Tensor &first, const Tensor &second, unsigned dimension = 0);
std::ostream &operator<<(std::ostream &os, const Tensor &t);

} // namespace poplar
