// SPDX-License-Identifier: Apache-2.0
#include "threads.hpp"

#include <algorithm>

namespace host_poplar {

Threads::Threads(unsigned n) {
  if (n == 0) n = std::max(1u, std::thread::hardware_concurrency());
  // The caller works too.
  for (unsigned i = 1; i < n; ++i) threads_.emplace_back([this] { work(); });
}

Threads::~Threads() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  start_.notify_all();
  for (std::thread &t : threads_) t.join();
}

void Threads::for_each(std::size_t n, const std::function<void(std::size_t)> &f) {
  if (n == 0) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    task_ = &f;
    end_ = n;
    grain_ = std::max<std::size_t>(1, n / (16 * (threads_.size() + 1)));
    next_ = 0;
    failure_ = nullptr;
    busy_ = threads_.size();
    ++generation_;
  }
  start_.notify_all();
  drain();
  std::unique_lock<std::mutex> lock(mutex_);
  done_.wait(lock, [this] { return busy_ == 0; });
  if (failure_) std::rethrow_exception(failure_);
}

void Threads::work() {
  std::size_t seen = 0;
  for (;;) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      start_.wait(lock, [&] { return stop_ || generation_ != seen; });
      if (stop_) return;
      seen = generation_;
    }
    drain();
    const std::lock_guard<std::mutex> lock(mutex_);
    if (--busy_ == 0) done_.notify_one();
  }
}

void Threads::drain() {
  for (;;) {
    const std::size_t begin = next_.fetch_add(grain_);
    if (begin >= end_) return;
    for (std::size_t i = begin; i < std::min(end_, begin + grain_); ++i) {
      try {
        (*task_)(i);
      } catch (...) {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (!failure_ || i < failed_at_) {
          failure_ = std::current_exception();
          failed_at_ = i;
        }
        break; // the rest of this piece comes after i; every earlier piece still runs
      }
    }
  }
}

} // namespace host_poplar
