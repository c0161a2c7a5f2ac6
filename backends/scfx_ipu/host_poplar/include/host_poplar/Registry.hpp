// SPDX-License-Identifier: Apache-2.0
// Vertex classes as data. Generated translation units fill the registry before main; the field's C++ type says what
// kind of field it is, so the generator needs to know names only.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <type_traits>
#include <vector>

#include "poplar/InOutTypes.hpp"
#include "poplar/Type.hpp"
#include "poplar/Vertex.hpp"

namespace host_poplar {

enum class Direction { STATE, INPUT, OUTPUT, INOUT };
enum class Level { SCALAR, VECTOR, VECTOR_OF_SCALARS, VECTOR_OF_VECTORS };
using poplar::VectorLayout;

struct FieldInfo {
  std::string name;
  std::size_t offset = 0; ///< in the host's object
  Direction direction = Direction::STATE;
  Level level = Level::SCALAR;
  poplar::Type type;
  VectorLayout outer = VectorLayout::ONE_PTR; ///< of the only vector, or of the vector of vectors
  VectorLayout inner = VectorLayout::ONE_PTR; ///< of the vectors in it
  std::size_t stride = 0;                     ///< host bytes from one inner vector to the next
  unsigned min_align = 1;

  /// Bytes of the field in the vertex on the device, and their alignment (docs/host-poplar.md, "Vertex state").
  std::size_t device_bytes() const;
  std::size_t device_align() const;
};

/// A function or a table of a codelet source; a tile holds it once, whichever of its vertices use it.
struct CodePiece {
  unsigned id; ///< within its source
  std::uint64_t bytes;
};

struct VertexInfo {
  std::string name;
  std::size_t size = 0; ///< host bytes of the object
  std::size_t align = 1;
  bool multi = false;
  std::vector<FieldInfo> fields;
  bool (*compute)(void *object, unsigned worker) = nullptr;
  std::string source;            ///< codelet file without folder and ending
  std::vector<CodePiece> code;   ///< compute() and all that it reaches
  std::uint64_t stack_bytes = 0; ///< deepest chain of calls from compute(), one worker
  bool measured = false;         ///< false: the two are the defaults below

  std::uint64_t code_bytes() const {
    std::uint64_t sum = 0;
    for (const CodePiece &p : code) sum += p.bytes;
    return sum;
  }
};

/// Used where the build could not measure a codelet (a compiler other than GCC).
constexpr std::uint64_t default_code_bytes = 4096;
constexpr std::uint64_t default_stack_bytes = 256;

template <class F> struct FieldTraits {
  static_assert(
      std::is_arithmetic<F>::value,
      "a vertex field is a number, poplar::Vector, Input, Output, InOut, or a Vector of one of these three");
  using Element = std::remove_cv_t<F>;
  static constexpr Direction direction = Direction::STATE;
  static constexpr Level level = Level::SCALAR;
  static constexpr VectorLayout outer = VectorLayout::ONE_PTR, inner = VectorLayout::ONE_PTR;
  static constexpr std::size_t stride = 0;
  static constexpr unsigned min_align = alignof(F);
};
template <class F> struct FieldTraits<const F> : FieldTraits<F> {};
template <class T, VectorLayout L, unsigned A, bool I> struct FieldTraits<poplar::Vector<T, L, A, I>> {
  static_assert(std::is_arithmetic<T>::value, "a Vector holds numbers, Input, Output or InOut");
  using Element = std::remove_cv_t<T>;
  static constexpr Direction direction = Direction::STATE;
  static constexpr Level level = Level::VECTOR;
  static constexpr VectorLayout outer = L, inner = VectorLayout::ONE_PTR;
  static constexpr std::size_t stride = sizeof(T);
  static constexpr unsigned min_align = A;
};

template <class T, Direction D> struct EdgeTraits : FieldTraits<T> {
  static constexpr Direction direction = D;
};
template <class T> struct FieldTraits<poplar::Input<T>> : EdgeTraits<T, Direction::INPUT> {};
template <class T> struct FieldTraits<poplar::Output<T>> : EdgeTraits<T, Direction::OUTPUT> {};
template <class T> struct FieldTraits<poplar::InOut<T>> : EdgeTraits<T, Direction::INOUT> {};

template <class E, VectorLayout L> struct NestedTraits {
  using Inner = FieldTraits<E>;
  static_assert(Inner::level == Level::SCALAR || Inner::level == Level::VECTOR, "at most a vector of vectors");
  using Element = typename Inner::Element;
  static constexpr Direction direction = Inner::direction;
  static constexpr Level level = Inner::level == Level::SCALAR ? Level::VECTOR_OF_SCALARS : Level::VECTOR_OF_VECTORS;
  static constexpr VectorLayout outer = L, inner = Inner::outer;
  static constexpr std::size_t stride = sizeof(E);
  static constexpr unsigned min_align = Inner::min_align;
};
template <class T, VectorLayout L, unsigned A, bool I>
struct FieldTraits<poplar::Vector<poplar::Input<T>, L, A, I>> : NestedTraits<poplar::Input<T>, L> {};
template <class T, VectorLayout L, unsigned A, bool I>
struct FieldTraits<poplar::Vector<poplar::Output<T>, L, A, I>> : NestedTraits<poplar::Output<T>, L> {};
template <class T, VectorLayout L, unsigned A, bool I>
struct FieldTraits<poplar::Vector<poplar::InOut<T>, L, A, I>> : NestedTraits<poplar::InOut<T>, L> {};

template <class F> FieldInfo field(const char *name, std::size_t offset) {
  using Traits = FieldTraits<F>;
  FieldInfo info;
  info.name = name;
  info.offset = offset;
  info.direction = Traits::direction;
  info.level = Traits::level;
  info.type = poplar::equivalent_device_type<typename Traits::Element>().value;
  info.outer = Traits::outer;
  info.inner = Traits::inner;
  info.stride = Traits::stride;
  info.min_align = Traits::min_align;
  return info;
}

/// compute() of either base class, behind one signature.
template <class V> inline bool call_compute(void *object, unsigned worker) {
  auto &vertex = *static_cast<V *>(object);
  if constexpr (std::is_base_of<poplar::MultiVertex, V>::value) {
    if constexpr (std::is_void<decltype(vertex.compute(worker))>::value) return vertex.compute(worker), true;
    else return vertex.compute(worker);
  } else {
    (void)worker;
    if constexpr (std::is_void<decltype(vertex.compute())>::value) return vertex.compute(), true;
    else return vertex.compute();
  }
}

template <class V>
VertexInfo vertex(const char *name, bool (*compute)(void *, unsigned), std::vector<FieldInfo> fields) {
  static_assert(std::is_base_of<poplar::Vertex, V>::value != std::is_base_of<poplar::MultiVertex, V>::value,
                "a vertex derives from poplar::Vertex or from poplar::MultiVertex");
  VertexInfo info;
  info.name = name;
  info.size = sizeof(V);
  info.align = alignof(V);
  info.multi = std::is_base_of<poplar::MultiVertex, V>::value;
  info.fields = std::move(fields);
  info.compute = compute;
  return info;
}

struct VertexSize {
  std::uint64_t stack_bytes;
  std::vector<unsigned> pieces;
};

/// Static objects of the generated units. `source` is the codelet's file name without folder and ending.
struct RegisterCodelets {
  RegisterCodelets(const char *source, std::vector<VertexInfo> vertices);
};
struct RegisterSizes {
  RegisterSizes(const char *source, std::vector<std::uint64_t> piece_bytes,
                std::vector<VertexSize> in_order_of_vertices);
};

} // namespace host_poplar
