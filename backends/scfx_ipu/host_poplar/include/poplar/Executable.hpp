// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

namespace host_poplar {
struct Compiled;
}

namespace poplar {

/// A checked graph with its programs; holds no tensor memory yet.
class Executable {
public:
  Executable(Executable &&) noexcept = default;
  Executable &operator=(Executable &&) noexcept = default;
  Executable(const Executable &) = delete;

  /// Internal to the library.
  explicit Executable(std::shared_ptr<const host_poplar::Compiled> impl) : impl_(std::move(impl)) {}
  const std::shared_ptr<const host_poplar::Compiled> &impl() const { return impl_; }

private:
  std::shared_ptr<const host_poplar::Compiled> impl_;
};

} // namespace poplar
