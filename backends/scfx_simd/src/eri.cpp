#include "eri.h"

#include <algorithm>

#include "hermite_row.h"

namespace scfx_simd {

const SumTable sums;

namespace {

template <class T>
using HermiteRow = int (*)(const typename Lanes<T>::V*, const typename Lanes<T>::V*, int, typename Lanes<T>::V,
                           typename Lanes<T>::V, typename Lanes<T>::V*, int*);

template <class T> HermiteRow<T> hermite_row_kernel(int L) {
  static const HermiteRow<T> table[max_l + 1] = {
      hermite_row<T, 0>, hermite_row<T, 1>, hermite_row<T, 2>,  hermite_row<T, 3>,  hermite_row<T, 4>,
      hermite_row<T, 5>, hermite_row<T, 6>, hermite_row<T, 7>,  hermite_row<T, 8>,  hermite_row<T, 9>,
      hermite_row<T, 10>, hermite_row<T, 11>, hermite_row<T, 12>};
  static_assert(max_l == 12, "one kernel for each angular momentum of a quartet");
  return table[L];
}

template <class T, bool Ket> Contract<T> side_kernel(int code) {
  static const Contract<T> table[10] = {
      contract_simple<T, 0, Ket>, contract_simple<T, 1, Ket>, contract_simple<T, 2, Ket>, contract_simple<T, 3, Ket>,
      contract_simple<T, 4, Ket>, contract_simple<T, 5, Ket>, contract_simple<T, 6, Ket>, contract_simple<T, 7, Ket>,
      contract_simple<T, 8, Ket>, contract_general<T, Ket>};
  return table[code];
}

// Half-contracted integrals are held for at most this many bytes of bra primitives; the sum's order does not depend on it.
constexpr size_t half_bytes = 256 * 1024;

}  // namespace

template <class T> Contract<T> contract_kernel(int code, bool ket) {
  return ket ? side_kernel<T, true>(code) : side_kernel<T, false>(code);
}
template Contract<double> contract_kernel<double>(int, bool);

template <class T>
void eri_block(const PairView<T>& bra, const PairView<T>& ket, const EriOptions<T>& options, EriWorkspace<T>& work,
               typename Lanes<T>::V* out) {
  using V = typename Lanes<T>::V;
  const PairShape &b = *bra.shape, &k = *ket.shape;
  const int L = b.L + k.L, nh = n_hermite(L), width = b.nherm * k.nrow;
  const int chunk = std::max(1, std::min(bra.nkept, int(half_bytes / (size_t(width) * sizeof(V)))));
  work.hermite.reset(size_t(ket.nkept) * nh);
  work.half.reset(size_t(chunk) * width);
  if (int(work.ket_list.size()) < ket.nkept) work.ket_list.resize(ket.nkept);
  if (int(work.bra_list.size()) < chunk) work.bra_list.resize(chunk);
  const HermiteRow<T> hermite = hermite_row_kernel<T>(L);
  const Contract<T> contract_ket = side_kernel<T, true>(k.code), contract_bra = side_kernel<T, false>(b.code);
  for (int i = 0; i < b.nrow * k.nrow; ++i) out[i] = V{};

  Contraction<T> to_half{work.hermite.get(), size_t(nh), sums.value[0], SumTable::n, 0, b.nherm,
                         ket.parameter, k.npar, work.ket_list.data(), 0, nullptr, 1, size_t(k.nrow), ket.pattern};
  // Half-contracted: [bra primitive][Hermite of bra][row of ket].
  int offset[n_hermite(max_pair_l)];
  for (int h = 0; h < b.nherm; ++h) offset[h] = h * k.nrow;
  Contraction<T> to_whole{work.half.get(), size_t(width), offset, 0, 1, k.nrow,
                          bra.parameter, b.npar, work.bra_list.data(), 0, out, size_t(k.nrow), 1, bra.pattern};
  const V threshold = splat<T>(options.threshold), inverse_omega = splat<T>(options.inverse_omega_squared);
  int slot = 0;
  for (int p = 0; p < bra.nkept; ++p) {
    to_half.n = hermite(bra.geometry + size_t(p) * geometry_fields, ket.geometry, ket.nkept, threshold,
                        inverse_omega, work.hermite.get(), work.ket_list.data());
    if (to_half.n) {
      V* half = work.half.get() + size_t(slot) * width;
      for (int i = 0; i < width; ++i) half[i] = V{};
      to_half.output = half;
      contract_ket(to_half);
      work.bra_list[slot++] = p;
    }
    if (slot && (slot == chunk || p + 1 == bra.nkept)) {
      to_whole.n = slot;
      contract_bra(to_whole);
      slot = 0;
    }
  }
}

template void eri_block<double>(const PairView<double>&, const PairView<double>&, const EriOptions<double>&,
                                EriWorkspace<double>&, vd*);
template void eri_block<float>(const PairView<float>&, const PairView<float>&, const EriOptions<float>&,
                               EriWorkspace<float>&, vf*);

void fill_bounds(const Structure& s, PairData& data, double inverse_omega_squared) {
  EriWorkspace<double> work;
  const EriOptions<double> all{-1.0, inverse_omega_squared};
  Buffer<vd> block;
  data.schwarz.reset(s.pairs.size());
  for (size_t i = 0; i < s.pairs.size(); ++i) {
    const PairShape& pair = s.pairs[i];
    block.reset(size_t(pair.nrow) * pair.nrow);
    const Pattern* pattern = pair.pattern < 0 ? nullptr : &s.patterns[pair.pattern];
    vd* geometry = data.geometry.get() + pair.geometry_offset;
    const vd* parameter = data.parameter.get() + pair.parameter_offset;
    // Cauchy-Schwarz holds for primitive products as for contracted ones.
    const auto bound = [&](const PairView<double>& view) {
      eri_block<double>(view, view, all, work, block.get());
      vd largest{};
      for (int r = 0; r < pair.nrow; ++r) {
        const vd x = block[size_t(r) * pair.nrow + r];
        largest = select(less(largest, x), x, largest);
      }
      for (int lane = 0; lane < WD; ++lane) largest[lane] = std::sqrt(largest[lane]);
      return largest;
    };
    for (int k = 0; k < pair.nprim; ++k) {
      vd* primitive = geometry + size_t(k) * geometry_fields;
      primitive[4] = bound({&pair, pattern, primitive, parameter + size_t(k) * pair.npar, 1});
    }
    data.schwarz[i] = bound({&pair, pattern, geometry, parameter, pair.nprim});
  }
}

template <class T>
void copy_primitive(const PairShape& pair, const PairData& data, int lane, int primitive, int step, T* geometry,
                    T* parameter) {
  const vd* from = data.geometry.get() + pair.geometry_offset + size_t(primitive) * geometry_fields;
  const vd* values = data.parameter.get() + pair.parameter_offset + size_t(primitive) * pair.npar;
  for (int i = 0; i < geometry_fields; ++i) geometry[size_t(i) * step] = T(from[i][lane]);
  for (int i = 0; i < pair.npar; ++i) parameter[size_t(i) * step] = T(values[i][lane]);
  if (sizeof(T) == 4) {
    // A distant repulsion goes as weight / sqrt(p): correct the weights for the rounding of p, which would otherwise
    // scale every integral of this pair alike.
    const double correction = std::sqrt(double(geometry[0]) / from[0][lane]);
    const int weights = pair.pattern < 0 ? simple_weights(pair.code) : pair.npar;
    for (int i = 0; i < weights; ++i) parameter[size_t(i) * step] = T(values[i][lane] * correction);
  }
}
template void copy_primitive<double>(const PairShape&, const PairData&, int, int, int, double*, double*);
template void copy_primitive<float>(const PairShape&, const PairData&, int, int, int, float*, float*);

template <class T>
void compress_pairs(const Structure& s, const PairData* const* groups, T threshold, double pair_threshold,
                    PairSet<T>& out) {
  using V = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::width;
  out.geometry.reset(s.geometry_size);
  out.parameter.reset(s.parameter_size);
  out.views.clear();
  double largest[W] = {}, largest_pair[W] = {};
  const auto pair_bound = [&](size_t pair, int lane) { return groups[lane / WD]->schwarz[pair][lane % WD]; };
  for (size_t pair = 0; pair < s.pairs.size(); ++pair)
    for (int lane = 0; lane < W; ++lane) largest_pair[lane] = std::max(largest_pair[lane], pair_bound(pair, lane));
  for (const PairShape& pair : s.pairs)
    for (int k = 0; k < pair.nprim; ++k)
      for (int lane = 0; lane < W; ++lane)
        largest[lane] = std::max(
            largest[lane], groups[lane / WD]->geometry[pair.geometry_offset + k * geometry_fields + 4][lane % WD]);
  V *geometry = out.geometry.get(), *parameter = out.parameter.get();
  for (const PairShape& pair : s.pairs) {
    const Pattern* pattern = pair.pattern < 0 ? nullptr : &s.patterns[pair.pattern];
    PairView<T> view{&pair, pattern, geometry, parameter, 0};
    bool needed = false;
    for (int lane = 0; lane < W; ++lane)
      needed |= pair_bound(size_t(&pair - s.pairs.data()), lane) * largest_pair[lane] >= pair_threshold;
    for (int k = 0; needed && k < pair.nprim; ++k) {
      const size_t from = pair.geometry_offset + size_t(k) * geometry_fields;
      bool keep = false;
      for (int lane = 0; lane < W; ++lane)
        keep |= groups[lane / WD]->geometry[from + 4][lane % WD] * largest[lane] >= double(threshold);
      if (!keep) continue;
      for (int lane = 0; lane < W; ++lane)
        copy_primitive<T>(pair, *groups[lane / WD], lane % WD, k, W, reinterpret_cast<T*>(geometry) + lane,
                          reinterpret_cast<T*>(parameter) + lane);
      geometry += geometry_fields;
      parameter += pair.npar;
      ++view.nkept;
    }
    out.views.push_back(view);
  }
}

template void compress_pairs<double>(const Structure&, const PairData* const*, double, double, PairSet<double>&);
template void compress_pairs<float>(const Structure&, const PairData* const*, float, double, PairSet<float>&);

}  // namespace scfx_simd
