// The codelets' functions without Poplar, for tests and for the cost model: a C interface.
#include <algorithm>
#include <cstring>
#include <vector>

#include "counting.hpp"
// After `Counted`, so that its functions are found.
#include "../codelets/rys_quartet.hpp"
#include "../codelets/shell_quartets.hpp"
#include "interface.hpp"

namespace scfx_rys {
using scfx_ipu::exponential;
using scfx_ipu::square_root;
using scfx_ipu::truncate;
}  // namespace scfx_rys

namespace {

using scfx_ipu::Counted;
constexpr int kHighest = 3;  // f

}  // namespace

extern "C" {

SCFX_EXPORT int scfx_ipu_highest_momentum() { return kHighest; }

// (ij|kl) for the shells i, j and all pairs of shells k >= l up to i, in float32, Cartesian: out[ni][nj][n][n] with n
// functions in the shells up to i, both triangles filled.
SCFX_EXPORT void scfx_ipu_integrals_of_pair(std::int32_t atoms, std::int32_t n_shells, const std::int32_t* shells,
                                            std::int32_t primitives, const float* molecule, std::int32_t i,
                                            std::int32_t j, float* out) {
  std::vector<scfx_rys::Index> table(n_shells * scfx_rys::kShellSize), blocks;
  std::vector<int> start;
  int at = 0;
  for (int s = 0; s < n_shells; ++s) {
    for (int x = 0; x < 4; ++x) table[s * scfx_rys::kShellSize + x] = static_cast<scfx_rys::Index>(shells[4 * s + x]);
    table[s * scfx_rys::kShellSize + 4] = 0;
    start.push_back(at);
    const int n = scfx_rys::functions(shells[4 * s + 1]);
    for (int value : {s, 1, n}) blocks.push_back(static_cast<scfx_rys::Index>(value));
    at += n;
  }
  const int n = start[i] + scfx_rys::functions(shells[4 * i + 1]);
  const float* exponents = molecule + 6 * atoms;
  int most = 0;
  for (int s = 0; s < n_shells; ++s) most = std::max(most, shells[4 * s + 2]);
  std::vector<float> scratch(6 * most * most), buffer(10000);
  for (int k = 0; k <= i; ++k)
    for (int l = 0; l <= k; ++l) {
      const scfx_rys::Index i_ = static_cast<scfx_rys::Index>(i), j_ = static_cast<scfx_rys::Index>(j);
      scfx_rys::Index task[scfx_rys::kTaskSize] = {i_, j_, static_cast<scfx_rys::Index>(k),
                                                   static_cast<scfx_rys::Index>(l)};
      scfx_rys::for_each_quartet(task, blocks.data(), table.data(), [&](const scfx_rys::Quartet& q) {
        scfx_rys::Shell<float> s[4];
        for (int x = 0; x < 4; ++x) {
          const std::int32_t* entry = shells + 4 * q.shell[x];
          s[x] = {molecule + 6 * entry[0], exponents + entry[3], exponents + primitives + entry[3], entry[2]};
        }
        scfx_rys::dispatch<float, kHighest>(q.l[0], q.l[1], q.l[2], q.l[3], s[0], s[1], s[2], s[3], scratch.data(),
                                            buffer.data());
        const float* v = buffer.data();
        const int nj = scfx_rys::functions(shells[4 * j + 1]);
        int at[4];
        for (at[0] = 0; at[0] < q.n[0]; ++at[0])
          for (at[1] = 0; at[1] < q.n[1]; ++at[1])
            for (at[2] = 0; at[2] < q.n[2]; ++at[2])
              for (at[3] = 0; at[3] < q.n[3]; ++at[3], ++v) {
                int f[4];
                for (int x = 0; x < 4; ++x) f[q.place[x]] = at[x];
                const std::size_t row = (std::size_t(f[0]) * nj + f[1]) * n * n;
                out[row + std::size_t(start[k] + f[2]) * n + start[l] + f[3]] = *v;
                out[row + std::size_t(start[l] + f[3]) * n + start[k] + f[2]] = *v;
              }
      });
    }
}

// Operations of a quartet of contracted shells (all primitives count: exponents of one and coefficients of one, on
// centres `distance` apart) and of its contraction with a density; counts[2][6] in the order of `Operations`.
SCFX_EXPORT void scfx_ipu_count_operations(const std::int32_t* momenta, const std::int32_t* primitives, float distance,
                                           std::int64_t* counts) {
  const float centres[4][6] = {{0, 0, 0, 0, 0, 0}, {0.3f, 0, 0, 0, 0, 0}, {distance, 0, 0, 0, 0, 0},
                               {distance, 0.3f, 0, 0, 0, 0}};
  const std::vector<float> ones(64, 1.0f);
  scfx_rys::Shell<Counted> s[4];
  for (int x = 0; x < 4; ++x) s[x] = {centres[x], ones.data(), ones.data(), primitives[x]};
  std::vector<Counted> scratch(6 * primitives[2] * primitives[3]), integrals(10000);
  const auto report = [&] {
    const scfx_ipu::Operations& o = Counted::operations;
    for (std::int64_t value : {o.add, o.multiply, o.divide, o.root, o.exponential, o.other}) *counts++ = value;
  };
  Counted::operations = {};
  scfx_rys::dispatch<Counted, kHighest>(momenta[0], momenta[1], momenta[2], momenta[3], s[0], s[1], s[2], s[3],
                                        scratch.data(), integrals.data());
  report();
  scfx_rys::Quartet q{};
  for (int x = 0; x < 4; ++x) q.n[x] = scfx_rys::functions(momenta[x]);
  q.weight = 1.0f;
  for (int x = 0; x < 4; ++x)
    for (int y = 0; y < 4; ++y) q.view[x][y] = {0, q.n[y], 1};
  std::vector<Counted> density(2 * 100, Counted(1.0f)), sums(4 * 100, Counted(0.0f));
  Counted::operations = {};
  scfx_rys::contract(q, integrals.data(), density.data(), sums.data(), true);
  report();
}

}  // extern "C"
