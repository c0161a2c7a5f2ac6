#include "engine.hpp"

#include <algorithm>
#include <poplar/DeviceManager.hpp>
#include <poplar/Engine.hpp>
#include <poplar/Graph.hpp>
#include <poplar/IPUModel.hpp>
#include <poplar/Program.hpp>
#include <sstream>
#include <stdexcept>

#include "../codelets/shell_quartets.hpp"
#ifdef HOST_POPLAR
#include <host_poplar/Profile.hpp>
#endif

namespace scfx_ipu {

namespace {

using poplar::Tensor;
namespace program = poplar::program;
using Mapping = poplar::Graph::TileToTensorMapping;

constexpr std::size_t kSum = 4, kPair = 2;  // floats an element of sums and of a density

enum Programs { kIntegrals, kContract, kPrograms };

std::size_t size(int n) { return static_cast<std::size_t>(n); }

poplar::Device attach(const Machine& machine, const EngineOptions& options) {
  if (options.device == DeviceKind::kHost) {
    poplar::IPUModel model;
    model.numIPUs = machine.ipus;
    model.tilesPerIPU = machine.tiles;
    return model.createDevice();
  }
  auto manager = poplar::DeviceManager::createDeviceManager();
  for (auto& device : manager.getDevices(poplar::TargetType::IPU, machine.ipus))
    if (device.attach()) return std::move(device);
  throw std::runtime_error("no IPU (or group of " + std::to_string(machine.ipus) + ") could be attached");
}

}  // namespace

bool built_for_hardware() {
#ifdef HOST_POPLAR
  return false;
#else
  return true;
#endif
}

struct Engine::Impl {
  struct PerTile {
    Tensor molecule, shells, blocks, exchange, density, total;
    Tensor gathered, parts;  // of the elements that the tile owns
    std::vector<Tensor> sums, scratch, integrals;
    std::vector<std::size_t> kept;  // integrals that earlier rounds of each worker keep
  };

  Impl(const Schedule& s, const EngineOptions& o)
      : schedule(s), store(s.strategy == Strategy::kStore), device(attach(s.machine, o)), graph(device.getTarget()) {
    graph.addCodelets(o.codelets);
    momentum = std::to_string(std::max(1, s.structure.max_momentum()));
    tiles = size(s.machine.ipus * s.machine.tiles);
    running.resize(size(s.machine.ipus));
    variables();
    program::Sequence integrals, contract;
    for (int round = 0; round < s.rounds; ++round) add_round(round, integrals, contract);
    add_final(contract);
    std::vector<program::Program> programs(kPrograms);
    programs[kIntegrals] = integrals;
    programs[kContract] = contract;
    poplar::OptionFlags flags;
#ifdef HOST_POPLAR
    flags.set("hostPoplar.threads", std::to_string(o.threads));
    flags.set("hostPoplar.poison", o.poison ? "true" : "false");
#endif
    engine = std::make_unique<poplar::Engine>(graph, programs, flags);
    engine->load(device);
    tables();
  }

  // ---- variables ----------------------------------------------------------------------------------------------------

  Tensor on_tile(const poplar::Type& type, std::size_t n, std::size_t tile, const std::string& name) {
    Tensor t = graph.addVariable(type, {std::max<std::size_t>(n, 1)}, name);
    graph.setTileMapping(t, static_cast<unsigned>(tile));
    return t;
  }

  Tensor everywhere(const poplar::Type& type, std::size_t n, const std::string& name, const std::string& handle) {
    // Written once by the host, on the first tile that works, and copied from there to every other.
    Tensor t = graph.addVariable(type, {std::max<std::size_t>(n, 1)}, name);
    graph.setTileMapping(t, 0);
    graph.createHostWrite(handle, t);
    return t;
  }

