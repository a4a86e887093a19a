// SPDX-License-Identifier: MIT
// An optimizer whose rule is chosen at run time: make("adabelief", {{"lr", 1e-3}}), for programs that read
// configurations. Optimizer<Rule> (optimizer.h) is the same with its options checked by the compiler.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <iosfwd>
#include <memory>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "adabelief/cpu.h"
#include "adabelief/fold.h"
#include "adabelief/registry.h"

namespace adabelief {

/// A setting as a configuration gives it: a number, a bool, or text such as "1e-3", "true", "decoupled".
struct Value : std::variant<double, std::string> {
  template <class T>
  requires std::is_arithmetic_v<T> Value(T number) : variant(static_cast<double>(number)) {}
  Value(const char* text) : variant(std::string(text)) {}
  Value(std::string text) : variant(std::move(text)) {}
};

using Settings = std::vector<std::pair<std::string, Value>>;

/// The options of one group: the rule's own, in its order, then those of Common. Always within their ranges.
class Options {
 public:
  /// The rule's defaults, or those of the setting "preset" wherever it stands, changed by the other settings. Throws
  /// std::invalid_argument that names rule, option, range and value.
  explicit Options(const RuleInfo& rule, const Settings& settings = {});

  /// What there is to set.
  std::span<const OptionInfo> list() const { return list_; }
  std::span<const double> values() const { return values_; }

  bool has(std::string_view name) const;
  double get(std::string_view name) const;
  /// The name "preset" sets all options to those of one of rule().presets.
  void set(std::string_view name, const Value& value);
  /// All of these, "preset" first, wherever it stands.
  void set(const Settings& settings);
  /// All options, in the order of list(). Throws before any has changed.
  void set(std::span<const double> values);

  /// "0.001", "true", "decoupled".
  std::string text(std::string_view name) const;

  /// What weight decay makes of a step: the gradient becomes g + coupled * x, then the weight x - lost * x.
  struct Decayed {
    double coupled, lost;
  };
  Decayed decayed() const;

  const RuleInfo& rule() const { return *rule_; }
  bool operator==(const Options& other) const { return rule_ == other.rule_ && values_ == other.values_; }

 private:
  std::size_t find(std::string_view name) const;
  void use_preset(const Value& value);

  const RuleInfo* rule_;
  std::vector<OptionInfo> list_;
  std::vector<double> values_;
};

/// Memory of float or double: a vector, an array, a span; of another type: its address, elements and Type. `Element` is
/// void for weights, which are to outlive the call and so cannot be a temporary vector, and const void for gradients.
template <class Element>
struct Memory {
  static constexpr std::size_t none = static_cast<std::size_t>(-1);  ///< the size of no memory, not even empty

  Element* data = nullptr;
  std::size_t size = none;  ///< elements
  Type type = Type::float32;

  Memory() = default;
  Memory(Element* data, std::size_t size, Type type) : data(data), size(size), type(type) {}
  template <std::ranges::contiguous_range R>
  requires(std::is_same_v<std::ranges::range_value_t<R>, float> ||
           std::is_same_v<std::ranges::range_value_t<R>, double>) &&
      std::is_convertible_v<decltype(std::ranges::data(std::declval<R&>())), Element*> &&
      (std::is_const_v<Element> || std::ranges::borrowed_range<R>)Memory(R&& range)
      : data(std::ranges::data(range)),
  size(std::ranges::size(range)), type(type_of<std::ranges::range_value_t<R>>) {}
};

using Weights = Memory<void>;
using View = Memory<const void>;
using Gradient = View;  ///< Gradient{} where a tensor has none in this step: it is left as it is

/// How an optimizer keeps what it keeps. The random bits of stochastic rounding depend on seed, tensor, step and
/// element alone.
struct Storage {
  /// Of weights that are computed in float; states of less than 4,096 elements are full where others are of 8 bits.
  StateType states = StateType::full;
  /// Of bfloat16 and float16 weights.
  Rounding weights = Rounding::nearest;
  std::uint64_t seed = 0;

  /// How the states of n weights of a type are kept: full where the weights are computed in double or are too few.
  StateType states_of(Type type, std::size_t n) const {
    const bool low = arithmetic(type) == Type::float32 && (states != StateType::bits8 || n >= 4096);
    return low ? states : StateType::full;
  }
  /// Whether 16 bits more are kept for each weight.
  bool keeps_rest(Type type) const { return weights == Rounding::exact && size_of(type) == 2; }
  /// Of the random bits of a tensor's step, which is its first, second, ...; see cpu::Job.
  std::uint64_t key(std::size_t tensor, std::int64_t step) const {
    std::uint64_t mixed = (seed ^ seed >> 30) * 0xbf58476d1ce4e5b9;  // so that seeds near each other share no bits
    mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
    return mixed + (std::uint64_t{tensor} << 40) + static_cast<std::uint64_t>(step) * 1024;
  }
};

/// Where a tensor's states are: each of cpu::state_bytes bytes in the form that Storage::states_of tells, at an address
/// fit for its elements, in 8 bits a multiple of 4.
struct StateMemory {
  std::array<void*, cpu::max_states> states{};  ///< those of the rule, in its order
  std::int16_t* rest = nullptr;                 ///< an element for each weight, where Storage::keeps_rest
};

/// Steps tensors that it does not own by one rule; keeps their states. Not thread-safe; movable. A number of a group or
/// tensor that there is not is a std::invalid_argument everywhere.
class AnyOptimizer {
 public:
  /// An optimizer with one group of these options and no tensor yet.
  explicit AnyOptimizer(Options options, const Storage& storage = {});

