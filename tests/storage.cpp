// SPDX-License-Identifier: MIT
// Weights, gradients and states in other forms than float: roundings against plain arithmetic, and what must not depend
// on machine, threads or a break.
#include <bit>
#include <limits>
#include <numeric>
#include <sstream>

#include "every_rule.h"

namespace adabelief::tests {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();

using Halves = std::vector<std::uint16_t>;

Weights halves(Halves& numbers, Type type) { return {numbers.data(), numbers.size(), type}; }

// The value of a bfloat16 or float16, from its definition.
double value(std::uint16_t h, Type type) {
  const int digits = type == Type::bfloat16 ? 7 : 10, bias = type == Type::bfloat16 ? 127 : 15;
  const int exponent = h >> digits & (2 * bias + 1), mantissa = h & ((1 << digits) - 1);
  const double sign = h >> 15 ? -1 : 1;
  if (exponent == 2 * bias + 1) return mantissa ? double(nan) : sign * double(infinity);
  if (exponent == 0) return sign * std::ldexp(mantissa, 1 - bias - digits);
  return sign * std::ldexp(mantissa + (1 << digits), exponent - bias - digits);
}

// The weights 0 less the gradients, as they are kept: how each number is rounded.
Halves rounded(const std::vector<float>& numbers, Type type, Rounding rounding, std::uint64_t seed = 0) {
  Halves x(numbers.size());
  std::vector<float> g(numbers.size());
  std::transform(numbers.begin(), numbers.end(), g.begin(), [](float number) { return -number; });
  AnyOptimizer optimizer = make("sgd", {{"lr", 1}, {"momentum", 0}}, {.weights = rounding, .seed = seed});
  optimizer.add(halves(x, type));
  optimizer.step(g);
  return x;
}

TEST(Storage, EveryHalfIsReadAsItsValue) {
  const Restore restore;
  for (const Type type : {Type::bfloat16, Type::float16}) {
    Halves g(65536);
    std::iota(g.begin(), g.end(), std::uint16_t(0));
    for (const cpu::Isa isa : instruction_sets()) {
      cpu::use(isa);
      std::vector<float> x(g.size());
      AnyOptimizer optimizer = make("sgd", {{"lr", 1}, {"momentum", 0}});
      optimizer.add(x);
      optimizer.step(Gradient(g.data(), g.size(), type));
      for (std::size_t i = 0; i < g.size(); ++i) {
        const double expected = -value(g[i], type);
        ASSERT_TRUE(std::isfinite(expected) ? double(x[i]) == expected : !std::isfinite(x[i]))
            << type_names[int(type)] << " " << i << " by " << testing::PrintToString(isa);
      }
    }
  }
}

// Numbers of all exponents that matter to a type, ties and neighbours of ties among them.
std::vector<float> of_all_kinds(Type type) {
  std::vector<float> all{0,        -0.0F,
                         infinity, -infinity,
                         nan,      std::numeric_limits<float>::max(),
                         65519.0F, 65520.0F,
                         65536.0F, std::numeric_limits<float>::denorm_min()};
  std::mt19937 bits(3);
  for (int h = 0; h < 0x7c00; h += 7) {
    const auto low = static_cast<float>(value(std::uint16_t(h), type)),
               high = static_cast<float>(value(std::uint16_t(h + 1), type));
    const float middle = static_cast<float>(double(low) / 2 + double(high) / 2);
    for (const float v : {low, middle, std::nextafter(middle, 0.0F), std::nextafter(middle, high),
                          low + (high - low) * float(bits() % 1000) / 1000}) {
      all.push_back(v);
      all.push_back(-v);
    }
  }
  return all;
}

TEST(Storage, RoundsToTheNearestAndTiesToEven) {
  const Restore restore;
  for (const Type type : {Type::bfloat16, Type::float16}) {
    const auto numbers = of_all_kinds(type);
    for (const cpu::Isa isa : instruction_sets()) {
      cpu::use(isa);
      const Halves kept = rounded(numbers, type, Rounding::nearest);
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        const double x = numbers[i], y = value(kept[i], type);
        if (!std::isfinite(x)) {
          ASSERT_FALSE(std::isfinite(y));
          continue;
        }
        if (std::isinf(y)) {  // from half a last place above the largest on
          const double largest = value(type == Type::bfloat16 ? 0x7f7f : 0x7bff, type);
          const double before = value(type == Type::bfloat16 ? 0x7f7e : 0x7bfe, type);
          ASSERT_GE(std::abs(x), largest + (largest - before) / 2);
          ASSERT_EQ(std::signbit(x), std::signbit(y));
          continue;
        }
        const double up = value(std::uint16_t(kept[i] + 1), type), down = value(std::uint16_t(kept[i] - 1), type);
        const double off = std::abs(y - x);
        const bool is_zero = (kept[i] & 0x7fff) == 0;
        ASSERT_TRUE(is_zero || off <= std::abs(down - x)) << text(x) << " became " << text(y);
        ASSERT_TRUE(std::isinf(up) || off <= std::abs(up - x)) << text(x) << " became " << text(y);
        const bool tie = off == std::abs(up - x) || (!is_zero && off == std::abs(down - x));
        ASSERT_TRUE(!tie || kept[i] % 2 == 0) << text(x) << " became " << text(y);
      }
    }
  }
}

