// SPDX-License-Identifier: Apache-2.0
// What is no program, and the words that say so.
#include "test.hpp"

namespace {

/// A graph with the codelets, 16 floats on tile 0, and a compute set.
struct Base {
  Device device = small_device();
  Graph graph{device};
  Tensor x, y;
  ComputeSet set;
  Base() {
    graph.addCodelets({"codelets/good.cpp", "codelets/bad.cpp"});
    x = graph.addVariable(FLOAT, {16}, "x");
    y = graph.addVariable(FLOAT, {16}, "y");
    graph.setTileMapping(x, 0);
    graph.setTileMapping(y, 1);
    set = graph.addComputeSet("work");
  }
  VertexRef shift(const Tensor &in, const Tensor &out, unsigned tile = 0) {
    const VertexRef v = graph.addVertex(set, "Shifts");
    graph.connect(v["in"], in);
    graph.connect(v["out"], out);
    graph.setInitialValue(v["by"], 1u);
    graph.setTileMapping(v, tile);
    return v;
  }
  void compile() { compileGraph(graph, {Execute(set)}); }
};

} // namespace

TEST(two_writers_of_one_element_are_a_race) {
  Base t;
  t.shift(t.x.slice(0, 8), t.y.slice(0, 8));
  t.shift(t.x.slice(8, 16), t.y.slice(6, 14), 2);
  expect<graph_error>([&] { t.compile(); },
                      {"race in compute set 'work'", "field 'out' of vertex 0 (Shifts",
                       "field 'out' of vertex 1 (Shifts", "tile 2", "both write elements [6, 8) of 'y'"});
}

TEST(a_long_writer_is_seen_behind_a_short_one) {
  Base t;
  t.shift(t.x, t.y.slice(0, 12));
  t.shift(t.x, t.y.slice(12, 13));
  t.shift(t.x, t.y.slice(13, 16));
  t.compile();
  Base u;
  u.shift(u.x, u.y.slice(0, 12));
  u.shift(u.x, u.y.slice(13, 14));
  u.shift(u.x, concat(u.y.slice(15, 16), u.y.slice(11, 12)));
  expect<graph_error>([&] { u.compile(); }, {"vertex 0", "vertex 2", "both write element 11 of 'y'"});
}

TEST(reading_what_another_vertex_writes_is_a_race) {
  Base t;
  t.shift(t.x.slice(0, 8), t.y.slice(0, 8));
  t.shift(t.y.slice(7, 15), t.x.slice(8, 16));
  expect<graph_error>([&] { t.compile(); },
                      {"race in compute set 'work'", "field 'in' of vertex 1 (Shifts", "reads element 7 of 'y'",
                       "which field 'out' of vertex 0 (Shifts", "compute sets of their own"});
}

TEST(input_and_output_of_one_vertex_on_one_element_ask_for_in_out) {
  Base t;
  t.shift(t.x, t.x);
  expect<graph_error>([&] { t.compile(); }, {"race", "declare one InOut field"});
}

TEST(writing_in_one_compute_set_and_reading_in_the_next_is_fine) {
  Base t;
  t.shift(t.x, t.y);
  const ComputeSet first = t.set;
  t.set = t.graph.addComputeSet("next");
  t.shift(t.y, t.x);
  compileGraph(t.graph, {Sequence({Execute(first), Execute(t.set)})});
}

TEST(an_unconnected_field_is_named) {
  Base t;
  const VertexRef v = t.graph.addVertex(t.set, "Shifts");
  t.graph.connect(v["in"], t.x);
  t.graph.setInitialValue(v["by"], 1u);
  t.graph.setTileMapping(v, 3);
  expect<vertex_field_unconnected>(
      [&] { t.compile(); },
      {"field 'out' of vertex 0 (Shifts, compute set 'work', tile 3)", "not connected", "graph.connect"});
}

TEST(state_without_value_is_named) {
  Base t;
  const VertexRef v = t.graph.addVertex(t.set, "Shifts");
  t.graph.connect(v["in"], t.x);
  t.graph.connect(v["out"], t.y);
  expect<vertex_field_unconnected>([&] { t.compile(); }, {"field 'by'", "has no value", "setInitialValue"});
}

