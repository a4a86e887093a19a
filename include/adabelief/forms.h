// SPDX-License-Identifier: MIT
// bfloat16 and states of 8 bits as floats: integer operations and exact float operations alone, so that the bits are
// the same everywhere, and loops without branches, so that the compiler makes lanes of them.
//
// bfloat16 is the upper half of a float's bits.
//
// A state of 8 bits is kept in groups of 256 elements with a head of 16 bits each. A code is cut from the float's own
// bits: 3 bits of mantissa, and of the exponent its distance from the group's largest element. Where all of a group is
// >= 0, as of a second moment, 255 codes reach 32 binades down, and what is not zero never becomes zero; else there is
// a sign, and 127 codes reach 16 binades down to zero. The codes of the elements i, i + 64, i + 128 and i + 192 are the
// bytes of word i, lowest first: lanes of 32 bits take them apart by shifts, and nothing is moved between lanes.
//
// What does not fit is rounded stochastically, up with the probability of the rest, so that many small changes are not
// lost: hash(index + key) is the random number, whoever computes it.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "adabelief/cpu.h"

// What gets an array must be inlined before the compiler takes arrays apart; gnu::flatten, which inlines the rest of a
// kernel, comes later.
#define ADABELIEF_INLINE [[gnu::always_inline]] inline
#define ADABELIEF_INLINE_LAMBDA __attribute__((always_inline))

namespace adabelief::cpu::detail {

ADABELIEF_INLINE std::uint32_t bits(float value) { return std::bit_cast<std::uint32_t>(value); }
ADABELIEF_INLINE float number(std::uint32_t bits) { return std::bit_cast<float>(bits); }

// Asks for the memory from `at` on. The processor fetches ahead only what a loop reads, not far, and of few places at
// once. A little at a time, or these loads would hold up those of the loop.
ADABELIEF_INLINE void fetch(const void* at, std::size_t bytes) {
  for (std::size_t b = 0; b < bytes; b += 64) __builtin_prefetch(static_cast<const char*>(at) + b, 0, 2);
}

inline constexpr std::uint32_t infinity = 0x7f800000, magnitude = 0x7fffffff;

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

ADABELIEF_INLINE float from_bfloat16(std::uint16_t h) { return number(std::uint32_t(h) << 16); }

// Up where the rest and `random`, below 2^16, reach 2^16. A NaN, which arithmetic made, may be the largest number.
ADABELIEF_INLINE std::uint16_t to_bfloat16(float x, std::uint32_t random) {
  const std::uint32_t u = bits(x);
  return static_cast<std::uint16_t>((u + ((u & magnitude) > infinity ? 0 : random)) >> 16);
}

// A float, or bfloat16, as a float, and a float as one of them.
ADABELIEF_INLINE float as_float(float x) { return x; }
ADABELIEF_INLINE float as_float(std::uint16_t h) { return from_bfloat16(h); }
ADABELIEF_INLINE void keep(float& to, float x, std::uint32_t) { to = x; }
ADABELIEF_INLINE void keep(std::uint16_t& to, float x, std::uint32_t random) { to = to_bfloat16(x, random); }

inline constexpr std::size_t quarter = group / 4;  // the words of a group

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
inline constexpr std::uint32_t no_sign = 0x8000, all_nan = 0x7fc00000 >> 20 | no_sign;
ADABELIEF_INLINE std::uint16_t head_of(const Largest& largest) {
  return static_cast<std::uint16_t>((largest.size() + 0xfffff) >> 20 | (largest.has_signs() ? 0 : no_sign));
}

// The codes of a group, in the uppermost byte of a word.
class Codes {
 public:
  ADABELIEF_INLINE explicit Codes(std::uint32_t head) {
    const bool has_signs = (head & no_sign) == 0;
    const std::uint32_t largest = (head & 0x7ff) << 20;
    size_ = has_signs ? 0x7f00000 : 0xff00000, sign_ = has_signs ? sign : 0;
    base_ = largest < size_ ? 0 : largest - size_;
    least_ = has_signs ? base_ : base_ + (1 << 20);
  }
  ADABELIEF_INLINE float decode(std::uint32_t word) const {
    const std::uint32_t at = word >> 4 & size_;
    return number((at == 0 ? 0 : at + base_) | (word & sign_));
  }
  // With random bits below 2^20 (0: towards zero).
  template <bool has_signs>
  ADABELIEF_INLINE std::uint32_t encode(float x, std::uint32_t random, std::bool_constant<has_signs>) const {
    const std::uint32_t above = (has_signs ? bits(x) & magnitude : bits(x)) + random;
    const std::uint32_t at = (above < least_ ? least_ : above) - base_;
    return ((has_signs || bits(x) != 0 ? at : 0) << 4 | (has_signs ? bits(x) & sign : 0)) & 0xff000000;
  }

