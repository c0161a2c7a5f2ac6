// Which quartets of shells a task stands for, where their densities lie, and how a quartet of integrals adds to J and K.
//
// Shells are grouped into blocks of consecutive shells. A task is a quartet of blocks (I >= J | K >= L), IJ >= KL, and
// stands for the quartets of shells in it that are unique under the eightfold symmetry of real integrals.
//
// A tile keeps of the density only the pairs of blocks that its tasks touch, one rectangle for each pair I >= J
// (complete squares for I = J): `density` holds two floats an element (the value rounded, and what the rounding left),
// `sums` four (J, what J's rounding left, K, the same).
#ifndef SCFX_SHELL_QUARTETS_HPP
#define SCFX_SHELL_QUARTETS_HPP

#include "two_floats.hpp"

namespace scfx_rys {

// One task: blocks I J K L, then where the rectangles IJ KL IK IL JK JL start on the tile, in elements.
constexpr int kTaskSize = 10;
// One shell: atom, angular momentum, number of primitives, first primitive, first function within its block.
constexpr int kShellSize = 5;
// One block: first shell, number of shells, number of (Cartesian) functions.
constexpr int kBlockSize = 3;

using Index = unsigned short;

inline int functions(int l) { return (l + 1) * (l + 2) / 2; }

// A rectangle seen from one of its two orders of indices: element (x, y) lies at start + x * row + y * column.
struct View {
  int start, row, column;
};

// One quartet of shells, ordered so that momenta do not increase within and between the pairs.
struct Quartet {
  int shell[4];  // indices of the shells a, b | c, d
  int place[4];  // which of the task's blocks I, J, K, L each is in
  int l[4];
  int n[4];      // functions of each
  View view[4][4];  // [x][y] for two different places of the quartet
  float weight;  // compensates for the images that equal shells count twice