TEST(an_unconnected_entry_of_a_vector_of_vectors_is_named) {
  Base t;
  const VertexRef v = t.graph.addVertex(t.set, "linear::MatrixVector");
  t.graph.setFieldSize(v["rows"], 2);
  t.graph.connect(v["rows"][1], t.x);
  expect<graph_error>([&] { t.graph.connect(v["rows"][2], t.x); }, {"field 'rows'[2]", "2 entries", "setFieldSize"});
  t.graph.connect(v["x"], t.x);
  t.graph.connect(v["y"], t.y);
  expect<vertex_field_unconnected>([&] { t.compile(); }, {"entry 0 of field 'rows'", "not connected"});
}

TEST(another_element_type_is_refused) {
  Base t;
  const VertexRef v = t.graph.addVertex(t.set, "Shifts");
  const Tensor ints = t.graph.addVariable(INT, {16}, "ints");
  expect<type_error>([&] { t.graph.connect(v["in"], ints); }, {"field 'in'", "holds float", "connected to int"});
  expect<type_error>([&] { t.graph.setInitialValue(v["by"], 1.0f); }, {"field 'by'", "holds uint", "is float"});
  expect<type_error>([&] { Copy(ints, t.x); }, {"Copy of int to float"});
  expect<type_error>([&] { t.graph.setInitialValue(t.x, 1); }, {"type int", "type float"});
}

TEST(fields_are_used_for_what_they_are) {
  Base t;
  const VertexRef v = t.graph.addVertex(t.set, "Shifts");
  expect<unknown_field>([&] { v["inn"]; }, {"no field 'inn'", "in, out, by"});
  expect<graph_error>([&] { t.graph.connect(v["by"], t.x); }, {"field 'by'", "setInitialValue"});
  expect<graph_error>([&] { t.graph.setInitialValue(v["in"], 1.0f); }, {"field 'in'", "connected to a tensor"});
  t.graph.connect(v["in"], t.x);
  expect<graph_error>([&] { t.graph.connect(v["in"], t.x); }, {"connected already"});
  const VertexRef sums = t.graph.addVertex(t.set, "PartialSums");
  expect<graph_error>([&] { t.graph.connect(sums["sum"], t.y); }, {"field 'sum'", "scalar", "16 elements"});
}

TEST(unknown_classes_and_sources_list_what_there_is) {
  Base t;
  expect<unknown_vertex_type>([&] { t.graph.addVertex(t.set, "Scale<half,2>"); },
                              {"'Scale<half,2>'", "Scale<float,2>", "AddVectors"});
  expect<file_load_error>([&] { t.graph.addCodelets("gone.cpp"); },
                          {"'gone.cpp'", "bad, good", "host_poplar_codelet_sources"});
}

TEST(everything_needs_a_tile) {
  Base t;
  const Tensor z = t.graph.addVariable(FLOAT, {10}, "z");
  t.graph.setTileMapping(z.slice(0, 4), 0);
  t.graph.setTileMapping(z.slice(6, 10), 1);
  expect<invalid_tile_mapping>([&] { t.compile(); }, {"elements [4, 6) of 'z'", "no tile"});
  expect<invalid_tile_mapping>([&] { t.graph.getTileMapping(z); }, {"2 of 10"});
  t.graph.setTileMapping(z, 0);
  const VertexRef v = t.shift(t.x, t.y);
  expect<invalid_tile_mapping>([&] { t.graph.setTileMapping(v, 4); }, {"tile 4", "0 to 3"});
  expect<invalid_tile_mapping>([&] { t.graph.setTileMapping(z, 9); }, {"tile 9", "0 to 3"});
  const VertexRef w = t.graph.addVertex(t.set, "Shifts");
  t.graph.connect(w["in"], t.x);
  t.graph.connect(w["out"], z);
  t.graph.setInitialValue(w["by"], 1u);
  expect<invalid_tile_mapping>([&] { t.compile(); }, {"vertex 1 (Shifts", "has no tile"});
}

