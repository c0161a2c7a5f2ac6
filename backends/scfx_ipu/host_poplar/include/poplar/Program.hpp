// SPDX-License-Identifier: Apache-2.0
// Control programs: what runs in which order.
#pragma once
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "poplar/DataStream.hpp"
#include "poplar/DebugContext.hpp"
#include "poplar/GraphElements.hpp"
#include "poplar/Tensor.hpp"

namespace host_poplar {
struct ProgramImpl;
}

namespace poplar {
namespace program {

class Program {
public:
  Program();
  bool isEmpty() const;

  /// Internal to the library.
  explicit Program(std::shared_ptr<host_poplar::ProgramImpl> impl) : impl_(std::move(impl)) {}
  const std::shared_ptr<host_poplar::ProgramImpl> &impl() const { return impl_; }

protected:
  std::shared_ptr<host_poplar::ProgramImpl> impl_;
};

class Sequence : public Program {
public:
  Sequence(const DebugContext &debugContext = {});
  Sequence(std::initializer_list<Program> programs, const DebugContext &debugContext = {});
  explicit Sequence(const std::vector<Program> &programs, const DebugContext &debugContext = {});
  template <class A, class B, class... More,
            class = std::enable_if_t<std::is_base_of<Program, A>::value && std::is_base_of<Program, B>::value>>
  Sequence(const A &first, const B &second, const More &...more) : Sequence({first, second, more...}) {}
  /// A sequence may grow until an engine compiles it; copies of a sequence grow on their own.
  void add(const Program &p);
};

/// All vertices of a compute set, on all tiles at once.
class Execute : public Program {
public:
  explicit Execute(ComputeSet cs, const DebugContext &debugContext = {});
};

/// dst = src, element by element; the exchange moves what lies on other tiles.
class Copy : public Program {
public:
  Copy(Tensor src, Tensor dst, bool dontOutline = false, const DebugContext &debugContext = {});
  Copy(const DataStream &stream, Tensor dst, bool optimizeMemory = false, const DebugContext &debugContext = {});
  Copy(Tensor src, const DataStream &stream, bool optimizeMemory = false, const DebugContext &debugContext = {});
};

class Repeat : public Program {
public:
  Repeat(unsigned count, const Program &prog, const DebugContext &debugContext = {});
};

/// cond; while (predicate) { body; cond; }
class RepeatWhileTrue : public Program {
public:
  RepeatWhileTrue(const Program &cond, Tensor predicate, const Program &body, const DebugContext &debugContext = {});
};

class RepeatWhileFalse : public Program {
public:
  RepeatWhileFalse(const Program &cond, Tensor predicate, const Program &body, const DebugContext &debugContext = {});
};

class If : public Program {
public:
  If(Tensor predicate, const Program &trueBody, const Program &falseBody, const DebugContext &debugContext = {});
};

/// Runs a function of Graph::addFunction, whose program is stored once.
class Call : public Program {
public:
  explicit Call(Function f, const DebugContext &debugContext = {});
};

/// Prints a tensor's elements, rows in braces, to Engine::setPrintStream's stream.
class PrintTensor : public Program {
public:
  PrintTensor(Tensor t, const DebugContext &debugContext = {});
  PrintTensor(StringRef title, Tensor t, const DebugContext &debugContext = {});
};

} // namespace program
} // namespace poplar
