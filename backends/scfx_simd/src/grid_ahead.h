// AO values are read once in a contraction, and memory is slow to start: the inner loops ask for what comes next while
// they work on what is in the cache, spread evenly over their turns.
#pragma once

#include <algorithm>
#include <cstddef>

#include "grid_tiles.h"

namespace scfx_simd::quadrature {

template <int Lines> struct AheadBy {
  const char* at;
  size_t step;  // bytes a turn, at most so many lines
  AheadBy(const void* next, size_t bytes, size_t turns)
      : at(static_cast<const char*>(next)), step(std::min<size_t>(64 * Lines, (bytes + turns - 1) / turns)) {}
  SCFX_INLINE void ask(int turn) const {
#pragma GCC unroll 8
    for (int line = 0; line < Lines; ++line) __builtin_prefetch(at + step * size_t(turn) + 64 * line, 0, 2);
  }
  SCFX_INLINE void pass(size_t turns) { at += step * turns; }
};
using Ahead = AheadBy<2>;

constexpr size_t blocks_of(int rows) { return size_t(rows + block_rows - 1) / block_rows; }

}  // namespace scfx_simd::quadrature
