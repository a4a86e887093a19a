// SPDX-License-Identifier: MIT
// What holds for every rule: its kernels against the oracle, and the properties of a step.
#include <sys/mman.h>
#include <unistd.h>

#include <bit>
#include <cstring>
#include <limits>

#include "adabelief/oracle.h"
#include "every_rule.h"

namespace adabelief::tests {
namespace {

template <class Rule>
struct EveryRule : testing::Test {
  static const RuleInfo& info() { return RuleEntry<Rule>::info(); }
};
TYPED_TEST_SUITE(EveryRule, RuleTypes, RuleName);

TYPED_TEST(EveryRule, InDoubleHasTheOraclesBitsOnEveryInstructionSet) {
  const Restore restore;
  const auto start = values<double>(1003, 1);
  for (const cpu::Isa isa : instruction_sets()) {
    cpu::use(isa);
    for (const Settings& settings : variants(this->info())) {
      const Options options(this->info(), settings);
      Oracle<TypeParam> oracle(options, start);
      auto x = start;
      AnyOptimizer optimizer(options);
      optimizer.add(x);
      for (unsigned t = 1; t <= 20; ++t) {
        const auto g = values<double>(x.size(), 100 + t);
        oracle.step(g);
        optimizer.step(g);
      }
      ASSERT_TRUE(same(x, oracle.x)) << testing::PrintToString(isa);
      for (std::size_t k = 0; k < TypeParam::states.size(); ++k) {
        ASSERT_TRUE(same(state<double>(optimizer, TypeParam::states[k]), std::span<const double>(oracle.states[k])))
            << testing::PrintToString(isa) << " " << TypeParam::states[k];
      }
      ASSERT_FALSE(same(x, start));
    }
  }
}

// A number and a bound on how far float arithmetic may have left it. A formula that runs on it derives its own bound:
// an operation rounds once, by at most 2^-24 of its result, and passes on what its operands had lost; cancellation
// shows as a bound that stays while the value shrinks. The value's own rounding, 2^-53, is far below that.
struct Bounded {
  double value = 0, bound = 0;

  Bounded() = default;
  Bounded(double value, double bound = 0) : value(value), bound(bound) {}

