// SPDX-License-Identifier: MIT
// Options by name, and the optimizer whose rule is chosen at run time.
#include "adabelief/any.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <stdexcept>

#include "adabelief/text.h"

namespace adabelief {
namespace {

constexpr std::array common_options{
    OptionInfo{"weight_decay", 0, at_least_zero, "strength of weight decay"},
    OptionInfo{"decay", 0, Interval{0, decay_names.size() - 1., true, true},
               "coupled: added to the gradient; decoupled: x loses lr w x; fixed: x loses w x", false, decay_names},
};

// The number that a value means for an option, or nothing.
std::optional<double> parse(const OptionInfo& option, const Value& value) {
  if (const double* number = std::get_if<double>(&value)) return *number;
  const std::string& word = std::get<std::string>(value);
  for (std::size_t i = 0; i < option.choices.size(); ++i) {
    if (option.choices[i] == word) return static_cast<double>(i);
  }
  if (!option.choices.empty()) return {};
  if (option.is_bool && word == "true") return 1;
  if (option.is_bool && word == "false") return 0;
  double number = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), number);
  if (error != std::errc{} || end != word.data() + word.size()) return {};
  return number;
}

std::vector<std::string_view> names_of(std::span<const OptionInfo> options) {
  std::vector<std::string_view> names;
  for (const OptionInfo& option : options) names.push_back(option.name);
  return names;
}

std::string plural(std::size_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

}  // namespace

const RuleInfo& find_rule(std::string_view name) {
  std::vector<std::string_view> names;
  for (const RuleInfo* rule : rules()) {
    if (rule->name == name) return *rule;
    names.push_back(rule->name);
  }
  throw std::invalid_argument("adabelief: " + unknown("rule", name, names));
}

Options::Options(const RuleInfo& rule, const Settings& settings)
    : rule_(&rule), list_(rule.options.begin(), rule.options.end()) {
  list_.insert(list_.end(), common_options.begin(), common_options.end());
  if (rule.common.weight_decay) list_[find("weight_decay")].value = *rule.common.weight_decay;
  if (rule.common.decay) list_[find("decay")].value = static_cast<double>(*rule.common.decay);
  for (const OptionInfo& option : list_) values_.push_back(option.value);
  set(settings);
}

void Options::set(const Settings& settings) {
  for (const bool preset : {true, false}) {
    for (const auto& [name, value] : settings) {
      if ((name == "preset") == preset) set(name, value);
    }
  }
}

void Options::set(std::span<const double> values) {
  if (values.size() != list_.size()) {
    throw std::invalid_argument(std::string(rule_->name) + ": takes " + plural(list_.size(), "value") + ", for " +
                                join(names_of(list_)) + "; got " + std::to_string(values.size()));
  }
  Options changed = *this;
  for (std::size_t i = 0; i < values.size(); ++i) changed.set(list_[i].name, values[i]);
  values_ = std::move(changed.values_);
}

void Options::use_preset(const Value& value) {
  std::vector<std::string_view> names;
  for (const PresetInfo& one : rule_->presets) names.push_back(one.name);
  const std::string* name = std::get_if<std::string>(&value);
  const auto found = std::find(names.begin(), names.end(), name ? *name : "");
  if (found == names.end()) {
    const std::string wanted = name ? *name : adabelief::text(std::get<double>(value));
    throw std::invalid_argument(std::string(rule_->name) + ": " +
                                (names.empty() ? "has no presets, got " + wanted : unknown("preset", wanted, names)));
  }
  *this = Options(*rule_);
  const PresetInfo& preset = rule_->presets[std::size_t(found - names.begin())];
  std::copy(preset.values.begin(), preset.values.end(), values_.begin());
  if (preset.common.weight_decay) set("weight_decay", *preset.common.weight_decay);
  if (preset.common.decay) set("decay", static_cast<double>(*preset.common.decay));
}

std::size_t Options::find(std::string_view name) const {
  for (std::size_t i = 0; i < list_.size(); ++i) {
    if (list_[i].name == name) return i;
  }
  throw std::invalid_argument(std::string(rule_->name) + ": " + unknown("option", name, names_of(list_)));
}

bool Options::has(std::string_view name) const {
  return std::any_of(list_.begin(), list_.end(), [&](const OptionInfo& option) { return option.name == name; });
}

double Options::get(std::string_view name) const { return values_[find(name)]; }

