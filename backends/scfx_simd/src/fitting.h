// Two- and three-index integrals (P|Q) and (P|ij) of one molecule. A SIMD lane is one primitive auxiliary shell: those of
// one angular momentum, from all atoms, fill the vectors, so that a single molecule does.
//
// A spherical Gaussian of degree l is the l-th derivative of an s function: r^l Y_lm exp(-q r²) = (2q)^-l Y_lm(∂) exp(-q r²),
// with no lower degrees, for solid harmonics solve Laplace's equation. So auxiliary functions are combinations, with fixed
// coefficients, of the Hermite functions of one degree (R. Ahlrichs, Phys. Chem. Chem. Phys. 8, 3072 (2006)).
#pragma once

#include <array>
#include <map>
#include <vector>

#include "hermite.h"
#include "structure.h"

namespace scfx_simd::fitting {

constexpr int max_auxiliary_l = 6;
constexpr int max_total_l = max_pair_l + max_auxiliary_l + 1;  // one more for a derivative

// The shells of one molecule, orbital or auxiliary. `cartesian` is false for s and p.
struct Shells {
  struct Shell { int atom, l, nprim, first_primitive, first_function, nfunc; bool cartesian; };
  std::vector<Shell> shells;
  std::vector<double> position, exponent, coefficient;  // [natm*3], [nprim], [nprim]
  int count = 0;  // functions
};

// The functions of an auxiliary shell as Σ factor · Hermite function of degree l.
struct Harmonics {
  int nfunc = 0;
  std::vector<int> start, hermite;
  std::vector<double> factor;
};

// Auxiliary shells of one angular momentum. Internal order of functions: by class, then component, then shell.
struct AuxiliaryClass {
  int l = 0, nfunc = 0, vectors = 0, first = 0;
  std::vector<int> shells, lane, length;  // which shells, their first lanes and numbers of primitives
  int uncontracted = 0;                   // that many come first, one lane each
  std::vector<int> atom;                  // by lane, padded lanes too
  Buffer<vd> exponent, centre, weight;    // [vectors], [vectors][3], [vectors]; padded lanes weigh nothing
  std::vector<std::vector<int>> sums;     // by degree of the bra: [Hermite of the bra][term] -> Hermite of the sum
};

// What stands on the other side of the operator: products of two orbital shells, or the functions of one auxiliary shell.
struct Bra {
  struct Primitive { double p, centre[3]; };
  int L = 0, rows = 0;
  const Pattern* pattern = nullptr;
  std::vector<Primitive> primitives;
  std::vector<double> expansion;  // [primitive][entries of the pattern]
  // By the position of the first shell along x, y, z; only where asked for.
  const Pattern* moved_pattern[3] = {};
  std::vector<double> moved[3];
};

class Integrals {
 public:
  // `spherical[l]`: [ncart][2l+1] for l = 0..max_auxiliary_l, with all angular factors. `inverse_omega_squared`: 0 for
  // 1/r, else erf(omega r)/r.
  Integrals(Shells orbital, Shells auxiliary, const double* const* spherical, double inverse_omega_squared);

  // Where each internal function stands among the auxiliary functions as they were given.
  void order(int* out) const;
  // [shell][shell]: whether any product of two orbital shells' functions is more than negligible.
  void significant(unsigned char* out) const;
  // (P|ij) as [column][row][internal P]: rows are the functions of shells [from, to), columns those of `columns`.
  void rows(int from, int to, const int* columns, int n_columns, double* out) const;
  void metric(double* out) const;  // (P|Q), [internal][internal]

  // Σ Γ ∂(P|ij)/∂R, added to `gradient` [natm][3], for Γ laid out as the result of `rows`; `auxiliary_atom` numbers the
  // atoms of auxiliary functions as the orbital ones are.
  void rows_gradient(int from, int to, const int* columns, int n_columns, const double* density,
                     const int* auxiliary_atom, double* gradient) const;
  void metric_gradient(const double* density, const int* auxiliary_atom, double* gradient) const;

 private:
  struct Work;
  struct PairPatterns { Pattern plain, moved[3]; };
  using Shell = Shells::Shell;
  std::vector<Function> functions_of(const Shell& shell) const;
  static std::array<int, 4> key(const Shell& a, const Shell& b) { return {a.l, a.cartesian, b.l, b.cartesian}; }
  Bra pair(const Shell& a, const Shell& b, bool derivatives) const;
  Bra auxiliary_shell(const Shell& shell) const;
  void integrate(const Bra& bra, Work& work) const;
  void differentiate(const Bra& bra, Work& work, const int* auxiliary_atom, double* of_bra, double* gradient,
                     double* of_auxiliary) const;
  // Between the blocks of `work` and a row of auxiliary functions.
  void spread(const Work& work, const Bra& bra, int row, double* out) const;
  void gather(const double* in, const Bra& bra, int row, double factor, Work& work) const;

  Shells orbital_, auxiliary_;
  double inverse_omega_squared_;
  std::vector<std::vector<double>> spherical_;
  std::vector<Harmonics> harmonics_;  // by l
  std::vector<Pattern> auxiliary_patterns_;
  std::vector<AuxiliaryClass> classes_;
  std::map<std::array<int, 4>, PairPatterns> patterns_;
  std::map<std::array<int, 2>, std::vector<Function>> functions_;
};

}  // namespace scfx_simd::fitting