  static Bounded rounded(Bounded again) { return rounded(again.value, again.bound); }
  static Bounded rounded(double value, double inherited = 0) {
    constexpr double half_ulp = 0x1.001p-24, half_least = 0x1p-150;
    if (value == 0 && inherited == 0) return {};
    return {value, inherited + half_ulp * (std::abs(value) + inherited) + half_least};
  }
  friend Bounded operator+(Bounded a, Bounded b) { return rounded(a.value + b.value, a.bound + b.bound); }
  friend Bounded operator-(Bounded a, Bounded b) { return rounded(a.value - b.value, a.bound + b.bound); }
  friend Bounded operator-(Bounded a) { return {-a.value, a.bound}; }
  friend Bounded operator*(Bounded a, Bounded b) {
    return rounded(a.value * b.value, std::abs(a.value) * b.bound + std::abs(b.value) * a.bound + a.bound * b.bound);
  }
  friend Bounded operator/(Bounded a, Bounded b) {
    const double q = a.value / b.value, least = std::abs(b.value) - b.bound;
    return rounded(q, least > 0 ? (a.bound + std::abs(q) * b.bound) / least : std::numeric_limits<double>::infinity());
  }
  friend Bounded sqrt(Bounded a) {
    const double root = std::sqrt(a.value), widest = std::sqrt(a.bound);
    return rounded(root, root > 0 ? std::min(a.bound / root, widest) : widest);
  }
  friend Bounded max(Bounded a, Bounded b) {
    if (std::isnan(a.value)) return b;  // 0 / 0 of exact zeros, which floats have too
    return {adabelief::max(a.value, b.value), std::max(a.bound, b.bound)};
  }
  friend Bounded min(Bounded a, Bounded b) { return {adabelief::min(a.value, b.value), std::max(a.bound, b.bound)}; }
  friend Bounded powr(Bounded v, Bounded p) {  // two ulps, and what v and p had lost
    const double power = adabelief::powr(v.value, p.value), least = v.value - v.bound;
    if (v.value == 0 && v.bound == 0) return {};
    const double slope = least > 0 ? p.value * power / least : std::numeric_limits<double>::infinity();
    return rounded(rounded(rounded(rounded(power, slope * v.bound + power * std::abs(std::log(v.value)) * p.bound))));
  }
  friend bool operator==(Bounded a, Bounded b) { return a.value == b.value && a.bound == 0 && b.bound == 0; }
  friend Bounded sign(Bounded a) {
    return {adabelief::sign(a.value), a.bound < std::abs(a.value) || a.bound == 0 ? 0. : 2.};
  }
};

TYPED_TEST(EveryRule, InFloatIsWithinTheRoundingsOfItsFormula) {
  constexpr std::size_t n = 103;
  for (const Settings& settings : variants(this->info())) {
    const Options options(this->info(), settings);
    auto x = values<float>(n, 1);
    AnyOptimizer optimizer(options);
    optimizer.add(x);

    std::vector<Bounded> exact(x.begin(), x.end());
    std::array<std::array<Bounded, n>, TypeParam::states.size()> states{};
    constexpr std::size_t count = sizeof(typename TypeParam::template Scalars<Bounded>) / sizeof(Bounded);
    for (unsigned t = 1; t <= 20; ++t) {
      const auto gradient = values<float>(n, 100 + t);
      optimizer.step(gradient);

      using Scalars = typename TypeParam::template Scalars<Bounded>;
      const auto scalars = this->info().scalars(options.values().data(), t);
      std::array<Bounded, count> wide, narrow;
      std::copy_n(scalars.begin(), count, wide.begin());
      const auto narrowed = [&] {
        for (std::size_t i = 0; i < count; ++i) narrow[i] = Bounded::rounded(wide[i]);
        return std::bit_cast<Scalars>(narrow);
      };
      Scalars c = narrowed();
      const auto decayed = options.decayed();
      const Bounded coupled = Bounded::rounded(decayed.coupled), lost = Bounded::rounded(decayed.lost);
      std::array<Bounded, n> g;
      for (std::size_t i = 0; i < n; ++i) {
        g[i] = gradient[i] + coupled * exact[i];
        exact[i] = exact[i] - lost * exact[i];
      }
      if constexpr (HasNorms<TypeParam>) {  // a norm moves by no more than the norm of what its elements move by
        std::array<Bounded, TypeParam::norms.size()> norms;
        for (std::size_t i = 0; i < n; ++i) {
          const auto all =
              std::apply([&](auto&... s) { return TypeParam::measure(c, exact[i], g[i], s[i]...); }, states);
          for (std::size_t k = 0; k < norms.size(); ++k) {
            norms[k] = {std::hypot(norms[k].value, all[k].value), std::hypot(norms[k].bound, all[k].bound)};
          }
        }
        wide = std::bit_cast<decltype(wide)>(TypeParam::with_norms(std::bit_cast<Scalars>(wide), norms));
        c = narrowed();
      }
      for (std::size_t i = 0; i < n; ++i) {
        std::apply([&](auto&... s) { TypeParam::update(c, exact[i], g[i], s[i]...); }, states);
        ASSERT_LE(std::abs(x[i] - exact[i].value), exact[i].bound) << "step " << t << ", weight " << i;
      }
    }
    // A bound that holds anything would say nothing: 20 steps of a dozen operations lose four of seven digits at worst,
    // of the tensor's norm where that is what a step is a share of.
    for (std::size_t i = 0; i < n; ++i) {
      const double scale = HasNorms<TypeParam> ? 3.0 : 1.0;
      EXPECT_LT(exact[i].bound, 1e-3 * std::max(scale, std::abs(exact[i].value))) << "weight " << i;
    }
  }
}

// n numbers at an odd place, NaN before and after.
template <class T>
class Padded {
 public:
  explicit Padded(std::size_t capacity) : memory_(capacity + 2 * margin) {}

  T* put(std::span<const T> numbers, std::size_t offset) {
    std::fill(memory_.begin(), memory_.end(), std::numeric_limits<T>::quiet_NaN());
    T* const start = memory_.data() + margin + offset;
    std::copy(numbers.begin(), numbers.end(), start);
    return start;
  }
  bool operator==(const Padded& other) const {
    return std::memcmp(memory_.data(), other.memory_.data(), memory_.size() * sizeof(T)) == 0;
  }

