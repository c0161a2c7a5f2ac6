// A number that counts the operations done on it: the codelets' own code runs on it to say what it costs.
#pragma once
#include <cmath>
#include <cstdint>

namespace scfx_ipu {

/// Float32 operations by kind. Comparisons and conversions are one instruction each, as additions are.
struct Operations {
  std::int64_t add = 0, multiply = 0, divide = 0, root = 0, exponential = 0, other = 0;
};

struct Counted {
  float value;
  static inline thread_local Operations operations{};

  Counted() = default;
  explicit Counted(float v) : value(v) {}

  friend Counted operator+(Counted a, Counted b) { return ++operations.add, Counted(a.value + b.value); }
  friend Counted operator-(Counted a, Counted b) { return ++operations.add, Counted(a.value - b.value); }
  friend Counted operator-(Counted a) { return ++operations.add, Counted(-a.value); }
  friend Counted operator*(Counted a, Counted b) { return ++operations.multiply, Counted(a.value * b.value); }
  friend Counted operator/(Counted a, Counted b) { return ++operations.divide, Counted(a.value / b.value); }
  friend bool operator<(Counted a, Counted b) { return ++operations.other, a.value < b.value; }
  friend bool operator>(Counted a, Counted b) { return ++operations.other, a.value > b.value; }
  friend bool operator>=(Counted a, Counted b) { return ++operations.other, a.value >= b.value; }
};

inline Counted square_root(Counted x) { return ++Counted::operations.root, Counted(std::sqrt(x.value)); }
inline Counted exponential(Counted x) { return ++Counted::operations.exponential, Counted(std::exp(x.value)); }
inline int truncate(Counted x) { return ++Counted::operations.other, int(x.value); }

}  // namespace scfx_ipu
