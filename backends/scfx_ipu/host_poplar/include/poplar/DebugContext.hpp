// SPDX-License-Identifier: Apache-2.0
// The name that errors and the profile show.
#pragma once
#include <string>

#include "poplar/StringRef.hpp"

namespace poplar {

class DebugContext {
public:
  DebugContext() = default;
  DebugContext(const char *name) : name_(name) {}
  DebugContext(std::string name) : name_(std::move(name)) {}
  DebugContext(StringRef name) : name_(name.cloneAsString()) {}
  DebugContext(const DebugContext &parent, StringRef name)
      : name_(parent.name_.empty() ? name.cloneAsString() : parent.name_ + "/" + name.cloneAsString()) {}
  std::string getPathName() const { return name_; }

private:
  std::string name_;
};

} // namespace poplar
