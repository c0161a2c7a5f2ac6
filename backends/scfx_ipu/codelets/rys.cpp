// The vertices. Compiles unchanged under Poplar's codelet compiler (popc) and under the host's Poplar.
//
// Momenta: SP up to p shells, SPD to d, SPDF to f. A graph uses the least that covers its basis, since the code of every
// class of quartets lies on every tile.
#include <poplar/Vertex.hpp>

#include "rys_quartet.hpp"
#include "shell_quartets.hpp"

using poplar::InOut;
using poplar::Input;
using poplar::Output;
using poplar::Vector;
using scfx_rys::Index;

namespace scfx_rys {

// `molecule`: six floats an atom (x, y, z rounded, then what the rounding left), exponents, coefficients.
struct Molecule {
  const float* data;
  unsigned atoms;
  unsigned primitives;

  Shell<float> shell(const Index* entry) const {
    const float* exponents = data + 6 * atoms;
    return {data + 6 * entry[0], exponents + entry[3], exponents + primitives + entry[3], entry[2]};
  }
};

template <int LMAX>
void integrals_of(const Quartet& q, const Molecule& molecule, const Index* shells, float* scratch,
                  float* out) {
  Shell<float> s[4];
  for (int x = 0; x < 4; ++x) s[x] = molecule.shell(shells + kShellSize * q.shell[x]);
  dispatch<float, LMAX>(q.l[0], q.l[1], q.l[2], q.l[3], s[0], s[1], s[2], s[3], scratch, out);
}

inline void clear(float* values, unsigned n) {
  for (unsigned i = 0; i < n; ++i) values[i] = 0.0f;
}

// Calls visit(Quartet) for each quartet of a worker's tasks, in their order.
template <class Visitor>
inline void for_each_of_list(const Input<Vector<Index>>& tasks, const Input<Vector<Index>>& blocks,
                             const Input<Vector<Index>>& shells, Visitor&& visit) {
  for (unsigned t = 0; t < tasks.size(); t += kTaskSize) for_each_quartet(&tasks[t], &blocks[0], &shells[0], visit);
}

// total[n], of pairs (value, rest), from `parts` of them; part(p) is the p-th's first element.
template <class Part>
inline void add_parts(unsigned parts, unsigned floats, Part&& part, float* total) {
  for (unsigned n = 0; n < floats; n += 2) {
    float value = 0.0f, rest = 0.0f;
    for (unsigned p = 0; p < parts; ++p) {
      const float* from = part(p) + n;
      add_compensated(value, rest, from[0]);
      rest = rest + from[1];
    }
    total[n] = value;
    total[n + 1] = rest;
  }
}

}  // namespace scfx_rys

// Integrals of a worker's tasks, to be kept.
template <int LMAX>
class Integrals : public poplar::Vertex {
 public:
  Input<Vector<float>> molecule;
  Input<Vector<Index>> shells;
  Input<Vector<Index>> blocks;
  Input<Vector<Index>> tasks;
  InOut<Vector<float>> scratch;
  Output<Vector<float>> integrals;
  unsigned atoms;
  unsigned primitives;

  bool compute() {
    const scfx_rys::Molecule data{&molecule[0], atoms, primitives};
    float* out = &integrals[0];
    scfx_rys::for_each_of_list(tasks, blocks, shells, [&](const scfx_rys::Quartet& q) {
      scfx_rys::integrals_of<LMAX>(q, data, &shells[0], &scratch[0], out);
      out += q.size();
    });
    return true;
  }
};

// J and K of kept integrals into the worker's own sums, which cover the tile's pairs of blocks and nothing else.
class Contract : public poplar::Vertex {
 public:
  Input<Vector<Index>> shells;
  Input<Vector<Index>> blocks;
  Input<Vector<Index>> tasks;
  Input<Vector<float>> integrals;
  Input<Vector<float>> density;
  Input<unsigned> exchange;
  Output<Vector<float>> sums;

  bool compute() {
    scfx_rys::clear(&sums[0], sums.size());
    const float* in = &integrals[0];
    scfx_rys::for_each_of_list(tasks, blocks, shells, [&](const scfx_rys::Quartet& q) {
      scfx_rys::contract(q, in, &density[0], &sums[0], exchange != 0);
      in += q.size();
    });
    return true;
  }
};

// The same with integrals that are computed anew and kept for no longer than a quartet; they lie behind `pairs` floats
// of scratch.
template <int LMAX>
class Direct : public poplar::Vertex {
 public:
  Input<Vector<float>> molecule;
  Input<Vector<Index>> shells;
  Input<Vector<Index>> blocks;
  Input<Vector<Index>> tasks;
  Input<Vector<float>> density;
  Input<unsigned> exchange;
  InOut<Vector<float>> scratch;
  Output<Vector<float>> sums;
  unsigned atoms;
  unsigned primitives;
  unsigned pairs;

  bool compute() {
    scfx_rys::clear(&sums[0], sums.size());
    const scfx_rys::Molecule data{&molecule[0], atoms, primitives};
    float* buffer = &scratch[pairs];
    scfx_rys::for_each_of_list(tasks, blocks, shells, [&](const scfx_rys::Quartet& q) {
      scfx_rys::integrals_of<LMAX>(q, data, &shells[0], &scratch[0], buffer);
      scfx_rys::contract(q, buffer, &density[0], &sums[0], exchange != 0);
    });
    return true;
  }
};

template class Integrals<1>;
template class Integrals<2>;
template class Integrals<3>;
template class Direct<1>;
template class Direct<2>;
template class Direct<3>;

// Adds vectors of (value, rest) pairs, in the order given.
class AddVectors : public poplar::Vertex {
 public:
  Vector<Input<Vector<float, poplar::VectorLayout::ONE_PTR>>> parts;
  Output<Vector<float>> total;

  bool compute() {
    scfx_rys::add_parts(parts.size(), total.size(), [&](unsigned p) { return &parts[p][0]; }, &total[0]);
    return true;
  }
};

// Adds what tiles contributed to the elements that this tile owns. `counts` has, for each run of elements: how many
// contributions lie in `gathered`, one after the other, and how many floats each has.
class AddContributions : public poplar::Vertex {
 public:
  Input<Vector<float>> gathered;
  Input<Vector<Index>> counts;
  Output<Vector<float>> total;

  bool compute() {
    const float* in = &gathered[0];
    float* out = &total[0];
    for (unsigned run = 0; run < counts.size(); run += 2) {
      const unsigned contributions = counts[run], floats = counts[run + 1];
      scfx_rys::add_parts(contributions, floats, [&](unsigned c) { return in + c * floats; }, out);
      in += contributions * floats;
      out += floats;
    }
    return true;
  }
};
