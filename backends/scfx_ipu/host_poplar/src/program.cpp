// SPDX-License-Identifier: Apache-2.0
#include "internal.hpp"

namespace poplar {
namespace program {

using host_poplar::overlap;
using host_poplar::ProgramImpl;
using host_poplar::TensorImpl;
using host_poplar::text;

namespace {
std::shared_ptr<ProgramImpl> make(ProgramImpl::Kind kind, const DebugContext &context) {
  auto p = std::make_shared<ProgramImpl>();
  p->kind = kind;
  p->name = context.getPathName();
  return p;
}
/// A program is a value: what is added later to the original stays out.
std::shared_ptr<ProgramImpl> value_of(const Program &p) { return std::make_shared<ProgramImpl>(*p.impl()); }

void require_stream(const DataStream &s, DataStreamType wanted, const TensorImpl &t) {
  if (s.type() != wanted)
    throw stream_connection_error(text("Copy: the stream '", s.handle(), "' runs the other way"));
  if (s.elementType() != t.type)
    throw type_error(
        text("Copy: the stream '", s.handle(), "' carries ", s.elementType(), ", the tensor holds ", t.type));
  if (s.numElements() != t.elements)
    throw graph_error(text("Copy: the stream '", s.handle(), "' carries ", s.numElements(),
                           " elements, the tensor has ", t.elements));
}

std::shared_ptr<ProgramImpl> make_stream_copy(ProgramImpl::Kind kind, const DataStream &s, const Tensor &t,
                                              const DebugContext &context) {
  auto p = make(kind, context);
  if (p->name.empty()) p->name = s.handle();
  p->stream = s.handle();
  p->stream_elements = s.numElements();
  p->stream_type = s.elementType();
  (kind == ProgramImpl::STREAM_IN ? p->destination : p->source) = t.ptr();
  return p;
}

std::shared_ptr<ProgramImpl> make_branch(ProgramImpl::Kind kind, const Tensor &predicate, const Program &a,
                                         const Program &b, const DebugContext &context) {
  auto p = make(kind, context);
  const TensorImpl &t = predicate.impl();
  if (t.elements != 1) throw graph_error(text("a predicate is one element, got ", predicate));
  if (t.type == FLOAT || t.type == HALF) throw type_error(text("a predicate is BOOL or an integer, got ", t.type));
  p->predicate = predicate.ptr();
  p->children = {value_of(a), value_of(b)};
  return p;
}
} // namespace

Program::Program() : impl_(make(ProgramImpl::SEQUENCE, {})) {}
bool Program::isEmpty() const { return impl_->kind == ProgramImpl::SEQUENCE && impl_->children.empty(); }

Sequence::Sequence(const DebugContext &context) : Program(make(ProgramImpl::SEQUENCE, context)) {}
Sequence::Sequence(std::initializer_list<Program> programs, const DebugContext &context) : Sequence(context) {
  for (const Program &p : programs) add(p);
}
Sequence::Sequence(const std::vector<Program> &programs, const DebugContext &context) : Sequence(context) {
  for (const Program &p : programs) add(p);
}
void Sequence::add(const Program &p) {
  auto child = value_of(p);
  if (impl_.use_count() > 1) impl_ = std::make_shared<ProgramImpl>(*impl_);
  impl_->children.push_back(std::move(child));
}

Execute::Execute(ComputeSet cs, const DebugContext &context) : Program(make(ProgramImpl::EXECUTE, context)) {
  impl_->id = cs.getId();
}

Copy::Copy(Tensor src, Tensor dst, bool, const DebugContext &context) : Program(make(ProgramImpl::COPY, context)) {
  const TensorImpl &s = src.impl();
  const TensorImpl &d = dst.impl();
  if (s.graph != d.graph) throw graph_error("Copy between tensors of two graphs");
  if (s.type != d.type) throw type_error(text("Copy of ", s.type, " to ", d.type));
  if (s.elements != d.elements)
    throw graph_error(text("Copy of ", src, " to ", dst, ": the numbers of elements differ"));
  if (dst.containsAliases()) throw graph_error(text("Copy to ", dst, ", which holds an element twice"));
  if (overlap(s, d))
    throw graph_error(
        text("Copy of ", src, " to ", dst, ": source and destination overlap; copy through another variable"));
  impl_->source = src.ptr();
  impl_->destination = dst.ptr();
}
Copy::Copy(const DataStream &stream, Tensor dst, bool, const DebugContext &context)
    : Program(make_stream_copy(ProgramImpl::STREAM_IN, stream, dst, context)) {
  require_stream(stream, DataStreamType::HostToDeviceFIFO, dst.impl());
  if (dst.containsAliases()) throw graph_error(text("Copy to ", dst, ", which holds an element twice"));
}
Copy::Copy(Tensor src, const DataStream &stream, bool, const DebugContext &context)
    : Program(make_stream_copy(ProgramImpl::STREAM_OUT, stream, src, context)) {
  require_stream(stream, DataStreamType::DeviceToHostFIFO, src.impl());
}

Repeat::Repeat(unsigned count, const Program &prog, const DebugContext &context)
    : Program(make(ProgramImpl::REPEAT, context)) {
  impl_->count = count;
  impl_->children = {value_of(prog)};
}
RepeatWhileTrue::RepeatWhileTrue(const Program &cond, Tensor predicate, const Program &body,
                                 const DebugContext &context)
    : Program(make_branch(ProgramImpl::WHILE_TRUE, predicate, cond, body, context)) {}
RepeatWhileFalse::RepeatWhileFalse(const Program &cond, Tensor predicate, const Program &body,
                                   const DebugContext &context)
    : Program(make_branch(ProgramImpl::WHILE_FALSE, predicate, cond, body, context)) {}
If::If(Tensor predicate, const Program &a, const Program &b, const DebugContext &context)
    : Program(make_branch(ProgramImpl::IF, predicate, a, b, context)) {}
Call::Call(Function f, const DebugContext &context) : Program(make(ProgramImpl::CALL, context)) {
  impl_->id = f.getId();
}

PrintTensor::PrintTensor(Tensor t, const DebugContext &context) : Program(make(ProgramImpl::PRINT, context)) {
  impl_->source = t.ptr();
}
PrintTensor::PrintTensor(StringRef title, Tensor t, const DebugContext &context) : PrintTensor(t, context) {
  impl_->name = title.cloneAsString();
}

} // namespace program
} // namespace poplar
