// SPDX-License-Identifier: MIT
// A rule's formula in the lanes of the CPU. CMake's collector compiles this once for every rule; a rule of your own
// outside rules/ gets its kernels from a source file with `template struct adabelief::RuleEntry<MyRule>;`, compiled
// with -O3 -ffp-contract=off -fno-math-errno -fno-trapping-math.
#pragma once

#ifdef __FAST_MATH__
#error "adabelief: -ffast-math would change results from machine to machine; compile this without it"
#endif

#include <algorithm>
#include <bit>
#include <utility>

#include "adabelief/forms.h"
#include "adabelief/registry.h"

namespace adabelief {
namespace cpu::detail {

template <class Rule>
using ScalarArray = std::array<double, sizeof(typename Rule::template Scalars<double>) / sizeof(double)>;

// What is the same for all elements. Scalars were computed in double and are narrowed here, since 1 - 0.999 in float is
// wrong in the fifth digit.
template <class Rule, class T>
struct Narrowed {
  typename Rule::template Scalars<T> c;
  T scale, limit, coupled, lost;

  // What the gradient g of a weight x becomes. Cutting keeps a NaN.
  T used(T g, T x) const {
    const T scaled = scale * g;
    return (limit < std::numeric_limits<T>::infinity() ? max(-limit, min(limit, scaled)) : scaled) + coupled * x;
  }
  T decayed(T x) const { return x - lost * x; }  // (1 - lost) * x would lose lost's digits in float
};
template <class Rule, class T>
[[gnu::always_inline]] inline Narrowed<Rule, T> narrowed(const Job& job) {
  constexpr std::size_t count = ScalarArray<Rule>{}.size();
  static_assert(count <= max_scalars);
  std::array<T, count> narrow;
  for (std::size_t i = 0; i < count; ++i) narrow[i] = static_cast<T>(job.scalars[i]);
  const auto to_t = [](double value) { return static_cast<T>(value); };
  return {std::bit_cast<typename Rule::template Scalars<T>>(narrow), to_t(job.scale), to_t(job.limit),
          to_t(job.coupled), to_t(job.lost)};
}

// The loop that the compiler turns into lanes: every value is read once and written once.
template <class Rule, class T>
[[gnu::always_inline]] inline void loop(const Job& job, std::size_t begin, std::size_t end) {
  static_assert(Rule::states.size() <= max_states);
  const auto narrow = narrowed<Rule, T>(job);
  T* const weights = static_cast<T*>(job.weights);
  const T* const gradient = static_cast<const T*>(job.gradient);

  [&]<std::size_t... k>(std::index_sequence<k...>) {
    [[maybe_unused]] const std::array<T*, sizeof...(k)> states{static_cast<T*>(job.states[k])...};
#pragma GCC ivdep
    for (std::size_t i = begin; i < end; ++i) {
      const T g = narrow.used(gradient[i], weights[i]);
      T x = narrow.decayed(weights[i]);
      std::array<T, sizeof...(k)> s{states[k][i]...};
      Rule::update(narrow.c, x, g, s[k]...);
      ((states[k][i] = s[k]), ...);
      weights[i] = x;
    }
  }
  (std::make_index_sequence<Rule::states.size()>{});
}

// The same on whole groups of large tensors, and where numbers are not all floats in memory: they are taken apart,
// computed and put together in one loop, so that the processor does the one while it waits for the root and the
// division of the other. A Weight, and the gradient's element, is a float or, rounded stochastically, a bfloat16.
template <class Rule, class Weight, StateType state_type>
[[gnu::always_inline]] inline void loop_of_form(const Job& job, std::size_t begin, std::size_t end) {
  constexpr std::size_t count = Rule::states.size();
  constexpr bool bits8 = state_type == StateType::bits8;
  using State = std::conditional_t<state_type == StateType::full, float, std::uint16_t>;
  const auto narrow = narrowed<Rule, float>(job);
  Weight* const weights = static_cast<Weight*>(job.weights);
  const Weight* const gradient = static_cast<const Weight*>(job.gradient);

  // Without, the memory would rest during the arithmetic.
  constexpr std::size_t part = bits8 ? group / 2 : group / 4, ahead = 2 * group;
  const auto fetch_next = [&](std::size_t first) ADABELIEF_INLINE_LAMBDA {
    const std::size_t next = first + ahead;
    if (next + part > job.n) return;
    fetch(weights + next, part * sizeof(Weight)), fetch(gradient + next, part * sizeof(Weight));
    constexpr std::size_t size = bits8 ? 1 : sizeof(State);
    for (std::size_t k = 0; k < count; ++k) fetch(static_cast<const char*>(job.states[k]) + next * size, part * size);
  };

  [&]<std::size_t... k>(std::index_sequence<k...>) ADABELIEF_INLINE_LAMBDA {
    for (std::size_t first = begin; first < end; first += bits8 ? group : part) {
      Weight* const x_of = weights + first;
      const Weight* const g_of = gradient + first;
      const std::uint32_t key = random_key(job, max_states, first);
      const auto update = [&](std::uint32_t i, std::array<float, count>& s) ADABELIEF_INLINE_LAMBDA {
        const float g = narrow.used(as_float(g_of[i]), as_float(x_of[i]));
        float x = narrow.decayed(as_float(x_of[i]));
        Rule::update(narrow.c, x, g, s[k]...);
        keep(x_of[i], x, hash(i + key) >> 16);
      };
      fetch_next(first);
      if constexpr (bits8) {
        alignas(64) std::array<std::array<float, group>, count> numbers;
        const std::array groups{Group(job, k, first)...};
        const std::array codes{Codes(*groups[k].head)...};
        std::array<Largest, count> largest{};
#pragma GCC ivdep
        for (std::uint32_t i = 0; i < quarter; ++i) {
          each_of_word(i, [&](std::uint32_t j, int shift) ADABELIEF_INLINE_LAMBDA {
            std::array s{codes[k].decode(groups[k].words[i] << shift)...};
            update(j, s);
            ((numbers[k][j] = s[k], largest[k].add(s[k])), ...);
          });
        }
        fetch_next(first + part);
        for (std::size_t j = 0; j + 1 < count; j += 2) {
          store_groups(std::array<const float*, 2>{numbers[j].data(), numbers[j + 1].data()},
                       std::array{groups[j], groups[j + 1]}, std::array{largest[j], largest[j + 1]},
                       Random{random_key(job, j / 2, first)});
        }
        if constexpr (count % 2 == 1) {
          store_groups(std::array<const float*, 1>{numbers[count - 1].data()}, std::array{groups[count - 1]},
                       std::array{largest[count - 1]}, Random{random_key(job, count / 2, first)});
        }
      } else {
        [[maybe_unused]] const std::array<State*, count> states{static_cast<State*>(job.states[k]) + first...};
        [[maybe_unused]] const std::array<std::uint32_t, count> keys{random_key(job, k / 2, first)...};
#pragma GCC ivdep
        for (std::uint32_t i = 0; i < part; ++i) {
          std::array<float, count> s{as_float(states[k][i])...};
          update(i, s);
          (keep(states[k][i], s[k], share<16>(hash(i + keys[k]), k)), ...);
        }
      }
    }
  }
  (std::make_index_sequence<count>{});
}

// Sums the squares of number(i) = {first, second, ...} over [begin, end) of `size` elements as cpu.h says. Pieces of
// them stay in the nearest cache. `read`: the arrays that number() reads.
template <std::size_t count, class T, class Number, class... Read>
[[gnu::always_inline]] inline void sum_squares(std::size_t begin, std::size_t end, std::size_t size, double* squares,
                                               Number number, const Read*... read) {
  constexpr std::size_t piece = 256;
  static_assert(count <= max_norms && block % piece == 0 && piece % lanes == 0);
  T numbers[count][piece];
  double sums[count][lanes] = {};
  for (std::size_t first = begin; first < end; first += piece) {
    const std::size_t n = end - first < piece ? end - first : piece, next = first + block;
    if (next + piece <= size) (fetch(read + next, piece * sizeof(T)), ...);
#pragma GCC ivdep
    for (std::size_t i = 0; i < n; ++i) {
      const std::array<T, count> all = number(first + i);
      for (std::size_t j = 0; j < count; ++j) numbers[j][i] = all[j];
    }
    for (std::size_t j = 0; j < count; ++j) {
      for (std::size_t i = n; i < piece; ++i) numbers[j][i] = 0;
      for (std::size_t i = 0; i < piece; i += lanes) {
        for (std::size_t l = 0; l < lanes; ++l) {
          sums[j][l] += static_cast<double>(numbers[j][i + l]) * static_cast<double>(numbers[j][i + l]);
        }
      }
    }
  }
  for (std::size_t j = 0; j < count; ++j) {
    for (std::size_t half = lanes / 2; half > 0; half /= 2) {
      for (std::size_t l = 0; l < half; ++l) sums[j][l] += sums[j][l + half];
    }
    squares[j] = sums[j][0];
  }
  for (std::size_t j = count; j < max_norms; ++j) squares[j] = 0;
}

// The squares of what the rule's norms are of.
template <class Rule, class T>
[[gnu::always_inline]] inline void measure(const Job& job, std::size_t begin, std::size_t end, double* squares) {
  const auto narrow = narrowed<Rule, T>(job);
  const T* const weights = static_cast<const T*>(job.weights);
  const T* const gradient = static_cast<const T*>(job.gradient);
  [&]<std::size_t... k>(std::index_sequence<k...>) {
    [[maybe_unused]] const std::array<const T*, sizeof...(k)> states{static_cast<const T*>(job.states[k])...};
    const auto number = [&](std::size_t i) {
      return Rule::measure(narrow.c, narrow.decayed(weights[i]), narrow.used(gradient[i], weights[i]),
                           T(states[k][i])...);
    };
    sum_squares<Rule::norms.size(), T>(begin, end, job.n, squares, number, weights, gradient, states[k]...);
  }
  (std::make_index_sequence<Rule::states.size()>{});
}

// The squares of the gradient.
template <class T>
[[gnu::always_inline]] inline void measure_gradient(const Job& job, std::size_t begin, std::size_t end,
                                                    double* squares) {
  const T* const gradient = static_cast<const T*>(job.gradient);
  const auto number = [&](std::size_t i) { return std::array<T, 1>{gradient[i]}; };
  sum_squares<1, T>(begin, end, job.n, squares, number, gradient);
}

// The loops for one instruction set, whose attributes follow the name.
#define ADABELIEF_LOOPS(Name, ...)                                                                          \
  struct Name {                                                                                             \
    template <class Rule, class T>                                                                          \
    __VA_ARGS__ static void update(const Job& job, std::size_t begin, std::size_t end) {                    \
      loop<Rule, T>(job, begin, end);                                                                       \
    }                                                                                                       \
    template <class Rule, class Weight, StateType state_type>                                               \
    __VA_ARGS__ static void update_form(const Job& job, std::size_t begin, std::size_t end) {               \
      loop_of_form<Rule, Weight, state_type>(job, begin, end);                                              \
    }                                                                                                       \
    template <class Rule, class T>                                                                          \
    __VA_ARGS__ static void norms(const Job& job, std::size_t begin, std::size_t end, double* squares) {    \
      measure<Rule, T>(job, begin, end, squares);                                                           \
    }                                                                                                       \
    template <class T>                                                                                      \
    __VA_ARGS__ static void gradient(const Job& job, std::size_t begin, std::size_t end, double* squares) { \
      measure_gradient<T>(job, begin, end, squares);                                                        \
    }                                                                                                       \
  };
ADABELIEF_LOOPS(Baseline, [[gnu::flatten]])
#if defined(__x86_64__)
ADABELIEF_LOOPS(Avx2, [[gnu::flatten, gnu::target("avx2")]])
ADABELIEF_LOOPS(Avx512, [[gnu::flatten, gnu::target("avx512f,avx512vl,avx512dq,avx512bw,prefer-vector-width=512")]])
#endif
#undef ADABELIEF_LOOPS

// A rule without states has no other form of them.
template <class Isa, class Rule, class Weight, StateType state_type>
constexpr Kernel form() {
  if constexpr (Rule::states.empty()) {
    return Isa::template update_form<Rule, Weight, StateType::full>;
  } else {
    return Isa::template update_form<Rule, Weight, state_type>;
  }
}
template <class Isa, class Rule>
constexpr Forms forms() {
  using enum StateType;
  using bfloat16_bits = std::uint16_t;
  return {{{form<Isa, Rule, float, full>(), form<Isa, Rule, float, bfloat16>(), form<Isa, Rule, float, bits8>()},
           {form<Isa, Rule, bfloat16_bits, full>(), form<Isa, Rule, bfloat16_bits, bfloat16>(),
            form<Isa, Rule, bfloat16_bits, bits8>()}}};
}

// The loops of every instruction set, nullptr for those that this kind of machine has not.
template <class... Isa>
struct All {
  template <class Rule, class T>
  static constexpr std::array<Kernel, isa_names.size()> updates() {
    return {Isa::template update<Rule, T>...};
  }
  template <class Rule>
  static constexpr std::array<Forms, isa_names.size()> all_forms() {
    return {forms<Isa, Rule>()...};
  }
  template <class Rule, class T>
  static constexpr std::array<Measure, isa_names.size()> measures() {
    if constexpr (HasNorms<Rule>) return {Isa::template norms<Rule, T>...};
    return {};
  }
  template <class T>
  static constexpr std::array<Measure, isa_names.size()> gradients() {
    return {Isa::template gradient<T>...};
  }
};
#if defined(__x86_64__)
using Isas = All<Baseline, Avx2, Avx512>;
#else
using Isas = All<Baseline>;
#endif

template <class Rule>
constexpr WithNorms with_norms() {
  if constexpr (HasNorms<Rule>) {
    return [](double* scalars, const double* norms) {
      ScalarArray<Rule> own;
      std::copy_n(scalars, own.size(), own.begin());
      std::array<double, Rule::norms.size()> all;
      std::copy_n(norms, all.size(), all.begin());
      own = std::bit_cast<ScalarArray<Rule>>(
          Rule::with_norms(std::bit_cast<typename Rule::template Scalars<double>>(own), all));
      std::copy_n(own.begin(), own.size(), scalars);
    };
  }
  return nullptr;
}

template <class Rule>
constexpr std::span<const std::string_view> norms() {
  if constexpr (HasNorms<Rule>) return Rule::norms;
  return {};
}

template <class Rule, class T>
constexpr OptionInfo without_type(const Option<Rule, T>& option) {
  const double value = static_cast<double>(Rule{}.*option.member);
  return {option.name, value, option.range, option.meaning, option.is_bool, option.choices()};
}

template <class Rule>
constexpr auto presets_of() {
  if constexpr (requires { Rule::presets(); })
    return Rule::presets();
  else
    return std::array<Preset<Rule>, 0>{};
}

// The presets' options as numbers.
template <class Rule>
inline constexpr auto preset_values = [] {
  constexpr auto presets = presets_of<Rule>();
  std::array<std::array<double, std::tuple_size_v<decltype(Rule::options())>>, presets.size()> all{};
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] =
        std::apply([&](auto... option) { return std::array{static_cast<double>(presets[i].rule.*option.member)...}; },
                   Rule::options());
  }
  return all;
}();

