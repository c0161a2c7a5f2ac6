#include "schedule.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "../codelets/shell_quartets.hpp"

namespace scfx_ipu {

namespace {

// Tasks that a tile should have at least, for its workers to be balanced, and at most, for their lists to stay small.
constexpr std::int64_t kMostTasksPerTile = 2500;
// Superblocks along each index: tasks are ordered by quartets of superblocks, so that a tile's tasks touch few
// rectangles of the density. Twelve give 3,081 unique quartets, two for each tile of an IPU.
constexpr int kSuperblocks = 12;
// Elements of the density that a tile may touch in one round; the first value that fits is taken.
constexpr int kRoundElements[] = {6000, 3000, 1500, 750};
// Contractions for which integrals are kept: weighs the two stages when store is balanced (cycles of a typical run).
constexpr double kIterations = 15.0;
// Bytes of an edge in a vertex (pointer and size), of a vertex besides, and of the instructions that receive one
// contiguous piece in an exchange: docs/ipu.md says where they are from.
constexpr std::int64_t kEdgeBytes = 8, kVertexBytes = 8, kPieceBytes = 12;

int functions(int l) { return (l + 1) * (l + 2) / 2; }
int pair_class(int a, int b) { return a >= b ? a * (a + 1) / 2 + b : b * (b + 1) / 2 + a; }
std::int64_t triangle(std::int64_t n) { return n * (n + 1) / 2; }

std::vector<Block> make_blocks(const Structure& s, std::int64_t most_tasks) {
  std::vector<Block> blocks;
  for (int i = 0; i < s.n_shells(); ++i) blocks.push_back({i, 1, functions(s.momentum[i])});
  for (int atoms = 1; triangle(triangle(static_cast<std::int64_t>(blocks.size()))) > most_tasks; ++atoms) {
    blocks.clear();
    for (int i = 0; i < s.n_shells(); ++i) {
      if (blocks.empty() || (s.atom[i] != s.atom[i - 1] && s.atom[i] % atoms == 0)) blocks.push_back({i, 0, 0});
      ++blocks.back().shells;
      blocks.back().functions += functions(s.momentum[i]);
    }
    if (atoms >= s.atoms) break;
  }
  return blocks;
}

struct Weighted {
  Task task;
  float integral, contraction;
  std::int64_t integrals, quartets;
};

class Planner {
 public:
  Planner(Schedule& out, const Costs& costs) : out_(out), costs_(costs) {}

  void tables() {
    const Structure& s = out_.structure;
    int at = 0;
    for (std::size_t b = 0; b < out_.blocks.size(); ++b) {
      const Block& block = out_.blocks[b];
      int offset = 0;
      for (int i = block.first_shell; i < block.first_shell + block.shells; ++i) {
        for (int value : {s.atom[i], s.momentum[i], s.primitives[i], s.first_primitive[i], offset})
          out_.shell_table.push_back(static_cast<std::uint16_t>(value));
        offset += functions(s.momentum[i]);
      }
      for (int value : {block.first_shell, block.shells, block.functions})
        out_.block_table.push_back(static_cast<std::uint16_t>(value));
      for (std::size_t c = 0; c <= b; ++c) {
        const int size = block.functions * out_.blocks[c].functions;
        out_.rectangles.push_back({static_cast<int>(b), static_cast<int>(c), at, size});
        at += size;
      }
    }
    out_.packed = at;
    const int primitives = *std::max_element(s.primitives.begin(), s.primitives.end());
    out_.pair_scratch = 6 * primitives * primitives;
    out_.quartet_scratch = static_cast<int>(std::pow(functions(s.max_momentum()), 4));
  }

  // Every task, ordered by superblocks, then by blocks.
  std::vector<Weighted> tasks() const {
    const int n = static_cast<int>(out_.blocks.size());
    const int supers = std::min(kSuperblocks, n);
    const auto begin = [&](int super) { return n * super / supers; };
    std::vector<Weighted> all;
    for (int si = 0; si < supers; ++si)
      for (int sj = 0; sj <= si; ++sj)
        for (int sk = 0; sk <= si; ++sk)
          for (int sl = 0; sl <= sk; ++sl)
            for (int i = begin(si); i < begin(si + 1); ++i)
              for (int j = begin(sj); j < std::min(begin(sj + 1), i + 1); ++j)
                for (int k = begin(sk); k < std::min(begin(sk + 1), i + 1); ++k)
                  for (int l = begin(sl); l < std::min(begin(sl + 1), (k == i ? j : k) + 1); ++l)
                    all.push_back(weighted(i, j, k, l));
    return all;
  }

