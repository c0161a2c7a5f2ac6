#include "gradient.h"

#include <algorithm>

#include "gradient_density.h"
#include "gradient_entry.h"
#include "gradient_kernels.h"
#include "parallel.h"

namespace scfx_simd {

namespace {

using Mask = MaskOf<double>::type;
constexpr int per_team = WF / WD;

SCFX_INLINE vd larger(vd a, vd b) { return select(less(a, b), b, a); }
SCFX_INLINE vd size_of(vd x) { return select(less(x, vd{}), -x, x); }

// WD numbers in double as lanes of T.
SCFX_INLINE void store_lanes(double* to, vd x) { *reinterpret_cast<vd*>(to) = x; }
SCFX_INLINE void store_lanes(float* to, vd x) {
  typedef float Half __attribute__((vector_size(WD * sizeof(float))));
  *reinterpret_cast<Half*>(to) = __builtin_convertvector(x, Half);
}

// WD conformers.
struct GradientGroup {
  Geometry geometry;
  PairData pairs;                // of which the gradient needs the bounds alone
  Buffer<vd> density;            // [spin][nao][nao] in internal order, then their sum if there are two
  std::vector<vd> largest;       // [spin][composite][composite], then of the sum: largest |D| of a block
  std::vector<vd> gradient;      // [natm * 3]
  bool used = false;
};

class TeamGradient {
 public:
  TeamGradient(const Structure& s, const GradientShapes& shapes, const GradientOptions& options, int nspin)
      : s_(s), shapes_(shapes), options_(options), factors_(options, nspin), nspin_(nspin), n_(s.nao),
        nc_(int(s.composites.size())) {}

  void run(const BatchInput& input, int index, const double* density, double* out) {
    for (int i = 0; i < per_team; ++i) prepare(groups_[i], input, (index * per_team + i) * WD, density);
    for (GradientGroup& group : groups_)
      if (group.used) quartets<double>(&group);
    if (options_.single_from < options_.double_from) quartets<float>(groups_);
    for (int i = 0; i < per_team; ++i)
      for (int lane = 0; lane < WD; ++lane) {
        const int entry = (index * per_team + i) * WD + lane;
        if (entry >= input.n) continue;
        for (int x = 0; x < 3 * s_.natm; ++x) out[size_t(entry) * 3 * s_.natm + x] = groups_[i].gradient[x][lane];
      }
  }

 private:
  int n_matrices() const { return nspin_ == 1 ? 1 : nspin_ + 1; }
  const vd* total(const GradientGroup& g) const { return g.density.get() + size_t(n_matrices() - 1) * n_ * n_; }
  const vd* total_bound(const GradientGroup& g) const { return &g.largest[size_t(n_matrices() - 1) * nc_ * nc_]; }

  void prepare(GradientGroup& group, const BatchInput& input, int first, const double* density) {
    group.used = first < input.n;
    group.geometry = pack_geometry(s_, input, first, true);
    fill_pairs(s_, group.geometry, group.pairs);
    fill_bounds(s_, group.pairs, options_.inverse_omega_squared);
    group.gradient.assign(size_t(3) * s_.natm, vd{});
    const size_t n2 = size_t(n_) * n_;
    group.density.reset(n2 * n_matrices());
    vd* d = group.density.get();
    for (int lane = 0; lane < WD; ++lane)
      for (int spin = 0; spin < nspin_; ++spin) {
        // Lanes that repeat an entry have no density, and so no quartets.
        const double* from = first + lane < input.n ? density + (size_t(first + lane) * nspin_ + spin) * n2 : nullptr;
        for (int x = 0; x < n_; ++x)
          for (int y = 0; y < n_; ++y)
            d[spin * n2 + size_t(x) * n_ + y][lane] = from ? from[size_t(s_.ao[x]) * n_ + s_.ao[y]] : 0.0;
      }
    if (nspin_ == 2)
      for (size_t e = 0; e < n2; ++e) d[2 * n2 + e] = d[e] + d[n2 + e];
    group.largest.assign(size_t(n_matrices()) * nc_ * nc_, vd{});
    for (int m = 0; m < n_matrices(); ++m)
      for (int a = 0; a < nc_; ++a)
        for (int b = 0; b < nc_; ++b) {
          const Composite &A = s_.composites[a], &B = s_.composites[b];
          vd& most = group.largest[(size_t(m) * nc_ + a) * nc_ + b];
          for (int i = A.first; i < A.first + A.nfunc; ++i)
            for (int j = B.first; j < B.first + B.nfunc; ++j) most = larger(most, size_of(d[m * n2 + size_t(i) * n_ + j]));
        }
  }

