#include "gradient_kernels.h"
#include "hermite_row.h"

namespace scfx_simd {

namespace {

template <class T>
using GradientRow = int (*)(const typename Lanes<T>::V*, const typename Lanes<T>::V*, int, typename Lanes<T>::V,
                            typename Lanes<T>::V, typename Lanes<T>::V*, int*);

// Without a loop up to (sp sp|sp sp), one degree up.
constexpr int unrolled = 5;

template <class T> GradientRow<T> gradient_row(int L) {
  static const GradientRow<T> table[max_l + 2] = {
      nullptr,
      hermite_row<T, 1, unrolled>, hermite_row<T, 2, unrolled>, hermite_row<T, 3, unrolled>, hermite_row<T, 4, unrolled>,
      hermite_row<T, 5, unrolled>, hermite_row<T, 6, unrolled>, hermite_row<T, 7, unrolled>, hermite_row<T, 8, unrolled>,
      hermite_row<T, 9, unrolled>, hermite_row<T, 10, unrolled>, hermite_row<T, 11, unrolled>,
      hermite_row<T, 12, unrolled>, hermite_row<T, 13, unrolled>};
  static_assert(max_l == 12, "one kernel for each angular momentum of a quartet, one up");
  return table[L];
}

}  // namespace

template <class T>
void quartet_gradient(const GradientView<T>& bra, const GradientView<T>& ket, const typename Lanes<T>::V* gamma,
                      typename Lanes<T>::V threshold, T inverse_omega_squared, GradientWorkspace<T>& work,
                      typename Lanes<T>::V* out) {
  using V = typename Lanes<T>::V;
  const PairShape &b = *bra.shape, &k = *ket.shape;
  const int L = b.L + k.L + 1, nk = k.nrow;
  const GradientRow<T> row = gradient_row<T>(L);
  const BraSide<T>& side = bra_side<T>(bra.general ? general_code : b.code);
  const KetSide<T> contract = ket_side<T>(ket.general ? general_code : k.code, b.L);
  const bool want_half = b.L > 0 && !bra.one_centre;
  work.R.reset(size_t(ket.nkept) * n_hermite(L));
  work.density.reset(size_t(b.nherm) * nk);
  work.half.reset(size_t(n_hermite(b.L - 1)) * nk + 1);
  work.bra.reset(bra_work(bra, nk) + 1);
  if (int(work.list.size()) < ket.nkept) work.list.resize(ket.nkept);
  for (int i = 0; i < 9; ++i) out[i] = V{};
  KetOutput<T> from_ket;
  from_ket.half = work.half.get();
  for (V& x : from_ket.by_first) x = V{};
  KetInput<T> input{&ket, b.L, work.density.get(), work.R.get(), size_t(n_hermite(L)), work.list.data(), 0, want_half};
  const V inverse_omega = splat<T>(inverse_omega_squared);
  bool prepared = false;
  for (int p = 0; p < bra.nkept; ++p) {
    input.n = row(bra.geometry + size_t(p) * geometry_fields, ket.geometry, ket.nkept, threshold, inverse_omega,
                  work.R.get(), work.list.data());
    if (!input.n) continue;
    if (!prepared) side.prepare(bra, gamma, nk, work.bra.get());
    prepared = true;
    side.density(bra, p, gamma, nk, work.bra.get(), work.density.get());
    from_ket.energy = V{};
    for (V& x : from_ket.by_bra) x = V{};
    contract(input, work, from_ket);
    const V* ratio = bra.ratio + size_t(p) * ratio_fields;
    const V pull = ratio[1] * from_ket.energy;
    for (int i = 0; i < 3; ++i) {
      out[i] += ratio[0] * from_ket.by_bra[i] - pull * bra.ab[i];
      out[3 + i] += from_ket.by_bra[i];
    }
    if (want_half) side.add_potential(bra, p, work.half.get(), nk, work.bra.get());
  }
  for (int i = 0; i < 3; ++i) out[6 + i] = from_ket.by_first[i];
  if (prepared && want_half) side.finish(bra, gamma, nk, work.bra.get(), out);
}

template void quartet_gradient<double>(const GradientView<double>&, const GradientView<double>&, const vd*, vd, double,
                                       GradientWorkspace<double>&, vd*);
template void quartet_gradient<float>(const GradientView<float>&, const GradientView<float>&, const vf*, vf, float,
                                      GradientWorkspace<float>&, vf*);

}  // namespace scfx_simd
