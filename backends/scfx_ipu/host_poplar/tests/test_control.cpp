// SPDX-License-Identifier: Apache-2.0
// Programs that run: control flow, copies, transfers to and from the host.
#include <sstream>

#include "test.hpp"

TEST(while_runs_until_the_predicate_falls_and_state_persists) {
  for (const char *poison : {"false", "true"}) {
    Device device = small_device();
    Graph graph(device);
    graph.addCodelets("good.cpp");
    const Tensor left = graph.addVariable(INT, {}, "left");
    const Tensor more = graph.addVariable(UNSIGNED_INT, {}, "more");
    const Tensor runs = graph.addVariable(UNSIGNED_INT, {}, "runs");
    for (const Tensor &t : {left, more, runs}) graph.setTileMapping(t, 0);
    graph.setInitialValue(left, 7);
    graph.setInitialValue(more, 1u);
    graph.setInitialValue(runs, 0u);
    const ComputeSet set = graph.addComputeSet();
    const VertexRef v = graph.addVertex(set, "CountDown");
    graph.connect(v["left"], left);
    graph.connect(v["go_on"], more);
    graph.connect(v["runs"], runs);
    graph.setInitialValue(v["count"], 100u);
    graph.setTileMapping(v, 0);
    graph.createHostRead("runs", runs);
    const auto result = run<unsigned>(graph, device, program::RepeatWhileTrue(Sequence(), more, Execute(set)), {},
                                      "runs", 1, {{"hostPoplar.poison", poison}});
    CHECK(result[0] == 107);
  }
}

TEST(repeat_call_and_if_run_what_they_say) {
  Device device = small_device();
  Graph graph(device);
  graph.addCodelets("good.cpp");
  const Tensor one = graph.addConstant<float>(FLOAT, {2}, 1.0f);
  const Tensor count = graph.addVariable(FLOAT, {2}, "count");
  const Tensor next = graph.addVariable(FLOAT, {2}, "next");
  const Tensor yes = graph.addConstant<int>(INT, {}, -1), no = graph.addConstant<int>(INT, {}, 0);
  for (const Tensor &t : {one, count, next, yes, no}) graph.setTileMapping(t, 0);
  graph.setInitialValue(count, 0.0f);
  const ComputeSet set = graph.addComputeSet();
  const VertexRef v = graph.addVertex(set, "AddVectors");
  graph.connect(v["a"], one);
  graph.connect(v["b"], count);
  graph.connect(v["sum"], next);
  graph.setTileMapping(v, 0);
  graph.createHostRead("count", count);
  const Function increment = graph.addFunction(Sequence({Execute(set), Copy(next, count)}));
  const program::Call call(increment);
  Sequence whole;
  whole.add(program::Repeat(5, call));
  whole.add(program::If(yes, call, Sequence()));
  whole.add(program::If(no, Sequence({call, call}), call));
  const Program frozen = whole;
  whole.add(call); // a copy made before does not see it
  CHECK(run<float>(graph, device, frozen, {}, "count", 2)[1] == 7);
}

TEST(streams_advance_and_callbacks_are_called) {
  Device device = small_device();
  Graph graph(device);
  const Tensor x = graph.addVariable(FLOAT, {3}, "x"), y = graph.addVariable(FLOAT, {3}, "y");
  graph.setTileMapping(x, 0);
  graph.setTileMapping(y, 1);
  const DataStream in = graph.addHostToDeviceFIFO("in", FLOAT, 3);
  const DataStream out = graph.addDeviceToHostFIFO("out", FLOAT, 3);
  const Sequence step({Copy(in, x), Copy(x, y), Copy(y, out)});
  Engine engine(graph, program::Repeat(3, step));
  engine.load(device);
  auto from = ramp(6);
  std::vector<float> got;
  engine.connectStream(in, from.data(), from.data() + 6);
  engine.connectStreamToCallback(
      "out", [&](void *p) { got.insert(got.end(), static_cast<float *>(p), static_cast<float *>(p) + 3); });
  engine.run();
  CHECK((got == std::vector<float>{0, 1, 2, 3, 4, 5, 0, 1, 2}));
  expect<stream_connection_error>([&] { engine.connectStream(in, from.data(), from.data() + 4); },
                                  {"12 bytes a time", "16"});
  expect<stream_connection_error>([&] { engine.connectStream("sideways", from.data()); }, {"no stream 'sideways'"});
}

TEST(copy_between_scattered_views_keeps_element_order) {
  Device device = small_device();
  Graph graph(device);
  const Tensor a = graph.addVariable(FLOAT, {3, 4}, VariableMappingMethod::LINEAR, "a");
  const Tensor b = graph.addVariable(FLOAT, {4, 3}, VariableMappingMethod::LINEAR, "b");
  graph.createHostWrite("a", a);
  graph.createHostRead("b", b);
  const auto result = run<float>(graph, device, Copy(a.transpose(), b), {{"a", ramp(12)}}, "b", 12);
  CHECK((result == std::vector<float>{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11}));
}

TEST(print_tensor_shows_rows) {
  Device device = small_device();
  Graph graph(device);
  const Tensor c = graph.addConstant<int>(INT, {2, 3}, {1, -2, 3, 4, 5, 6});
  const Tensor bytes = graph.addConstant<unsigned char>(UNSIGNED_CHAR, {}, 200);
  graph.setTileMapping(c, 0);
  graph.setTileMapping(bytes, 0);
  Engine engine(graph, Sequence(program::PrintTensor("c", c.transpose()), program::PrintTensor(bytes)));
  engine.load(device);
  std::ostringstream os;
  engine.setPrintStream(os);
  engine.run();
  CHECK(os.str() == "c: {{1,4},{-2,5},{3,6}}\n200\n");
}
