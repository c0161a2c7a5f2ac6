// SPDX-License-Identifier: Apache-2.0
// A view of a string; the owner must outlive it.
#pragma once
#include <cstring>
#include <ostream>
#include <string>

#include "poplar/ArrayRef.hpp"

namespace poplar {

class StringRef : public ArrayRef<char> {
public:
  constexpr StringRef() = default;
  StringRef(const std::string &s) : ArrayRef<char>(s.data(), s.size()) {}
  StringRef(const char *s) : ArrayRef<char>(s, std::strlen(s)) {}
  StringRef(const char *s, std::size_t n) : ArrayRef<char>(s, n) {}

  std::string cloneAsString() const { return std::string(begin(), end()); }
  operator std::string() const { return cloneAsString(); }
  bool operator==(StringRef o) const { return size() == o.size() && std::memcmp(data(), o.data(), size()) == 0; }
  bool operator!=(StringRef o) const { return !(*this == o); }
};

inline std::string operator+(StringRef a, StringRef b) { return a.cloneAsString() + b.cloneAsString(); }
inline std::ostream &operator<<(std::ostream &os, StringRef s) {
  return os.write(s.data(), static_cast<std::streamsize>(s.size()));
}

} // namespace poplar
