// SPDX-License-Identifier: MIT
// The rules as torch::optim::Optimizer, header-only. Beside torch::optim::Adam two lines change:
//
//   #include <adabelief/libtorch.h>
//   adabelief::libtorch::Optimizer opt(model->parameters(), adabelief::AdaBelief{.lr = 1e-3});
//
// Groups, schedulers, closures, torch::save and torch::load are as with torch's own. All weights of float, double,
// bfloat16 or float16 in the CPU's memory go to the core's kernels in one pass, with the bits of adabelief::Optimizer
// and on torch's threads. Any other device, type or layout runs the same formula over tensors, in float, or in double
// where the weights are; there, whatever Storage says, states are full and weights of 16 bits rounded to the nearest.
#pragma once

#include <ATen/ATen.h>
#include <ATen/MemoryOverlap.h>
#include <ATen/Parallel.h>
#include <ATen/ScalarOps.h>
#include <torch/optim/optimizer.h>
#include <torch/serialize/archive.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adabelief/optimizer.h"
#include "adabelief/rules.h"

namespace adabelief::libtorch {

/// A group's options: Options(AdaBelief{.lr = 1e-4}, {.weight_decay = 1e-2}), read and changed by get() and set().
struct Options final : torch::optim::OptimizerCloneableOptions<Options>, adabelief::Options {
  explicit Options(adabelief::Options options) : adabelief::Options(std::move(options)) {}
  /// Throws std::invalid_argument where an option is out of its range.
  template <RuleLike Rule>
  explicit Options(const Rule& rule, const Common& common = {}) : Options(options_of(rule, common)) {}

  double get_lr() const override { return get("lr"); }
  void set_lr(const double lr) override { set("lr", lr); }

  /// Takes from `defaults` each option that still has its rule's default, as torch's own groups do.
  void inherit(const adabelief::Options& defaults) {
    for (std::size_t i = 0; i < list().size(); ++i) {
      if (values()[i] == list()[i].value) set(list()[i].name, defaults.values()[i]);
    }
  }

  void serialize(torch::serialize::OutputArchive& archive) const override {
    for (const OptionInfo& option : list()) {
      const double value = get(option.name);
      archive.write(std::string(option.name), !option.choices.empty() ? c10::IValue(text(option.name))
                                              : option.is_bool        ? c10::IValue(value != 0)
                                                                      : c10::IValue(value));
    }
  }
  /// An option that the archive lacks gets its rule's default, so that a later version may add some.
  void serialize(torch::serialize::InputArchive& archive) override {
    adabelief::Options options(rule());
    for (const OptionInfo& option : list()) {
      c10::IValue value;
      const std::string name(option.name);
      if (!archive.try_read(name, value)) continue;
      options.set(name, value.isString() ? Value(value.toStringRef()) : Value(value.toScalar().toDouble()));
    }
    static_cast<adabelief::Options&>(*this) = std::move(options);
  }
};

namespace detail {

// A tensor with the words of a rule (rule.h), found by argument-dependent lookup. A double becomes a "wrapped number",
// which takes the tensor's type and device instead of widening it.
struct TensorValue {
  at::Tensor tensor;

  TensorValue(at::Tensor tensor) : tensor(std::move(tensor)) {}
  TensorValue(double number) : tensor(at::native::wrapped_scalar_tensor(number)) {}

