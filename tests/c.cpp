// SPDX-License-Identifier: MIT
// The C interface does what any.h does, and says what is wrong in a status and a message.
#include "adabelief/c.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "adabelief/advise.h"
#include "adabelief/any.h"
#include "adabelief/version.h"

namespace adabelief {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

struct Destroy {
  void operator()(adabelief_optimizer* optimizer) const { adabelief_destroy(optimizer); }
};
using Handle = std::unique_ptr<adabelief_optimizer, Destroy>;

Handle create(const char* rule, const std::vector<adabelief_setting>& settings = {},
              const adabelief_storage* storage = nullptr) {
  Handle made(adabelief_create(rule, settings.data(), settings.size(), storage));
  EXPECT_NE(made, nullptr) << adabelief_message();
  return made;
}

adabelief_tensor floats(std::vector<float>& x, std::size_t group = 0) {
  adabelief_tensor tensor{};
  tensor.weights = x.data(), tensor.n = x.size(), tensor.group = group;
  return tensor;
}

void add(const Handle& optimizer, const adabelief_tensor& tensor) {
  ASSERT_EQ(adabelief_add(optimizer.get(), &tensor), ADABELIEF_OK) << adabelief_message();
}

void step(const Handle& optimizer, const std::vector<const void*>& gradients) {
  ASSERT_EQ(adabelief_step(optimizer.get(), gradients.data(), gradients.size()), ADABELIEF_OK) << adabelief_message();
}

std::int64_t steps(const Handle& optimizer, std::size_t tensor = 0) {
  std::int64_t taken = -1;
  EXPECT_EQ(adabelief_get_steps(optimizer.get(), tensor, &taken), ADABELIEF_OK);
  return taken;
}

std::vector<float> state(const Handle& optimizer, const char* name, std::size_t n) {
  std::vector<float> numbers(n);
  EXPECT_EQ(adabelief_get_state(optimizer.get(), 0, name, numbers.data(), n, ADABELIEF_FLOAT32), ADABELIEF_OK);
  return numbers;
}

std::vector<float> ramp(std::size_t n, float scale) {
  std::vector<float> all(n);
  for (std::size_t i = 0; i < n; ++i) all[i] = scale * std::sin(static_cast<float>(i + 1));
  return all;
}

// That a call is refused with this status and these words.
#define EXPECT_REFUSED(call, status, words)                                  \
  EXPECT_EQ(call, status);                                                   \
  EXPECT_NE(std::string(adabelief_message()).find(words), std::string::npos) \
      << "the message is: " << adabelief_message()

TEST(C, VersionsAreThoseOfTheHeaderAndTheLibrary) {
  EXPECT_EQ(adabelief_abi(), ADABELIEF_ABI);
  EXPECT_EQ(adabelief_version(), version);
  EXPECT_EQ(adabelief_isa(), cpu::isa_names[std::size_t(cpu::isa())]);
}

TEST(C, TheRulesAreThoseOfTheRegistryWithOptionsPresetsStatesAndNorms) {
  std::size_t count = 0;
  const adabelief_rule* const* all = adabelief_rules(&count);
  ASSERT_EQ(count, rules().size());
  for (std::size_t r = 0; r < count; ++r) {
    const RuleInfo& rule = *rules()[r];
    const adabelief_rule& c = *all[r];
    EXPECT_EQ(c.name, rule.name);
    EXPECT_EQ(c.summary, rule.summary);
    EXPECT_EQ(c.source, rule.source);
    EXPECT_EQ(adabelief_find_rule(c.name), &c);
    const Options options(rule);
    ASSERT_EQ(c.options, options.list().size());
    for (std::size_t i = 0; i < c.options; ++i) {
      const adabelief_option& o = c.option_list[i];
      const OptionInfo& info = options.list()[i];
      EXPECT_EQ(o.name, info.name);
      EXPECT_EQ(o.meaning, info.meaning);
      EXPECT_EQ(o.value, options.values()[i]);
      EXPECT_EQ(o.low, info.range.low);
      EXPECT_EQ(o.high, info.range.high);
      EXPECT_EQ(o.holds_low != 0, info.range.holds_low);
      EXPECT_EQ(o.holds_high != 0, info.range.holds_high);
      EXPECT_EQ(o.is_bool != 0, info.is_bool);
      ASSERT_EQ(o.choices, info.choices.size());
      for (std::size_t k = 0; k < o.choices; ++k) EXPECT_EQ(o.choice_names[k], info.choices[k]);
    }
    ASSERT_EQ(c.states, rule.states.size());
    for (std::size_t k = 0; k < c.states; ++k) EXPECT_EQ(c.state_names[k], rule.states[k]);
    ASSERT_EQ(c.norms, rule.norms.size());
    for (std::size_t k = 0; k < c.norms; ++k) EXPECT_EQ(c.norm_names[k], rule.norms[k]);
    ASSERT_EQ(c.presets, rule.presets.size());
    for (std::size_t k = 0; k < c.presets; ++k) {
      EXPECT_EQ(c.preset_list[k].name, rule.presets[k].name);
      EXPECT_EQ(c.preset_list[k].meaning, rule.presets[k].meaning);
      const Options preset(rule, {{"preset", c.preset_list[k].name}});
      for (std::size_t i = 0; i < c.options; ++i) EXPECT_EQ(c.preset_list[k].values[i], preset.values()[i]);
    }
    double eps = 0;
    ASSERT_EQ(adabelief_effective_eps(c.name, options.values().data(), c.options, &eps), ADABELIEF_OK);
    EXPECT_EQ(eps, effective_eps(options));
  }
}

TEST(C, AnOptimizerStepsAsAnyOptimizerBitForBit) {
  for (const RuleInfo* rule : rules()) {
    SCOPED_TRACE(rule->name);
    std::vector<float> x = ramp(5000, 1), y = ramp(300, 2), x2 = x, y2 = y;
    const std::vector<float> g = ramp(5000, 0.1F), h = ramp(300, -0.3F);
    AnyOptimizer ours = make(rule->name, {{"lr", 1e-2}});
    ours.add_group(Options(*rule, {{"weight_decay", 0.1}, {"decay", "decoupled"}}));
    ours.add(x2);
    ours.add(y2, 1);
    const Handle c = create(rule->name.data(), {{"lr", "1e-2"}});
    const adabelief_setting decay[] = {{"weight_decay", "0.1"}, {"decay", "decoupled"}};
    std::size_t group = 0;
    ASSERT_EQ(adabelief_add_group(c.get(), decay, 2, &group), ADABELIEF_OK);
    EXPECT_EQ(group, 1U);
    add(c, floats(x));
    add(c, floats(y, group));
    for (int t = 0; t < 3; ++t) {
      ours.step({g, h});
      step(c, {g.data(), h.data()});
    }
    EXPECT_EQ(x, x2);
    EXPECT_EQ(y, y2);
    std::size_t groups = 0, tensors = 0, bytes = 0;
    ASSERT_EQ(adabelief_count(c.get(), &groups, &tensors, &bytes), ADABELIEF_OK);
    EXPECT_EQ(groups, 2U);
    EXPECT_EQ(tensors, 2U);
    EXPECT_EQ(bytes, ours.state_bytes());
  }
}

// Weights of a type with their states, rest and counter in the caller's memory.
struct Mine {
  std::vector<std::vector<std::uint64_t>> states;  // of whole words, so that every element is at its place
  std::vector<std::int16_t> rest;
  float steps = 0;

