// SPDX-License-Identifier: Apache-2.0
// A view of a contiguous array; the owner must outlive it.
#pragma once
#include <array>
#include <cstddef>
#include <initializer_list>
#include <vector>

namespace poplar {

template <class T> class ArrayRef {
public:
  using value_type = T;
  using const_iterator = const T *;

  constexpr ArrayRef() = default;
  constexpr ArrayRef(const T *data, std::size_t size) : data_(data), size_(size) {}
  constexpr ArrayRef(const T *first, const T *last) : data_(first), size_(static_cast<std::size_t>(last - first)) {}
  template <class A> ArrayRef(const std::vector<T, A> &v) : data_(v.data()), size_(v.size()) {}
  template <std::size_t N> constexpr ArrayRef(const std::array<T, N> &a) : data_(a.data()), size_(N) {}
  template <std::size_t N> constexpr ArrayRef(const T (&a)[N]) : data_(a), size_(N) {}
  // A braced list lives until the end of the full expression, long enough for an argument.
  ArrayRef(const std::initializer_list<T> &list) {
    data_ = list.begin();
    size_ = list.size();
  }

  constexpr const T *data() const { return data_; }
  constexpr std::size_t size() const { return size_; }
  constexpr bool empty() const { return size_ == 0; }
  constexpr const T *begin() const { return data_; }
  constexpr const T *end() const { return data_ + size_; }
  constexpr const T *cbegin() const { return begin(); }
  constexpr const T *cend() const { return end(); }
  constexpr const T &operator[](std::size_t i) const { return data_[i]; }
  constexpr const T &front() const { return data_[0]; }
  constexpr const T &back() const { return data_[size_ - 1]; }
  std::vector<T> cloneAsVector() const { return std::vector<T>(begin(), end()); }

protected:
  const T *data_ = nullptr;
  std::size_t size_ = 0;
};

} // namespace poplar
