// SPDX-License-Identifier: MIT
// The C interface: what any.h does, with statuses for exceptions and addresses for spans.
#include "adabelief/c.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "adabelief/advise.h"
#include "adabelief/any.h"
#include "adabelief/text.h"
#include "adabelief/version.h"

using namespace adabelief;  // NOLINT: the names of the interface begin with adabelief_

struct adabelief_optimizer {
  struct Counter {
    void* at = nullptr;  // nullptr: the optimizer counts
    Type type = Type::float32;
  };

  AnyOptimizer optimizer;
  cpu::Executor executor = cpu::openmp;
  std::vector<Gradient> shapes{}, gradients{};  // of all tensors: without addresses, and of the present step
  std::vector<Counter> counters{};

  double counted(std::size_t tensor) const {
    const Counter& counter = counters[tensor];
    return counter.type == Type::float64 ? *static_cast<const double*>(counter.at)
                                         : *static_cast<const float*>(counter.at);
  }
  void read_counters() {
    for (std::size_t i = 0; i < counters.size(); ++i) {
      if (counters[i].at == nullptr) continue;
      const double steps = counted(i);
      if (!(steps >= 0 && steps <= double(AnyOptimizer::max_steps))) {
        throw std::invalid_argument(std::string(optimizer.options().rule().name) + ": the steps of tensor " +
                                    std::to_string(i) + " must lie in [0, 2^53], got " + text(steps));
      }
      optimizer.set_steps(static_cast<std::int64_t>(steps), i);
    }
  }
  void write_counter(std::size_t tensor) noexcept {
    const Counter& counter = counters[tensor];
    if (counter.at == nullptr) return;
    const auto steps = optimizer.steps(tensor);
    if (counter.type == Type::float64) {
      *static_cast<double*>(counter.at) = static_cast<double>(steps);
    } else {
      *static_cast<float*>(counter.at) = static_cast<float>(steps);
    }
  }
  void write_counters() noexcept {
    for (std::size_t i = 0; i < counters.size(); ++i) write_counter(i);
  }
};

namespace {

thread_local std::string message;

adabelief_status failed(adabelief_status status, const char* why) noexcept {
  try {
    message = why;
  } catch (...) {
    message.clear();
  }
  return status;
}

// A call's work, and what came of it.
template <class F>
adabelief_status guarded(F work) noexcept {
  try {
    work();
    return ADABELIEF_OK;
  } catch (const std::invalid_argument& error) {
    return failed(ADABELIEF_INVALID, error.what());
  } catch (const std::runtime_error& error) {
    return failed(ADABELIEF_FILE, error.what());
  } catch (const std::bad_alloc&) {
    return failed(ADABELIEF_MEMORY, "adabelief: out of memory");
  } catch (const std::length_error&) {
    return failed(ADABELIEF_MEMORY, "adabelief: out of memory");
  } catch (const std::exception& error) {
    return failed(ADABELIEF_INTERNAL, error.what());
  } catch (...) {
    return failed(ADABELIEF_INTERNAL, "adabelief: an unknown error");
  }
}

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument("adabelief: " + why); }

// An address that must not be NULL.
template <class T>
T* given(T* address, const char* what) {
  if (address == nullptr) refuse("no " + std::string(what) + ": the address is NULL");
  return address;
}

std::string_view name_at(const char* name, const char* what) { return given(name, what); }

template <class Enum, std::size_t n>
Enum one_of(std::int32_t number, const std::array<std::string_view, n>& names, const char* what) {
  if (number >= 0 && std::size_t(number) < n) return Enum(number);
  refuse("no " + std::string(what) + " " + std::to_string(number) + "; they are 0 to " + std::to_string(n - 1) + ": " +
         join(names));
}

Type type_at(std::int32_t number, const char* what = "type") { return one_of<Type>(number, type_names, what); }

Settings settings_at(const adabelief_setting* settings, std::size_t count) {
  if (count != 0) given(settings, "settings");
  Settings all;
  for (std::size_t i = 0; i < count; ++i) {
    all.emplace_back(name_at(settings[i].name, "name of a setting"), given(settings[i].value, "value of a setting"));
  }
  return all;
}

// The rules in structs of C, and all that these point to.
class Catalog {
 public:
  Catalog() {
    for (const RuleInfo* rule : rules()) rules_.push_back(entry(*rule));
    for (const adabelief_rule& rule : rules_) addresses_.push_back(&rule);
  }
  const std::vector<const adabelief_rule*>& rules_by_name() const { return addresses_; }

