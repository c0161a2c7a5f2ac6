// What all lanes of a batch share: shells grouped into composites, composite pairs, and how AOs are ordered inside.
#pragma once

#include <array>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <vector>

#include "hermite.h"

namespace scfx_simd {

// 64-byte aligned, uninitialised storage.
template <class T> class Buffer {
 public:
  Buffer() = default;
  explicit Buffer(size_t n) { reset(n); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Buffer(Buffer&& o) noexcept : data_(o.data_), size_(o.size_) { o.data_ = nullptr; o.size_ = 0; }
  Buffer& operator=(Buffer&& o) noexcept { std::swap(data_, o.data_); std::swap(size_, o.size_); return *this; }
  ~Buffer() { std::free(data_); }
  void reset(size_t n) {
    if (n <= size_ && data_) return;
    std::free(data_);
    data_ = nullptr;
    size_ = 0;
    void* p = nullptr;
    if (n && posix_memalign(&p, 64, n * sizeof(T))) throw std::bad_alloc();
    data_ = static_cast<T*>(p);
    size_ = n;
  }
  T* get() const { return data_; }
  T& operator[](size_t i) const { return data_[i]; }
  size_t size() const { return size_; }

 private:
  T* data_ = nullptr;
  size_t size_ = 0;
};

struct Shell { int atom, l, nprim, prim_offset, ao_offset, nfunc; bool cartesian; };

// Shells of one atom with the same exponents in every lane share Boys functions and Hermite integrals. Only s + p is
// merged (STO-nG, Pople sets); other shells stand alone.
enum class Kind : int { s = 0, p = 1, sp = 2, general = 3 };
struct Composite { Kind kind; int atom, nprim, l, first, nfunc, shell[2], nshell; };

// A contracted function as a combination of Cartesian components, including libcint's angular factors.
struct Component { int power[3]; double factor; };
struct Function { int shell, l; std::vector<Component> terms; };

// Row by row, which Hermite functions a general pair's products expand in: those of even degree, from `row_odd` on odd.
struct Pattern { std::vector<int> row_start, row_odd, hermite; };

// Some functions in a row, which may be those of a composite.
struct FunctionList { const Function* first; int n; };

struct PairShape {
  int a, b;  // composites, a <= b: the smaller first
  int nprim, nrow, L, nherm, code, npar;
  size_t geometry_offset, parameter_offset;  // in vectors, over all primitives of all pairs
  int pattern;                               // index into Structure::patterns; -1 for s and p
};

struct Structure {
  int natm = 0, nao = 0, nprim = 0;
  std::vector<Shell> shells;
  std::vector<Composite> composites;
  std::vector<Function> functions;   // in internal order
  std::vector<int> ao;               // internal order -> AO
  std::vector<PairShape> pairs;      // sorted by cost: the later of two pairs is contracted last
  std::vector<Pattern> patterns;
  size_t geometry_size = 0, parameter_size = 0;
};

constexpr int geometry_fields = 5;  // exponent, P (3), bound

// `spherical[l]` is [ncart, 2l+1] row-major for l = 2, 3. `merge_sp`: shell s and the next p shell of the same atom
// with the same exponents in every lane, as the caller found: merge_sp[shell of s] = shell of p, or -1.
Structure make_structure(int natm, const std::vector<Shell>& shells, const double* const* spherical,
                         const int* merge_sp);

// Lane-packed inputs of one group of WD conformers.
struct Geometry {
  std::vector<vd> position, exponent, coefficient;  // [natm*3], [nprim], [nprim]
};

// Primitive-pair data of one group: geometry [nprim][5] and expansion parameters [nprim][npar] by pair.
struct PairData {
  Buffer<vd> geometry, parameter;
  Buffer<vd> schwarz;  // [npair], sqrt of the largest diagonal integral
};

void fill_pairs(const Structure& s, const Geometry& g, PairData& out);

// ---- the pieces of it, of which the gradients make more --------------------------------------------------------------

inline FunctionList functions_of(const Structure& s, const Composite& c) { return {&s.functions[c.first], c.nfunc}; }

// Cartesian powers of one angular momentum, x before y before z.
std::vector<std::array<int, 3>> cartesian_powers(int l);

// Products of the functions of two lists, as the union of their Hermite terms.
Pattern make_pattern(FunctionList a, FunctionList b);

// One primitive pair: exponents a, b and p = a + b, h = 1/2p, A - B, P - A, P - B and P. `weight` [shell of A][shell of
// B] has contraction coefficients, the exponential and the pair's half of the Coulomb prefactor, no angular factors.
struct PrimitivePair { vd a, b, p, h, ab[3], pa[3], pb[3], centre[3], weight[4]; };
PrimitivePair primitive_pair(const Structure& s, const PairShape& pair, const Geometry& g, int i, int j);

// The factors of s and p functions, for composites of these only.
void apply_angular_factors(const Composite& A, const Composite& B, vd* weight);

// E_t^{ij} in one dimension without the exponential.
using Expansion = vd[max_shell_l + 1][max_shell_l + 1][max_pair_l + 1];
void expansion(int la, int lb, vd h, vd pa, vd pb, Expansion E);

// Hermite expansion of the products of functions of A and B in the order of `pattern`.
void fill_expansion(const Composite& A, const Composite& B, FunctionList a, FunctionList b, const Pattern& pattern,
                    const Expansion* E, const vd* weight, vd* out);

}  // namespace scfx_simd
