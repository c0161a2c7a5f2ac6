// SPDX-License-Identifier: Apache-2.0
// Compiling, loading, running.
#include "poplar/Engine.hpp"

#include <optional>

#include "internal.hpp"
#include "poison.hpp"
#include "storage.hpp"
#include "threads.hpp"

namespace host_poplar {

struct Stream {
  char *begin = nullptr;
  char *end = nullptr; ///< null: every transfer uses the same place
  char *at = nullptr;
  std::function<void(void *)> callback;
};

struct EngineImpl {
  std::shared_ptr<const Compiled> compiled;
  Options options;
  std::optional<Storage> storage;
  std::optional<Poison> poison;
  std::optional<Threads> threads;
  std::map<std::string, Stream> streams;
  std::unordered_map<const ProgramImpl *, std::vector<Segment>> copies;
  std::ostream *output = &std::cerr;

  const GraphImpl &graph() const { return *compiled->graph; }
  Storage &require_loaded() {
    if (!storage) throw poplar::poplar_error("the engine holds no tensors yet: call Engine::load first");
    return *storage;
  }

  void run(const ProgramImpl &p) {
    switch (p.kind) {
    case ProgramImpl::SEQUENCE:
      for (const auto &child : p.children) run(*child);
      break;
    case ProgramImpl::EXECUTE: execute(p.id); break;
    case ProgramImpl::COPY: copy(p); break;
    case ProgramImpl::STREAM_IN:
    case ProgramImpl::STREAM_OUT: transfer(p); break;
    case ProgramImpl::REPEAT:
      for (unsigned i = 0; i < p.count; ++i) run(*p.children[0]);
      break;
    case ProgramImpl::WHILE_TRUE:
    case ProgramImpl::WHILE_FALSE:
      for (run(*p.children[0]); test(p) == (p.kind == ProgramImpl::WHILE_TRUE); run(*p.children[0]))
        run(*p.children[1]);
      break;
    case ProgramImpl::IF: run(*p.children[test(p) ? 0 : 1]); break;
    case ProgramImpl::CALL: run(*graph().functions[p.id]); break;
    case ProgramImpl::PRINT: print(p); break;
    }
  }

  void print(const ProgramImpl &p) {
    if (poison) poison->require_defined(*p.source, "PrintTensor");
    std::vector<char> bytes(p.source->elements * type_size(p.source->type));
    storage->gather(*p.source, bytes.data());
    if (!p.name.empty()) *output << p.name << ": ";
    print_elements(*output, *p.source, bytes.data());
    *output << "\n";
  }

  bool test(const ProgramImpl &p) {
    if (poison) poison->require_defined(*p.predicate, "the predicate of a program");
    long long value = 0;
    storage->gather(*p.predicate, reinterpret_cast<char *>(&value)); // only zero or not matters
    return value != 0;
  }

  void execute(unsigned id) {
    const std::vector<Task> &tasks = storage->tasks(id);
    threads->for_each(tasks.size(), [&](std::size_t i) {
      if (poison) poison->run(tasks[i]);
      else run_vertex(tasks[i]);
    });
  }

  void run_vertex(const Task &task) {
    for (std::uint32_t g = task.first_gather; g < task.last_gather; ++g) {
      // An Output too: what the vertex leaves alone keeps its value on the way back.
      const Gather &gather = storage->gathers()[g];
      storage->gather(*gather.tensor, gather.buffer);
    }
    for (unsigned w = 0; w < task.workers; ++w)
      if (!task.compute(task.object, w))
        throw poplar::runtime_error("compute() of " + describe(graph(), task.vertex) + " returned false");
    for (std::uint32_t g = task.first_gather; g < task.last_gather; ++g) {
      const Gather &gather = storage->gathers()[g];
      if (gather.direction != Direction::INPUT) storage->scatter(*gather.tensor, gather.buffer);
    }
  }

  void copy(const ProgramImpl &p) {
    const auto [plan, fresh] = copies.try_emplace(&p);
    if (fresh) plan->second = storage->plan_copy(*p.source, *p.destination);
    for (const Segment &s : plan->second) std::memcpy(storage->base() + s.to, storage->base() + s.from, s.bytes);
    if (poison) poison->copy(*p.source, *p.destination);
  }

  void transfer(const ProgramImpl &p) {
    const auto it = streams.find(p.stream);
    if (it == streams.end())
      throw poplar::stream_connection_error("the stream '" + p.stream +
                                            "' is connected to no host memory: Engine::connectStream");
    Stream &s = it->second;
    const std::size_t bytes = p.stream_elements * type_size(p.stream_type);
    const bool in = p.kind == ProgramImpl::STREAM_IN;
    if (!in && poison) poison->require_defined(*p.source, "the stream '" + p.stream + "'");
    if (s.callback) {
      std::vector<char> buffer(bytes);
      if (in) s.callback(buffer.data());
      if (in) storage->scatter(*p.destination, buffer.data());
      else storage->gather(*p.source, buffer.data());
      if (!in) s.callback(buffer.data());
    } else {
      if (in) storage->scatter(*p.destination, s.at);
      else storage->gather(*p.source, s.at);
      if (s.end) s.at += bytes;
      if (s.end && s.at == s.end) s.at = s.begin;
    }
    if (in && poison) poison->define(*p.destination);
  }

