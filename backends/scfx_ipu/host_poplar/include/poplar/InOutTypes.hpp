// SPDX-License-Identifier: Apache-2.0
// Fields of a vertex: what it reads and writes, and its own vectors. This is all that a codelet sees.
#pragma once
#include <cstddef>

namespace poplar {

/// How a vector's place is stored in the vertex. Only SPAN and SHORT_SPAN keep the number of elements, so only they
/// have size(), begin() and end(). The host stores every one of them as a pointer, and counts the device's bytes.
enum class VectorLayout { ONE_PTR, SPAN, SHORT_SPAN, COMPACT_PTR };

template <class T, VectorLayout L = VectorLayout::SPAN, unsigned MinAlign = alignof(T), bool Interleaved = false>
class Vector;

template <class T, unsigned MinAlign, bool Interleaved>
class Vector<T, VectorLayout::ONE_PTR, MinAlign, Interleaved> {
public:
  T &operator[](std::size_t i) const { return data_[i]; }
  T &operator*() const { return *data_; }
  T *data() const { return data_; }

private:
  T *data_;
};

template <class T, unsigned MinAlign, bool Interleaved>
class Vector<T, VectorLayout::COMPACT_PTR, MinAlign, Interleaved>
    : public Vector<T, VectorLayout::ONE_PTR, MinAlign> {};

template <class T, unsigned MinAlign, bool Interleaved> class Vector<T, VectorLayout::SPAN, MinAlign, Interleaved> {
public:
  T &operator[](std::size_t i) const { return data_[i]; }
  T *data() const { return data_; }
  std::size_t size() const { return size_; }
  T *begin() const { return data_; }
  T *end() const { return data_ + size_; }

private:
  T *data_;
  std::size_t size_;
};

template <class T, unsigned MinAlign, bool Interleaved>
class Vector<T, VectorLayout::SHORT_SPAN, MinAlign, Interleaved> : public Vector<T, VectorLayout::SPAN, MinAlign> {};

/// A scalar that the vertex reads.
template <class T> class Input {
public:
  operator const T &() const { return *p_; }
  const T &operator*() const { return *p_; }
  const T *operator->() const { return p_; }

private:
  const T *p_;
};

/// A scalar that the vertex writes. Reading it gives nothing defined.
template <class T> class Output {
public:
  T &operator*() const { return *p_; }
  T *operator->() const { return p_; }
  const Output &operator=(const T &value) const {
    *p_ = value;
    return *this;
  }

private:
  T *p_;
};

/// A scalar that the vertex reads and writes.
template <class T> class InOut {
public:
  operator T &() const { return *p_; }
  T &operator*() const { return *p_; }
  T *operator->() const { return p_; }
  const InOut &operator=(const T &value) const {
    *p_ = value;
    return *this;
  }

private:
  T *p_;
};

template <class T, VectorLayout L, unsigned A, bool I>
class Input<Vector<T, L, A, I>> : public Vector<const T, L, A, I> {};
template <class T, VectorLayout L, unsigned A, bool I>
class Output<Vector<T, L, A, I>> : public Vector<T, L, A, I> {};
template <class T, VectorLayout L, unsigned A, bool I> class InOut<Vector<T, L, A, I>> : public Vector<T, L, A, I> {};

} // namespace poplar
