// SPDX-License-Identifier: Apache-2.0
#include "storage.hpp"

#include <sys/mman.h>

#include <algorithm>

namespace host_poplar {

Pages::Pages(std::size_t bytes) : bytes_(std::max<std::size_t>(bytes, 1)) {
  void *p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED)
    throw poplar::poplar_error(text("the host cannot map ", bytes_, " bytes for the graph's variables"));
  data_ = static_cast<char *>(p);
}
Pages::~Pages() { munmap(data_, bytes_); }

char *Pool::allocate(std::size_t bytes, std::size_t align) {
  std::size_t skip = (align - reinterpret_cast<std::uintptr_t>(at_) % align) % align;
  if (!at_ || skip + bytes > left_) {
    const std::size_t block = std::max<std::size_t>(bytes + align, std::size_t{1} << 18);
    blocks_.push_back(std::make_unique<char[]>(block)); // value-initialised: zero
    at_ = blocks_.back().get();
    left_ = block;
    skip = (align - reinterpret_cast<std::uintptr_t>(at_) % align) % align;
  }
  char *result = at_ + skip;
  at_ += skip + bytes;
  left_ -= skip + bytes;
  return result;
}

std::size_t Storage::lay_out(const GraphImpl &graph, std::vector<std::size_t> &offsets,
                             std::vector<std::size_t> &sizes) {
  std::size_t at = 0;
  for (const Variable &v : graph.variables) {
    offsets.push_back(at);
    sizes.push_back(type_size(v.type));
    at = round_up(at + v.elements * sizes.back(), 64);
  }
  return at;
}

Storage::Storage(const GraphImpl &graph) : pages_(lay_out(graph, offsets_, sizes_)) {
  for (const InitialValue &init : graph.initial_values) {
    const std::size_t size = type_size(init.tensor->type);
    if (init.bytes.size() == init.tensor->elements * size) {
      scatter(*init.tensor, init.bytes.data());
      continue;
    }
    for (const Region &r : init.tensor->regions)
      for (std::size_t i = r.begin; i < r.end; ++i) std::memcpy(address(r.variable, i), init.bytes.data(), size);
  }
  for (const ComputeSetImpl &set : graph.compute_sets) {
    auto order = set.vertices;
    std::stable_sort(order.begin(), order.end(), [&](std::uint32_t a, std::uint32_t b) {
      return graph.vertices[a].tile < graph.vertices[b].tile;
    });
    std::vector<Task> tasks;
    tasks.reserve(order.size());
    for (const std::uint32_t id : order) tasks.push_back(make_task(graph, id));
    tasks_.push_back(std::move(tasks));
  }
}

Task Storage::make_task(const GraphImpl &graph, std::uint32_t id) {
  const VertexInstance &v = graph.vertices[id];
  Task task;
  task.compute = v.type->compute;
  task.vertex = id;
  task.workers = v.type->multi ? graph.target.getNumWorkerContexts() : 1;
  // No constructor runs: like the SDK's loader, this lays out bytes.
  task.object = pool_.allocate(v.type->size, std::max<std::size_t>(v.type->align, 8));
  task.first_gather = static_cast<std::uint32_t>(gathers_.size());
  for (std::size_t f = 0; f < v.fields.size(); ++f) {
    const FieldInfo &info = v.type->fields[f];
    const FieldValue &value = v.fields[f];
    if (info.direction != Direction::STATE) continue;
    if (info.level == Level::SCALAR) {
      std::memcpy(task.object + info.offset, value.state.data(), value.state.size());
    } else {
      char *data = pool_.allocate(value.state.size());
      if (!value.state.empty()) std::memcpy(data, value.state.data(), value.state.size());
      write_vector(task.object + info.offset, info.outer, data, value.state_elements);
    }
  }
  bind_edges(
      v, task.object,
      [&](const FieldInfo &info, const TensorImpl &t) -> char * {
        if (t.regions.empty()) return nullptr;
        if (t.regions.size() == 1) return address(t.regions[0].variable, t.regions[0].begin);
        gathers_.push_back({&t, pool_.allocate(t.elements * type_size(t.type)), info.direction});
        return gathers_.back().buffer;
      },
      [&](std::size_t bytes) { return pool_.allocate(bytes); });
  task.last_gather = static_cast<std::uint32_t>(gathers_.size());
  return task;
}

void Storage::gather(const TensorImpl &t, char *to) const {
  for (const Region &r : t.regions) {
    std::memcpy(to, base() + offset(r), bytes(r));
    to += bytes(r);
  }
}

void Storage::scatter(const TensorImpl &t, const char *from) const {
  for (const Region &r : t.regions) {
    std::memcpy(base() + offset(r), from, bytes(r));
    from += bytes(r);
  }
}

std::vector<Segment> Storage::plan_copy(const TensorImpl &source, const TensorImpl &destination) const {
  std::vector<Segment> plan;
  const std::size_t size = type_size(source.type);
  std::size_t s = 0, d = 0, at_s = 0, at_d = 0;
  while (s < source.regions.size()) {
    const Region &from = source.regions[s];
    const Region &to = destination.regions[d];
    const std::size_t n = std::min(from.size() - at_s, to.size() - at_d);
    plan.push_back({offset(from) + at_s * size, offset(to) + at_d * size, n * size});
    at_s += n;
    at_d += n;
    if (at_s == from.size()) ++s, at_s = 0;
    if (at_d == to.size()) ++d, at_d = 0;
  }
  return plan;
}

} // namespace host_poplar
