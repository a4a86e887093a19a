// SPDX-License-Identifier: MIT
// Which instruction set runs, on which threads, and the one pass over all tensors of a step.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "adabelief/cpu.h"
#include "adabelief/forms.h"
#include "adabelief/text.h"
#include "convert.h"

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
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
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
    std::vector<std::string_view> there;
    for (std::size_t i = 0; i < isa_names.size(); ++i) {
      if (!has(Isa(i))) continue;
      if (isa_names[i] == wanted) return Isa(i);
      there.push_back(isa_names[i]);
    }
    throw std::invalid_argument("adabelief: ADABELIEF_ISA=" + std::string(wanted) + " is none of " + join(there) +
                                ", which this machine has; unset it to run the widest");
  }
  return widest;
}

constexpr int undecided = -1;
std::atomic<int> current = undecided;

}  // namespace

Isa isa() {
  const int chosen = current;
  if (chosen != undecided) return Isa(chosen);
  int expected = undecided;  // where another thread has decided meanwhile, that holds
  current.compare_exchange_strong(expected, int(first_choice()));
  return Isa(current.load());
}

void use(Isa isa) {
  if (!has(isa)) {
    throw std::invalid_argument("adabelief: this machine has no " + std::string(isa_names[int(isa)]) +
                                "; leave ADABELIEF_ISA and cpu::use alone to run the widest that it has");
  }
  current = int(isa);
}

const Executor serial{[] { return 1; },
                      [](int tasks, void (*task)(void*, int), void* context) {
                        for (int i = 0; i < tasks; ++i) task(context, i);
                      }};

namespace {

// Cuts the units of Pass::elements of all jobs, laid end to end, into as many equal parts as are worth a task. A pass
// has wants(job) and run(job, from, to), of elements.
template <class Pass>
void parts(std::span<const Job> jobs, const Executor& executor) {
  static constexpr auto units_of = [](const Job& job) {
    return Pass::wants(job) ? (job.n + Pass::elements - 1) / Pass::elements : 0;
  };
  constexpr int most_tasks = 256;
  struct Work {
    std::span<const Job> jobs;
    std::size_t total = 0;
    int tasks = 1;
    // Where each task starts: its first job, and the units of those before. To count them again, each thread would
    // have to read all jobs.
    struct Start {
      std::size_t job, before;
    };
    std::array<Start, most_tasks> starts;

    std::size_t cut(int part) const { return total * std::size_t(part) / std::size_t(tasks); }
  } work;
  work.jobs = jobs, work.starts[0] = {};
  for (const Job& job : jobs) work.total += units_of(job);

  // A fork and join costs about as much as a few thousand weights: a task is worth making from here on.
  constexpr std::size_t least = 16384;
  const std::size_t worth = work.total * Pass::elements / least;
  if (worth > 1) {
    const int threads = std::max(1, std::min(executor.threads(), executor.most));
    work.tasks = static_cast<int>(std::min(worth, std::size_t(std::min(threads, most_tasks))));
  }
  std::size_t before = 0;
  for (std::size_t j = 0, i = 1; i < std::size_t(work.tasks); ++j) {
    const std::size_t units = units_of(jobs[j]);
    for (; i < std::size_t(work.tasks) && work.cut(int(i)) < before + units; ++i) work.starts[i] = {j, before};
    before += units;
  }

  const auto task = [](void* context, int i) {
    const Work& w = *static_cast<const Work*>(context);
    const std::size_t begin = w.cut(i), end = w.cut(i + 1);
    std::size_t first = w.starts[std::size_t(i)].before;  // where the present job starts
    for (const Job& job : w.jobs.subspan(w.starts[std::size_t(i)].job)) {
      if (first >= end) break;
      const std::size_t units = units_of(job);
      const std::size_t from = std::max(begin, first) - first, to = std::min(end, first + units) - first;
      if (from < to) Pass::run(job, from * Pass::elements, std::min(job.n, to * Pass::elements));
      first += units;
    }
  };
  if (work.tasks == 1) {
    task(&work, 0);
  } else {
    executor.run(work.tasks, task, &work);
  }
}

// A part of a job of which all is in float: what is not so in memory is in `room`, of whole groups an array.
Job in_floats(const Job& job, std::size_t first, std::size_t n, float* room) {
  Job part = job;
  part.n = n;
  const auto place = [&](bool is_float, const void* memory) {
    if (is_float) return const_cast<float*>(static_cast<const float*>(memory)) + first;
    return std::exchange(room, room + codes_of(n));
  };
  part.weights = place(job.weights_type == Type::float32, job.weights);
  part.gradient = place(job.gradient_type == Type::float32, job.gradient);
  for (std::size_t k = 0; k < job.state_count; ++k) {
    part.states[k] = place(job.state_type == StateType::full, job.states[k]);
  }
  return part;
}

detail::Floats floats(const Job& part) {
  detail::Floats all{
      static_cast<float*>(part.weights), const_cast<float*>(static_cast<const float*>(part.gradient)), {}};
  for (std::size_t k = 0; k < part.state_count; ++k) all.states[k] = static_cast<float*>(part.states[k]);
  return all;
}

// Asks for the elements [first, first + n) of a job: the memory would have nothing to do while a piece is computed, as
// the processor fetches ahead of a loop only what that loop reads.
void fetch(const Job& job, std::size_t first, std::size_t n) {
  const auto lines = [&](const void* memory, std::size_t size) {
    detail::fetch(static_cast<const char*>(memory) + first * size, n * size);
  };
  lines(job.weights, size_of(job.weights_type));
  lines(job.gradient, size_of(job.gradient_type));
  const std::size_t size = std::array<std::size_t, 3>{4, 2, 1}[std::size_t(job.state_type)];
  for (std::size_t k = 0; k < job.state_count; ++k) lines(job.states[k], size);
}

// The kernel for whole groups of the job's numbers as they lie in memory, nullptr where there is none. Floats that a
// core's caches hold are left to the other: to ask for them costs a tenth of their time.
Kernel direct(const Job& job) {
  constexpr std::size_t large = 131072;
  const bool halves = job.weights_type == Type::bfloat16 && job.rounding == Rounding::stochastic;
  if (job.forms == nullptr || job.gradient_type != job.weights_type) return nullptr;
  if (job.weights_type != Type::float32 && !halves) return nullptr;
  if (job.is_plain() && job.n < large) return nullptr;
  return (*job.forms)[halves][std::size_t(job.state_type)];
}

struct Update {
  static constexpr std::size_t elements = group;