  friend TensorValue operator+(const TensorValue& a, const TensorValue& b) { return at::add(a.tensor, b.tensor); }
  friend TensorValue operator-(const TensorValue& a, const TensorValue& b) { return at::sub(a.tensor, b.tensor); }
  friend TensorValue operator*(const TensorValue& a, const TensorValue& b) { return at::mul(a.tensor, b.tensor); }
  friend TensorValue operator/(const TensorValue& a, const TensorValue& b) { return at::div(a.tensor, b.tensor); }
  friend TensorValue sqrt(const TensorValue& a) { return at::sqrt(a.tensor); }
  friend TensorValue max(const TensorValue& a, const TensorValue& b) {
    return at::where(a.tensor >= b.tensor, a.tensor, b.tensor);  // what NaN does: see rule.h
  }
  friend TensorValue min(const TensorValue& a, const TensorValue& b) {
    return at::where(a.tensor <= b.tensor, a.tensor, b.tensor);
  }
  friend TensorValue powr(const TensorValue& v, const TensorValue& p) { return at::pow(v.tensor, p.tensor); }
  friend TensorValue sign(const TensorValue& a) { return at::where(a.tensor.isnan(), a.tensor, at::sign(a.tensor)); }
};

using Scalars = std::array<double, cpu::max_scalars>;

// The type in which a weight is computed and its states are kept.
inline at::ScalarType state_type(const at::Tensor& weight) {
  return weight.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

// The core's name of a type, where it has one.
inline std::optional<Type> type_in_core(at::ScalarType type) {
  switch (type) {
    case at::kFloat: return Type::float32;
    case at::kDouble: return Type::float64;
    case at::kBFloat16: return Type::bfloat16;
    case at::kHalf: return Type::float16;
    default: return {};
  }
}

// Whether the core can step it: each number once and without gaps in the CPU's memory, in any order of dimensions.
inline bool for_core(const at::Tensor& weight) {
  return weight.is_cpu() && type_in_core(weight.scalar_type()) && weight.is_non_overlapping_and_dense() &&
         !weight.is_neg();
}

// A gradient or state as the core reads it beside `weight`: itself, or a copy of weight's strides and that type.
inline at::Tensor beside(const at::Tensor& weight, const at::Tensor& tensor, at::ScalarType type) {
  bool fits = tensor.is_cpu() && tensor.scalar_type() == type && !tensor.is_neg() && !tensor._is_zerotensor();
  for (std::int64_t d = 0; fits && d < weight.dim(); ++d) {
    fits = weight.size(d) == 1 || tensor.stride(d) == weight.stride(d);
  }
  const auto options = weight.options().dtype(type);
  return fits ? tensor : at::empty_strided(weight.sizes(), weight.strides(), options).copy_(tensor);
}

// The type in which the core reads a weight's gradient: its own where both are computed alike.
inline at::ScalarType gradient_type(const at::Tensor& weight) {
  const at::ScalarType computed = state_type(weight), own = weight.grad().scalar_type();
  return type_in_core(own) && state_type(weight.grad()) == computed ? own : computed;
}

inline at::Tensor zeros(const at::Tensor& weight) {
  return at::zeros_like(weight, weight.options().dtype(state_type(weight)), at::MemoryFormat::Preserve);
}

// A tensor's shape, strides and type without its numbers.
inline at::Tensor outline(const at::Tensor& tensor) {
  return at::empty_strided(tensor.sizes(), tensor.strides(), tensor.options().device(at::kMeta));
}

inline StateType form_of(const at::Tensor& state) {
  if (state.scalar_type() == at::kByte) return StateType::bits8;
  return state.scalar_type() == at::kBFloat16 ? StateType::bfloat16 : StateType::full;
}

// What cpu::read_state and write_state want to know of a state of n elements.
inline cpu::Job state_job(const at::Tensor& state, std::int64_t n) {
  cpu::Job job{};
  job.states[0] = state.mutable_data_ptr(), job.state_type = form_of(state), job.n = static_cast<std::size_t>(n);
  return job;
}

// Floats without gaps as a state of a form that is not full.
inline at::Tensor kept(const at::Tensor& numbers, StateType form) {
  const std::int64_t n = numbers.numel();
  const auto bytes = static_cast<std::int64_t>(cpu::state_bytes(form, Type::float32, static_cast<std::size_t>(n)));
  at::Tensor state = form == StateType::bits8 ? at::empty({bytes}, at::kByte)
                                              : at::empty_strided(numbers.sizes(), numbers.strides(), at::kBFloat16);
  cpu::write_state(state_job(state, n), 0, numbers.const_data_ptr<float>());
  return state;
}

// The core's threads, as many as torch would use; at::parallel_for itself is serial where the caller's file is compiled
// without OpenMP. Always the whole team, since GCC's OpenMP, which the core shares with torch, ends and starts threads
// where one parallel region asks for fewer than the next: 4 threads took 0.10 ms with torch's next operation, not 0.19.
inline const cpu::Executor executor{[] { return at::in_parallel_region() ? 1 : at::get_num_threads(); },
                                    [](int tasks, void (*task)(void*, int), void* context) {
                                      auto one = [&](int i) {
                                        if (i < tasks) task(context, i);
                                      };
                                      const auto call = [](void* f, int i) { (*static_cast<decltype(one)*>(f))(i); };
                                      cpu::openmp.run(std::max(tasks, at::get_num_threads()), call, &one);
                                    }};

}  // namespace detail

/// What is kept for one weight tensor.
struct ParamState final : torch::optim::OptimizerCloneableParamState<ParamState> {
  ParamState(const RuleInfo& rule, const at::Tensor& weight) : rule(&rule), weight(detail::outline(weight)) {}