 private:
  const char* keep(std::string_view text) { return texts_.emplace_back(text).c_str(); }
  const char* const* keep(std::span<const std::string_view> names) {
    std::vector<const char*>& kept = names_.emplace_back();
    for (const std::string_view name : names) kept.push_back(keep(name));
    return kept.data();
  }
  adabelief_rule entry(const RuleInfo& rule) {
    const Options defaults(rule);
    std::vector<adabelief_option>& options = options_.emplace_back();
    for (const OptionInfo& o : defaults.list()) {
      options.push_back({keep(o.name), keep(o.meaning), o.value, o.range.low, o.range.high, o.range.holds_low,
                         o.range.holds_high, o.is_bool, o.choices.size(), keep(o.choices)});
    }
    std::vector<adabelief_preset>& presets = presets_.emplace_back();
    for (const PresetInfo& p : rule.presets) {
      const Options all(rule, {{"preset", std::string(p.name)}});
      const auto& values = values_.emplace_back(all.values().begin(), all.values().end());
      presets.push_back({keep(p.name), keep(p.meaning), values.data()});
    }
    return {keep(rule.name),  keep(rule.summary), keep(rule.source), options.size(),
            options.data(),   rule.states.size(), keep(rule.states), rule.norms.size(),
            keep(rule.norms), presets.size(),     presets.data()};
  }

  std::deque<std::string> texts_;  // deques, since what is in them must not move
  std::deque<std::vector<const char*>> names_;
  std::deque<std::vector<adabelief_option>> options_;
  std::deque<std::vector<adabelief_preset>> presets_;
  std::deque<std::vector<double>> values_;
  std::deque<adabelief_rule> rules_;
  std::vector<const adabelief_rule*> addresses_;
};

const Catalog& catalog() {
  static const Catalog all;
  return all;
}

}  // namespace

int32_t adabelief_abi(void) { return ADABELIEF_ABI; }

const char* adabelief_version(void) { return version.data(); }  // a literal, which ends in 0

const char* adabelief_message(void) { return message.c_str(); }

const adabelief_rule* const* adabelief_rules(size_t* count) {
  const adabelief_rule* const* all = nullptr;
  guarded([&] {
    const auto& found = catalog().rules_by_name();
    *given(count, "count") = found.size();
    all = found.data();
  });
  return all;
}

const adabelief_rule* adabelief_find_rule(const char* name) {
  const adabelief_rule* rule = nullptr;
  guarded([&] {
    const RuleInfo& wanted = find_rule(name_at(name, "name of a rule"));
    const auto& all = catalog().rules_by_name();
    rule = *std::find_if(all.begin(), all.end(), [&](const adabelief_rule* one) { return one->name == wanted.name; });
  });
  return rule;
}

adabelief_status adabelief_effective_eps(const char* rule, const double* values, size_t count, double* eps) {
  return guarded([&] {
    Options options(find_rule(name_at(rule, "name of a rule")));
    if (count != 0) given(values, "values");
    options.set({values, count});
    *given(eps, "eps") = effective_eps(options);
  });
}

adabelief_optimizer* adabelief_create(const char* rule, const adabelief_setting* settings, size_t count,
                                      const adabelief_storage* storage) {
  adabelief_optimizer* made = nullptr;
  guarded([&] {
    Storage kept;
    if (storage != nullptr) {
      kept.states = one_of<StateType>(storage->states, state_type_names, "form of states");
      kept.weights = one_of<Rounding>(storage->weights, rounding_names, "rounding of weights");
      kept.seed = storage->seed;
    }
    made = new adabelief_optimizer{make(name_at(rule, "name of a rule"), settings_at(settings, count), kept)};
    made->optimizer.use(made->executor);
  });
  return made;
}

void adabelief_destroy(adabelief_optimizer* optimizer) { delete optimizer; }

adabelief_status adabelief_add_group(adabelief_optimizer* optimizer, const adabelief_setting* settings, size_t count,
                                     size_t* group) {
  return guarded([&] {
    AnyOptimizer& all = given(optimizer, "optimizer")->optimizer;
    const std::size_t number = all.add_group(Options(all.options().rule(), settings_at(settings, count)));
    if (group != nullptr) *group = number;
  });
}

adabelief_status adabelief_state_form(int32_t states, int32_t type, size_t n, int32_t* state, size_t* bytes) {
  return guarded([&] {
    const Type of = type_at(type);
    if (n > cpu::max_elements)
      refuse("n must be at most " + std::to_string(cpu::max_elements) + ", got " + std::to_string(n));
    const StateType form = Storage{one_of<StateType>(states, state_type_names, "form of states")}.states_of(of, n);
    if (state != nullptr) *state = static_cast<std::int32_t>(form);
    if (bytes != nullptr) *bytes = cpu::state_bytes(form, of, n);
  });
}

