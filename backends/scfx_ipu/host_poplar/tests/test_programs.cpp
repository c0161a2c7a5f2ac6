// SPDX-License-Identifier: Apache-2.0
// Programs that run: results.
#include <cstdint>
#include <numeric>

#include "test.hpp"

namespace {

/// sum = a + b, `pieces` vertices over the tiles.
struct VectorAdd {
  Device device;
  Graph graph;
  Tensor a, b, sum;
  ComputeSet set;
  VectorAdd(std::size_t n, unsigned pieces, unsigned tiles = 4) : device(small_device(tiles)), graph(device) {
    graph.addCodelets("tests/codelets/good.cpp");
    a = graph.addVariable(FLOAT, {n}, VariableMappingMethod::LINEAR, "a");
    b = graph.addVariable(FLOAT, {n}, VariableMappingMethod::LINEAR, "b");
    sum = graph.addVariable(FLOAT, {n}, VariableMappingMethod::LINEAR, "sum");
    set = graph.addComputeSet("add");
    for (std::size_t p = 0; p < pieces; ++p) {
      const VertexRef v = graph.addVertex(set, "AddVectors");
      const Interval piece(n * p / pieces, n * (p + 1) / pieces);
      graph.connect(v["a"], a.slice(piece));
      graph.connect(v["b"], b.slice(piece));
      graph.connect(v["sum"], sum.slice(piece));
      graph.setTileMapping(v, static_cast<unsigned>(p * tiles / pieces));
      graph.setPerfEstimate(v, piece.size());
    }
    graph.createHostWrite("a", a);
    graph.createHostWrite("b", b);
    graph.createHostRead("sum", sum);
  }
};

} // namespace

TEST(vector_addition_adds) {
  for (const char *threads : {"1", "3"}) {
    VectorAdd t(1000, 17);
    const auto result = run<float>(t.graph, t.device, Execute(t.set), {{"a", ramp(1000)}, {"b", ramp(1000, 5)}},
                                   "sum", 1000, {{"hostPoplar.threads", threads}});
    for (std::size_t i = 0; i < 1000; ++i) CHECK(result[i] == 2.0f * static_cast<float>(i) + 5.0f);
  }
}

TEST(reduction_in_two_stages_gives_the_sum) {
  Device device = small_device();
  Graph graph(device);
  graph.addCodelets("good.gp");
  constexpr unsigned parts = 10, length = 7;
  const Tensor values = graph.addVariable(FLOAT, {parts, length}, VariableMappingMethod::LINEAR, "values");
  const Tensor partial = graph.addVariable(FLOAT, {2, parts}, "partial");
  const Tensor total = graph.addVariable(FLOAT, {2, 2}, "total");
  graph.setTileMapping(partial, 1);
  graph.setTileMapping(total, 2);
  const ComputeSet first = graph.addComputeSet("first"), second = graph.addComputeSet("second");
  for (unsigned p = 0; p < parts; ++p) {
    const VertexRef v = graph.addVertex(first, "PartialSums");
    graph.connect(v["values"], values[p]);
    graph.connect(v["sum"], partial[0][p]);
    graph.connect(v["squares"], partial[1][p]);
    graph.setTileMapping(v, p % 4);
  }
  for (unsigned which = 0; which < 2; ++which) {
    const VertexRef v = graph.addVertex(second, "PartialSums");
    graph.connect(v["values"], partial[which]);
    graph.connect(v["sum"], total[which][0]);
    graph.connect(v["squares"], total[which][1]);
    graph.setTileMapping(v, 2);
  }
  graph.createHostWrite("values", values);
  graph.createHostRead("total", total);
  const auto result = run<float>(graph, device, Sequence({Execute(first), Execute(second)}), {{"values", ramp(70)}},
                                 "total", 4, {{"hostPoplar.poison", "true"}});
  CHECK(result[0] == 69 * 70 / 2);
  CHECK(result[2] == 69 * 70 * 139 / 6); // sum of squares to n: n (n + 1) (2 n + 1) / 6
}

