// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>

namespace poplar {

/// Half open: [begin, end).
template <class T> struct GenericInterval {
  GenericInterval() = default;
  GenericInterval(T begin, T end) : begin_(begin), end_(end) {}
  const T &begin() const { return begin_; }
  const T &end() const { return end_; }
  /// Number of elements.
  T size() const { return end_ - begin_; }
  bool operator==(const GenericInterval &o) const { return begin_ == o.begin_ && end_ == o.end_; }
  bool operator!=(const GenericInterval &o) const { return !(*this == o); }
  bool operator<(const GenericInterval &o) const {
    return begin_ < o.begin_ || (begin_ == o.begin_ && end_ < o.end_);
  }

private:
  T begin_{};
  T end_{};
};

using Interval = GenericInterval<std::size_t>;

} // namespace poplar