  Weighted weighted(int i, int j, int k, int l) const {
    Weighted w{{std::uint16_t(i), std::uint16_t(j), std::uint16_t(k), std::uint16_t(l)}, 0.0f, 0.0f, 0, 0};
    scfx_rys::Index task[scfx_rys::kTaskSize] = {w.task[0], w.task[1], w.task[2], w.task[3]};
    const Structure& s = out_.structure;
    scfx_rys::for_each_quartet(task, out_.block_table.data(), out_.shell_table.data(),
                               [&](const scfx_rys::Quartet& q) {
      const int at = pair_class(q.l[0], q.l[1]) * costs_.pair_classes + pair_class(q.l[2], q.l[3]);
      float primitives = 1.0f;
      for (int x : q.shell) primitives *= static_cast<float>(s.primitives[x]);
      w.integral += primitives * costs_.primitive[at] + costs_.shell[at];
      w.contraction += costs_.contraction[at];
      w.integrals += q.size();
      ++w.quartets;
    });
    return w;
  }

  // Consecutive tasks to a tile up to its share of all cycles.
  void distribute(const std::vector<Weighted>& all, int round_elements) {
    const int tiles = out_.machine.ipus * out_.machine.tiles;
    double total = 0.0;
    for (const Weighted& w : all) total += cost(w);
    std::vector<int> seen(out_.rectangles.size(), -1);
    int mark = 0;
    std::size_t next = 0;
    double before = 0.0;
    out_.tiles.assign(tiles, {});
    out_.rounds = 0;
    for (int t = 0; t < tiles; ++t) {
      const double end = total * (t + 1) / tiles;
      std::size_t stop = next;
      double sum = before;
      while (stop < all.size() && (t == tiles - 1 || sum + 0.5 * cost(all[stop]) < end)) sum += cost(all[stop++]);
      before = sum;
      TilePlan& plan = out_.tiles[t];
      plan.integrals.assign(out_.machine.workers, 0);
      plan.integral_cycles.assign(out_.machine.workers, 0.0);
      plan.contraction_cycles.assign(out_.machine.workers, 0.0);
      while (next < stop) next = add_round(all, next, stop, round_elements, plan, seen, ++mark);
      out_.rounds = std::max(out_.rounds, static_cast<int>(plan.rounds.size()));
    }
  }

  double cost(const Weighted& w) const {
    return out_.strategy == Strategy::kStore ? w.integral + kIterations * w.contraction : w.integral + w.contraction;
  }

  // As many of the tasks [next, stop) as touch no more than `most` elements; the rest is for further rounds.
  std::size_t add_round(const std::vector<Weighted>& all, std::size_t next, std::size_t stop, int most, TilePlan& plan,
                        std::vector<int>& seen, int mark) {
    Round round;
    std::size_t end = next;
    for (; end < stop; ++end) {
      const auto touched = rectangles_of(all[end].task);
      int more = 0;
      for (std::size_t r = 0; r < touched.size(); ++r)
        if (seen[touched[r]] != mark && std::find(touched.begin(), touched.begin() + r, touched[r]) == touched.begin() + r)
          more += out_.rectangles[touched[r]].size;
      if (end > next && round.elements + more > most) break;
      for (int r : touched)
        if (seen[r] != mark) {
          seen[r] = mark;
          round.rectangles.push_back(r);
          round.elements += out_.rectangles[r].size;
        }
    }
    std::sort(round.rectangles.begin(), round.rectangles.end());
    int at = 0;
    for (int r : round.rectangles) {
      round.offsets.push_back(at);
      at += out_.rectangles[r].size;
    }
    share(all, next, end, round, plan);
    plan.rounds.push_back(std::move(round));
    return end;
  }

  // Longest task first to the worker with the least to do (Graham, SIAM J. Appl. Math. 17, 416 (1969)).
  void share(const std::vector<Weighted>& all, std::size_t begin, std::size_t end, Round& round, TilePlan& plan) {
    std::vector<std::size_t> order(end - begin);
    std::iota(order.begin(), order.end(), begin);
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return cost(all[a]) > cost(all[b]); });
    round.tasks.assign(out_.machine.workers, {});
    std::vector<double> load(out_.machine.workers, 0.0);
    for (std::size_t t : order) {
      const std::size_t w = std::min_element(load.begin(), load.end()) - load.begin();
      load[w] += cost(all[t]);
      round.tasks[w].push_back(all[t].task);
      plan.integrals[w] += all[t].integrals;
      plan.integral_cycles[w] += all[t].integral;
      plan.contraction_cycles[w] += all[t].contraction;
    }
  }

  std::array<int, 6> rectangles_of(const Task& task) const {
    const auto at = [](int x, int y) { return x >= y ? x * (x + 1) / 2 + y : y * (y + 1) / 2 + x; };
    return {at(task[0], task[1]), at(task[2], task[3]), at(task[0], task[2]),
            at(task[0], task[3]), at(task[1], task[2]), at(task[1], task[3])};
  }

