// SPDX-License-Identifier: Apache-2.0
// The device that this library runs: an IPU's tiles and bytes, a CPU's threads.
#pragma once
#include <string>

#include "poplar/Device.hpp"
#include "poplar/OptionFlags.hpp"

namespace poplar {

struct IPUModel {
  explicit IPUModel(const char *version = "ipu2");

  std::string IPUVersion;
  unsigned numIPUs = 1;
  unsigned tilesPerIPU = 1472;
  unsigned numWorkerContexts = 6;
  /// 624 KiB.
  unsigned memoryBytesPerTile = 638976;
  /// Hertz.
  double tileClockFrequency = 1.33e9;
  unsigned exchangeBytesPerCycle = 4;

  Device createDevice(OptionFlags opts = {}) const;
};

} // namespace poplar