  Tensor owned(std::size_t width, const std::string& name, int ipu) {
    Tensor t = graph.addVariable(poplar::FLOAT, {size(schedule.packed) * width}, name);
    for (int tile = 0; tile < schedule.machine.tiles; ++tile) {
      const std::size_t begin = size(schedule.owned_begin(tile)) * width, end = size(schedule.owned_end(tile)) * width;
      if (begin < end) graph.setTileMapping(t.slice(begin, end), ipu * schedule.machine.tiles + tile);
    }
    return t;
  }

  void variables() {
    const Structure& s = schedule.structure;
    molecule_source = everywhere(poplar::FLOAT, size(6 * s.atoms + 2 * s.n_primitives()), "molecule", "molecule");
    shells_source = everywhere(poplar::UNSIGNED_SHORT, schedule.shell_table.size(), "shells", "shells");
    blocks_source = everywhere(poplar::UNSIGNED_SHORT, schedule.block_table.size(), "blocks", "blocks");
    exchange_source = everywhere(poplar::UNSIGNED_INT, 1, "exchange", "exchange");
    density = owned(kPair, "density", 0);
    graph.createHostWrite("density", density);
    per_tile.resize(tiles);
    for (std::size_t t = 0; t < tiles; ++t) {
      const TilePlan& plan = schedule.tiles[t];
      PerTile& p = per_tile[t];
      if (const std::size_t own = size(schedule.owned_end(int(t) % schedule.machine.tiles) - schedule.owned_begin(int(t) % schedule.machine.tiles))) {
        p.gathered = on_tile(poplar::FLOAT, size(plan.gathered) * kSum, t, "gathered");
        p.parts = on_tile(poplar::FLOAT, own * kSum * size(schedule.machine.workers), t, "parts");
      }
      if (plan.rounds.empty()) continue;
      int elements = 0;
      for (const Round& r : plan.rounds) elements = std::max(elements, r.elements);
      const std::string name = "tile" + std::to_string(t);
      p.molecule = on_tile(poplar::FLOAT, molecule_source.numElements(), t, name + "/molecule");
      p.shells = on_tile(poplar::UNSIGNED_SHORT, shells_source.numElements(), t, name + "/shells");
      p.blocks = on_tile(poplar::UNSIGNED_SHORT, blocks_source.numElements(), t, name + "/blocks");
      p.exchange = on_tile(poplar::UNSIGNED_INT, 1, t, name + "/exchange");
      p.density = on_tile(poplar::FLOAT, size(elements) * kPair, t, name + "/density");
      p.total = on_tile(poplar::FLOAT, size(elements) * kSum, t, name + "/sums");
      const std::size_t scratch = size(schedule.pair_scratch + (store ? 0 : schedule.quartet_scratch));
      for (int w = 0; w < schedule.machine.workers; ++w) {
        p.sums.push_back(on_tile(poplar::FLOAT, size(elements) * kSum, t, name + "/worker sums"));
        p.scratch.push_back(on_tile(poplar::FLOAT, scratch, t, name + "/scratch"));
        graph.setInitialValue(p.scratch.back(), 0.0f);  // no vertex reads it before it writes it; Poplar cannot know
        if (store) p.integrals.push_back(on_tile(poplar::FLOAT, size(plan.integrals[w]), t, name + "/integrals"));
      }
      p.kept.assign(schedule.machine.workers, 0);
    }
  }

  // Sends what every tile needs to every tile that works.
  program::Program broadcast(const Tensor& source, Tensor PerTile::*target) {
    std::vector<Tensor> to;
    for (PerTile& p : per_tile)
      if (!p.sums.empty()) to.push_back(p.*target);
    return program::Copy(source.expand({0}).broadcast(static_cast<unsigned>(to.size()), 0).flatten(), poplar::concat(to));
  }

  // ---- programs -----------------------------------------------------------------------------------------------------

