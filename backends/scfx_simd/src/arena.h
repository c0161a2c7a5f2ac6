// Large blocks for stored integrals. Freed blocks are kept for the next batch: giving memory back to the system and
// faulting it in again costs about as much as a Fock build. They never exceed what was in use at some time.
#pragma once

#include <cstddef>
#include <utility>

namespace scfx_simd {

class Arena {
 public:
  Arena() = default;
  explicit Arena(size_t bytes);
  ~Arena();
  Arena(Arena&& o) noexcept { *this = std::move(o); }
  Arena& operator=(Arena&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(capacity_, o.capacity_);
    std::swap(size_, o.size_);
    return *this;
  }
  char* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  char* data_ = nullptr;
  size_t capacity_ = 0, size_ = 0;
};

// Give kept blocks back to the system.
void trim_arenas();

}  // namespace scfx_simd
