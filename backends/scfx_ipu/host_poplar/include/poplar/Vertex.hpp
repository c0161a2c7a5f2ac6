// SPDX-License-Identifier: Apache-2.0
// The base classes of vertices. A codelet includes this header and nothing else of Poplar.
#pragma once
#include "poplar/InOutTypes.hpp"

// True when the host's headers are compiled instead of the SDK's; a codelet has no need to look.
#ifndef HOST_POPLAR
#define HOST_POPLAR 1
#endif

namespace poplar {

/// compute() runs on one worker. It returns nothing, or true.
class Vertex {};

/// compute(unsigned workerId) runs once on each worker, in no order; workers must write apart from one another.
class MultiVertex {
public:
  static constexpr unsigned numWorkers() { return 6; }
};

} // namespace poplar
