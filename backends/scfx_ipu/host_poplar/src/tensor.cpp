// SPDX-License-Identifier: Apache-2.0
// Views: every operation makes a new list of regions and moves no data.
#include <algorithm>
#include <functional>
#include <numeric>

#include "internal.hpp"

namespace poplar {

using host_poplar::append_range;
using host_poplar::make_tensor;
using host_poplar::product;
using host_poplar::Region;
using host_poplar::TensorImpl;
using host_poplar::text;

namespace {
std::string shape_text(ArrayRef<std::size_t> shape) {
  std::string s = "{";
  for (std::size_t i = 0; i < shape.size(); ++i) s += (i ? "," : "") + std::to_string(shape[i]);
  return s + "}";
}
void require_dimension(const TensorImpl &t, unsigned dimension, const char *where) {
  if (dimension >= t.shape.size())
    throw index_error(text(where, ": dimension ", dimension, " of a tensor of shape ", shape_text(t.shape)));
}
Tensor view(const TensorImpl &t, std::vector<std::size_t> shape, std::vector<Region> regions) {
  return Tensor(make_tensor(t.graph, t.type, std::move(shape), std::move(regions)));
}
} // namespace

const TensorImpl &Tensor::impl() const {
  if (!impl_) throw poplar_error("a default-constructed Tensor was used: make it with Graph::addVariable or a view");
  return *impl_;
}
Type Tensor::elementType() const { return impl().type; }
std::size_t Tensor::numElements() const { return impl().elements; }
unsigned Tensor::rank() const { return static_cast<unsigned>(impl().shape.size()); }
const std::vector<std::size_t> &Tensor::shape() const { return impl().shape; }
std::size_t Tensor::dim(unsigned i) const {
  require_dimension(impl(), i, "dim");
  return impl().shape[i];
}
std::string Tensor::shapeToString() const { return shape_text(impl().shape); }
bool Tensor::isContiguous() const { return impl().regions.size() <= 1; }

bool Tensor::containsAliases() const {
  auto sorted = impl().regions;
  std::sort(sorted.begin(), sorted.end(), [](const Region &a, const Region &b) {
    return a.variable != b.variable ? a.variable < b.variable : a.begin < b.begin;
  });
  for (std::size_t i = 1; i < sorted.size(); ++i)
    if (sorted[i].variable == sorted[i - 1].variable && sorted[i].begin < sorted[i - 1].end) return true;
  return false;
}

Tensor Tensor::slice(std::size_t begin, std::size_t end, unsigned dimension) const {
  const TensorImpl &t = impl();
  require_dimension(t, dimension, "slice");
  const std::size_t extent = t.shape[dimension];
  if (begin > end || end > extent)
    throw index_error(
        text("slice [", begin, ", ", end, ") of dimension ", dimension, " of shape ", shape_text(t.shape)));
  const std::size_t outer = product(t.shape, 0, dimension);
  const std::size_t inner = product(t.shape, dimension + 1, t.shape.size());
  std::vector<Region> regions;
  for (std::size_t i = 0; i < outer; ++i)
    append_range(t, (i * extent + begin) * inner, (i * extent + end) * inner, regions);
  auto shape = t.shape;
  shape[dimension] = end - begin;
  return view(t, std::move(shape), std::move(regions));
}

Tensor Tensor::slice(ArrayRef<std::size_t> begin, ArrayRef<std::size_t> end) const {
  if (begin.size() != rank() || end.size() != rank())
    throw index_error(
        text("slice: ", begin.size(), " and ", end.size(), " bounds for a tensor of shape ", shapeToString()));
  Tensor result = *this;
  for (unsigned d = 0; d < rank(); ++d) result = result.slice(begin[d], end[d], d);
  return result;
}

std::vector<Tensor> Tensor::slices(ArrayRef<Interval> intervals, unsigned dimension) const {
  std::vector<Tensor> result;
  result.reserve(intervals.size());
  for (const Interval &i : intervals) result.push_back(slice(i, dimension));
  return result;
}

Tensor Tensor::operator[](std::size_t i) const {
  const TensorImpl &t = impl();
  require_dimension(t, 0, "operator[]");
  if (i >= t.shape[0]) throw index_error(text("index ", i, " of a tensor of shape ", shape_text(t.shape)));
  const std::size_t inner = product(t.shape, 1, t.shape.size());
  std::vector<Region> regions;
  append_range(t, i * inner, (i + 1) * inner, regions);
  return view(t, {t.shape.begin() + 1, t.shape.end()}, std::move(regions));
}

Tensor Tensor::index(ArrayRef<std::size_t> indices) const {
  Tensor result = *this;
  for (const std::size_t i : indices) result = result[i];
  return result;
}

Tensor Tensor::reshape(ArrayRef<std::size_t> shape) const {
  const TensorImpl &t = impl();
  const std::size_t n = std::accumulate(shape.begin(), shape.end(), std::size_t{1}, std::multiplies<>());
  if (n != t.elements)
    throw index_error(text("reshape of shape ", shape_text(t.shape), " (", t.elements, " elements) to ",
                           shape_text(shape), " (", n, ")"));
  auto copy = std::make_shared<TensorImpl>(t);
  copy->shape = shape.cloneAsVector();
  return Tensor(std::move(copy));
}

Tensor Tensor::flatten() const { return reshape({numElements()}); }

Tensor Tensor::flatten(unsigned dimBegin, unsigned dimEnd) const {
  const auto &s = impl().shape;
  if (dimBegin >= dimEnd || dimEnd > s.size())
    throw index_error(text("flatten of dimensions [", dimBegin, ", ", dimEnd, ") of shape ", shape_text(s)));
  return reshapePartial(dimBegin, dimEnd, {product(s, dimBegin, dimEnd)});
}

Tensor Tensor::reshapePartial(unsigned beginIndex, unsigned endIndex, ArrayRef<std::size_t> newDims) const {
  const auto &s = impl().shape;
  if (beginIndex > endIndex || endIndex > s.size())
    throw index_error(
        text("reshapePartial of dimensions [", beginIndex, ", ", endIndex, ") of shape ", shape_text(s)));
  std::vector<std::size_t> shape(s.begin(), s.begin() + beginIndex);
  shape.insert(shape.end(), newDims.begin(), newDims.end());
  shape.insert(shape.end(), s.begin() + endIndex, s.end());
  return reshape(shape);
}

Tensor Tensor::expand(ArrayRef<std::size_t> indices) const {
  auto shape = impl().shape;
  auto sorted = indices.cloneAsVector();
  std::sort(sorted.rbegin(), sorted.rend());
  for (const std::size_t i : sorted) {
    if (i > impl().shape.size())
      throw index_error(text("expand before dimension ", i, " of shape ", shapeToString()));
    shape.insert(shape.begin() + static_cast<std::ptrdiff_t>(i), 1);
  }
  return reshape(shape);
}

Tensor Tensor::squeeze(ArrayRef<std::size_t> indices) const {
  std::vector<std::size_t> shape;
  for (std::size_t d = 0; d < impl().shape.size(); ++d) {
    if (std::find(indices.begin(), indices.end(), d) == indices.end()) shape.push_back(impl().shape[d]);
    else if (impl().shape[d] != 1)
      throw index_error(text("squeeze of dimension ", d, " of shape ", shapeToString(), ", which is not 1"));
  }
  if (shape.size() + indices.size() != impl().shape.size())
    throw index_error(text("squeeze of dimensions ", shape_text(indices), " of shape ", shapeToString()));
  return reshape(shape);
}

Tensor Tensor::dimShuffle(ArrayRef<unsigned> permutation) const {
  const TensorImpl &t = impl();
  auto check = permutation.cloneAsVector();
  std::sort(check.begin(), check.end());
  bool valid = check.size() == t.shape.size();
  for (std::size_t d = 0; valid && d < check.size(); ++d) valid = check[d] == d;
  if (!valid)
    throw index_error(text("dimShuffle: not a permutation of the dimensions of shape ", shape_text(t.shape)));
  const std::size_t rank = t.shape.size();
  std::vector<std::size_t> shape(rank), stride(rank, 1), step(rank), at(rank, 0);
  for (std::size_t d = rank; d-- > 1;) stride[d - 1] = stride[d] * t.shape[d];
  for (std::size_t d = 0; d < rank; ++d) {
    shape[d] = t.shape[permutation[d]];
    step[d] = stride[permutation[d]];
  }
  // Trailing dimensions that keep their place stay in one run.
  std::size_t kept = rank, run = 1;
  while (kept > 0 && permutation[kept - 1] == kept - 1) run *= t.shape[--kept];
  std::vector<Region> regions;
  for (std::size_t done = 0; done < t.elements; done += run) {
    std::size_t from = 0;
    for (std::size_t d = 0; d < kept; ++d) from += at[d] * step[d];
    append_range(t, from, from + run, regions);
    for (std::size_t d = kept; d-- > 0;) {
      if (++at[d] < shape[d]) break;
      at[d] = 0;
    }
  }
  return view(t, std::move(shape), std::move(regions));
}

Tensor Tensor::transpose() const {
  std::vector<unsigned> permutation(rank());
  std::iota(permutation.begin(), permutation.end(), 0u);
  if (rank() < 2) throw index_error(text("transpose of shape ", shapeToString(), ": it needs two dimensions"));
  std::swap(permutation[0], permutation[1]);
  return dimShuffle(permutation);
}

Tensor Tensor::broadcast(unsigned n, unsigned dimension) const {
  require_dimension(impl(), dimension, "broadcast");
  return concat(std::vector<Tensor>(n, *this), dimension);
}

std::vector<Interval> Tensor::getContiguousRegions() const {
  std::vector<Interval> result;
  const TensorImpl &t = impl();
  for (std::size_t i = 0; i < t.regions.size(); ++i)
    result.emplace_back(t.starts[i], t.starts[i] + t.regions[i].size());
  return result;
}

bool Tensor::operator==(const Tensor &o) const {
  if (!impl_ || !o.impl_) return impl_ == o.impl_;
  return impl_->graph == o.impl_->graph && impl_->type == o.impl_->type && impl_->shape == o.impl_->shape &&
         impl_->regions == o.impl_->regions;
}

Tensor concat(ArrayRef<Tensor> ts, unsigned dimension) {
  if (ts.empty()) throw index_error("concat of no tensors");
  const TensorImpl &first = ts[0].impl();
  require_dimension(first, dimension, "concat");
  auto shape = first.shape;
  shape[dimension] = 0;
  for (const Tensor &each : ts) {
    const TensorImpl &t = each.impl();
    if (t.graph != first.graph) throw graph_error("concat of tensors of two graphs");
    if (t.type != first.type) throw type_error(text("concat of ", first.type, " and ", t.type));
    bool same = t.shape.size() == shape.size();
    for (std::size_t d = 0; same && d < shape.size(); ++d) same = d == dimension || t.shape[d] == shape[d];
    if (!same)
      throw index_error(text("concat along dimension ", dimension, " of shapes ", shape_text(first.shape), " and ",
                             shape_text(t.shape)));
    shape[dimension] += t.shape[dimension];
  }
  std::vector<Region> regions;
  const std::size_t outer = product(shape, 0, dimension);
  if (outer == 0) return view(first, std::move(shape), {});
  for (std::size_t i = 0; i < outer; ++i)
    for (const Tensor &each : ts) {
      const std::size_t n = each.impl().elements / outer;
      append_range(each.impl(), i * n, (i + 1) * n, regions);
    }
  return view(first, std::move(shape), std::move(regions));
}
Tensor concat(const Tensor &first, const Tensor &second, unsigned dimension) {
  return concat(std::vector<Tensor>{first, second}, dimension);
}
Tensor append(const Tensor &first, const Tensor &second, unsigned dimension) {
  auto shape = second.impl().shape;
  if (dimension > shape.size())
    throw index_error(text("append at dimension ", dimension, " of shape ", first.shapeToString()));
  shape.insert(shape.begin() + dimension, 1);
  return concat(first, second.reshape(shape), dimension);
}
std::ostream &operator<<(std::ostream &os, const Tensor &t) {
  if (!t.valid()) return os << "(invalid)";
  return os << t.elementType() << t.shapeToString();
}

} // namespace poplar
