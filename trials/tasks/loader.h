// SPDX-License-Identifier: MIT
// Batches that are made ahead of their use, by threads of their own.
#pragma once

#include <omp.h>
#include <torch/torch.h>

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

namespace adabelief::trials {

/// x (N, 3, S, S) uint8 and y (N) int64.
struct Batch {
  torch::Tensor x, y;
};

/// Makes the batches first, first + 1, ... last, which are taken in this order; up to `ahead` of them wait. Which
/// thread makes what is left to chance, so a place's content must depend on its batch and place alone.
class Loader {
 public:
  /// `size` gives a batch's number of images, of `side` pixels a side; `fill` makes one of them, in any thread.
  Loader(int threads, std::int64_t first, std::int64_t last, std::int64_t side,
         std::function<std::int64_t(std::int64_t)> size,
         std::function<void(std::int64_t batch, std::int64_t place, Batch&)> fill, std::int64_t ahead = 3)
      : last_(last),
        side_(side),
        ahead_(ahead),
        taken_(first),
        next_(first),
        size_(std::move(size)),
        fill_(std::move(fill)) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
  }

  ~Loader() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// The batch that is next to be taken.
  std::int64_t next() const { return taken_; }

  /// Waits for the next batch. Throws what `fill` threw.
  Batch take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return error_ || (made_.contains(taken_) && made_.at(taken_).missing == 0); });
    if (error_) std::rethrow_exception(error_);
    Batch batch = std::move(made_.at(taken_).batch);
    made_.erase(taken_++);
    changed_.notify_all();
    return batch;
  }

 private:
  struct Making {
    Batch batch;
    std::int64_t missing;
  };

  void work() {
    // Torch's operators stay in this thread. The first look at the number sets torch's own, so it comes before.
    at::get_num_threads();
    omp_set_num_threads(1);
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [&] { return stop_ || error_ || (next_ <= last_ && next_ < taken_ + ahead_); });
      if (stop_ || error_) return;
      const std::int64_t batch = next_, place = place_;
      if (place == 0) {
        const std::int64_t n = size_(batch);
        made_[batch] = {{torch::empty({n, 3, side_, side_}, torch::kUInt8), torch::empty({n}, torch::kInt64)}, n};
      }
      Making& making = made_.at(batch);  // stays where it is: a map's nodes do
      if (++place_ == making.batch.y.size(0)) ++next_, place_ = 0;
      lock.unlock();
      std::exception_ptr error;
      try {
        fill_(batch, place, making.batch);
      } catch (...) {
        error = std::current_exception();
      }
      lock.lock();
      if (error && !error_) error_ = error;
      if (--making.missing == 0 || error) changed_.notify_all();
    }
  }

  std::int64_t last_, side_, ahead_, taken_, next_, place_ = 0;
  std::function<std::int64_t(std::int64_t)> size_;
  std::function<void(std::int64_t, std::int64_t, Batch&)> fill_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::int64_t, Making> made_;
  std::exception_ptr error_;
  bool stop_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace adabelief::trials
