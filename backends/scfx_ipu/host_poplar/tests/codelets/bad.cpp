// SPDX-License-Identifier: Apache-2.0
// Vertices that misbehave, each in one way.
#include <poplar/Vertex.hpp>

using poplar::InOut;
using poplar::Input;
using poplar::Output;
using poplar::Vector;

// Writes every element but the last.
template <typename T> class ForgetsTheLast : public poplar::Vertex {
public:
  Input<Vector<T>> in;
  Output<Vector<T>> out;
  bool compute() {
    for (unsigned i = 0; i + 1 < in.size(); ++i) out[i] = in[i];
    return true;
  }
};
template class ForgetsTheLast<float>;
template class ForgetsTheLast<unsigned char>;

class ReadsItsOutput : public poplar::Vertex {
public:
  Input<Vector<float>> in;
  Output<Vector<float>> out;
  bool compute() {
    for (unsigned i = 0; i < in.size(); ++i) out[i] = out[i] + in[i];
    return true;
  }
};

class WritesPastItsEnd : public poplar::Vertex {
public:
  Input<Vector<float>> in;
  Output<Vector<float>> out;
  bool compute() {
    for (unsigned i = 0; i <= in.size(); ++i) out[i] = 1.0f;
    return true;
  }
};

class WritesItsInput : public poplar::Vertex {
public:
  Input<Vector<float>> in;
  Output<Vector<float>> out;
  bool compute() {
    const_cast<float &>(in[0]) = 7.0f;
    for (unsigned i = 0; i < in.size(); ++i) out[i] = in[i];
    return true;
  }
};

// Every worker adds to the same element.
class WorkersRace : public poplar::MultiVertex {
public:
  Input<Vector<float>> in;
  InOut<Vector<float>> out;
  bool compute(unsigned worker) {
    out[0] = out[0] * 0.5f + in[0] + static_cast<float>(worker);
    return true;
  }
};

class GivesUp : public poplar::Vertex {
public:
  Input<Vector<float>> in;
  Output<Vector<float>> out;
  bool compute() { return false; }
};

class Shifts : public poplar::Vertex {
public:
  Input<Vector<float>> in;
  Output<Vector<float>> out;
  unsigned by;
  bool compute() {
    for (unsigned i = 0; i < out.size(); ++i) out[i] = in[i] + static_cast<float>(by);
    return true;
  }
};
