// What of the two-electron integrals is computed, in which precision, and how much of it is kept.
#pragma once

#include <cstdint>

#include "lanes.h"

namespace scfx_simd {

struct EngineOptions {
  // Quartets with Schwarz bound in [single_from, double_from) are computed and stored in float32, those above in
  // float64, those below single_from nowhere; lane by lane. Pure float64: single_from = double_from.
  double single_from, double_from;
  double negligible_from;  // blocks whose bound times a small density is below are left out of J and K
  // Of those in float32, quartets with a bound from here on are computed in float64 and rounded when stored. Without and
  // with shells above p; infinite: all in float32.
  double rounded_from, rounded_from_d;
  double primitive_fraction;     // primitive thresholds are this fraction of single_from
  double inverse_omega_squared;  // 0: 1/r
  int64_t budget;                // bytes of stored integrals
  int threads;
};

// As many entries as this, left over from full vectors of conformers, compute sooner one by one with their kets as lanes.
constexpr int most_alone = WD / 2;

// Densities with all elements below this (differences between iterations) are worth screening with.
constexpr double small_element = 0.1;

}  // namespace scfx_simd
