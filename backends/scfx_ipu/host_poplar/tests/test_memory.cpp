// SPDX-License-Identifier: Apache-2.0
// Bytes on tiles, bytes between tiles, cycles.
#include <algorithm>
#include <sstream>

#include "host_poplar/Registry.hpp"

#include "test.hpp"

using namespace host_poplar;

namespace {

constexpr unsigned tile_bytes = 638976; // 624 KiB: 1,472 tiles of an IPU (Mk2) hold 897 MiB

/// AddVectors over n elements on one tile, with operands on the tiles asked for.
struct Add {
  Device device = small_device();
  Graph graph{device};
  ComputeSet set;
  Add() {
    graph.addCodelets("good.cpp");
    set = graph.addComputeSet("add");
  }
  Tensor variable(std::size_t n, unsigned tile, const char *name) {
    const Tensor t = graph.addVariable(FLOAT, {n}, name);
    graph.setTileMapping(t, tile);
    return t;
  }
  VertexRef add(const Tensor &a, const Tensor &b, const Tensor &sum, unsigned tile) {
    const VertexRef v = graph.addVertex(set, "AddVectors");
    graph.connect(v["a"], a);
    graph.connect(v["b"], b);
    graph.connect(v["sum"], sum);
    graph.setTileMapping(v, tile);
    return v;
  }
  Profile profile() { return getProfile(compileGraph(graph, {Execute(set)})); }
};

} // namespace

TEST(a_tile_takes_what_it_has_and_not_eight_bytes_more) {
  for (const bool over : {false, true}) {
    Device device = small_device();
    Graph graph(device);
    const Tensor t = graph.addVariable(UNSIGNED_CHAR, {tile_bytes + (over ? 8u : 0u)}, "block");
    graph.setTileMapping(t, 2);
    if (over)
      expect<graph_memory_allocation_error>([&] { compileGraph(graph, {Sequence()}); },
                                            {"tile 2 needs 638984 bytes and has 638976 (over by 8)",
                                             "variables 638984", "'block' 638984", "1 of 4 tiles"});
    else compileGraph(graph, {Sequence()});
  }
}

TEST(overflow_may_be_looked_at) {
  Device device = small_device();
  Graph graph(device);
  const Tensor t = graph.addVariable(FLOAT, {400000}, "block");
  graph.setTileMapping(t, 1);
  const Executable exe = compileGraph(graph, {Sequence()}, {{"debug.allowOutOfMemory", "true"}});
  CHECK(getProfile(exe).fullest_tile == 1);
  CHECK(getProfile(exe).tiles[1].bytes[VARIABLES] == 1600000);
}

TEST(exchange_buffers_can_overflow_a_tile_that_holds_no_variable) {
  Add t;
  const std::size_t n = 80000; // 320,000 bytes: two fit nowhere beside one another
  const Tensor a = t.variable(n, 0, "a"), b = t.variable(n, 1, "b"), sum = t.variable(n, 2, "sum");
  t.add(a, b, sum, 3);
  expect<graph_memory_allocation_error>([&] { t.profile(); }, {"tile 3", "exchange buffers 960000"});
}

TEST(local_contiguous_edges_move_nothing) {
  Add t;
  t.add(t.variable(10, 1, "a"), t.variable(10, 1, "b"), t.variable(10, 1, "sum"), 1);
  const Profile p = t.profile();
  CHECK(p.steps.at(0).exchange_bytes == 0);
  CHECK(p.tiles[1].bytes[EXCHANGE_BUFFERS] == 0);
  CHECK(p.tiles[1].bytes[VARIABLES] == 120); // three times 40
  CHECK(p.tiles[1].bytes[VERTEX_STATE] == 8 + 8 + 4);
  CHECK(p.vertices_by_tile == (std::vector<std::uint32_t>{0, 1, 0, 0}));
}

