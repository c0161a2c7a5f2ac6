// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "poplar/Target.hpp"

namespace poplar {

class Device {
public:
  Device() = default;
  Device(Device &&) noexcept = default;
  Device &operator=(Device &&) noexcept = default;
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  unsigned getId() const { return 0; }
  const Target &getTarget() const { return target_; }
  bool attach() const { return true; }
  bool isAttached() const { return true; }
  void detach() const {}

private:
  friend struct IPUModel;
  explicit Device(Target t) : target_(t) {}
  Target target_;
};

} // namespace poplar
