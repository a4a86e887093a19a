// SPDX-License-Identifier: MIT
// Numbers between their form in memory and floats: integer operations and exact float operations alone, so that the
// bits are the same everywhere, and loops without branches, so that the compiler makes lanes of them.
//
// bfloat16 is the upper half of a float's bits. float16 has an exponent of 5 bits and a mantissa of 10.
//
// A state of 8 bits is kept in groups of 256 elements with a head of 16 bits each. A code is cut from the float's own
// bits: 3 bits of mantissa, and of the exponent its distance from the group's largest element. Where all of a group is
// >= 0, as of a second moment, 255 codes reach 32 binades down, and what is not zero never becomes zero; else there is
// a sign, and 127 codes reach 16 binades down to zero. The codes of the elements i, i + 64, i + 128 and i + 192 are the
// bytes of word i, lowest first: lanes of 32 bits take them apart by shifts, and nothing is moved between lanes.
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

// The key of the random bits of a job's states 2 pair and 2 pair + 1, or of its weights, from its element `first` on:
// those of element first + i are hash(i + key). After 2^32 elements they come again.
ADABELIEF_INLINE std::uint32_t random_key(const Job& job, std::size_t pair, std::size_t first) {
  std::uint64_t z = job.key + 0x9e3779b97f4a7c15 * (pair + 1);  // SplitMix64
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
  z = (z ^ z >> 27) * 0x94d049bb133111eb;
  return static_cast<std::uint32_t>((z ^ z >> 31) + job.offset + first);
}

struct Nearest {};

ADABELIEF_INLINE float from_bfloat16(std::uint16_t h) { return number(std::uint32_t(h) << 16); }

