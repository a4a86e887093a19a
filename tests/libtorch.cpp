// SPDX-License-Identifier: MIT
// What holds of the LibTorch adapter: the core's numbers whatever the tensors' layout, torch's conventions, its files.
#include "adabelief/libtorch.h"

#include <torch/torch.h>

#include <fstream>
#include <set>
#include <sstream>
#include <thread>

#include "every_rule.h"

namespace adabelief::tests {
namespace {

using torch::Tensor;

// A leaf with these numbers.
template <class T>
Tensor weight(const std::vector<T>& numbers, at::IntArrayRef shape) {
  return torch::tensor(numbers, c10::CppTypeToScalarType<T>::value).reshape(shape).clone().requires_grad_();
}
Tensor weight(at::IntArrayRef shape, unsigned seed = 1) {
  return weight(values<float>(static_cast<std::size_t>(c10::multiply_integers(shape)), seed), shape);
}

template <class T>
std::vector<T> numbers(const Tensor& tensor) {
  const Tensor flat = tensor.detach().reshape({-1}).contiguous();
  return {flat.const_data_ptr<T>(), flat.const_data_ptr<T>() + flat.numel()};
}

// The t-th gradient of a weight, in its type.
Tensor gradient(const Tensor& weight, unsigned t) {
  return torch::tensor(values<double>(static_cast<std::size_t>(weight.numel()), 100 + t), torch::kDouble)
      .reshape(weight.sizes())
      .to(weight.scalar_type());
}

void run(torch::optim::Optimizer& optimizer, unsigned first, unsigned last) {
  for (unsigned t = first; t <= last; ++t) {
    for (auto& group : optimizer.param_groups()) {
      for (std::size_t i = 0; i < group.params().size(); ++i) {
        group.params()[i].mutable_grad() = gradient(group.params()[i], t + 1000 * unsigned(i));
      }
    }
    optimizer.step();
  }
}

const libtorch::ParamState& state_of(const torch::optim::Optimizer& optimizer, const Tensor& weight) {
  return static_cast<const libtorch::ParamState&>(*optimizer.state().at(weight.unsafeGetTensorImpl()));
}

std::string saved(const torch::optim::Optimizer& optimizer) {
  std::ostringstream out;
  torch::save(optimizer, out);
  return out.str();
}

template <class Optimizer>
void load(Optimizer& optimizer, const std::string& bytes) {
  std::istringstream in(bytes);
  torch::load(optimizer, in);
}

std::filesystem::path scratch(const std::string& name) {
  return std::filesystem::path(testing::TempDir()) / (std::to_string(getpid()) + "-" + name);
}

#define EXPECT_REFUSED(Exception, part, ...)                                                              \
  {                                                                                                       \
    const std::string what = message<Exception>([&] { __VA_ARGS__; });                                    \
    EXPECT_TRUE(what.find(part) != std::string::npos) << "said: '" << what << "', not: '" << part << "'"; \
  }

template <class Rule>
struct LibTorchEveryRule : testing::Test {
  static const RuleInfo& info() { return RuleEntry<Rule>::info(); }
};
TYPED_TEST_SUITE(LibTorchEveryRule, RuleTypes, RuleName);

TYPED_TEST(LibTorchEveryRule, HasTheBitsOfTheCore) {
  for_types([&]<class T>() {
    for (const Settings& settings : variants(this->info())) {
      const Options options(this->info(), settings);
      const std::vector<std::vector<std::int64_t>> shapes{{7, 5}, {}, {33}, {2, 3, 4, 5}, {0, 3}};
      AnyOptimizer core(options);
      std::vector<std::vector<T>> memory;
      std::vector<Tensor> tensors;
      for (const auto& shape : shapes) {
        memory.push_back(values<T>(static_cast<std::size_t>(c10::multiply_integers(shape)), 1));
        tensors.push_back(weight(memory.back(), shape));
      }
      for (auto& m : memory) core.add(m);
      const auto optimizer = libtorch::make(tensors, options);
      for (unsigned t = 1; t <= 20; ++t) {
        run(*optimizer, t, t);
        std::vector<std::vector<T>> g;
        for (const Tensor& w : tensors) g.push_back(numbers<T>(w.grad()));
        core.step(std::vector<Gradient>(g.begin(), g.end()));
      }
      for (std::size_t i = 0; i < tensors.size(); ++i) {
        ASSERT_TRUE(same(numbers<T>(tensors[i]), memory[i]));
        for (std::size_t k = 0; k < TypeParam::states.size(); ++k) {
          const auto state = numbers<T>(state_of(*optimizer, tensors[i]).states[k]);
          ASSERT_TRUE(same(std::span<const T>(state), tests::state<T>(core, TypeParam::states[k], i)));
        }
      }
    }
  });
}

constexpr std::array forms{StateType::full, StateType::bfloat16, StateType::bits8};
constexpr std::array roundings{Rounding::nearest, Rounding::stochastic, Rounding::exact};

// The states of a tensor as the core gives them: numbers in the order of the weight's memory.
std::vector<double> numbers_of(const libtorch::ParamState& state, std::size_t k, const Tensor& weight) {
  const Tensor wide = libtorch::detail::beside(weight, state.numbers(k), torch::kDouble);
  return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
}

TYPED_TEST(LibTorchEveryRule, HasTheBitsOfTheCoreHoweverNumbersAreKept) {
  for (const at::ScalarType type : {torch::kFloat, torch::kBFloat16, torch::kHalf}) {
    for (const StateType states : forms) {
      for (const Rounding rounding : roundings) {
        if (type == torch::kFloat && rounding != Rounding::nearest) continue;
        const Storage storage{.states = states, .weights = rounding, .seed = 3};
        const Options options(this->info(), {{"weight_decay", 0.01}});
        AnyOptimizer core(options, storage);
        core.add_group(options);
        std::vector<Tensor> tensors{weight({100}), weight({70, 61}),
                                    weight({3, 40, 6, 7}).detach().contiguous(torch::MemoryFormat::ChannelsLast)},
            memory;
        for (Tensor& w : tensors) {
          w = w.detach().to(type).requires_grad_();
          memory.push_back(w.detach().clone());  // with its strides, so that both have the same order
          const auto n = static_cast<std::size_t>(w.numel());
          core.add(Weights(memory.back().data_ptr(), n, *libtorch::detail::type_in_core(type)), w.dim() == 4);
        }
        libtorch::Groups groups;
        groups.emplace_back(std::vector{tensors[0], tensors[1]});
        groups.emplace_back(std::vector{tensors[2]});
        const auto optimizer = libtorch::make(groups, options, storage);
        for (unsigned t = 1; t <= 4; ++t) {
          std::vector<Gradient> gradients;
          for (std::size_t i = 0; i < tensors.size(); ++i) {
            Tensor& g = tensors[i].mutable_grad();
            if (g = t == 2 && i == 0 ? Tensor() : torch::empty_like(tensors[i].detach()); g.defined()) {
              g.copy_(gradient(tensors[i], t + 1000 * unsigned(i)));
              gradients.emplace_back(g.data_ptr(), std::size_t(g.numel()), *libtorch::detail::type_in_core(type));
            } else {
              gradients.emplace_back();
            }
          }
          optimizer->step();
          core.step(gradients);
        }
        for (std::size_t i = 0; i < tensors.size(); ++i) {
          ASSERT_TRUE(torch::equal(tensors[i], memory[i]))
              << type << " " << state_type_names[int(states)] << " " << rounding_names[int(rounding)] << " " << i;
          for (std::size_t k = 0; k < TypeParam::states.size(); ++k) {
            ASSERT_EQ(numbers_of(state_of(*optimizer, tensors[i]), k, tensors[i]),
                      core.state_numbers(TypeParam::states[k], i));
          }
        }
        EXPECT_EQ(optimizer->state_bytes(), core.state_bytes());
      }
    }
  }
}

TYPED_TEST(LibTorchEveryRule, OverTensorsIsTheSameFormula) {
  for (const Settings& settings : variants(this->info())) {
    const Options options(this->info(), settings);
    const Tensor dense = weight(values<double>(60, 1), {5, 12});
    // Every other column of a wider tensor: not for the core, which wants no gaps.
    const Tensor strided = torch::zeros({5, 24}, torch::kDouble).slice(1, 0, 24, 2);
    strided.copy_(dense.detach());
    ASSERT_TRUE(libtorch::detail::for_core(dense) && !libtorch::detail::for_core(strided));
    const auto by_core = libtorch::make({dense}, options), by_tensors = libtorch::make({strided}, options);
    run(*by_core, 1, 20);
    run(*by_tensors, 1, 20);
    EXPECT_LT((dense - strided).abs().max().template item<double>(), 1e-12);
    for (std::size_t k = 0; k < TypeParam::states.size(); ++k) {
      const Tensor a = state_of(*by_core, dense).states[k], b = state_of(*by_tensors, strided).states[k];
      EXPECT_LT((a - b).abs().max().template item<double>(), 1e-12);
    }
  }
}

TYPED_TEST(LibTorchEveryRule, FoldsTheSameOverTensors) {
  const Options options(this->info(), {{"weight_decay", 0.01}});
  const Tensor dense = weight(values<double>(60, 1), {5, 12}), other = weight(values<double>(60, 1), {5, 12}),
               twin = weight(values<double>(60, 1), {5, 12});
  const Tensor strided = torch::zeros({5, 24}, torch::kDouble).slice(1, 0, 24, 2);
  strided.copy_(dense.detach());
  ASSERT_TRUE(libtorch::detail::for_core(dense) && !libtorch::detail::for_core(strided));
  const auto by_core = libtorch::make({dense, other}, options), by_both = libtorch::make({strided, twin}, options);
  for (const auto* optimizer : {&by_core, &by_both}) {
    (*optimizer)
        ->fold({.scale = 0.5, .skip_nonfinite = true, .max_norm = 0.5, .max_value = 0.0625, .zero_gradients = true});
  }
  for (unsigned t = 1; t <= 5; ++t) {
    for (const auto* optimizer : {&by_core, &by_both}) {
      for (Tensor& w : (*optimizer)->param_groups()[0].params()) {
        auto g = torch::tensor(values<double>(60, 100 + t)).view({5, 12});
        if (t == 3) g[2][3] = std::numeric_limits<double>::infinity();
        w.mutable_grad() = t % 2 == 0 ? g.t().contiguous().t() : g;  // for the core with a copy
      }
      (*optimizer)->step();
      for (const Tensor& w : (*optimizer)->param_groups()[0].params())
        EXPECT_EQ(w.grad().abs().sum().item<double>(), 0);
    }
    EXPECT_EQ(by_core->folded().skipped(), t < 3 ? 0 : 1);
    EXPECT_EQ(by_both->folded().skipped(), t < 3 ? 0 : 1);
    if (t != 3) {
      EXPECT_NEAR(by_core->folded().norm() / by_both->folded().norm(), 1, 1e-12);
    }
  }
  EXPECT_LT((dense - strided).abs().max().template item<double>(), 1e-12);
}

TYPED_TEST(LibTorchEveryRule, HalfPrecisionIsComputedInFloatAndRoundedOnceAStep) {
  const Options options(this->info(), {{"lr", 0.05}, {"weight_decay", 0.01}});
  const std::vector<std::int64_t> scalar, vector{40};
  for (const auto& [type, shape] :
       {std::pair{torch::kBFloat16, vector}, {torch::kHalf, vector}, {torch::kHalf, scalar}}) {
    const Tensor half = weight(shape).detach().to(type).requires_grad_();
    Tensor whole = half.detach().to(torch::kFloat);  // has half's weights before each step
    const auto in_half = libtorch::make({half}, options), in_float = libtorch::make({whole}, options);
    const double unit = type == torch::kHalf ? 0x1p-11 : 0x1p-8;  // the most that rounding changes a number, relatively
    for (unsigned t = 1; t <= 20; ++t) {
      half.mutable_grad() = gradient(half, t);
      whole.mutable_grad() = half.grad().to(torch::kFloat);
      in_half->step();
      in_float->step();
      EXPECT_TRUE(torch::allclose(half.to(torch::kFloat), whole, 1.001 * unit, 1e-7));
      for (std::size_t k = 0; k < TypeParam::states.size(); ++k) {
        const Tensor a = state_of(*in_half, half).states[k], b = state_of(*in_float, whole).states[k];
        EXPECT_EQ(a.scalar_type(), torch::kFloat);
        EXPECT_TRUE(torch::allclose(a, b, 1e-6, 1e-9));
      }
      whole.copy_(half.detach());
    }
  }
}

TYPED_TEST(LibTorchEveryRule, AResumedRunEqualsAnUnbrokenOne) {
  const Options options(this->info(), {{"weight_decay", 0.01}, {"decay", "decoupled"}});
  const auto tensors = [] {
    return std::vector{weight({6, 4}), weight(values<double>(9, 2), {9}), weight({}),
                       weight({8}).detach().to(torch::kBFloat16).requires_grad_(),
                       weight({2, 3, 4, 4}).detach().contiguous(torch::MemoryFormat::ChannelsLast).requires_grad_()};
  };
  const auto whole = tensors(), broken = tensors();
  const auto unbroken = libtorch::make(whole, options);
  run(*unbroken, 1, 20);
  std::string file;
  {
    const auto first = libtorch::make(broken, options);
    run(*first, 1, 10);
    first->options().set_lr(0.5);  // a resumed run has the file's options, not those that it was made with
    first->options().set_lr(options.get("lr"));
    file = saved(*first);
  }
  const auto resumed = libtorch::make(broken, Options(this->info(), {{"lr", 0.25}}));
  load(*resumed, file);
  EXPECT_EQ(resumed->options(), options);
  run(*resumed, 11, 20);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    EXPECT_TRUE(torch::equal(whole[i], broken[i]));
    const auto &a = state_of(*unbroken, whole[i]), &b = state_of(*resumed, broken[i]);
    EXPECT_EQ(a.steps, 20);
    EXPECT_EQ(b.steps, 20);
    for (std::size_t k = 0; k < a.states.size(); ++k) {
      EXPECT_TRUE(torch::equal(a.states[k], b.states[k]));
      EXPECT_EQ(a.states[k].scalar_type(), b.states[k].scalar_type());
    }
  }
}

TYPED_TEST(LibTorchEveryRule, AResumedRunEqualsAnUnbrokenOneHoweverNumbersAreKept) {
  for (const StateType states : forms) {
    for (const Rounding rounding : roundings) {
      const Storage storage{.states = states, .weights = rounding, .seed = 3};
      const Options options(this->info());
      const auto tensors = [] {
        return std::vector{
            weight({64, 65}).detach().to(torch::kHalf).requires_grad_(), weight({4100}), weight({}),
            weight({2, 65, 8, 8}).detach().to(torch::kBFloat16, false, false, torch::MemoryFormat::ChannelsLast)};
      };
      const auto whole = tensors(), broken = tensors();
      const auto unbroken = libtorch::make(whole, options, storage), first = libtorch::make(broken, options, storage),
                 resumed = libtorch::make(broken, options, storage);
      run(*unbroken, 1, 6);
      run(*first, 1, 3);
      load(*resumed, saved(*first));
      run(*resumed, 4, 6);
      for (std::size_t i = 0; i < whole.size(); ++i) {
        EXPECT_TRUE(torch::equal(whole[i], broken[i]))
            << state_type_names[int(states)] << " " << rounding_names[int(rounding)] << " " << i;
      }
      EXPECT_EQ(resumed->state_bytes(), unbroken->state_bytes());
    }
  }
}

TYPED_TEST(LibTorchEveryRule, TurnsEachFormOfStateIntoEachOther) {
  for (const StateType from : forms) {
    const Tensor w = weight({5000});
    const auto optimizer = libtorch::make({w}, Options(this->info()), {.states = from});
    run(*optimizer, 1, 3);
    const std::string file = saved(*optimizer);
    for (const StateType to : forms) {
      const auto other = libtorch::make({w}, Options(this->info()), {.states = to});
      load(*other, file);
      EXPECT_EQ(state_of(*other, w).steps, 3);
      for (std::size_t k = 0; k < TypeParam::states.size(); ++k) {
        EXPECT_EQ(libtorch::detail::form_of(state_of(*other, w).states[k]), to);
        const Tensor a = state_of(*optimizer, w).numbers(k), b = state_of(*other, w).numbers(k);
        const double relative = to == StateType::full || to == from ? 0 : to == StateType::bfloat16 ? 0x1p-8 : 0x1p-3;
        // 16 binades below the largest of a group that has signs, 8 bits end.
        const double least = to == StateType::bits8 && from != to ? a.abs().max().template item<double>() * 0x1p-14 : 0;
        EXPECT_TRUE(torch::allclose(b, a, relative, least))
            << state_type_names[int(from)] << " to " << state_type_names[int(to)];
      }
    }
  }
}

TEST(LibTorch, AgreesWithTorchsOwnOptimizersInDouble) {
  const auto compare = [](const std::string& what, const auto& ours, const auto& theirs) {
    const Tensor a = weight(values<double>(50, 1), {5, 10}), b = a.detach().clone().requires_grad_();
    const auto one = ours(std::vector{a});
    const auto other = theirs(std::vector{b});
    run(*one, 1, 50);
    run(*other, 1, 50);
    const double relative = (a - b).abs().max().template item<double>() / b.abs().max().template item<double>();
    RecordProperty(what, text(relative));
    EXPECT_LT(relative, 1e-13) << what;
  };
  const auto ours = [](const auto& rule, Common common = {}) {
    return [=](std::vector<Tensor> p) {
      return std::make_unique<libtorch::Optimizer<std::decay_t<decltype(rule)>>>(p, rule, common);
    };
  };
  const auto theirs = []<class T>(std::type_identity<T>, auto options) {
    return [=](std::vector<Tensor> p) { return std::make_unique<T>(p, options); };
  };
  using namespace torch::optim;
  compare("Adam", ours(adabelief::Adam{.lr = 0.01}, {.weight_decay = 0.02}),
          theirs(std::type_identity<torch::optim::Adam>{}, AdamOptions(0.01).weight_decay(0.02)));
  compare("AMSGrad", ours(AMSGrad{.lr = 0.01, .beta2 = 0.9}),
          theirs(std::type_identity<torch::optim::Adam>{}, AdamOptions(0.01).betas({0.9, 0.9}).amsgrad(true)));
  compare("AdamW", ours(adabelief::Adam{.eps = 1e-6}, {.weight_decay = 0.01, .decay = Decay::decoupled}),
          theirs(std::type_identity<torch::optim::AdamW>{}, AdamWOptions(1e-3).eps(1e-6).weight_decay(0.01)));
  compare(
      "SGD", ours(adabelief::SGD{.lr = 0.1, .momentum = 0.9, .dampening = 0.5}, {.weight_decay = 0.02}),
      theirs(std::type_identity<torch::optim::SGD>{}, SGDOptions(0.1).momentum(0.9).dampening(0.5).weight_decay(0.02)));
  compare("Nesterov", ours(adabelief::SGD{.lr = 0.1, .momentum = 0.9, .nesterov = true}),
          theirs(std::type_identity<torch::optim::SGD>{}, SGDOptions(0.1).momentum(0.9).nesterov(true)));
}

TEST(LibTorch, TheLayoutOfWeightsAndGradientsDoesNotMatter) {
  const std::vector<std::int64_t> shape{3, 4, 1, 5};
  const Tensor plain = weight(shape).detach();
  // The same numbers in many layouts.
  const std::vector<std::pair<std::string, std::function<Tensor(const Tensor&)>>> layouts{
      {"contiguous", [](const Tensor& t) { return t.clone(); }},
      {"channels last", [](const Tensor& t) { return t.clone(torch::MemoryFormat::ChannelsLast); }},
      {"transposed", [](const Tensor& t) { return t.transpose(0, 3).contiguous().transpose(0, 3); }},
      {"strided",
       [](const Tensor& t) {
         return torch::stack({t, t}, 2).select(2, 1);
       }},
      {"at an odd address",
       [](const Tensor& t) {
         return torch::cat({torch::zeros({1}), t.flatten()}).slice(0, 1).view(t.sizes());
       }},
  };
  std::vector<std::pair<std::string, std::function<Tensor(const Tensor&)>>> gradients = layouts;
  gradients.emplace_back("double", [](const Tensor& t) { return t.to(torch::kDouble); });
  gradients.emplace_back("lazily negated", [](const Tensor& t) { return torch::_neg_view(-t); });

  const auto trajectory = [&](const auto& weights, const auto& gradients) {
    const Tensor w = weights(plain).requires_grad_();
    libtorch::Optimizer<AdaBelief> optimizer({w}, {}, {.weight_decay = 0.01});
    for (unsigned t = 1; t <= 5; ++t) {
      w.unsafeGetTensorImpl()->mutable_grad() = Tensor();
      const Tensor g = gradients(gradient(plain, t)), before = g.clone();
      w.unsafeGetTensorImpl()->mutable_grad() = g;  // past the setter, which refuses another type
      optimizer.step();
      EXPECT_TRUE(torch::equal(g, before));  // gradients are only read
    }
    return w.detach();
  };
  const Tensor expected = trajectory(layouts[0].second, layouts[0].second);
  for (const auto& [weights_name, weights] : layouts) {
    for (const auto& [gradients_name, gradients] : gradients) {
      const Tensor got = trajectory(weights, gradients);
      EXPECT_TRUE(weights_name == "strided" ? torch::allclose(got, expected, 1e-6, 1e-7) : torch::equal(got, expected))
          << weights_name << " weights, " << gradients_name << " gradients";
    }
  }

  const Tensor a = weight({3, 4}), b = a.detach().clone().requires_grad_();
  libtorch::Optimizer<AdaBelief> one({a}), other({b});
  a.mutable_grad() = torch::full({}, 0.5).expand({3, 4});
  b.mutable_grad() = torch::full({3, 4}, 0.5);
  one.step();
  other.step();
  EXPECT_TRUE(torch::equal(a, b));
}

TEST(LibTorch, AStateHasItsWeightsLayout) {
  const Tensor w = weight({2, 3, 4, 4}).detach().contiguous(torch::MemoryFormat::ChannelsLast).requires_grad_();
  libtorch::Optimizer<AdaBelief> optimizer({w});
  EXPECT_EQ(optimizer.state_bytes(), 0u);
  run(optimizer, 1, 1);
  EXPECT_EQ(state_of(optimizer, w).states.at(0).strides(), w.strides());
  EXPECT_EQ(optimizer.state_bytes(), 2 * 96 * sizeof(float));
}

TEST(LibTorch, AStateFollowsAModelToAnotherType) {
  torch::nn::Linear model(3, 2);
  libtorch::Optimizer<AdaBelief> optimizer(model->parameters());
  run(optimizer, 1, 3);
  const Tensor before = state_of(optimizer, model->weight).states[0];
  model->to(torch::kDouble);
  run(optimizer, 4, 4);
  const auto& state = state_of(optimizer, model->weight);
  EXPECT_EQ(state.states[0].scalar_type(), torch::kDouble);
  EXPECT_EQ(state.steps, 4);
  const Tensor expected = 0.9 * before.to(torch::kDouble) + 0.1 * model->weight.grad();
  EXPECT_TRUE(torch::allclose(state.states[0], expected, 1e-12));

  model->weight.set_data(torch::zeros({5, 5}, torch::kDouble));
  model->weight.mutable_grad() = torch::zeros({5, 5}, torch::kDouble);
  EXPECT_REFUSED(std::invalid_argument, "parameter 0 of group 0 was of shape [2, 3], is now of [5, 5]",
                 optimizer.step());
}

TEST(LibTorch, StatesOfEveryFormFollowAModelToAnotherTypeOrLayout) {
  for (const StateType form : forms) {
    Tensor w = weight({8, 16, 6, 6});
    const auto optimizer = libtorch::make("adabelief", std::vector{w}, {{"lr", 0}}, {.states = form});
    run(*optimizer, 1, 2);
    const auto states = [&] {
      std::vector<Tensor> all;
      for (std::size_t k = 0; k < 2; ++k) all.push_back(state_of(*optimizer, w).numbers(k).to(torch::kDouble).clone());
      return all;
    };
    const Tensor g = gradient(w, 3).to(torch::kBFloat16).to(torch::kDouble);
    const auto after_step = [&](const std::vector<Tensor>& before) {
      const Tensor m = 0.9 * before[0] + 0.1 * g;
      return std::vector{m, 0.999 * before[1] + 0.001 * (g - m).square() + 1e-8};
    };
    const auto follow = [&](const Tensor& moved, StateType wanted) {
      const auto before = states(), expected = after_step(before);
      w.set_data(moved);
      w.unsafeGetTensorImpl()->mutable_grad() = g.to(moved.scalar_type());
      optimizer->step();
      const auto after = states();
      // Where the form was another, the numbers are rounded twice.
      const double error = wanted == StateType::full ? 1e-6 : wanted == StateType::bfloat16 ? 0x1p-6 : 0x1p-2;
      for (std::size_t k = 0; k < 2; ++k) {
        EXPECT_EQ(libtorch::detail::form_of(state_of(*optimizer, w).states[k]), wanted);
        const double least = wanted == StateType::bits8 ? expected[k].abs().max().item<double>() * 0x1p-13 : 1e-9;
        const Tensor allowed = error * (before[k].abs() + expected[k].abs()) + least;
        EXPECT_TRUE(((after[k] - expected[k]).abs() <= allowed).all().item<bool>())
            << state_type_names[int(form)] << " " << k;
      }
    };
    const Tensor x = w.detach().clone();
    follow(x.contiguous(torch::MemoryFormat::ChannelsLast), form);
    follow(x.transpose(0, 1).contiguous().transpose(0, 1), form);
    follow(torch::stack({x, x}, 2).select(2, 1), StateType::full);  // with gaps
    follow(x, form);
    follow(x.to(torch::kDouble), StateType::full);
    EXPECT_EQ(state_of(*optimizer, w).states[0].scalar_type(), torch::kDouble);
    follow(x.to(torch::kBFloat16), form);
    w.set_data(torch::zeros({5, 5}));
    w.unsafeGetTensorImpl()->mutable_grad() = torch::zeros({5, 5});
    EXPECT_REFUSED(std::invalid_argument, "parameter 0 of group 0 was of shape [8, 16, 6, 6], is now of [5, 5]",
                   optimizer->step());
  }
}

TEST(LibTorch, TheRestOfExactWeightsFollowsTheirLayoutAndEndsWithTheirType) {
  const Tensor w = weight({3, 4, 5, 6}).detach().to(torch::kBFloat16).requires_grad_();
  libtorch::Optimizer<AdaBelief> optimizer({w}, {}, {}, {.weights = Rounding::exact});
  run(optimizer, 1, 2);
  EXPECT_EQ(optimizer.state_bytes(), (2 * 4 + 2) * 360);
  const Tensor rest = state_of(optimizer, w).rest.clone();
  EXPECT_GT(rest.abs().max().item<int>(), 100);
  const auto move = [&](const Tensor& moved) {
    w.set_data(moved);
    w.unsafeGetTensorImpl()->mutable_grad() = torch::zeros_like(moved);
    for (std::size_t k = 0; k < 2; ++k) state_of(optimizer, w).states[k].zero_();  // so that nothing moves
    optimizer.step();
  };
  move(w.detach().contiguous(torch::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(torch::equal(state_of(optimizer, w).rest, rest));
  const std::string file = saved(optimizer);
  move(w.detach().to(torch::kHalf));
  EXPECT_EQ(state_of(optimizer, w).rest.abs().max().item<int>(), 0);
  load(optimizer, file);  // its rest is of bfloat16
  EXPECT_EQ(state_of(optimizer, w).rest.abs().max().item<int>(), 0);
  move(w.detach().to(torch::kFloat));
  EXPECT_FALSE(state_of(optimizer, w).rest.defined());
  load(optimizer, file);
  EXPECT_EQ(optimizer.state_bytes(), 2 * 4 * 360u);
}

TEST(LibTorch, AGroupInheritsWhatItDoesNotChange) {
  const Tensor a = weight({2}), b = weight({2}), c = weight({2}), d = weight({2});
  libtorch::Groups groups;
  groups.emplace_back(std::vector{a});
  groups.emplace_back(std::vector{b},
                      std::make_unique<libtorch::Options>(AdaBelief{.beta1 = 0.5}, Common{.weight_decay = 0.25}));
  libtorch::Optimizer optimizer(groups, AdaBelief{.lr = 0.125}, {.weight_decay = 0.5, .decay = Decay::decoupled});
  optimizer.add_param_group({{c}, std::make_unique<libtorch::Options>(AdaBelief{.lr = 0.0625})});
  optimizer.add_group({d},
                      {{"weight_decay", 0}, {"lr", 1e-3}});  // the rule's own defaults, which Options can't ask for
  const auto expect = [&](std::size_t group, double lr, double beta1, double weight_decay) {
    EXPECT_EQ(optimizer.options(group),
              options_of(AdaBelief{.lr = lr, .beta1 = beta1}, {weight_decay, Decay::decoupled}))
        << group;
  };
  expect(0, 0.125, 0.9, 0.5);
  expect(1, 0.125, 0.5, 0.25);
  expect(2, 0.0625, 0.9, 0.5);
  expect(3, 1e-3, 0.9, 0);
  run(optimizer, 1, 2);
  EXPECT_EQ(state_of(optimizer, d).steps, 2);
}

TEST(LibTorch, OptionsOfAnotherOptimizerAreRefused) {
  const auto group = [](auto options) {
    return torch::optim::OptimizerParamGroup({weight({2})}, std::make_unique<decltype(options)>(options));
  };
  const auto foreign = group(torch::optim::AdamOptions(1e-3)), sgd = group(libtorch::Options(SGD{}));
  const std::string said = "adabelief: group 1 has options of another optimizer; give it adabelief::libtorch::Options";
  EXPECT_REFUSED(std::invalid_argument, said,
                 libtorch::Optimizer<AdaBelief>(libtorch::Groups{{{weight({2})}}, foreign}));
  const Tensor w = weight({2}), before = w.detach().clone();
  libtorch::Optimizer<AdaBelief> optimizer({w});
  EXPECT_REFUSED(std::invalid_argument, said, optimizer.add_param_group(foreign));
  EXPECT_REFUSED(std::invalid_argument, "group 1 has options of sgd", optimizer.add_param_group(sgd));
  EXPECT_EQ(optimizer.param_groups().size(), 1u);
  optimizer.add_group({weight({2})});
  optimizer.param_groups()[1].set_options(std::make_unique<torch::optim::AdamOptions>(1e-3));
  EXPECT_REFUSED(std::invalid_argument, said, run(optimizer, 1, 1));
  EXPECT_REFUSED(std::invalid_argument, said, saved(optimizer));
  EXPECT_REFUSED(std::invalid_argument, said, optimizer.options(1));
  EXPECT_TRUE(torch::equal(w, before));
}

TEST(LibTorch, ThroughTheBaseAGroupGetsTheDefaults) {
  const Tensor a = weight({2}), b = weight({2});
  libtorch::Optimizer<AdaBelief> optimizer({a}, {.lr = 0.5});
  static_cast<torch::optim::Optimizer&>(optimizer).add_param_group(
      {{b}, std::make_unique<torch::optim::AdamOptions>(1)});
  EXPECT_EQ(optimizer.options(1).get("lr"), 0.5);
  run(optimizer, 1, 1);
  EXPECT_TRUE(torch::equal(a, b));
}

TEST(LibTorch, OptionsOutOfRangeAreRefused) {
  EXPECT_REFUSED(std::invalid_argument, "adabelief: beta1 must lie in [0, 1), got 1",
                 libtorch::Optimizer<AdaBelief>({weight({2})}, {.beta1 = 1}));
  libtorch::Optimizer<AdaBelief> optimizer({weight({2})});
  EXPECT_REFUSED(std::invalid_argument, "lr must lie in", optimizer.options().set_lr(-1));
  EXPECT_REFUSED(std::invalid_argument, "adabelief: no group 1; the number of groups is 1", optimizer.options(1));
}

TEST(LibTorch, SchedulersSetTheLearningRate) {
  libtorch::Optimizer<AdaBelief> optimizer({weight({2})}, {.lr = 0.5});
  optimizer.add_group({weight({3})}, {{"lr", 0.25}});
  torch::optim::StepLR steps(optimizer, 2, 0.5);
  for (int i = 0; i < 3; ++i) {  // torch's scheduler in C++ first lowers it in its third step
    run(optimizer, 1, 1);
    steps.step();
  }
  EXPECT_EQ(optimizer.options(0).get("lr"), 0.25);
  EXPECT_EQ(optimizer.options(1).get("lr"), 0.125);
  torch::optim::ReduceLROnPlateauScheduler plateau(optimizer, torch::optim::ReduceLROnPlateauScheduler::min, 0.5f, 0);
  plateau.step(1);
  plateau.step(1);
  EXPECT_EQ(optimizer.options(0).get("lr"), 0.125);
}

TEST(LibTorch, AClosureRunsWithGradientsAndItsLossIsReturned) {
  const Tensor w = weight({4}), before = w.detach().clone();
  libtorch::Optimizer<AdaBelief> optimizer({w});
  const torch::NoGradGuard no_grad;
  const Tensor loss = optimizer.step([&] {
    optimizer.zero_grad();
    const Tensor loss = w.square().sum();
    loss.backward();
    return loss;
  });
  EXPECT_EQ(loss.item<float>(), before.square().sum().item<float>());
  EXPECT_FALSE(torch::equal(w, before));
  EXPECT_FALSE(optimizer.step().defined());
}

TEST(LibTorch, TensorsWithoutGradientsAreLeftAsTheyAre) {
  const Tensor a = weight({3}), b = weight({3}), indices = torch::arange(3);
  libtorch::Optimizer<AdaBelief> optimizer({a, b, indices});
  a.mutable_grad() = torch::ones({3});
  optimizer.step();
  b.mutable_grad() = torch::ones({3});
  optimizer.step();
  EXPECT_EQ(state_of(optimizer, a).steps, 2);
  EXPECT_EQ(state_of(optimizer, b).steps, 1);
  EXPECT_EQ(optimizer.state().size(), 2u);
  optimizer.zero_grad();
  const Tensor before = a.detach().clone();
  optimizer.step();
  EXPECT_TRUE(torch::equal(a, before));
  EXPECT_EQ(state_of(optimizer, a).steps, 2);
}

TEST(LibTorch, WhatItCannotStepIsRefusedByNameAndNothingChanges) {
  const auto refused = [](const Tensor& bad, Tensor gradient, const std::string& said) {
    const Tensor good = weight({3}), before = good.detach().clone();
    libtorch::Optimizer<AdaBelief> optimizer({good, bad});
    optimizer.zero_grad();
    good.mutable_grad() = torch::ones({3});
    optimizer.step();
    good.detach().copy_(before);
    const std::int64_t version = good._version();
    bad.unsafeGetTensorImpl()->mutable_grad() = gradient;
    EXPECT_REFUSED(std::invalid_argument, said, optimizer.step());
    EXPECT_TRUE(torch::equal(good, before));
    EXPECT_EQ(good._version(), version);
    EXPECT_EQ(state_of(optimizer, good).steps, 1);
    EXPECT_EQ(state_of(optimizer, good).states[0].abs().max().item<float>(), 0.1f);
  };
  torch::nn::Embedding embedding(torch::nn::EmbeddingOptions(4, 2).sparse(true));
  embedding(torch::tensor({1, 2})).sum().backward();
  refused(embedding->weight, embedding->weight.grad(),
          "adabelief: sparse gradients are not supported (parameter 1 of group 0)");
  refused(torch::zeros({2}, torch::kComplexFloat), torch::zeros({2}, torch::kComplexFloat), "torch::view_as_real");
  refused(torch::zeros({2}, torch::kInt), torch::zeros({2}, torch::kInt),
          "must be dense and of real floating point, got Strided Int");
  refused(torch::zeros({1}).expand({2}), torch::zeros({2}), "has elements that share memory");
  refused(weight({2}), torch::zeros({3}),
          "the gradient of parameter 1 of group 0 must be as the weight, real [2] on cpu, got Float [3]");
  refused(weight({2}), torch::zeros({2}, torch::kComplexFloat), "must be as the weight");
}

TEST(LibTorch, AFirstStepThatIsRefusedLeavesNoState) {
  const Tensor good = weight({3}), bad = weight({2});
  libtorch::Optimizer<AdaBelief> optimizer({good, bad});
  good.mutable_grad() = torch::ones({3});
  bad.unsafeGetTensorImpl()->mutable_grad() = torch::zeros({3});
  EXPECT_REFUSED(std::invalid_argument, "must be as the weight", optimizer.step());
  EXPECT_TRUE(optimizer.state().empty());
  EXPECT_EQ(optimizer.state_bytes(), 0);
}

TEST(LibTorch, AWiderGradientOfAWeightOf16BitsIsNotRounded) {
  for (const auto type : {torch::kHalf, torch::kBFloat16}) {
    const Tensor w = weight({300}).detach().to(type).requires_grad_(), own = w.detach().clone();
    const Tensor g = weight({300}, 2).detach() + 1e5F;  // beyond float16
    libtorch::Optimizer<AdaBelief> optimizer({w}, {.lr = 0.1});
    Optimizer<AdaBelief> core({.lr = 0.1}, Weights(own.mutable_data_ptr(), 300, *libtorch::detail::type_in_core(type)));
    for (int t = 0; t < 3; ++t) {
      w.unsafeGetTensorImpl()->mutable_grad() = g;
      optimizer.step();
      core.step(Gradient(g.const_data_ptr(), 300, Type::float32));
    }
    EXPECT_TRUE(torch::equal(w, own));
    EXPECT_EQ(numbers<float>(state_of(optimizer, w).states[0]), [&] {
      const auto* m = static_cast<const float*>(core.state("exp_avg").data);
      return std::vector<float>(m, m + 300);
    }());
  }
}

TEST(LibTorch, ATensorThatIsThereTwiceIsRefused) {
  const Tensor w = weight({2}), before = w.detach().clone();
  libtorch::Optimizer<AdaBelief> within({w, w}), across({w});
  static_cast<torch::optim::Optimizer&>(across).add_param_group({{w}});
  EXPECT_REFUSED(std::invalid_argument, "parameter 1 of group 0 is there twice", run(within, 1, 1));
  EXPECT_REFUSED(std::invalid_argument, "parameter 0 of group 1 is there twice", run(across, 1, 1));
  EXPECT_TRUE(torch::equal(w, before));
  EXPECT_THROW(libtorch::Optimizer<AdaBelief>({Tensor()}), c10::Error);
  EXPECT_REFUSED(c10::Error, "non-leaf", libtorch::Optimizer<AdaBelief>({w * 2}));
}

TEST(LibTorch, AutogradNoticesThatAWeightHasChanged) {
  const Tensor w = weight({3}), loss = w.square().sum();
  libtorch::Optimizer<AdaBelief> optimizer({w});
  run(optimizer, 1, 1);
  EXPECT_REFUSED(c10::Error, "modified by an inplace operation", loss.backward());
}

TEST(LibTorch, AStepRunsOnTorchsThreadsAndAnyNumberGivesTheSameBits) {
  const int before = at::get_num_threads();
  std::vector<Tensor> results;
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    EXPECT_EQ(libtorch::detail::executor.threads(), threads);
    struct Seen {
      std::mutex mutex;
      std::set<std::thread::id> ids;
    } seen;
    libtorch::detail::executor.run(
        threads,
        [](void* context, int) {
          Seen& seen = *static_cast<Seen*>(context);
          const std::lock_guard lock(seen.mutex);
          seen.ids.insert(std::this_thread::get_id());
        },
        &seen);
    EXPECT_EQ(seen.ids.size(), std::size_t(threads));
    results.push_back(weight({100003}));
    libtorch::Optimizer<AdaBelief> optimizer({results.back()});
    run(optimizer, 1, 3);
  }
  at::set_num_threads(before);
  EXPECT_TRUE(torch::equal(results[0], results[1]));
  EXPECT_TRUE(torch::equal(results[0], results[2]));
}

TEST(LibTorch, AFileThatDoesNotFitIsRefusedAndChangesNothing) {
  const Tensor w = weight({3, 4}), v = weight({5});
  libtorch::Optimizer<AdaBelief> optimizer({w, v}, {.lr = 0.5});
  run(optimizer, 1, 3);
  const std::string good = saved(optimizer);
  const auto refused = [&](const std::string& bytes, const std::string& said) {
    EXPECT_EQ(message<std::runtime_error>([&] { load(optimizer, bytes); }), said);
    EXPECT_EQ(saved(optimizer), good);
  };
  const auto other = [](auto rule, std::vector<Tensor> parameters) {
    libtorch::Optimizer optimizer(parameters, rule);
    run(optimizer, 1, 1);
    return saved(optimizer);
  };
  const std::string start = "adabelief: cannot load the state: ";
  refused(other(Adam{}, {weight({3, 4}), weight({5})}), start + "the rule is adam in the file, adabelief here");
  refused(other(AdaBelief{}, {weight({3, 4})}), start + "the number of parameters of group 0 is 1 in the file, 2 here");
  refused(other(AdaBelief{}, {weight({3, 4}), weight({6})}),
          start + "the shape of a state of parameter 1 of group 0 is [6] in the file, [5] here");
  libtorch::Optimizer<AdaBelief> grouped({weight({3, 4})});
  grouped.add_group({weight({5})});
  refused(saved(grouped), start + "the number of groups is 2 in the file, 1 here");

  std::ostringstream tensor, torchs;
  torch::save(torch::zeros({3}), tensor);
  torch::save(torch::optim::Adam({weight({3})}), torchs);
  refused(tensor.str(), start + "not saved by adabelief::libtorch");
  refused(torchs.str(), start + "not saved by adabelief::libtorch");

  const auto path = scratch("cut.pt");
  std::ofstream(path, std::ios::binary) << saved(grouped);
  EXPECT_EQ(
      message<std::runtime_error>([&] { optimizer.load(path); }),
      "adabelief: cannot load the state from " + path.string() + ": the number of groups is 2 in the file, 1 here");
  for (std::size_t size = 0; size < good.size(); size += 1 + good.size() / 37) {
    std::ofstream(path, std::ios::binary) << good.substr(0, size);
    EXPECT_REFUSED(std::runtime_error, "adabelief: cannot load the state from " + path.string(), optimizer.load(path));
  }
  EXPECT_EQ(saved(optimizer), good);
  std::filesystem::remove(path);
  EXPECT_REFUSED(std::runtime_error, "from " + path.string(), optimizer.load(path));
}

TEST(LibTorch, AFileIsWrittenWholeOrNotAtAll) {
  const Tensor w = weight({3, 4});
  libtorch::Optimizer<AdaBelief> optimizer({w});
  run(optimizer, 1, 2);
  const auto path = scratch("state.pt");
  optimizer.save(path);
  EXPECT_FALSE(std::filesystem::exists(path.string() + ".part"));
  libtorch::Optimizer<AdaBelief> read({w}, {.lr = 0.5});
  torch::load(read, path.string());
  EXPECT_EQ(read.options(), optimizer.options());
  EXPECT_TRUE(torch::equal(state_of(read, w).states[1], state_of(optimizer, w).states[1]));
  std::filesystem::remove(path);
  const auto nowhere = scratch("no folder") / "state.pt";
  EXPECT_REFUSED(std::runtime_error, "adabelief: cannot save the state to " + nowhere.string(),
                 optimizer.save(nowhere));
}

TEST(LibTorch, AFullDiskIsNoticedAndTheOldFileStays) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  const Tensor w = weight({3, 4});
  libtorch::Optimizer<AdaBelief> optimizer({w}), read({w});
  run(optimizer, 1, 2);
  const auto path = scratch("full.pt");
  const std::string part = path.string() + ".part";
  optimizer.save(path);
  std::filesystem::create_symlink("/dev/full", part);
  run(optimizer, 3, 3);
  EXPECT_EQ(message<std::runtime_error>([&] { optimizer.save(path); }),
            "adabelief: cannot save the state to " + path.string() + ": " + part + ": No space left on device");
  EXPECT_FALSE(std::filesystem::is_symlink(part));
  read.load(path);
  EXPECT_EQ(state_of(read, w).steps, 2);
  std::filesystem::remove(path);
}

TEST(LibTorch, OneArchiveMayBeLoadedByTwo) {
  const Tensor a = weight({3}), b = weight({3});
  libtorch::Optimizer<AdaBelief> one({a}), other({b});
  run(one, 1, 1);
  std::istringstream in(saved(one));
  torch::serialize::InputArchive archive;
  archive.load_from(in);
  one.load(archive);
  other.load(archive);
  run(one, 2, 9);
  EXPECT_TRUE(torch::equal(state_of(other, b).states[0], 0.1 * gradient(b, 1)));
}

TEST(LibTorch, MakeChoosesEveryRule) {
  Rules::for_each([]<class Rule>() {
    const auto optimizer = libtorch::make(Rule::name, std::vector{weight({2})}, {{"lr", 0.5}});
    EXPECT_EQ(optimizer->rule().name, Rule::name);
    EXPECT_EQ(optimizer->options().get_lr(), 0.5);
    EXPECT_NE(dynamic_cast<libtorch::Optimizer<Rule>*>(optimizer.get()), nullptr);
  });
  EXPECT_REFUSED(std::invalid_argument, "did you mean adabelief?", libtorch::make("adabelif", libtorch::Groups{}));
}

TEST(LibTorch, AModelLearns) {
  torch::manual_seed(1);
  torch::nn::Sequential model(torch::nn::Linear(2, 16), torch::nn::Tanh(), torch::nn::Linear(16, 1));
  const Tensor x = torch::rand({64, 2}), y = (x.select(1, 0) * x.select(1, 1)).unsqueeze(1);
  libtorch::Optimizer optimizer(model->parameters(), AdaBelief{.lr = 1e-2});
  const auto loss = [&] { return torch::mse_loss(model->forward(x), y); };
  const float start = loss().item<float>();
  for (int t = 0; t < 200; ++t) {
    optimizer.zero_grad();
    loss().backward();
    optimizer.step();
  }
  EXPECT_LT(loss().item<float>(), start / 10);
}

}  // namespace
}  // namespace adabelief::tests