  void count_bytes(const CodeBytes& code) {
    const Structure& s = out_.structure;
    const Machine& m = out_.machine;
    const bool store = out_.strategy == Strategy::kStore;
    std::vector<std::int64_t> contributions(std::size_t(m.ipus) * out_.packed, 0), pieces(contributions);
    const int tiles = m.ipus * m.tiles;
    // Buffers are shared by the rounds, so the largest round counts for each.
    std::vector<std::int64_t> gather(tiles, 0), gather_pieces(tiles, 0);
    for (int r = 0; r < out_.rounds; ++r) {
      std::fill(contributions.begin(), contributions.end(), 0);
      for (int t = 0; t < tiles; ++t) {
        if (r >= static_cast<int>(out_.tiles[t].rounds.size())) continue;
        const std::int64_t base = std::int64_t(t / m.tiles) * out_.packed;
        for (int x : out_.tiles[t].rounds[r].rectangles)
          for (int e = 0; e < out_.rectangles[x].size; ++e) ++contributions[base + out_.rectangles[x].start + e];
      }
      for (int t = 0; t < tiles; ++t) {
        std::int64_t sum = 0;
        for (int e = out_.owned_begin(t % m.tiles); e < out_.owned_end(t % m.tiles); ++e)
          sum += contributions[std::int64_t(t / m.tiles) * out_.packed + e];
        gather[t] = std::max(gather[t], sum);
        gather_pieces[t] += sum;  // at most one piece an element
      }
    }
    out_.bytes.assign(tiles, {});
    out_.largest_sums = out_.largest_gather = 0;
    for (int t = 0; t < tiles; ++t) {
      TilePlan& plan = out_.tiles[t];
      plan.gathered = gather[t];
      Bytes& b = out_.bytes[t];
      const std::int64_t owned = out_.owned_end(t % m.tiles) - out_.owned_begin(t % m.tiles);
      b.code = code.by_momentum[std::min(s.max_momentum(), 3)];
      b.molecule = 4 * (6 * s.atoms + 2 * s.n_primitives()) +
                   2 * static_cast<std::int64_t>(out_.shell_table.size() + out_.block_table.size()) + 4;
      std::int64_t n_tasks = 0, vertices = 0, touched = 0, in_pieces = 0;
      for (const Round& round : plan.rounds) {
        for (const auto& list : round.tasks) n_tasks += static_cast<std::int64_t>(list.size()), vertices += !list.empty();
        touched = std::max<std::int64_t>(touched, round.elements);
        in_pieces += static_cast<std::int64_t>(round.rectangles.size());
      }
      b.tasks = 2 * scfx_rys::kTaskSize * n_tasks;
      if (store) b.integrals = 4 * std::accumulate(plan.integrals.begin(), plan.integrals.end(), std::int64_t(0));
      b.density = 8 * (touched + owned);
      b.sums = 16 * touched * (m.workers + 1) + 16 * owned * (std::min(out_.rounds, 2) + m.ipus);
      b.reduction = 16 * gather[t] + 16 * owned * m.workers;
      b.scratch = 4 * std::int64_t(m.workers) * (out_.pair_scratch + (store ? 0 : out_.quartet_scratch));
      const std::int64_t kinds = store ? 2 : 1;
      b.vertices = vertices * kinds * (kVertexBytes + 8 * kEdgeBytes) +
                   static_cast<std::int64_t>(plan.rounds.size()) * m.workers * (kVertexBytes + (m.workers + 2) * kEdgeBytes) +
                   std::int64_t(out_.rounds) * 2 * m.workers * (kVertexBytes + 3 * kEdgeBytes);
      b.exchange = kPieceBytes * (in_pieces + std::min<std::int64_t>(gather_pieces[t], std::int64_t(tiles) * out_.rounds));
      out_.largest_sums = std::max(out_.largest_sums, touched);
      out_.largest_gather = std::max(out_.largest_gather, gather[t]);
      if (b.total() > out_.bytes[out_.fullest].total()) out_.fullest = t;
    }
  }

 private:
  Schedule& out_;
  const Costs& costs_;
};

}  // namespace

int Structure::n_primitives() const {
  int n = 0;
  for (int i = 0; i < n_shells(); ++i) n = std::max(n, first_primitive[i] + primitives[i]);
  return n;
}

int Structure::max_momentum() const { return *std::max_element(momentum.begin(), momentum.end()); }

int Structure::n_functions() const {
  int n = 0;
  for (int l : momentum) n += functions(l);
  return n;
}

Schedule make_schedule(const Structure& structure, const Machine& machine, Strategy strategy, const Costs& costs,
                       const CodeBytes& code) {
  Schedule out;
  out.structure = structure;
  out.machine = machine;
  out.strategy = strategy;
  out.blocks = make_blocks(structure, kMostTasksPerTile * machine.tiles * machine.ipus);
  Planner planner(out, costs);
  planner.tables();
  const std::vector<Weighted> all = planner.tasks();
  out.tasks = static_cast<std::int64_t>(all.size());
  for (const Weighted& w : all) out.integrals += w.integrals, out.quartets += w.quartets;
  for (int most : kRoundElements) {
    planner.distribute(all, most);
    out.fullest = 0;
    planner.count_bytes(code);
    if (out.fits()) break;
  }
  return out;
}

}  // namespace scfx_ipu
