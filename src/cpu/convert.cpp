// SPDX-License-Identifier: MIT
// Numbers between their form in memory and floats: integer operations and exact float operations alone, so that the
// bits are the same everywhere, and loops without branches, so that the compiler makes lanes of them.
//
// bfloat16 is the upper half of a float's bits. float16 has an exponent of 5 bits and a mantissa of 10.
//
// A state of 8 bits is kept in groups of 256 elements with a head of 16 bits each. A code is cut from the float's own
// bits: 3 bits of mantissa, and of the exponent its distance from the group's largest element. Where all of a group is
// >= 0, as of a second moment, 255 codes reach 32 binades down, and what is not zero never becomes zero; else there is
// a sign, and 127 codes reach 16 binades down to zero.
//
// What does not fit is rounded stochastically, up with the probability of the rest, so that many small changes are not
// lost: hash(index + key) is the random number, whoever computes it.
#include "convert.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>

namespace adabelief::cpu::detail {
namespace {

#define ADABELIEF_INLINE [[gnu::always_inline]] inline

ADABELIEF_INLINE std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }
ADABELIEF_INLINE float number(std::uint32_t bits) { return std::bit_cast<float>(bits); }

constexpr std::uint32_t infinity = 0x7f800000, magnitude = 0x7fffffff;

// Two thirds of Appleby's finalizer of MurmurHash3, in the public domain: the last third would mix the upper half into
// the lower, which is good enough for rounding as it is.
ADABELIEF_INLINE std::uint32_t hash(std::uint32_t h) {
  h = (h ^ h >> 16) * 0x85ebca6b;
  return (h ^ h >> 13) * 0xc2b2ae35;
}

// Random bits for two arrays of a job: 16 an element for each, the halves of one hash.
struct Random {
  std::array<std::uint32_t, piece> both;

  ADABELIEF_INLINE void draw(const Job& job, std::size_t pair, std::size_t first, std::uint32_t n) {
    std::uint64_t z = job.key + 0x9e3779b97f4a7c15 * (pair + 1 + (first >> 32 << 8));  // SplitMix64
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    const auto key = static_cast<std::uint32_t>((z ^ z >> 31) + first);
    for (std::uint32_t i = 0; i < n; ++i) both[i] = hash(i + key);
  }
};
template <int shift>
struct Half {
  const std::uint32_t* both;

