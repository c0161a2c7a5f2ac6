// SPDX-License-Identifier: Apache-2.0
// The memory behind a loaded engine: all variables in one block, all vertex objects in another.
#pragma once
#include <cstring>
#include <memory>
#include <unordered_map>
#include <vector>

#include "internal.hpp"

namespace host_poplar {

/// Zero pages that cost nothing until touched.
class Pages {
public:
  explicit Pages(std::size_t bytes);
  ~Pages();
  Pages(const Pages &) = delete;
  Pages &operator=(const Pages &) = delete;
  char *data() const { return data_; }

private:
  char *data_ = nullptr;
  std::size_t bytes_;
};

/// Small zeroed blocks that live as long as the pool.
class Pool {
public:
  char *allocate(std::size_t bytes, std::size_t align = 16);

private:
  std::vector<std::unique_ptr<char[]>> blocks_;
  char *at_ = nullptr;
  std::size_t left_ = 0;
};

/// A scattered edge: its elements are brought together before compute() and taken back after.
struct Gather {
  const TensorImpl *tensor;
  char *buffer;
  Direction direction;
};

struct Task {
  bool (*compute)(void *, unsigned) = nullptr;
  char *object = nullptr;
  std::uint32_t vertex = 0;
  unsigned workers = 1;
  std::uint32_t first_gather = 0;
  std::uint32_t last_gather = 0;
};

struct Segment {
  std::size_t from;
  std::size_t to;
  std::size_t bytes;
};

class Storage {
public:
  explicit Storage(const GraphImpl &graph);

  char *address(std::uint32_t variable, std::size_t element) const {
    return pages_.data() + offsets_[variable] + element * sizes_[variable];
  }
  char *base() const { return pages_.data(); }
  std::size_t offset(const Region &r) const { return offsets_[r.variable] + r.begin * sizes_[r.variable]; }
  std::size_t bytes(const Region &r) const { return r.size() * sizes_[r.variable]; }

  void gather(const TensorImpl &t, char *to) const;
  void scatter(const TensorImpl &t, const char *from) const;
  std::vector<Segment> plan_copy(const TensorImpl &source, const TensorImpl &destination) const;

  const std::vector<Task> &tasks(unsigned compute_set) const { return tasks_[compute_set]; }
  const std::vector<Gather> &gathers() const { return gathers_; }

private:
  static std::size_t lay_out(const GraphImpl &graph, std::vector<std::size_t> &offsets,
                             std::vector<std::size_t> &sizes);
  Task make_task(const GraphImpl &graph, std::uint32_t vertex);

  std::vector<std::size_t> offsets_;
  std::vector<std::size_t> sizes_;
  Pages pages_;
  Pool pool_;
  std::vector<std::vector<Task>> tasks_;
  std::vector<Gather> gathers_;
};

// A Vector is a pointer, or a pointer and a number of elements (poplar/InOutTypes.hpp).
inline void write_vector(char *place, VectorLayout layout, const void *data, std::size_t n) {
  std::memcpy(place, &data, sizeof data);
  if (layout == VectorLayout::SPAN || layout == VectorLayout::SHORT_SPAN)
    std::memcpy(place + sizeof data, &n, sizeof n);
}

/// Points the edges of a vertex object at memory: locate(field, tensor) gives an edge's place, allocate(bytes) room for
/// the entries of vectors of vectors.
template <class Locate, class Allocate>
void bind_edges(const VertexInstance &v, char *object, Locate &&locate, Allocate &&allocate) {
  for (std::size_t f = 0; f < v.fields.size(); ++f) {
    const FieldInfo &info = v.type->fields[f];
    const FieldValue &value = v.fields[f];
    if (info.direction == Direction::STATE) continue;
    char *place = object + info.offset;
    switch (info.level) {
    case Level::SCALAR: write_vector(place, VectorLayout::ONE_PTR, locate(info, *value.tensors[0]), 1); break;
    case Level::VECTOR:
      write_vector(place, info.outer, locate(info, *value.tensors[0]), value.tensors[0]->elements);
      break;
    case Level::VECTOR_OF_SCALARS:
    case Level::VECTOR_OF_VECTORS: {
      char *entries = allocate(value.tensors.size() * info.stride);
      for (std::size_t i = 0; i < value.tensors.size(); ++i)
        write_vector(entries + i * info.stride, info.inner, locate(info, *value.tensors[i]),
                     value.tensors[i]->elements);
      write_vector(place, info.outer, entries, value.tensors.size());
    }
    }
  }
}

} // namespace host_poplar
