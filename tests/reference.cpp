// SPDX-License-Identifier: MIT
// The oracle and the kernels beside trajectories of other implementations (reference/make.py).
#include <fstream>
#include <nlohmann/json.hpp>

#include "adabelief/oracle.h"
#include "every_rule.h"

namespace adabelief::tests {
namespace {

using nlohmann::json;

json read(const std::string& name) {
  std::ifstream in(std::string(ADABELIEF_REFERENCE) + "/" + name + ".json");
  if (!in) return {};
  return json::parse(in);
}

// Gradients by the recipe in problems.json.
struct Problem {
  std::vector<double> mean, curvature, target;
  double spread;
  bool flip;
  std::uint64_t zeros;

  explicit Problem(const json& problem)
      : mean(problem.at("mean")),
        curvature(problem.at("curvature")),
        target(problem.at("target")),
        spread(problem.at("spread")),
        flip(problem.at("flip")),
        zeros(problem.at("zeros")) {}

  std::vector<double> gradient(std::uint64_t t, std::span<const double> x) const {
    std::vector<double> g(x.size());
    for (std::size_t i = 0; i < x.size(); ++i) {
      std::uint64_t z = (8 * t + i) * 0x9E3779B97F4A7C15;
      z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
      z = (z ^ z >> 27) * 0x94D049BB133111EB;
      z = z ^ z >> 31;
      const double u = std::ldexp(static_cast<double>(static_cast<std::int64_t>(z >> 11) - (1LL << 52)), -52);
      const double m = flip && t % 2 == 0 ? -mean[i] : mean[i];
      g[i] = z & zeros ? 0 : curvature[i] * (x[i] - target[i]) + (m + spread * u);
    }
    return g;
  }
};

TEST(Reference, TheGradientsAreThoseOfTheRecipe) {
  const json file = read("problems");
  ASSERT_FALSE(file.is_null()) << "no tests/reference/problems.json; run tests/reference/make.py";
  for (const auto& [name, problem] : file.at("problems").items()) {
    const std::vector<double> start = problem.at("start");
    for (const json& check : problem.at("check")) {
      EXPECT_EQ(Problem(problem).gradient(check.at("t"), start), check.at("g").get<std::vector<double>>())
          << name << ", step " << check.at("t");
    }
  }
}

template <class Rule>
struct Reference : testing::Test {};
TYPED_TEST_SUITE(Reference, RuleTypes, RuleName);

TYPED_TEST(Reference, TrajectoriesOfOtherImplementationsAreFollowed) {
  const json problems = read("problems"), file = read(std::string(TypeParam::name));
  ASSERT_FALSE(file.is_null()) << "no tests/reference/" << TypeParam::name
                               << ".json: describe the rule in tests/reference/make.py and run it";
  ASSERT_FALSE(file.at("cases").empty());
  for (const json& one : file.at("cases")) {
    SCOPED_TRACE(one.at("name"));
    Settings settings;
    for (const auto& [name, value] : one.at("options").items()) {
      if (value.is_string()) settings.emplace_back(name, value.template get<std::string>());
      if (value.is_boolean()) settings.emplace_back(name, value.template get<bool>());
      if (value.is_number()) settings.emplace_back(name, value.template get<double>());
    }
    const Options options(RuleEntry<TypeParam>::info(), settings);
    const Problem problem(problems.at("problems").at(one.at("problem").template get<std::string>()));
    std::vector<double> x = one.at("start");
    Oracle<TypeParam> oracle(options, x);
    AnyOptimizer optimizer(options);
    optimizer.add(x);

    // Relative to the weight, or to the path's own scale where the weight passes through zero.
    const double tolerance = one.at("tolerance"), scale = one.at("scale");
    const auto near = [&](const std::vector<double>& ours, const std::vector<double>& theirs) {
      for (std::size_t i = 0; i < theirs.size(); ++i) {
        const double size = std::max({std::abs(ours[i]), std::abs(theirs[i]), scale});
        if (!(std::abs(ours[i] - theirs[i]) <= tolerance * size)) return false;
      }
      return ours.size() == theirs.size();
    };
    const json& steps = one.at("steps");
    ASSERT_GE(steps.back(), 1000);
    std::uint64_t t = 0;
    for (std::size_t k = 0; k < steps.size(); ++k) {
      while (t < steps[k]) {
        ++t;
        oracle.step(problem.gradient(t, oracle.x));
        optimizer.step(problem.gradient(t, x));
      }
      const std::vector<double> theirs = one.at("x").at(k);
      ASSERT_PRED2(near, oracle.x, theirs) << "the oracle at step " << t;
      ASSERT_PRED2(near, x, theirs) << "the kernels at step " << t;
    }
  }
}

}  // namespace
}  // namespace adabelief::tests
