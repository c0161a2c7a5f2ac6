#include "gradient_entry.h"

#include <algorithm>

#include "gradient_kernels.h"

namespace scfx_simd {

namespace {

class EntryGradient {
 public:
  EntryGradient(const Structure& s, const LanePlan& plan, const GradientShapes& shapes, const GradientOptions& options,
                const Geometry& geometry, const PairData& pairs, int lane, const double* density, int nspin)
      : s_(s), plan_(plan), shapes_(shapes), options_(options), geometry_(geometry), pairs_(pairs), lane_(lane),
        factors_(options, nspin), nspin_(nspin), n_(s.nao), nc_(int(s.composites.size())) {
    const size_t n2 = size_t(n_) * n_;
    density_.resize(n2 * n_matrices());
    for (int spin = 0; spin < nspin; ++spin)
      for (int x = 0; x < n_; ++x)
        for (int y = 0; y < n_; ++y)
          density_[spin * n2 + size_t(x) * n_ + y] = density[spin * n2 + size_t(s.ao[x]) * n_ + s.ao[y]];
    if (nspin == 2)
      for (size_t e = 0; e < n2; ++e) density_[2 * n2 + e] = density_[e] + density_[n2 + e];
    largest_.assign(size_t(n_matrices()) * nc_ * nc_, 0.0);
    for (int m = 0; m < n_matrices(); ++m)
      for (int a = 0; a < nc_; ++a)
        for (int b = 0; b < nc_; ++b) {
          const Composite &A = s.composites[a], &B = s.composites[b];
          double& most = largest_[(size_t(m) * nc_ + a) * nc_ + b];
          for (int i = A.first; i < A.first + A.nfunc; ++i)
            for (int j = B.first; j < B.first + B.nfunc; ++j)
              most = std::max(most, std::abs(density_[m * n2 + size_t(i) * n_ + j]));
        }
    gradient_.assign(size_t(3) * s.natm, 0.0);
  }

  void run(double* out) {
    quartets<double>();
    if (options_.single_from < options_.double_from) quartets<float>();
    std::copy(gradient_.begin(), gradient_.end(), out);
  }

 private:
  int n_matrices() const { return nspin_ == 1 ? 1 : nspin_ + 1; }
  const double* total() const { return &density_[size_t(n_matrices() - 1) * n_ * n_]; }
  bool one_centre(int pair) const {
    return s_.composites[s_.pairs[pair].a].atom == s_.composites[s_.pairs[pair].b].atom;
  }
  bool same_atom(int bra, int ket) const {
    return one_centre(bra) && one_centre(ket) &&
           s_.composites[s_.pairs[bra].a].atom == s_.composites[s_.pairs[ket].a].atom;
  }
  double images(int bra, int ket) const {
    const PairShape &x = s_.pairs[bra], &y = s_.pairs[ket];
    return (x.a == x.b ? 1.0 : 2.0) * (y.a == y.b ? 1.0 : 2.0) * (bra == ket ? 1.0 : 2.0);
  }

  // What of the kets of one bra is computed in [low, high), and from which bound on a primitive quartet matters.
  void choose(int bra, double low, double high) {
    const PairShape& x = s_.pairs[bra];
    const double primitive_from = options_.single_from * options_.primitive_fraction;
    wanted_.assign(bra + 1, 0);
    primitive_from_.resize(bra + 1);
    for (int first = 0; first <= bra; first += WD) {
      const int count = std::min(WD, bra + 1 - first);
      LargestDensity most{};
      vd number{}, schwarz{};
      for (int lane = 0; lane < count; ++lane) {
        const int ket = first + lane;
        const PairShape& y = s_.pairs[ket];
        const double* of_total = &largest_[size_t(n_matrices() - 1) * nc_ * nc_];
        most.ab[lane] = of_total[x.a * nc_ + x.b];
        most.cd[lane] = of_total[y.a * nc_ + y.b];
        for (int spin = 0; spin < nspin_; ++spin) {
          const double* of = &largest_[size_t(spin) * nc_ * nc_];
          most.ac[spin][lane] = of[x.a * nc_ + y.a];
          most.bd[spin][lane] = of[x.b * nc_ + y.b];
          most.ad[spin][lane] = of[x.a * nc_ + y.b];
          most.bc[spin][lane] = of[x.b * nc_ + y.a];
        }
        number[lane] = images(bra, ket);
        schwarz[lane] = pairs_.schwarz[ket][lane_];
      }
      const vd density = number * density_bound(factors_, most);
      const vd bound = density * splat(double(pairs_.schwarz[bra][lane_])) * schwarz;
      for (int lane = 0; lane < count; ++lane) {
        const double relevant = density[lane] < 1.0 ? density[lane] : 1.0;
        primitive_from_[first + lane] = primitive_from / relevant;
        wanted_[first + lane] = !(bound[lane] < low || bound[lane] >= high) && !same_atom(bra, first + lane);
      }
    }
  }