// u >> 16 after `added`, but of a number that is not finite.
ADABELIEF_INLINE std::uint16_t upper(std::uint32_t u, std::uint32_t added) {
  const std::uint32_t special = u >> 16 | ((u & magnitude) > infinity ? 0x40 : 0);
  return static_cast<std::uint16_t>((u & infinity) == infinity ? special : (u + added) >> 16);
}
ADABELIEF_INLINE std::uint16_t to_bfloat16(float x, Nearest) { return upper(bits(x), 0x7fff + (bits(x) >> 16 & 1)); }
// Up where the rest and `random`, below 2^16, reach 2^16. A NaN, which arithmetic made, may be the largest number.
ADABELIEF_INLINE std::uint16_t to_bfloat16(float x, std::uint32_t random) {
  const std::uint32_t u = bits(x);
  return static_cast<std::uint16_t>((u + ((u & magnitude) > infinity ? 0 : random)) >> 16);
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
ADABELIEF_INLINE std::uint16_t to_float16(float x, Nearest) {
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
  const std::uint16_t half = to_float16(x, Nearest{});
  const float kept = from_float16(half), rest = (x - kept) / unit16(kept);
  const bool special = (half & 0x7c00) == 0x7c00;
  return {half, static_cast<std::int16_t>(static_cast<std::int32_t>(special ? 0.0F : rest))};
}
ADABELIEF_INLINE float join_float16(std::uint16_t half, std::int16_t rest) {
  const float kept = from_float16(half);
  return kept + static_cast<float>(rest) * unit16(kept);
}

constexpr std::size_t quarter = group / 4;  // the words of a group

// A state of 8 bits, from the group of element `first` on.
struct Group {
  std::uint32_t* words;
  std::uint16_t* head;

  ADABELIEF_INLINE Group(const Job& job, std::size_t k, std::size_t first)
      : words(static_cast<std::uint32_t*>(job.states[k]) + first / 4),
        head(reinterpret_cast<std::uint16_t*>(static_cast<std::uint8_t*>(job.states[k]) + codes_of(job.n)) +
             first / group) {}
};

// The largest of a group's numbers, as unsigned and as signed ones: of the negative, if any, and of the others.
struct Largest {
  std::uint32_t of_all = 0;
  std::int32_t of_positive = 0;

  ADABELIEF_INLINE void add(float x) {
    const auto positive = std::bit_cast<std::int32_t>(x);
    of_all = of_all < bits(x) ? bits(x) : of_all;
    of_positive = of_positive < positive ? positive : of_positive;
  }
  ADABELIEF_INLINE bool has_signs() const { return of_all > magnitude; }
  ADABELIEF_INLINE std::uint32_t size() const {
    return std::max(of_all & magnitude, static_cast<std::uint32_t>(of_positive));
  }
};

// A head is the exponent, and 3 bits of mantissa, of its group's largest number rounded up, and whether there are
// signs.
constexpr std::uint32_t no_sign = 0x8000, all_nan = 0x7fc00000 >> 20 | no_sign;
ADABELIEF_INLINE std::uint16_t head_of(const Largest& largest) {
  return static_cast<std::uint16_t>((largest.size() + 0xfffff) >> 20 | (largest.has_signs() ? 0 : no_sign));
}

// The codes of a group, in the uppermost byte of a word.
template <bool has_signs>
struct Codes {
  static constexpr std::uint32_t size = has_signs ? 0x7f00000 : 0xff00000, sign = has_signs ? 0x80000000 : 0;

  std::uint32_t base;  // what a float's bits are above its code's

  ADABELIEF_INLINE explicit Codes(std::uint32_t head) {
    const std::uint32_t largest = (head & 0x7ff) << 20;
    base = largest < size ? 0 : largest - size;
  }
  ADABELIEF_INLINE float decode(std::uint32_t word) const {
    const std::uint32_t at = word >> 4 & size;
    return number((at == 0 ? 0 : at + base) | (word & sign));
  }
  // With random bits below 2^20 (0: towards zero).
  ADABELIEF_INLINE std::uint32_t encode(float x, std::uint32_t random) const {
    const std::uint32_t above = (bits(x) & ~sign) + random, least = has_signs ? base : base + (1 << 20);
    const std::uint32_t at = (above < least ? least : above) - base;
    return ((has_signs || bits(x) != 0 ? at : 0) << 4 | (bits(x) & sign)) & 0xff000000;
  }
};

// Calls f(std::true_type) or f(std::false_type).
template <class F>
ADABELIEF_INLINE void as_type(bool value, F f) {
  if (value) {
    f(std::true_type{});
  } else {
    f(std::false_type{});
  }
}
#define ADABELIEF_INLINE_LAMBDA __attribute__((always_inline))

ADABELIEF_INLINE void load_group(const Group& from, float* to) {
  as_type((*from.head & no_sign) == 0, [&](auto has_signs) ADABELIEF_INLINE_LAMBDA {
    const Codes<has_signs> codes(*from.head);
    for (std::size_t i = 0; i < quarter; ++i) {
      const std::uint32_t word = from.words[i];
      to[i] = codes.decode(word << 24), (to + quarter)[i] = codes.decode(word << 16);
      (to + 2 * quarter)[i] = codes.decode(word << 8), (to + 3 * quarter)[i] = codes.decode(word);
    }
  });
}

// The random bits that a word's four codes are rounded with.
struct Random {
  std::uint32_t key;

  ADABELIEF_INLINE std::uint32_t first(std::uint32_t i) const { return hash(i + key); }
  ADABELIEF_INLINE std::uint32_t next(std::uint32_t random) const {  // Press et al., Numerical Recipes, section 7.1
    return random * 1664525 + 1013904223;
  }
};
struct Down {
  ADABELIEF_INLINE std::uint32_t first(std::uint32_t) const { return 0; }
  ADABELIEF_INLINE std::uint32_t next(std::uint32_t) const { return 0; }
};

// The codes of a group of one state, or of each of two, whose random bits are the parts of one number.
template <class Round, std::size_t count, bool... has_signs>
ADABELIEF_INLINE void store_codes(const std::array<const float*, count>& from, const std::array<Group, count>& to,
                                  const Round& round, const Codes<has_signs>&... codes) {
#pragma GCC ivdep
  for (std::uint32_t i = 0; i < quarter; ++i) {
    std::array<std::uint32_t, count> words{};
    std::uint32_t random = round.first(i);
    const auto add = [&](std::uint32_t start) ADABELIEF_INLINE_LAMBDA {
      std::size_t k = 0;
      ((words[k] = words[k] >> 8 | codes.encode((from[k] + start)[i], k == 0 ? random & 0xfffff : random >> 12), ++k),
       ...);
      random = round.next(random);
    };
    add(0), add(quarter), add(2 * quarter), add(3 * quarter);
    for (std::size_t k = 0; k < count; ++k) to[k].words[i] = words[k];
  }
}

template <class Round, std::size_t count>
ADABELIEF_INLINE void store_groups(const std::array<const float*, count>& from, const std::array<Group, count>& to,
                                   const Round& round) {
  std::array<Largest, count> largest{};
  for (std::size_t k = 0; k < count; ++k) {
    for (std::size_t i = 0; i < group; ++i) largest[k].add(from[k][i]);
    *to[k].head = head_of(largest[k]);
  }
  as_type(largest[0].has_signs(), [&](auto first) ADABELIEF_INLINE_LAMBDA {
    if constexpr (count == 1) {
      store_codes(from, to, round, Codes<first>(*to[0].head));
    } else {
      as_type(largest[1].has_signs(), [&](auto second) ADABELIEF_INLINE_LAMBDA {
        store_codes(from, to, round, Codes<first>(*to[0].head), Codes<second>(*to[1].head));
      });
    }
  });
  for (std::size_t k = 0; k < count; ++k) {
    if (largest[k].size() < infinity) continue;
    std::memset(to[k].words, 255, group);  // all of it is NaN, so that it shows
    *to[k].head = all_nan;
  }
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
    if (bfloat16) return narrow(n, to, [=](std::uint32_t i) { return to_bfloat16(from[i], Nearest{}); });
    return narrow(n, to, [=](std::uint32_t i) { return to_float16(from[i], Nearest{}); });
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
      ((halves[k][i] = to_bfloat16(floats[k][i], k == 0 ? random & 0xffff : random >> 16)), ...);
    }
    return;
  }
  for (std::uint32_t i = 0; i < n; i += group) {
    if (n - i < group) ((std::fill_n(from.states[state + k] + n, group - (n - i), 0.0F)), ...);
    store_groups(std::array{static_cast<const float*>(from.states[state + k] + i)...},
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
    for (std::size_t i = 0; i < job.n; ++i) halves[i] = detail::to_bfloat16(from[i], detail::Nearest{});
    return;
  }
  for (std::size_t first = 0; first < job.n; first += group) {
    std::array<float, group> numbers{};
    std::copy_n(from + first, std::min(group, job.n - first), numbers.begin());
    detail::store_groups(std::array<const float*, 1>{numbers.data()}, std::array{detail::Group(job, k, first)},
                         detail::Down{});
  }
}

}  // namespace adabelief::cpu