  void add_round(int round, program::Sequence& integrals, program::Sequence& contract) {
    if (round == 0) {
      integrals.add(broadcast(molecule_source, &PerTile::molecule));
      integrals.add(broadcast(shells_source, &PerTile::shells));
      integrals.add(broadcast(blocks_source, &PerTile::blocks));
      contract.add(broadcast(exchange_source, &PerTile::exchange));
    }
    const std::string name = "round " + std::to_string(round);
    poplar::ComputeSet compute_integrals = graph.addComputeSet("integrals, " + name);
    poplar::ComputeSet compute_sums = graph.addComputeSet("contract, " + name);
    poplar::ComputeSet add_workers = graph.addComputeSet("add workers, " + name);
    std::vector<Tensor> density_from, density_to;
    for (std::size_t t = 0; t < tiles; ++t) {
      if (round >= static_cast<int>(schedule.tiles[t].rounds.size())) continue;
      const Round& r = schedule.tiles[t].rounds[size(round)];
      PerTile& p = per_tile[t];
      for (std::size_t x = 0; x < r.rectangles.size(); ++x) {
        const Rectangle& rectangle = schedule.rectangles[size(r.rectangles[x])];
        density_from.push_back(density.slice(size(rectangle.start) * kPair, size(rectangle.start + rectangle.size) * kPair));
      }
      density_to.push_back(p.density.slice(0, size(r.elements) * kPair));
      std::vector<Tensor> workers;
      for (int w = 0; w < schedule.machine.workers; ++w) {
        if (r.tasks[size(w)].empty()) continue;
        workers.push_back(p.sums[size(w)].slice(0, size(r.elements) * kSum));
        add_worker(t, round, w, compute_integrals, compute_sums);
      }
      add_vectors(add_workers, workers, p.total.slice(0, size(r.elements) * kSum), t);
    }
    if (store) integrals.add(program::Execute(compute_integrals));
    contract.add(program::Copy(poplar::concat(density_from), poplar::concat(density_to)));
    contract.add(program::Execute(compute_sums));
    contract.add(program::Execute(add_workers));
    for (int ipu = 0; ipu < schedule.machine.ipus; ++ipu) gather(round, ipu, contract);
  }

  void add_worker(std::size_t tile, int round, int worker, poplar::ComputeSet compute_integrals,
                  poplar::ComputeSet compute_sums) {
    const Round& r = schedule.tiles[tile].rounds[size(round)];
    PerTile& p = per_tile[tile];
    const auto& list = r.tasks[size(worker)];
    Tensor tasks = on_tile(poplar::UNSIGNED_SHORT, list.size() * scfx_rys::kTaskSize, tile,
                           "tile" + std::to_string(tile) + "/tasks");
    graph.setInitialValue(tasks, poplar::ArrayRef<unsigned short>(described(r, list)));
    const auto common = [&](poplar::VertexRef v) {
      graph.connect(v["shells"], p.shells);
      graph.connect(v["blocks"], p.blocks);
      graph.connect(v["tasks"], tasks);
      graph.setTileMapping(v, static_cast<unsigned>(tile));
    };
    const auto computing = [&](poplar::VertexRef v) {
      graph.connect(v["molecule"], p.molecule);
      graph.connect(v["scratch"], p.scratch[size(worker)]);
      graph.setInitialValue(v["atoms"], static_cast<unsigned>(schedule.structure.atoms));
      graph.setInitialValue(v["primitives"], static_cast<unsigned>(schedule.structure.n_primitives()));
    };
    poplar::VertexRef sums = graph.addVertex(compute_sums, store ? "Contract" : "Direct<" + momentum + ">");
    common(sums);
    graph.connect(sums["density"], p.density.slice(0, size(r.elements) * kPair));
    graph.connect(sums["exchange"], p.exchange[0]);
    graph.connect(sums["sums"], p.sums[size(worker)].slice(0, size(r.elements) * kSum));
    if (!store) {
      computing(sums);
      graph.setInitialValue(sums["pairs"], static_cast<unsigned>(schedule.pair_scratch));
      return;
    }
    const std::size_t begin = p.kept[size(worker)];
    p.kept[size(worker)] += integrals_in(list);
    const Tensor kept = p.integrals[size(worker)].slice(begin, p.kept[size(worker)]);
    graph.connect(sums["integrals"], kept);
    poplar::VertexRef v = graph.addVertex(compute_integrals, "Integrals<" + momentum + ">");
    common(v);
    computing(v);
    graph.connect(v["integrals"], kept);
  }

