// SPDX-License-Identifier: MIT
// The file of an optimizer's state. Little-endian, one value after the other:
//
//   "adabelief state\n", u32 version, text rule
//   u64 groups, for each: u64 options, for each: text name, f64 value
//   u64 tensors, for each: u64 group, text type, u64 elements, i64 steps, u64 states, for each: text name, the elements
//   u64 FNV-1a of all the bytes before
//
// where a text is a u64 length and its bytes. Elements are double or float, in which states of other forms are written
// too, so that each form can be read into each; but those of weight_rest, which is there where bfloat16 or float16
// weights are rounded exactly, are i16. Names stand in the file so that a reader of any version can say what it
// does not know.
#include <bit>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <istream>
#include <ostream>
#include <stdexcept>

#include "adabelief/any.h"
#include "adabelief/text.h"

namespace adabelief {
namespace {

static_assert(std::endian::native == std::endian::little, "the state file is little-endian");

constexpr std::string_view magic = "adabelief state\n";
constexpr std::string_view rest_name = "weight_rest";
constexpr std::uint32_t version = 1;

struct Checksum {
  std::uint64_t hash = 0xcbf29ce484222325;
  void add(const void* data, std::size_t bytes) {
    const auto* p = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < bytes; ++i) hash = (hash ^ p[i]) * 0x100000001b3;
  }
};

class Writer {
 public:
  explicit Writer(std::ostream& out) : out_(out) {}

  void bytes(const void* data, std::size_t n) {
    checksum_.add(data, n);
    out_.write(static_cast<const char*>(data), static_cast<std::streamsize>(n));
  }
  template <class T>
  void number(T value) {
    bytes(&value, sizeof value);
  }
  void text(std::string_view text) {
    number<std::uint64_t>(text.size());
    bytes(text.data(), text.size());
  }
  void end() { number(checksum_.hash); }

 private:
  std::ostream& out_;
  Checksum checksum_;
};

class Reader {
 public:
  Reader(std::istream& in, std::string_view rule, std::string_view file)
      : in_(in),
        what_(std::string(rule) + ": cannot load the state" + (file.empty() ? "" : " from ") + std::string(file)) {}

  [[noreturn]] void fail(const std::string& why) const { throw std::runtime_error(what_ + ": " + why); }
  void start() {
    std::string found(magic.size(), '\0');
    in_.read(found.data(), static_cast<std::streamsize>(found.size()));
    found.resize(static_cast<std::size_t>(in_.gcount()));
    if (!magic.starts_with(found)) fail("not a state saved by this library");
    if (found.size() < magic.size()) fail("the file is cut short");
    checksum_.add(found.data(), found.size());
  }
  void bytes(void* data, std::size_t n) {
    in_.read(static_cast<char*>(data), static_cast<std::streamsize>(n));
    if (in_.gcount() != static_cast<std::streamsize>(n)) fail("the file is cut short");
    checksum_.add(data, n);
  }
  template <class T>
  T number() {
    T value;
    bytes(&value, sizeof value);
    return value;
  }
  std::string text() {
    const auto n = number<std::uint64_t>();
    if (n > 256) fail("the file is damaged: a name of " + std::to_string(n) + " bytes");
    std::string text(n, '\0');
    bytes(text.data(), n);
    return text;
  }
  void expect(const std::string& what, const std::string& ours, const std::string& theirs) const {
    if (ours != theirs) fail(what + " is " + theirs + " in the file, " + ours + " here");
  }
  void end() {
    const std::uint64_t ours = checksum_.hash;
    if (number<std::uint64_t>() != ours) fail("the file is damaged: its checksum does not fit its contents");
  }

 private:
  std::istream& in_;
  std::string what_;
  Checksum checksum_;
};

}  // namespace

void AnyOptimizer::save(std::ostream& out) const {
  write(out);
  if (!out) throw std::runtime_error(std::string(rule_->name) + ": cannot save the state: writing failed");
}

void AnyOptimizer::write(std::ostream& out) const {
  Writer w(out);
  w.bytes(magic.data(), magic.size());
  w.number(version);
  w.text(rule_->name);
  w.number<std::uint64_t>(groups_.size());
  for (const Options& options : groups_) {
    w.number<std::uint64_t>(options.list().size());
    for (std::size_t i = 0; i < options.list().size(); ++i) {
      w.text(options.list()[i].name);
      w.number(options.values()[i]);
    }
  }
  w.number<std::uint64_t>(tensors_.size());
  for (const Tensor& tensor : tensors_) {
    w.number<std::uint64_t>(tensor.group);
    w.text(type_names[int(tensor.weights.type)]);
    w.number<std::uint64_t>(tensor.weights.size);
    w.number(tensor.steps);
    const bool rest = storage_.keeps_rest(tensor.weights.type);
    w.number<std::uint64_t>(rule_->states.size() + rest);
    const cpu::Job job = this->job(tensor);
    for (std::size_t k = 0; k < rule_->states.size(); ++k) {
      w.text(rule_->states[k]);
      if (tensor.state_type == StateType::full) {
        w.bytes(job.states[k], state_bytes(tensor));
      } else {
        std::vector<float> numbers(job.n);
        cpu::read_state(job, k, numbers.data());
        w.bytes(numbers.data(), numbers.size() * sizeof(float));
      }
    }
    if (rest) {
      w.text(rest_name);
      w.bytes(job.remainder, 2 * job.n);
    }
  }
  w.end();
}

