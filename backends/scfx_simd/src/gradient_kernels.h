// The derivative of one quartet's energy by its centres, as a sum over bra primitives.
//
// The two-particle density goes forward: into the Hermite functions of a bra primitive (`BraSide::density`), from there
// into those of each quartet of primitives, where it meets R_tuv one degree up (M. Head-Gordon and J. A. Pople have the
// other order; this one is of J. Almlof's and of C. A. White's J engine, Chem. Phys. Lett. 253, 268 (1996)). What the
// expansions themselves depend on goes backward: potentials of the lowered pair, contracted with the density last.
#pragma once

#include "gradient_pairs.h"

namespace scfx_simd {

// Where ∂/∂axis takes a Hermite function.
struct ShiftTable { int16_t value[n_hermite(max_l)][3]; };
constexpr ShiftTable make_shifts() {
  ShiftTable out{};
  for (int n = 0; n <= max_l; ++n)
    for (int t = n; t >= 0; --t)
      for (int u = n - t; u >= 0; --u) {
        const int v = n - t - u;
        int16_t* to = out.value[hermite_index(t, u, v)];
        to[0] = int16_t(hermite_index(t + 1, u, v));
        to[1] = int16_t(hermite_index(t, u + 1, v));
        to[2] = int16_t(hermite_index(t, u, v + 1));
      }
  return out;
}
inline constexpr ShiftTable shifts = make_shifts();

template <class T> struct KetInput {
  using V = typename Lanes<T>::V;
  const GradientView<T>* ket;
  int bra_l;
  const V* density;   // [Hermite of bra][row of ket]
  const V* R;         // [kept][stride], for list[kept] among the ket's primitives
  size_t stride;
  const int* list;
  int n;
  bool want_half;     // the potential in Hermite functions of the bra one degree down
};

template <class T> struct KetOutput {
  using V = typename Lanes<T>::V;
  V energy, by_bra[3];  // summed over the kept: energy and its derivative by P
  V by_first[3];        // by the ket's first centre
  V* half;              // [Hermite of bra, one degree down][row of ket]
};

template <class T> struct GradientWorkspace {
  using V = typename Lanes<T>::V;
  Buffer<V> R, density, half, bra, phi, lowered_ket;
  std::vector<int> list;
};

template <class T> using KetSide = void (*)(const KetInput<T>&, GradientWorkspace<T>&, KetOutput<T>&);
template <class T> KetSide<T> ket_side(int code, int bra_l);

// The bra of one quartet: `prepare` once, `density` and `add_potential` for each primitive, `finish` once.
template <class T> struct BraSide {
  using V = typename Lanes<T>::V;
  void (*prepare)(const GradientView<T>& bra, const V* gamma, int nk, V* work);
  void (*density)(const GradientView<T>& bra, int primitive, const V* gamma, int nk, const V* work, V* out);
  void (*add_potential)(const GradientView<T>& bra, int primitive, const V* half, int nk, V* work);
  void (*finish)(const GradientView<T>& bra, const V* gamma, int nk, const V* work, V* by_first);
};
template <class T> const BraSide<T>& bra_side(int code);
template <class T> size_t bra_work(const GradientView<T>& bra, int nk);

// out: derivatives by the first centre of the bra, by both together, and by the first centre of the ket. `gamma`: the
// two-particle density [row of bra][row of ket].
template <class T>
void quartet_gradient(const GradientView<T>& bra, const GradientView<T>& ket, const typename Lanes<T>::V* gamma,
                      typename Lanes<T>::V threshold, T inverse_omega_squared, GradientWorkspace<T>& work,
                      typename Lanes<T>::V* out);

}  // namespace scfx_simd