  // A quartet of shells stands for up to eight images.
  double images(int bra, int ket) const {
    const PairShape &x = s_.pairs[bra], &y = s_.pairs[ket];
    return (x.a == x.b ? 1.0 : 2.0) * (y.a == y.b ? 1.0 : 2.0) * (bra == ket ? 1.0 : 2.0);
  }
  // Bound of the two-particle density of a quartet, without the images.
  vd bound_of(const GradientGroup& g, int bra, int ket) const {
    const PairShape &x = s_.pairs[bra], &y = s_.pairs[ket];
    const vd* total = total_bound(g);
    LargestDensity most{total[x.a * nc_ + x.b], total[y.a * nc_ + y.b], {}, {}, {}, {}};
    for (int spin = 0; spin < nspin_; ++spin) {
      const vd* of = &g.largest[size_t(spin) * nc_ * nc_];
      most.ac[spin] = of[x.a * nc_ + y.a];
      most.bd[spin] = of[x.b * nc_ + y.b];
      most.ad[spin] = of[x.a * nc_ + y.b];
      most.bc[spin] = of[x.b * nc_ + y.a];
    }
    return density_bound(factors_, most);
  }

  // gamma [row of bra][row of ket], lanes of one group within vectors of T; zero where `images` is.
  template <class T> void density_of(const GradientGroup& g, int bra, int ket, vd images, T* gamma) {
    const PairShape &x = s_.pairs[bra], &y = s_.pairs[ket];
    const Composite &A = s_.composites[x.a], &B = s_.composites[x.b], &C = s_.composites[y.a], &D = s_.composites[y.b];
    blocks_.reset(size_t(2 + 4 * nspin_) * max_functions * max_functions);
    vd* at = blocks_.get();
    const auto block = [&](const vd* matrix, const Composite& rows, const Composite& columns) {
      const vd* from = at;
      for (int i = 0; i < rows.nfunc; ++i)
        for (int j = 0; j < columns.nfunc; ++j) *at++ = matrix[size_t(rows.first + i) * n_ + columns.first + j];
      return from;
    };
    DensityBlocks d{A.nfunc, B.nfunc, C.nfunc, D.nfunc, block(total(g), A, B), block(total(g), C, D), {}, {}, {}, {}};
    for (int spin = 0; spin < nspin_ && factors_.exchange != 0.0; ++spin) {
      const vd* e = g.density.get() + size_t(spin) * n_ * n_;
      d.ik[spin] = block(e, A, C);
      d.jl[spin] = block(e, B, D);
      d.il[spin] = block(e, A, D);
      d.jk[spin] = block(e, B, C);
    }
    two_particle_density<T>(factors_, d, images, gamma);
  }