 private:
  static constexpr std::uint32_t sign = 0x80000000;

  std::uint32_t size_, sign_;  // what of a word is a code, 4 bits further up, and what is a sign
  std::uint32_t base_;         // what a float's bits are above its code's
  std::uint32_t least_;        // of a float that is not zero
};

// What the first (0) and the second (1) of two states get of the random number that they share.
template <int width>
ADABELIEF_INLINE std::uint32_t share(std::uint32_t random, std::size_t k) {
  return k % 2 == 0 ? random & ((1u << width) - 1) : random >> (32 - width);
}

// Calls f(element, what shifts its code to the top) for the elements of word i.
template <class F>
ADABELIEF_INLINE void each_of_word(std::uint32_t i, F f) {
  f(i, 24), f(i + quarter, 16), f(i + 2 * quarter, 8), f(i + 3 * quarter, 0);
}

// The random bits that a word's four codes are rounded with.
struct Random {
  std::uint32_t key;

  ADABELIEF_INLINE std::uint32_t first(std::uint32_t i) const { return hash(i + key); }
  ADABELIEF_INLINE std::uint32_t next(std::uint32_t random) const {  // Press et al., Numerical Recipes, section 7.1
    return random * 1664525 + 1013904223;
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

// The codes of a group of one state, or of each of two, whose random bits are the parts of one number.
template <class Round, std::size_t count, class... HasSigns>
ADABELIEF_INLINE void store_codes(const std::array<const float*, count>& from, const std::array<Group, count>& to,
                                  const std::array<Codes, count>& codes, const Round& round, HasSigns... has_signs) {
#pragma GCC ivdep
  for (std::uint32_t i = 0; i < quarter; ++i) {
    std::array<std::uint32_t, count> words{};
    std::uint32_t random = round.first(i);
    each_of_word(i, [&](std::uint32_t j, int) ADABELIEF_INLINE_LAMBDA {
      std::size_t k = 0;
      ((words[k] = words[k] >> 8 | codes[k].encode(from[k][j], share<20>(random, k), has_signs), ++k), ...);
      random = round.next(random);
    });
    for (std::size_t k = 0; k < count; ++k) to[k].words[i] = words[k];
  }
}

template <class Round, std::size_t count>
ADABELIEF_INLINE void store_groups(const std::array<const float*, count>& from, const std::array<Group, count>& to,
                                   const std::array<Largest, count>& largest, const Round& round) {
  for (std::size_t k = 0; k < count; ++k) *to[k].head = head_of(largest[k]);
  as_type(largest[0].has_signs(), [&](auto first) ADABELIEF_INLINE_LAMBDA {
    if constexpr (count == 1) {
      store_codes(from, to, std::array{Codes(*to[0].head)}, round, first);
    } else {
      as_type(largest[1].has_signs(), [&](auto second) ADABELIEF_INLINE_LAMBDA {
        store_codes(from, to, std::array{Codes(*to[0].head), Codes(*to[1].head)}, round, first, second);
      });
    }
  });
  for (std::size_t k = 0; k < count; ++k) {
    if (largest[k].size() < infinity) continue;
    std::memset(to[k].words, 255, group);  // all of it is NaN, so that it shows
    *to[k].head = all_nan;
  }
}

}  // namespace adabelief::cpu::detail
