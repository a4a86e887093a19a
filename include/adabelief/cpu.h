// SPDX-License-Identifier: MIT
// How a step runs on the CPU: number types, instruction sets, threads, and the one pass over memory.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>

namespace adabelief {

/// Element types of weights, gradients and states.
enum class Type : unsigned char { float32, float64, bfloat16, float16 };

inline constexpr std::array<std::string_view, 4> type_names{"float32", "float64", "bfloat16", "float16"};

/// Bytes an element.
constexpr std::size_t size_of(Type type) { return std::array<std::size_t, 4>{4, 8, 2, 2}[std::size_t(type)]; }

/// In what weights of a type are computed: double in double, all others in float.
constexpr Type arithmetic(Type type) { return type == Type::float64 ? Type::float64 : Type::float32; }

/// How states are kept: in what is computed with, in bfloat16, or in 8 bits in groups of 256 that share 16 bits more.
/// The last two are for weights that are computed in float, and are rounded stochastically.
enum class StateType : unsigned char { full, bfloat16, bits8 };

inline constexpr std::array<std::string_view, 3> state_type_names{"full", "bfloat16", "8bit"};

/// How weights of bfloat16 and float16 are rounded: to the nearest, which loses what is below half a last place;
/// stochastically, which keeps it in the mean; or not at all, by 16 bits more for each in the state.
enum class Rounding : unsigned char { nearest, stochastic, exact };

inline constexpr std::array<std::string_view, 3> rounding_names{"nearest", "stochastic", "exact"};

/// The type of float or double.
template <class T>
requires std::is_same_v<T, float> || std::is_same_v<T, double>
inline constexpr Type type_of = sizeof(T) == 4 ? Type::float32 : Type::float64;

}  // namespace adabelief

namespace adabelief::cpu {

/// Instruction sets that the step is compiled for. Each gives the same bits.
enum class Isa : unsigned char { baseline, avx2, avx512 };

inline constexpr std::array<std::string_view, 3> isa_names{"baseline", "avx2", "avx512"};

/// Whether this machine has it.
bool has(Isa isa);

/// The one in use: what the environment's ADABELIEF_ISA names, else the widest. Throws std::invalid_argument, as does
/// every step then, where this machine lacks what is named.
Isa isa();

/// Use another from the next step on, in every optimizer. Throws std::invalid_argument where the machine lacks it.
void use(Isa isa);

/// Where a step's parallel parts run: `threads` says how many are worth making, `run` calls task(context, i) for each
/// i in [0, tasks), at most 256, and returns when all are done. The results do not depend on it. A task takes up to 128
/// KiB of stack.
struct Executor {
  int (*threads)();
  void (*run)(int tasks, void (*task)(void* context, int index), void* context);
  int most = std::numeric_limits<int>::max();  ///< no more tasks than this, whatever `threads` says
};

extern const Executor openmp;  ///< OpenMP's threads (omp_set_num_threads, OMP_NUM_THREADS); the default
extern const Executor serial;  ///< the caller's thread, for a caller with threads of its own

inline constexpr std::size_t max_states = 4, max_scalars = 14, max_norms = 2;

struct Job;

/// Updates the elements [begin, end) of a job.
using Kernel = void (*)(const Job& job, std::size_t begin, std::size_t end);

/// Kernels that compute in float and take numbers as they lie in memory: [weights and gradient are bfloat16, and
/// weights are rounded stochastically; else they are float][StateType]. Of whole groups: `begin` and `end` are
/// multiples of `group`.
using Forms = std::array<std::array<Kernel, state_type_names.size()>, 2>;

/// Sets squares[k], k < max_norms, to the sum over the elements [begin, end) of the squares of what norm k is of, or 0.
using Measure = void (*)(const Job& job, std::size_t begin, std::size_t end, double* squares);

/// Turns the scalars of a step into those for a tensor of these norms.
using WithNorms = void (*)(double* scalars, const double* norms);

/// The squares of a norm are summed in double and in one order, whatever the instruction set and the threads: in a
/// block those whose places in it are equal modulo `lanes`, then these sums in halves (l + l + lanes / 2, ...), then
/// block after block.
inline constexpr std::size_t block = 4096, lanes = 16;

/// Doubles that a job of n elements with norms needs as Job::squares.
constexpr std::size_t squares_of(std::size_t n) { return (n + block - 1) / block * max_norms; }

/// One tensor in one step. Nothing overlaps; the alignment of an element will do.
struct Job {
  Kernel kernel;
  void* weights;                         ///< n elements of the kernel's type, read and written
  const void* gradient;                  ///< n elements, read
  std::array<void*, max_states> states;  ///< n elements each, read and written
  std::size_t n;                         ///< elements