  const RuleInfo* rule;
  std::int64_t steps = 0;  ///< steps that the tensor has taken
  /// One for each of rule->states; none before the first step. Full ones are of float or double and the weight's shape,
  /// those of bfloat16 have its layout too, one of 8 bits is of cpu::state_bytes bytes in the order of its memory.
  std::vector<at::Tensor> states;
  at::Tensor rest;        ///< what Rounding::exact keeps, int16 of the weight's shape and layout; undefined for others
  at::Tensor weight;      ///< of the shape, layout and type that all this is kept for, on the meta device
  std::size_t place = 0;  ///< its place among the tensors of the last step

  /// The numbers of a state, of the weight's shape: itself where it is full, a copy in float where not.
  at::Tensor numbers(std::size_t k) const {
    if (detail::form_of(states[k]) == StateType::full) return states[k];
    at::Tensor numbers = at::empty_strided(weight.sizes(), weight.strides(), at::kFloat);
    cpu::read_state(detail::state_job(states[k], weight.numel()), 0, numbers.mutable_data_ptr<float>());
    return numbers;
  }

  void serialize(torch::serialize::OutputArchive& archive) const override {
    archive.write("steps", c10::IValue(steps));
    for (std::size_t k = 0; k < states.size(); ++k) archive.write(std::string(rule->states[k]), numbers(k), true);
    if (rest.defined()) archive.write(rest_name(), rest, true);
  }
  void serialize(torch::serialize::InputArchive& archive) override {
    c10::IValue value;
    archive.read("steps", value);
    steps = value.toInt();
    states.resize(rule->states.size());
    for (std::size_t k = 0; k < states.size(); ++k) archive.read(std::string(rule->states[k]), states[k], true);
    archive.try_read(rest_name(), rest, true);
  }

 private:
  // With the weight's type, since the rest of another means nothing to it.
  std::string rest_name() const { return std::string("weight_rest_") + c10::toString(weight.scalar_type()); }
};

using Groups = std::vector<torch::optim::OptimizerParamGroup>;

/// A torch::optim::Optimizer whose rule is a value: what Optimizer<Rule> and make() give. Its state() holds a
/// ParamState for each tensor that a step has had a gradient of.
class AnyOptimizer : public torch::optim::Optimizer {
 public:
  const RuleInfo& rule() const { return *rule_; }

  /// A group's options, to read and to change. Throws std::invalid_argument for a number that there is not.
  const Options& options(std::size_t group = 0) const {
    if (group >= param_groups_.size()) refuse("no group ", group, "; the number of groups is ", param_groups_.size());
    return checked(param_groups_[group], group);
  }
  Options& options(std::size_t group = 0) { return const_cast<Options&>(std::as_const(*this).options(group)); }

  /// Adds a group. Without options it gets the optimizer's. With Options it inherits those that still have the rule's
  /// default; where a group is to have just that value and the optimizer has another, use add_group. Throws
  /// std::invalid_argument for options of another rule or optimizer, c10::Error for a tensor that isn't a leaf.
  ///
  /// Through a reference to torch::optim::Optimizer its own function runs, which is not virtual and knows torch's own
  /// options alone: such a group gets the optimizer's options, whatever it asked for.
  void add_param_group(const torch::optim::OptimizerParamGroup& group) {
    Options options = own_defaults();
    if (group.has_options()) {
      options = checked(group, param_groups_.size());
      options.inherit(own_defaults());
    }
    add(group.params(), std::move(options));
  }