  ADABELIEF_INLINE std::uint32_t operator()(std::uint32_t i) const { return both[i] >> shift & 0xffff; }
};
struct Nearest {};

ADABELIEF_INLINE float from_bfloat16(std::uint16_t h) { return number(std::uint32_t(h) << 16); }

// u >> 16 after `added`, but of a number that is not finite.
ADABELIEF_INLINE std::uint16_t upper(std::uint32_t u, std::uint32_t added) {
  const std::uint32_t special = u >> 16 | ((u & magnitude) > infinity ? 0x40 : 0);
  return static_cast<std::uint16_t>((u & infinity) == infinity ? special : (u + added) >> 16);
}
ADABELIEF_INLINE std::uint16_t to_bfloat16(float x, Nearest, std::uint32_t) {
  return upper(bits(x), 0x7fff + (bits(x) >> 16 & 1));
}
template <int shift>
ADABELIEF_INLINE std::uint16_t to_bfloat16(float x, Half<shift> random, std::uint32_t i) {
  const std::uint32_t up = (bits(x) & magnitude) + random(i);  // a NaN, which arithmetic made, may be the largest
  return static_cast<std::uint16_t>((up < magnitude ? up : magnitude) >> 16 | bits(x) >> 31 << 15);
}

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
ADABELIEF_INLINE std::uint16_t to_float16(float x, Nearest, std::uint32_t) {
  const std::uint32_t a = bits(x) & magnitude;
  const float small = a < 0x38800000 ? number(a) : 0.0F;
  return assemble16(x, bits(small + 0.5F) - bits(0.5F), 0xfff + (a >> 13 & 1));
}
template <int shift>
ADABELIEF_INLINE std::uint16_t to_float16(float x, Half<shift> random, std::uint32_t i) {
  const std::uint32_t a = bits(x) & magnitude, r = random(i);
  const float small = a < 0x38800000 ? number(a) : 0.0F;
  const float units = small * 16777216.0F + static_cast<float>(r >> 3) * (1.0F / 8192);
  return assemble16(x, static_cast<std::uint32_t>(static_cast<std::int32_t>(units)), r >> 3);
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
  const std::uint16_t half = to_float16(x, Nearest{}, 0);
  const float kept = from_float16(half), rest = (x - kept) / unit16(kept);
  const bool special = (half & 0x7c00) == 0x7c00;
  return {half, static_cast<std::int16_t>(static_cast<std::int32_t>(special ? 0.0F : rest))};
}
ADABELIEF_INLINE float join_float16(std::uint16_t half, std::int16_t rest) {
  const float kept = from_float16(half);
  return kept + static_cast<float>(rest) * unit16(kept);
}

constexpr std::uint16_t no_sign = 0x8000;

ADABELIEF_INLINE std::int32_t base_of(std::uint16_t head) {
  const std::int32_t base = (head & 0x7ff) - (head & no_sign ? 255 : 127);
  return base < 0 ? 0 : base;
}
ADABELIEF_INLINE void load_bits8(const std::uint8_t* codes, std::uint16_t head, std::uint32_t n, float* to) {
  const std::int32_t base = base_of(head), mask = head & no_sign ? 255 : 127;
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::int32_t code = codes[i], size = code & mask;
    const auto sign = static_cast<std::uint32_t>(code & ~mask) << 24;
    to[i] = number((size == 0 ? 0 : static_cast<std::uint32_t>(size + base) << 20) | sign);
  }
}
template <class Added>
ADABELIEF_INLINE std::uint16_t store_bits8(const float* from, std::uint32_t n, std::uint8_t* codes, Added added) {
  std::uint32_t largest = 0, signs = 0;
  for (std::uint32_t i = 0; i < n; ++i) {
    const std::uint32_t a = bits(from[i]) & magnitude;
    largest = largest > a ? largest : a;
    signs |= bits(from[i]);
  }
  const bool unsign = signs >> 31 == 0;
  if (largest >= infinity) {  // all of the group becomes NaN, so that it shows
    std::memset(codes, 255, n);
    return (0x7fc00000 >> 20) | no_sign;
  }
  const auto head = static_cast<std::uint16_t>(((largest + 0xfffff) >> 20) | (unsign ? no_sign : 0));
  const std::int32_t base = base_of(head);
  if (unsign) {
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t a = bits(from[i]);
      const std::int32_t size = static_cast<std::int32_t>((a + added(i)) >> 20) - base, least = a != 0;
      codes[i] = static_cast<std::uint8_t>(size < least ? least : size);
    }
  } else {
    for (std::uint32_t i = 0; i < n; ++i) {
      const std::uint32_t u = bits(from[i]);
      const std::int32_t size = static_cast<std::int32_t>(((u & magnitude) + added(i)) >> 20) - base;
      codes[i] = static_cast<std::uint8_t>((size < 0 ? 0 : size) | u >> 31 << 7);
    }
  }
  return head;
}

std::uint16_t* heads(const Job& job, std::size_t k) {
  return reinterpret_cast<std::uint16_t*>(static_cast<std::uint8_t*>(job.states[k]) + codes_of(job.n));
}

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
    const auto* codes = static_cast<const std::uint8_t*>(job.states[k]);
    for (std::uint32_t i = 0; i < n; i += group) {
      const std::uint32_t m = n - i < group ? n - i : group;
      load_bits8(codes + first + i, heads(job, k)[(first + i) / group], m, to.states[k] + i);
    }
  }
}

