// SPDX-License-Identifier: Apache-2.0
// Vertices that behave.
#include <poplar/Vertex.hpp>

using namespace poplar;

class AddVectors : public Vertex {
public:
  Input<Vector<float>> a;
  Input<Vector<float>> b;
  Output<Vector<float, VectorLayout::ONE_PTR>> sum;

  bool compute() {
    for (unsigned i = 0; i < a.size(); ++i) sum[i] = a[i] + b[i];
    return true;
  }
};

// Two results of one pass, to be added up by the next stage.
class PartialSums : public Vertex {
public:
  Input<Vector<float>> values;
  Output<float> sum;
  Output<float> squares;

  void compute() {
    float s = 0, q = 0;
    for (const float v : values) {
      s += v;
      q += v * v;
    }
    *sum = s;
    *squares = q;
  }
};

namespace linear {

// Rows of a matrix times a vector; a worker takes every sixth row.
class MatrixVector : public MultiVertex {
public:
  Vector<Input<Vector<float>>> rows;
  Input<Vector<float>> x;
  Output<Vector<float>> y;

  bool compute(unsigned worker) {
    for (unsigned i = worker; i < rows.size(); i += numWorkers()) {
      float sum = 0;
      for (unsigned j = 0; j < x.size(); ++j) sum += rows[i][j] * x[j];
      y[i] = sum;
    }
    return true;
  }
};

} // namespace linear

// A template, constant state, a vector of the vertex's own, and a macro.
#define ELEMENT(T) Input<Vector<T>>
template <typename T, unsigned N> class Scale : public Vertex {
public:
  Scale();
  ELEMENT(T) in;
  Output<Vector<T>> out;
  const T factor;
  Vector<T> offsets;

  bool compute() {
    for (unsigned i = 0; i < in.size(); ++i) out[i] = static_cast<T>(in[i] * factor + offsets[i % N]);
    return true;
  }
};
template class Scale<float, 2>;
template class Scale<int, 3>;
template class Scale<unsigned char, 1>;

// Counts its runs in its own state; `last` falls to zero.
class CountDown : public Vertex {
public:
  InOut<int> left;
  Output<unsigned> go_on;
  Output<unsigned> runs;
  unsigned count;

  bool compute() {
    left = left - 1;
    ++count;
    *runs = count;
    *go_on = left > 0;
    return true;
  }
};

class FirstOfEach : public Vertex {
public:
  Vector<Input<float>, VectorLayout::ONE_PTR> scalars;
  Vector<InOut<Vector<int, VectorLayout::SHORT_SPAN>>> lists;
  Output<float> total;

  bool compute() {
    *total = scalars[0] + scalars[1];
    for (unsigned i = 0; i < lists.size(); ++i)
      for (int &value : lists[i]) value += static_cast<int>(i);
    return true;
  }
};
