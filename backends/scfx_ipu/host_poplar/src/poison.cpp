// SPDX-License-Identifier: Apache-2.0
#include "poison.hpp"

#include <algorithm>
#include <array>

namespace host_poplar {

namespace {

constexpr std::size_t guard = 64;

/// Element patterns of the two runs. What stays in memory is a quiet NaN (0), so that a sum of poison is poison; the other
/// run has a small number (1), since a sum with a NaN would look as if nothing had been written.
std::array<unsigned char, 8> pattern(const Type &type, int which) {
  if (type == poplar::FLOAT) {
    const std::uint32_t bits = which == 0 ? 0x7fc0dea1u : 0x3f9e3779u;
    std::array<unsigned char, 8> p{};
    std::memcpy(p.data(), &bits, sizeof bits);
    return p;
  }
  std::array<unsigned char, 8> p{};
  const unsigned char byte = type == poplar::BOOL ? static_cast<unsigned char>(which) : which == 0 ? 0xa7 : 0x58;
  p.fill(byte);
  return p;
}

void fill(char *to, std::size_t elements, const Type &type, int which) {
  const auto p = pattern(type, which);
  const std::size_t size = type_size(type);
  for (std::size_t i = 0; i < elements; ++i) std::memcpy(to + i * size, p.data(), size);
}

/// A private copy of one edge between two guards.
struct Copy {
  const FieldInfo *field;
  const TensorImpl *tensor;
  std::vector<char> bytes; ///< guard, elements, guard
  std::size_t size = 0;    ///< of the elements, in bytes

  char *data() { return bytes.data() + guard; }

  void prepare(const Storage &storage, int which) {
    const std::size_t element = type_size(tensor->type);
    size = tensor->elements * element;
    bytes.resize(size + 2 * guard);
    fill(bytes.data(), guard / element, tensor->type, which);
    fill(data() + size, guard / element, tensor->type, which);
    if (field->direction == Direction::OUTPUT) fill(data(), tensor->elements, tensor->type, which);
    else storage.gather(*tensor, data());
  }

