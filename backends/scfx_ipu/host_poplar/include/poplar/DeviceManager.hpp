// SPDX-License-Identifier: Apache-2.0
// There is no hardware behind this library, so the manager lists none. Programs then build an IPUModel.
#pragma once
#include <vector>

#include "poplar/Device.hpp"
#include "poplar/OptionFlags.hpp"
#include "poplar/TargetType.hpp"

namespace poplar {

class DeviceManager {
public:
  DeviceManager() = default;
  static DeviceManager createDeviceManager() { return {}; }
  unsigned getNumDevices() const { return 0; }
  std::vector<Device> getDevices(const OptionFlags &opts = {}) const;
  /// Empty here for TargetType::IPU, as in the SDK on a machine without IPUs.
  std::vector<Device> getDevices(TargetType type, unsigned requiredNumIPUs, const OptionFlags &opts = {}) const;
};

} // namespace poplar
