// SPDX-License-Identifier: Apache-2.0
// A fixed set of CPU threads that share out a range of independent tasks.
#pragma once
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace host_poplar {

class Threads {
public:
  /// 0: as many as the machine has.
  explicit Threads(unsigned n);
  ~Threads();
  Threads(const Threads &) = delete;
  Threads &operator=(const Threads &) = delete;

  /// f(i) for every i in [0, n). If some throw, rethrows the one of the smallest i, whatever the number of threads.
  void for_each(std::size_t n, const std::function<void(std::size_t)> &f);

private:
  void work();
  void drain();

  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable start_, done_;
  std::size_t generation_ = 0;
  std::size_t busy_ = 0;
  bool stop_ = false;
  const std::function<void(std::size_t)> *task_ = nullptr;
  std::atomic<std::size_t> next_{0};
  std::size_t end_ = 0;
  std::size_t grain_ = 1;
  std::size_t failed_at_ = 0;
  std::exception_ptr failure_;
};

} // namespace host_poplar
