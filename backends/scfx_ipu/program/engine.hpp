// One shell structure on the IPU: builds the graph for a schedule and runs it for one geometry after another.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "schedule.hpp"

namespace scfx_ipu {

enum class DeviceKind { kHost, kHardware };

/// True when this library was compiled against Graphcore's SDK.
bool built_for_hardware();

struct EngineOptions {
  DeviceKind device = DeviceKind::kHost;
  std::string codelets;  ///< path of rys.cpp
  int threads = 1;       ///< of the host device
  bool poison = false;   ///< debug mode of the host device: reading what nothing wrote is an error
};

class Engine {
 public:
  Engine(const Schedule& schedule, const EngineOptions& options);
  ~Engine();

  /// Atoms, exponents and coefficients as the codelets want them; integrals are computed now if they are kept.
  void set_molecule(const std::vector<float>& molecule);
  /// J and K, half of each (the whole is half + transpose), for a packed density of (value, rest) pairs; four floats an
  /// element come back: J, its rest, K, its rest.
  void coulomb_exchange(const std::vector<float>& density, bool exchange, std::vector<float>& sums);
  /// Bytes on the fullest tile as the graph's compiler counts them, 0 where it does not say.
  std::int64_t measured_bytes() const;
  /// Cycles of the exchanges of one contraction, as the host's graph compiler counts them; 0 on hardware.
  std::int64_t exchange_cycles() const;
  std::string profile() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace scfx_ipu