  /// Adds a group with the optimizer's options but for these: add_group(norms, {{"weight_decay", 0}}).
  void add_group(std::vector<at::Tensor> parameters, const Settings& changes = {}) {
    Options options = own_defaults();
    options.set(changes);
    add(std::move(parameters), std::move(options));
  }

  /// One step of every weight that has a gradient, after `closure`, if given, has computed them; returns its loss.
  /// Gradients are only read, unless fold() asked to zero them. Throws std::invalid_argument, before anything has
  /// changed, for a gradient that is sparse or does not fit its weight, for a weight that is not dense, real and of
  /// floating point or is there twice, and for a group with options of another rule or optimizer.
  at::Tensor step(LossClosure closure = nullptr) override {
    at::NoGradGuard no_grad;
    at::Tensor loss;
    if (closure) {
      at::AutoGradMode grad(true);
      loss = closure();
    }
    collect();
    double others = 0;
    for (const Work& work : work_) {
      if (!work.core && folded_.takes_norm()) {
        others += work.gradient.to(at::kDouble).square().sum().template item<double>();
      }
    }
    const Folded::Use use = folded_.prepare(jobs_, detail::executor, others);
    if (use.skip) {
      for (const Work& work : work_) zero(work);
      work_.clear();
      return loss;
    }
    detail::Scalars scalars{};
    adabelief::Options::Decayed decayed{};
    const Work* same = nullptr;  // for which these were computed: most tensors share group and step
    auto job = jobs_.begin();
    for (const Work& work : work_) {
      ParamState& state = *work.state;
      ++state.steps;
      if (same == nullptr || same->options != work.options || same->state->steps != state.steps) {
        scalars = rule_->scalars(work.options->values().data(), static_cast<double>(state.steps));
        decayed = work.options->decayed();
        same = &work;
      }
      at::Tensor& weight = *work.weight;
      if (work.core) {
        job->coupled = decayed.coupled, job->lost = decayed.lost, job->scalars = scalars;
        job->key = storage_.key(work.number, state.steps);
        ++job;
      } else {
        using Value = detail::TensorValue;
        const Value start = weight.to(detail::state_type(weight));
        Value g = Value(use.scale) * work.gradient.to(detail::state_type(weight));
        if (std::isfinite(use.limit)) g = max(Value(-use.limit), min(Value(use.limit), g));
        Value x = start - decayed.lost * start;
        update(scalars, x, g + decayed.coupled * start, state.states);
        weight.copy_(x.tensor);
        zero(work);
      }
    }
    cpu::run(jobs_, detail::executor);
    for (const Work& work : work_) {  // so that autograd notices a weight that it had saved
      if (!work.core) continue;
      work.weight->unsafeGetTensorImpl()->bump_version();
      if (!work.gradient.is_same(work.weight->grad())) zero(work);  // the core worked on a copy
    }
    work_.clear();
    return loss;
  }

  /// What later steps do to their gradients on the way, such as clipping: see fold.h. Throws std::invalid_argument.
  void fold(const Fold& fold) { folded_.set(fold); }
  const Folded& folded() const { return folded_; }

  /// Bytes of all states; they are allocated by a tensor's first step.
  std::size_t state_bytes() const {
    std::size_t bytes = 0;
    for (const auto& [weight, kept] : state_) {
      const auto& state = static_cast<const ParamState&>(*kept);
      for (const at::Tensor& s : state.states) bytes += s.nbytes();
      if (state.rest.defined()) bytes += state.rest.nbytes();
    }
    return bytes;
  }

  /// What torch::save(optimizer, ...) writes: options, step counts and states, by group and place in it; not the
  /// weights. States of every form are written as numbers, so that each can be read into each.
  void save(torch::serialize::OutputArchive& archive) const override {
    archive.write("format", c10::IValue(format));
    archive.write("rule", c10::IValue(std::string(rule_->name)));
    archive.write("groups", c10::IValue(static_cast<std::int64_t>(param_groups_.size())));
    for (std::size_t i = 0; i < param_groups_.size(); ++i) {
      const auto& parameters = param_groups_[i].params();
      torch::serialize::OutputArchive group(archive.compilation_unit()), options(archive.compilation_unit());
      checked(param_groups_[i], i).serialize(options);
      group.write("options", options);
      group.write("parameters", c10::IValue(static_cast<std::int64_t>(parameters.size())));
      for (std::size_t j = 0; j < parameters.size(); ++j) {
        const auto found = state_.find(parameters[j].unsafeGetTensorImpl());
        if (found == state_.end()) continue;
        torch::serialize::OutputArchive state(archive.compilation_unit());
        found->second->serialize(state);
        group.write("parameter" + std::to_string(j), state);
      }
      archive.write("group" + std::to_string(i), group);
    }
  }

