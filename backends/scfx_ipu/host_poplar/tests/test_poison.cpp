// SPDX-License-Identifier: Apache-2.0
// The debug mode finds what a run would hide.
#include <cmath>

#include "test.hpp"

namespace {

const OptionFlags poison = {{"hostPoplar.poison", "true"}};

/// One vertex with fields `in` and `out`, four elements each; x is written by the host.
template <class T = float> struct One {
  Device device = small_device();
  Graph graph{device};
  Tensor x, y, z;
  Sequence program;
  explicit One(const std::string &vertex, const Type &type = FLOAT) {
    graph.addCodelets({"good.cpp", "bad.cpp"});
    x = graph.addVariable(type, {4}, "x");
    y = graph.addVariable(type, {4}, "y");
    z = graph.addVariable(type, {4}, "z");
    for (const Tensor &t : {x, y, z}) graph.setTileMapping(t, 0);
    graph.setInitialValue(x, T{3});
    const ComputeSet set = graph.addComputeSet("work");
    const VertexRef v = graph.addVertex(set, vertex);
    graph.connect(v["in"], x);
    graph.connect(v["out"], y);
    graph.setTileMapping(v, 0);
    program.add(Execute(set));
    graph.createHostRead("y", y);
    graph.createHostRead("first", y.slice(0, 3));
    graph.createHostRead("z", z);
  }
  std::vector<T> go(const std::string &read, std::size_t n, const OptionFlags &options = poison) {
    return run<T>(graph, device, program, {}, read, n, options);
  }
};

} // namespace

TEST(an_unwritten_output_is_found_when_the_host_reads_it) {
  One<> t("ForgetsTheLast<float>");
  expect<poplar::runtime_error>([&] { t.go("y", 4); }, {"readTensor 'y'", "reads element 3 of 'y'", "has written"});
  CHECK((t.go("first", 3) == std::vector<float>{3, 3, 3}));
}

TEST(an_unwritten_byte_is_found_whatever_its_value) {
  One<unsigned char> t("ForgetsTheLast<unsigned char>", UNSIGNED_CHAR);
  expect<poplar::runtime_error>([&] { t.go("y", 4); }, {"reads element 3 of 'y'"});
  // A value equal to the pattern in outputs is still a value.
  for (const unsigned char value : {0xa7, 0x58}) {
    One<unsigned char> u("ForgetsTheLast<unsigned char>", UNSIGNED_CHAR);
    u.graph.setInitialValue(u.x, value);
    CHECK(u.go("first", 3) == std::vector<unsigned char>(3, value));
  }
}

TEST(poison_follows_copies_to_the_vertex_that_reads_it) {
  One<> t("ForgetsTheLast<float>");
  t.program.add(Copy(t.y, t.z));
  const ComputeSet next = t.graph.addComputeSet("next");
  const VertexRef v = t.graph.addVertex(next, "PartialSums");
  const Tensor result = t.graph.addVariable(FLOAT, {2}, "result");
  t.graph.setTileMapping(result, 0);
  t.graph.connect(v["values"], t.z);
  t.graph.connect(v["sum"], result[0]);
  t.graph.connect(v["squares"], result[1]);
  t.graph.setTileMapping(v, 0);
  t.program.add(Execute(next));
  expect<poplar::runtime_error>(
      [&] { t.go("y", 4); },
      {"field 'values' of vertex 1 (PartialSums, compute set 'next', tile 0) reads element 3 of 'z'"});
}

TEST(a_variable_that_nothing_wrote_is_found) {
  One<> t("ForgetsTheLast<float>");
  expect<poplar::runtime_error>([&] { t.go("z", 4); }, {"reads elements [0, 4) of 'z'"});
}

TEST(without_the_mode_nothing_is_reported) {
  One<> t("ForgetsTheLast<float>");
  CHECK(t.go("y", 4, {})[0] == 3);
}

TEST(reading_an_output_is_found) {
  One<> t("ReadsItsOutput");
  expect<poplar::runtime_error>([&] { t.go("y", 4); },
                                {"element 0 of field 'out' of vertex 0 (ReadsItsOutput", "differs between two runs"});
}

TEST(writing_past_a_fields_end_is_found) {
  One<> t("WritesPastItsEnd");
  expect<poplar::runtime_error>([&] { t.go("y", 4); },
                                {"field 'out' of vertex 0 (WritesPastItsEnd", "outside of its elements"});
}

TEST(writing_an_input_is_found) {
  One<> t("WritesItsInput");
  expect<poplar::runtime_error>([&] { t.go("y", 4); },
                                {"field 'in' of vertex 0 (WritesItsInput", "is an Input and was written"});
}

TEST(workers_that_depend_on_their_order_are_found) {
  One<> t("WorkersRace");
  t.graph.setInitialValue(t.y, 1.0f);
  expect<poplar::runtime_error>([&] { t.go("y", 4); },
                                {"element 0 of field 'out' of vertex 0 (WorkersRace", "its workers"});
}

TEST(compute_that_returns_false_is_an_error_in_both_modes) {
  for (const OptionFlags &options : {poison, OptionFlags{}}) {
    One<> t("GivesUp");
    expect<poplar::runtime_error>([&] { t.go("y", 4, options); },
                                  {"compute() of vertex 0 (GivesUp", "returned false"});
  }
}
