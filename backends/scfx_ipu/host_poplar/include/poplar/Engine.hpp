// SPDX-License-Identifier: Apache-2.0
// Compiling a graph and running its programs.
#pragma once
#include <functional>
#include <iostream>
#include <memory>
#include <string>

#include "poplar/ArrayRef.hpp"
#include "poplar/DataStream.hpp"
#include "poplar/Device.hpp"
#include "poplar/Executable.hpp"
#include "poplar/Graph.hpp"
#include "poplar/OptionFlags.hpp"
#include "poplar/Program.hpp"

namespace host_poplar {
struct EngineImpl;
}

namespace poplar {

/// Checks the graph (edges, types, races, bytes on every tile) and lays it out.
///
/// Options that act here:
///   debug.allowOutOfMemory  "true": a tile may overflow; the profile then says by how much (default "false")
///   hostPoplar.poison       "true": the debug mode of docs/host-poplar.md (default "false")
///   hostPoplar.threads      number of CPU threads, 0 for all (default "0")
/// The SDK's instrumentation and report options (debug.instrument*, autoReport.*, profiler.*) are accepted and do
/// nothing. Any other option is invalid_option.
Executable compileGraph(const Graph &graph, ArrayRef<program::Program> progs, const OptionFlags &opt = {});

class Engine {
public:
  Engine(const Graph &graph, program::Program prog, const OptionFlags &opt = {});
  Engine(const Graph &graph, ArrayRef<program::Program> progs, const OptionFlags &opt = {});
  Engine(Executable &&exe, const OptionFlags &opt = {});
  Engine(Engine &&) noexcept;
  ~Engine();

  void load(const Device &device);
  /// Runs the program of that index.
  void run(unsigned prog = 0, const std::string &debugName = "");
  void loadAndRun(const Device &device, unsigned prog = 0) {
    load(device);
    run(prog);
  }

  /// Bytes go in the order of the flattened tensor; the buffer must hold exactly all of them.
  void readTensor(StringRef handle, void *buf, void *bufEnd);
  void writeTensor(StringRef handle, const void *buf, const void *bufEnd);
  template <class T> void readTensor(StringRef handle, T *begin, T *end) {
    readTensor(handle, static_cast<void *>(begin), static_cast<void *>(end));
  }
  template <class T> void writeTensor(StringRef handle, ArrayRef<T> values) {
    writeTensor(handle, values.begin(), values.end());
  }

  /// Each transfer reads or writes the next `numElements` of [begin, end), and starts over at the end.
  void connectStream(StringRef handle, void *begin, void *end);
  /// Each transfer uses the same `numElements` elements at begin.
  void connectStream(StringRef handle, void *begin);
  void connectStream(const DataStream &stream, void *begin, void *end) { connectStream(stream.handle(), begin, end); }
  void connectStream(const DataStream &stream, void *begin) { connectStream(stream.handle(), begin); }
  void connectStreamToCallback(StringRef handle, std::function<void(void *)> f);

  /// Where PrintTensor prints; std::cerr at first.
  void setPrintStream(std::ostream &stream);
  void printProfileSummary(std::ostream &os, const OptionFlags &opt = {}) const;

  /// Internal to the library.
  const host_poplar::EngineImpl &impl() const { return *impl_; }

private:
  std::unique_ptr<host_poplar::EngineImpl> impl_;
};

} // namespace poplar
