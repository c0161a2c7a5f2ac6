#include "arena.h"

#include <sys/mman.h>

#include <map>
#include <mutex>
#include <new>

namespace scfx_simd {

namespace {

constexpr size_t huge_page = size_t(2) << 20;
std::mutex mutex;
std::multimap<size_t, char*>& kept() {
  static auto* blocks = new std::multimap<size_t, char*>();
  return *blocks;
}

}  // namespace

Arena::Arena(size_t bytes) : size_(bytes) {
  if (!bytes) return;
  const size_t wanted = (bytes + huge_page - 1) / huge_page * huge_page;
  {
    std::lock_guard<std::mutex> lock(mutex);
    auto found = kept().lower_bound(wanted);
    // A block much larger than asked would break the caller's budget.
    if (found != kept().end() && found->first <= wanted + wanted / 8 + 2 * huge_page) {
      capacity_ = found->first;
      data_ = found->second;
      kept().erase(found);
      return;
    }
  }
  void* p = mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) {
    trim_arenas();
    p = mmap(nullptr, wanted, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
  }
#ifdef MADV_HUGEPAGE
  madvise(p, wanted, MADV_HUGEPAGE);
#endif
  data_ = static_cast<char*>(p);
  capacity_ = wanted;
}

Arena::~Arena() {
  if (!data_) return;
  std::lock_guard<std::mutex> lock(mutex);
  // At most this many blocks wait; the smallest goes first.
  if (kept().size() >= 8) {
    auto smallest = kept().begin();
    munmap(smallest->second, smallest->first);
    kept().erase(smallest);
  }
  kept().emplace(capacity_, data_);
}

void trim_arenas() {
  std::lock_guard<std::mutex> lock(mutex);
  for (auto& block : kept()) munmap(block.second, block.first);
  kept().clear();
}

}  // namespace scfx_simd