TEST(matrix_times_vector_uses_all_workers) {
  Device device = small_device();
  Graph graph(device);
  graph.addCodelets("good.cpp");
  constexpr std::size_t rows = 13, columns = 5;
  const Tensor m =
      graph.addVariable(FLOAT, {columns, rows}, VariableMappingMethod::LINEAR, "m"); // transposed: scattered edges
  const Tensor x = graph.addVariable(FLOAT, {columns}, "x");
  const Tensor y = graph.addVariable(FLOAT, {rows}, "y");
  graph.setTileMapping(x, 0);
  graph.setTileMapping(y, 3);
  const ComputeSet set = graph.addComputeSet("multiply");
  const Tensor mt = m.transpose();
  for (unsigned half = 0; half < 2; ++half) {
    const Interval mine(half ? rows / 2 : 0, half ? rows : rows / 2);
    const VertexRef v = graph.addVertex(set, "linear::MatrixVector");
    if (half) {
      graph.connect(v["rows"], mt.slice(mine)); // a matrix is taken apart into rows
    } else {
      graph.setFieldSize(v["rows"], mine.size());
      for (std::size_t i = 0; i < mine.size(); ++i) graph.connect(v["rows"][i], mt[i]);
    }
    graph.connect(v["x"], x);
    graph.connect(v["y"], y.slice(mine));
    graph.setTileMapping(v, half);
  }
  graph.createHostWrite("m", m);
  graph.createHostWrite("x", x);
  graph.createHostRead("y", y);
  for (const char *poison : {"false", "true"}) {
    Engine engine(graph, Execute(set), {{"hostPoplar.poison", poison}});
    engine.load(device);
    const auto mv = ramp(rows * columns), xv = ramp(columns, 1);
    engine.writeTensor("m", ArrayRef<float>(mv));
    engine.writeTensor("x", ArrayRef<float>(xv));
    engine.run();
    std::vector<float> result(rows);
    engine.readTensor("y", result.data(), result.data() + rows);
    for (std::size_t i = 0; i < rows; ++i) {
      float expected = 0;
      for (std::size_t j = 0; j < columns; ++j) expected += mv[j * rows + i] * xv[j];
      CHECK(result[i] == expected);
    }
  }
}

template <class T, std::size_t N> static void scale(const char *name, const Type &type) {
  Device device = small_device();
  Graph graph(device);
  graph.addCodelets("good.cpp");
  const Tensor in = graph.addConstant<T>(type, {4}, {1, 2, 3, 4});
  const Tensor out = graph.addVariable(type, {4}, "out");
  graph.setTileMapping(in, 1);
  graph.setTileMapping(out, 0);
  const ComputeSet set = graph.addComputeSet();
  const VertexRef v = graph.addVertex(set, name);
  graph.connect(v["in"], in);
  graph.connect(v["out"], out);
  graph.setInitialValue(v["factor"], T{3});
  const std::vector<T> offsets = {10, 20, 30};
  graph.setInitialValue(v["offsets"], std::vector<T>(offsets.begin(), offsets.begin() + N));
  graph.setTileMapping(v, 0);
  graph.createHostRead("out", out);
  const auto result = run<T>(graph, device, Execute(set), {}, "out", 4);
  for (std::size_t i = 0; i < 4; ++i) CHECK(result[i] == static_cast<T>((i + 1) * 3 + offsets[i % N]));
}

TEST(templates_are_found_by_their_arguments) {
  scale<float, 2>("Scale<float,2>", FLOAT);
  scale<int, 3>("Scale<int,3>", INT);
  scale<unsigned char, 1>("Scale<unsigned char,1>", UNSIGNED_CHAR);
}

TEST(vectors_of_scalars_and_in_out_lists_are_bound) {
  Device device = small_device();
  Graph graph(device);
  graph.addCodelets("good.cpp");
  const Tensor scalars = graph.addVariable(FLOAT, {3}, "scalars");
  const Tensor lists = graph.addVariable(INT, {2, 3}, "lists");
  const Tensor total = graph.addVariable(FLOAT, {}, "total");
  for (const Tensor &t : {scalars, lists, total}) graph.setTileMapping(t, 0);
  graph.setInitialValue(lists, ArrayRef<int>({1, 2, 3, 4, 5, 6}));
  const ComputeSet set = graph.addComputeSet();
  const VertexRef v = graph.addVertex(set, "FirstOfEach");
  graph.connect(v["scalars"], std::vector<Tensor>{scalars[2], scalars[0]});
  graph.connect(v["lists"], std::vector<Tensor>{lists[0], lists.transpose().slice(0, 2).flatten().slice(1, 2)});
  graph.connect(v["total"], total);
  graph.setTileMapping(v, 0);
  graph.createHostWrite("scalars", scalars);
  graph.createHostRead("lists", lists);
  graph.createHostRead("total", total);
  Engine engine(graph, Execute(set));
  engine.load(device);
  const std::vector<float> values = {1, 2, 4};
  engine.writeTensor("scalars", ArrayRef<float>(values));
  engine.run();
  float sum = 0;
  std::vector<int> after(6);
  engine.readTensor("total", &sum, &sum + 1);
  engine.readTensor("lists", after.data(), after.data() + 6);
  CHECK(sum == 5);
  CHECK((after == std::vector<int>{1, 2, 3, 5, 5, 6})); // element [1][0] grew by its list's number
}