adabelief_status adabelief_add(adabelief_optimizer* optimizer, const adabelief_tensor* tensor) {
  return guarded([&] {
    adabelief_optimizer& all = *given(optimizer, "optimizer");
    const adabelief_tensor& t = *given(tensor, "tensor");
    const Weights weights(t.weights, t.n, type_at(t.type));
    const Gradient shape(nullptr, t.n, type_at(t.gradient_type, "type of gradients"));
    const Type counts = type_at(t.steps_type, "type of steps");
    if (arithmetic(shape.type) != arithmetic(weights.type)) {
      refuse("gradients of " + std::string(type_names[int(shape.type)]) + " do not fit weights of " +
             std::string(type_names[int(weights.type)]));
    }
    if (counts != Type::float32 && counts != Type::float64) {
      refuse("steps are counted in float32 or float64, got " + std::string(type_names[int(counts)]));
    }
    const std::size_t tensors = all.shapes.size() + 1;  // room first, so that nothing fails after the tensor is there
    all.shapes.reserve(tensors), all.gradients.reserve(tensors), all.counters.reserve(tensors);
    const bool stateless = all.optimizer.options().rule().states.empty();  // the caller may have the rest alone
    if (t.states[0] == nullptr && !(stateless && t.rest != nullptr)) {
      all.optimizer.add(weights, t.group);
    } else {
      StateMemory memory{{}, t.rest};
      std::copy(std::begin(t.states), std::end(t.states), memory.states.begin());
      all.optimizer.add(weights, t.group, memory);
    }
    all.shapes.push_back(shape), all.gradients.push_back({}), all.counters.push_back({t.steps, counts});
  });
}

adabelief_status adabelief_step(adabelief_optimizer* optimizer, const void* const* gradients, size_t count) {
  return guarded([&] {
    adabelief_optimizer& all = *given(optimizer, "optimizer");
    if (count != all.shapes.size()) {
      refuse("a step takes the address of a gradient for each tensor, " + std::to_string(all.shapes.size()) + ", got " +
             std::to_string(count));
    }
    if (count != 0) given(gradients, "gradients");
    all.read_counters();
    for (std::size_t i = 0; i < count; ++i) {
      all.gradients[i] = gradients[i] == nullptr ? Gradient{} : all.shapes[i];
      all.gradients[i].data = gradients[i];
    }
    all.optimizer.step(all.gradients);
    all.write_counters();
  });
}

adabelief_status adabelief_set_fold(adabelief_optimizer* optimizer, const adabelief_fold* fold) {
  return guarded([&] {
    Fold wanted;
    if (fold != nullptr) {
      wanted = {fold->scale, fold->skip_nonfinite != 0, fold->max_norm, fold->max_value, fold->zero_gradients != 0};
    }
    given(optimizer, "optimizer")->optimizer.fold(wanted);
  });
}

adabelief_status adabelief_folded(const adabelief_optimizer* optimizer, double* norm, int64_t* skipped) {
  return guarded([&] {
    const Folded& folded = given(optimizer, "optimizer")->optimizer.folded();
    if (norm != nullptr) *norm = folded.norm();
    if (skipped != nullptr) *skipped = folded.skipped();
  });
}

adabelief_status adabelief_set(adabelief_optimizer* optimizer, size_t group, const char* name, const char* value) {
  return guarded([&] {
    given(optimizer, "optimizer")->optimizer.set(name_at(name, "name of an option"), given(value, "value"), group);
  });
}

adabelief_status adabelief_get(const adabelief_optimizer* optimizer, size_t group, const char* name, double* value) {
  return guarded([&] {
    const Options& options = given(optimizer, "optimizer")->optimizer.options(group);
    *given(value, "value") = options.get(name_at(name, "name of an option"));
  });
}

adabelief_status adabelief_set_values(adabelief_optimizer* optimizer, size_t group, const double* values,
                                      size_t count) {
  return guarded([&] {
    if (count != 0) given(values, "values");
    given(optimizer, "optimizer")->optimizer.set(std::span(values, count), group);
  });
}

adabelief_status adabelief_get_values(const adabelief_optimizer* optimizer, size_t group, double* values,
                                      size_t count) {
  return guarded([&] {
    const std::span<const double> all = given(optimizer, "optimizer")->optimizer.options(group).values();
    if (count != all.size())
      refuse("there are " + std::to_string(all.size()) + " values, got room for " + std::to_string(count));
    std::copy(all.begin(), all.end(), given(values, "values"));
  });
}

