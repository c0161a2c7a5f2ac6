// SPDX-License-Identifier: Apache-2.0
#include "host_poplar/Profile.hpp"

#include <algorithm>
#include <numeric>

namespace host_poplar {

const char *kindName(Kind kind) {
  static const std::array<const char *, NUM_KINDS> names = {"variables",        "constants",     "vertex state",
                                                            "exchange buffers", "exchange code", "control code",
                                                            "vertex code",      "worker stacks"};
  return names.at(kind);
}

std::uint64_t TileBytes::total() const { return std::accumulate(bytes.begin(), bytes.end(), std::uint64_t{0}); }

std::uint64_t Profile::cycles(unsigned program) const {
  std::uint64_t sum = 0;
  for (const Step &s : steps)
    if (s.program == program) sum += s.repeats * (s.exchange_cycles + s.compute_cycles);
  return sum;
}

void printProfile(const Profile &p, std::ostream &os) {
  const TileBytes &tile = p.tiles[p.fullest_tile];
  os << "fullest tile " << p.fullest_tile << ": " << tile.total() << " of " << p.bytes_per_tile << " bytes\n";
  for (int k = 0; k < NUM_KINDS; ++k)
    if (tile.bytes[k]) os << "  " << kindName(static_cast<Kind>(k)) << ": " << tile.bytes[k] << "\n";
  const auto vertices = std::accumulate(p.vertices_by_tile.begin(), p.vertices_by_tile.end(), std::uint64_t{0});
  os << "vertices: " << vertices << " on "
     << p.vertices_by_tile.size() -
            static_cast<std::size_t>(std::count(p.vertices_by_tile.begin(), p.vertices_by_tile.end(), 0u))
     << " of " << p.vertices_by_tile.size() << " tiles\n";
  for (const Step &s : p.steps) {
    os << "  program " << s.program << " " << s.kind << " '" << s.name << "'";
    if (s.repeats != 1) os << " x " << s.repeats;
    if (s.data_dependent) os << " (data-dependent)";
    if (s.host_bytes) os << ", host " << s.host_bytes << " bytes";
    os << ", exchange " << s.exchange_bytes << " bytes (busiest tile " << s.exchange_bytes_busiest;
    if (s.inter_ipu_bytes) os << ", between IPUs " << s.inter_ipu_bytes;
    os << ")";
    if (s.kind == "execute") {
      os << ", " << s.vertices << " vertices, " << s.compute_cycles << " cycles";
      if (s.vertices_without_estimate) os << " (" << s.vertices_without_estimate << " vertices without estimate)";
    }
    os << "\n";
  }
}

} // namespace host_poplar
