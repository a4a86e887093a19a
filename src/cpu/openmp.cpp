// SPDX-License-Identifier: MIT
// OpenMP's threads: of the runtime that the library is linked to, or, in the Python package, of the one that is loaded.
#include "adabelief/cpu.h"

#ifndef ADABELIEF_OPENMP_OF_PROCESS

#include <omp.h>

namespace adabelief::cpu {

const Executor openmp{[] { return omp_in_parallel() ? 1 : omp_get_max_threads(); },
                      [](int tasks, void (*task)(void*, int), void* context) {
#pragma omp parallel for num_threads(tasks) schedule(static, 1)
                        for (int i = 0; i < tasks; ++i) task(context, i);
                      }};

}  // namespace adabelief::cpu

#else

// torch's wheels bring an OpenMP runtime of their own. A second one, which a wheel would have to bring, too, would have
// threads of its own, and those of the first spin on the cores for a while after each of torch's operations. So the
// functions that GCC's `#pragma omp parallel` calls are looked up among the libraries that are loaded; LLVM's and
// Intel's runtimes have them as well. Where there are none, a step runs on the caller's thread.
#include <dlfcn.h>

#include <atomic>
#include <type_traits>

namespace adabelief::cpu {
namespace {

struct Runtime {
  void (*parallel)(void (*body)(void*), void* data, unsigned threads, unsigned flags);
  int (*in_parallel)();
  int (*max_threads)();
  int (*thread)();
  int (*threads)();
};

// Looked up until it is there: a program may load it after this library. nullptr where there is none.
const Runtime* runtime() {
  static std::atomic<const Runtime*> found = nullptr;
  if (const Runtime* known = found) return known;
  Runtime now{};
  const auto find = [](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)> >(dlsym(RTLD_DEFAULT, name));
    return function != nullptr;
  };
  if (!find(now.parallel, "GOMP_parallel") || !find(now.in_parallel, "omp_in_parallel") ||
      !find(now.max_threads, "omp_get_max_threads") || !find(now.thread, "omp_get_thread_num") ||
      !find(now.threads, "omp_get_num_threads")) {
    return nullptr;
  }
  static const Runtime all = now;
  return found = &all;
}

struct Loop {
  const Runtime& omp;
  int tasks;
  void (*task)(void*, int);
  void* context;
};

}  // namespace

const Executor openmp{[] {
                        const Runtime* omp = runtime();
                        return omp == nullptr || omp->in_parallel() ? 1 : omp->max_threads();
                      },
                      [](int tasks, void (*task)(void*, int), void* context) {
                        Loop loop{*runtime(), tasks, task, context};
                        const auto body = [](void* data) {
                          const Loop& loop = *static_cast<const Loop*>(data);
                          // There may be fewer threads than were asked for.
                          for (int i = loop.omp.thread(); i < loop.tasks; i += loop.omp.threads()) {
                            loop.task(loop.context, i);
                          }
                        };
                        loop.omp.parallel(body, &loop, unsigned(tasks), 0);
                      }};

}  // namespace adabelief::cpu

#endif