  /// What torch::load(optimizer, ...) reads: what save() wrote for an optimizer of the same rule, groups and shapes.
  /// States take the weights' devices and the form that they have here; what Rounding::exact keeps is 0 where the file
  /// has none for weights of this type. Throws std::runtime_error that says what does not fit, and then
  /// nothing has changed.
  void load(torch::serialize::InputArchive& archive) override { read(archive, "load the state"); }

  /// torch::save to PATH.part, then renamed, so that whatever stops the program leaves no half a file at PATH. Throws
  /// std::runtime_error.
  void save(const std::filesystem::path& path) const {
    const std::string part = path.string() + ".part";
    try {
      torch::serialize::OutputArchive archive;
      save(archive);
      errno = 0;
      std::ofstream out(part, std::ios::binary);  // given a path, LibTorch does not look whether all could be written
      archive.save_to([&](const void* data, std::size_t bytes) {
        out.write(static_cast<const char*>(data), static_cast<std::streamsize>(bytes));
        return bytes;
      });
      out.close();
      if (!out) throw std::runtime_error(part + ": " + std::strerror(errno));
      std::filesystem::rename(part, path);
    } catch (const std::exception& error) {
      std::error_code ignored;
      std::filesystem::remove(part, ignored);
      fail("save the state to " + path.string(), error);
    }
  }
  /// torch::load, but that a file which LibTorch cannot read is refused by a std::runtime_error too, and that it may be
  /// of a machine with other devices.
  void load(const std::filesystem::path& path) {
    const std::string what = "load the state from " + path.string();
    torch::serialize::InputArchive archive;
    try {
      archive.load_from(path.string(), at::kCPU);
    } catch (const std::exception& error) {
      fail(what, error);
    }
    read(archive, what);
  }

 protected:
  AnyOptimizer(const Groups& groups, adabelief::Options defaults, const Storage& storage)
      : torch::optim::Optimizer(Groups{}, std::make_unique<Options>(std::move(defaults))),
        rule_(&own_defaults().rule()),
        storage_(storage) {
    for (const auto& group : groups) add_param_group(group);
  }

  // The rule's formula over whole tensors.
  virtual void update(const detail::Scalars& scalars, detail::TensorValue& x, const detail::TensorValue& g,
                      std::vector<at::Tensor>& states) const = 0;

 private:
  static constexpr std::int64_t format = 1;

  struct Work {
    at::Tensor* weight;
    at::Tensor gradient;
    ParamState* state;
    const Options* options;
    std::size_t number;  // of the weight among all of all groups
    bool core;
  };

  static std::string place(std::size_t group, std::size_t parameter) {
    return c10::str("parameter ", parameter, " of group ", group);
  }
  [[noreturn]] void fail(const std::string& what, const std::exception& error) const {
    const auto* torchs = dynamic_cast<const c10::Error*>(&error);
    std::string_view why = torchs ? torchs->what_without_backtrace() : error.what();
    const std::string ours = std::string(rule_->name) + ": ";  // of an option that is refused
    if (why.starts_with(ours)) why.remove_prefix(ours.size());
    throw std::runtime_error(c10::str(ours, "cannot ", what, ": ", why));
  }
  template <class... Text>
  [[noreturn]] void refuse(const Text&... why) const {
    throw std::invalid_argument(c10::str(rule_->name, ": ", why...));
  }

  const Options& own_defaults() const { return static_cast<const Options&>(*defaults_); }

  void add(std::vector<at::Tensor> parameters, Options options) {
    auto own = std::make_unique<Options>(std::move(options));
    torch::optim::Optimizer::add_param_group(std::move(parameters));
    param_groups_.back().set_options(std::move(own));
  }

