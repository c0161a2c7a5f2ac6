#include "ket_lanes.h"

#include <algorithm>

namespace scfx_simd {

LanePlan::LanePlan(const Structure& s) {
  const auto alike = [](const Composite& x, const Composite& y) {
    return x.kind == y.kind && x.l == y.l && x.nfunc == y.nfunc;
  };
  for (int c = 0; c < int(s.composites.size()); ++c) {
    const Composite& composite = s.composites[c];
    if (groups.empty() || groups.back().n == WD || !alike(s.composites[c - 1], composite)) {
      groups.push_back({c, 0, composite.nfunc, width});
      width += composite.nfunc * WD;
    }
    ++groups.back().n;
    group_of.push_back(int(groups.size()) - 1);
  }
  std::vector<int> patterns;
  for (int pair = 0; pair < int(s.pairs.size()); ++pair) {
    const PairShape& shape = s.pairs[pair];
    if (ranges.empty() || s.pairs[pair - 1].L != shape.L || s.pairs[pair - 1].code != shape.code) {
      ranges.push_back({pair, pair, {}});
      patterns.clear();
    }
    ranges.back().last = pair + 1;
    const auto found = std::find(patterns.begin(), patterns.end(), shape.pattern);
    const size_t kind = size_t(found - patterns.begin());
    if (found == patterns.end()) {
      patterns.push_back(shape.pattern);
      ranges.back().kinds.emplace_back();
    }
    ranges.back().kinds[kind].push_back(pair);
  }
}

template <class T>
EntryPairs<T>::EntryPairs(const Structure& s, const LanePlan& plan, const PairData& data, int lane, double threshold,
                          double pair_threshold)
    : s_(&s) {
  double largest = 0.0, largest_pair = 0.0;
  const auto bound = [&](const PairShape& pair, int k) {
    return data.geometry[pair.geometry_offset + size_t(k) * geometry_fields + 4][lane];
  };
  for (size_t i = 0; i < s.pairs.size(); ++i) {
    largest_pair = std::max(largest_pair, double(data.schwarz[i][lane]));
    for (int k = 0; k < s.pairs[i].nprim; ++k) largest = std::max(largest, double(bound(s.pairs[i], k)));
  }
  first_.push_back(0);
  for (size_t i = 0; i < s.pairs.size(); ++i) {
    const PairShape& pair = s.pairs[i];
    parameter_first_.push_back(parameter_.size());
    const bool needed = data.schwarz[i][lane] * largest_pair >= pair_threshold;
    int n = first_.back();
    for (int k = 0; needed && k < pair.nprim; ++k) {
      if (!(bound(pair, k) * largest >= threshold)) continue;
      geometry_.resize(geometry_.size() + geometry_fields);
      parameter_.resize(parameter_.size() + pair.npar);
      copy_primitive<T>(pair, data, lane, k, 1, geometry_.data() + geometry_.size() - geometry_fields,
                        parameter_.data() + parameter_.size() - pair.npar);
      ++n;
    }
    first_.push_back(n);
  }
  for (const auto& range : plan.ranges) {
    kets_.emplace_back();
    for (std::vector<int> pairs : range.kinds) {
      std::stable_sort(pairs.begin(), pairs.end(), [&](int x, int y) {
        const double from_x = -data.schwarz[x][lane], from_y = -data.schwarz[y][lane];
        return std::make_pair(-kept(x), from_x) < std::make_pair(-kept(y), from_y);
      });
      kets_.back().emplace_back();
      for (size_t i = 0; i < pairs.size(); i += width) {
        KetLanes<T> lanes{};
        lanes.n = int(std::min(pairs.size() - i, size_t(width)));
        std::copy_n(pairs.begin() + i, lanes.n, lanes.pair);
        storage_.emplace_back();
        lanes.view = packed(lanes.pair, lanes.n, storage_.back());
        kets_.back().back().push_back(lanes);
      }
    }
  }
}

template <class T> PairView<T> EntryPairs<T>::packed(const int* pairs, int n, Buffer<V>& storage) const {
  const PairShape& shape = s_->pairs[pairs[0]];
  int most = 0;
  for (int x = 0; x < n; ++x) most = std::max(most, kept(pairs[x]));
  storage.reset(size_t(most) * (geometry_fields + shape.npar));
  V *g = storage.get(), *p = g + size_t(most) * geometry_fields;
  // A primitive that a lane lacks has a bound of zero, by which it counts as negligible with every other, and no weight.
  for (int k = 0; k < most; ++k)
    for (int i = 0; i < geometry_fields; ++i) g[k * geometry_fields + i] = i ? V{} : splat(T(1));
  std::fill_n(p, size_t(most) * shape.npar, V{});
  T *out_g = reinterpret_cast<T*>(g), *out_p = reinterpret_cast<T*>(p);
  for (int x = 0; x < n; ++x) {
    const T *from_g = geometry(pairs[x]), *from_p = parameter(pairs[x]);
    const int count = kept(pairs[x]);
    for (int i = 0; i < count * geometry_fields; ++i) out_g[size_t(i) * width + x] = from_g[i];
    for (int i = 0; i < count * shape.npar; ++i) out_p[size_t(i) * width + x] = from_p[i];
  }
  return {&shape, shape.pattern < 0 ? nullptr : &s_->patterns[shape.pattern], g, p, most};
}

template <class T> PairView<T> EntryPairs<T>::spread(int pair, Buffer<V>& storage) const {
  const PairShape& shape = s_->pairs[pair];
  const int count = kept(pair);
  storage.reset(size_t(count) * (geometry_fields + shape.npar));
  V *g = storage.get(), *p = g + size_t(count) * geometry_fields;
  const T *from_g = geometry(pair), *from_p = parameter(pair);
  for (int i = 0; i < count * geometry_fields; ++i) g[i] = splat(from_g[i]);
  for (int i = 0; i < count * shape.npar; ++i) p[i] = splat(from_p[i]);
  return {&shape, shape.pattern < 0 ? nullptr : &s_->patterns[shape.pattern], g, p, count};
}

template class EntryPairs<double>;
template class EntryPairs<float>;

}  // namespace scfx_simd
