// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <memory>
#include <string>

#include "poplar/Type.hpp"

namespace poplar {

enum class DataStreamType { HostToDeviceFIFO, DeviceToHostFIFO };

/// A queue between the host and the device; the engine connects it to host memory.
class DataStream {
public:
  DataStream() = default;
  std::string handle() const { return handle_; }
  DataStreamType type() const { return type_; }
  std::size_t numElements() const { return numElements_; }
  Type elementType() const { return elementType_; }

  /// Internal to the library.
  DataStream(std::string handle, DataStreamType type, Type elementType, std::size_t n)
      : handle_(std::move(handle)), type_(type), elementType_(elementType), numElements_(n) {}

private:
  std::string handle_;
  DataStreamType type_ = DataStreamType::HostToDeviceFIFO;
  Type elementType_;
  std::size_t numElements_ = 0;
};

/// What feeds or drains a stream, one call a transfer.
class StreamCallback {
public:
  enum class Result { Success, NotAvailable };
  virtual ~StreamCallback() = default;
  virtual Result prefetch(void *) { return Result::NotAvailable; }
  virtual void fetch(void *p) = 0;
  virtual void complete() {}
};

} // namespace poplar