 private:
  static constexpr std::size_t margin = 32;  // elements: more than the widest lanes may overrun
  std::vector<T> memory_;
};

TYPED_TEST(EveryRule, GivesTheSameBitsForEveryLengthAlignmentAndInstructionSetAndNothingBeyond) {
  constexpr std::size_t lanes = 16, longest = 3 * lanes + 2, buffers = TypeParam::states.size() + 2;
  const auto check = [&]<class T>(const Options& options, double limit) {
    // Buffer 0 is the weights, 1 the gradient, the others the states, here from a step before this one.
    const auto job_of = [&](const std::array<T*, buffers>& at, std::size_t n, double t,
                            double limit = std::numeric_limits<double>::infinity()) {
      cpu::Job job{nullptr, at[0], at[1], {}, n, options.decayed().coupled, options.decayed().lost, {}};
      for (std::size_t k = 2; k < buffers; ++k) job.states[k - 2] = at[k];
      job.scalars = this->info().scalars(options.values().data(), t);
      job.limit = limit;
      return job;
    };
    const auto& kernels = this->info().kernels[int(type_of<T>)];
    std::array<std::vector<T>, buffers> before, after;
    std::array<T*, buffers> at;
    for (std::size_t b = 0; b < buffers; ++b) {
      before[b] = b < 2 ? values<T>(longest, 1 + unsigned(b)) : std::vector<T>(longest);
      at[b] = before[b].data();
    }
    kernels[0](job_of(at, longest, 1), 0, longest);
    after = before;
    for (std::size_t b = 0; b < buffers; ++b) at[b] = after[b].data();
    auto cut = before[1];
    for (T& g : cut) g = std::clamp(g, static_cast<T>(-limit), static_cast<T>(limit));
    at[1] = cut.data();
    for (std::size_t i = 0; i < longest; ++i) kernels[0](job_of(at, longest, 2), i, i + 1);  // one by one: no lanes
    ASSERT_FALSE(same(before[0], after[0]));

    std::vector<Padded<T>> found(buffers, Padded<T>(longest + lanes)), expected = found;
    for (std::size_t n = 0; n <= longest; ++n) {
      for (std::size_t weights = 0; weights < lanes; ++weights) {
        for (std::size_t gradient = 0; gradient < lanes; ++gradient) {
          const auto offset = [&](std::size_t b) { return b == 1 ? gradient : (weights + 5 * b) % lanes; };
          for (std::size_t b = 0; b < buffers; ++b) expected[b].put(std::span(after[b]).first(n), offset(b));
          for (const cpu::Isa isa : instruction_sets()) {
            for (std::size_t b = 0; b < buffers; ++b) at[b] = found[b].put(std::span(before[b]).first(n), offset(b));
            kernels[int(isa)](job_of(at, n, 2, limit), 0, n);
            ASSERT_TRUE(found == expected)
                << n << " " << type_names[int(type_of<T>)] << "s by " << testing::PrintToString(isa) << ", weights at "
                << weights << ", gradient at " << gradient;
          }
        }
      }
    }
  };
  // The compiler makes loops of their own for gradients that are cut, and for powers other than 1/2.
  Settings other = moved(this->info());
  other.push_back({"weight_decay", 0.01});
  for_types([&]<class T>() {
    check.template operator()<T>(Options(this->info(), {{"weight_decay", 0.01}}),
                                 std::numeric_limits<double>::infinity());
    check.template operator()<T>(Options(this->info(), other), 0.125);
  });
}

// Claims seven threads and runs their parts last to first.
const cpu::Executor backwards{[] { return 7; },
                              [](int tasks, void (*task)(void*, int), void* context) {
                                for (int i = tasks; i-- > 0;) task(context, i);
                              }};

TYPED_TEST(EveryRule, GivesTheSameBitsOnAnyNumberOfThreads) {
  const Restore restore;
  // Of 65,536 + 16,391 weights in all: worth four tasks and more, cut inside tensors and at odd places.
  const std::vector<std::size_t> sizes{40000, 7, 0, 1, 16385, 25533, 1};
  for_types([&]<class T>() {
    const auto run = [&](const cpu::Executor& executor) {
      std::vector<std::vector<T>> x;
      for (std::size_t i = 0; i < sizes.size(); ++i) x.push_back(values<T>(sizes[i], unsigned(i)));
      AnyOptimizer optimizer{Options(this->info(), {{"weight_decay", 0.01}})};
      optimizer.use(executor);
      for (auto& tensor : x) optimizer.add(tensor);
      for (unsigned t = 1; t <= 3; ++t) {
        std::vector<std::vector<T>> g;
        for (std::size_t i = 0; i < sizes.size(); ++i) g.push_back(values<T>(sizes[i], 100 * t + unsigned(i)));
        optimizer.step(std::vector<Gradient>(g.begin(), g.end()));
      }
      return x;
    };
    const auto expected = run(cpu::serial);
    const auto compare = [&](const cpu::Executor& executor, const char* what) {
      const auto found = run(executor);
      for (std::size_t i = 0; i < sizes.size(); ++i)
        EXPECT_TRUE(same(found[i], expected[i])) << what << ", tensor " << i;
    };
    compare(backwards, "seven parts, last to first");
    for (const int threads : {1, 2, 3}) {
      omp_set_num_threads(threads);
      compare(cpu::openmp, testing::PrintToString(threads).c_str());
    }
  });
}

// Where n weights are after three steps, the gradients of step t being values(n, 100 + t), as changed by `change`.
template <class T, class Change>
std::vector<T> three_steps(const RuleInfo& rule, std::size_t n, const std::vector<std::size_t>& cuts, Change change) {
  auto x = values<T>(n, 1);
  change(x);
  AnyOptimizer optimizer{Options(rule, {{"weight_decay", 0.01}})};
  const auto parts = [&](auto& all) {
    std::vector<std::span<T>> spans;
    std::size_t first = 0;
    for (const std::size_t cut : cuts) spans.emplace_back(all.data() + first, cut - first), first = cut;
    spans.emplace_back(all.data() + first, n - first);
    return spans;
  };
  for (const auto part : parts(x)) optimizer.add(part);
  for (unsigned t = 1; t <= 3; ++t) {
    auto g = values<T>(n, 100 + t);
    change(g);
    const auto gradients = parts(g);
    optimizer.step(std::vector<Gradient>(gradients.begin(), gradients.end()));
  }
  return x;
}

TYPED_TEST(EveryRule, StepsTheWholeAsItStepsTheParts) {
  if constexpr (HasNorms<TypeParam>) GTEST_SKIP() << "parts have norms of their own";
  for_types([&]<class T>() {
    const auto as_it_is = [](std::vector<T>&) {};
    const auto whole = three_steps<T>(this->info(), 1003, {}, as_it_is);
    EXPECT_TRUE(same(three_steps<T>(this->info(), 1003, {501}, as_it_is), whole));
    EXPECT_TRUE(same(three_steps<T>(this->info(), 1003, {1, 18, 18, 67, 131, 997, 1002}, as_it_is), whole));
  });
  const Restore restore;
  for (const cpu::Isa isa : instruction_sets()) {  // large tensors of floats have loops of their own
    cpu::use(isa);
    const auto as_it_is = [](std::vector<float>&) {};
    const auto whole = three_steps<float>(this->info(), 140'003, {}, as_it_is);
    EXPECT_TRUE(same(three_steps<float>(this->info(), 140'003, {70'001}, as_it_is), whole))
        << testing::PrintToString(isa);
  }
}

TYPED_TEST(EveryRule, PermutesItsResultAsItsWeights) {
  if constexpr (HasNorms<TypeParam>) GTEST_SKIP() << "a sum in another order has other last bits";
  for_types([&]<class T>() {
    const auto shuffle = [](std::vector<T>& all) {
      std::mt19937 bits(5);
      for (std::size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[bits() % i]);
    };
    auto expected = three_steps<T>(this->info(), 1003, {}, [](std::vector<T>&) {});
    shuffle(expected);
    EXPECT_TRUE(same(three_steps<T>(this->info(), 1003, {}, shuffle), expected));
  });
}

TYPED_TEST(EveryRule, FlipsItsResultWithTheSignOfWeightsAndGradient) {
  for_types([&]<class T>() {
    const auto flip = [](std::vector<T>& all) {
      for (T& value : all) value = -value;
    };
    auto expected = three_steps<T>(this->info(), 1003, {}, [](std::vector<T>&) {});
    flip(expected);
    EXPECT_TRUE(same(three_steps<T>(this->info(), 1003, {}, flip), expected));
  });
}

TYPED_TEST(EveryRule, NeverWritesTheGradient) {
  const std::size_t page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for_types([&]<class T>() {
    const std::size_t n = page / sizeof(T);
    void* const memory = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    const auto g = values<T>(n, 2);
    std::memcpy(memory, g.data(), page);
    ASSERT_EQ(mprotect(memory, page, PROT_READ), 0);  // a write of even the same bits is a crash from here on
    for (const auto kind : decay_names) {
      auto x = values<T>(n, 1);
      AnyOptimizer optimizer{Options(this->info(), {{"weight_decay", 0.01}, {"decay", std::string(kind)}})};
      optimizer.add(x);
      for (int t = 0; t < 3; ++t) optimizer.step(Gradient(memory, n, type_of<T>));
    }
    EXPECT_EQ(std::memcmp(memory, g.data(), page), 0);
    munmap(memory, page);
  });
}

TYPED_TEST(EveryRule, StaysFiniteWithoutGradient) {
  for (const Settings& settings : variants(this->info())) {
    const Options options(this->info(), settings);
    const std::vector<double> g(100);
    auto x = values<double>(100, 1);
    auto narrow = values<float>(100, 1);
    Oracle<TypeParam> oracle(options, x);
    AnyOptimizer optimizer(options);
    optimizer.add(x);
    optimizer.add(narrow);
    for (int t = 0; t < 3; ++t) {
      optimizer.step({g, std::vector<float>(100)});
      oracle.step(g);
    }
    EXPECT_TRUE(same(x, oracle.x));
    for (const float value : narrow) EXPECT_TRUE(std::isfinite(value));
  }
}

TYPED_TEST(EveryRule, StaysFiniteUnderAGradientThatNeverChanges) {
  const std::vector<double> g = values<double>(64, 3);
  const std::vector<float> narrow_g(g.begin(), g.end());
  for (const Settings& settings : variants(this->info())) {
    AnyOptimizer optimizer{Options(this->info(), settings)};
    auto x = values<double>(g.size(), 1);
    auto narrow = values<float>(g.size(), 1);
    optimizer.add(x);
    optimizer.add(narrow);
    // A step by a share of the tensor's norm lets it grow like interest.
    for (int t = 0; t < (HasNorms<TypeParam> ? 100 : 4000); ++t) optimizer.step({g, narrow_g});
    EXPECT_TRUE(same(x, x));
    EXPECT_TRUE(same(narrow, narrow));
  }
}

TYPED_TEST(EveryRule, TakesItsNormsWithTheSameBitsOnEveryInstructionSetAndThread) {
  if constexpr (!HasNorms<TypeParam>) GTEST_SKIP() << "it takes none";
  const Restore restore;
  const std::size_t n = 7 * cpu::block + 1234;
  for_types([&]<class T>() {
    const auto run = [&](cpu::Isa isa, const cpu::Executor& executor) {
      cpu::use(isa);
      auto x = values<T>(n, 1);
      AnyOptimizer optimizer{Options(this->info(), {{"weight_decay", 0.01}})};
      optimizer.use(executor);
      optimizer.add(x);
      for (unsigned t = 1; t <= 3; ++t) optimizer.step(values<T>(n, 100 + t));
      return x;
    };
    const auto expected = run(cpu::Isa::baseline, cpu::serial);
    for (const cpu::Isa isa : instruction_sets()) {
      EXPECT_TRUE(same(run(isa, cpu::serial), expected)) << testing::PrintToString(isa);
      EXPECT_TRUE(same(run(isa, backwards), expected)) << testing::PrintToString(isa) << ", seven parts";
    }
  });
}

// Three steps of 100 weights, in the second of which the gradient of weight 50 is `bad`, beside the same with a good
// one.
template <class T>
struct WithABadGradient {
  static constexpr std::size_t place = 50;
  std::vector<T> x = values<T>(100, 1), y = x;  // y: with the good one
  AnyOptimizer optimizer;