adabelief_status adabelief_count(const adabelief_optimizer* optimizer, size_t* groups, size_t* tensors,
                                 size_t* state_bytes) {
  return guarded([&] {
    const AnyOptimizer& all = given(optimizer, "optimizer")->optimizer;
    if (groups != nullptr) *groups = all.groups();
    if (tensors != nullptr) *tensors = all.tensors();
    if (state_bytes != nullptr) *state_bytes = all.state_bytes();
  });
}

adabelief_status adabelief_get_steps(adabelief_optimizer* optimizer, size_t tensor, int64_t* steps) {
  return guarded([&] {
    adabelief_optimizer& all = *given(optimizer, "optimizer");
    all.read_counters();
    *given(steps, "steps") = all.optimizer.steps(tensor);
  });
}

adabelief_status adabelief_set_steps(adabelief_optimizer* optimizer, size_t tensor, int64_t steps) {
  return guarded([&] {
    adabelief_optimizer& all = *given(optimizer, "optimizer");
    all.optimizer.set_steps(steps, tensor);
    all.write_counter(tensor);
  });
}

adabelief_status adabelief_get_state(const adabelief_optimizer* optimizer, size_t tensor, const char* name, void* to,
                                     size_t n, int32_t type) {
  return guarded([&] {
    const AnyOptimizer& all = given(optimizer, "optimizer")->optimizer;
    const std::vector<double> numbers = all.state_numbers(name_at(name, "name of a state"), tensor);
    if (n != numbers.size()) {
      refuse("the state has " + std::to_string(numbers.size()) + " numbers, got room for " + std::to_string(n));
    }
    if (n != 0) given(to, "room for numbers");
    switch (type_at(type)) {
      case Type::float64: std::copy(numbers.begin(), numbers.end(), static_cast<double*>(to)); break;
      case Type::float32: std::copy(numbers.begin(), numbers.end(), static_cast<float*>(to)); break;
      default: refuse("the numbers of a state are given as float32 or float64");
    }
  });
}

adabelief_status adabelief_set_state(adabelief_optimizer* optimizer, size_t tensor, const char* name, const void* from,
                                     size_t n, int32_t type) {
  return guarded([&] {
    AnyOptimizer& all = given(optimizer, "optimizer")->optimizer;
    if (n != 0) given(from, "numbers");
    std::vector<double> numbers;
    switch (type_at(type)) {
      case Type::float64: numbers.assign(static_cast<const double*>(from), static_cast<const double*>(from) + n); break;
      case Type::float32: numbers.assign(static_cast<const float*>(from), static_cast<const float*>(from) + n); break;
      default: refuse("the numbers of a state are taken as float32 or float64");
    }
    all.set_state(name_at(name, "name of a state"), numbers, tensor);
  });
}

adabelief_status adabelief_save(adabelief_optimizer* optimizer, const char* path) {
  return guarded([&] {
    adabelief_optimizer& all = *given(optimizer, "optimizer");
    all.read_counters();
    all.optimizer.save(std::filesystem::path(name_at(path, "path")));
  });
}

adabelief_status adabelief_load(adabelief_optimizer* optimizer, const char* path) {
  return guarded([&] {
    adabelief_optimizer& all = *given(optimizer, "optimizer");
    all.optimizer.load(std::filesystem::path(name_at(path, "path")));
    all.write_counters();
  });
}

adabelief_status adabelief_set_threads(adabelief_optimizer* optimizer, int32_t most) {
  return guarded([&] {
    cpu::Executor& executor = given(optimizer, "optimizer")->executor;
    if (most < 0) refuse("threads must be at least 0, got " + std::to_string(most));
    executor = cpu::openmp;
    if (most != 0) executor.most = most;
  });
}

adabelief_status adabelief_set_executor(adabelief_optimizer* optimizer, int (*threads)(void),
                                        void (*run)(int tasks, void (*task)(void* context, int index), void* context)) {
  return guarded([&] {
    given(optimizer, "optimizer")->executor = {given(threads, "function threads"), given(run, "function run")};
  });
}

const char* adabelief_isa(void) {
  const char* name = nullptr;
  guarded([&] { name = cpu::isa_names[std::size_t(cpu::isa())].data(); });
  return name;
}

adabelief_status adabelief_use_isa(const char* name) {
  return guarded([&] {
    const std::string_view wanted = name_at(name, "name of an instruction set");
    const auto found = std::find(cpu::isa_names.begin(), cpu::isa_names.end(), wanted);
    if (found == cpu::isa_names.end()) refuse(unknown("instruction set", wanted, cpu::isa_names));
    cpu::use(cpu::Isa(found - cpu::isa_names.begin()));
  });
}