TEST(remote_operands_are_received_once_a_tile) {
  Add t;
  const Tensor a = t.variable(100, 0, "a"), b = t.variable(100, 1, "b"), sum = t.variable(300, 1, "sum");
  // Overlapping windows of `a` on tile 1: elements [0, 60), received once.
  t.add(a.slice(0, 40), b.slice(0, 40), sum.slice(0, 40), 1);
  t.add(a.slice(20, 60), b.slice(0, 40), sum.slice(40, 80), 1);
  t.add(a.slice(20, 60), b.slice(0, 40), sum.slice(80, 120), 1);
  // The result of a vertex on tile 2 goes home to tile 1; its operands come from tiles 0 and 1.
  t.add(a.slice(0, 10), b.slice(0, 10), sum.slice(200, 210), 2);
  const Profile p = t.profile();
  const Step &s = p.steps.at(0);
  CHECK(s.exchange_bytes == 4 * (60 + 10 + 10 + 10));
  CHECK(s.exchange_bytes_busiest == 4 * (60 + 10));
  CHECK(s.exchange_cycles == 60 + 10); // four bytes a cycle, before and after compute
  CHECK(p.tiles[1].bytes[EXCHANGE_BUFFERS] == 240);
  CHECK(p.tiles[2].bytes[EXCHANGE_BUFFERS] == 3 * 40);
  CHECK(s.inter_ipu_bytes == 0);
}

TEST(scattered_views_are_gathered_once_a_tile) {
  Add t;
  const Tensor m = t.variable(24, 0, "m"), sum = t.variable(12, 0, "sum");
  const Tensor column = m.reshape({6, 4}).slice(0, 1, 1).flatten();
  t.add(column, m.slice(0, 6), sum.slice(0, 6), 0);
  t.add(column, m.slice(0, 6), sum.slice(6, 12), 0);
  const Profile p = t.profile();
  CHECK(p.steps.at(0).exchange_bytes == 0);
  CHECK(p.tiles[0].bytes[EXCHANGE_BUFFERS] == 24);
}

TEST(buffers_of_steps_share_their_place) {
  Add t;
  const Tensor a = t.variable(100, 0, "a"), b = t.variable(100, 0, "b");
  const Tensor s1 = t.variable(100, 1, "s1"), s2 = t.variable(50, 1, "s2");
  const ComputeSet first = t.set;
  t.add(a, b, s1, 1);
  t.set = t.graph.addComputeSet("second");
  t.add(a.slice(0, 50), b.slice(0, 50), s2, 1);
  const Profile p = getProfile(compileGraph(t.graph, {Sequence({Execute(first), Execute(t.set), Execute(first)})}));
  CHECK(p.steps.size() == 3);
  CHECK(p.tiles[1].bytes[EXCHANGE_BUFFERS] == 800);
}

TEST(copies_count_what_changes_tiles_and_ipus) {
  Device device = small_device(2, 2); // tiles 0, 1 and 2, 3
  Graph graph(device);
  const Tensor a = graph.addVariable(FLOAT, {30}, "a"), b = graph.addVariable(FLOAT, {30}, "b");
  graph.setTileMapping(a, 0);
  graph.setTileMapping(b.slice(0, 10), 0);
  graph.setTileMapping(b.slice(10, 20), 1);
  graph.setTileMapping(b.slice(20, 30), 3);
  const Profile p = getProfile(compileGraph(graph, {program::Repeat(5, Copy(a, b))}));
  const Step &s = p.steps.at(0);
  CHECK(s.kind == "copy" && s.name == "a -> b" && s.repeats == 5);
  CHECK(s.exchange_bytes == 80 && s.inter_ipu_bytes == 40 && s.exchange_bytes_busiest == 40);
  CHECK(p.cycles(0) == 5 * 10);
}

