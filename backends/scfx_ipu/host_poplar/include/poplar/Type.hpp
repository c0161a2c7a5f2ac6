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

namespace detail {
template <Type::Id Known> struct TypeConstant {
  const Type value{Known};
};
} // namespace detail

/// equivalent_device_type<float>().value == FLOAT.
template <class T> struct equivalent_device_type;
template <> struct equivalent_device_type<bool> : detail::TypeConstant<Type::BOOL_ID> {};
template <> struct equivalent_device_type<char> : detail::TypeConstant<Type::CHAR_ID> {};
template <> struct equivalent_device_type<unsigned char> : detail::TypeConstant<Type::UNSIGNED_CHAR_ID> {};
template <> struct equivalent_device_type<signed char> : detail::TypeConstant<Type::SIGNED_CHAR_ID> {};
template <> struct equivalent_device_type<short> : detail::TypeConstant<Type::SHORT_ID> {};
template <> struct equivalent_device_type<unsigned short> : detail::TypeConstant<Type::UNSIGNED_SHORT_ID> {};
template <> struct equivalent_device_type<int> : detail::TypeConstant<Type::INT_ID> {};
template <> struct equivalent_device_type<unsigned> : detail::TypeConstant<Type::UNSIGNED_INT_ID> {};
template <> struct equivalent_device_type<long long> : detail::TypeConstant<Type::LONGLONG_ID> {};
template <> struct equivalent_device_type<unsigned long long> : detail::TypeConstant<Type::UNSIGNED_LONGLONG_ID> {};
template <> struct equivalent_device_type<float> : detail::TypeConstant<Type::FLOAT_ID> {};

} // namespace poplar
