// SPDX-License-Identifier: Apache-2.0
// Views: shapes, orders of elements, mapping.
#include "test.hpp"

namespace {

/// What a view of a variable that holds 0, 1, 2, ... shows.
std::vector<float> show(Graph &graph, const Device &device, const Tensor &whole, const Tensor &view) {
  graph.createHostWrite("whole", whole);
  graph.createHostRead("view", view);
  return run<float>(graph, device, Sequence(), {{"whole", ramp(whole.numElements())}}, "view", view.numElements());
}

struct Matrix {
  Device device = small_device();
  Graph graph{device};
  Tensor m;
  Matrix() {
    m = graph.addVariable(FLOAT, {3, 4}, "m");
    graph.setTileMapping(m, 0);
  }
  std::vector<float> operator()(const Tensor &view) { return show(graph, device, m, view); }
};

using Floats = std::vector<float>;
using Shape = std::vector<std::size_t>;

} // namespace

TEST(slice_of_columns_keeps_row_major_order) {
  Matrix t;
  const Tensor view = t.m.slice(1, 3, 1);
  CHECK((view.shape() == Shape{3, 2}));
  CHECK(!view.isContiguous());
  CHECK(view.getContiguousRegions().size() == 3);
  CHECK((t(view) == Floats{1, 2, 5, 6, 9, 10}));
}

TEST(slice_of_rows_is_contiguous) {
  Matrix t;
  const Tensor view = t.m.slice(1, 3);
  CHECK(view.isContiguous());
  CHECK((t(view) == Floats{4, 5, 6, 7, 8, 9, 10, 11}));
}

TEST(transpose_swaps_rows_and_columns) {
  Matrix t;
  const Tensor view = t.m.transpose();
  CHECK((view.shape() == Shape{4, 3}));
  CHECK(view.transpose() == t.m);
  CHECK((t(view) == Floats{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}));
}

TEST(dim_shuffle_of_three_dimensions) {
  Matrix t;
  const Tensor view = t.m.reshape({3, 2, 2}).dimShuffle({1, 0, 2}); // the last stays: runs of two
  CHECK((view.shape() == Shape{2, 3, 2}));
  CHECK(view.getContiguousRegions().size() == 6);
  CHECK((t(view) == Floats{0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11}));
}

TEST(concat_along_columns_interleaves_rows) {
  Matrix t;
  const Tensor view = concat(t.m.slice(3, 4, 1), t.m.slice(0, 2, 1), 1);
  CHECK((view.shape() == Shape{3, 3}));
  CHECK((t(view) == Floats{3, 0, 1, 7, 4, 5, 11, 8, 9}));
}

TEST(index_flatten_reshape_and_squeeze_agree) {
  Matrix t;
  CHECK(t.m[2] == t.m.flatten().slice(8, 12));
  CHECK((t.m.index({2, 1}).shape().empty()));
  CHECK(t.m.index({2, 1}).reshape({1}) == t.m.flatten().slice(9, 10));
  CHECK(t.m.expand({0}).squeeze({0}) == t.m);
  CHECK((t.m.reshapePartial(1, 2, {2, 2}).shape() == Shape{3, 2, 2}));
  CHECK((t.m.reshape({3, 2, 2}).flatten(1, 3).shape() == Shape{3, 4}));
  CHECK((t.m.slice({1, 1}, {3, 2}).shape() == Shape{2, 1}));
  CHECK(t.m.slices({{0, 1}, {1, 3}}).at(1) == t.m.slice(1, 3));
  CHECK(append(t.m[0], t.m[1].slice(0, 1)[0], 0) == t.m.flatten().slice(0, 5));
}

TEST(pieces_that_meet_are_one_region_again) {
  Matrix t;
  const Tensor flat = t.m.flatten();
  CHECK(concat(flat.slice(0, 5), flat.slice(5, 12)).isContiguous());
  CHECK(!concat(flat.slice(5, 12), flat.slice(0, 5)).isContiguous());
}

TEST(broadcast_aliases_and_may_not_be_written) {
  Matrix t;
  const Tensor row = t.m.slice(0, 1);
  const Tensor view = row.broadcast(3, 0);
  CHECK((view.shape() == Shape{3, 4}));
  CHECK(view.containsAliases() && !t.m.containsAliases());
  expect<graph_error>([&] { Copy(t.m, view); }, {"holds an element twice"});
  expect<graph_error>([&] { t.graph.createHostWrite("w", view); }, {"holds an element twice"});
  CHECK((t(view) == Floats{0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3}));
}

TEST(views_outside_of_the_shape_are_refused_with_the_shape) {
  Matrix t;
  expect<index_error>([&] { t.m.slice(2, 4); }, {"slice [2, 4) of dimension 0 of shape {3,4}"});
  expect<index_error>([&] { t.m.slice(0, 1, 2); }, {"dimension 2", "{3,4}"});
  expect<index_error>([&] { t.m[3]; }, {"index 3"});
  expect<index_error>([&] { t.m.reshape({5}); }, {"12 elements", "{5}"});
  expect<index_error>([&] { t.m.dimShuffle({0, 0}); }, {"not a permutation"});
  expect<index_error>([&] { concat(t.m, t.m.transpose()); }, {"{3,4} and {4,3}"});
  expect<index_error>([&] { t.m.squeeze({0}); }, {"is not 1"});
  expect<poplar_error>([] { Tensor().flatten(); }, {"default-constructed"});
}

TEST(mapping_of_pieces_overwrites_and_reads_back) {
  Device device = small_device();
  Graph graph(device);
  const Tensor v = graph.addVariable(INT, {10}, "v");
  graph.setTileMapping(v, 0);
  graph.setTileMapping(v.slice(2, 5), 1);
  graph.setTileMapping(v.slice(4, 7), 2);
  auto mapping = graph.getTileMapping(v);
  CHECK((mapping[0] == std::vector<Interval>{{0, 2}, {7, 10}}));
  CHECK((mapping[1] == std::vector<Interval>{{2, 4}}));
  CHECK((mapping[2] == std::vector<Interval>{{4, 7}}));
  CHECK(graph.getTileMapping(graph.clone(v)) == mapping);
  graph.setTileMapping(v, TileToTensorMapping{{}, {}, {}, {{0, 10}}});
  CHECK((graph.getTileMapping(v)[3] == std::vector<Interval>{{0, 10}}));
  const Tensor linear = graph.addVariable(INT, {9}, VariableMappingMethod::LINEAR, "linear");
  std::size_t elements = 0;
  for (const auto &tile : graph.getTileMapping(linear))
    for (const Interval &i : tile) elements += i.size();
  CHECK(elements == 9);
}

TEST(half_is_refused_by_name) {
  Device device = small_device();
  Graph graph(device);
  expect<type_error>([&] { graph.addVariable(HALF, {4}, "h"); }, {"'h'", "HALF is not supported", "FLOAT"});
}