void Options::set(std::string_view name, const Value& value) {
  if (name == "preset") return use_preset(value);
  const std::size_t i = find(name);
  const OptionInfo& option = list_[i];
  const auto number = parse(option, value);
  const bool whole = !option.is_bool && option.choices.empty();
  if (number && option.range.contains(*number) && (whole || *number == std::floor(*number))) {
    values_[i] = *number;
    return;
  }
  throw std::invalid_argument(std::string(rule_->name) + ": " + std::string(name) + " must " +
                              (!option.choices.empty() ? "be one of " + join(option.choices)
                               : option.is_bool        ? "be true or false"
                                                       : "lie in " + adabelief::text(option.range)) +
                              ", got " +
                              (number ? adabelief::text(*number) : "'" + std::get<std::string>(value) + "'"));
}

std::string Options::text(std::string_view name) const {
  const std::size_t i = find(name);
  if (!list_[i].choices.empty()) return std::string(list_[i].choices[std::size_t(values_[i])]);
  if (list_[i].is_bool) return values_[i] != 0 ? "true" : "false";
  return adabelief::text(values_[i]);
}

Options::Decayed Options::decayed() const {
  const double w = get("weight_decay");
  switch (static_cast<Decay>(get("decay"))) {
    case Decay::coupled: return {w, 0};
    case Decay::decoupled: return {0, get("lr") * w};
    case Decay::fixed: break;
  }
  return {0, w};
}

std::size_t AnyOptimizer::state_bytes(const Tensor& tensor) {
  return cpu::state_bytes(tensor.state_type, tensor.weights.type, tensor.weights.size);
}

void AnyOptimizer::Free::operator()(std::byte* memory) const { std::free(memory); }

void AnyOptimizer::allocate(Tensor& tensor) const {
  constexpr std::size_t line = 64;  // bytes: a cache line, and the widest lanes
  const auto lines = [](std::size_t bytes) { return (bytes + line - 1) / line * line; };
  const std::size_t stride = lines(state_bytes(tensor)), states = stride * rule_->states.size();
  const bool rest = storage_.keeps_rest(tensor.weights.type);
  const std::size_t bytes = states + (rest ? lines(2 * tensor.weights.size) : 0);
  if (bytes == 0) return;
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(line, bytes));
  if (memory == nullptr) throw std::bad_alloc();
  std::memset(memory, 0, bytes);
  tensor.memory.reset(memory);
  for (std::size_t k = 0; k < rule_->states.size(); ++k) tensor.states.states[k] = memory + k * stride;
  if (rest) tensor.states.rest = reinterpret_cast<std::int16_t*>(memory + states);
}

cpu::Job AnyOptimizer::job(const Tensor& tensor) const {
  cpu::Job job = rule_->job(tensor.weights.type);
  job.weights = tensor.weights.data, job.n = tensor.weights.size;
  job.states = tensor.states.states;
  job.state_type = tensor.state_type;
  job.rounding = storage_.weights;
  job.remainder = tensor.states.rest;
  job.offset = tensor.offset;
  return job;
}

void AnyOptimizer::make_jobs() {
  isa_ = cpu::isa();
  jobs_.clear();
  double* squares = squares_.data();
  for (const Tensor& tensor : tensors_) {
    cpu::Job& job = jobs_.emplace_back(this->job(tensor));
    if (takes_norms(folded_)) job.squares = squares, squares += cpu::squares_of(job.n);
  }
}

AnyOptimizer::AnyOptimizer(Options options, const Storage& storage) : rule_(&options.rule()), storage_(storage) {
  groups_.push_back(std::move(options));
}

std::size_t AnyOptimizer::add_group(Options options) {
  if (&options.rule() != rule_) {
    throw std::invalid_argument(std::string(rule_->name) + ": a group's options must be of the same rule, got " +
                                std::string(options.rule().name));
  }
  groups_.push_back(std::move(options));
  return groups_.size() - 1;
}

const Options& AnyOptimizer::group(std::size_t number) const {
  if (number < groups_.size()) return groups_[number];
  throw std::invalid_argument(std::string(rule_->name) + ": no group " + std::to_string(number) + "; there are " +
                              plural(groups_.size(), "group") + ", make one with add_group");
}

const AnyOptimizer::Tensor& AnyOptimizer::tensor(std::size_t number) const {
  if (number < tensors_.size()) return tensors_[number];
  throw std::invalid_argument(std::string(rule_->name) + ": no tensor " + std::to_string(number) + "; there are " +
                              plural(tensors_.size(), "tensor") + ", add one with add");
}

void AnyOptimizer::set(std::string_view option, const Value& value, std::size_t group) {
  this->group(group);
  groups_[group].set(option, value);
}

