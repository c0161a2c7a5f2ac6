// Which tile and worker does which quartets of shells, in how many rounds, and how many bytes that takes on each tile.
// Depends on the shell structure only, not on the geometry, and on nothing of Poplar.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace scfx_ipu {

/// Shells of one molecule, as the codelets see them: all Cartesian.
struct Structure {
  int atoms = 0;
  std::vector<int> atom, momentum, primitives, first_primitive;
  int n_shells() const { return static_cast<int>(atom.size()); }
  int n_primitives() const;
  int max_momentum() const;
  int n_functions() const;
};

/// Worker cycles by class of quartets, from counted operations (cost_model.py): for the pair classes l(l+1)/2 + l' of bra
/// and ket, cycles of one quartet of primitives, and of what a quartet of shells adds, and of its contraction.
struct Costs {
  int pair_classes = 0;
  std::vector<float> primitive, shell, contraction;  // [pair_classes * pair_classes]
};

struct Machine {
  int ipus = 1;
  int tiles = 1472;  ///< of one IPU
  int workers = 6;
  std::int64_t tile_bytes = 624 * 1024;
};

enum class Strategy { kStore, kRecompute };

/// Consecutive shells that a task treats together.
struct Block {
  int first_shell, shells, functions;
};

/// A rectangle of the density matrix: blocks `row` >= `column`, `size` elements from `start` of the packed matrix.
struct Rectangle {
  int row, column, start, size;
};

using Task = std::array<std::uint16_t, 4>;

/// What a tile touches in one round: rectangles in order, each at an offset of the tile's part of the density.
struct Round {
  std::vector<int> rectangles;
  std::vector<int> offsets;
  int elements = 0;
  std::vector<std::vector<Task>> tasks;  // by worker
};

struct TilePlan {
  std::vector<Round> rounds;
  std::vector<std::int64_t> integrals;  // kept by each worker, all rounds
  std::int64_t gathered = 0;            // elements received for those that the tile owns, in the round of most
  std::vector<double> integral_cycles, contraction_cycles;  // by worker, issued by itself
};

/// Kinds of bytes on a tile.
struct Bytes {
  std::int64_t code = 0, molecule = 0, tasks = 0, integrals = 0, density = 0, sums = 0, reduction = 0, scratch = 0,
               vertices = 0, exchange = 0;
  std::int64_t total() const {
    return code + molecule + tasks + integrals + density + sums + reduction + scratch + vertices + exchange;
  }
};

struct Schedule {
  Structure structure;
  Machine machine;
  Strategy strategy = Strategy::kStore;
  std::vector<Block> blocks;
  std::vector<Rectangle> rectangles;
  int packed = 0;  ///< elements of the packed matrix
  std::vector<std::uint16_t> shell_table, block_table;
  std::vector<TilePlan> tiles;  // ipus * tiles
  int rounds = 0;
  int pair_scratch = 0;     ///< floats of scratch before the buffer of a quartet
  int quartet_scratch = 0;  ///< floats of the largest quartet
  std::vector<Bytes> bytes;
  int fullest = 0;
  std::int64_t quartets = 0, tasks = 0, integrals = 0;
  std::int64_t largest_sums = 0, largest_gather = 0;

  /// Range of the packed matrix that a tile of an IPU owns.
  int owned_begin(int tile) const { return static_cast<int>(std::int64_t(packed) * tile / machine.tiles); }
  int owned_end(int tile) const { return owned_begin(tile + 1); }
  bool fits() const { return bytes[fullest].total() <= machine.tile_bytes; }
};

/// Bytes of code on a tile, by highest momentum: set once by whoever knows the codelets.
struct CodeBytes {
  std::int64_t by_momentum[4];
};

Schedule make_schedule(const Structure& structure, const Machine& machine, Strategy strategy, const Costs& costs,
                       const CodeBytes& code);

}  // namespace scfx_ipu
