#include "arena.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <mutex>
#include <new>

namespace scfx_simd {

#ifdef __SANITIZE_ADDRESS__

// AddressSanitizer knows blocks of the heap, to the byte, and nothing of what is cut from mapped pages.
Arena::Arena(size_t bytes) : size_(bytes), capacity_(bytes) {
  if (!bytes) return;
  void* block = nullptr;
  if (posix_memalign(&block, 64, bytes)) throw std::bad_alloc();
  data_ = static_cast<char*>(block);
}

Arena::~Arena() { std::free(data_); }

void trim_arenas() {}

#else

namespace {

constexpr size_t huge_page = size_t(2) << 20;

struct Pool {
  std::mutex mutex;
  std::multimap<size_t, char*> kept;  // by capacity
  size_t kept_bytes = 0, live_bytes = 0, high_water = 0;

  void unmap(std::multimap<size_t, char*>::iterator block) {
    munmap(block->second, block->first);
    kept_bytes -= block->first;
    kept.erase(block);
  }
};
// Never destroyed: arenas may outlive static destructors.
Pool& pool() {
  static Pool* out = new Pool();
  return *out;
}

// Sizes in steps of a sixteenth, so that the next molecule's batch often fits a block of the last one's.
size_t size_class(size_t bytes) {
  size_t step = huge_page;
  while (step * 32 <= bytes) step *= 2;
  return (bytes + step - 1) / step * step;
}

void* map_pages(size_t bytes) { return mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

}  // namespace

Arena::Arena(size_t bytes) : size_(bytes) {
  if (!bytes) return;
  size_t wanted = size_class(bytes);
  Pool& p = pool();
  std::lock_guard<std::mutex> lock(p.mutex);
  const auto found = p.kept.lower_bound(wanted);
  if (found != p.kept.end() && found->first <= wanted + wanted / 4) {
    data_ = found->second;
    wanted = found->first;
    p.kept_bytes -= wanted;
    p.kept.erase(found);
  } else {
    // What waits for reuse never takes more than arenas in use once did: their budgets bound the sum.
    p.high_water = std::max(p.high_water, p.live_bytes + wanted);
    while (!p.kept.empty() && p.live_bytes + p.kept_bytes + wanted > p.high_water) p.unmap(p.kept.begin());
    void* pages = map_pages(wanted);
    if (pages == MAP_FAILED) {
      while (!p.kept.empty()) p.unmap(p.kept.begin());
      pages = map_pages(wanted);
    }
    if (pages == MAP_FAILED) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
    madvise(pages, wanted, MADV_HUGEPAGE);
#endif
    data_ = static_cast<char*>(pages);
  }
  capacity_ = wanted;
  p.live_bytes += wanted;
  p.high_water = std::max(p.high_water, p.live_bytes);
}

Arena::~Arena() {
  if (!data_) return;
  Pool& p = pool();
  std::lock_guard<std::mutex> lock(p.mutex);
  p.live_bytes -= capacity_;
  p.kept_bytes += capacity_;
  p.kept.emplace(capacity_, data_);
}

void trim_arenas() {
  Pool& p = pool();
  std::lock_guard<std::mutex> lock(p.mutex);
  while (!p.kept.empty()) p.unmap(p.kept.begin());
}

#endif

}  // namespace scfx_simd