  // The group's options, found to be of this rule.
  const Options& checked(const torch::optim::OptimizerParamGroup& group, std::size_t number) const {
    const auto* options = group.has_options() ? dynamic_cast<const Options*>(&group.options()) : nullptr;
    if (options != nullptr && &options->rule() == rule_) return *options;
    refuse("group ", number, " has options of ", options ? options->rule().name : "another optimizer",
           "; give it adabelief::libtorch::Options of ", rule_->name);
  }

  void check(const at::Tensor& weight, const at::Tensor& gradient, std::size_t i, std::size_t j) const {
    if (weight.layout() != at::kStrided || !weight.is_floating_point()) {
      refuse(place(i, j), " must be dense and of real floating point, got ", weight.layout(), " ", weight.scalar_type(),
             weight.is_complex() ? "; optimize the tensor that torch::view_as_real makes the weight of" : "");
    }
    if (at::has_internal_overlap(weight) == at::MemOverlap::Yes) {
      refuse(place(i, j), " has elements that share memory, as expand() makes; give a clone of it");
    }
    if (gradient.layout() != at::kStrided) {
      refuse("sparse gradients are not supported (", place(i, j), "); make its layer with sparse(false)");
    }
    if (gradient.sizes() != weight.sizes() || gradient.device() != weight.device() || gradient.is_complex()) {
      refuse("the gradient of ", place(i, j), " must be as the weight, real ", weight.sizes(), " on ", weight.device(),
             ", got ", gradient.scalar_type(), " ", gradient.sizes(), " on ", gradient.device());
    }
  }

  // load(); `what` it does is what errors say.
  void read(torch::serialize::InputArchive& archive, const std::string& what) {
    at::NoGradGuard no_grad;
    std::vector<Options> options;
    decltype(state_) states;
    const auto unfit = [](const auto&... why) { throw std::runtime_error(c10::str(why...)); };
    const auto expect = [&](const std::string& part, const auto& ours, const auto& theirs) {
      if (ours != theirs) unfit(part, " is ", theirs, " in the file, ", ours, " here");
    };
    try {
      c10::IValue value;
      if (!archive.try_read("format", value) || !value.isInt()) unfit("not saved by adabelief::libtorch");
      if (value.toInt() != format) unfit("its format is ", value.toInt(), ", this library reads ", format);
      archive.read("rule", value);
      expect("the rule", std::string(rule_->name), value.toStringRef());
      archive.read("groups", value);
      expect("the number of groups", static_cast<std::int64_t>(param_groups_.size()), value.toInt());
      for (std::size_t i = 0; i < param_groups_.size(); ++i) {
        const auto& parameters = param_groups_[i].params();
        torch::serialize::InputArchive group, nested;
        archive.read("group" + std::to_string(i), group);
        group.read("options", nested);
        options.push_back(checked(param_groups_[i], i));
        options.back().serialize(nested);
        group.read("parameters", value);
        expect(c10::str("the number of parameters of group ", i), static_cast<std::int64_t>(parameters.size()),
               value.toInt());
        for (std::size_t j = 0; j < parameters.size(); ++j) {
          if (!group.try_read("parameter" + std::to_string(j), nested)) continue;
          auto state = std::make_unique<ParamState>(*rule_, parameters[j]);
          state->serialize(nested);
          if (state->steps < 0) unfit("damaged: ", place(i, j), " after ", state->steps, " steps");
          for (at::Tensor& s : state->states) {
            expect("the shape of a state of " + place(i, j), parameters[j].sizes(), s.sizes());
            s = detail::zeros(parameters[j]).copy_(s);  // a copy, since the archive may be read again
          }
          if (state->rest.defined()) {
            expect("the shape of the rest of " + place(i, j), parameters[j].sizes(), state->rest.sizes());
            state->rest = state->rest.clone();
          }
          fit(*state, parameters[j]);
          states[parameters[j].unsafeGetTensorImpl()] = std::move(state);
        }
      }
    } catch (const std::exception& error) {
      fail(what, error);
    }
    for (std::size_t i = 0; i < options.size(); ++i) {
      static_cast<Options&>(param_groups_[i].options()) = std::move(options[i]);
    }
    state_ = std::move(states);
  }

