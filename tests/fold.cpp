// SPDX-License-Identifier: MIT
// What a step does to its gradients on the way, against the same done in passes of its own.
#include <limits>

#include "adabelief/oracle.h"
#include "every_rule.h"

namespace adabelief::tests {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

template <class Rule>
struct FoldOfEveryRule : testing::Test {
  static const RuleInfo& info() { return RuleEntry<Rule>::info(); }
};
TYPED_TEST_SUITE(FoldOfEveryRule, RuleTypes, RuleName);

TYPED_TEST(FoldOfEveryRule, HasTheBitsOfItsPassesOneByOne) {
  const Options options(this->info(), {{"weight_decay", 0.01}});
  for (const Fold& fold : {Fold{.scale = 0.25}, Fold{.scale = -1}, Fold{.max_norm = 3}, Fold{.max_value = 0.125},
                           Fold{.scale = 1. / 3, .skip_nonfinite = true, .max_norm = 1, .max_value = 0.0625}}) {
    auto x = values<double>(1003, 1), again = x;
    Oracle<TypeParam> oracle(options, x);
    AnyOptimizer optimizer(options);
    optimizer.add(x);
    optimizer.fold(fold);
    for (unsigned t = 1; t <= 5; ++t) {
      const auto g = values<double>(x.size(), 100 + t);
      double squares = 0;
      for (const double value : g) squares += value * value;
      const double norm = std::abs(fold.scale) * std::sqrt(squares);
      optimizer.step(g);
      if (fold.max_norm < infinity) {
        EXPECT_NEAR(optimizer.folded().norm() / norm, 1, 1e-14);
        EXPECT_GT(norm, fold.max_norm);
      } else {
        EXPECT_TRUE(std::isnan(optimizer.folded().norm()));
      }
      const bool clips = fold.max_norm < infinity;
      oracle.step(g, clips ? fold.scale * (fold.max_norm / optimizer.folded().norm()) : fold.scale, fold.max_value);
    }
    EXPECT_TRUE(same(x, oracle.x));
  }
}

TYPED_TEST(FoldOfEveryRule, SkipsAStepWithAnythingThatIsNotFiniteAndNoOther) {
  for_types([&]<class T>() {
    for (const T bad : {std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity(),
                        -std::numeric_limits<T>::infinity()}) {
      auto x = values<T>(5000, 1), y = x, small_x = values<T>(3, 2), small_y = small_x;
      AnyOptimizer optimizer{Options(this->info())}, expected{Options(this->info())};
      optimizer.add(x), optimizer.add(small_x);
      expected.add(y), expected.add(small_y);
      optimizer.fold({.skip_nonfinite = true});
      for (unsigned t = 1; t <= 4; ++t) {
        auto g = values<T>(x.size(), 100 + t), small = values<T>(3, 200 + t);
        if (t != 2 && t != 3) expected.step({g, small});
        if (t == 2) g[4999] = bad;
        if (t == 3) small[0] = bad;
        optimizer.step({g, small});
        EXPECT_EQ(optimizer.folded().skipped(), t < 2 ? 0 : t < 3 ? 1 : 2);
      }
      EXPECT_TRUE(same(x, y));
      EXPECT_TRUE(same(small_x, small_y));
      EXPECT_EQ(optimizer.steps(0), 2);
    }
  });
}

TEST(Fold, TakesOneNormOfAllTensorsWithTheSameBitsEverywhere) {
  const Restore restore;
  for_types([&]<class T>() {
    const std::vector<std::size_t> sizes{40000, 7, 0, 4096, 16385, 25533, 1};
    double first = -1;
    const auto run = [&](const cpu::Executor& executor) {
      AnyOptimizer optimizer = make("adabelief");
      optimizer.use(executor);
      optimizer.fold({.max_norm = 1e-3});
      std::vector<std::vector<T>> x, g;
      double squares = 0;
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        x.push_back(values<T>(sizes[i], unsigned(i)));
        g.push_back(values<T>(sizes[i], 100 + unsigned(i)));
        for (const T value : g.back()) squares += double(value) * double(value);
      }
      for (auto& tensor : x) optimizer.add(tensor);
      optimizer.step(std::vector<Gradient>(g.begin(), g.end()));
      EXPECT_NEAR(optimizer.folded().norm() / std::sqrt(squares), 1, 1e-12);
      if (first < 0) first = optimizer.folded().norm();
      EXPECT_EQ(optimizer.folded().norm(), first);
    };
    for (const cpu::Isa isa : instruction_sets()) {
      cpu::use(isa);
      run(cpu::serial);
      for (const int threads : {1, 2, 3}) {
        omp_set_num_threads(threads);
        run(cpu::openmp);
      }
    }
  });
}

TEST(Fold, LeavesGradientsBelowTheNormAsTheyAre) {
  auto x = values<float>(100, 1), y = x;
  AnyOptimizer clipped = make("adabelief"), plain = make("adabelief");
  clipped.add(x);
  plain.add(y);
  clipped.fold({.max_norm = 1e6, .max_value = 1e6});
  for (unsigned t = 1; t <= 3; ++t) {
    clipped.step(values<float>(100, 100 + t));
    plain.step(values<float>(100, 100 + t));
  }
  EXPECT_TRUE(same(x, y));
}

