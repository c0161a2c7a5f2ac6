#include "gradient_pairs.h"

#include <algorithm>
#include <map>

namespace scfx_simd {

Lowered lowered(const Structure& s, const Composite& c) {
  Lowered out;
  std::map<std::array<int, 4>, int> index;  // shell and powers
  for (int i = 0; i < c.nshell; ++i) {
    const int shell = c.shell[i], l = s.shells[shell].l - 1;
    if (l < 0) continue;
    for (const auto& power : cartesian_powers(l)) {
      index[{shell, power[0], power[1], power[2]}] = int(out.functions.size());
      out.functions.push_back({shell, l, {{{power[0], power[1], power[2]}, 1.0}}});
    }
  }
  out.terms.resize(c.nfunc);
  for (int m = 0; m < c.nfunc; ++m) {
    const Function& f = s.functions[c.first + m];
    for (const Component& term : f.terms)
      for (int axis = 0; axis < 3; ++axis) {
        if (!term.power[axis]) continue;
        std::array<int, 4> key{f.shell, term.power[0], term.power[1], term.power[2]};
        --key[1 + axis];
        out.terms[m][axis].push_back({index.at(key), term.factor * term.power[axis]});
      }
  }
  return out;
}

namespace {

FunctionList list_of(const std::vector<Function>& f) { return {f.data(), int(f.size())}; }

ByHermite by_hermite(const Pattern& pattern, int n) {
  ByHermite out;
  for (int h = 0; h < n; ++h) {
    out.start.push_back(int(out.entry.size()));
    for (int row = 0; row + 1 < int(pattern.row_start.size()); ++row)
      for (int e = pattern.row_start[row]; e < pattern.row_start[row + 1]; ++e)
        if (pattern.hermite[e] == h) {
          out.entry.push_back(e);
          out.row.push_back(row);
        }
  }
  out.start.push_back(int(out.entry.size()));
  return out;
}

}  // namespace

GradientShapes::GradientShapes(const Structure& s, bool every) {
  for (const Composite& c : s.composites) lowered.push_back(scfx_simd::lowered(s, c));
  std::map<std::array<int, 6>, int> known;
  for (const PairShape& pair : s.pairs) {
    const Composite &A = s.composites[pair.a], &B = s.composites[pair.b];
    if (!every && pair.pattern < 0) {
      of.push_back(nullptr);
      continue;
    }
    const std::array<int, 6> key{int(A.kind), A.l, A.nfunc, int(B.kind), B.l, B.nfunc};
    if (!known.count(key)) {
      known[key] = int(shapes.size());
      auto shape = std::make_unique<GradientShape>();
      shape->a = &lowered[pair.a];
      shape->b = &lowered[pair.b];
      shape->whole = make_pattern(functions_of(s, A), functions_of(s, B));
      shape->lower_a = make_pattern(list_of(shape->a->functions), functions_of(s, B));
      shape->lower_b = make_pattern(functions_of(s, A), list_of(shape->b->functions));
      shape->by_hermite = by_hermite(shape->whole, pair.nherm);
      shapes.push_back(std::move(shape));
    }
    of.push_back(shapes[known[key]].get());
  }
}

namespace {

void fill_scaled(int code, const PrimitivePair& x, const vd* weight, vd* out) {
  const vd c = x.a * 2.0 * x.h, d = x.b * 2.0 * x.h, h = x.h;
  const int a = code / 3, b = code % 3;
  const vd none{};
  const vd ss = has_s(a) && has_s(b) ? weight[0] : none;
  const vd sp = has_s(a) && has_p(b) ? weight[has_s(b) ? 1 : 0] : none;
  const vd ps = has_p(a) && has_s(b) ? weight[has_s(a) ? 2 : 0] : none;
  const vd pp = has_p(a) && has_p(b) ? weight[(has_s(a) ? 2 : 0) + (has_s(b) ? 1 : 0)] : none;
  out[scaled_ss] = ss;
  out[scaled_sp] = sp * c;
  out[scaled_sp_h] = sp * h;
  out[scaled_ps] = -(ps * d);
  out[scaled_ps_h] = ps * h;
  out[scaled_pp] = -(pp * c * d);
  out[scaled_pp_1] = pp * h;
  out[scaled_pp_d] = -(pp * h * d);
  out[scaled_pp_c] = pp * h * c;
  out[scaled_pp_h] = pp * h * h;
}

struct Sizes {
  int whole = 0, lower_a = 0, lower_b = 0, scaled = 0;
  Sizes(const GradientShape* shape) {
    if (shape) {
      whole = int(shape->whole.hermite.size());
      lower_a = int(shape->lower_a.hermite.size());
      lower_b = int(shape->lower_b.hermite.size());
    } else {
      scaled = n_scaled;
    }
  }
  int expansions() const { return whole + lower_a + lower_b + scaled; }
  int total() const { return geometry_fields + ratio_fields + expansions(); }
};

}  // namespace

template <class T>
void gradient_pairs(const Structure& s, const GradientShapes& shapes, const Geometry* geometry,
                    const PairData* const* groups, double threshold, GradientPairs<T>& out) {
  using V = typename Lanes<T>::V;
  constexpr int W = Lanes<T>::width, n_groups = W / WD;
  double largest[W] = {};
  const auto bound = [&](const PairShape& pair, int k, int lane) {
    return groups[lane / WD]->geometry[pair.geometry_offset + size_t(k) * geometry_fields + 4][lane % WD];
  };
  for (const PairShape& pair : s.pairs)
    for (int k = 0; k < pair.nprim; ++k)
      for (int lane = 0; lane < W; ++lane) largest[lane] = std::max(largest[lane], bound(pair, k, lane));

  std::vector<std::vector<int>> kept(s.pairs.size());
  size_t total = 0;
  for (size_t i = 0; i < s.pairs.size(); ++i) {
    for (int k = 0; k < s.pairs[i].nprim; ++k) {
      bool keep = false;
      for (int lane = 0; lane < W; ++lane) keep |= bound(s.pairs[i], k, lane) * largest[lane] >= threshold;
      if (keep) kept[i].push_back(k);
    }
    total += kept[i].size() * Sizes(shapes.of[i]).total();
  }

  out.storage.reset(total);
  out.views.clear();
  V* end = out.storage.get();
  std::vector<vd> values;
  for (size_t i = 0; i < s.pairs.size(); ++i) {
    const PairShape& pair = s.pairs[i];
    const GradientShape* shape = shapes.of[i];
    const Composite &A = s.composites[pair.a], &B = s.composites[pair.b];
    const Sizes size(shape);
    const size_t n = kept[i].size();
    GradientView<T> view{};
    view.shape = &pair;
    view.general = shape;
    view.one_centre = A.atom == B.atom;
    view.nkept = int(n);
    const auto take = [&](int fields) {
      V* at = end;
      end += n * fields;
      return at;
    };
    V *at_geometry = take(geometry_fields), *at_ratio = take(ratio_fields), *at_scaled = take(size.scaled);
    V *at_whole = take(size.whole), *at_a = take(size.lower_a), *at_b = take(size.lower_b);
    view.geometry = at_geometry;
    view.ratio = at_ratio;
    view.scaled = at_scaled;
    view.whole = at_whole;
    view.lower_a = at_a;
    view.lower_b = at_b;
    values.resize(size_t(size.expansions()));
    for (size_t slot = 0; slot < n; ++slot) {
      const int k = kept[i][slot];
      for (int group = 0; group < n_groups; ++group) {
        PrimitivePair x = primitive_pair(s, pair, geometry[group], k / B.nprim, k % B.nprim);
        vd* value = values.data();
        if (shape) {
          Expansion E[3];
          vd weight[4];
          for (int axis = 0; axis < 3; ++axis) expansion(A.l, B.l, x.h, x.pa[axis], x.pb[axis], E[axis]);
          const auto fill = [&](FunctionList a, FunctionList b, const Pattern& pattern, vd factor) {
            for (int w = 0; w < 4; ++w) weight[w] = x.weight[w] * factor;
            fill_expansion(A, B, a, b, pattern, E, weight, value);
            value += pattern.hermite.size();
          };
          fill(functions_of(s, A), functions_of(s, B), shape->whole, splat(1.0));
          const Lowered &la = shapes.lowered[pair.a], &lb = shapes.lowered[pair.b];
          fill(list_of(la.functions), functions_of(s, B), shape->lower_a, x.b * (-2.0 * x.h));
          fill(functions_of(s, A), list_of(lb.functions), shape->lower_b, x.a * (2.0 * x.h));
        } else {
          apply_angular_factors(A, B, x.weight);
          fill_scaled(pair.code, x, x.weight, value);
        }
        const vd fields[] = {x.p, x.centre[0], x.centre[1], x.centre[2],
                             groups[group]->geometry[pair.geometry_offset + size_t(k) * geometry_fields + 4]};
        const vd ratios[] = {x.a * (2.0 * x.h), x.a * x.b * (4.0 * x.h)};
        for (int lane = 0; lane < WD; ++lane) {
          const int to = group * WD + lane;
          for (int f = 0; f < geometry_fields; ++f) at_geometry[slot * geometry_fields + f][to] = T(fields[f][lane]);
          for (int f = 0; f < ratio_fields; ++f) at_ratio[slot * ratio_fields + f][to] = T(ratios[f][lane]);
          for (int axis = 0; axis < 3; ++axis) view.ab[axis][to] = T(x.ab[axis][lane]);
          // A distant repulsion goes as weight / sqrt(p): see `compress_pairs`.
          const double correction = sizeof(T) == 4 ? std::sqrt(double(T(x.p[lane])) / x.p[lane]) : 1.0;
          const auto copy = [&](const vd* from, V* into, int count) {
            for (int f = 0; f < count; ++f) into[slot * count + f][to] = T(from[f][lane] * correction);
          };
          const vd* from = values.data();
          copy(from, at_scaled, size.scaled);
          copy(from, at_whole, size.whole);
          copy(from += size.whole, at_a, size.lower_a);
          copy(from += size.lower_a, at_b, size.lower_b);
        }
      }
    }
    out.views.push_back(view);
  }
}

template void gradient_pairs<double>(const Structure&, const GradientShapes&, const Geometry*, const PairData* const*,
                                     double, GradientPairs<double>&);
template void gradient_pairs<float>(const Structure&, const GradientShapes&, const Geometry*, const PairData* const*,
                                    double, GradientPairs<float>&);

}  // namespace scfx_simd