  bool guards_hold(int which) const {
    std::vector<char> expected(guard);
    fill(expected.data(), guard / type_size(tensor->type), tensor->type, which);
    return std::equal(expected.begin(), expected.end(), bytes.begin()) &&
           std::equal(expected.begin(), expected.end(), bytes.end() - static_cast<std::ptrdiff_t>(guard));
  }
};

struct State {
  char *at;
  std::vector<char> bytes;
};

} // namespace

Poison::Poison(const GraphImpl &graph, Storage &storage) : graph_(graph), storage_(storage) {
  for (std::uint32_t id = 0; id < graph.variables.size(); ++id)
    defined_.emplace_back(graph.variables[id].elements, 0);
  for (const InitialValue &init : graph.initial_values) define(*init.tensor);
  for (std::uint32_t id = 0; id < graph.variables.size(); ++id)
    for (std::size_t i = 0; i < defined_[id].size(); ++i)
      if (!defined_[id][i]) fill(storage.address(id, i), 1, graph.variables[id].type, 0);
}

void Poison::define(const TensorImpl &t) {
  for (const Region &r : t.regions) std::memset(defined_[r.variable].data() + r.begin, 1, r.size());
}

void Poison::copy(const TensorImpl &source, const TensorImpl &destination) {
  std::vector<std::uint8_t> flags;
  flags.reserve(source.elements);
  for (const Region &r : source.regions)
    flags.insert(flags.end(), defined_[r.variable].begin() + static_cast<std::ptrdiff_t>(r.begin),
                 defined_[r.variable].begin() + static_cast<std::ptrdiff_t>(r.end));
  const std::uint8_t *from = flags.data();
  for (const Region &r : destination.regions) {
    std::memcpy(defined_[r.variable].data() + r.begin, from, r.size());
    from += r.size();
  }
}

void Poison::require_defined(const TensorImpl &t, const std::string &reader) const {
  for (const Region &r : t.regions) {
    const auto &flags = defined_[r.variable];
    const auto end = flags.begin() + static_cast<std::ptrdiff_t>(r.end);
    const auto first = std::find(flags.begin() + static_cast<std::ptrdiff_t>(r.begin), end, 0);
    if (first == end) continue;
    const auto last = std::find(first, end, 1);
    const Region missing{r.variable, static_cast<std::size_t>(first - flags.begin()),
                         static_cast<std::size_t>(last - flags.begin())};
    throw poplar::runtime_error(reader + " reads " + describe(graph_, missing) +
                                ", which no program step, initial value or host write has written");
  }
}

void Poison::run(const Task &task) {
  const VertexInstance &v = graph_.vertices[task.vertex];
  const auto where = [&](const FieldInfo &f) { return "field '" + f.name + "' of " + describe(graph_, task.vertex); };

  std::vector<Copy> edges;
  std::vector<State> states;
  for (std::size_t f = 0; f < v.fields.size(); ++f) {
    const FieldInfo &info = v.type->fields[f];
    for (const TensorPtr &t : v.fields[f].tensors) {
      if (info.direction != Direction::OUTPUT) require_defined(*t, where(info));
      edges.push_back({&info, t.get(), {}, 0});
    }
    if (info.direction == Direction::STATE && info.level == Level::VECTOR) {
      char *data;
      std::memcpy(&data, task.object + info.offset, sizeof data);
      states.push_back({data, {data, data + v.fields[f].state.size()}});
    }
  }

  std::vector<std::vector<char>> reversed; // what the first run left in each edge
  std::vector<char> object;
  for (int round = 1; round >= 0; --round) {
    for (State &s : states) std::copy(s.bytes.begin(), s.bytes.end(), s.at);
    Pool entries;
    object.assign(task.object, task.object + v.type->size);
    std::size_t next = 0;
    bind_edges(
        v, object.data(),
        [&](const FieldInfo &, const TensorImpl &) {
          edges[next].prepare(storage_, round);
          return edges[next++].data();
        },
        [&](std::size_t bytes) { return entries.allocate(bytes); });
    for (unsigned w = 0; w < task.workers; ++w)
      if (!task.compute(object.data(), round ? task.workers - 1 - w : w))
        throw poplar::runtime_error("compute() of " + describe(graph_, task.vertex) + " returned false");
    for (Copy &e : edges) {
      if (!e.guards_hold(round)) throw poplar::runtime_error(where(*e.field) + " is written outside of its elements");
      if (e.field->direction == Direction::INPUT) {
        std::vector<char> before(e.size);
        storage_.gather(*e.tensor, before.data());
        if (!std::equal(before.begin(), before.end(), e.data()))
          throw poplar::runtime_error(where(*e.field) + " is an Input and was written");
      }
      if (round == 1) reversed.emplace_back(e.data(), e.data() + e.size);
    }
  }

  for (std::size_t k = 0; k < edges.size(); ++k) {
    Copy &e = edges[k];
    if (e.field->direction == Direction::INPUT) continue;
    const std::size_t size = type_size(e.tensor->type);
    const auto first = pattern(e.tensor->type, 0), second = pattern(e.tensor->type, 1);
    std::vector<std::uint8_t> written(e.tensor->elements, 1);
    for (std::size_t i = 0; i < e.tensor->elements; ++i) {
      const char *now = e.data() + i * size, *before = reversed[k].data() + i * size;
      if (e.field->direction == Direction::OUTPUT && !std::memcmp(now, first.data(), size) &&
          !std::memcmp(before, second.data(), size))
        written[i] = 0;
      else if (std::memcmp(now, before, size))
        throw poplar::runtime_error(text("element ", i, " of ", where(*e.field),
                                         " differs between two runs on the same input: the vertex ",
                                         "reads an Output before writing it, or memory outside of its fields",
                                         task.workers > 1 ? ", or its workers depend on each other's results" : ""));
    }
    storage_.scatter(*e.tensor, e.data());
    const std::uint8_t *from = written.data();
    for (const Region &r : e.tensor->regions) {
      std::memcpy(defined_[r.variable].data() + r.begin, from, r.size());
      from += r.size();
    }
  }
  for (std::size_t f = 0; f < v.fields.size(); ++f) {
    const FieldInfo &info = v.type->fields[f];
    if (info.direction == Direction::STATE && info.level == Level::SCALAR)
      std::memcpy(task.object + info.offset, object.data() + info.offset, type_size(info.type));
  }
}

} // namespace host_poplar