  int size() const { return n[0] * n[1] * n[2] * n[3]; }
};

namespace detail {

inline int rectangle(int x, int y) {
  // Order of kTaskSize: 01 23 02 03 12 13.
  const int low = x < y ? x : y, high = x < y ? y : x;
  if (low == 0) return high == 1 ? 4 : high == 2 ? 6 : 7;
  if (low == 1) return high == 2 ? 8 : 9;
  return 5;
}

inline void exchange(int& a, int& b) {
  const int kept = a;
  a = b;
  b = kept;
}

}  // namespace detail

// Calls visit(Quartet) for each quartet of a task, in an order that the task alone fixes.
template <class Visitor>
inline void for_each_quartet(const Index* task, const Index* blocks, const Index* shells, Visitor&& visit) {
  const Index* block[4];
  for (int x = 0; x < 4; ++x) block[x] = blocks + kBlockSize * task[x];
  const bool same_bra = task[0] == task[1], same_ket = task[2] == task[3];
  const bool same_pairs = task[0] == task[2] && task[1] == task[3];
  for (int i = 0; i < block[0][1]; ++i)
    for (int j = 0; j < (same_bra ? i + 1 : int(block[1][1])); ++j)
      for (int k = 0; k < (same_pairs ? i + 1 : int(block[2][1])); ++k) {
        const int row_end = same_ket ? k + 1 : int(block[3][1]);
        for (int l = 0; l < (same_pairs && k == i ? (j + 1 < row_end ? j + 1 : row_end) : row_end); ++l) {
          const int shell[4] = {block[0][0] + i, block[1][0] + j, block[2][0] + k, block[3][0] + l};
          int place[4] = {0, 1, 2, 3};
          const auto momentum = [&](int x) { return int(shells[kShellSize * shell[place[x]] + 1]); };
          if (momentum(0) < momentum(1)) detail::exchange(place[0], place[1]);
          if (momentum(2) < momentum(3)) detail::exchange(place[2], place[3]);
          if (momentum(0) < momentum(2) || (momentum(0) == momentum(2) && momentum(1) < momentum(3))) {
            detail::exchange(place[0], place[2]);
            detail::exchange(place[1], place[3]);
          }
          Quartet q;
          for (int x = 0; x < 4; ++x) {
            q.shell[x] = shell[place[x]];
            q.place[x] = place[x];
            q.l[x] = shells[kShellSize * q.shell[x] + 1];
            q.n[x] = functions(q.l[x]);
          }
          for (int x = 0; x < 4; ++x)
            for (int y = 0; y < 4; ++y) {
              if (x == y) continue;
              const int px = place[x], py = place[y];
              const int start = task[detail::rectangle(px, py)];
              const int ax = shells[kShellSize * q.shell[x] + 4], ay = shells[kShellSize * q.shell[y] + 4];
              const int wx = block[px][2], wy = block[py][2];
              q.view[x][y] = task[px] >= task[py] ? View{start + ax * wy + ay, wy, 1} : View{start + ay * wx + ax, 1, wx};
            }
          q.weight = 1.0f;
          if (shell[0] == shell[1]) q.weight *= 0.5f;
          if (shell[2] == shell[3]) q.weight *= 0.5f;
          if (shell[0] == shell[2] && shell[1] == shell[3]) q.weight *= 0.5f;
          visit(q);
        }
      }
}

constexpr int kMaxFunctions = 10;  // of an f shell

// Adds the eight images of the integrals (ab|cd) to half of J and of K: J = half + transpose of half, and so K.
// J_ab += 2 w Σ (ab|cd) D_cd, K_ac += w Σ (ab|cd) D_bd and so on (Almlöf, Faegri, Korsell, J. Comput. Chem. 3, 385
// (1982)).
template <class Real>
inline void contract(const Quartet& q, const Real* integrals, const Real* density, Real* sums, bool exchange) {
  const int na = q.n[0], nb = q.n[1], nc = q.n[2], nd = q.n[3];
  const Real weight = Real(q.weight), twice = Real(2.0f) * weight;
  const auto at = [](const View& v, int x, int y) { return v.start + x * v.row + y * v.column; };
  const auto value = [&](const View& v, int x, int y) { return density[2 * at(v, x, y)]; };
  const auto rest = [&](const View& v, int x, int y) { return density[2 * at(v, x, y) + 1]; };
  const auto add = [&](const View& v, int x, int y, int kind, Real amount) {
    Real* target = sums + 4 * at(v, x, y) + kind;
    add_compensated(target[0], target[1], amount);
  };
  const View &ab = q.view[0][1], &cd = q.view[2][3], &ac = q.view[0][2], &ad = q.view[0][3], &bc = q.view[1][2],
             &bd = q.view[1][3];

  Real d_cd[kMaxFunctions * kMaxFunctions], e_cd[kMaxFunctions * kMaxFunctions], j_cd[kMaxFunctions * kMaxFunctions];
  for (int c = 0; c < nc; ++c)
    for (int d = 0; d < nd; ++d) {
      d_cd[c * nd + d] = value(cd, c, d);
      e_cd[c * nd + d] = rest(cd, c, d);
      j_cd[c * nd + d] = Real(0.0f);
    }
  const Real* v = integrals;
  const int ket = nc * nd;
  for (int a = 0; a < na; ++a)
    for (int b = 0; b < nb; ++b, v += ket) {
      const Real d_ab = value(ab, a, b) + rest(ab, a, b);
      Real sum = Real(0.0f), small = Real(0.0f);
      for (int n = 0; n < ket; ++n) {
        sum = sum + v[n] * d_cd[n];
        small = small + v[n] * e_cd[n];
        j_cd[n] = j_cd[n] + v[n] * d_ab;
      }
      add(ab, a, b, 0, twice * sum);
      sums[4 * at(ab, a, b) + 1] = sums[4 * at(ab, a, b) + 1] + twice * small;
    }
  for (int c = 0; c < nc; ++c)
    for (int d = 0; d < nd; ++d) add(cd, c, d, 0, twice * j_cd[c * nd + d]);
  if (!exchange) return;

  Real k_bc[kMaxFunctions * kMaxFunctions], k_bd[kMaxFunctions * kMaxFunctions];
  Real d_bc[kMaxFunctions * kMaxFunctions], d_bd[kMaxFunctions * kMaxFunctions];
  for (int b = 0; b < nb; ++b) {
    for (int c = 0; c < nc; ++c) d_bc[b * nc + c] = value(bc, b, c), k_bc[b * nc + c] = Real(0.0f);
    for (int d = 0; d < nd; ++d) d_bd[b * nd + d] = value(bd, b, d), k_bd[b * nd + d] = Real(0.0f);
  }
  v = integrals;
  for (int a = 0; a < na; ++a) {
    Real k_ac[kMaxFunctions], k_ad[kMaxFunctions], d_ac[kMaxFunctions], d_ad[kMaxFunctions];
    for (int c = 0; c < nc; ++c) d_ac[c] = value(ac, a, c), k_ac[c] = Real(0.0f);
    for (int d = 0; d < nd; ++d) d_ad[d] = value(ad, a, d), k_ad[d] = Real(0.0f);
    for (int b = 0; b < nb; ++b)
      for (int c = 0; c < nc; ++c) {
        Real sum_ac = Real(0.0f), sum_bc = Real(0.0f);
        const Real from_ac = d_ac[c], from_bc = d_bc[b * nc + c];
        for (int d = 0; d < nd; ++d, ++v) {
          sum_ac = sum_ac + *v * d_bd[b * nd + d];
          sum_bc = sum_bc + *v * d_ad[d];
          k_ad[d] = k_ad[d] + *v * from_bc;
          k_bd[b * nd + d] = k_bd[b * nd + d] + *v * from_ac;
        }
        k_ac[c] = k_ac[c] + sum_ac;
        k_bc[b * nc + c] = k_bc[b * nc + c] + sum_bc;
      }
    for (int c = 0; c < nc; ++c) add(ac, a, c, 2, weight * k_ac[c]);
    for (int d = 0; d < nd; ++d) add(ad, a, d, 2, weight * k_ad[d]);
  }
  for (int b = 0; b < nb; ++b) {
    for (int c = 0; c < nc; ++c) add(bc, b, c, 2, weight * k_bc[b * nc + c]);
    for (int d = 0; d < nd; ++d) add(bd, b, d, 2, weight * k_bd[b * nd + d]);
  }
}

}  // namespace scfx_rys

#endif
