// SPDX-License-Identifier: Apache-2.0
// What a program may assume of the machine: tiles, workers, bytes.
#pragma once
#include <cstddef>

#include "poplar/OptionFlags.hpp"
#include "poplar/StringRef.hpp"
#include "poplar/TargetType.hpp"
#include "poplar/Type.hpp"

namespace poplar {

struct IPUModel;

class Target {
public:
  Target() = default;
  /// A Mk2 ("ipu2") machine of `numIPUs` IPUs with 1,472 tiles of 638,976 bytes each.
  static Target createIPUTarget(unsigned numIPUs, StringRef systemType, const OptionFlags &opts = {});
  static Target createIPUTarget(unsigned numIPUs, unsigned tilesPerIPU, StringRef systemType,
                                const OptionFlags &opts = {});

  TargetType getTargetType() const { return type_; }
  unsigned getNumIPUs() const { return numIPUs_; }
  unsigned getTilesPerIPU() const { return tilesPerIPU_; }
  unsigned getNumTiles() const { return numIPUs_ * tilesPerIPU_; }
  unsigned getNumWorkerContexts() const { return workers_; }
  unsigned getBytesPerTile() const { return bytesPerTile_; }
  std::size_t getMemoryBytes() const { return static_cast<std::size_t>(getNumTiles()) * bytesPerTile_; }
  unsigned getExchangeBytesPerCycle() const { return exchangeBytesPerCycle_; }
  double getTileClockFrequency() const { return clock_; }
  unsigned getDataPathWidth() const { return 64; }
  /// Elements that one 64-bit load brings.
  unsigned getVectorWidth(const Type &type) const { return static_cast<unsigned>(8 / getTypeSize(type)); }
  /// Bytes of an element on the device (the same on the host for every type supported here).
  std::size_t getTypeSize(const Type &type) const;

private:
  friend struct IPUModel;
  TargetType type_ = TargetType::IPU_MODEL;
  unsigned numIPUs_ = 1;
  unsigned tilesPerIPU_ = 1472;
  unsigned workers_ = 6;
  unsigned bytesPerTile_ = 638976;
  unsigned exchangeBytesPerCycle_ = 4;
  double clock_ = 1.33e9;
};

} // namespace poplar