  /// Adds a group with options of its own, of the same rule; returns its number.
  std::size_t add_group(Options options);

  /// Adds a tensor to a group; its states start at zero. The memory must outlive the optimizer, and may not overlap
  /// another tensor's or a gradient's.
  void add(Weights weights, std::size_t group = 0);

  /// The same with states in memory of the caller's, which holds zeros or what an optimizer left there. It must outlive
  /// the optimizer, too.
  void add(Weights weights, std::size_t group, const StateMemory& states);

  /// One step: `gradients` in the order in which the tensors were added, each of its tensor's size, and of a type that
  /// is computed in as its own. Gradients are only read, unless fold() asked to zero them. Throws
  /// std::invalid_argument, before anything has changed, where they do not fit. Allocates nothing.
  void step(std::span<const Gradient> gradients);
  void step(std::initializer_list<Gradient> gradients) { step(std::span(gradients.begin(), gradients.size())); }
  void step(Gradient gradient) { step(std::span(&gradient, 1)); }

  /// What later steps fold in. Throws std::invalid_argument where a number is out of its range.
  void fold(const Fold& fold);
  const Folded& folded() const { return folded_; }

  const Options& options(std::size_t group = 0) const { return this->group(group); }
  void set(std::string_view option, const Value& value, std::size_t group = 0);
  void set(std::span<const double> values, std::size_t group = 0);

  std::size_t groups() const { return groups_.size(); }
  std::size_t tensors() const { return tensors_.size(); }

  /// Steps that a tensor has taken.
  std::int64_t steps(std::size_t tensor = 0) const { return this->tensor(tensor).steps; }
  /// In [0, max_steps].
  void set_steps(std::int64_t steps, std::size_t tensor = 0);
  static constexpr std::int64_t max_steps = std::int64_t{1} << 53;  ///< a formula counts them in a double

  /// Says that a tensor is a part of one that is split: from element `offset` on of that which was added as number
  /// `whole`. Its random bits are then those that the whole would have there, and so are all bits where it is cut at
  /// multiples of 256, keeps its states in the same form, and has no norms.
  void set_part(std::size_t whole, std::size_t offset, std::size_t tensor = 0);

  /// A state of a tensor, such as "exp_avg", where it is full: as many elements as its weights, of arithmetic(type).
  View state(std::string_view name, std::size_t tensor = 0) const;
  /// Its numbers, however they are kept.
  std::vector<double> state_numbers(std::string_view name, std::size_t tensor = 0) const;
  /// As many numbers as weights, rounded to the form in which the state is kept: those of state_numbers come back.
  void set_state(std::string_view name, std::span<const double> numbers, std::size_t tensor = 0);

  /// Bytes of all states.
  std::size_t state_bytes() const;

  /// Where steps run from now on; it must outlive the optimizer.
  void use(const cpu::Executor& executor) { executor_ = &executor; }
  void use(const cpu::Executor&&) = delete;

  /// Writes options, step counts and states (not the weights) in a checked, versioned form.
  /// Throws std::runtime_error where writing fails.
  void save(std::ostream& out) const;
  /// Writes PATH.part, then renames it, so that whatever stops the program leaves no half a file at PATH.
  void save(const std::filesystem::path& path) const;

  /// Reads what save() wrote for an optimizer of the same rule, groups and tensors in them. Throws std::runtime_error
  /// that says what does not fit (another file, a cut or damaged one, another model), and then nothing has changed.
  void load(std::istream& in);
  void load(const std::filesystem::path& path);

 private:
  struct Free {
    void operator()(std::byte* memory) const;
  };
  struct Tensor {
    Weights weights;
    std::size_t group;
    std::int64_t steps = 0;
    StateType state_type = StateType::full;
    std::size_t whole = 0, offset = 0;  // of what it is a part, for its random bits
    StateMemory states{};
    std::unique_ptr<std::byte[], Free> memory{};  // that of the states, where it is not the caller's
  };
  const Options& group(std::size_t number) const;
  const Tensor& tensor(std::size_t number) const;
  bool takes_norms(const Folded& folded) const;
  void write(std::ostream& out) const;                   // what save() writes; the stream says whether it could
  void load(std::istream& in, const std::string& file);  // of which nothing may follow; "": a stream that may go on

  static std::size_t state_bytes(const Tensor& tensor);    // of one state
  Tensor place(Weights weights, std::size_t group) const;  // checked; without states
  void allocate(Tensor& tensor) const;                     // zeros
  void append(Tensor tensor);
  cpu::Job job(const Tensor& tensor) const;  // without gradient and scalars
  void make_jobs();
  std::size_t find_state(std::string_view name) const;

  const RuleInfo* rule_;
  std::vector<Options> groups_;
  std::vector<Tensor> tensors_;
  std::vector<cpu::Job> jobs_;   // of all tensors, kept from step to step; none where they must be made anew
  cpu::Isa isa_{};               // which they are for
  std::vector<double> squares_;  // of the blocks of all tensors, where norms are taken
  const cpu::Executor* executor_ = &cpu::openmp;
  Storage storage_;
  Folded folded_;
};

/// make("adabelief", {{"lr", 1e-3}, {"weight_decay", 1e-2}, {"decay", "decoupled"}}). Throws std::invalid_argument that
/// names the nearest rule or option, or the range that a value left.
AnyOptimizer make(std::string_view rule, const Settings& settings = {}, const Storage& storage = {});

}  // namespace adabelief
