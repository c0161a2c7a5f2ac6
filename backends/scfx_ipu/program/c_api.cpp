// The C interface that scfx_ipu/library.py binds. No function throws: where one can fail it returns null or a non-zero
// value and writes the reason.
#include <algorithm>
#include <cstring>
#include <exception>
#include <memory>

#include "engine.hpp"
#include "interface.hpp"
#include "schedule.hpp"

namespace {

using namespace scfx_ipu;

struct Program {
  Schedule schedule;  // the engine refers to it
  std::unique_ptr<Engine> engine;
  std::vector<float> density, sums;
  std::vector<int> block_start;  // first function of each block
};

template <class F>
int guarded(char* reason, std::int64_t length, F&& body) {
  try {
    body();
    return 0;
  } catch (const std::exception& error) {
    std::strncpy(reason, error.what(), static_cast<std::size_t>(length - 1));
    reason[length - 1] = '\0';
    return 1;
  }
}

// Calls visit(packed index, row, column) for every element of the packed matrix.
template <class F>
void for_each_element(const Program& p, F&& visit) {
  for (const Rectangle& r : p.schedule.rectangles) {
    const Block &rows = p.schedule.blocks[r.row], &columns = p.schedule.blocks[r.column];
    for (int x = 0; x < rows.functions; ++x)
      for (int y = 0; y < columns.functions; ++y)
        visit(std::size_t(r.start) + std::size_t(x) * columns.functions + y, std::size_t(p.block_start[r.row] + x),
              std::size_t(p.block_start[r.column] + y));
  }
}

}  // namespace

