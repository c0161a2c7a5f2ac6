// SPDX-License-Identifier: Apache-2.0
// The element types that a tensor may have.
#pragma once
#include <cstddef>
#include <ostream>
#include <string>

namespace poplar {

class Type {
public:
  enum Id {
    NONE,
    BOOL_ID,
    CHAR_ID,
    UNSIGNED_CHAR_ID,
    SIGNED_CHAR_ID,
    SHORT_ID,
    UNSIGNED_SHORT_ID,
    INT_ID,
    UNSIGNED_INT_ID,
    LONGLONG_ID,
    UNSIGNED_LONGLONG_ID,
    HALF_ID,
    FLOAT_ID
  };
  constexpr Type() = default;
  constexpr explicit Type(Id id) : id_(id) {}
  constexpr Id id() const { return id_; }
  constexpr bool operator==(const Type &o) const { return id_ == o.id_; }
  constexpr bool operator!=(const Type &o) const { return id_ != o.id_; }
  constexpr bool operator<(const Type &o) const { return id_ < o.id_; }
  std::string toString() const;

private:
  Id id_ = NONE;
};

std::ostream &operator<<(std::ostream &os, const Type &t);

inline constexpr Type BOOL{Type::BOOL_ID};
inline constexpr Type CHAR{Type::CHAR_ID};
inline constexpr Type UNSIGNED_CHAR{Type::UNSIGNED_CHAR_ID};
inline constexpr Type SIGNED_CHAR{Type::SIGNED_CHAR_ID};
inline constexpr Type SHORT{Type::SHORT_ID};
inline constexpr Type UNSIGNED_SHORT{Type::UNSIGNED_SHORT_ID};
inline constexpr Type INT{Type::INT_ID};
inline constexpr Type UNSIGNED_INT{Type::UNSIGNED_INT_ID};
inline constexpr Type LONGLONG{Type::LONGLONG_ID};
inline constexpr Type UNSIGNED_LONGLONG{Type::UNSIGNED_LONGLONG_ID};
/// Known by name so that a program compiles; a graph refuses it: no host type holds IEEE half here.
inline constexpr Type HALF{Type::HALF_ID};
inline constexpr Type FLOAT{Type::FLOAT_ID};

/// equivalent_device_type<float>().value == FLOAT.
template <class T> struct equivalent_device_type;
template <> struct equivalent_device_type<bool> {
  const Type value = BOOL;
};
template <> struct equivalent_device_type<char> {
  const Type value = CHAR;
};
template <> struct equivalent_device_type<unsigned char> {
  const Type value = UNSIGNED_CHAR;
};
template <> struct equivalent_device_type<signed char> {
  const Type value = SIGNED_CHAR;
};
template <> struct equivalent_device_type<short> {
  const Type value = SHORT;
};
template <> struct equivalent_device_type<unsigned short> {
  const Type value = UNSIGNED_SHORT;
};
template <> struct equivalent_device_type<int> {
  const Type value = INT;
};
template <> struct equivalent_device_type<unsigned> {
  const Type value = UNSIGNED_INT;
};
template <> struct equivalent_device_type<long long> {
  const Type value = LONGLONG;
};
template <> struct equivalent_device_type<unsigned long long> {
  const Type value = UNSIGNED_LONGLONG;
};
template <> struct equivalent_device_type<float> {
  const Type value = FLOAT;
};

} // namespace poplar