TEST(constants_are_not_written) {
  Base t;
  const Tensor c = t.graph.addConstant<float>(FLOAT, {16}, 2.0f, "two");
  t.graph.setTileMapping(c, 0);
  t.shift(t.x, c);
  expect<graph_error>([&] { t.compile(); }, {"field 'out'", "'two'", "constant"});
}

TEST(a_short_span_counts_to_2047) {
  Base t;
  const Tensor ints = t.graph.addVariable(INT, {2048}, "ints");
  const Tensor total = t.graph.addVariable(FLOAT, {}, "total");
  t.graph.setTileMapping(ints, 0);
  t.graph.setTileMapping(total, 0);
  const VertexRef v = t.graph.addVertex(t.set, "FirstOfEach");
  t.graph.connect(v["scalars"], std::vector<Tensor>{t.x[0], t.x[1]});
  t.graph.connect(v["lists"], std::vector<Tensor>{ints});
  t.graph.connect(v["total"], total);
  t.graph.setTileMapping(v, 0);
  expect<graph_error>([&] { t.compile(); }, {"field 'lists'", "SHORT_SPAN of 2048", "2047"});
}

TEST(copies_that_overlap_or_differ_in_shape_are_refused) {
  Base t;
  expect<graph_error>([&] { Copy(t.x.slice(0, 8), t.x.slice(7, 15)); }, {"overlap"});
  expect<graph_error>([&] { Copy(t.x.slice(0, 1).broadcast(3, 0), t.x.slice(0, 3)); }, {"overlap"});
  expect<graph_error>([&] { Copy(t.x, t.y.slice(0, 8)); }, {"numbers of elements differ"});
  Copy(t.x.slice(0, 8), t.x.slice(8, 16));
}

TEST(two_graphs_do_not_mix) {
  Base t, u;
  const VertexRef v = t.graph.addVertex(t.set, "Shifts");
  expect<graph_error>([&] { t.graph.connect(v["in"], u.x); }, {"another graph"});
  expect<graph_error>([&] { Copy(t.x, u.x); }, {"two graphs"});
}

TEST(a_compiled_graph_is_closed) {
  Base t;
  t.shift(t.x, t.y);
  t.compile();
  expect<graph_error>([&] { t.graph.addVariable(FLOAT, {1}, "late"); }, {"after an engine compiled it"});
}

TEST(engines_say_what_they_miss) {
  Base t;
  t.shift(t.x, t.y);
  t.graph.createHostWrite("x", t.x);
  t.graph.createHostRead("y", t.y);
  expect<graph_error>([&] { t.graph.createHostRead("y", t.x); }, {"'y' is taken"});
  const DataStream s = t.graph.addHostToDeviceFIFO("s", FLOAT, 16);
  expect<invalid_option>([&] { Engine(t.graph, Execute(t.set), {{"debug.allowOutofMemory", "true"}}); },
                         {"debug.allowOutofMemory", "hostPoplar.poison"});
  expect<invalid_option>([&] { Engine(t.graph, Execute(t.set), {{"hostPoplar.poison", "yes"}}); },
                         {"\"yes\"", "\"true\" or \"false\""});
  Engine engine(t.graph, {Execute(t.set), Copy(s, t.x)});
  std::vector<float> v(16);
  expect<poplar_error>([&] { engine.run(); }, {"Engine::load first"});
  expect<poplar_error>([&] { engine.load(small_device(5)); }, {"4 tiles", "5 of"});
  engine.load(t.device);
  expect<index_error>([&] { engine.run(2); }, {"program 2", "has 2"});
  expect<stream_connection_error>([&] { engine.run(1); }, {"'s'", "connectStream"});
  expect<stream_connection_error>([&] { engine.readTensor("y", v.data(), v.data() + 15); }, {"64 bytes", "60"});
  expect<stream_connection_error>([&] { engine.writeTensor("y", v.data(), v.data() + 16); },
                                  {"'y'", "createHostWrite"});
}

TEST(no_hardware_is_listed) {
  CHECK(DeviceManager::createDeviceManager().getDevices(TargetType::IPU, 1).empty());
  expect<invalid_option>([] { IPUModel("ipu9"); }, {"ipu9", "ipu2"});
}