  template <class T> GradientView<T> packed(const std::vector<GradientView<T>>& views, const int* pairs, int n,
                                            Buffer<typename Lanes<T>::V>& storage) const {
    using V = typename Lanes<T>::V;
    constexpr int W = Lanes<T>::width;
    GradientView<T> out = views[pairs[0]];
    const auto sizes = fields(out);
    int most = 0, total = 0;
    for (int x = 0; x < n; ++x) most = std::max(most, views[pairs[x]].nkept);
    for (const int size : sizes) total += size;
    storage.reset(size_t(most) * total + 1);
    // A primitive that a lane lacks has a bound of zero, by which it counts as negligible with every other.
    std::fill_n(storage.get(), size_t(most) * total, V{});
    V* at = storage.get();
    for (int k = 0; k < most; ++k) at[k * geometry_fields] = splat(T(1));
    const V* parts[6];
    for (int f = 0; f < 6; ++f) {
      parts[f] = at;
      for (int x = 0; x < n; ++x) {
        const GradientView<T>& view = views[pairs[x]];
        const T* from = reinterpret_cast<const T*>(part(view, f)) + lane_;
        T* to = reinterpret_cast<T*>(at) + x;
        for (int i = 0; i < view.nkept * sizes[f]; ++i) to[size_t(i) * W] = from[size_t(i) * W];
      }
      at += size_t(most) * sizes[f];
    }
    out.geometry = parts[0];
    out.ratio = parts[1];
    out.scaled = parts[2];
    out.whole = parts[3];
    out.lower_a = parts[4];
    out.lower_b = parts[5];
    out.nkept = most;
    for (int axis = 0; axis < 3; ++axis) {
      out.ab[axis] = V{};
      for (int x = 0; x < n; ++x) out.ab[axis][x] = views[pairs[x]].ab[axis][lane_];
    }
    return out;
  }
  template <class T> static std::array<int, 6> fields(const GradientView<T>& view) {
    const GradientShape* shape = view.general;
    if (!shape) return {geometry_fields, ratio_fields, n_scaled, 0, 0, 0};
    return {geometry_fields, ratio_fields, 0, int(shape->whole.hermite.size()), int(shape->lower_a.hermite.size()),
            int(shape->lower_b.hermite.size())};
  }
  template <class T> static const typename Lanes<T>::V* part(const GradientView<T>& view, int f) {
    const typename Lanes<T>::V* const parts[] = {view.geometry, view.ratio,   view.scaled,
                                                 view.whole,    view.lower_a, view.lower_b};
    return parts[f];
  }

  // gamma of up to WD kets of one shape, as lanes within vectors of T.
  template <class T> void density_of(int bra, const int* kets, int n, T* gamma) {
    const PairShape &x = s_.pairs[bra], &y = s_.pairs[kets[0]];
    const Composite &A = s_.composites[x.a], &B = s_.composites[x.b];
    const int nc = s_.composites[y.a].nfunc, nd = s_.composites[y.b].nfunc;
    blocks_.reset(size_t(2 + 4 * nspin_) * max_functions * max_functions);
    vd* at = blocks_.get();
    const auto block = [&](const double* matrix, int rows, int columns, auto row, auto column) {
      vd* from = at;
      std::fill_n(at, rows * columns, vd{});
      for (int lane = 0; lane < n; ++lane) {
        const double* first = matrix + size_t(row(kets[lane])) * n_ + column(kets[lane]);
        for (int i = 0; i < rows; ++i)
          for (int j = 0; j < columns; ++j) at[i * columns + j][lane] = first[size_t(i) * n_ + j];
      }
      at += rows * columns;
      return from;
    };
    const auto a = [&](int) { return A.first; };
    const auto b = [&](int) { return B.first; };
    const auto c = [&](int ket) { return s_.composites[s_.pairs[ket].a].first; };
    const auto d = [&](int ket) { return s_.composites[s_.pairs[ket].b].first; };
    DensityBlocks of{A.nfunc, B.nfunc, nc, nd, block(total(), A.nfunc, B.nfunc, a, b), block(total(), nc, nd, c, d),
                     {}, {}, {}, {}};
    for (int spin = 0; spin < nspin_ && factors_.exchange != 0.0; ++spin) {
      const double* e = &density_[size_t(spin) * n_ * n_];
      of.ik[spin] = block(e, A.nfunc, nc, a, c);
      of.jl[spin] = block(e, B.nfunc, nd, b, d);
      of.il[spin] = block(e, A.nfunc, nd, a, d);
      of.jk[spin] = block(e, B.nfunc, nc, b, c);
    }
    vd number{};
    for (int lane = 0; lane < n; ++lane) number[lane] = images(bra, kets[lane]);
    two_particle_density<T>(factors_, of, number, gamma);
  }

