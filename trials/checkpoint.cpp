// SPDX-License-Identifier: MIT
// Checkpoints: a line with a checksum of what follows, then an archive of torch's.
#include "checkpoint.h"

#include <fcntl.h>
#include <torch/serialize.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "data/dataset.h"

namespace adabelief::trials {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view magic = "adabelief checkpoint 1 ", suffix = ".checkpoint";
constexpr std::size_t digits = 64;  // of SHA-256

std::string sha256(std::string_view bytes) {
  data::Sha256 sum;
  sum.update({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  return sum.digits();
}

[[noreturn]] void fail_to(const char* what) { throw std::runtime_error(std::string(what) + std::strerror(errno)); }

// A file or folder, closed at the end of its scope.
struct Descriptor {
  Descriptor(const fs::path& path, int flags) : number(open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (number < 0) fail_to("cannot write: ");
  }
  ~Descriptor() { close(number); }

  int number;
};

void write_synced(const fs::path& path, std::initializer_list<std::string_view> parts) {
  const Descriptor file(path, O_WRONLY | O_CREAT | O_TRUNC);
  for (std::string_view part : parts) {
    while (!part.empty()) {
      const ssize_t n = write(file.number, part.data(), part.size());
      if (n < 0 && errno != EINTR) fail_to("cannot write: ");
      if (n > 0) part.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  if (fsync(file.number) != 0) fail_to("cannot write: ");
}

// Of a trial's configuration, what its numbers follow from; and what else its last bits depend on.
const std::array surroundings{"version", "commit", "compiler", "torch", "machine"};
Json essence(Json config) {
  for (const char* key : surroundings) config.erase(key);
  config.erase("started");
  return config;
}

void fill(const std::vector<torch::Tensor>& tensors, const char* what, torch::serialize::InputArchive& archive,
          std::vector<torch::Tensor>& read) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    torch::Tensor& tensor = read.emplace_back();
    archive.read(what + std::to_string(i), tensor, true);
    if (tensor.sizes() != tensors[i].sizes() || tensor.scalar_type() != tensors[i].scalar_type())
      throw std::runtime_error(c10::str("of another model: ", what, " ", i, " is of shape ", tensor.sizes(),
                                        ", here of ", tensors[i].sizes()));
  }
}

}  // namespace

Checkpoints::Checkpoints(const fs::path& folder, const std::string& run, std::function<void(const std::string&)> note)
    : folder_(folder / "checkpoints"), run_(run), note_(std::move(note)) {}

std::vector<std::pair<std::int64_t, fs::path>> Checkpoints::found() const {
  std::vector<std::pair<std::int64_t, fs::path>> all;
  if (!fs::is_directory(folder_)) return all;
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const std::string file = entry.path().filename().string();
    std::string_view name = file;
    if (!name.starts_with(run_ + ".") || !name.ends_with(suffix)) continue;
    name = name.substr(run_.size() + 1, name.size() - run_.size() - 1 - suffix.size());
    std::int64_t step = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
    if (error == std::errc{} && end == name.data() + name.size()) all.emplace_back(step, entry.path());
  }
  std::sort(all.rbegin(), all.rend());
  return all;
}

std::int64_t Checkpoints::newest() const {
  const auto all = found();
  return all.empty() ? 0 : all.front().first;
}

void Checkpoints::save(const Checkpoint& checkpoint, Workload& workload, const libtorch::AnyOptimizer& optimizer) {
  const fs::path path = folder_ / (run_ + "." + std::to_string(checkpoint.step) + std::string(suffix)),
                 part = path.string() + ".part";
  try {
    torch::serialize::OutputArchive archive, kept(archive.compilation_unit());
    archive.write("step", c10::IValue(checkpoint.step));
    archive.write("counters", c10::IValue(checkpoint.counters.dump()));
    archive.write("record", c10::IValue(checkpoint.record));
    const auto write = [&](const char* what, const std::vector<torch::Tensor>& tensors) {
      for (std::size_t i = 0; i < tensors.size(); ++i) {
        archive.write(what + std::to_string(i), tensors[i].detach(), true);
      }
    };
    write("weight", workload.parameters());
    write("state", workload.state());
    optimizer.save(kept);
    archive.write("optimizer", kept);
    std::string bytes;
    archive.save_to([&](const void* data, std::size_t size) {
      bytes.append(static_cast<const char*>(data), size);
      return size;
    });
    fs::create_directories(folder_);
    write_synced(part, {magic, sha256(bytes), "\n", bytes});
    fs::rename(part, path);
    fsync(Descriptor(folder_, O_RDONLY | O_DIRECTORY).number);
    const auto all = found();
    for (std::size_t i = 2; i < all.size(); ++i) fs::remove(all[i].second);
    failed_ = false;
  } catch (const std::exception& error) {
    std::error_code ignored;
    fs::remove(part, ignored);
    const auto* torchs = dynamic_cast<const c10::Error*>(&error);
    if (!failed_)
      note_(path.string() + ": no checkpoint: " + (torchs ? torchs->what_without_backtrace() : error.what()) +
            "; training goes on, and earlier checkpoints are kept");
    failed_ = true;
  }
}

std::optional<Checkpoint> Checkpoints::load(const Json& config, Workload& workload, libtorch::AnyOptimizer& optimizer) {
  const torch::NoGradGuard no_grad;
  for (const auto& [step, path] : found()) {
    try {
      std::ifstream in(path, std::ios::binary);
      const std::string file{std::istreambuf_iterator<char>(in), {}};
      const std::size_t start = magic.size() + digits + 1;
      if (!file.starts_with(magic) || file.size() < start) throw std::runtime_error("not a checkpoint of this program");
      const auto bytes = std::string_view(file).substr(start);
      if (file.compare(magic.size(), digits, sha256(bytes)) != 0)
        throw std::runtime_error("damaged or cut: its checksum is another");

      torch::serialize::InputArchive archive, kept;
      archive.load_from(bytes.data(), bytes.size());
      c10::IValue value;
      Checkpoint checkpoint;
      archive.read("step", value);
      checkpoint.step = value.toInt();
      archive.read("counters", value);
      checkpoint.counters = Json::parse(value.toStringRef());
      archive.read("record", value);
      checkpoint.record = value.toStringRef();
      const Json theirs = Json::parse(checkpoint.record.substr(0, checkpoint.record.find('\n')));
      // Through text, as theirs went, for numbers of the same type.
      const Json ours = Json::parse(config.dump(-1, ' ', false, Json::error_handler_t::replace));
      if (const Json a = essence(theirs), b = essence(ours); a != b) {
        for (const auto& [key, its] : b.items()) {
          if (!a.contains(key) || a[key] != its)
            throw std::runtime_error("of another trial: its " + key + " is " + a.value(key, Json()).dump() + ", not " +
                                     its.dump());
        }
        throw std::runtime_error("of another trial");
      }
      const auto weights = workload.parameters(), state = workload.state();
      std::vector<torch::Tensor> read;
      fill(weights, "weight", archive, read);
      fill(state, "state", archive, read);
      archive.read("optimizer", kept);
      optimizer.load(kept);
      for (std::size_t i = 0; i < read.size(); ++i) {
        (i < weights.size() ? weights[i] : state[i - weights.size()]).copy_(read[i]);
      }
      for (const char* key : surroundings) {
        if (const Json was = theirs.value(key, Json()); was != ours.value(key, Json()))
          note_(path.string() + ": written with another " + key + ", " + was.dump() +
                "; from there on, last bits may differ");
      }
      return checkpoint;
    } catch (const std::exception& error) {
      const auto* torchs = dynamic_cast<const c10::Error*>(&error);
      note_(path.string() + ": left out: " + (torchs ? torchs->what_without_backtrace() : error.what()));
    }
  }
  return {};
}

void Checkpoints::remove() {
  std::error_code ignored;
  for (const auto& [step, path] : found()) fs::remove(path, ignored);
  fs::remove(folder_, ignored);  // where it was the last trial's
}

}  // namespace adabelief::trials