TEST(vertices_may_be_added_with_their_edges) {
  Device device = small_device();
  Graph graph(device);
  graph.addCodelets("good.cpp");
  const Tensor a = graph.addConstant<float>(FLOAT, {2}, 1.5f), sum = graph.addVariable(FLOAT, {2}, "sum");
  graph.setTileMapping(a, 0);
  graph.setTileMapping(sum, 1);
  const ComputeSet set = graph.addComputeSet();
  graph.setTileMapping(graph.addVertex(set, "AddVectors", {{"a", a}, {"b", a}, {"sum", sum}}), 0);
  graph.createHostRead("sum", sum);
  CHECK(run<float>(graph, device, Execute(set), {}, "sum", 2)[1] == 3.0f);
}

TEST(results_do_not_depend_on_threads) {
  // Sums in float32 show any change of order.
  std::vector<std::vector<float>> results;
  for (const char *threads : {"1", "2", "5"}) {
    Device device = small_device(16);
    Graph graph(device);
    graph.addCodelets("good.cpp");
    const Tensor values = graph.addVariable(FLOAT, {64, 100}, VariableMappingMethod::LINEAR, "values");
    const Tensor sums = graph.addVariable(FLOAT, {64, 2}, VariableMappingMethod::LINEAR, "sums");
    const ComputeSet set = graph.addComputeSet();
    for (unsigned p = 0; p < 64; ++p) {
      const VertexRef v = graph.addVertex(set, "PartialSums");
      graph.connect(v["values"], values[p]);
      graph.connect(v["sum"], sums[p][0]);
      graph.connect(v["squares"], sums[p][1]);
      graph.setTileMapping(v, p % 16);
    }
    graph.createHostWrite("values", values);
    graph.createHostRead("sums", sums);
    auto v = ramp(6400);
    for (float &x : v) x = 1.0f / (x + 0.37f);
    results.push_back(
        run<float>(graph, device, Execute(set), {{"values", v}}, "sums", 128, {{"hostPoplar.threads", threads}}));
  }
  CHECK(results[0] == results[1] && results[1] == results[2]);
}

TEST(a_machine_of_1472_tiles_with_six_vertices_each_builds_and_runs) {
  // Eleven compute sets of 8,832 vertices: about 10^5 in all.
  IPUModel model;
  Device device = model.createDevice();
  Graph graph(device);
  graph.addCodelets("good.cpp");
  constexpr unsigned tiles = 1472, workers = 6, sets = 11;
  const Tensor a = graph.addVariable(FLOAT, {tiles * workers, 8}, VariableMappingMethod::LINEAR, "a");
  const Tensor shared = graph.addVariable(FLOAT, {8}, "shared");
  graph.setTileMapping(shared, 0);
  Sequence program;
  Tensor last = a;
  for (unsigned s = 0; s < sets; ++s) {
    const ComputeSet set = graph.addComputeSet("set " + std::to_string(s));
    const Tensor next = graph.addVariable(FLOAT, {tiles * workers, 8}, VariableMappingMethod::LINEAR, "next");
    for (unsigned i = 0; i < tiles * workers; ++i) {
      const VertexRef v = graph.addVertex(set, "AddVectors");
      graph.connect(v["a"], last[i]);
      graph.connect(v["b"], shared);
      graph.connect(v["sum"], next[i]);
      graph.setTileMapping(v, i / workers);
    }
    program.add(Execute(set));
    last = next;
  }
  graph.createHostWrite("a", a);
  graph.createHostWrite("shared", shared);
  graph.createHostRead("last", last);
  CHECK(graph.getNumVertices() == tiles * workers * sets);
  const auto start = ramp(tiles * workers * 8);
  const auto result = run<float>(graph, device, program, {{"a", start}, {"shared", ramp(8)}}, "last", start.size());
  for (std::size_t i = 0; i < start.size(); ++i) CHECK(result[i] == start[i] + 11 * static_cast<float>(i % 8));
}