extern "C" {

// shells[n][4]: atom, momentum, primitives, first primitive. machine[4]: IPUs, tiles of each, workers, bytes of a tile.
// costs[3][classes][classes]: worker cycles of a primitive quartet, of a shell quartet besides, of its contraction.
SCFX_EXPORT void* scfx_ipu_plan(std::int32_t atoms, std::int32_t n_shells, const std::int32_t* shells,
                                const std::int64_t* machine, std::int32_t recompute, std::int32_t classes,
                                const float* costs, const std::int64_t* code_bytes) {
  try {
    Structure s;
    s.atoms = atoms;
    for (int i = 0; i < n_shells; ++i) {
      s.atom.push_back(shells[4 * i]);
      s.momentum.push_back(shells[4 * i + 1]);
      s.primitives.push_back(shells[4 * i + 2]);
      s.first_primitive.push_back(shells[4 * i + 3]);
    }
    const std::size_t n = std::size_t(classes) * classes;
    const Costs c{classes, {costs, costs + n}, {costs + n, costs + 2 * n}, {costs + 2 * n, costs + 3 * n}};
    const Machine m{static_cast<int>(machine[0]), static_cast<int>(machine[1]), static_cast<int>(machine[2]), machine[3]};
    CodeBytes code{};
    std::copy(code_bytes, code_bytes + 4, code.by_momentum);
    auto p = std::make_unique<Program>();
    p->schedule = make_schedule(s, m, recompute ? Strategy::kRecompute : Strategy::kStore, c, code);
    int at = 0;
    for (const Block& b : p->schedule.blocks) {
      p->block_start.push_back(at);
      at += b.functions;
    }
    return p.release();
  } catch (const std::exception&) {
    return nullptr;  // out of memory
  }
}

// numbers[22]: tiles, fullest tile, rounds, blocks, packed elements, quartets, tasks, integrals, most touched elements,
// most gathered elements, bytes there; then bytes on the fullest tile: total and its ten kinds in the order of `Bytes`.
SCFX_EXPORT void scfx_ipu_plan_numbers(const void* program, std::int64_t* numbers) {
  const Schedule& s = static_cast<const Program*>(program)->schedule;
  const Bytes& b = s.bytes[s.fullest];
  for (std::int64_t value :
       {std::int64_t(s.tiles.size()), std::int64_t(s.fullest), std::int64_t(s.rounds), std::int64_t(s.blocks.size()),
        std::int64_t(s.packed), s.quartets, s.tasks, s.integrals, s.largest_sums, s.largest_gather,
        s.machine.tile_bytes, b.total(), b.code, b.molecule, b.tasks, b.integrals, b.density, b.sums, b.reduction,
        b.scratch, b.vertices, b.exchange})
    *numbers++ = value;
}

// Worker cycles [tiles][workers] of integrals and of one contraction; [tiles] elements touched (all rounds) and gathered.
SCFX_EXPORT void scfx_ipu_plan_cycles(const void* program, double* integrals, double* contraction,
                                      std::int64_t* touched, std::int64_t* gathered) {
  for (const TilePlan& t : static_cast<const Program*>(program)->schedule.tiles) {
    for (double c : t.integral_cycles) *integrals++ = c;
    for (double c : t.contraction_cycles) *contraction++ = c;
    std::int64_t sum = 0;
    for (const Round& r : t.rounds) sum += r.elements;
    *touched++ = sum;
    *gathered++ = t.gathered;
  }
}

// Builds the graph; 0 if it went well.
SCFX_EXPORT int scfx_ipu_build(void* program, std::int32_t hardware, std::int32_t threads, std::int32_t poison,
                               const char* codelets, char* reason, std::int64_t length) {
  return guarded(reason, length, [&] {
    auto& p = *static_cast<Program*>(program);
    EngineOptions options;
    options.device = hardware ? DeviceKind::kHardware : DeviceKind::kHost;
    options.codelets = codelets;
    options.threads = threads;
    options.poison = poison != 0;
    p.engine = std::make_unique<Engine>(p.schedule, options);
  });
}

SCFX_EXPORT int scfx_ipu_built_for_hardware() { return built_for_hardware(); }

SCFX_EXPORT std::int64_t scfx_ipu_measured_bytes(const void* program) {
  return static_cast<const Program*>(program)->engine->measured_bytes();
}

SCFX_EXPORT std::int64_t scfx_ipu_exchange_cycles(const void* program) {
  return static_cast<const Program*>(program)->engine->exchange_cycles();
}

SCFX_EXPORT void scfx_ipu_profile(const void* program, char* text, std::int64_t length) {
  std::strncpy(text, static_cast<const Program*>(program)->engine->profile().c_str(), static_cast<std::size_t>(length - 1));
  text[length - 1] = '\0';
}

SCFX_EXPORT int scfx_ipu_set_molecule(void* program, const float* values, std::int64_t n, char* reason,
                                      std::int64_t length) {
  return guarded(reason, length,
                 [&] { static_cast<Program*>(program)->engine->set_molecule(std::vector<float>(values, values + n)); });
}

// J and, if asked, K of a symmetric Cartesian density matrix [n][n]; each a float64 sum of two float32 numbers.
SCFX_EXPORT int scfx_ipu_coulomb_exchange(void* program, const double* density, std::int32_t exchange, double* coulomb,
                                          double* exchanges, char* reason, std::int64_t length) {
  return guarded(reason, length, [&] {
    auto& p = *static_cast<Program*>(program);
    const std::size_t n = static_cast<std::size_t>(p.schedule.structure.n_functions());
    p.density.resize(2 * static_cast<std::size_t>(p.schedule.packed));
    for_each_element(p, [&](std::size_t e, std::size_t row, std::size_t column) {
      const double value = density[row * n + column];
      const float rounded = static_cast<float>(value);
      p.density[2 * e] = rounded;
      p.density[2 * e + 1] = static_cast<float>(value - static_cast<double>(rounded));
    });
    p.engine->coulomb_exchange(p.density, exchange != 0, p.sums);
    std::fill(coulomb, coulomb + n * n, 0.0);
    if (exchange) std::fill(exchanges, exchanges + n * n, 0.0);
    for_each_element(p, [&](std::size_t e, std::size_t row, std::size_t column) {
      const float* sum = p.sums.data() + 4 * e;
      const double j = static_cast<double>(sum[0]) + sum[1], k = static_cast<double>(sum[2]) + sum[3];
      for (std::size_t at : {row * n + column, column * n + row}) {
        coulomb[at] += j;
        if (exchange) exchanges[at] += k;
      }
    });
  });
}

SCFX_EXPORT void scfx_ipu_free(void* program) { delete static_cast<Program*>(program); }

}  // extern "C"
