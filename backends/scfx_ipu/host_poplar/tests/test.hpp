// SPDX-License-Identifier: Apache-2.0
// As much of a test framework as these tests need.
#pragma once
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "host_poplar/Profile.hpp"
#include "poplar/DeviceManager.hpp"
#include "poplar/Engine.hpp"
#include "poplar/Graph.hpp"
#include "poplar/IPUModel.hpp"
#include "poplar/Program.hpp"

using namespace poplar;
using program::Copy;
using program::Execute;
using program::Program;
using program::Sequence;

std::map<std::string, std::function<void()>> &tests();
struct RegisterTest {
  RegisterTest(const char *name, std::function<void()> f) { tests()[name] = std::move(f); }
};
#define TEST(name)                                                                                                   \
  static void test_##name();                                                                                         \
  static const RegisterTest register_##name(#name, test_##name);                                                     \
  static void test_##name()

struct Failure : std::logic_error {
  using std::logic_error::logic_error;
};
#define CHECK(condition)                                                                                             \
  do {                                                                                                               \
    if (!(condition)) throw Failure(std::string(__FILE__) + ":" + std::to_string(__LINE__) + ": " #condition);       \
  } while (false)

/// The text of the error that f throws; every part must be in it.
template <class Error, class F> std::string expect(F &&f, const std::vector<std::string> &parts) {
  try {
    f();
  } catch (const Error &e) {
    for (const std::string &part : parts)
      if (std::string(e.what()).find(part) == std::string::npos)
        throw Failure("expected \"" + part + "\" in: " + e.what());
    return e.what();
  }
  throw Failure("nothing was thrown; expected: " + (parts.empty() ? "" : parts[0]));
}

/// A small machine.
inline Device small_device(unsigned tiles = 4, unsigned ipus = 1) {
  IPUModel model;
  model.numIPUs = ipus;
  model.tilesPerIPU = tiles;
  return model.createDevice();
}

inline std::vector<float> ramp(std::size_t n, float start = 0.0f) {
  std::vector<float> v(n);
  for (std::size_t i = 0; i < n; ++i) v[i] = start + static_cast<float>(i);
  return v;
}

/// Compiles, loads, writes the host's tensors, runs, and reads one tensor back.
template <class T>
std::vector<T> run(const Graph &graph, const Device &device, const Program &program,
                   const std::vector<std::pair<std::string, std::vector<float>>> &writes, const std::string &read,
                   std::size_t n, const OptionFlags &options = {}) {
  Engine engine(graph, program, options);
  engine.load(device);
  for (const auto &w : writes) engine.writeTensor(w.first, w.second.data(), w.second.data() + w.second.size());
  engine.run();
  std::vector<T> result(n);
  engine.readTensor(read, result.data(), result.data() + n);
  return result;
}
