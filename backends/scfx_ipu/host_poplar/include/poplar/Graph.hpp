// SPDX-License-Identifier: Apache-2.0
// The graph: variables on tiles, vertices in compute sets, and which elements each field sees.
#pragma once
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "poplar/ArrayRef.hpp"
#include "poplar/DataStream.hpp"
#include "poplar/DebugContext.hpp"
#include "poplar/Device.hpp"
#include "poplar/GraphElements.hpp"
#include "poplar/Interval.hpp"
#include "poplar/OptionFlags.hpp"
#include "poplar/StringRef.hpp"
#include "poplar/Target.hpp"
#include "poplar/Tensor.hpp"
#include "poplar/Type.hpp"
#include "poplar/exceptions.hpp"

// True when these headers are compiled instead of the SDK's.
#ifndef HOST_POPLAR
#define HOST_POPLAR 1
#endif

namespace poplar {

namespace program {
class Program;
}

enum class CodeletFileType { PreprocessedAsmSource, AsmSource, CSource, CppSource, IrSource, Object, Auto };
enum class VariableMappingMethod { NONE, LINEAR };

/// Intervals of the flattened tensor, one list a tile.
using TileToTensorMapping = std::vector<std::vector<Interval>>;

/// A field and the tensor, or the list of tensors, that it is connected to.
struct ConnectionDesc {
  ConnectionDesc(StringRef field, Tensor tensor) : field(field.cloneAsString()), tensors{std::move(tensor)} {}
  ConnectionDesc(StringRef field, std::vector<Tensor> tensors)
      : field(field.cloneAsString()), tensors(std::move(tensors)), list(true) {}
  std::string field;
  std::vector<Tensor> tensors;
  bool list = false;
};

struct VertexPerfEstimate {
  std::uint64_t cycles = 0;
  std::uint64_t flops = 0;
};

class Graph {
public:
  using TileToTensorMapping = poplar::TileToTensorMapping;

  explicit Graph(const Target &target);
  explicit Graph(const Device &device);
  Graph(Graph &&) noexcept;
  Graph &operator=(Graph &&) noexcept;
  ~Graph();

  const Target &getTarget() const;

  /// Makes the vertex classes of a codelet source known to this graph. The host compiled the source ahead of time
  /// (CMake: host_poplar_add_codelets); it is found by its file name without folder and ending, so the path that
  /// the SDK would compile, or load as a .gp object, works unchanged. Throws file_load_error with the names there are.
  bool addCodelets(StringRef src, CodeletFileType type = CodeletFileType::Auto, StringRef compileFlags = "",
                   StringRef targetName = "");
  void addCodelets(ArrayRef<std::string> sources, StringRef compileFlags = "");

  /// Elements of a new variable; nothing is in them until a program or the host writes.
  Tensor addVariable(const Type &type, ArrayRef<std::size_t> shape, const DebugContext &debugContext = {});
  Tensor addVariable(const Type &type, ArrayRef<std::size_t> shape, VariableMappingMethod mappingMethod,
                     const DebugContext &debugContext = {});
  /// A variable laid out and mapped like another tensor's.
  Tensor clone(const Type &type, const Tensor &t, const DebugContext &debugContext = {});
  Tensor clone(const Tensor &t, const DebugContext &debugContext = {});

  template <class T>
  Tensor addConstant(const Type &type, ArrayRef<std::size_t> shape, ArrayRef<T> values,
                     const DebugContext &debugContext = {"<const>"}) {
    return addConstantBytes(type, shape, equivalent_device_type<T>().value, values.data(), values.size(),
                            debugContext);
  }
  template <class T>
  Tensor addConstant(const Type &type, ArrayRef<std::size_t> shape, const T *values,
                     const DebugContext &debugContext = {"<const>"}) {
    return addConstantBytes(type, shape, equivalent_device_type<T>().value, values, whole, debugContext);
  }
  template <class T, class = std::enable_if_t<std::is_arithmetic<T>::value>>
  Tensor addConstant(const Type &type, ArrayRef<std::size_t> shape, T value,
                     const DebugContext &debugContext = {"<const>"}) {
    return addConstantBytes(type, shape, equivalent_device_type<T>().value, &value, 1, debugContext);
  }

