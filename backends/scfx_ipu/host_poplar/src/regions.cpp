// SPDX-License-Identifier: Apache-2.0
// Lists of regions: cutting, joining, comparing.
#include <algorithm>
#include <functional>
#include <numeric>

#include "internal.hpp"

namespace host_poplar {

std::size_t product(const std::vector<std::size_t> &shape, std::size_t from, std::size_t to) {
  return std::accumulate(shape.begin() + static_cast<std::ptrdiff_t>(from),
                         shape.begin() + static_cast<std::ptrdiff_t>(to), std::size_t{1}, std::multiplies<>());
}

/// Appends the regions of flat elements [begin, end).
void append_range(const TensorImpl &t, std::size_t begin, std::size_t end, std::vector<Region> &out) {
  if (begin >= end) return;
  auto i = static_cast<std::size_t>(std::upper_bound(t.starts.begin(), t.starts.end(), begin) - t.starts.begin()) - 1;
  for (; begin < end; ++i) {
    const Region &r = t.regions[i];
    const std::size_t offset = begin - t.starts[i];
    const std::size_t n = std::min(r.size() - offset, end - begin);
    out.push_back({r.variable, r.begin + offset, r.begin + offset + n});
    begin += n;
  }
}

TensorPtr make_tensor(const GraphImpl *graph, Type type, std::vector<std::size_t> shape,
                      std::vector<Region> regions) {
  auto t = std::make_shared<TensorImpl>();
  t->graph = graph;
  t->type = type;
  std::size_t kept = 0;
  for (const Region &r : regions) {
    if (r.begin == r.end) continue;
    if (kept && regions[kept - 1].variable == r.variable && regions[kept - 1].end == r.begin)
      regions[kept - 1].end = r.end;
    else regions[kept++] = r;
  }
  regions.resize(kept);
  t->starts.reserve(kept);
  for (const Region &r : regions) {
    t->starts.push_back(t->elements);
    t->elements += r.size();
  }
  t->shape = std::move(shape);
  t->regions = std::move(regions);
  return t;
}

bool overlap(const TensorImpl &a, const TensorImpl &b) {
  auto sorted = a.regions;
  const auto before = [](const Region &x, const Region &y) {
    return x.variable != y.variable ? x.variable < y.variable : x.begin < y.begin;
  };
  std::sort(sorted.begin(), sorted.end(), before);
  // Ends must ascend too: a region hidden inside an earlier one adds nothing.
  std::size_t kept = 0;
  for (const Region &r : sorted)
    if (!kept || sorted[kept - 1].variable != r.variable || sorted[kept - 1].end < r.end) sorted[kept++] = r;
  sorted.resize(kept);
  for (const Region &r : b.regions) {
    auto it = std::upper_bound(sorted.begin(), sorted.end(), Region{r.variable, r.end - 1, r.end}, before);
    if (it != sorted.begin() && (--it)->variable == r.variable && it->end > r.begin) return true;
  }
  return false;
}

} // namespace host_poplar
