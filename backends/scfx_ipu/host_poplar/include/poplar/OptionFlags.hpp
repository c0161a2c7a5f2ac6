// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <initializer_list>
#include <map>
#include <string>
#include <utility>

#include "poplar/StringRef.hpp"

namespace poplar {

class OptionFlags {
public:
  using OptionFlag = std::pair<const std::string, std::string>;
  using iterator = std::map<std::string, std::string>::const_iterator;
  OptionFlags() = default;
  OptionFlags(std::initializer_list<OptionFlag> list) : flags_(list) {}
  void set(StringRef option, StringRef value) { flags_[option.cloneAsString()] = value.cloneAsString(); }
  void set(std::initializer_list<OptionFlag> list) {
    for (const auto &f : list) flags_[f.first] = f.second;
  }
  /// The value; throws invalid_option if the option was never set.
  std::string at(StringRef option) const;
  void clear() { flags_.clear(); }
  iterator begin() const { return flags_.begin(); }
  iterator end() const { return flags_.end(); }

private:
  std::map<std::string, std::string> flags_;
};

} // namespace poplar