  // All quartets that are computed in T, of one group (float64) or of the team's (float32).
  template <class T> void quartets(GradientGroup* groups) {
    using V = typename Lanes<T>::V;
    constexpr bool is_double = sizeof(T) == 8;
    constexpr int n_groups = Lanes<T>::width / WD;
    const double low = is_double ? options_.double_from : options_.single_from;
    const double high = is_double ? HUGE_VAL : options_.double_from;
    const double primitive_from = options_.single_from * options_.primitive_fraction;
    const PairData* bounds[n_groups];
    Geometry geometry[n_groups];
    for (int i = 0; i < n_groups; ++i) {
      bounds[i] = &groups[i].pairs;
      geometry[i] = groups[i].geometry;
    }
    GradientPairs<T> pairs;
    gradient_pairs<T>(s_, shapes_, geometry, bounds, primitive_from, pairs);
    GradientWorkspace<T> work;
    Buffer<V> gamma;
    const int total = int(s_.pairs.size());
    for (int bra = 0; bra < total; ++bra)
      for (int ket = 0; ket <= bra; ++ket) {
        const PairShape &x = s_.pairs[bra], &y = s_.pairs[ket];
        if (same_atom(x, y)) continue;
        const double count = images(bra, ket);
        vd factor[n_groups], bound[n_groups];
        bool wanted = false;
        for (int i = 0; i < n_groups; ++i) {
          const vd density = count * bound_of(groups[i], bra, ket);
          bound[i] = density * groups[i].pairs.schwarz[bra] * groups[i].pairs.schwarz[ket];
          const Mask dropped = Mask(less(bound[i], splat(low)) | at_least(bound[i], splat(high)));
          factor[i] = zero_where(dropped, splat(count));
          // A primitive quartet matters by what its density can make of it; where lanes are dropped none does.
          const vd relevant = select(less(density, splat(1.0)), density, splat(1.0));
          bound[i] = select(dropped, splat(double(HUGE_VAL)), primitive_from / relevant);
          wanted |= !all(dropped);
        }
        if (!wanted) continue;
        gamma.reset(size_t(x.nrow) * y.nrow);
        V threshold;
        for (int i = 0; i < n_groups; ++i) {
          density_of<T>(groups[i], bra, ket, factor[i], reinterpret_cast<T*>(gamma.get()) + i * WD);
          store_lanes(reinterpret_cast<T*>(&threshold) + i * WD, bound[i]);
        }
        V out[9];
        quartet_gradient<T>(pairs.views[bra], pairs.views[ket], gamma.get(), threshold,
                            T(options_.inverse_omega_squared), work, out);
        for (int i = 0; i < n_groups; ++i) add(groups[i], x, y, reinterpret_cast<const T*>(out) + i * WD, Lanes<T>::width);
      }
  }

  bool same_atom(const PairShape& x, const PairShape& y) const {
    const int atom = s_.composites[x.a].atom;
    return s_.composites[x.b].atom == atom && s_.composites[y.a].atom == atom && s_.composites[y.b].atom == atom;
  }

  template <class T> void add(GradientGroup& g, const PairShape& x, const PairShape& y, const T* out, int width) const {
    vd* first[4];
    const int composites[4] = {x.a, x.b, y.a, y.b};
    for (int c = 0; c < 4; ++c) first[c] = &g.gradient[size_t(3) * s_.composites[composites[c]].atom];
    for (int i = 0; i < 3; ++i) {
      const vd a = load_lanes(out + i * width), bra = load_lanes(out + (3 + i) * width), c = load_lanes(out + (6 + i) * width);
      first[0][i] += a;
      first[1][i] += bra - a;
      first[2][i] += c;
      first[3][i] -= bra + c;
    }
  }

  const Structure& s_;
  const GradientShapes& shapes_;
  const GradientOptions& options_;
  DensityFactors factors_;
  int nspin_, n_, nc_;
  Buffer<vd> blocks_;
  GradientGroup groups_[per_team];
};

}  // namespace

void two_electron_gradient(const Structure& s, const BatchInput& input, const GradientOptions& options,
                           const double* density, int nspin, double* out) {
  const GradientShapes shapes(s, false);
  const int rest = input.n % WD, in_teams = rest <= most_alone ? input.n - rest : input.n;
  const int n_teams = (in_teams + per_team * WD - 1) / (per_team * WD);
  Geometry geometry;
  PairData pairs;
  std::unique_ptr<LanePlan> plan;
  if (in_teams < input.n) {
    plan = std::make_unique<LanePlan>(s);
    geometry = pack_geometry(s, input, in_teams, true);
    fill_pairs(s, geometry, pairs);
    fill_bounds(s, pairs, options.inverse_omega_squared);
  }
  parallel(options.threads, n_teams + input.n - in_teams, [&](int index) {
    if (index < n_teams) {
      TeamGradient(s, shapes, options, nspin).run({in_teams, input.position, input.exponent, input.coefficient}, index,
                                                  density, out);
      return;
    }
    const size_t entry = size_t(in_teams) + index - n_teams;
    entry_gradient(s, *plan, shapes, options, geometry, pairs, index - n_teams, density + entry * nspin * s.nao * s.nao,
                   nspin, out + entry * 3 * s.natm);
  });
}

}  // namespace scfx_simd