template <class Round>
ADABELIEF_INLINE void narrow(Type type, const float* from, std::uint32_t n, std::uint16_t* to, const Round& round) {
  if (type == Type::bfloat16) {
    for (std::uint32_t i = 0; i < n; ++i) to[i] = to_bfloat16(from[i], round, i);
  } else {
    for (std::uint32_t i = 0; i < n; ++i) to[i] = to_float16(from[i], round, i);
  }
}

ADABELIEF_INLINE void store_weights(const Job& job, std::size_t first, std::uint32_t n, const float* from) {
  if (job.weights_type == Type::float32) return;
  auto* const to = static_cast<std::uint16_t*>(job.weights) + first;
  if (job.rounding == Rounding::nearest) return narrow(job.weights_type, from, n, to, Nearest{});
  if (job.rounding == Rounding::stochastic) {
    Random random;
    random.draw(job, max_states, first, n);
    return narrow(job.weights_type, from, n, to, Half<0>{random.both.data()});
  }
  std::int16_t* const rest = job.remainder + first;
  const bool bfloat16 = job.weights_type == Type::bfloat16;
  for (std::uint32_t i = 0; bfloat16 && i < n; ++i) {
    const Split split = split_bfloat16(from[i]);
    to[i] = split.half, rest[i] = split.rest;
  }
  for (std::uint32_t i = 0; !bfloat16 && i < n; ++i) {
    const Split split = split_float16(from[i]);
    to[i] = split.half, rest[i] = split.rest;
  }
}

template <int shift>
ADABELIEF_INLINE void store_state(const Job& job, std::size_t k, std::size_t first, std::uint32_t n, const float* from,
                                  const Random& random) {
  const Half<shift> half{random.both.data()};
  if (job.state_type == StateType::bfloat16) {
    return narrow(Type::bfloat16, from, n, static_cast<std::uint16_t*>(job.states[k]) + first, half);
  }
  auto* const codes = static_cast<std::uint8_t*>(job.states[k]) + first;
  for (std::uint32_t i = 0; i < n; i += group) {
    const std::uint32_t m = n - i < group ? n - i : group;
    const Half<shift> ahead{half.both + i};
    heads(job, k)[(first + i) / group] = store_bits8(from + i, m, codes + i, [=](std::uint32_t j) {
      return ahead(j) << 4;  // of the 20 bits below a code
    });
  }
}

ADABELIEF_INLINE void store_all(const Job& job, std::size_t first, std::uint32_t n, const Floats& from) {
  store_weights(job, first, n, from.weights);
  if (job.state_type == StateType::full) return;
  Random random;
  for (std::size_t k = 0; k < job.state_count; ++k) {
    if (k % 2 == 0) {
      random.draw(job, k / 2, first, n);
      store_state<0>(job, k, first, n, from.states[k], random);
    } else {
      store_state<16>(job, k, first, n, from.states[k], random);
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
  for (std::size_t first = 0; first < job.n; first += group) {
    const auto n = static_cast<std::uint32_t>(std::min(group, job.n - first));
    if (job.state_type == StateType::bfloat16) {
      detail::widen(Type::bfloat16, job.states[k], first, n, to + first);
    } else {
      const auto* codes = static_cast<const std::uint8_t*>(job.states[k]);
      detail::load_bits8(codes + first, detail::heads(job, k)[first / group], n, to + first);
    }
  }
}

void write_state(const Job& job, std::size_t k, const float* from) {
  for (std::size_t first = 0; first < job.n; first += group) {
    const auto n = static_cast<std::uint32_t>(std::min(group, job.n - first));
    if (job.state_type == StateType::bfloat16) {
      auto* const halves = static_cast<std::uint16_t*>(job.states[k]);
      detail::narrow(Type::bfloat16, from + first, n, halves + first, detail::Nearest{});
    } else {
      auto* const codes = static_cast<std::uint8_t*>(job.states[k]);
      detail::heads(job, k)[first / group] =
          detail::store_bits8(from + first, n, codes + first, [](std::uint32_t) { return 0U; });
    }
  }
}

}  // namespace adabelief::cpu