  ComputeSet addComputeSet(const DebugContext &debugContext = {});
  VertexRef addVertex(ComputeSet cs, StringRef vertexType);
  /// With its edges: addVertex(cs, "Add", {{"a", a}, {"b", b}, {"sum", sum}}).
  VertexRef addVertex(ComputeSet cs, StringRef vertexType, ArrayRef<ConnectionDesc> connections);
  unsigned getNumVertices() const;

  void connect(FieldRef field, const Tensor &tensor);
  /// A vector of vectors, one tensor for each; its size is set by this.
  void connect(FieldRef field, ArrayRef<Tensor> tensors);
  /// Vertex state: a scalar field.
  template <class T, class = std::enable_if_t<std::is_arithmetic<T>::value>>
  void setInitialValue(FieldRef field, T value) {
    setInitialValueBytes(field, equivalent_device_type<T>().value, &value, whole);
  }
  /// Vertex state: a Vector<T> field.
  template <class T> void setInitialValue(FieldRef field, ArrayRef<T> values) {
    setInitialValueBytes(field, equivalent_device_type<T>().value, values.data(), values.size());
  }
  template <class T> void setInitialValue(FieldRef field, const std::vector<T> &values) {
    setInitialValue(field, ArrayRef<T>(values));
  }
  /// What a variable holds when the engine loads; one value fills the tensor.
  template <class T, class = std::enable_if_t<std::is_arithmetic<T>::value>>
  void setInitialValue(const Tensor &t, T value) {
    setInitialTensorBytes(t, equivalent_device_type<T>().value, &value, whole);
  }
  template <class T> void setInitialValue(const Tensor &t, ArrayRef<T> values) {
    setInitialTensorBytes(t, equivalent_device_type<T>().value, values.data(), values.size());
  }
  /// Elements of a vector of vectors, or of a vertex's own Vector without initial value.
  void setFieldSize(FieldRef field, std::size_t size);

  void setTileMapping(VertexRef v, unsigned tileNum);
  void setTileMapping(const Tensor &t, unsigned tileNum);
  void setTileMapping(const Tensor &t, const TileToTensorMapping &mapping);
  TileToTensorMapping getTileMapping(const Tensor &t, bool requireComplete = true) const;

  /// Cycles that one worker issues to run the vertex (the slowest worker, for a MultiVertex).
  void setPerfEstimate(const VertexRef &v, std::uint64_t cycles, std::uint64_t flops = 0);
  VertexPerfEstimate getPerfEstimate(const VertexRef &v, const Target &target) const;

  void createHostWrite(StringRef handle, const Tensor &t, bool rearrangeOnHost = false);
  void createHostRead(StringRef handle, const Tensor &t, bool rearrangeOnHost = false);
  DataStream addHostToDeviceFIFO(StringRef handle, const Type &elementType, std::size_t numElements);
  DataStream addDeviceToHostFIFO(StringRef handle, const Type &elementType, std::size_t numElements);

  Function addFunction(const program::Program &program);

  /// Internal to the library.
  const std::shared_ptr<host_poplar::GraphImpl> &impl() const { return impl_; }

private:
  static constexpr std::size_t whole = ~std::size_t{0};
  Tensor addConstantBytes(const Type &type, ArrayRef<std::size_t> shape, Type given, const void *values,
                          std::size_t n, const DebugContext &debugContext);
  void setInitialValueBytes(FieldRef field, Type given, const void *values, std::size_t n);
  void setInitialTensorBytes(const Tensor &t, Type given, const void *values, std::size_t n);
  std::shared_ptr<host_poplar::GraphImpl> impl_;
};

} // namespace poplar
