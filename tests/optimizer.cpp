// SPDX-License-Identifier: MIT
// The optimizer around a rule: options by name, groups, weight decay, gradients that do not fit, memory, executors.
#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <sstream>

#include "every_rule.h"

// Every allocation of the process, the C++ library's and OpenMP's too, in the way that glibc's manual allows. The
// sanitizers have put their own functions here.
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ADABELIEF_COUNTS_ALLOCATIONS 1
namespace {
std::atomic<long> allocations{0};
}
extern "C" {
void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);

void* malloc(std::size_t bytes) { return ++allocations, __libc_malloc(bytes); }
void* calloc(std::size_t n, std::size_t bytes) { return ++allocations, __libc_calloc(n, bytes); }
void* realloc(void* memory, std::size_t bytes) { return ++allocations, __libc_realloc(memory, bytes); }
void* aligned_alloc(std::size_t align, std::size_t bytes) { return ++allocations, __libc_memalign(align, bytes); }
}
#endif

namespace adabelief::tests {
namespace {

std::string refusal(const std::function<void()>& f) { return message<std::invalid_argument>(f); }

TEST(Options, RefusalsNameRuleOptionRangeAndValue) {
  EXPECT_EQ(refusal([] {
              Options(find_rule("adabelief"), {{"beta1", 1}});
            }),
            "adabelief: beta1 must lie in [0, 1), got 1");
  EXPECT_EQ(refusal([] { make("adabelief", {{"beta1", "1.0"}}); }), "adabelief: beta1 must lie in [0, 1), got 1");
  EXPECT_EQ(refusal([] { Optimizer(AdaBelief{.eps = -1e-8}); }), "adabelief: eps must lie in [0, inf), got -1e-08");
  EXPECT_EQ(refusal([] { Optimizer(Adam{}, {.weight_decay = -1}); }),
            "adam: weight_decay must lie in [0, inf), got -1");
  EXPECT_EQ(refusal([] { make("adam", {{"lr", "fast"}}); }), "adam: lr must lie in [0, inf), got 'fast'");
  EXPECT_EQ(refusal([] { make("adam", {{"lr", ""}}); }), "adam: lr must lie in [0, inf), got ''");
  EXPECT_EQ(refusal([] { make("sgd", {{"nesterov", 2}}); }), "sgd: nesterov must be true or false, got 2");
  EXPECT_EQ(refusal([] { make("sgd", {{"nesterov", "yes"}}); }), "sgd: nesterov must be true or false, got 'yes'");
  EXPECT_EQ(refusal([] {
              make("adam", {{"decay", "adamw"}});
            }),
            "adam: decay must be one of coupled, decoupled, fixed, got 'adamw'");
}

TEST(Options, AnUnknownNameIsToldTheNearest) {
  EXPECT_EQ(refusal([] {
              make("adam", {{"beta", 0.9}});
            }),
            "adam: no option named 'beta'; did you mean beta1? There are: lr, beta1, beta2, eps, weight_decay, decay");
  EXPECT_EQ(refusal([] {
              make("adam", {{"zeta_unheard_of", 0.9}});
            }),
            "adam: no option named 'zeta_unheard_of'. There are: lr, beta1, beta2, eps, weight_decay, decay");
  const std::string rule = refusal([] { make("adabelif"); });
  EXPECT_TRUE(rule.starts_with("adabelief: no rule named 'adabelif'; did you mean adabelief? There are: ")) << rule;
  EXPECT_NE(rule.find(", adam, "), std::string::npos) << rule;
}

TEST(Options, OfWeightDecayHaveTheRulesOwnDefaults) {
  using Pair = std::pair<double, std::string>;
  const auto decay = [](const Options& options) { return Pair(options.get("weight_decay"), options.text("decay")); };
  EXPECT_EQ(decay(options_of(Adam{})), Pair(0., "coupled"));
  EXPECT_EQ(decay(options_of(AdamW{})), Pair(1e-2, "decoupled"));
  EXPECT_EQ(decay(options_of(AdamW{}, {.weight_decay = 0.5})), Pair(0.5, "decoupled"));
  EXPECT_EQ(decay(options_of(AdamW{}, {.decay = Decay::coupled})), Pair(1e-2, "coupled"));
  EXPECT_EQ(decay(make("lion", {{"weight_decay", 0.5}}).options()), Pair(0.5, "decoupled"));
}

TEST(Options, AreTakenAsNumbersBoolsAndText) {
  const Options options =
      make("sgd", {{"lr", "1e-3"}, {"momentum", 0}, {"nesterov", true}, {"decay", "fixed"}}).options();
  EXPECT_EQ(options.get("lr"), 1e-3);
  EXPECT_EQ(options.get("momentum"), 0);
  EXPECT_EQ(options.get("nesterov"), 1);
  EXPECT_EQ(options.get("decay"), static_cast<double>(Decay::fixed));
  EXPECT_EQ(options.text("lr"), "0.001");
  EXPECT_EQ(options.text("nesterov"), "true");
  EXPECT_EQ(options.text("decay"), "fixed");
}

TEST(Options, TheLastOfTwoSettingsOfANameHolds) {
  EXPECT_EQ(make("adam", {{"lr", 1}, {"lr", 2}}).options().get("lr"), 2);
}

TEST(Options, TellTheSmallestDenominator) {  // the table of docs/numerics.md
  const auto expect = [](const char* rule, const Settings& settings, double floor) {
    EXPECT_NEAR(effective_eps(Options(find_rule(rule), settings)) / floor, 1, 1e-9) << rule;
  };
  expect("adabelief", {}, std::sqrt(1e-8 / (1 - 0.999)) + 1e-8);
  expect("adabelief", {{"eps", 1e-16}, {"lr", 0}}, std::sqrt(1e-16 / (1 - 0.999)) + 1e-16);
  expect("acprop", {}, std::sqrt(1e-16 / (1 - 0.999)) + 1e-16);
  expect("adam", {{"eps", 1e-3}}, 1e-3);
  expect("yogi", {{"initial_accumulator", 1e-6}}, 1e-3);
  expect("sgd", {{"lr", 3}}, 0.1);
  EXPECT_LT(effective_eps(Options(find_rule("adam"), {{"eps", 0}})), 1e-100);
}

// Weight decay and groups are held against numbers that are exact in binary. This is SGD with lr 1/2 and momentum 1/2,
// from x = 1 with g = 1/4, then 1/4.
std::vector<double> two_steps(Decay decay) {
  std::vector<double> x{1}, path;
  Optimizer optimizer(SGD{.lr = 0.5, .momentum = 0.5}, x, {.weight_decay = 0.5, .decay = decay});
  for (int t = 0; t < 2; ++t) optimizer.step(std::vector{0.25}), path.push_back(x[0]);
  return path;
}

TEST(Decay, IsNotLostInFloatWhereItIsSmall) {
  for (const double w : {1e-4, 1e-6, 1e-7}) {
    std::vector<float> x{1e-3f};
    Optimizer optimizer(SGD{.lr = 1, .momentum = 0}, x, {.weight_decay = w, .decay = Decay::decoupled});
    for (int t = 0; t < 100; ++t) {
      const std::vector<float> towards_itself{static_cast<float>(-w * 1e-3)};  // what decay takes, the step gives back
      optimizer.step(towards_itself);
    }
    EXPECT_NEAR(x[0], 1e-3, 1e-9) << w;
  }
}

TEST(Decay, CoupledAddsToTheGradient) {
  // g = 1/4 + 1/2 = 3/4, b = 3/4, x = 1 - 3/8 = 5/8; g = 1/4 + 5/16 = 9/16, b = 3/8 + 9/16 = 15/16, x = 5/8 - 15/32.
  EXPECT_EQ(two_steps(Decay::coupled), (std::vector{0.625, 0.15625}));
}

TEST(Decay, DecoupledTakesTheLearningRateTimesTheStrengthOfTheWeight) {
  // b = 1/4, x = 3/4 - 1/8 = 5/8; b = 1/8 + 1/4 = 3/8, x = 15/32 - 3/16.
  EXPECT_EQ(two_steps(Decay::decoupled), (std::vector{0.625, 0.28125}));
}

TEST(Decay, FixedTakesTheStrengthOfTheWeight) {
  // b = 1/4, x = 1/2 - 1/8 = 3/8; b = 3/8, x = 3/16 - 3/16.
  EXPECT_EQ(two_steps(Decay::fixed), (std::vector{0.375, 0.0}));
}

TEST(Groups, HaveOptionsOfTheirOwn) {
  std::vector<double> x{1}, y{1}, z{1};
  const std::vector g{0.25};
  Optimizer optimizer(SGD{.lr = 0.5, .momentum = 0});
  const auto second = optimizer.add_group(SGD{.lr = 2, .momentum = 0}, {.weight_decay = 0.5});
  EXPECT_EQ(second, 1U);
  EXPECT_EQ(optimizer.groups(), 2U);
  optimizer.add(x);
  optimizer.add(y, second);
  optimizer.add(z);
  optimizer.step({g, g, g});
  EXPECT_EQ(x[0], 1 - 0.5 * 0.25);
  EXPECT_EQ(y[0], 1 - 2 * (0.25 + 0.5));
  EXPECT_EQ(z[0], x[0]);
  EXPECT_EQ(optimizer.rule(second).lr, 2);
}

TEST(Groups, OfAnotherRuleOrNumberAreRefused) {
  std::vector<double> x{1};
  AnyOptimizer optimizer = make("adam");
  EXPECT_EQ(refusal([&] { optimizer.add_group(Options(find_rule("sgd"))); }),
            "adam: a group's options must be of the same rule, got sgd");
  EXPECT_EQ(refusal([&] { optimizer.add(x, 1); }), "adam: no group 1; there are 1 group, make one with add_group");
  EXPECT_EQ(optimizer.groups(), 1U);
  EXPECT_EQ(optimizer.tensors(), 0U);
}

TEST(Groups, TakeANewLearningRateBetweenSteps) {
  std::vector<double> x{1};
  Optimizer optimizer(SGD{.lr = 0.5, .momentum = 0.5}, x);
  optimizer.step(std::vector{0.25});
  EXPECT_EQ(x[0], 0.875);
  optimizer.set("lr", 0.25);
  optimizer.step(std::vector{0.25});  // b = 1/8 + 1/4
  EXPECT_EQ(x[0], 0.875 - 0.25 * 0.375);
  EXPECT_FALSE(refusal([&] { optimizer.set("lr", -1); }).empty());
  EXPECT_EQ(optimizer.options().get("lr"), 0.25);
}

TEST(Step, WithoutAGradientLeavesTheTensorItsStatesAndItsCount) {
  std::vector<float> x = values<float>(100, 1), y = x, alone = x;
  const auto g = values<float>(100, 2), h = values<float>(100, 3);
  Optimizer optimizer(AdaBelief{}, x, {.weight_decay = 0.1}), expected(AdaBelief{}, alone, {.weight_decay = 0.1});
  optimizer.add(y);
  optimizer.step({g, g});
  const auto before = y;
  const auto exp_avg = state<float>(optimizer, "exp_avg", 1);
  const std::vector<float> states(exp_avg.begin(), exp_avg.end());
  optimizer.step({g, {}});
  EXPECT_TRUE(same(y, before));
  EXPECT_TRUE(same(state<float>(optimizer, "exp_avg", 1), std::span<const float>(states)));
  EXPECT_EQ(optimizer.steps(0), 2);
  EXPECT_EQ(optimizer.steps(1), 1);
  optimizer.step({g, h});
  expected.step(g);
  expected.step(h);
  EXPECT_TRUE(same(y, alone));  // its second step, though x took its third
}

TEST(Step, RefusesGradientsThatDoNotFitBeforeAnythingChanges) {
  auto x = values<float>(3, 1);
  auto y = values<double>(4, 1);
  const auto x_before = x;
  const auto y_before = y;
  AnyOptimizer optimizer = make("adam");
  optimizer.add(x);
  optimizer.add(y);
  const auto refuses = [&](std::vector<Gradient> gradients, const std::string& expected) {
    EXPECT_EQ(refusal([&] { optimizer.step(gradients); }), expected);
    EXPECT_TRUE(same(x, x_before));
    EXPECT_TRUE(same(y, y_before));
    EXPECT_EQ(optimizer.steps(0), 0);
    for (const float value : state<float>(optimizer, "exp_avg", 0)) EXPECT_EQ(value, 0);
  };
  const std::vector<float> g3(3), g4(4);
  const std::vector<double> d3(3), d4(4);
  const std::string count =
      "adam: step takes a gradient for each tensor, 2 in the order in which they were added, got ";
  refuses({}, count + "0");
  refuses({g3}, count + "1");
  refuses({g3, d4, g3}, count + "3");
  refuses({g3, d3}, "adam: gradient 1 must be as its weights, 4 of float64, got 3 of float64");
  refuses({g3, g4}, "adam: gradient 1 must be as its weights, 4 of float64, got 4 of float32");
  refuses({d3, d4}, "adam: gradient 0 must be as its weights, 3 of float32, got 3 of float64");
}

TEST(Step, TakesNoWeightsWithoutMemory) {
  AnyOptimizer optimizer = make("adam");
  EXPECT_EQ(refusal([&] { optimizer.add(Weights(nullptr, 3, Type::float32)); }),
            "adam: weights of 3 elements at no address");
  EXPECT_EQ(optimizer.tensors(), 0U);
}

TEST(Step, TakesTensorsOfNoElements) {
  std::vector<float> none, x{1};
  AnyOptimizer optimizer = make("adabelief");
  optimizer.add(none);
  optimizer.add(x);
  optimizer.step({none, std::vector{1.0F}});
  EXPECT_LT(x[0], 1);
  EXPECT_EQ(optimizer.state("exp_avg", 0).size, 0U);
}

// Whatever is changed between steps: beside optimizers of one tensor each, made anew from their weights and states
// before each step.
TEST(Step, TakesNothingOverFromTheStepBefore) {
  for (const std::string rule : {"adabelief", "lamb"}) {  // without norms and with them
    std::vector<std::vector<float>> x, y;
    std::vector<std::vector<double>> states(2 * 4);
    AnyOptimizer together = make(rule);
    Fold fold;
    const auto add = [&](std::size_t n) {
      x.push_back(values<float>(n, unsigned(x.size())));
      together.add(x.back());
    };
    x.reserve(4);  // they stay where they are
    add(5000), add(1), add(300);
    std::vector<std::int64_t> steps(4);
    for (unsigned t = 1; t <= 24; ++t) {
      if (t == 6) add(4097);
      if (t == 9) together.fold(fold = {.scale = 0.5});
      if (t == 12) together.fold(fold = {.scale = 2, .max_norm = 1e30, .max_value = 0.1});
      if (t == 15) together.fold(fold = {});
      if (t == 18) together.set("lr", 0.1);
      if (t == 21) {
        std::stringstream file;
        together.save(file), together.load(file);
      }
      std::vector<std::vector<float>> kept;
      std::vector<Gradient> gradients;
      for (std::size_t i = 0; i < x.size(); ++i) kept.push_back(values<float>(x[i].size(), 100 * t + unsigned(i)));
      y = x;
      for (std::size_t i = 0; i < x.size(); ++i) {
        gradients.push_back(t >> i & 1 ? Gradient(kept[i]) : Gradient());
        if (gradients[i].size == Gradient::none) continue;
        AnyOptimizer alone(together.options());
        alone.add(y[i]);
        alone.fold(fold);
        alone.set_steps(steps[i]++);
        for (std::size_t k = 0; k < 2; ++k) {
          const std::string name(find_rule(rule).states[k]);
          alone.set_state(name, together.state_numbers(name, i));
        }
        alone.step(kept[i]);
        for (std::size_t k = 0; k < 2; ++k) states[2 * i + k] = alone.state_numbers(find_rule(rule).states[k]);
      }
      together.step(gradients);
      for (std::size_t i = 0; i < x.size(); ++i) {
        ASSERT_TRUE(same(x[i], y[i])) << rule << " " << i << " in step " << t;
        for (std::size_t k = 0; k < 2 && steps[i] > 0; ++k) {
          ASSERT_EQ(together.state_numbers(find_rule(rule).states[k], i), states[2 * i + k]) << rule << " " << i;
        }
      }
    }
  }
}

TEST(Step, AllocatesNothing) {
#if defined(ADABELIEF_COUNTS_ALLOCATIONS)
  for (const RuleInfo* rule : rules()) {
    for (const StateType states : {StateType::full, StateType::bfloat16, StateType::bits8}) {
      auto x = values<float>(100'000, 1), y = values<float>(10, 2);
      std::vector<std::uint16_t> z(5000, 0x3f80);
      auto g = values<float>(100'000, 3), h = values<float>(10, 4), k = values<float>(5000, 5);
      AnyOptimizer optimizer{Options(*rule, {{"weight_decay", 0.01}}), {.states = states, .weights = Rounding::exact}};
      optimizer.add_group(Options(*rule));
      optimizer.add(x);
      optimizer.add(y, 1);
      optimizer.add(Weights(z.data(), z.size(), Type::bfloat16));
      const Gradient all[]{g, h, k}, one[]{g, {}, {}};
      for (const Fold& fold : {Fold{}, Fold{.skip_nonfinite = true, .max_norm = 1}, Fold{.zero_gradients = true}}) {
        optimizer.fold(fold);
        optimizer.step(all);  // OpenMP starts its threads
        EXPECT_GT(allocations, 0);
        for (int t = 0; t < 5; ++t) {
          optimizer.set(optimizer.options().values());
          const long before = allocations;
          optimizer.step(t % 2 == 0 ? all : one);
          EXPECT_EQ(allocations, before) << rule->name << " " << state_type_names[int(states)];
        }
      }
    }
  }
#else
  GTEST_SKIP() << "allocations are counted with glibc and without sanitizers";
#endif
}

TEST(AnyOptimizer, NamesTheStateThatIsMissing) {
  std::vector<float> x{1};
  AnyOptimizer optimizer = make("adabelief");
  optimizer.add(x);
  EXPECT_EQ(refusal([&] { optimizer.state("exp_avg_va"); }),
            "adabelief: no state named 'exp_avg_va'; did you mean exp_avg_var? There are: exp_avg, exp_avg_var");
}

TEST(AnyOptimizer, CountsTheBytesOfItsStates) {
  std::vector<float> x(3);
  std::vector<double> y(5);
  AnyOptimizer optimizer = make("amsgrad");
  optimizer.add(x);
  optimizer.add(y);
  EXPECT_EQ(optimizer.state_bytes(), 3 * (3 * sizeof(float) + 5 * sizeof(double)));
}

TEST(AnyOptimizer, GoesOnAfterAMove) {
  std::vector<float> x = values<float>(50, 1), y = x;
  const auto g = values<float>(50, 2);
  AnyOptimizer first = make("adabelief"), other = make("adabelief");
  first.add(x);
  other.add(y);
  first.step(g);
  other.step(g);
  AnyOptimizer second = std::move(first);
  second.step(g);
  other.step(g);
  EXPECT_EQ(second.steps(), 2);
  EXPECT_TRUE(same(x, y));
}

TEST(Cpu, UsesTheInstructionSetThatItIsTold) {
  const Restore restore;
  for (const cpu::Isa isa : instruction_sets()) {
    cpu::use(isa);
    EXPECT_EQ(cpu::isa(), isa);
    for (const RuleInfo* rule : rules()) {  // each of its own function, of whose registers another test tells
      for (const Type type : {Type::float32, Type::float64}) {
        const auto& kernels = rule->kernels[std::size_t(type)];
        EXPECT_EQ(rule->job(type).kernel, kernels[std::size_t(isa)]) << rule->name;
        EXPECT_EQ(std::count(kernels.begin(), kernels.end(), kernels[std::size_t(isa)]), 1) << rule->name;
        EXPECT_EQ(rule->job(type).forms, &rule->forms[std::size_t(isa)]) << rule->name;
      }
    }
  }
  for (std::size_t i = 0; i < cpu::isa_names.size(); ++i) {
    if (cpu::has(cpu::Isa(i))) continue;
    EXPECT_TRUE(refusal([&] { cpu::use(cpu::Isa(i)); }).starts_with("adabelief: this machine has no "));
  }
  EXPECT_TRUE(cpu::has(cpu::Isa::baseline));
}

TEST(Cpu, StepsOnTheInstructionSetThatItIsToldBetweenSteps) {
  const Restore restore;
  static int seen = 0;
  RuleInfo rule = find_rule("sgd");
  rule.kernels[0] = {[](const cpu::Job&, std::size_t, std::size_t) { seen = 0; },
                     [](const cpu::Job&, std::size_t, std::size_t) { seen = 1; },
                     [](const cpu::Job&, std::size_t, std::size_t) { seen = 2; }};
  std::vector<float> x(1000);
  AnyOptimizer optimizer{Options(rule)};
  optimizer.add(x);
  for (int round = 0; round < 2; ++round) {
    for (const cpu::Isa isa : instruction_sets()) {
      cpu::use(isa);
      seen = -1;
      optimizer.step(x);
      EXPECT_EQ(seen, int(isa));
    }
  }
}

std::string seen_kernels;
template <char name>
void record(const cpu::Job&, std::size_t begin, std::size_t end) {
  seen_kernels += name + std::to_string(begin) + "-" + std::to_string(end) + " ";
}

TEST(Cpu, StepsWholeGroupsByTheKernelOfTheirForm) {
  RuleInfo rule = find_rule("adabelief");
  rule.kernels[0].fill(record<'p'>);
  rule.forms.fill({{{record<'f'>, record<'b'>, record<'8'>}, {record<'H'>, record<'B'>, record<'E'>}}});
  const auto run = [&](Type type, StateType states, Rounding rounding, Type gradient_type, std::size_t n = 4500) {
    std::vector<float> memory(n), gradient(n);
    AnyOptimizer optimizer{Options(rule), {.states = states, .weights = rounding}};
    optimizer.use(cpu::serial);
    optimizer.add(Weights(static_cast<void*>(memory.data()), n, type));
    seen_kernels.clear();
    optimizer.step(Gradient(gradient.data(), n, gradient_type));
    return seen_kernels;
  };
  using enum Type;
  const std::string pieces = "p0-512 p0-512 p0-512 p0-512 p0-512 p0-512 p0-512 p0-512 p0-404 ", rest = "0-4352 p0-148 ";
  EXPECT_EQ(run(float32, StateType::full, Rounding::nearest, float32), "p0-4500 ");
  EXPECT_EQ(run(float32, StateType::full, Rounding::nearest, float32, 200'000), "f0-199936 p199936-200000 ");
  EXPECT_EQ(run(float32, StateType::bfloat16, Rounding::nearest, float32), "b" + rest);
  EXPECT_EQ(run(float32, StateType::bits8, Rounding::nearest, float32), "8" + rest);
  EXPECT_EQ(run(bfloat16, StateType::full, Rounding::stochastic, bfloat16), "H" + rest);
  EXPECT_EQ(run(bfloat16, StateType::bfloat16, Rounding::stochastic, bfloat16), "B" + rest);
  EXPECT_EQ(run(bfloat16, StateType::bits8, Rounding::stochastic, bfloat16), "E" + rest);
  EXPECT_EQ(run(bfloat16, StateType::bits8, Rounding::nearest, bfloat16), pieces);
  EXPECT_EQ(run(bfloat16, StateType::bits8, Rounding::exact, bfloat16), pieces);
  EXPECT_EQ(run(bfloat16, StateType::bits8, Rounding::stochastic, float32), pieces);
  EXPECT_EQ(run(float16, StateType::bits8, Rounding::stochastic, float16), pieces);
  EXPECT_EQ(run(float32, StateType::bits8, Rounding::nearest, bfloat16), pieces);
}

template <class Executor>
concept CanUse = requires(AnyOptimizer& optimizer, Executor executor) {
  optimizer.use(std::forward<Executor>(executor));
};
static_assert(CanUse<const cpu::Executor&> && !CanUse<cpu::Executor>, "the address of a temporary would be kept");

TEST(Cpu, MakesNoMoreTasksThanAnExecutorWants) {
  static int seen = 0;
  const auto count = [](int tasks, void (*task)(void*, int), void* context) {
    seen = tasks;
    cpu::serial.run(tasks, task, context);
  };
  std::vector<float> x(1'000'000);
  AnyOptimizer optimizer = make("adabelief");
  optimizer.add(x);
  for (const int most : {2, 5, 8, 9, 100}) {
    const cpu::Executor executor{[] { return 8; }, count, most};
    optimizer.use(executor);
    optimizer.step(x);
    EXPECT_EQ(seen, std::min(most, 8));
  }
  std::vector<float> large(8'000'000);
  optimizer.add(large);
  const cpu::Executor many{[] { return 1000; }, count};
  optimizer.use(many);
  optimizer.step({x, large});
  EXPECT_EQ(seen, 256);
}

TEST(Cpu, TakesEachElementOnceWhateverTheTensorsAndThreads) {
  // A kernel that counts: each element of each job must be in just one of the parts.
  const auto count = [](const cpu::Job& job, std::size_t begin, std::size_t end) {
    for (std::size_t i = begin; i < end; ++i) ++static_cast<std::atomic<int>*>(job.weights)[i];
  };
  static int threads = 0;
  const cpu::Executor executor{[] { return threads; }, cpu::serial.run};
  for (const std::vector<std::size_t>& sizes : {std::vector<std::size_t>{},
                                                {0},
                                                {1},
                                                {32767},
                                                {32768},
                                                {32769},
                                                {0, 100'000, 0},
                                                {5, 99'991, 3, 1, 16},
                                                std::vector<std::size_t>(3000, 37)}) {
    for (threads = -1; threads < 9; ++threads) {
      std::vector<std::vector<std::atomic<int>>> counts;
      std::vector<cpu::Job> jobs;
      for (const std::size_t n : sizes) {
        counts.emplace_back(n);
        jobs.push_back({count, counts.back().data(), nullptr, {}, n, 0, 1, {}});
      }
      cpu::run(jobs, executor);
      for (const auto& tensor : counts) {
        for (const auto& element : tensor) ASSERT_EQ(element, 1);
      }
    }
  }
}

TEST(Cpu, CutsATensorOfMoreThanEightBillionElementsIntoPartsThatMeet) {
  static std::vector<std::pair<std::size_t, std::size_t>> seen;
  seen.clear();
  std::vector<cpu::Job> jobs(1);
  jobs[0].kernel = [](const cpu::Job&, std::size_t begin, std::size_t end) { seen.emplace_back(begin, end); };
  jobs[0].n = (std::size_t{1} << 33) + 5;
  const cpu::Executor executor{[] { return 7; }, cpu::serial.run};
  cpu::run(jobs, executor);
  ASSERT_EQ(seen.size(), 7);
  std::size_t end = 0;
  for (const auto& [from, to] : seen) {
    EXPECT_EQ(from, end);
    EXPECT_NEAR(double(to - from), double(jobs[0].n) / 7, 256);
    end = to;
  }
  EXPECT_EQ(end, jobs[0].n);
}

TEST(AnyOptimizer, RefusesMoreElementsThanMemoryHolds) {
  float x = 0;
  AnyOptimizer optimizer = make("adabelief");
  EXPECT_EQ(message<std::invalid_argument>([&] { optimizer.add(Weights(&x, std::size_t{1} << 62, Type::float32)); }),
            "adabelief: a tensor has at most 1152921504606846975 elements, got 4611686018427387904");
}

Options of(const char* rule, const Settings& settings = {}) { return Options(find_rule(rule), settings); }

TEST(Advice, KnowsTheLargestStableCurvature) {
  // For momentum over a constant denominator f: 2 (1 + beta1) / (1 - beta1) f / lr.
  for (const double eps : {1e-8, 1e-12, 1e-16}) {
    const double floor = std::sqrt(eps / (1 - 0.999)) + eps;
    EXPECT_NEAR(stable_curvature(of("adabelief", {{"eps", eps}})) / (38 * floor / 1e-3), 1, 1e-5) << eps;
    EXPECT_NEAR(stable_curvature(of("amsbelief", {{"eps", eps}})) / (38 * floor / 1e-3), 1, 1e-5) << eps;
  }
  EXPECT_NEAR(stable_curvature(of("adam")) / (38 * 1e-8 / 1e-3), 1, 1e-5);
  EXPECT_NEAR(stable_curvature(of("adam", {{"beta1", 0.5}, {"lr", 0.01}})) / (6 * 1e-8 / 0.01), 1, 1e-5);
  EXPECT_NEAR(stable_curvature(of("sgd")) / (2 * 1.9 / 0.1), 1, 1e-5);
  EXPECT_EQ(stable_curvature(of("lion")), 0);
  EXPECT_EQ(stable_curvature(of("adam", {{"eps", 0}})), 0);
  EXPECT_EQ(stable_curvature(of("fromage")), std::numeric_limits<double>::infinity());
}

TEST(Advice, KnowsTheFirstAndTheSteadyStep) {
  EXPECT_NEAR(first_step(of("adabelief", {{"eps", 1e-16}})), 1e-3 / 0.9, 1e-12);
  EXPECT_NEAR(first_step(of("adam")), 1e-3, 1e-10);
  EXPECT_NEAR(first_step(of("adamw", {{"weight_decay", 0.5}})), 1e-3, 1e-10);  // without the decay
  EXPECT_NEAR(steady_step(of("adabelief")), 1e-3 / (std::sqrt(1e-5) + 1e-8), 1e-6);
  EXPECT_NEAR(steady_step(of("adam")), 1e-3, 1e-10);
  EXPECT_NEAR(steady_step(of("sgd")), 1, 1e-9);
}

TEST(Advice, WarnsOfWhatHasSurprisedUsersAndOfNothingElse) {
  const auto warned = [](const char* rule, const Settings& settings = {}) {
    std::string all;
    for (const std::string& one : warnings(find_rule(rule), settings)) all += one + "\n";
    return all;
  };
  for (const RuleInfo* rule : rules()) {
    if (rule->name == "acprop") continue;  // its default eps is 1e-16
    EXPECT_EQ(warned(rule->name.data()), "") << rule->name;
  }
  EXPECT_NE(warned("adabelief", {{"beta1", 0}}).find("beta1 = 0 leaves no belief"), std::string::npos);
  EXPECT_EQ(warned("adam", {{"beta1", 0}}), "");
  EXPECT_NE(warned("adabelief", {{"eps", 0}}).find("eps = 0 makes NaN"), std::string::npos);
  EXPECT_EQ(warned("yogi", {{"eps", 0}, {"initial_accumulator", 1e-6}}), "");  // whose v is never 0
  EXPECT_NE(warned("adabelief", {{"eps", 1e-50}}).find("1e-50 is 0 in float"), std::string::npos);
  EXPECT_NE(warned("adabelief", {{"preset", "pytorch-0.2.1"}}).find("clip by the norm"), std::string::npos);
  const std::string kinds = warned("adabelief", {{"preset", "optax"}, {"weight_decay", 1e-2}, {"decay", "coupled"}});
  EXPECT_NE(kinds.find("decoupled in optax, coupled here"), std::string::npos) << kinds;
  EXPECT_NE(warned("adamw", {{"weight_decay", 5e-4}}).find("hardly at all"), std::string::npos);
  EXPECT_NE(warned("adamw", {{"weight_decay", 1}, {"decay", "fixed"}}).find("takes all of a weight"),
            std::string::npos);
}

TEST(Presets, OfAdaBeliefAreTakenByTypeAsByName) {
  constexpr auto p = preset<AdaBelief>("pytorch-0.2.1");
  EXPECT_EQ(options_of(p.rule, p.common), Options(find_rule("adabelief"), {{"preset", "pytorch-0.2.1"}}));
  EXPECT_EQ(Options(find_rule("adabelief"), {{"preset", "paper"}}), Options(find_rule("adabelief")));
  EXPECT_EQ(refusal([] {
              make("adabelief", {{"preset", "pytorch-0.2.2"}});
            }),
            "adabelief: no preset named 'pytorch-0.2.2'; did you mean pytorch-0.2.1? There are: paper, pytorch-0.0.5, "
            "pytorch-0.1.0, pytorch-0.2.1, tensorflow-0.2.1, optax, timm, ensmallen, slim");
  EXPECT_EQ(refusal([] { make("adam", {{"preset", "optax"}}); }), "adam: has no presets, got optax");
}

TEST(Presets, OfAdaBeliefHaveTheirFloors) {
  // sqrt(eps / (1 - beta2)) + eps where eps stays in s, eps where it does not.
  const auto floor = [](const char* preset) {
    return effective_eps(Options(find_rule("adabelief"), {{"preset", preset}}));
  };
  EXPECT_NEAR(floor("paper"), 3.1622877e-3, 1e-9);
  EXPECT_NEAR(floor("pytorch-0.0.5"), 3.1622877e-3, 1e-9);
  EXPECT_NEAR(floor("pytorch-0.2.1"), 3.1622777e-7, 1e-13);
  EXPECT_NEAR(floor("tensorflow-0.2.1"), 3.1622777e-6, 1e-12);
  EXPECT_NEAR(floor("ensmallen"), 3.1622777e-5, 1e-11);
  EXPECT_NEAR(floor("slim"), 1e-8, 1e-14);
}

TEST(Rules, AreListedByName) {
  std::vector<std::string_view> names;
  for (const RuleInfo* rule : rules()) {
    names.push_back(rule->name);
    EXPECT_FALSE(rule->summary.empty());
    EXPECT_FALSE(rule->source.empty());
  }
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(std::adjacent_find(names.begin(), names.end()), names.end());
  EXPECT_EQ(std::count(names.begin(), names.end(), "adabelief"), 1);
}

TEST(BadNumbers, AreUsedAsTheyAreWhereTheyAreSubnormal) {
  constexpr float least = std::numeric_limits<float>::denorm_min();
  std::vector<float> x(40), g(40, least);
  AnyOptimizer optimizer = make("sgd", {{"lr", 1}, {"momentum", 0}});
  optimizer.add(x);
  optimizer.step(g);
  EXPECT_EQ(x, std::vector<float>(40, -least));
}

TEST(BadNumbers, ABeta1Of0StepsByTheGradientOverTheFloor) {
  std::vector<double> x{1, 2};
  const std::vector<double> g{0.5, -3};
  AnyOptimizer optimizer = make("adabelief", {{"lr", 0.1}, {"beta1", 0}, {"beta2", 0.99}, {"eps", 1e-4}});
  optimizer.add(x);
  const double floor = std::sqrt(1e-4 / (1 - 0.99)) + 1e-4;
  for (int t = 1; t <= 5; ++t) {
    optimizer.step(g);
    EXPECT_NEAR(x[0], 1 - t * 0.1 * g[0] / floor, 1e-12);
    EXPECT_NEAR(x[1], 2 - t * 0.1 * g[1] / floor, 1e-12);
  }
}

TEST(BadNumbers, AnEpsThatIsNothingInItsTypeMakesNaNOfWhatNeverHadAGradient) {
  for (const double eps : {0.0, 1e-46}) {
    std::vector<float> x{1, 1};
    std::vector<double> y{1, 1};
    AnyOptimizer single = make("adabelief", {{"eps", eps}}), twice = make("adabelief", {{"eps", eps}});
    single.add(x), twice.add(y);
    single.step(std::vector<float>{0, 1}), twice.step(std::vector<double>{0, 1});
    EXPECT_TRUE(std::isnan(x[0]));
    EXPECT_EQ(std::isnan(y[0]), eps == 0);
    EXPECT_TRUE(std::isfinite(x[1]) && std::isfinite(y[1]));
  }
}

}  // namespace
}  // namespace adabelief::tests