TEST(cycles_are_the_busiest_tiles_slowest_worker) {
  Add t;
  const Tensor a = t.variable(8, 0, "a"), b = t.variable(8, 0, "b"), sum = t.variable(8, 0, "sum");
  for (std::size_t i = 0; i < 7; ++i) // seven vertices of 10 on six workers: one has two
    t.graph.setPerfEstimate(t.add(a.slice(i, i + 1), b.slice(i, i + 1), sum.slice(i, i + 1), 0), 10, 1);
  const VertexRef v = t.add(a.slice(7, 8), b.slice(7, 8), sum.slice(7, 8), 1);
  expect<graph_error>([&] { t.graph.getPerfEstimate(v, t.graph.getTarget()); }, {"setPerfEstimate"});
  const Profile p = t.profile();
  const Step &s = p.steps.at(0);
  CHECK(s.compute_cycles == 6 * 20); // a worker issues every sixth cycle
  CHECK(s.total_worker_cycles == 70 && s.flops == 7);
  CHECK(s.vertices == 8 && s.vertices_without_estimate == 1);
}

TEST(a_multi_vertex_takes_all_workers) {
  Device device = small_device();
  Graph graph(device);
  graph.addCodelets("good.cpp");
  const Tensor m = graph.addVariable(FLOAT, {2, 3}, "m"), x = graph.addVariable(FLOAT, {3}, "x"),
               y = graph.addVariable(FLOAT, {2, 1}, "y");
  for (const Tensor &t : {m, x, y}) graph.setTileMapping(t, 0);
  const ComputeSet set = graph.addComputeSet();
  for (unsigned i = 0; i < 2; ++i) {
    const VertexRef v = graph.addVertex(set, "linear::MatrixVector");
    graph.connect(v["rows"], m.slice(i, i + 1));
    graph.connect(v["x"], x);
    graph.connect(v["y"], y[i]);
    graph.setTileMapping(v, 0);
    graph.setPerfEstimate(v, 100);
  }
  const Profile p = getProfile(compileGraph(graph, {Execute(set)}));
  CHECK(p.steps.at(0).compute_cycles == 6 * 200);
  CHECK(p.steps.at(0).total_worker_cycles == 12 * 100);
  // rows: a SPAN of 8 and one entry of 8 elsewhere; x and y: SPANs of 8.
  CHECK(p.tiles[0].bytes[VERTEX_STATE] == 2 * (8 + 8 + 8 + 8));
}

TEST(code_and_stacks_lie_on_the_tiles_that_run_them) {
  Add t;
  t.add(t.variable(8, 0, "a"), t.variable(8, 0, "b"), t.variable(8, 0, "s"), 0);
  t.add(t.variable(8, 1, "a"), t.variable(8, 1, "b"), t.variable(8, 1, "s"), 1);
  t.add(t.variable(8, 1, "a"), t.variable(8, 1, "b"), t.variable(8, 1, "s"), 1);
  const Profile p = t.profile();
  CHECK(p.tiles[0].bytes[VERTEX_CODE] > 0);
  CHECK(p.tiles[0].bytes[VERTEX_CODE] == p.tiles[1].bytes[VERTEX_CODE]); // once a tile, not once a vertex
  CHECK(p.tiles[2].bytes[VERTEX_CODE] == 0 && p.tiles[2].bytes[STACKS] == 0);
#ifdef __GNUC__
  CHECK(p.tiles[0].bytes[VERTEX_CODE] < default_code_bytes); // measured: the loop is a few dozen instructions
#endif
}

TEST(the_summary_names_kinds_and_steps) {
  Add t;
  t.graph.setPerfEstimate(t.add(t.variable(8, 0, "a"), t.variable(8, 1, "b"), t.variable(8, 0, "s"), 0), 50);
  Engine engine(t.graph, Execute(t.set));
  std::ostringstream os;
  engine.printProfileSummary(os);
  for (const char *part :
       {"fullest tile 0", "638976", "variables: 64", "exchange buffers: 32", "vertices: 1 on 1 of 4 tiles",
        "execute 'add', exchange 32 bytes", "1 vertices, 300 cycles"})
    if (os.str().find(part) == std::string::npos) throw Failure(std::string(part) + " is not in\n" + os.str());
}