void AnyOptimizer::load(std::istream& in) { load(in, ""); }

void AnyOptimizer::load(std::istream& in, const std::string& file) {
  Reader r(in, rule_->name, file);
  r.start();
  if (const auto theirs = r.number<std::uint32_t>(); theirs != version) {
    r.fail("the file's version is " + std::to_string(theirs) + ", this library reads " + std::to_string(version));
  }
  r.expect("the rule", std::string(rule_->name), r.text());

  const auto count = [&](const std::string& what, std::size_t ours) {
    r.expect(what, std::to_string(ours), std::to_string(r.number<std::uint64_t>()));
  };
  std::vector<Options> groups;
  count("the number of groups", groups_.size());
  for (std::size_t i = 0; i < groups_.size(); ++i) {
    Options options(*rule_);
    const auto n = r.number<std::uint64_t>();
    for (std::uint64_t k = 0; k < n; ++k) {
      const std::string name = r.text();
      const auto value = r.number<double>();
      try {
        options.set(name, value);
      } catch (const std::invalid_argument& error) {
        r.fail(std::string(error.what()).substr(rule_->name.size() + 2));
      }
    }
    groups.push_back(std::move(options));
  }

  std::vector<Tensor> tensors;
  count("the number of tensors", tensors_.size());
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const Weights& weights = tensors_[i].weights;
    const std::string tensor = "tensor " + std::to_string(i);
    count("the group of " + tensor, tensors_[i].group);
    r.expect("the type of " + tensor, std::string(type_names[int(weights.type)]), r.text());
    count("the size of " + tensor, weights.size);
    const auto steps = r.number<std::int64_t>();
    if (steps < 0 || steps > max_steps)
      r.fail("the file is damaged: " + tensor + " after " + std::to_string(steps) + " steps");
    const bool rest = storage_.keeps_rest(weights.type);
    // Of weights that were rounded otherwise there is no rest: it is 0 then; and where none is kept, it is left out.
    const auto there = r.number<std::uint64_t>();
    const bool had_rest = size_of(weights.type) == 2 && there == rule_->states.size() + 1;
    if (!had_rest)
      r.expect("the number of states of " + tensor, std::to_string(rule_->states.size()), std::to_string(there));
    Tensor& loaded = tensors.emplace_back(
        Tensor{weights, tensors_[i].group, steps, tensors_[i].state_type, tensors_[i].whole, tensors_[i].offset});
    allocate(loaded);
    const cpu::Job job = this->job(loaded);
    for (std::size_t k = 0; k < rule_->states.size(); ++k) {
      r.expect("a state of " + tensor, std::string(rule_->states[k]), r.text());
      if (loaded.state_type == StateType::full) {
        r.bytes(job.states[k], state_bytes(loaded));
      } else {
        std::vector<float> numbers(job.n);
        r.bytes(numbers.data(), numbers.size() * sizeof(float));
        cpu::write_state(job, k, numbers.data());
      }
    }
    if (had_rest) {
      r.expect("a state of " + tensor, std::string(rest_name), r.text());
      std::vector<std::int16_t> unused(rest ? 0 : job.n);
      r.bytes(rest ? job.remainder : unused.data(), 2 * job.n);
    }
  }
  r.end();
  if (!file.empty() && in.peek() != std::istream::traits_type::eof()) r.fail("the file goes on after its end");
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const StateMemory &from = tensors[i].states, &to = tensors_[i].states;
    if (tensors_[i].memory || tensors[i].weights.size == 0) continue;
    // The states are the caller's, who keeps them where they are.
    for (std::size_t k = 0; k < rule_->states.size(); ++k) {
      std::memcpy(to.states[k], from.states[k], state_bytes(tensors[i]));
    }
    if (to.rest != nullptr) std::memcpy(to.rest, from.rest, 2 * tensors[i].weights.size);
    tensors[i].states = to, tensors[i].memory.reset();
  }
  groups_ = std::move(groups);
  tensors_ = std::move(tensors);
  jobs_.clear();
}

void AnyOptimizer::save(const std::filesystem::path& path) const {
  std::filesystem::path part = path;
  part += ".part";
  const auto fail = [&](const std::filesystem::path& file, const std::string& why) {
    throw std::runtime_error(std::string(rule_->name) + ": cannot save the state to " + file.string() + ": " + why);
  };
  errno = 0;
  std::ofstream out(part, std::ios::binary);
  if (!out) fail(part, std::strerror(errno));
  const struct Removed {  // after the renaming there is none
    const std::filesystem::path& part;
    ~Removed() {
      std::error_code ignored;
      std::filesystem::remove(part, ignored);
    }
  } removed{part};
  write(out);
  out.close();
  if (!out) fail(part, std::strerror(errno));
  std::error_code error;
  std::filesystem::rename(part, path, error);
  if (error) fail(path, error.message());
}

void AnyOptimizer::load(const std::filesystem::path& path) {
  errno = 0;
  std::ifstream in(path, std::ios::binary);
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) errno = EISDIR, in.setstate(std::ios::failbit);
  if (!in) Reader(in, rule_->name, path.string()).fail(std::strerror(errno));
  load(in, path.string());
}

}  // namespace adabelief