  WithABadGradient(const RuleInfo& rule, T bad) : optimizer(Options(rule)) {
    AnyOptimizer expected{Options(rule)};
    optimizer.add(x);
    expected.add(y);
    for (unsigned t = 1; t <= 3; ++t) {
      auto g = values<T>(100, 100 + t);
      expected.step(g);
      if (t == 2) g[place] = bad;
      optimizer.step(g);
    }
  }
  bool touched_no_other() {
    x[place] = y[place];
    return same(x, y);
  }
};

TYPED_TEST(EveryRule, MakesNaNOfAWeightWhoseGradientIsNaNAndTouchesNoOther) {
  for_types([&]<class T>() {
    WithABadGradient<T> steps(this->info(), std::numeric_limits<T>::quiet_NaN());
    const auto& x = steps.x;
    EXPECT_TRUE(std::isnan(x[steps.place]));
    for (const auto name : TypeParam::states) {
      EXPECT_TRUE(std::isnan(state<T>(steps.optimizer, name)[steps.place])) << name;
    }
    if constexpr (HasNorms<TypeParam>) {  // its norm is NaN, and with it the step of all
      EXPECT_TRUE(std::all_of(x.begin(), x.end(), [](T value) { return std::isnan(value); }));
      return;
    }
    EXPECT_TRUE(steps.touched_no_other());
  });
}

TYPED_TEST(EveryRule, ShowsAnInfiniteGradientInItsWeightOrStatesAndInNoOther) {
  for_types([&]<class T>() {
    constexpr T infinity = std::numeric_limits<T>::infinity();
    for (const T bad : {infinity, -infinity}) {
      WithABadGradient<T> steps(this->info(), bad);
      bool shown = !std::isfinite(steps.x[steps.place]);
      for (const auto name : TypeParam::states)
        shown |= !std::isfinite(steps.optimizer.state_numbers(name)[steps.place]);
      EXPECT_TRUE(shown);
      if constexpr (HasNorms<TypeParam>) continue;  // an infinite norm is for all to see
      EXPECT_TRUE(steps.touched_no_other());
    }
  });
}

TYPED_TEST(EveryRule, HasScalarsThatDependOnOptionsAndStepAlone) {
  for (const Settings& settings : variants(this->info())) {
    const Options options(this->info(), settings), others(this->info(), {{"lr", 0.5}});
    std::vector<std::array<double, cpu::max_scalars>> once;
    for (int t = 1; t <= 50; ++t) once.push_back(this->info().scalars(options.values().data(), t));
    for (int t = 50; t >= 1; --t) {
      this->info().scalars(others.values().data(), 7);
      const auto again = this->info().scalars(options.values().data(), t);
      EXPECT_TRUE(same(again, once[std::size_t(t) - 1])) << "step " << t;
    }
  }
}

TYPED_TEST(EveryRule, ByNameIsTheSameAsByType) {
  auto x = values<float>(100, 1), y = x;
  Optimizer typed(TypeParam{}, x, {.weight_decay = 0.01, .decay = Decay::decoupled});
  AnyOptimizer any = make(TypeParam::name, {{"weight_decay", "1e-2"}, {"decay", "decoupled"}});
  any.add(y);
  EXPECT_EQ(any.options(), typed.options());
  for (unsigned t = 1; t <= 3; ++t) {
    typed.step(values<float>(100, 100 + t));
    any.step(values<float>(100, 100 + t));
  }
  EXPECT_TRUE(same(x, y));
  for (const auto name : TypeParam::states) EXPECT_TRUE(same(state<float>(typed, name), state<float>(any, name)));
}

TYPED_TEST(EveryRule, TakesEachOptionWithinItsRangeAndRefusesItBeyond) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  const Options defaults(this->info());
  for (const OptionInfo& option : defaults.list()) {
    SCOPED_TRACE(option.name);
    Options options = defaults;
    const auto takes = [&](const Value& value) {
      const Options before = options;
      try {
        options.set(option.name, value);
        return true;
      } catch (const std::invalid_argument& error) {
        EXPECT_TRUE(std::string(error.what())
                        .starts_with(std::string(TypeParam::name) + ": " + std::string(option.name) + " must "))
            << error.what();
        EXPECT_EQ(options, before);
        return false;
      }
    };
    const auto [low, high, holds_low, holds_high] = option.range;
    EXPECT_TRUE(takes(option.value));
    EXPECT_EQ(takes(low), holds_low);
    EXPECT_EQ(takes(high), holds_high);
    EXPECT_FALSE(takes(std::nextafter(low, -infinity)));
    const bool discrete = option.is_bool || !option.choices.empty();
    EXPECT_EQ(takes(std::nextafter(low, infinity)), !discrete);
    if (std::isfinite(high)) {
      EXPECT_EQ(takes(std::nextafter(high, -infinity)), !discrete);
      EXPECT_FALSE(takes(std::nextafter(high, infinity)));
    } else {
      EXPECT_TRUE(takes(std::numeric_limits<double>::max()));
    }
    for (const double wrong : {infinity, -infinity, std::numeric_limits<double>::quiet_NaN()})
      EXPECT_FALSE(takes(wrong));
    for (const char* wrong : {"", " ", "x", "1x", "0x1", "nan", "inf", "-inf", "1e999", "0.5 "})
      EXPECT_FALSE(takes(wrong));
    if (option.is_bool) {
      EXPECT_TRUE(takes("false"));
      EXPECT_EQ(options.text(option.name), "false");
      EXPECT_TRUE(takes("true"));
      EXPECT_EQ(options.text(option.name), "true");
      EXPECT_FALSE(takes("yes"));
    }
    for (std::size_t i = 0; i < option.choices.size(); ++i) {
      EXPECT_TRUE(takes(std::string(option.choices[i])));
      EXPECT_EQ(options.get(option.name), static_cast<double>(i));
      EXPECT_EQ(options.text(option.name), option.choices[i]);
    }
    if (!discrete) {
      const double value = inside(option.range);
      EXPECT_TRUE(takes(text(value)));
      EXPECT_EQ(options.get(option.name), value);
      EXPECT_EQ(options.text(option.name), text(value));
    }
  }
}

TYPED_TEST(EveryRule, ComesBackFromItsOptions) {
  for (const Settings& settings : variants(this->info())) {
    const Options options(this->info(), settings);
    const auto rule = rule_of<TypeParam>(options);
    const Options back = options_of(rule, {options.get("weight_decay"), Decay(options.get("decay"))});
    EXPECT_EQ(back, options);
    const auto again = rule_of<TypeParam>(back);
    std::apply([&](auto... option) { EXPECT_TRUE(((again.*option.member == rule.*option.member) && ...)); },
               TypeParam::options());
  }
  EXPECT_EQ(options_of(TypeParam{}), Options(this->info()));
  EXPECT_EQ(options_of(Optimizer<TypeParam>().rule()), Options(this->info()));
}

TYPED_TEST(EveryRule, HasPresetsThatAreWithinItsRangesAndFoundByName) {
  std::vector<std::string_view> names;
  for (const PresetInfo& preset : this->info().presets) {
    SCOPED_TRACE(preset.name);
    names.push_back(preset.name);
    EXPECT_FALSE(preset.meaning.empty());
    // The preset's place among the settings does not matter; what is set beside it holds.
    const Options first(this->info(), {{"preset", std::string(preset.name)}, {"lr", 0.25}});
    const Options last(this->info(), {{"lr", 0.25}, {"preset", std::string(preset.name)}});
    EXPECT_EQ(first, last);
    EXPECT_EQ(first.get("lr"), 0.25);
    for (std::size_t i = 0; i < preset.values.size(); ++i) {
      EXPECT_TRUE(first.list()[i].range.contains(preset.values[i])) << first.list()[i].name;
      if (first.list()[i].name != "lr") {
        EXPECT_EQ(first.values()[i], preset.values[i]);
      }
    }
    // Set alone, it leaves nothing of what was there.
    Options changed(this->info(), {{"lr", 0.25}, {"weight_decay", 0.5}, {"decay", "fixed"}});
    changed.set("preset", std::string(preset.name));
    EXPECT_EQ(changed, Options(this->info(), {{"preset", std::string(preset.name)}}));
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  const auto refusal = message<std::invalid_argument>([&] { Options(this->info(), {{"preset", "nonesuch"}}); });
  EXPECT_TRUE(refusal.starts_with(std::string(TypeParam::name) + ": ")) << refusal;
  EXPECT_NE(refusal.find("preset"), std::string::npos) << refusal;
  EXPECT_NE(refusal.find("nonesuch"), std::string::npos) << refusal;
}

TYPED_TEST(EveryRule, HasOptionsThatItsDefaultsSatisfyAndNoNameTwice) {
  const Options options(this->info());
  std::vector<std::string_view> names;
  for (const OptionInfo& option : options.list()) {
    EXPECT_TRUE(option.range.contains(option.value)) << option.name;
    EXPECT_FALSE(option.meaning.empty()) << option.name;
    names.push_back(option.name);
  }
  std::sort(names.begin(), names.end());
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
}

TYPED_TEST(EveryRule, IsFoundByItsName) {
  EXPECT_EQ(&find_rule(TypeParam::name), &this->info());
  EXPECT_EQ(std::count(rules().begin(), rules().end(), &this->info()), 1);
}

}  // namespace
}  // namespace adabelief::tests