  Mine(const char* rule, std::int32_t form, std::int32_t type, std::size_t n) : rest(n) {
    std::size_t bytes = 0;
    EXPECT_EQ(adabelief_state_form(form, type, n, nullptr, &bytes), ADABELIEF_OK);
    states.assign(adabelief_find_rule(rule)->states, std::vector<std::uint64_t>((bytes + 7) / 8));
  }
  adabelief_tensor with(adabelief_tensor tensor) {
    for (std::size_t k = 0; k < states.size(); ++k) tensor.states[k] = states[k].data();
    tensor.rest = rest.data(), tensor.steps = &steps;
    return tensor;
  }
};

TEST(C, StatesOfTheCallersGiveTheBitsOfTheLibrarysInEveryFormAndGoOnInAnotherOptimizer) {
  for (const std::int32_t form : {ADABELIEF_FULL, ADABELIEF_STATES_BFLOAT16, ADABELIEF_STATES_8BIT}) {
    for (const std::int32_t rounding : {ADABELIEF_NEAREST, ADABELIEF_STOCHASTIC, ADABELIEF_EXACT}) {
      SCOPED_TRACE(form * 10 + rounding);
      const adabelief_storage storage{form, rounding, 7};
      constexpr std::size_t n = 5001;
      std::vector<std::uint16_t> x(n), x2;
      for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<std::uint16_t>(0x3f80 + i % 64);
      x2 = x;
      const std::vector<float> g = ramp(n, 0.1F);
      adabelief_tensor tensor{};
      tensor.n = n, tensor.type = ADABELIEF_BFLOAT16, tensor.gradient_type = ADABELIEF_FLOAT32;
      const Handle theirs = create("adabelief", {}, &storage);
      tensor.weights = x2.data();
      add(theirs, tensor);
      Mine mine("adabelief", form, ADABELIEF_BFLOAT16, n);
      tensor.weights = x.data();
      tensor = mine.with(tensor);
      for (int half = 0; half < 2; ++half) {
        const Handle ours = create("adabelief", {}, &storage);
        add(ours, tensor);
        for (int t = 0; t < 3; ++t) {
          step(ours, {g.data()});
          step(theirs, {g.data()});
        }
        EXPECT_EQ(mine.steps, 3 * (half + 1));
        EXPECT_EQ(state(ours, "exp_avg_var", n), state(theirs, "exp_avg_var", n));
      }
      EXPECT_EQ(x, x2);
    }
  }
}

TEST(C, WhatExactWeightsKeepMayBeTheCallersOfARuleWithoutStatesToo) {
  const adabelief_storage exact{ADABELIEF_FULL, ADABELIEF_EXACT, 0};
  for (const RuleInfo* rule : rules()) {
    const std::string name(rule->name);
    constexpr std::size_t n = 100;
    std::vector<std::uint16_t> x(n, 0x3f80), x2 = x;
    const std::vector<float> g = ramp(n, 0.1F);
    adabelief_tensor tensor{};
    tensor.n = n, tensor.type = ADABELIEF_BFLOAT16, tensor.gradient_type = ADABELIEF_FLOAT32;
    const Handle theirs = create(name.c_str(), {}, &exact);
    tensor.weights = x2.data();
    add(theirs, tensor);
    Mine mine(name.c_str(), ADABELIEF_FULL, ADABELIEF_BFLOAT16, n);
    tensor.weights = x.data();
    tensor = mine.with(tensor);
    for (int t = 0; t < 6; ++t) {
      const Handle ours = create(name.c_str(), {}, &exact);
      add(ours, tensor);
      step(ours, {g.data()});
      step(theirs, {g.data()});
    }
    EXPECT_EQ(x, x2) << name;
    EXPECT_NE(mine.rest, std::vector<std::int16_t>(n)) << name;
  }
}

TEST(C, ThreadsMayEachHaveAnOptimizer) {
  const auto train = [](unsigned seed) {
    std::vector<float> x = ramp(50'000, 1);
    const Handle c = create("adabelief");
    EXPECT_EQ(adabelief_set_threads(c.get(), 1), ADABELIEF_OK);
    add(c, floats(x));
    for (unsigned t = 0; t < 50; ++t) step(c, {ramp(x.size(), 0.01F * float(seed + t)).data()});
    return x;
  };
  std::vector<std::vector<float>> alone, together(4);
  for (unsigned i = 0; i < together.size(); ++i) alone.push_back(train(i));
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < together.size(); ++i) threads.emplace_back([&, i] { together[i] = train(i); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(together, alone);
}

TEST(C, ATensorWithoutGradientIsLeftAsItIsWithItsCount) {
  std::vector<float> x = ramp(10, 1), y = x, g = ramp(10, 0.1F);
  const std::vector<float> before = x;
  const Handle c = create("adabelief");
  double counted = 5;
  adabelief_tensor tensor = floats(x);
  tensor.steps = &counted, tensor.steps_type = ADABELIEF_FLOAT64;
  add(c, tensor);
  add(c, floats(y));
  step(c, {nullptr, g.data()});
  EXPECT_EQ(x, before);
  EXPECT_NE(y, before);
  EXPECT_EQ(counted, 5);
  EXPECT_EQ(steps(c, 0), 5);
  EXPECT_EQ(steps(c, 1), 1);
  step(c, {g.data(), nullptr});
  EXPECT_EQ(counted, 6);
  ASSERT_EQ(adabelief_set_steps(c.get(), 0, 9), ADABELIEF_OK);
  ASSERT_EQ(adabelief_set_steps(c.get(), 1, 11), ADABELIEF_OK);
  EXPECT_EQ(counted, 9);
  EXPECT_EQ(steps(c, 1), 11);
  counted = std::numeric_limits<double>::quiet_NaN();  // as memory that no one has set
  ASSERT_EQ(adabelief_set_steps(c.get(), 0, 0), ADABELIEF_OK);
  EXPECT_EQ(counted, 0);
}

TEST(C, AFoldScalesClipsSkipsAndZeroes) {
  std::vector<float> x{1, 2}, g{30, 40};
  const Handle c = create("sgd", {{"lr", "1"}, {"momentum", "0"}});
  add(c, floats(x));
  adabelief_fold fold{0.1, 1, 1, infinity, 1};
  ASSERT_EQ(adabelief_set_fold(c.get(), &fold), ADABELIEF_OK);
  step(c, {g.data()});
  EXPECT_FLOAT_EQ(x[0], 0.4F);
  EXPECT_FLOAT_EQ(x[1], 1.2F);
  EXPECT_EQ(g, (std::vector<float>{0, 0}));
  double norm = 0;
  std::int64_t skipped = -1;
  ASSERT_EQ(adabelief_folded(c.get(), &norm, &skipped), ADABELIEF_OK);
  EXPECT_DOUBLE_EQ(norm, 5);
  EXPECT_EQ(skipped, 0);

  g = {1, std::numeric_limits<float>::quiet_NaN()};
  const std::vector<float> before = x;
  step(c, {g.data()});
  EXPECT_EQ(x, before);
  EXPECT_EQ(steps(c), 1);
  ASSERT_EQ(adabelief_folded(c.get(), nullptr, &skipped), ADABELIEF_OK);
  EXPECT_EQ(skipped, 1);

  fold.max_norm = 0;
  EXPECT_REFUSED(adabelief_set_fold(c.get(), &fold), ADABELIEF_INVALID, "max_norm must lie in (0, inf], got 0");
  ASSERT_EQ(adabelief_set_fold(c.get(), nullptr), ADABELIEF_OK);
  g = {1, 1};
  step(c, {g.data()});
  EXPECT_EQ(x[0], before[0] - 1);
  EXPECT_EQ(g[0], 1);
}

TEST(C, OptionsAreSetByNameAndAllAtOnceAndARefusedOneChangesNothing) {
  const Handle c = create("adabelief", {{"preset", "pytorch-0.2.1"}, {"lr", "0.5"}});
  const std::size_t n = adabelief_find_rule("adabelief")->options;
  std::vector<double> values(n);
  ASSERT_EQ(adabelief_get_values(c.get(), 0, values.data(), n), ADABELIEF_OK);
  EXPECT_EQ(values[0], 0.5);
  values[0] = 0.25;
  ASSERT_EQ(adabelief_set_values(c.get(), 0, values.data(), n), ADABELIEF_OK);
  double lr = 0;
  ASSERT_EQ(adabelief_get(c.get(), 0, "lr", &lr), ADABELIEF_OK);
  EXPECT_EQ(lr, 0.25);
  values[0] = 1, values[1] = 2;
  EXPECT_REFUSED(adabelief_set_values(c.get(), 0, values.data(), n), ADABELIEF_INVALID, "beta1 must lie in [0, 1)");
  ASSERT_EQ(adabelief_get(c.get(), 0, "lr", &lr), ADABELIEF_OK);
  EXPECT_EQ(lr, 0.25);
  ASSERT_EQ(adabelief_set(c.get(), 0, "lr", "1e-3"), ADABELIEF_OK);
  ASSERT_EQ(adabelief_get(c.get(), 0, "lr", &lr), ADABELIEF_OK);
  EXPECT_EQ(lr, 1e-3);
}

TEST(C, AStateThatWasReadAndSetGivesTheSameNextStep) {
  for (const std::int32_t form : {ADABELIEF_FULL, ADABELIEF_STATES_BFLOAT16, ADABELIEF_STATES_8BIT}) {
    const adabelief_storage storage{form, ADABELIEF_NEAREST, 0};
    constexpr std::size_t n = 5000;
    std::vector<float> x = ramp(n, 1), y;
    const std::vector<float> g = ramp(n, 0.1F);
    const Handle a = create("adabelief", {}, &storage), b = create("adabelief", {}, &storage);
    add(a, floats(x));
    step(a, {g.data()});
    step(a, {g.data()});
    y = x;
    add(b, floats(y));
    for (const char* name : {"exp_avg", "exp_avg_var"}) {
      std::vector<double> numbers(n);
      ASSERT_EQ(adabelief_get_state(a.get(), 0, name, numbers.data(), n, ADABELIEF_FLOAT64), ADABELIEF_OK);
      EXPECT_NE(numbers[0], 0);
      const std::vector<float> narrow = state(a, name, n);
      EXPECT_EQ(numbers, std::vector<double>(narrow.begin(), narrow.end()));
      ASSERT_EQ(adabelief_set_state(b.get(), 0, name, numbers.data(), n, ADABELIEF_FLOAT64), ADABELIEF_OK);
      ASSERT_EQ(adabelief_set_state(b.get(), 0, name, narrow.data(), n, ADABELIEF_FLOAT32), ADABELIEF_OK);
    }
    ASSERT_EQ(adabelief_set_steps(b.get(), 0, steps(a)), ADABELIEF_OK);
    step(a, {g.data()});
    step(b, {g.data()});
    EXPECT_EQ(x, y);
  }
}

TEST(C, AFileGoesBetweenStatesOfTheLibrarysAndOfTheCallers) {
  const std::string path = ::testing::TempDir() + "adabelief_c.state";
  std::vector<float> x = ramp(100, 1);
  const std::vector<float> g = ramp(100, 0.1F);
  const Handle a = create("adabelief", {{"lr", "0.1"}});
  add(a, floats(x));
  step(a, {g.data()});
  step(a, {g.data()});
  ASSERT_EQ(adabelief_save(a.get(), path.c_str()), ADABELIEF_OK) << adabelief_message();

  std::vector<float> y = x;
  Mine mine("adabelief", ADABELIEF_FULL, ADABELIEF_FLOAT32, 100);
  const Handle b = create("adabelief");
  add(b, mine.with(floats(y)));
  ASSERT_EQ(adabelief_load(b.get(), path.c_str()), ADABELIEF_OK) << adabelief_message();
  EXPECT_EQ(mine.steps, 2);
  EXPECT_NE(mine.states[0][0], 0U);
  step(a, {g.data()});
  step(b, {g.data()});
  EXPECT_EQ(x, y);

  mine.steps = 40;
  ASSERT_EQ(adabelief_save(b.get(), path.c_str()), ADABELIEF_OK);
  ASSERT_EQ(adabelief_load(a.get(), path.c_str()), ADABELIEF_OK);
  EXPECT_EQ(steps(a), 40);
  EXPECT_REFUSED(adabelief_load(a.get(), "/nowhere/x"), ADABELIEF_FILE, "cannot load the state from /nowhere/x");
  EXPECT_REFUSED(adabelief_save(a.get(), "/nowhere/x"), ADABELIEF_FILE, "cannot save the state to /nowhere/x");
  std::filesystem::remove(path);
}

int tasks_seen = 0;

TEST(C, ThreadsAndExecutorsOfTheCallersGiveTheSameBits) {
  std::vector<float> x, y, z;
  x = y = z = ramp(100'000, 1);
  const std::vector<float> g = ramp(x.size(), 0.1F);
  const Handle all = create("adabelief"), one = create("adabelief"), own = create("adabelief");
  add(all, floats(x));
  add(one, floats(y));
  add(own, floats(z));
  ASSERT_EQ(adabelief_set_threads(one.get(), 1), ADABELIEF_OK);
  ASSERT_EQ(adabelief_set_executor(
                own.get(), [] { return 3; },
                [](int tasks, void (*task)(void*, int), void* context) {
                  tasks_seen = tasks;
                  for (int i = tasks; i-- > 0;) task(context, i);
                }),
            ADABELIEF_OK);
  step(all, {g.data()});
  step(one, {g.data()});
  step(own, {g.data()});
  EXPECT_EQ(tasks_seen, 3);
  EXPECT_EQ(x, y);
  EXPECT_EQ(x, z);
  ASSERT_EQ(adabelief_set_threads(own.get(), 0), ADABELIEF_OK);
  tasks_seen = 0;
  step(own, {g.data()});
  EXPECT_EQ(tasks_seen, 0);
}

TEST(C, AnInstructionSetIsSetByItsName) {
  const std::string before = adabelief_isa();
  ASSERT_EQ(adabelief_use_isa("baseline"), ADABELIEF_OK);
  EXPECT_STREQ(adabelief_isa(), "baseline");
  EXPECT_REFUSED(adabelief_use_isa("avx3"), ADABELIEF_INVALID, "no instruction set named 'avx3'");
  ASSERT_EQ(adabelief_use_isa(before.c_str()), ADABELIEF_OK);
}

TEST(C, WhatDoesNotFitIsRefusedByStatusAndMessage) {
  EXPECT_EQ(adabelief_create("adabelif", nullptr, 0, nullptr), nullptr);
  EXPECT_STREQ(std::string(adabelief_message()).substr(0, 66).c_str(),
               "adabelief: no rule named 'adabelif'; did you mean adabelief? There");
  EXPECT_EQ(adabelief_find_rule("adabelif"), nullptr);
  const adabelief_setting wrong{"lr", "fast"}, nothing{nullptr, "1"};
  EXPECT_EQ(adabelief_create("adabelief", &wrong, 1, nullptr), nullptr);
  EXPECT_STREQ(adabelief_message(), "adabelief: lr must lie in [0, inf), got 'fast'");
  EXPECT_EQ(adabelief_create("adabelief", &nothing, 1, nullptr), nullptr);
  EXPECT_STREQ(adabelief_message(), "adabelief: no name of a setting: the address is NULL");
  const adabelief_storage storage{3, 0, 0};
  EXPECT_EQ(adabelief_create("adabelief", nullptr, 0, &storage), nullptr);
  EXPECT_STREQ(adabelief_message(), "adabelief: no form of states 3; they are 0 to 2: full, bfloat16, 8bit");
  EXPECT_EQ(adabelief_rules(nullptr), nullptr);

  const Handle c = create("adabelief");
  std::vector<float> x = ramp(10, 1), g = x;
  adabelief_tensor tensor = floats(x, 1);
  EXPECT_REFUSED(adabelief_add(c.get(), &tensor), ADABELIEF_INVALID, "no group 1");
  tensor = floats(x), tensor.type = 4;
  EXPECT_REFUSED(adabelief_add(c.get(), &tensor), ADABELIEF_INVALID, "no type 4");
  tensor = floats(x), tensor.gradient_type = ADABELIEF_FLOAT64;
  EXPECT_REFUSED(adabelief_add(c.get(), &tensor), ADABELIEF_INVALID, "gradients of float64 do not fit");
  tensor = floats(x), tensor.steps_type = ADABELIEF_BFLOAT16;
  EXPECT_REFUSED(adabelief_add(c.get(), &tensor), ADABELIEF_INVALID, "steps are counted in float32 or float64");
  tensor = floats(x), tensor.states[0] = x.data();
  EXPECT_REFUSED(adabelief_add(c.get(), &tensor), ADABELIEF_INVALID, "no address for the state exp_avg_var");
  tensor = floats(x), tensor.weights = nullptr;
  EXPECT_REFUSED(adabelief_add(c.get(), &tensor), ADABELIEF_INVALID, "weights of 10 elements at no address");
#ifndef __SANITIZE_ADDRESS__  // which ends the program instead
  tensor = floats(x), tensor.n = std::numeric_limits<std::size_t>::max() / 16;
  EXPECT_REFUSED(adabelief_add(c.get(), &tensor), ADABELIEF_MEMORY, "out of memory");
#endif
  EXPECT_REFUSED(adabelief_add(nullptr, &tensor), ADABELIEF_INVALID, "no optimizer");
  EXPECT_REFUSED(adabelief_add(c.get(), nullptr), ADABELIEF_INVALID, "no tensor");

  float counted = -1;
  tensor = floats(x), tensor.steps = &counted;
  add(c, tensor);
  const void* gradient = g.data();
  const std::vector<float> before = x;
  for (const float bad : {-1.F, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    counted = bad;
    EXPECT_REFUSED(adabelief_step(c.get(), &gradient, 1), ADABELIEF_INVALID, "the steps of tensor 0 must lie in");
  }
  counted = 0;
  EXPECT_REFUSED(adabelief_step(c.get(), &gradient, 2), ADABELIEF_INVALID, "takes the address of a gradient for each");
  EXPECT_REFUSED(adabelief_step(c.get(), nullptr, 1), ADABELIEF_INVALID, "no gradients");
  EXPECT_EQ(x, before);

  double number = 0;
  std::int64_t taken = 0;
  float numbers[10];
  const adabelief_fold fold{1, 0, infinity, infinity, 0};
  EXPECT_REFUSED(adabelief_step(nullptr, &gradient, 1), ADABELIEF_INVALID, "no optimizer");
  EXPECT_REFUSED(adabelief_set_fold(nullptr, &fold), ADABELIEF_INVALID, "no optimizer");
  EXPECT_REFUSED(adabelief_folded(nullptr, &number, nullptr), ADABELIEF_INVALID, "no optimizer");
  EXPECT_REFUSED(adabelief_count(nullptr, nullptr, nullptr, nullptr), ADABELIEF_INVALID, "no optimizer");
  EXPECT_REFUSED(adabelief_add_group(c.get(), &wrong, 1, nullptr), ADABELIEF_INVALID, "lr must lie in");
  EXPECT_REFUSED(adabelief_set(c.get(), 0, "lrr", "1"), ADABELIEF_INVALID, "did you mean lr?");
  EXPECT_REFUSED(adabelief_set(c.get(), 0, "lr", nullptr), ADABELIEF_INVALID, "no value");
  EXPECT_REFUSED(adabelief_get(c.get(), 1, "lr", &number), ADABELIEF_INVALID, "no group 1");
  EXPECT_REFUSED(adabelief_get(c.get(), 0, "lr", nullptr), ADABELIEF_INVALID, "no value");
  EXPECT_REFUSED(adabelief_set_values(c.get(), 0, &number, 1), ADABELIEF_INVALID, "takes 8 values, for lr, beta1");
  EXPECT_REFUSED(adabelief_get_values(c.get(), 0, &number, 1), ADABELIEF_INVALID, "there are 8 values, got room for 1");
  EXPECT_REFUSED(adabelief_effective_eps("adabelief", &number, 1, &number), ADABELIEF_INVALID, "takes 8 values");
  EXPECT_REFUSED(adabelief_get_steps(c.get(), 1, &taken), ADABELIEF_INVALID, "no tensor 1");
  EXPECT_REFUSED(adabelief_set_steps(c.get(), 0, -1), ADABELIEF_INVALID, "steps must lie in [0, 2^53], got -1");
  EXPECT_REFUSED(adabelief_get_state(c.get(), 0, "exp_avgg", numbers, 10, 0), ADABELIEF_INVALID, "no state named");
  EXPECT_REFUSED(adabelief_get_state(c.get(), 0, "exp_avg", numbers, 9, 0), ADABELIEF_INVALID, "has 10 numbers");
  EXPECT_REFUSED(adabelief_get_state(c.get(), 0, "exp_avg", numbers, 10, 2), ADABELIEF_INVALID, "float32 or float64");
  EXPECT_REFUSED(adabelief_set_state(c.get(), 0, "exp_avg", numbers, 9, 0), ADABELIEF_INVALID, "takes 10 numbers");
  EXPECT_REFUSED(adabelief_set_state(c.get(), 0, "exp_avg", nullptr, 10, 0), ADABELIEF_INVALID, "no numbers");
  EXPECT_REFUSED(adabelief_set_state(c.get(), 0, "exp_avg", numbers, 10, 3), ADABELIEF_INVALID, "float32 or float64");
  EXPECT_REFUSED(adabelief_state_form(0, 9, 1, nullptr, nullptr), ADABELIEF_INVALID, "no type 9");
  EXPECT_REFUSED(adabelief_save(c.get(), nullptr), ADABELIEF_INVALID, "no path");
  EXPECT_REFUSED(adabelief_set_threads(c.get(), -1), ADABELIEF_INVALID, "threads must be at least 0");
  EXPECT_REFUSED(adabelief_set_executor(c.get(), nullptr, nullptr), ADABELIEF_INVALID, "no function threads");
  adabelief_destroy(nullptr);
}

TEST(C, AMessageIsOfTheThreadThatCalled) {
  EXPECT_EQ(adabelief_find_rule("nothing like it"), nullptr);
  const std::string here = adabelief_message();
  std::thread([] {
    EXPECT_STREQ(adabelief_message(), "");
    EXPECT_EQ(adabelief_find_rule(nullptr), nullptr);
    EXPECT_STREQ(adabelief_message(), "adabelief: no name of a rule: the address is NULL");
  }).join();
  EXPECT_EQ(adabelief_message(), here);
}

}  // namespace
}  // namespace adabelief
