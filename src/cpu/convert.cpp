// SPDX-License-Identifier: MIT
// Numbers between their form in memory and floats, as forms.h has them, and float16 and exact weights: exact operations
// and loops without branches, as there. float16 has an exponent of 5 bits and a mantissa of 10.
#include "convert.h"

#include <algorithm>
#include <cstdint>

#include "adabelief/forms.h"

namespace adabelief::cpu::detail {
namespace {

// u >> 16 after `added`, but of a number that is not finite.
ADABELIEF_INLINE std::uint16_t upper(std::uint32_t u, std::uint32_t added) {
  const std::uint32_t special = u >> 16 | ((u & magnitude) > infinity ? 0x40 : 0);
  return static_cast<std::uint16_t>((u & infinity) == infinity ? special : (u + added) >> 16);
}
ADABELIEF_INLINE std::uint16_t to_nearest_bfloat16(float x) { return upper(bits(x), 0x7fff + (bits(x) >> 16 & 1)); }

ADABELIEF_INLINE float from_float16(std::uint16_t h) {
  const std::uint32_t a = h & 0x7fffu;
  const float small = number(bits(0.5F) + (a & 0x3ff)) - 0.5F;  // of no subnormal float, which a thread may flush
  const std::uint32_t size = a < 0x400 ? bits(small) : (a << 13) + (112u << 23);
  return number(size | (a >= 0x7c00 ? infinity : 0) | (h & 0x8000u) << 16);
}

// The magnitude `a` in units of 2^-24 where it is below 2^-14, else its bits, rounded by `added` in its lower 13.
ADABELIEF_INLINE std::uint16_t assemble16(float x, std::uint32_t subnormal, std::uint32_t added) {
  const std::uint32_t u = bits(x), a = u & magnitude;
  const std::uint32_t normal = ((a + added) >> 13) - (112u << 10);
  const std::uint32_t special = 0x7c00 | (a > infinity ? 0x200 : 0);
  std::uint32_t h = a < 0x38800000 ? subnormal : normal;
  h = h > 0x7c00 ? 0x7c00 : h;
  h = a >= infinity ? special : h;
  return static_cast<std::uint16_t>(h | (u >> 31 << 15));
}
ADABELIEF_INLINE std::uint16_t to_nearest_float16(float x) {
  const std::uint32_t a = bits(x) & magnitude;
  const float small = a < 0x38800000 ? number(a) : 0.0F;
  return assemble16(x, bits(small + 0.5F) - bits(0.5F), 0xfff + (a >> 13 & 1));
}
ADABELIEF_INLINE std::uint16_t to_float16(float x, std::uint32_t random) {
  const std::uint32_t a = bits(x) & magnitude;
  const float small = a < 0x38800000 ? number(a) : 0.0F;
  const float units = small * 16777216.0F + static_cast<float>(random >> 3) * (1.0F / 8192);
  return assemble16(x, static_cast<std::uint32_t>(static_cast<std::int32_t>(units)), random >> 3);
}

// Exact: what rounding to the nearest took is kept in 16 bits more, in units of the last place of the float (bfloat16),
// or of 2^-15 of the last place of the float16, which is finer for all but the smallest.
ADABELIEF_INLINE float unit16(float half) {
  const std::uint32_t e = bits(half) >> 23 & 255, least = 113;
  return number(((e < least ? least : e) - 25) << 23);
}
struct Split {
  std::uint16_t half;
  std::int16_t rest;
};
ADABELIEF_INLINE Split split_bfloat16(float x) {
  const std::uint16_t half = upper(bits(x), 0x8000);
  const bool special = (bits(x) & infinity) == infinity || (half & 0x7f80) == 0x7f80;
  return {half, static_cast<std::int16_t>(special ? 0 : bits(x) - (std::uint32_t(half) << 16))};
}
ADABELIEF_INLINE float join_bfloat16(std::uint16_t half, std::int16_t rest) {
  // No split gives a zero less something: the weight was set to 0 since.
  const std::int32_t kept = (half & 0x7fff) == 0 && rest < 0 ? 0 : rest;
  return number((std::uint32_t(half) << 16) + static_cast<std::uint32_t>(kept));
}
ADABELIEF_INLINE Split split_float16(float x) {
  const std::uint16_t half = to_nearest_float16(x);
  const float kept = from_float16(half), rest = (x - kept) / unit16(kept);
  const bool special = (half & 0x7c00) == 0x7c00;
  return {half, static_cast<std::int16_t>(static_cast<std::int32_t>(special ? 0.0F : rest))};
}
ADABELIEF_INLINE float join_float16(std::uint16_t half, std::int16_t rest) {
  const float kept = from_float16(half);
  return kept + static_cast<float>(rest) * unit16(kept);
}

ADABELIEF_INLINE void load_group(const Group& from, float* to) {
  const Codes codes(*from.head);
  for (std::uint32_t i = 0; i < quarter; ++i) {
    each_of_word(
        i, [&](std::uint32_t j, int shift) ADABELIEF_INLINE_LAMBDA { to[j] = codes.decode(from.words[i] << shift); });
  }
}

struct Down {
  ADABELIEF_INLINE std::uint32_t first(std::uint32_t) const { return 0; }
  ADABELIEF_INLINE std::uint32_t next(std::uint32_t) const { return 0; }
};

template <class From>
ADABELIEF_INLINE void each(std::uint32_t n, float* to, From from) {
  for (std::uint32_t i = 0; i < n; ++i) to[i] = from(i);
}

// Of bfloat16 or float16; floats are where they should be.
ADABELIEF_INLINE void widen(Type type, const void* from, std::size_t first, std::uint32_t n, float* to) {
  const auto* halves = static_cast<const std::uint16_t*>(from) + first;
  if (type == Type::bfloat16) each(n, to, [=](std::uint32_t i) { return from_bfloat16(halves[i]); });
  if (type == Type::float16) each(n, to, [=](std::uint32_t i) { return from_float16(halves[i]); });
}

ADABELIEF_INLINE void load_all(const Job& job, std::size_t first, std::uint32_t n, const Floats& to) {
  if (job.remainder == nullptr) {
    widen(job.weights_type, job.weights, first, n, to.weights);
  } else {
    const auto* halves = static_cast<const std::uint16_t*>(job.weights) + first;
    const std::int16_t* rest = job.remainder + first;
    if (job.weights_type == Type::bfloat16) {
      each(n, to.weights, [=](std::uint32_t i) { return join_bfloat16(halves[i], rest[i]); });
    } else {
      each(n, to.weights, [=](std::uint32_t i) { return join_float16(halves[i], rest[i]); });
    }
  }
  widen(job.gradient_type, job.gradient, first, n, to.gradient);
  for (std::size_t k = 0; k < job.state_count; ++k) {
    if (job.state_type == StateType::bfloat16) widen(Type::bfloat16, job.states[k], first, n, to.states[k]);
    if (job.state_type != StateType::bits8) continue;
    for (std::uint32_t i = 0; i < n; i += group) load_group(Group(job, k, first + i), to.states[k] + i);
  }
}

template <class Number>
ADABELIEF_INLINE void narrow(std::uint32_t n, std::uint16_t* to, Number number) {
  for (std::uint32_t i = 0; i < n; ++i) to[i] = number(i);
}

ADABELIEF_INLINE void store_weights(const Job& job, std::size_t first, std::uint32_t n, const float* from) {
  if (job.weights_type == Type::float32) return;
  auto* const to = static_cast<std::uint16_t*>(job.weights) + first;
  const bool bfloat16 = job.weights_type == Type::bfloat16;
  if (job.rounding == Rounding::nearest) {
    if (bfloat16) return narrow(n, to, [=](std::uint32_t i) { return to_nearest_bfloat16(from[i]); });
    return narrow(n, to, [=](std::uint32_t i) { return to_nearest_float16(from[i]); });
  }
  if (job.rounding == Rounding::stochastic) {
    const std::uint32_t key = random_key(job, max_states, first);
    if (bfloat16) return narrow(n, to, [=](std::uint32_t i) { return to_bfloat16(from[i], hash(i + key) >> 16); });
    return narrow(n, to, [=](std::uint32_t i) { return to_float16(from[i], hash(i + key) >> 16); });
  }
  std::int16_t* const rest = job.remainder + first;
  for (std::uint32_t i = 0; bfloat16 && i < n; ++i) {
    const Split split = split_bfloat16(from[i]);
    to[i] = split.half, rest[i] = split.rest;
  }
  for (std::uint32_t i = 0; !bfloat16 && i < n; ++i) {
    const Split split = split_float16(from[i]);
    to[i] = split.half, rest[i] = split.rest;
  }
}

template <class Round, std::size_t count>
ADABELIEF_INLINE void store_numbers(const std::array<const float*, count>& from, const std::array<Group, count>& to,
                                    const Round& round) {
  std::array<Largest, count> largest{};
  for (std::size_t k = 0; k < count; ++k) {
    for (std::size_t i = 0; i < group; ++i) largest[k].add(from[k][i]);
  }
  store_groups(from, to, largest, round);
}

// One state, or two that share random numbers.
template <std::size_t... k>
ADABELIEF_INLINE void store_states(const Job& job, std::size_t state, std::size_t first, std::uint32_t n,
                                   const Floats& from, std::index_sequence<k...>) {
  const std::uint32_t key = random_key(job, state / 2, first);
  if (job.state_type == StateType::bfloat16) {
    const std::array floats{static_cast<const float*>(from.states[state + k])...};
    const std::array halves{static_cast<std::uint16_t*>(job.states[state + k]) + first...};
#pragma GCC ivdep
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t random = hash(i + key);
      ((halves[k][i] = to_bfloat16(floats[k][i], share<16>(random, k))), ...);
    }
    return;
  }
  for (std::uint32_t i = 0; i < n; i += group) {
    if (n - i < group) ((std::fill_n(from.states[state + k] + n, group - (n - i), 0.0F)), ...);
    store_numbers(std::array{static_cast<const float*>(from.states[state + k] + i)...},
                  std::array{Group(job, state + k, first + i)...}, Random{key + i});
  }
}

ADABELIEF_INLINE void store_all(const Job& job, std::size_t first, std::uint32_t n, const Floats& from) {
  store_weights(job, first, n, from.weights);
  if (job.state_type == StateType::full) return;
  for (std::size_t k = 0; k < job.state_count; k += 2) {
    if (k + 1 < job.state_count) {
      store_states(job, k, first, n, from, std::index_sequence<0, 1>{});
    } else {
      store_states(job, k, first, n, from, std::index_sequence<0>{});
    }
  }
}

#define ADABELIEF_CONVERTER(Name, ...)                                                                    \
  struct Name {                                                                                           \
    __VA_ARGS__ static void load_gradient(const Job& job, std::size_t first, std::size_t n, float* to) {  \
      widen(job.gradient_type, job.gradient, first, static_cast<std::uint32_t>(n), to);                   \
    }                                                                                                     \
    __VA_ARGS__ static void load(const Job& job, std::size_t first, std::size_t n, const Floats& to) {    \
      load_all(job, first, static_cast<std::uint32_t>(n), to);                                            \
    }                                                                                                     \
    __VA_ARGS__ static void store(const Job& job, std::size_t first, std::size_t n, const Floats& from) { \
      store_all(job, first, static_cast<std::uint32_t>(n), from);                                         \
    }                                                                                                     \
  };
ADABELIEF_CONVERTER(Baseline, [[gnu::flatten]])
#if defined(__x86_64__)
ADABELIEF_CONVERTER(Avx2, [[gnu::flatten, gnu::target("avx2")]])
ADABELIEF_CONVERTER(Avx512, [[gnu::flatten, gnu::target("avx512f,avx512vl,avx512dq,avx512bw,prefer-vector-width=512")]])
#endif

template <class... Isa>
constexpr std::array<Converter, isa_names.size()> all() {
  return {Converter{Isa::load_gradient, Isa::load, Isa::store}...};
}

}  // namespace