  template <class T> void quartets() {
    using V = typename Lanes<T>::V;
    constexpr int W = Lanes<T>::width, n_groups = W / WD;
    constexpr bool is_double = sizeof(T) == 8;
    const double low = is_double ? options_.double_from : options_.single_from;
    const double high = is_double ? HUGE_VAL : options_.double_from;
    if (!(low < high)) return;
    const PairData* data[n_groups];
    Geometry geometry[n_groups];
    for (int i = 0; i < n_groups; ++i) {
      data[i] = &pairs_;
      geometry[i] = geometry_;
    }
    GradientPairs<T> pairs;
    gradient_pairs<T>(s_, shapes_, geometry, data, options_.single_from * options_.primitive_fraction, pairs);
    GradientWorkspace<T> work;
    Buffer<V> gamma, bra_storage, ket_storage;
    std::vector<std::array<T, 9>> found(s_.pairs.size());
    std::vector<int> kets;
    for (int bra = 0; bra < int(s_.pairs.size()); ++bra) {
      choose(bra, low, high);
      if (std::none_of(wanted_.begin(), wanted_.end(), [](char x) { return x != 0; })) continue;
      int same[W];
      std::fill_n(same, W, bra);
      const GradientView<T> bra_view = packed<T>(pairs.views, same, W, bra_storage);
      for (const LanePlan::Range& range : plan_.ranges) {
        if (range.first > bra) break;
        for (const std::vector<int>& kind : range.kinds)
          for (const bool centre : {false, true}) {
            kets.clear();
            for (const int ket : kind)
              if (ket <= bra && wanted_[ket] && one_centre(ket) == centre) kets.push_back(ket);
            // Kets with as many primitives stand together.
            std::stable_sort(kets.begin(), kets.end(), [&](int x, int y) {
              return pairs.views[x].nkept > pairs.views[y].nkept;
            });
            for (size_t at = 0; at < kets.size(); at += W) {
              const int n = int(std::min(kets.size() - at, size_t(W)));
              const GradientView<T> ket_view = packed<T>(pairs.views, &kets[at], n, ket_storage);
              const size_t size = size_t(s_.pairs[bra].nrow) * s_.pairs[kets[at]].nrow;
              gamma.reset(size);
              if (n < W) std::fill_n(gamma.get(), size, V{});
              V threshold = splat(T(HUGE_VAL));
              for (int x = 0; x < n; ++x) threshold[x] = T(primitive_from_[kets[at + x]]);
              for (int group = 0; group * WD < n; ++group)
                density_of<T>(bra, &kets[at + group * WD], std::min(WD, n - group * WD),
                              reinterpret_cast<T*>(gamma.get()) + group * WD);
              V out[9];
              quartet_gradient<T>(bra_view, ket_view, gamma.get(), threshold, T(options_.inverse_omega_squared), work, out);
              for (int x = 0; x < n; ++x)
                for (int i = 0; i < 9; ++i) found[kets[at + x]][i] = out[i][x];
            }
          }
      }
      for (int ket = 0; ket <= bra; ++ket)
        if (wanted_[ket]) add(bra, ket, found[ket].data());
    }
  }

  template <class T> void add(int bra, int ket, const T* from) {
    const PairShape &x = s_.pairs[bra], &y = s_.pairs[ket];
    double* first[4];
    const int composites[4] = {x.a, x.b, y.a, y.b};
    for (int c = 0; c < 4; ++c) first[c] = &gradient_[size_t(3) * s_.composites[composites[c]].atom];
    for (int i = 0; i < 3; ++i) {
      const double a = from[i], both = from[3 + i], c = from[6 + i];
      first[0][i] += a;
      first[1][i] += both - a;
      first[2][i] += c;
      first[3][i] -= both + c;
    }
  }

  const Structure& s_;
  const LanePlan& plan_;
  const GradientShapes& shapes_;
  const GradientOptions& options_;
  const Geometry& geometry_;
  const PairData& pairs_;
  int lane_;
  DensityFactors factors_;
  int nspin_, n_, nc_;
  std::vector<double> density_, largest_, gradient_, primitive_from_;
  std::vector<char> wanted_;
  Buffer<vd> blocks_;
};

}  // namespace

void entry_gradient(const Structure& s, const LanePlan& plan, const GradientShapes& shapes, const GradientOptions& options,
                    const Geometry& geometry, const PairData& pairs, int lane, const double* density, int nspin,
                    double* out) {
  EntryGradient(s, plan, shapes, options, geometry, pairs, lane, density, nspin).run(out);
}

}  // namespace scfx_simd