TEST(Fold, ZeroesGradientsOnRequestAlsoOfASkippedStep) {
  for_types([&]<class T>() {
    auto x = values<T>(50000, 1), y = x;
    AnyOptimizer optimizer = make("adabelief"), expected = make("adabelief");
    optimizer.add(x);
    expected.add(y);
    optimizer.fold({.skip_nonfinite = true, .zero_gradients = true});
    for (unsigned t = 1; t <= 3; ++t) {
      auto g = values<T>(x.size(), 100 + t);
      if (t != 2) expected.step(g);
      if (t == 2) g[77] = std::numeric_limits<T>::infinity();
      optimizer.step(g);
      EXPECT_EQ(std::count(g.begin(), g.end(), T(0)), std::ptrdiff_t(g.size())) << "step " << t;
    }
    EXPECT_TRUE(same(x, y));
    EXPECT_EQ(optimizer.folded().skipped(), 1);
  });
}

TEST(Fold, TakesTensorsWithoutElementsAndGradientsThatAreMissing) {
  std::vector<float> none, x{1, 2}, y{3};
  AnyOptimizer optimizer = make("adabelief");
  for (auto* tensor : {&none, &x, &y}) optimizer.add(*tensor);
  optimizer.fold({.skip_nonfinite = true, .max_norm = 1, .zero_gradients = true});
  std::vector<float> g{3, 4};
  optimizer.step({Gradient(nullptr, 0, Type::float32), g, {}});
  EXPECT_EQ(optimizer.folded().norm(), 5);
  EXPECT_EQ(y[0], 3);
  g = {1, std::numeric_limits<float>::infinity()};
  optimizer.step({Gradient(nullptr, 0, Type::float32), g, {}});
  EXPECT_EQ(optimizer.folded().skipped(), 1);
  EXPECT_EQ(g, (std::vector<float>{0, 0}));
}

TEST(Fold, KeepsNaNUnlessToldToSkipIt) {
  std::vector<float> x{1, 1};
  AnyOptimizer optimizer = make("adabelief");
  optimizer.add(x);
  optimizer.fold({.max_value = 0.5});
  optimizer.step(std::vector<float>{std::numeric_limits<float>::quiet_NaN(), 2});
  EXPECT_TRUE(std::isnan(x[0]));
  EXPECT_FALSE(std::isnan(x[1]));
}

TEST(Fold, ClipsByANormThatIsNotFiniteAsTorchDoes) {
  for (const float bad : {std::numeric_limits<float>::infinity(), std::numeric_limits<float>::quiet_NaN()}) {
    std::vector<float> x{1, 1};
    AnyOptimizer optimizer = make("sgd", {{"lr", 1}, {"momentum", 0}});
    optimizer.add(x);
    optimizer.fold({.max_norm = 1});
    optimizer.step(std::vector<float>{bad, 2});
    EXPECT_TRUE(std::isnan(x[0]));
    if (std::isnan(bad)) {
      EXPECT_TRUE(std::isnan(x[1]));
    } else {
      EXPECT_EQ(x[1], 1);
    }
  }
}

TEST(Fold, TakesADoubleWhoseSquareIsNotFiniteForNotFinite) {
  const std::vector<double> large{1e200, 1};
  for (const bool skips : {true, false}) {
    std::vector<double> x{1, 1};
    AnyOptimizer optimizer = make("sgd", {{"lr", 1}, {"momentum", 0}});
    optimizer.add(x);
    optimizer.fold({.skip_nonfinite = skips, .max_norm = 1});
    optimizer.step(large);
    EXPECT_EQ(optimizer.folded().skipped(), skips);
    EXPECT_EQ(x, (std::vector<double>{1, 1}));  // by a norm that is infinite, gradients are cut to 0
  }
}

TEST(Fold, RefusesNumbersOutOfTheirRangesAndKeepsWhatWasThere) {
  AnyOptimizer optimizer = make("adabelief");
  optimizer.fold({.max_norm = 2});
  const auto refusal = [&](const Fold& fold) { return message<std::invalid_argument>([&] { optimizer.fold(fold); }); };
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_EQ(refusal({.scale = infinity}), "adabelief: scale must lie in [-3.4e38, 3.4e38], got inf");
  EXPECT_EQ(refusal({.scale = 1e39}), "adabelief: scale must lie in [-3.4e38, 3.4e38], got 1e+39");
  EXPECT_EQ(refusal({.max_norm = 0}), "adabelief: max_norm must lie in (0, inf], got 0");
  EXPECT_EQ(refusal({.max_value = nan}), "adabelief: max_value must lie in (0, inf], got nan");
  EXPECT_EQ(refusal({.max_norm = -1}), "adabelief: max_norm must lie in (0, inf], got -1");
  EXPECT_EQ(optimizer.folded().get().max_norm, 2);
}

}  // namespace
}  // namespace adabelief::tests