const Converter& converter() {
#if defined(__x86_64__)
  static constexpr auto converters = all<Baseline, Avx2, Avx512>();
#else
  static constexpr auto converters = all<Baseline>();
#endif
  return converters[int(isa())];
}

}  // namespace adabelief::cpu::detail

namespace adabelief::cpu {

void read_state(const Job& job, std::size_t k, float* to) {
  if (job.state_type == StateType::bfloat16) {
    for (std::size_t first = 0; first < job.n; first += block) {
      const auto n = static_cast<std::uint32_t>(std::min(block, job.n - first));
      detail::widen(Type::bfloat16, job.states[k], first, n, to + first);
    }
    return;
  }
  for (std::size_t first = 0; first < job.n; first += group) {
    std::array<float, group> numbers;
    detail::load_group(detail::Group(job, k, first), numbers.data());
    std::copy_n(numbers.begin(), std::min(group, job.n - first), to + first);
  }
}

void write_state(const Job& job, std::size_t k, const float* from) {
  if (job.state_type == StateType::bfloat16) {
    auto* const halves = static_cast<std::uint16_t*>(job.states[k]);
    for (std::size_t i = 0; i < job.n; ++i) halves[i] = detail::to_nearest_bfloat16(from[i]);
    return;
  }
  for (std::size_t first = 0; first < job.n; first += group) {
    std::array<float, group> numbers{};
    std::copy_n(from + first, std::min(group, job.n - first), numbers.begin());
    detail::store_numbers(std::array<const float*, 1>{numbers.data()}, std::array{detail::Group(job, k, first)},
                          detail::Down{});
  }
}

}  // namespace adabelief::cpu