  // The task lists of the codelets: blocks, and where the rectangles of each pair lie on the tile.
  std::vector<unsigned short> described(const Round& r, const std::vector<Task>& list) const {
    std::vector<unsigned short> out;
    for (const Task& task : list) {
      for (int x : task) out.push_back(static_cast<unsigned short>(x));
      for (const auto& [x, y] : {std::pair{0, 1}, {2, 3}, {0, 2}, {0, 3}, {1, 2}, {1, 3}}) {
        const int high = std::max(task[size(x)], task[size(y)]), low = std::min(task[size(x)], task[size(y)]);
        const auto at = std::lower_bound(r.rectangles.begin(), r.rectangles.end(), high * (high + 1) / 2 + low);
        out.push_back(static_cast<unsigned short>(r.offsets[size(int(at - r.rectangles.begin()))]));
      }
    }
    return out;
  }

  std::size_t integrals_in(const std::vector<Task>& list) const {
    std::size_t n = 0;
    for (const Task& task : list) {
      const scfx_rys::Index full[scfx_rys::kTaskSize] = {task[0], task[1], task[2], task[3]};
      scfx_rys::for_each_quartet(full, schedule.block_table.data(), schedule.shell_table.data(),
                                 [&](const scfx_rys::Quartet& q) { n += size(q.size()); });
    }
    return n;
  }

  // total = sum of parts, its elements shared among the workers of the tile.
  void add_vectors(poplar::ComputeSet set, const std::vector<Tensor>& parts, const Tensor& total, std::size_t tile) {
    const std::size_t pairs = total.numElements() / 2, workers = size(schedule.machine.workers);
    for (std::size_t w = 0; w < workers; ++w) {
      const std::size_t begin = 2 * (pairs * w / workers), end = 2 * (pairs * (w + 1) / workers);
      if (begin == end) continue;
      std::vector<Tensor> slices;
      for (const Tensor& part : parts) slices.push_back(part.slice(begin, end));
      poplar::VertexRef v = graph.addVertex(set, "AddVectors");
      graph.connect(v["parts"], slices);
      graph.connect(v["total"], total.slice(begin, end));
      graph.setTileMapping(v, static_cast<unsigned>(tile));
    }
  }