void AnyOptimizer::set(std::span<const double> values, std::size_t group) {
  this->group(group);
  groups_[group].set(values);
}

AnyOptimizer::Tensor AnyOptimizer::place(Weights weights, std::size_t group) const {
  this->group(group);
  if (weights.data == nullptr && weights.size != 0) {
    throw std::invalid_argument(std::string(rule_->name) + ": weights of " + plural(weights.size, "element") +
                                " at no address");
  }
  if (weights.size > cpu::max_elements) {
    throw std::invalid_argument(std::string(rule_->name) + ": a tensor has at most " +
                                plural(cpu::max_elements, "element") + ", got " + std::to_string(weights.size));
  }
  if (storage_.states != StateType::full && weights.type == Type::float64) {
    throw std::invalid_argument(std::string(rule_->name) + ": states in " +
                                std::string(state_type_names[int(storage_.states)]) +
                                " are for weights that are computed in float, got float64");
  }
  return {weights, group, 0, storage_.states_of(weights.type, weights.size), tensors_.size()};
}

void AnyOptimizer::append(Tensor tensor) {
  jobs_.clear();
  jobs_.reserve(tensors_.size() + 1);
  if (takes_norms(folded_)) squares_.resize(squares_.size() + cpu::squares_of(tensor.weights.size));
  tensors_.push_back(std::move(tensor));
}

void AnyOptimizer::add(Weights weights, std::size_t group) {
  Tensor tensor = place(weights, group);
  allocate(tensor);
  append(std::move(tensor));
}

void AnyOptimizer::add(Weights weights, std::size_t group, const StateMemory& states) {
  Tensor tensor = place(weights, group);
  const auto need = [&](const void* memory, std::string_view what) {
    if (memory != nullptr || weights.size == 0) return;
    throw std::invalid_argument(std::string(rule_->name) + ": no address for the " + std::string(what) + " of " +
                                plural(weights.size, "weight"));
  };
  for (std::size_t k = 0; k < rule_->states.size(); ++k) {
    const std::string what = "state " + std::string(rule_->states[k]);
    need(tensor.states.states[k] = states.states[k], what);
    // The codes of four elements are read as one number.
    if (tensor.state_type == StateType::bits8 && reinterpret_cast<std::uintptr_t>(states.states[k]) % 4 != 0)
      throw std::invalid_argument(std::string(rule_->name) + ": the address of the " + what +
                                  " in 8 bits must be a multiple of 4");
  }
  if (storage_.keeps_rest(weights.type)) need(tensor.states.rest = states.rest, "rest");
  append(std::move(tensor));
}

void AnyOptimizer::step(std::span<const Gradient> gradients) {
  if (gradients.size() != tensors_.size()) {
    throw std::invalid_argument(std::string(rule_->name) + ": step takes a gradient for each tensor, " +
                                std::to_string(tensors_.size()) + " in the order in which they were added, got " +
                                std::to_string(gradients.size()));
  }
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const Gradient& g = gradients[i];
    const Weights& x = tensors_[i].weights;
    const bool fits = arithmetic(g.type) == arithmetic(x.type);
    if (g.size == Gradient::none || (g.size == x.size && fits && (g.data || g.size == 0))) continue;
    const auto shape = [](std::size_t size, Type type) {
      return std::to_string(size) + " of " + std::string(type_names[int(type)]);
    };
    throw std::invalid_argument(std::string(rule_->name) + ": gradient " + std::to_string(i) +
                                " must be as its weights, " + shape(x.size, x.type) + ", got " + shape(g.size, g.type));
  }

  if (jobs_.size() != tensors_.size() || isa_ != cpu::isa()) make_jobs();
  const auto renew = [](auto& field, const auto& value) {
    if (field != value) field = value;
  };
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    const Gradient& g = gradients[i];
    cpu::Job& job = jobs_[i];
    renew(job.n, g.size == Gradient::none ? 0 : g.size);
    renew(job.gradient, g.data), renew(job.gradient_type, g.type);
  }
  if (folded_.prepare(jobs_, *executor_).skip) return;

  std::array<double, cpu::max_scalars> scalars{};
  Options::Decayed decayed{};
  const Tensor* same = nullptr;  // the tensor for which these were computed: most tensors share group and step
  for (std::size_t i = 0; i < gradients.size(); ++i) {
    if (gradients[i].size == Gradient::none) continue;
    Tensor& tensor = tensors_[i];
    ++tensor.steps;
    if (same == nullptr || same->group != tensor.group || same->steps != tensor.steps) {
      const Options& options = groups_[tensor.group];
      scalars = rule_->scalars(options.values().data(), static_cast<double>(tensor.steps));
      decayed = options.decayed();
      same = &tensor;
    }
    cpu::Job& job = jobs_[i];
    job.coupled = decayed.coupled, job.lost = decayed.lost, job.scalars = scalars;
    job.key = storage_.key(tensor.whole, tensor.steps);
  }
  cpu::run(jobs_, *executor_);
}