  // What is another in each step. The rest is best left as it was, so that it stays in the caches of all threads.
  double coupled;                                          ///< the gradient becomes g + coupled * x
  double lost;                                             ///< then the weight becomes x - lost * x
  std::array<double, max_scalars> scalars;                 ///< the rule's scalars of this step
  double scale = 1;                                        ///< the gradient is multiplied by it first
  double limit = std::numeric_limits<double>::infinity();  ///< then cut to [-limit, limit], before `coupled`
  std::uint64_t key = 0;                                   ///< of the random bits: another one for each tensor and step
  bool zero = false;  ///< the gradient is set to 0 afterwards, and so must be writable

  Measure measure = nullptr;  ///< of a rule with norms, as are the following
  WithNorms with_norms = nullptr;
  double* squares = nullptr;  ///< squares_of(n) doubles to work with
  Type type = Type::float32;  ///< in which the kernel computes
  std::size_t state_count = 0;

  // How the elements lie in memory, where not as the kernel's.
  const Forms* forms = nullptr;  ///< nullptr in double; without, elements are turned into the kernel's and back
  Type weights_type = Type::float32, gradient_type = Type::float32;
  StateType state_type = StateType::full;
  Rounding rounding = Rounding::nearest;
  std::int16_t* remainder = nullptr;  ///< n elements of what Rounding::exact keeps
  std::size_t offset = 0;             ///< of element 0 in the tensor that this is a part of, for the random bits

  bool is_plain() const { return weights_type == type && gradient_type == type && state_type == StateType::full; }
};

/// The sum of the squares of all jobs' gradients, as they stand in memory, in the order that `block` tells, job after
/// job; the jobs' `squares` are worked with. Not finite where an element is not, or where the square of a double is
/// not.
double gradient_squares(std::span<const Job> jobs, const Executor& executor) noexcept;

/// Elements of a tensor: no memory holds more doubles.
inline constexpr std::size_t max_elements = std::numeric_limits<std::ptrdiff_t>::max() / sizeof(double);

/// A state of 8 bits is a code for each element of whole groups, then a head of 16 bits for each group.
inline constexpr std::size_t group = 256;
constexpr std::size_t codes_of(std::size_t n) { return (n + group - 1) / group * group; }

/// Bytes of a state of n elements.
constexpr std::size_t state_bytes(StateType state, Type weights, std::size_t n) {
  if (state == StateType::full) return n * size_of(arithmetic(weights));
  return state == StateType::bfloat16 ? 2 * n : codes_of(n) + codes_of(n) / group * 2;
}

/// The numbers of a job's state k, which is not full.
void read_state(const Job& job, std::size_t k, float* to);
/// Keeps them: what read_state gave comes back as it was, other numbers are rounded, in 8 bits towards zero.
void write_state(const Job& job, std::size_t k, const float* from);

/// Runs all jobs in one parallel region, or in two where there are norms to take first; small work stays on the
/// caller's thread. Changes nothing of a job but its scalars, where it has norms. Neither allocates nor throws.
void run(std::span<Job> jobs, const Executor& executor) noexcept;

}  // namespace adabelief::cpu