  // Each tile of an IPU receives what its tiles have for the elements that it owns, and adds that up: six partial sums
  // by the workers, each over a sixth of the contributions, then their sum.
  void gather(int round, int ipu, program::Sequence& contract) {
    const Machine& m = schedule.machine;
    struct Piece {
      std::size_t begin, end;    // elements of the packed matrix
      std::vector<Tensor> from;  // one contribution each
    };
    // Pieces: rectangles cut at the borders between owners.
    std::vector<std::vector<Piece>> pieces(size(m.tiles));
    std::vector<std::vector<std::pair<int, int>>> of_rectangle(schedule.rectangles.size());  // (owner, index)
    for (int owner = 0; owner < m.tiles; ++owner) {
      const int begin = schedule.owned_begin(owner), end = schedule.owned_end(owner);
      auto at = std::upper_bound(schedule.rectangles.begin(), schedule.rectangles.end(), begin,
                                 [](int e, const Rectangle& r) { return e < r.start; });
      for (auto r = at - 1; begin < end && r != schedule.rectangles.end() && r->start < end; ++r) {
        of_rectangle[size(int(r - schedule.rectangles.begin()))].push_back({owner, int(pieces[size(owner)].size())});
        pieces[size(owner)].push_back({size(std::max(begin, r->start)), size(std::min(end, r->start + r->size)), {}});
      }
    }
    for (int t = ipu * m.tiles; t < (ipu + 1) * m.tiles; ++t) {
      if (round >= static_cast<int>(schedule.tiles[size(t)].rounds.size())) continue;
      const Round& r = schedule.tiles[size(t)].rounds[size(round)];
      for (std::size_t x = 0; x < r.rectangles.size(); ++x) {
        const int start = schedule.rectangles[size(r.rectangles[x])].start;
        for (const auto& [owner, index] : of_rectangle[size(r.rectangles[x])]) {
          Piece& piece = pieces[size(owner)][size(index)];
          const std::size_t shift = size(r.offsets[x]) - size(start);
          piece.from.push_back(per_tile[size(t)].total.slice((piece.begin + shift) * kSum, (piece.end + shift) * kSum));
        }
      }
    }
    const std::string name = "round " + std::to_string(round) + ", IPU " + std::to_string(ipu);
    poplar::ComputeSet add_parts = graph.addComputeSet("add contributions, " + name);
    poplar::ComputeSet add_workers = graph.addComputeSet("add parts, " + name);
    // Two results take turns: a round adds what the rounds before it have. At its end `running` has them all.
    Turns& turns = running[size(ipu)];
    const Tensor before = turns.last;
    if (!turns.tensors[size(round % 2)].valid()) turns.tensors[size(round % 2)] = owned(kSum, "sums, " + name, ipu);
    const Tensor result = turns.last = turns.tensors[size(round % 2)];
    std::vector<Tensor> from, to;
    for (int owner = 0; owner < m.tiles; ++owner) {
      const auto& mine = pieces[size(owner)];
      if (mine.empty()) continue;
      const std::size_t tile = size(ipu * m.tiles + owner);
      const std::size_t first = mine.front().begin, elements = mine.back().end - first;
      std::vector<Tensor> partial;
      std::size_t used = 0;  // of the tile's buffer, which the rounds share
      for (int w = 0; w < m.workers; ++w) {
        std::vector<unsigned short> counts;
        std::size_t floats = 0;
        bool any = false;
        for (const Piece& piece : mine) {
          const std::size_t n = piece.from.size();
          const std::size_t begin = n * size(w) / size(m.workers), end = n * size(w + 1) / size(m.workers);
          const std::size_t width = (piece.end - piece.begin) * kSum;
          from.insert(from.end(), piece.from.begin() + std::ptrdiff_t(begin), piece.from.begin() + std::ptrdiff_t(end));
          counts.push_back(static_cast<unsigned short>(end - begin));
          counts.push_back(static_cast<unsigned short>(width));
          floats += (end - begin) * width;
          any = any || end > begin;
        }
        if (!any) continue;
        const Tensor gathered = per_tile[tile].gathered.slice(used, used + floats);
        used += floats;
        to.push_back(gathered);
        Tensor lengths = on_tile(poplar::UNSIGNED_SHORT, counts.size(), tile, "counts, " + name);
        graph.setInitialValue(lengths, poplar::ArrayRef<unsigned short>(counts));
        partial.push_back(per_tile[tile].parts.slice(size(w) * elements * kSum, size(w + 1) * elements * kSum));
        poplar::VertexRef v = graph.addVertex(add_parts, "AddContributions");
        graph.connect(v["gathered"], gathered);
        graph.connect(v["counts"], lengths);
        graph.connect(v["total"], partial.back());
        graph.setTileMapping(v, static_cast<unsigned>(tile));
      }
      if (before.valid()) partial.push_back(before.slice(first * kSum, (first + elements) * kSum));
      if (partial.empty()) {  // no tile has touched these so far
        partial.push_back(graph.addConstant(poplar::FLOAT, {elements * kSum}, 0.0f));
        graph.setTileMapping(partial.back(), static_cast<unsigned>(tile));
      }
      add_vectors(add_workers, partial, result.slice(first * kSum, (first + elements) * kSum), tile);
    }
    contract.add(program::Copy(poplar::concat(from), poplar::concat(to)));
    contract.add(program::Execute(add_parts));
    contract.add(program::Execute(add_workers));
  }

