// SPDX-License-Identifier: Apache-2.0
// What compiling a graph learnt: bytes by kind on every tile, exchange and cycles by program step. Not in the SDK
// (its counterpart is the PopVision report), so a program that builds against both guards it by `#ifdef HOST_POPLAR`.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include "poplar/Engine.hpp"

namespace host_poplar {

/// Kinds of bytes on a tile; docs/host-poplar.md says how each is counted.
enum Kind {
  VARIABLES,
  CONSTANTS,
  VERTEX_STATE,
  EXCHANGE_BUFFERS,
  EXCHANGE_CODE,
  CONTROL_CODE,
  VERTEX_CODE,
  STACKS,
  NUM_KINDS
};
const char *kindName(Kind kind);

struct TileBytes {
  std::array<std::uint64_t, NUM_KINDS> bytes{};
  std::uint64_t total() const;
};

/// One Execute, Copy or stream transfer of a program, in the order that they stand in.
struct Step {
  std::string kind; ///< "execute", "copy", "host_write" (stream to device) or "host_read"
  std::string name;
  unsigned program = 0;                     ///< index in the list given to the engine
  std::uint64_t repeats = 1;                ///< product of the enclosing Repeat counts; a while counts once
  bool data_dependent = false;              ///< under RepeatWhileTrue/False or If
  std::uint64_t host_bytes = 0;             ///< to or from the host, once through
  std::uint64_t exchange_bytes = 0;         ///< all tiles, bytes received from another tile, once through
  std::uint64_t exchange_bytes_busiest = 0; ///< by the tile that receives most
  std::uint64_t inter_ipu_bytes = 0;        ///< the part that crosses between IPUs
  std::uint64_t exchange_cycles = 0;        ///< busiest tile at Target::getExchangeBytesPerCycle
  std::uint64_t compute_cycles = 0;         ///< busiest tile, from setPerfEstimate
  std::uint64_t total_worker_cycles = 0;    ///< all tiles: sum of cycles issued by workers
  std::uint64_t vertices = 0;
  std::uint64_t vertices_without_estimate = 0;
  std::uint64_t flops = 0;
};

struct Profile {
  std::vector<TileBytes> tiles; ///< one a tile
  unsigned fullest_tile = 0;
  std::uint64_t bytes_per_tile = 0; ///< what the target has
  std::vector<std::uint32_t> vertices_by_tile;
  std::vector<Step> steps;
  /// Clock cycles of a program once through, steps times repeats (exchange and compute; synchronisation excluded).
  std::uint64_t cycles(unsigned program) const;
};

const Profile &getProfile(const poplar::Executable &exe);
const Profile &getProfile(const poplar::Engine &engine);
void printProfile(const Profile &profile, std::ostream &os);

} // namespace host_poplar