  // Brings what is kept for a weight, at first zeros, into the form for its present type, layout and device: the model
  // may have been moved.
  void fit(ParamState& state, const at::Tensor& weight) const {
    const auto type = detail::type_in_core(weight.scalar_type());
    const bool core = detail::for_core(weight), moved = state.weight.strides() != weight.strides(),
               retyped = state.weight.scalar_type() != weight.scalar_type();
    const StateType form = core ? storage_.states_of(*type, static_cast<std::size_t>(weight.numel())) : StateType::full;
    while (state.states.size() < rule_->states.size()) state.states.push_back(detail::zeros(weight));
    for (std::size_t k = 0; k < state.states.size(); ++k) {
      at::Tensor& s = state.states[k];
      if (form == StateType::full) {
        s = core ? detail::beside(weight, state.numbers(k), detail::state_type(weight))
                 : state.numbers(k).to(weight.device(), detail::state_type(weight));
      } else if (moved || detail::form_of(s) != form) {
        s = detail::kept(detail::beside(weight, state.numbers(k), at::kFloat), form);
      }
    }
    if (!core || !storage_.keeps_rest(*type)) {
      state.rest.reset();
    } else if (!state.rest.defined() || retyped) {
      state.rest = at::zeros_like(weight, weight.options().dtype(at::kShort), at::MemoryFormat::Preserve);
    } else {
      state.rest = detail::beside(weight, state.rest, at::kShort);
    }
    if (moved || retyped) state.weight = detail::outline(weight);
  }

  // Fills work_ with the weights that have a gradient, all of which can be stepped.
  void find_work() {
    work_.clear();
    std::vector<void*> made;
    std::size_t number = 0;
    try {
      for (std::size_t i = 0; i < param_groups_.size(); ++i) {
        const Options& options = checked(param_groups_[i], i);
        auto& parameters = param_groups_[i].params();
        for (std::size_t j = 0; j < parameters.size(); ++j, ++number) {
          at::Tensor& weight = parameters[j];
          if (!weight.defined() || !weight.grad().defined()) continue;
          check(weight, weight.grad(), i, j);
          auto& slot = state_[weight.unsafeGetTensorImpl()];
          if (slot == nullptr) {
            made.push_back(weight.unsafeGetTensorImpl());
            slot = std::make_unique<ParamState>(*rule_, weight);
          }
          ParamState& state = static_cast<ParamState&>(*slot);
          if (state.place < work_.size() && work_[state.place].state == &state) {
            refuse(place(i, j), " is there twice; give each tensor once, one that layers share too");
          }
          if (state.weight.sizes() != weight.sizes()) {
            refuse(place(i, j), " was of shape ", state.weight.sizes(), ", is now of ", weight.sizes(),
                   "; make a new optimizer");
          }
          state.place = work_.size();
          work_.push_back({&weight, weight.grad(), &state, &options, number, detail::for_core(weight)});
        }
      }
    } catch (...) {
      for (void* weight : made) state_.erase(weight);
      work_.clear();
      throw;
    }
  }

  // Fills work_ and jobs_, looking at everything that could be wrong before anything is changed.
  void collect() {
    find_work();
    jobs_.clear();
    for (Work& work : work_) {
      fit(*work.state, *work.weight);
      if (work.core) work.gradient = detail::beside(*work.weight, work.gradient, detail::gradient_type(*work.weight));
    }
    const bool norms = !rule_->norms.empty() || folded_.takes_norm();
    std::size_t squares = 0;
    jobs_.reserve(work_.size());
    for (const Work& work : work_) {
      if (!work.core) continue;
      const at::Tensor& weight = *work.weight;
      cpu::Job& job = jobs_.emplace_back(rule_->job(*detail::type_in_core(weight.scalar_type())));
      job.weights = weight.mutable_data_ptr(),
      job.gradient = folded_.get().zero_gradients ? work.gradient.mutable_data_ptr() : work.gradient.const_data_ptr();
      job.gradient_type = *detail::type_in_core(work.gradient.scalar_type());
      job.n = static_cast<std::size_t>(weight.numel());
      for (std::size_t k = 0; k < rule_->states.size(); ++k) {
        job.states[k] = work.state->states[k].mutable_data_ptr();
        job.state_type = detail::form_of(work.state->states[k]);
      }
      job.rounding = storage_.weights;
      if (work.state->rest.defined()) job.remainder = work.state->rest.mutable_data_ptr<std::int16_t>();
      if (norms) squares += cpu::squares_of(job.n);
    }
    squares_.resize(squares);
    squares = 0;
    for (cpu::Job& job : jobs_) {
      job.squares = squares_.data() + squares;
      if (norms) squares += cpu::squares_of(job.n);
    }
  }

