#include "grid_tiles.h"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "grid_weights.h"

namespace scfx_simd::quadrature {

template <class T> Aligned<T>::Aligned(size_t n) {
  const size_t bytes = (n * sizeof(T) + 63) / 64 * 64;
  data_ = static_cast<T*>(std::aligned_alloc(64, std::max<size_t>(bytes, 64)));
  if (!data_) throw std::bad_alloc();
}
template <class T> Aligned<T>::~Aligned() { std::free(data_); }
template class Aligned<double>;
template class Aligned<float>;

namespace {

struct Placed {
  double at[3];
  int index;
};

template <int Axis> void halve(Placed* points, int n, int left) {
  std::nth_element(points, points + left, points + n, [](const Placed& a, const Placed& b) {
    // Without a jump: which way it goes cannot be foreseen.
    return (a.at[Axis] < b.at[Axis]) | ((a.at[Axis] == b.at[Axis]) & (a.index < b.index));
  });
}

void bisect(Placed* points, int n) {
  if (n <= tile_points) return;
  double low[3] = {INFINITY, INFINITY, INFINITY}, high[3] = {-INFINITY, -INFINITY, -INFINITY};
  for (int i = 0; i < n; ++i)
    for (int x = 0; x < 3; ++x) {
      low[x] = std::min(low[x], points[i].at[x]);
      high[x] = std::max(high[x], points[i].at[x]);
    }
  int axis = 0;
  for (int x = 1; x < 3; ++x)
    if (high[x] - low[x] > high[axis] - low[axis]) axis = x;
  const int left = (n + tile_points - 1) / tile_points / 2 * tile_points;
  (axis == 0 ? halve<0> : axis == 1 ? halve<1> : halve<2>)(points, n, left);
  bisect(points, left);
  bisect(points + left, n - left);
}

}  // namespace

std::vector<int> tile_order(const double* points, int n) {
  std::vector<Placed> placed(n);
  for (int i = 0; i < n; ++i) placed[i] = {{points[3 * i], points[3 * i + 1], points[3 * i + 2]}, i};
  bisect(placed.data(), n);
  std::vector<int> order(n);
  for (int i = 0; i < n; ++i) order[i] = placed[i].index;
  return order;
}

template <class T>
void Quadrature<T>::add(const double* position, const double* exponent, const double* coefficient, int n,
                        const double* points, const double* weights) {
  Entry e;
  e.n = n;
  e.position.assign(position, position + 3 * layout_.n_atoms);
  e.exponent.assign(exponent, exponent + layout_.n_primitives);
  e.coefficient.assign(coefficient, coefficient + layout_.n_primitives);
  const auto& shells = layout_.shells;
  for (int s = 0; s < int(shells.size()); ++s) {
    int leader = s;
    for (int other = 0; other < s; ++other)
      if (shells[other].atom == shells[s].atom && shells[other].n_primitives == shells[s].n_primitives &&
          e.leader[other] == other &&
          std::equal(exponent + shells[s].primitive, exponent + shells[s].primitive + shells[s].n_primitives,
                     exponent + shells[other].primitive)) {
        leader = other;
        break;
      }
    e.leader.push_back(leader);
  }
  e.order = tile_order(points, n);
  const std::vector<int>& order = e.order;
  const int padded = (n + tile_points - 1) / tile_points * tile_points;
  e.weight.assign(padded, 0.0);
  std::vector<double>* axes[3] = {&e.x, &e.y, &e.z};
  for (int x = 0; x < 3; ++x) axes[x]->resize(padded);
  for (int i = 0; i < padded; ++i) {
    const int from = order[std::min(i, n - 1)];
    for (int x = 0; x < 3; ++x) (*axes[x])[i] = points[3 * from + x];
    if (i < n) e.weight[i] = weights[from];
  }
  e.tiles.resize(padded / tile_points);
  Aligned<double> scratch(scratch_size());
  for (int tile = 0; tile < int(e.tiles.size()); ++tile) find_aos(e, tile, scratch.get());
  entries_.push_back(std::move(e));
}

template <class T> void Quadrature<T>::weights(int lane, int first, int n, double* out) const {
  const std::vector<double>& from = entries_[lane].weight;
  for (int i = 0; i < n; ++i) out[i] = size_t(first + i) < from.size() ? from[first + i] : 0.0;
}

template <class T> void Quadrature<T>::order(int lane, int first, int n, int32_t* out) const {
  const std::vector<int>& from = entries_[lane].order;
  for (int i = 0; i < n; ++i) out[i] = size_t(first + i) < from.size() ? from[first + i] : -1;
}

template <class T>
void Quadrature<T>::weight_gradient(int lane, const double* position, const double* shift, const int32_t* owner,
                                    const double* strength, double* out) const {
  const Entry& e = entries_[lane];
  std::vector<int> owner_here(e.x.size(), 0);
  std::vector<double> strength_here(e.x.size(), 0.0);
  for (int i = 0; i < e.n; ++i) {
    owner_here[i] = owner[e.order[i]];
    strength_here[i] = strength[e.order[i]];
  }
  quadrature::weight_gradient(layout_.n_atoms, position, shift, int(e.x.size()), e.x.data(), e.y.data(), e.z.data(),
                              owner_here.data(), strength_here.data(), out);
}

// Room for the AO values of a tile; null where the budget has none, or nothing is to be kept.
template <class T> T* Quadrature<T>::keep(size_t bytes) {
  if (!bytes) return nullptr;
  if (bytes > left_) {
    const size_t size = std::min(std::max(bytes, block_bytes), budget_);
    if (bytes > size) return nullptr;
    blocks_.emplace_back(size);
    budget_ -= size;
    left_ = size;
  }
  const Arena& block = blocks_.back();
  char* out = block.data() + (block.size() - left_);
  left_ -= bytes;
  used_ += bytes;
  return reinterpret_cast<T*>(out);
}

template <class T>
const T* Quadrature<T>::values(const Entry& e, int tile, Aligned<double>& scratch, Aligned<T>& room) const {
  if (e.tiles[tile].values) return static_cast<const T*>(e.tiles[tile].values);
  if (!scratch.get()) {
    scratch = Aligned<double>(scratch_size());
    room = Aligned<T>(size_t(n_values()) * layout_.nao * tile_points);
  }
  evaluate(e, tile, scratch.get(), room.get());
  return room.get();
}

template class Quadrature<double>;
template class Quadrature<float>;

}  // namespace scfx_simd::quadrature
