// SPDX-License-Identifier: MIT
// Which instruction set runs, on which threads, and the one pass over all tensors of a step.
#include <omp.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "adabelief/cpu.h"
#include "adabelief/text.h"

namespace adabelief::cpu {

namespace detail {
Measure gradient_measure(Type type);  // gradient.cpp
}

bool has(Isa isa) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (isa == Isa::avx2) return __builtin_cpu_supports("avx2");
  if (isa == Isa::avx512) {
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq");
  }
#endif
  return isa == Isa::baseline;
}

namespace {

Isa first_choice() {
  Isa widest = Isa::baseline;
  for (const Isa isa : {Isa::avx2, Isa::avx512}) {
    if (has(isa)) widest = isa;
  }
  if (const char* wanted = std::getenv("ADABELIEF_ISA")) {
    for (std::size_t i = 0; i < isa_names.size(); ++i) {
      if (isa_names[i] == wanted && has(Isa(i))) return Isa(i);
    }
    std::fprintf(stderr, "adabelief: ADABELIEF_ISA=%s is not one that this machine has of %s; %s it is\n", wanted,
                 join(isa_names).c_str(), std::string(isa_names[std::size_t(widest)]).c_str());
  }
  return widest;
}

std::atomic<Isa>& current() {
  static std::atomic<Isa> isa = first_choice();
  return isa;
}

}  // namespace

Isa isa() { return current(); }

void use(Isa isa) {
  if (!has(isa)) {
    throw std::invalid_argument("adabelief: this machine has no " + std::string(isa_names[int(isa)]) +
                                "; leave ADABELIEF_ISA and cpu::use alone to run the widest that it has");
  }
  current() = isa;
}

const Executor openmp{[] { return omp_in_parallel() ? 1 : omp_get_max_threads(); },
                      [](int tasks, void (*task)(void*, int), void* context) {
#pragma omp parallel for num_threads(tasks) schedule(static, 1)
                        for (int i = 0; i < tasks; ++i) task(context, i);
                      }};

const Executor serial{[] { return 1; },
                      [](int tasks, void (*task)(void*, int), void* context) {
                        for (int i = 0; i < tasks; ++i) task(context, i);
                      }};

namespace {

// Cuts the units of all jobs, laid end to end, into as many equal parts as are worth a task; the parts begin at
// multiples of `grain`. Pass has units(job), the number of a job's units, and run(job, from, to).
template <class Pass>
void parts(std::span<const Job> jobs, const Executor& executor, std::size_t elements_a_unit, std::size_t grain) {
  struct Work {
    std::span<const Job> jobs;
    std::size_t grain, total = 0;
    int tasks = 1;
  } work{jobs, grain};
  for (const Job& job : jobs) work.total += Pass::units(job);

  // A fork and join costs about as much as a few thousand weights: a task is worth making from here on.
  constexpr std::size_t least = 16384;
  const std::size_t worth = work.total * elements_a_unit / least;
  work.tasks = worth < 2 ? 1 : static_cast<int>(std::min<std::size_t>(worth, std::max(1, executor.threads())));

  const auto task = [](void* context, int i) {
    const Work& w = *static_cast<const Work*>(context);
    const auto cut = [&](int part) {
      return part == w.tasks ? w.total : w.total / w.grain * std::size_t(part) / std::size_t(w.tasks) * w.grain;
    };
    const std::size_t begin = cut(i), end = cut(i + 1);
    std::size_t first = 0;  // where the present job starts
    for (const Job& job : w.jobs) {
      if (first >= end) break;
      const std::size_t units = Pass::units(job);
      const std::size_t from = std::max(begin, first) - first, to = std::min(end, first + units) - first;
      if (from < to) Pass::run(job, from, to);
      first += units;
    }
  };
  if (work.tasks == 1) {
    task(&work, 0);
  } else {
    executor.run(work.tasks, task, &work);
  }
}

struct Update {
  static std::size_t units(const Job& job) { return job.n; }
  static void run(const Job& job, std::size_t from, std::size_t to) {
    if (!job.zero) return job.kernel(job, from, to);
    for (std::size_t first = from; first < to; first += block) {  // while the gradient is in the nearest cache
      const std::size_t last = std::min(to, first + block), bytes = size_of(job.type);
      job.kernel(job, first, last);
      std::memset(static_cast<char*>(const_cast<void*>(job.gradient)) + first * bytes, 0, (last - first) * bytes);
    }
  }
};

// Block by block, since blocks are what the order of a sum is made of.
template <class Of>
struct Norms {
  static std::size_t units(const Job& job) { return Of::measure(job) ? (job.n + block - 1) / block : 0; }
  static void run(const Job& job, std::size_t from, std::size_t to) {
    for (std::size_t b = from; b < to; ++b) {
      Of::measure(job)(job, b * block, std::min(job.n, (b + 1) * block), job.squares + b * max_norms);
    }
  }
  static void add(const Job& job, std::array<double, max_norms>& squares) {
    for (std::size_t b = 0; b < units(job); ++b) {
      for (std::size_t k = 0; k < max_norms; ++k) squares[k] += job.squares[b * max_norms + k];
    }
  }
};

struct OfRule {
  static Measure measure(const Job& job) { return job.measure; }
};
struct OfGradient {
  static Measure measure(const Job& job) { return detail::gradient_measure(job.type); }
};

}  // namespace

double gradient_squares(std::span<const Job> jobs, const Executor& executor) noexcept {
  parts<Norms<OfGradient>>(jobs, executor, block, 1);
  std::array<double, max_norms> squares{};
  for (const Job& job : jobs) Norms<OfGradient>::add(job, squares);
  return squares[0];
}

void run(std::span<Job> jobs, const Executor& executor) noexcept {
  if (std::any_of(jobs.begin(), jobs.end(), [](const Job& job) { return job.measure != nullptr; })) {
    parts<Norms<OfRule>>(jobs, executor, block, 1);
    for (Job& job : jobs) {
      if (job.measure == nullptr) continue;
      std::array<double, max_norms> norms{};
      Norms<OfRule>::add(job, norms);
      for (double& norm : norms) norm = std::sqrt(norm);
      job.with_norms(job.scalars.data(), norms.data());
    }
  }
  parts<Update>(jobs, executor, 1, 16);  // at whole cache lines of floats
}

}  // namespace adabelief::cpu