  Stream &open(poplar::StringRef handle, void *begin, void *end) {
    const auto it = graph().streams.find(handle.cloneAsString());
    if (it == graph().streams.end())
      throw poplar::stream_connection_error(text("the graph has no stream '", handle, "'"));
    const std::size_t bytes = it->second.numElements() * type_size(it->second.elementType());
    const auto room = static_cast<char *>(end) - static_cast<char *>(begin);
    if (end && (room <= 0 || static_cast<std::size_t>(room) % bytes))
      throw poplar::stream_connection_error(text("the stream '", handle, "' moves ", bytes,
                                                 " bytes a time; the buffer has ", room,
                                                 ", which is not a positive multiple"));
    Stream &s = streams[handle.cloneAsString()];
    s = Stream{};
    s.begin = s.at = static_cast<char *>(begin);
    s.end = static_cast<char *>(end);
    return s;
  }
};

const Profile &getProfile(const poplar::Executable &exe) { return exe.impl()->profile; }
const Profile &getProfile(const poplar::Engine &engine) { return engine.impl().compiled->profile; }

} // namespace host_poplar

namespace poplar {

using namespace host_poplar;

Executable compileGraph(const Graph &graph, ArrayRef<program::Program> progs, const OptionFlags &opt) {
  auto compiled = std::make_shared<Compiled>();
  compiled->options = parse_options(opt);
  compiled->graph = graph.impl();
  for (const program::Program &p : progs) compiled->programs.push_back(std::make_shared<ProgramImpl>(*p.impl()));
  const GraphImpl &g = *graph.impl();
  check_vertices(g);
  check_mapping(g);
  check_races(g);
  compiled->profile = account(g, compiled->programs);
  if (!compiled->options.allow_out_of_memory) refuse_overflow(g, compiled->profile);
  graph.impl()->compiled = true;
  return Executable(std::move(compiled));
}

Engine::Engine(Executable &&exe, const OptionFlags &opt) : impl_(std::make_unique<EngineImpl>()) {
  impl_->compiled = exe.impl();
  impl_->options = opt.begin() == opt.end() ? exe.impl()->options : parse_options(opt);
}
Engine::Engine(const Graph &graph, ArrayRef<program::Program> progs, const OptionFlags &opt)
    : Engine(compileGraph(graph, progs, opt)) {}
Engine::Engine(const Graph &graph, program::Program prog, const OptionFlags &opt)
    : Engine(graph, ArrayRef<program::Program>(&prog, 1), opt) {}
Engine::Engine(Engine &&) noexcept = default;
Engine::~Engine() = default;

void Engine::load(const Device &device) {
  const Target &built = impl_->graph().target;
  const Target &given = device.getTarget();
  if (given.getNumTiles() != built.getNumTiles() || given.getBytesPerTile() != built.getBytesPerTile())
    throw poplar_error(text("the graph was built for ", built.getNumTiles(), " tiles of ", built.getBytesPerTile(),
                            " bytes, the device has ", given.getNumTiles(), " of ", given.getBytesPerTile()));
  impl_->poison.reset();
  impl_->copies.clear();
  impl_->storage.emplace(impl_->graph());
  if (impl_->options.poison) impl_->poison.emplace(impl_->graph(), *impl_->storage);
  if (!impl_->threads) impl_->threads.emplace(impl_->options.threads);
}

void Engine::run(unsigned prog, const std::string &) {
  impl_->require_loaded();
  if (prog >= impl_->compiled->programs.size())
    throw index_error(text("run of program ", prog, ": the engine has ", impl_->compiled->programs.size()));
  impl_->run(*impl_->compiled->programs[prog]);
}

namespace {
const TensorImpl &host_tensor(const std::map<std::string, HostAccess> &known, StringRef handle, const char *what,
                              std::ptrdiff_t bytes) {
  const auto it = known.find(handle.cloneAsString());
  if (it == known.end())
    throw stream_connection_error(text("no tensor has the handle '", handle, "': Graph::create", what));
  const TensorImpl &t = *it->second.tensor;
  const std::size_t wanted = t.elements * type_size(t.type);
  if (bytes < 0 || static_cast<std::size_t>(bytes) != wanted)
    throw stream_connection_error(text("the tensor '", handle, "' has ", wanted, " bytes, the host buffer ", bytes));
  return t;
}
} // namespace

void Engine::readTensor(StringRef handle, void *buf, void *bufEnd) {
  Storage &storage = impl_->require_loaded();
  const TensorImpl &t = host_tensor(impl_->graph().host_reads, handle, "HostRead",
                                    static_cast<char *>(bufEnd) - static_cast<char *>(buf));
  if (impl_->poison) impl_->poison->require_defined(t, text("the host's readTensor '", handle, "'"));
  storage.gather(t, static_cast<char *>(buf));
}

void Engine::writeTensor(StringRef handle, const void *buf, const void *bufEnd) {
  Storage &storage = impl_->require_loaded();
  const TensorImpl &t = host_tensor(impl_->graph().host_writes, handle, "HostWrite",
                                    static_cast<const char *>(bufEnd) - static_cast<const char *>(buf));
  storage.scatter(t, static_cast<const char *>(buf));
  if (impl_->poison) impl_->poison->define(t);
}

void Engine::connectStream(StringRef handle, void *begin, void *end) {
  if (!begin || !end)
    throw stream_connection_error(text("the stream '", handle, "' was connected to a null pointer"));
  impl_->open(handle, begin, end);
}
void Engine::connectStream(StringRef handle, void *begin) {
  if (!begin) throw stream_connection_error(text("the stream '", handle, "' was connected to a null pointer"));
  impl_->open(handle, begin, nullptr);
}
void Engine::connectStreamToCallback(StringRef handle, std::function<void(void *)> f) {
  impl_->open(handle, nullptr, nullptr).callback = std::move(f);
}

void Engine::setPrintStream(std::ostream &stream) { impl_->output = &stream; }
void Engine::printProfileSummary(std::ostream &os, const OptionFlags &) const {
  printProfile(impl_->compiled->profile, os);
}

} // namespace poplar