template <class Rule>
constexpr auto preset_infos() {
  constexpr auto presets = presets_of<Rule>();
  std::array<PresetInfo, presets.size()> all{};
  for (std::size_t i = 0; i < all.size(); ++i) {
    all[i] = {presets[i].name, presets[i].meaning, preset_values<Rule>[i], presets[i].common};
  }
  return all;
}

template <class Rule>
constexpr Common common() {
  if constexpr (requires { Rule::common; }) return Rule::common;
  return {};
}

}  // namespace cpu::detail

template <RuleLike Rule>
const RuleInfo& RuleEntry<Rule>::info() {
  namespace d = cpu::detail;
  static constexpr auto options =
      std::apply([](auto... option) { return std::array{d::without_type(option)...}; }, Rule::options());
  static constexpr auto scalars = [](const double* option, double t) {
    return [&]<std::size_t... k>(std::index_sequence<k...>) {
      const auto typed = []<class T>(const Option<Rule, T>&, double value) { return static_cast<T>(value); };
      const auto list = Rule::options();
      const auto own = std::bit_cast<d::ScalarArray<Rule>>(
          Rule::template scalars<double>(typed(std::get<k>(list), option[k])..., t));
      std::array<double, cpu::max_scalars> all{};
      for (std::size_t i = 0; i < own.size(); ++i) all[i] = own[i];
      return all;
    }
    (std::make_index_sequence<options.size()>{});
  };
  static constexpr auto presets = d::preset_infos<Rule>();
  static constexpr RuleInfo entry{
      Rule::name,
      Rule::summary,
      Rule::source,
      d::common<Rule>(),
      options,
      presets,
      Rule::states,
      d::norms<Rule>(),
      scalars,
      {d::Isas::updates<Rule, float>(), d::Isas::updates<Rule, double>()},
      d::Isas::all_forms<Rule>(),
      {d::Isas::measures<Rule, float>(), d::Isas::measures<Rule, double>()},
      d::with_norms<Rule>(),
  };
  return entry;
}

}  // namespace adabelief