  // The one sum over IPUs, on the owners of the first.
  void add_final(program::Sequence& contract) {
    Tensor answer = running[0].last;
    if (running.size() > 1) {
      poplar::ComputeSet add = graph.addComputeSet("add IPUs");
      std::vector<Tensor> here{answer};
      for (std::size_t ipu = 1; ipu < running.size(); ++ipu) {
        here.push_back(owned(kSum, "sums from IPU " + std::to_string(ipu), 0));
        contract.add(program::Copy(running[ipu].last, here.back()));
      }
      answer = owned(kSum, "sums", 0);
      for (int tile = 0; tile < schedule.machine.tiles; ++tile) {
        const std::size_t begin = size(schedule.owned_begin(tile)) * kSum, end = size(schedule.owned_end(tile)) * kSum;
        if (begin == end) continue;
        std::vector<Tensor> parts;
        for (const Tensor& t : here) parts.push_back(t.slice(begin, end));
        add_vectors(add, parts, answer.slice(begin, end), size(tile));
      }
      contract.add(program::Execute(add));
    }
    graph.createHostRead("sums", answer);
  }

  template <class T>
  void write(const char* handle, const std::vector<T>& values) {
    engine->writeTensor(handle, values.data(), values.data() + values.size());
  }

  void tables() {
    write("shells", schedule.shell_table);
    write("blocks", schedule.block_table);
  }

  const Schedule& schedule;
  bool store;
  poplar::Device device;
  poplar::Graph graph;
  std::string momentum;
  std::size_t tiles;
  Tensor molecule_source, shells_source, blocks_source, exchange_source, density;
  std::vector<PerTile> per_tile;
  struct Turns {
    Tensor tensors[2], last;
  };
  std::vector<Turns> running;  // by IPU
  std::unique_ptr<poplar::Engine> engine;
};

Engine::Engine(const Schedule& schedule, const EngineOptions& options)
    : impl_(std::make_unique<Impl>(schedule, options)) {}
Engine::~Engine() = default;

void Engine::set_molecule(const std::vector<float>& molecule) {
  impl_->write("molecule", molecule);
  impl_->engine->run(kIntegrals);
}

void Engine::coulomb_exchange(const std::vector<float>& density, bool exchange, std::vector<float>& sums) {
  impl_->write("density", density);
  impl_->write("exchange", std::vector<unsigned>{exchange ? 1u : 0u});
  impl_->engine->run(kContract);
  sums.resize(size(impl_->schedule.packed) * kSum);
  impl_->engine->readTensor("sums", sums.data(), sums.data() + sums.size());
}

#ifdef HOST_POPLAR
std::int64_t Engine::measured_bytes() const {
  const auto& profile = host_poplar::getProfile(*impl_->engine);
  return static_cast<std::int64_t>(profile.tiles[profile.fullest_tile].total());
}

std::int64_t Engine::exchange_cycles() const {
  std::int64_t cycles = 0;
  for (const auto& step : host_poplar::getProfile(*impl_->engine).steps)
    if (step.program == kContract) cycles += static_cast<std::int64_t>(step.exchange_cycles * step.repeats);
  return cycles;
}

std::string Engine::profile() const {
  std::ostringstream out;
  host_poplar::printProfile(host_poplar::getProfile(*impl_->engine), out);
  return out.str();
}
#else
std::int64_t Engine::measured_bytes() const { return 0; }
std::int64_t Engine::exchange_cycles() const { return 0; }
std::string Engine::profile() const {
  std::ostringstream out;
  impl_->engine->printProfileSummary(out);
  return out.str();
}
#endif

}  // namespace scfx_ipu