  // The gradient itself, where the core worked on a copy or nothing did.
  void zero(const Work& work) const {
    if (folded_.get().zero_gradients) work.weight->mutable_grad().zero_();
  }

  const RuleInfo* rule_;
  Storage storage_;
  std::vector<Work> work_;
  std::vector<cpu::Job> jobs_;
  std::vector<double> squares_;  // of the blocks of the jobs' tensors, where norms are taken
  Folded folded_;
};

/// adabelief::libtorch::Optimizer opt(model->parameters(), adabelief::AdaBelief{.lr = 1e-3}, {.weight_decay = 1e-2});
template <RuleLike Rule>
class Optimizer final : public AnyOptimizer {
 public:
  /// Throws std::invalid_argument where an option is out of its range, and as add_param_group does.
  explicit Optimizer(const Groups& groups, const Rule& rule = {}, const Common& common = {},
                     const Storage& storage = {})
      : AnyOptimizer(groups, options_of(rule, common), storage) {}
  explicit Optimizer(std::vector<at::Tensor> parameters, const Rule& rule = {}, const Common& common = {},
                     const Storage& storage = {})
      : Optimizer(Groups{std::move(parameters)}, rule, common, storage) {}

 private:
  void update(const detail::Scalars& scalars, detail::TensorValue& x, const detail::TensorValue& g,
              std::vector<at::Tensor>& states) const override {
    typename Rule::template Scalars<double> c;
    std::memcpy(&c, scalars.data(), sizeof c);
    [&]<std::size_t... k>(std::index_sequence<k...>) {
      std::array<detail::TensorValue, sizeof...(k)> s{states[k]...};
      if constexpr (HasNorms<Rule>) {  // read from the device, once a tensor
        const auto numbers = Rule::measure(c, x, g, s[k]...);
        std::array<double, Rule::norms.size()> norms;
        for (std::size_t j = 0; j < norms.size(); ++j) {
          norms[j] = numbers[j].tensor.to(at::kDouble).norm().template item<double>();
        }
        c = Rule::with_norms(c, norms);
      }
      Rule::update(c, x, g, s[k]...);
      ((states[k] = s[k].tensor), ...);
    }
    (std::make_index_sequence<Rule::states.size()>{});
  }
};

/// An optimizer of the options' rule, one of the library's, chosen at run time. Throws as Optimizer does.
/// (A template only so that the files that call it alone compile every rule.)
template <class All = Rules>
std::unique_ptr<AnyOptimizer> make(const Groups& groups, const adabelief::Options& options,
                                   const Storage& storage = {}) {
  std::unique_ptr<AnyOptimizer> made;
  const Common common{options.get("weight_decay"), static_cast<Decay>(options.get("decay"))};
  All::for_each([&]<class Rule>() {
    if (&options.rule() == &RuleEntry<Rule>::info()) {
      made = std::make_unique<Optimizer<Rule>>(groups, rule_of<Rule>(options), common, storage);
    }
  });
  if (made == nullptr) {
    throw std::invalid_argument(c10::str(options.rule().name, ": not one of the library's rules; use Optimizer<Rule>"));
  }
  return made;
}
template <class All = Rules>
std::unique_ptr<AnyOptimizer> make(std::vector<at::Tensor> parameters, const adabelief::Options& options,
                                   const Storage& storage = {}) {
  return make<All>(Groups{std::move(parameters)}, options, storage);
}
/// make("adabelief", model->parameters(), {{"lr", 1e-3}}), of parameters or Groups. Throws std::invalid_argument that
/// names the nearest rule or option too.
template <class Parameters>
std::unique_ptr<AnyOptimizer> make(std::string_view rule, const Parameters& parameters, const Settings& settings = {},
                                   const Storage& storage = {}) {
  return make(parameters, adabelief::Options(find_rule(rule), settings), storage);
}

}  // namespace adabelief::libtorch