  static bool wants(const Job&) { return true; }
  static void run(const Job& job, std::size_t from, std::size_t to) {
    if (!job.zero) return update(job, from, to);
    const std::size_t size = size_of(job.gradient_type);
    for (std::size_t first = from; first < to; first += detail::piece) {  // while the gradient is in the nearest cache
      const std::size_t last = std::min(first + detail::piece, to);
      update(job, first, last);
      std::memset(static_cast<char*>(const_cast<void*>(job.gradient)) + first * size, 0, (last - first) * size);
    }
  }
  static void update(const Job& job, std::size_t from, std::size_t to) {
    if (const Kernel kernel = direct(job)) {
      const std::size_t whole = from + (to - from) / group * group;
      kernel(job, from, whole);
      from = whole;
    }
    if (job.is_plain()) return job.kernel(job, from, to);
    for (std::size_t first = from; first < to; first += detail::piece) {
      const std::size_t n = std::min(detail::piece, to - first);
      alignas(64) float room[detail::piece * (2 + max_states)];
      const Job part = in_floats(job, first, n, room);
      detail::converter().load(job, first, n, floats(part));
      job.kernel(part, 0, n);
      fetch(job, first + n, std::min(detail::piece, job.n - first - n));
      detail::converter().store(job, first, n, floats(part));
    }
  }
};

// Block by block, since blocks are what the order of a sum is made of.
template <class Of>
struct Norms {
  static constexpr std::size_t elements = block;

  static bool wants(const Job& job) { return Of::measure(job) != nullptr; }
  static void run(const Job& job, std::size_t from, std::size_t to) {
    for (std::size_t first = from; first < to; first += block) {
      Of::run(job, first, std::min(block, to - first), job.squares + first / block * max_norms);
    }
  }
  static void add(const Job& job, std::array<double, max_norms>& squares) {
    for (std::size_t b = 0; b * block < job.n; ++b) {
      for (std::size_t k = 0; k < max_norms; ++k) squares[k] += job.squares[b * max_norms + k];
    }
  }
};

struct OfRule {
  static Measure measure(const Job& job) { return job.measure; }
  static void run(const Job& job, std::size_t first, std::size_t n, double* squares) {
    if (job.is_plain()) return job.measure(job, first, first + n, squares);
    alignas(64) float room[block * (2 + max_states)];
    const Job part = in_floats(job, first, n, room);
    detail::converter().load(job, first, n, floats(part));
    job.measure(part, 0, n, squares);
  }
};
struct OfGradient {
  static Measure measure(const Job& job) { return detail::gradient_measure(job.type); }
  static void run(const Job& job, std::size_t first, std::size_t n, double* squares) {
    if (job.gradient_type == job.type) return measure(job)(job, first, first + n, squares);
    alignas(64) float room[block];
    detail::converter().load_gradient(job, first, n, room);
    Job part = job;
    part.gradient = room, part.n = n;
    measure(job)(part, 0, n, squares);
  }
};

}  // namespace

double gradient_squares(std::span<const Job> jobs, const Executor& executor) noexcept {
  parts<Norms<OfGradient>>(jobs, executor);
  std::array<double, max_norms> squares{};
  for (const Job& job : jobs) Norms<OfGradient>::add(job, squares);
  return squares[0];
}

void run(std::span<Job> jobs, const Executor& executor) noexcept {
  if (std::any_of(jobs.begin(), jobs.end(), [](const Job& job) { return job.measure != nullptr; })) {
    parts<Norms<OfRule>>(jobs, executor);
    for (Job& job : jobs) {
      if (job.measure == nullptr || job.n == 0) continue;
      std::array<double, max_norms> norms{};
      Norms<OfRule>::add(job, norms);
      for (double& norm : norms) norm = std::sqrt(norm);
      job.with_norms(job.scalars.data(), norms.data());
    }
  }
  parts<Update>(jobs, executor);
}

}  // namespace adabelief::cpu