bool AnyOptimizer::takes_norms(const Folded& folded) const { return !rule_->norms.empty() || folded.takes_norm(); }

void AnyOptimizer::fold(const Fold& fold) {
  Folded folded = folded_;
  folded.set(fold);
  std::size_t needed = 0;
  if (takes_norms(folded)) {
    for (const Tensor& tensor : tensors_) needed += cpu::squares_of(tensor.weights.size);
  }
  jobs_.clear();
  squares_.resize(needed);
  folded_ = folded;
}

void AnyOptimizer::set_steps(std::int64_t steps, std::size_t tensor) {
  this->tensor(tensor);
  if (steps < 0 || steps > max_steps) {
    throw std::invalid_argument(std::string(rule_->name) + ": steps must lie in [0, 2^53], got " +
                                std::to_string(steps));
  }
  tensors_[tensor].steps = steps;
}

void AnyOptimizer::set_part(std::size_t whole, std::size_t offset, std::size_t tensor) {
  this->tensor(tensor);
  tensors_[tensor].whole = whole, tensors_[tensor].offset = offset;
  jobs_.clear();
}

std::size_t AnyOptimizer::find_state(std::string_view name) const {
  const auto found = std::find(rule_->states.begin(), rule_->states.end(), name);
  if (found != rule_->states.end()) return std::size_t(found - rule_->states.begin());
  throw std::invalid_argument(std::string(rule_->name) + ": " + unknown("state", name, rule_->states));
}

View AnyOptimizer::state(std::string_view name, std::size_t tensor) const {
  const Tensor& t = this->tensor(tensor);
  const std::size_t k = find_state(name);
  if (t.state_type != StateType::full) {
    throw std::invalid_argument(std::string(rule_->name) + ": the states are kept in " +
                                std::string(state_type_names[int(t.state_type)]) +
                                "; state_numbers gives their numbers");
  }
  return {t.states.states[k], t.weights.size, arithmetic(t.weights.type)};
}

std::vector<double> AnyOptimizer::state_numbers(std::string_view name, std::size_t tensor) const {
  const Tensor& t = this->tensor(tensor);
  const std::size_t k = find_state(name), n = t.weights.size;
  if (t.state_type == StateType::full && t.weights.type == Type::float64) {
    const auto* numbers = static_cast<const double*>(state(name, tensor).data);
    return {numbers, numbers + n};
  }
  if (t.state_type == StateType::full) {
    const auto* numbers = static_cast<const float*>(state(name, tensor).data);
    return {numbers, numbers + n};
  }
  std::vector<float> numbers(n);
  cpu::read_state(job(t), k, numbers.data());
  return {numbers.begin(), numbers.end()};
}

void AnyOptimizer::set_state(std::string_view name, std::span<const double> numbers, std::size_t tensor) {
  const Tensor& t = this->tensor(tensor);
  const std::size_t k = find_state(name);
  if (numbers.size() != t.weights.size) {
    throw std::invalid_argument(std::string(rule_->name) + ": a state of tensor " + std::to_string(tensor) + " takes " +
                                plural(t.weights.size, "number") + ", got " + std::to_string(numbers.size()));
  }
  if (t.state_type == StateType::full && t.weights.type == Type::float64) {
    std::copy(numbers.begin(), numbers.end(), static_cast<double*>(t.states.states[k]));
    return;
  }
  const std::vector<float> narrow(numbers.begin(), numbers.end());
  if (t.state_type == StateType::full) {
    std::copy(narrow.begin(), narrow.end(), static_cast<float*>(t.states.states[k]));
  } else {
    cpu::write_state(job(t), k, narrow.data());
  }
}

std::size_t AnyOptimizer::state_bytes() const {
  std::size_t bytes = 0;
  for (const Tensor& t : tensors_) {
    bytes += state_bytes(t) * rule_->states.size();
    if (storage_.keeps_rest(t.weights.type)) bytes += 2 * t.weights.size;
  }
  return bytes;
}

AnyOptimizer make(std::string_view rule, const Settings& settings, const Storage& storage) {
  return AnyOptimizer(Options(find_rule(rule), settings), storage);
}

}  // namespace adabelief