TEST(Storage, RoundsStochasticallyToNeighboursWithTheRightMean) {
  for (const Type type : {Type::bfloat16, Type::float16}) {
    const double last = type == Type::bfloat16 ? std::ldexp(1, -7) : std::ldexp(1, -10);
    for (const double share : {0.0, 0.1, 0.5, 0.9}) {
      for (const double scale : {1.0, -1.0, std::ldexp(1, -13), type == Type::float16 ? std::ldexp(1, -20) : 1.0}) {
        const double place = std::max(last, std::abs(scale) < 1e-5 ? std::ldexp(1, -4) : 0);  // of a subnormal
        const double x = scale * (1 + share * place);
        const Halves kept = rounded(std::vector<float>(100'000, float(x)), type, Rounding::stochastic, 7);
        double sum = 0;
        for (const std::uint16_t h : kept) {
          ASSERT_LT(std::abs(value(h, type) - x), std::abs(scale) * place) << text(x);
          sum += value(h, type);
        }
        // Six deviations of the mean.
        EXPECT_NEAR(sum / double(kept.size()), x, std::abs(scale) * place * (6 * 0.5 / std::sqrt(1e5) + 2e-4))
            << text(x);
      }
    }
  }
}

TEST(Storage, DrawsOtherRandomBitsForAnotherSeedStepAndTensorOnly) {
  const std::vector<float> numbers(5000, 1.003F);
  EXPECT_EQ(rounded(numbers, Type::bfloat16, Rounding::stochastic, 1),
            rounded(numbers, Type::bfloat16, Rounding::stochastic, 1));
  EXPECT_NE(rounded(numbers, Type::bfloat16, Rounding::stochastic, 1),
            rounded(numbers, Type::bfloat16, Rounding::stochastic, 2));
  Halves x(5000), y(5000);
  std::vector<float> g(5000, -1.003F);
  AnyOptimizer optimizer = make("sgd", {{"lr", 1}, {"momentum", 0}}, {.weights = Rounding::stochastic});
  optimizer.add(halves(x, Type::bfloat16));
  optimizer.add(halves(y, Type::bfloat16));
  optimizer.step({g, g});
  EXPECT_NE(x, y);
  const Halves first = x;
  std::fill(x.begin(), x.end(), 0);
  optimizer.step({g, g});
  EXPECT_NE(x, first);
}

TEST(Storage, APartIsRoundedAsInTheWhole) {
  for (const StateType states : {StateType::full, StateType::bfloat16, StateType::bits8}) {
    const Storage storage{.states = states, .weights = Rounding::stochastic, .seed = 3};
    const Halves start = rounded(values<float>(20'000, 1), Type::bfloat16, Rounding::nearest);
    Halves other(100), whole = start, first(start.begin(), start.begin() + 10'240),
                       second(start.begin() + 10'240, start.end());
    AnyOptimizer unsharded = make("adabelief", {}, storage), one = make("adabelief", {}, storage),
                 two = make("adabelief", {}, storage);
    unsharded.add(halves(other, Type::bfloat16));
    unsharded.add(halves(whole, Type::bfloat16));
    one.add(halves(first, Type::bfloat16)), two.add(halves(second, Type::bfloat16));
    one.set_part(1, 0), two.set_part(1, 10'240);
    for (unsigned t = 1; t <= 4; ++t) {
      const Halves g = rounded(values<float>(start.size(), 100 + t), Type::bfloat16, Rounding::nearest);
      unsharded.step({values<float>(100, t), Gradient(g.data(), g.size(), Type::bfloat16)});
      one.step(Gradient(g.data(), 10'240, Type::bfloat16));
      two.step(Gradient(g.data() + 10'240, g.size() - 10'240, Type::bfloat16));
    }
    first.insert(first.end(), second.begin(), second.end());
    EXPECT_EQ(first, whole) << state_type_names[int(states)];
    auto m = one.state_numbers("exp_avg");
    const auto rest = two.state_numbers("exp_avg");
    m.insert(m.end(), rest.begin(), rest.end());
    EXPECT_EQ(m, unsharded.state_numbers("exp_avg", 1)) << state_type_names[int(states)];
  }
}

template <class Rule>
struct StorageOfEveryRule : testing::Test {
  static const RuleInfo& info() { return RuleEntry<Rule>::info(); }
};
TYPED_TEST_SUITE(StorageOfEveryRule, RuleTypes, RuleName);

TYPED_TEST(StorageOfEveryRule, ExactHalvesFollowTheFloatsBitForBit) {
  for (const Type type : {Type::bfloat16, Type::float16}) {
    const Halves start = rounded(values<float>(5003, 1), type, Rounding::nearest);
    std::vector<float> x(start.size());
    Halves h = start;
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = float(value(h[i], type));
    // With decay the states follow from the weights, and show it where these are not the same.
    const double decay = type == Type::bfloat16 ? 0.1 : 0;
    AnyOptimizer full{Options(this->info(), {{"weight_decay", decay}})},
        exact{Options(this->info(), {{"weight_decay", decay}}), {.weights = Rounding::exact}};
    full.add(x);
    exact.add(halves(h, type));
    for (unsigned t = 1; t <= 20; ++t) {
      const auto g = values<float>(x.size(), 100 + t);
      full.step(g);
      exact.step(g);
    }
    const Halves nearest = rounded(x, type, Rounding::nearest);
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (h[i] == nearest[i]) continue;  // else it is a tie, which is rounded away from zero, or too small
      const double one = std::abs(value(h[i], type) - double(x[i])), other = std::abs(value(nearest[i], type) - x[i]);
      ASSERT_TRUE(one == other || (type == Type::float16 && std::abs(x[i]) < 0x1p-14F && one < 0x1p-24))
          << type_names[int(type)] << " " << i << ": " << x[i] << " became " << value(h[i], type);
    }
    for (const auto name : TypeParam::states) EXPECT_EQ(full.state_numbers(name), exact.state_numbers(name)) << name;
    EXPECT_NE(h, start);
  }
}

TYPED_TEST(StorageOfEveryRule, HasTheSameBitsOnEveryInstructionSetAndThread) {
  const Restore restore;
  struct Case {
    Type type;
    Storage storage;
  };
  for (const auto& [type, storage] :
       {Case{Type::bfloat16, {.states = StateType::bfloat16, .weights = Rounding::stochastic}},
        Case{Type::bfloat16, {.states = StateType::bits8, .weights = Rounding::stochastic}},
        Case{Type::bfloat16, {.states = StateType::bits8, .weights = Rounding::exact}},
        Case{Type::float16, {.states = StateType::bits8, .weights = Rounding::stochastic}},
        Case{Type::float16, {.states = StateType::bfloat16, .weights = Rounding::exact}}}) {
    const auto run = [&, type = type, &storage = storage](const cpu::Executor& executor) {
      Halves x = rounded(values<float>(40'007, 1), type, Rounding::nearest), small(100);
      AnyOptimizer optimizer{Options(this->info(), {{"weight_decay", 0.01}}), storage};
      optimizer.use(executor);
      optimizer.add(halves(small, type));
      optimizer.add(halves(x, type));
      optimizer.fold({.max_norm = 1});
      for (unsigned t = 1; t <= 5; ++t) {
        const Halves g = rounded(values<float>(x.size(), 100 + t), type, Rounding::nearest);
        optimizer.step({Gradient(values<float>(100, t)), Gradient(g.data(), g.size(), type)});
      }
      std::ostringstream out;
      optimizer.save(out);
      return std::pair(x, out.str());
    };
    cpu::use(cpu::Isa::baseline);
    const auto expected = run(cpu::serial);
    for (const cpu::Isa isa : instruction_sets()) {
      cpu::use(isa);
      EXPECT_EQ(run(cpu::serial), expected) << testing::PrintToString(isa);
      for (const int threads : {1, 2, 3}) {
        omp_set_num_threads(threads);
        EXPECT_EQ(run(cpu::openmp), expected) << testing::PrintToString(isa) << ", " << threads << " threads";
      }
    }
  }
}

// Whole groups of such numbers have kernels of their own, which read them as they lie in memory; where the gradient is
// of another type than the weights, or less than a group is left, they are turned into floats first. The result is the
// same.
TYPED_TEST(StorageOfEveryRule, HasTheSameBitsWhereTheGradientIsOfAnotherTypeOrSetToZero) {
  const Restore restore;
  std::vector<float> start = values<float>(5003, 1);
  std::fill_n(start.begin() + 1024, 300, 0.0F);
  for (const StateType states : {StateType::full, StateType::bfloat16, StateType::bits8}) {
    for (const Settings& settings : {Settings{{"weight_decay", 0.01}}, moved(this->info())}) {
      const double max_value = settings.size() == 1 ? infinity : 0.5;
      for (const Type type : {Type::float32, Type::bfloat16}) {
        const auto run = [&](Type gradient_type, bool zero) {
          std::vector<float> floats = start;
          Halves x = rounded(start, Type::bfloat16, Rounding::nearest);
          AnyOptimizer optimizer{Options(this->info(), settings),
                                 {.states = states, .weights = Rounding::stochastic, .seed = 5}};
          optimizer.fold({.max_value = max_value, .zero_gradients = zero});
          optimizer.add(type == Type::float32 ? Weights(floats) : halves(x, type));
          for (unsigned t = 1; t <= 5; ++t) {
            std::vector<float> wide = values<float>(start.size(), 100 + t);
            std::fill_n(wide.begin() + 1024, 300, 0.0F);
            const bool bad = t == 4 && !HasNorms<TypeParam>;  // with norms all weights would be NaN
            wide[2000] = bad ? infinity : 0x1p-130F, wide[3000] = bad ? nan : 0x1p100F;
            Halves g = rounded(wide, Type::bfloat16, Rounding::nearest);
            for (std::size_t i = 0; i < g.size(); ++i) wide[i] = float(value(g[i], Type::bfloat16));
            optimizer.step(gradient_type == Type::float32 ? Gradient(wide)
                                                          : Gradient(g.data(), g.size(), gradient_type));
            const auto is_zero = [](auto number) { return number == 0; };
            EXPECT_EQ(std::ranges::all_of(wide, is_zero) || std::ranges::all_of(g, is_zero), zero);
          }
          for (std::size_t i = 0; type == Type::bfloat16 && i < x.size(); ++i) floats[i] = float(value(x[i], type));
          std::vector<std::uint32_t> bits;
          const auto add = [&](auto numbers) {  // of a NaN nothing but that it is one
            for (const auto number : numbers)
              bits.push_back(std::isnan(number) ? 0x7fc00000 : std::bit_cast<std::uint32_t>(float(number)));
          };
          add(floats);
          for (const auto name : TypeParam::states) add(optimizer.state_numbers(name));
          return bits;
        };
        cpu::use(cpu::Isa::baseline);
        const auto other = type == Type::float32 ? Type::bfloat16 : Type::float32;
        const auto expected = run(other, false);
        for (const cpu::Isa isa : instruction_sets()) {
          cpu::use(isa);
          EXPECT_EQ(run(type, false), expected) << testing::PrintToString(isa) << state_type_names[int(states)];
          EXPECT_EQ(run(type, true), expected) << testing::PrintToString(isa) << state_type_names[int(states)];
        }
      }
    }
  }
}

TYPED_TEST(StorageOfEveryRule, GoesOnFromItsFileAsIfThereHadBeenNoBreak) {
  for (const StateType states : {StateType::full, StateType::bfloat16, StateType::bits8}) {
    for (const Rounding rounding : {Rounding::nearest, Rounding::stochastic, Rounding::exact}) {
      const Storage storage{.states = states, .weights = rounding, .seed = 5};
      Halves x = rounded(values<float>(5000, 1), Type::bfloat16, Rounding::nearest), y;
      AnyOptimizer unbroken{Options(this->info()), storage}, resumed{Options(this->info()), storage};
      unbroken.add(halves(x, Type::bfloat16));
      const auto step = [](AnyOptimizer& optimizer, unsigned t) {
        const Halves g = rounded(values<float>(5000, 100 + t), Type::bfloat16, Rounding::nearest);
        optimizer.step(Gradient(g.data(), g.size(), Type::bfloat16));
      };
      for (unsigned t = 1; t <= 3; ++t) step(unbroken, t);
      std::stringstream file;
      unbroken.save(file);
      y = x;
      resumed.add(halves(y, Type::bfloat16));
      resumed.load(file);
      for (unsigned t = 4; t <= 6; ++t) step(unbroken, t), step(resumed, t);
      EXPECT_EQ(x, y) << state_type_names[int(states)] << ", " << rounding_names[int(rounding)];
    }
  }
}

TEST(Storage, AFileOfWeightsRoundedInOneWayIsReadWhereTheyAreRoundedInAnother) {
  for (const Rounding from : {Rounding::nearest, Rounding::stochastic, Rounding::exact}) {
    for (const Rounding to : {Rounding::nearest, Rounding::stochastic, Rounding::exact}) {
      Halves x = rounded(values<float>(300, 1), Type::bfloat16, Rounding::nearest), y(300);
      AnyOptimizer one = make("adabelief", {}, {.weights = from}), other = make("adabelief", {}, {.weights = to});
      one.add(halves(x, Type::bfloat16)), other.add(halves(y, Type::bfloat16));
      for (unsigned t = 1; t <= 3; ++t) {
        one.step(values<float>(x.size(), 100 + t));
        other.step(values<float>(x.size(), 200 + t));  // leaves a rest, where there is one, which goes
      }
      std::stringstream file;
      one.save(file);
      y = x;
      other.load(file);
      EXPECT_EQ(other.state_numbers("exp_avg_var"), one.state_numbers("exp_avg_var"));
      // From here on it steps as one that never had a rest, or goes on with that of the file.
      Halves z = x;
      AnyOptimizer third = make("adabelief", {}, {.weights = to});
      third.add(halves(z, Type::bfloat16));
      std::stringstream again;
      (from == to ? one : other).save(again);
      third.load(again);
      other.step(values<float>(x.size(), 104)), third.step(values<float>(x.size(), 104));
      EXPECT_EQ(y, z) << rounding_names[int(from)] << " to " << rounding_names[int(to)];
      EXPECT_NE(y, x);
    }
  }
}

TEST(Storage, StatesOf8BitsInMemoryOfTheCallersMustLieAtWholeWords) {
  std::vector<float> x(4096);
  alignas(64) static std::array<std::byte, 2 * 8192> room{};
  AnyOptimizer optimizer = make("adabelief", {}, {.states = StateType::bits8});
  StateMemory memory;
  memory.states[0] = room.data(), memory.states[1] = room.data() + 8193;
  EXPECT_EQ(message<std::invalid_argument>([&] { optimizer.add(x, 0, memory); }),
            "adabelief: the address of the state exp_avg_var in 8 bits must be a multiple of 4");
  memory.states[1] = room.data() + 8192;
  optimizer.add(x, 0, memory);
}

TYPED_TEST(StorageOfEveryRule, TurnsEachFormOfStateIntoEachOther) {
  const std::array forms{StateType::full, StateType::bfloat16, StateType::bits8};
  for (const StateType from : forms) {
    auto x = values<float>(5000, 1);
    AnyOptimizer optimizer{Options(this->info()), {.states = from}};
    optimizer.add(x);
    for (unsigned t = 1; t <= 3; ++t) optimizer.step(values<float>(x.size(), 100 + t));
    std::ostringstream file;
    optimizer.save(file);
    for (const StateType to : forms) {
      AnyOptimizer other{Options(this->info()), {.states = to}};
      other.add(x);
      std::istringstream in(file.str());
      other.load(in);
      EXPECT_EQ(other.steps(), 3);
      for (const auto name : TypeParam::states) {
        const auto a = optimizer.state_numbers(name), b = other.state_numbers(name);
        const double largest = std::abs(
            *std::max_element(a.begin(), a.end(), [](double u, double v) { return std::abs(u) < std::abs(v); }));
        const double relative = to == StateType::full || to == from ? 0 : to == StateType::bfloat16 ? 0x1p-8 : 0x1p-3;
        for (std::size_t i = 0; i < a.size(); ++i) {
          // 16 binades below the largest of a group that has signs, 8 bits end.
          const double least = to == StateType::bits8 && from != to ? largest * 0x1p-14 : 0;
          ASSERT_LE(std::abs(a[i] - b[i]), std::max(relative * std::abs(a[i]), least))
              << state_type_names[int(from)] << " to " << state_type_names[int(to)] << ", " << name << " " << i;
        }
      }
    }
  }
}

TEST(Storage, StatesOf8BitsHaveTheRightMeanAndAreNeverRoundedToZero) {
  // One step from 0: m = 0.1 g and s = 0.001 (0.9 g)^2, over 30 binades of s within each group of 256.
  std::vector<float> g(1 << 18);
  for (std::size_t i = 0; i < g.size(); ++i) g[i] = std::ldexp(i % 3 ? 1.3F : -1.7F, -static_cast<int>(i % 256 / 17));
  std::vector<float> x(g.size()), y(g.size());
  AnyOptimizer full = make("adabelief", {{"eps", 0}}),
               low = make("adabelief", {{"eps", 0}}, {.states = StateType::bits8});
  full.add(x), low.add(y);
  full.step(g), low.step(g);
  EXPECT_EQ(full.state_bytes(), 8 * g.size());
  EXPECT_EQ(low.state_bytes(), 2 * (g.size() + 2 * (g.size() / 256)));
  for (const char* name : {"exp_avg", "exp_avg_var"}) {
    const auto exact = full.state_numbers(name), kept = low.state_numbers(name);
    std::array<double, 256> sums{};
    for (std::size_t i = 0; i < g.size(); ++i) {
      ASSERT_LT(std::abs(kept[i] - exact[i]), std::abs(exact[i]) / 8 + 1e-30) << name << " " << i;
      ASSERT_NE(kept[i], 0) << name << " " << i;
      sums[i % 256] += kept[i] / exact[i];
    }
    for (const double sum : sums) EXPECT_NEAR(sum / double(g.size() / 256), 1, 0.0125) << name;  // six deviations
  }
}

TEST(Storage, AWeightThatIsSetToZeroIsZeroWhateverItsRest) {
  for (const Type type : {Type::bfloat16, Type::float16}) {
    Halves x = rounded(values<float>(300, 1), type, Rounding::nearest);
    AnyOptimizer optimizer = make("adabelief", {}, {.weights = Rounding::exact});
    optimizer.add(halves(x, type));
    for (unsigned t = 1; t <= 5; ++t) optimizer.step(values<float>(x.size(), 100 + t));
    std::fill(x.begin(), x.end(), 0);
    optimizer.step(values<float>(x.size(), 106));
    for (const std::uint16_t h : x) ASSERT_LT(std::abs(value(h, type)), 0.1);
  }
}

TEST(Storage, ANaNInStatesOf8BitsMakesNaNOfItsGroupAndOfNoOther) {
  for (const std::uint32_t bits : {0x7fc00000u, 0xffffffffu, 0x7f800000u}) {
    std::vector<float> x(5000, 1), g(5000, 1);
    g[300] = std::bit_cast<float>(bits);
    AnyOptimizer optimizer = make("adabelief", {}, {.states = StateType::bits8});
    optimizer.add(x);
    optimizer.step(g);
    const auto m = optimizer.state_numbers("exp_avg");
    for (std::size_t i = 0; i < m.size(); ++i) ASSERT_EQ(std::isnan(m[i]), i / 256 == 1) << i;
  }
}

TEST(Storage, ASecondMomentKeepsItsMeanOverThousandsOfSteps) {
  // Of which each adds a small part of a last place: eps alone, and noise.
  for (const float noise : {0.0F, 0.1F}) {
    const auto moment = [&](StateType form) {
      std::vector<float> x(8192), g(x.size());
      AnyOptimizer optimizer = make("adabelief", {{"lr", 0}}, {.states = form});
      optimizer.add(x);
      std::mt19937 bits(1);
      for (int t = 0; t < 3000; ++t) {
        for (float& one : g) one = noise * (float(bits() >> 8) * 0x1p-23F - 1);
        optimizer.step(g);
      }
      const auto s = optimizer.state_numbers("exp_avg_var");
      return std::accumulate(s.begin(), s.end(), 0.0) / double(s.size());
    };
    const double full = moment(StateType::full);
    EXPECT_NEAR(moment(StateType::bfloat16) / full, 1, 0.005);
    EXPECT_NEAR(moment(StateType::bits8) / full, 1, 0.01);
  }
}

TEST(Storage, SmallTensorsKeepFloatStateWhereOthersHave8Bits) {
  std::vector<float> small(4095), large(4096);
  AnyOptimizer optimizer = make("adabelief", {}, {.states = StateType::bits8});
  optimizer.add(small);
  optimizer.add(large);
  EXPECT_EQ(optimizer.state("exp_avg", 0).size, 4095U);
  EXPECT_EQ(message<std::invalid_argument>([&] { optimizer.state("exp_avg", 1); }),
            "adabelief: the states are kept in 8bit; state_numbers gives their numbers");
}

TEST(Storage, AGradientMayBeOfAnotherTypeThanItsWeightsIfBothAreComputedInFloat) {
  for (const Type type : {Type::bfloat16, Type::float16}) {
    const Halves g = rounded(values<float>(3000, 2), type, Rounding::nearest);
    std::vector<float> wide(g.size());
    for (std::size_t i = 0; i < g.size(); ++i) wide[i] = float(value(g[i], type));
    auto x = values<float>(g.size(), 1), y = x;
    AnyOptimizer a = make("adabelief"), b = make("adabelief");
    a.add(x), b.add(y);
    a.fold({.max_norm = 1}), b.fold({.max_norm = 1});
    for (int t = 0; t < 3; ++t) {
      a.step(Gradient(g.data(), g.size(), type));
      b.step(wide);
    }
    EXPECT_TRUE(same(x, y));
    EXPECT_EQ(a.folded().norm(), b.folded().norm());
  }
}

TEST(Storage, RefusesWhatIsNotComputedInFloat) {
  std::vector<double> x(5000);
  AnyOptimizer optimizer = make("adabelief", {}, {.states = StateType::bfloat16});
  EXPECT_EQ(message<std::invalid_argument>([&] { optimizer.add(x); }),
            "adabelief: states in bfloat16 are for weights that are computed in float, got float64");
  AnyOptimizer plain = make("adabelief");
  plain.add(x);
  EXPECT_EQ(message<std::invalid_argument>([&] { plain.step(std::vector<float>(5000)); }),
            "adabelief: gradient 0 must be as its weights, 5000 of float64, got 5000 of float32");
}

TEST(Storage, MinimizesANoisyQuadraticAsWellAsFloats) {
  // The distance that is left after 3,000 steps, over 20,000 weights, of each form.
  const auto left = [](const Storage& storage, bool half) {
    constexpr std::size_t n = 20'000;
    std::vector<float> x(n, 1);
    Halves h(n, 0x3f80);
    AnyOptimizer optimizer = make("adabelief", {{"lr", 1e-3}, {"eps", 1e-12}}, storage);
    half ? optimizer.add(halves(h, Type::bfloat16)) : optimizer.add(x);
    std::mt19937 bits(1);
    std::vector<float> g(n);
    double sum = 0;
    for (int t = 1; t <= 3000; ++t) {
      for (std::size_t i = 0; i < n; ++i) {
        const float at = half ? float(value(h[i], Type::bfloat16)) : x[i];
        g[i] = at + 0.1F * (float(bits() >> 8) * 0x1p-23F - 1);
        if (t > 2900) sum += std::abs(at) / double(100 * n);
      }
      optimizer.step(g);
    }
    return sum;
  };
  const double full = left({}, false);
  EXPECT_LT(full, 0.05);
  EXPECT_NEAR(left({.states = StateType::bfloat16}, false) / full, 1, 0.05);
  EXPECT_NEAR(left({.states = StateType::bits8}, false) / full, 1, 0.1);
  EXPECT_NEAR(left({.weights = Rounding::exact}, true) / full, 1, 0.05);
  EXPECT_NEAR(left({.states = StateType::bits8, .weights = Rounding::exact}, true) / full, 1, 0.1);
}

}  // namespace
}  // namespace adabelief::tests
