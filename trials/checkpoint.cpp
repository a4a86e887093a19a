// SPDX-License-Identifier: MIT
// Checkpoints: a line with a checksum of what follows, then an archive of torch's.
#include "checkpoint.h"

#include <torch/serialize.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "data/dataset.h"
#include "files.h"
#include "trial.h"

namespace adabelief::trials {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kind = "adabelief checkpoint ", magic = "adabelief checkpoint 1 ", suffix = ".checkpoint",
                           part_suffix = ".checkpoint.part";
constexpr std::size_t digits = 64;  // of SHA-256

std::string sha256(std::string_view bytes) {
  data::Sha256 sum;
  sum.update({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
  return sum.digits();
}

std::string message_of(const std::exception& error) {
  const auto* torchs = dynamic_cast<const c10::Error*>(&error);
  return torchs ? torchs->what_without_backtrace() : error.what();
}

// The files RUN.STEP and the suffix in a folder, by their steps, the newest first.
std::vector<std::pair<std::int64_t, fs::path>> files_of(const fs::path& folder, const std::string& run,
                                                        std::string_view suffix) {
  std::vector<std::pair<std::int64_t, fs::path>> all;
  std::error_code gone;  // as by another trial's end; then there are none
  for (const auto& entry : fs::directory_iterator(folder, gone)) {
    const std::string file = entry.path().filename().string();
    std::string_view name = file;
    if (!name.starts_with(run + ".") || !name.ends_with(suffix)) continue;
    name.remove_prefix(run.size() + 1);
    name.remove_suffix(std::min(suffix.size(), name.size()));
    std::int64_t step = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), step);
    if (error == std::errc{} && end == name.data() + name.size()) all.emplace_back(step, entry.path());
  }
  std::sort(all.rbegin(), all.rend());
  return all;
}

// What a trial's last bits depend on beside its configuration.
const std::array surroundings{"version", "commit", "compiler", "torch", "machine"};

// What else does not tell one trial from another: the time, and what follows from the rest.
const std::array besides{"started", "command", "effective_eps"};

// The rest, as {"/options/lr": 0.001, ...}.
Json essence(Json config) {
  for (const char* key : surroundings) config.erase(key);
  for (const char* key : besides) config.erase(key);
  return config.flatten();
}

// "options.lr is 0.001 there, 0.1 here", the first three such; empty where both are of one trial.
std::string differences(const Json& theirs, const Json& ours) {
  const Json there = essence(theirs), here = essence(ours);
  Json all = here;
  all.update(there);
  const auto shown = [](const Json& values, const std::string& key) {
    return values.contains(key) ? values[key].dump() : "not given";
  };
  std::string text;
  int number = 0;
  for (const auto& [key, _] : all.items()) {
    const std::string a = shown(there, key), b = shown(here, key);
    if (a == b || ++number > 3) continue;
    std::string name = key.substr(1);
    std::replace(name.begin(), name.end(), '/', '.');
    text += (text.empty() ? "" : "; ") + name + " is " + a + " there, " + b + " here";
  }
  return text + (number > 3 ? "; and " + std::to_string(number - 3) + " more differ" : "");
}

void fill(const std::vector<torch::Tensor>& tensors, const char* what, torch::serialize::InputArchive& archive,
          std::vector<torch::Tensor>& read) {
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    torch::Tensor& tensor = read.emplace_back();
    archive.read(what + std::to_string(i), tensor, true);
    if (tensor.sizes() != tensors[i].sizes() || tensor.scalar_type() != tensors[i].scalar_type())
      throw std::runtime_error(c10::str(what, " ", i, " is ", tensor.scalar_type(), tensor.sizes(), " there, ",
                                        tensors[i].scalar_type(), tensors[i].sizes(), " here"));
  }
}

}  // namespace

Checkpoints::Checkpoints(const fs::path& folder, const std::string& run, std::function<void(const std::string&)> note)
    : folder_(folder / "checkpoints"), run_(run), note_(std::move(note)) {}

std::int64_t Checkpoints::newest() const {
  const auto all = files_of(folder_, run_, suffix);
  return all.empty() ? 0 : all.front().first;
}

void Checkpoints::save(const Checkpoint& checkpoint, Workload& workload, const libtorch::AnyOptimizer& optimizer) {
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
    write_whole(folder_ / (run_ + "." + std::to_string(checkpoint.step) + std::string(suffix)),
                {magic, sha256(bytes), "\n", bytes});
    const auto all = files_of(folder_, run_, suffix);
    for (std::size_t i = 2; i < all.size(); ++i) fs::remove(all[i].second);
    failed_ = false;
  } catch (const std::exception& error) {
    if (!failed_)
      note_("no checkpoint after step " + std::to_string(checkpoint.step) + ": " + message_of(error) +
            "; training goes on, and earlier checkpoints are kept");
    failed_ = true;
  }
}

std::optional<Checkpoint> Checkpoints::load(const Json& config, Workload& workload, libtorch::AnyOptimizer& optimizer) {
  const torch::NoGradGuard no_grad;
  for (const auto& [step, path] : files_of(folder_, run_, suffix)) {
    std::ifstream in(path, std::ios::binary);
    if (!in) throw Error(path.string() + ": cannot be read: " + std::strerror(errno));
    const std::string file{std::istreambuf_iterator<char>(in), {}};
    const auto leave_out = [&, &path = path](const char* why) { note_(path.string() + ": left out: " + why); };
    if (!file.starts_with(kind)) {
      leave_out("not a checkpoint of this program");
      continue;
    }
    // What is whole but does not fit is the user's to decide upon: beginning anew would lose it.
    const auto refuse = [&, &path = path](const std::string& why) {
      throw Error(path.string() + ": " + why +
                  "; go on with the program and the options that it began with, or give another --label or --out, or "
                  "remove " +
                  (folder_ / run_).string() + ".* to begin anew");
    };
    if (!file.starts_with(magic)) refuse("of another version of the program");
    const auto bytes = std::string_view(file).substr(std::min(magic.size() + digits + 1, file.size()));
    if (file.compare(magic.size(), digits, sha256(bytes)) != 0) {
      leave_out("damaged or cut: its checksum is another");
      continue;
    }
    torch::serialize::InputArchive archive, kept;
    Checkpoint checkpoint;
    Json theirs;
    try {
      archive.load_from(bytes.data(), bytes.size());
      c10::IValue value;
      archive.read("step", value);
      checkpoint.step = value.toInt();
      archive.read("counters", value);
      checkpoint.counters = Json::parse(value.toStringRef());
      archive.read("record", value);
      checkpoint.record = value.toStringRef();
      theirs = Json::parse(checkpoint.record.substr(0, checkpoint.record.find('\n')));
    } catch (const std::exception& error) {
      refuse(message_of(error));
    }
    // Through text, as theirs went, for numbers of the same type.
    const Json ours = Json::parse(config.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (const std::string why = differences(theirs, ours); !why.empty()) refuse("of another trial: " + why);
    const auto weights = workload.parameters(), state = workload.state();
    std::vector<torch::Tensor> read;
    try {
      fill(weights, "weight", archive, read);
      fill(state, "state", archive, read);
      archive.read("optimizer", kept);
      optimizer.load(kept);
    } catch (const std::exception& error) {
      refuse("of another trial: " + message_of(error));
    }
    for (std::size_t i = 0; i < read.size(); ++i) {
      (i < weights.size() ? weights[i] : state[i - weights.size()]).copy_(read[i]);
    }
    for (const char* key : surroundings) {
      if (const Json was = theirs.value(key, Json()); was != ours.value(key, Json()))
        note_(path.string() + ": written with another " + key + ", " + was.dump() +
              "; from there on, last bits may differ");
    }
    return checkpoint;
  }
  return {};
}

void remove_checkpoints(const fs::path& folder, const std::string& run) {
  const fs::path place = folder / "checkpoints";
  std::error_code ignored;
  for (const std::string_view end : {suffix, part_suffix}) {
    for (const auto& [step, path] : files_of(place, run, end)) fs::remove(path, ignored);
  }
  fs::remove(place, ignored);  // where it was the last trial's
}

}  // namespace adabelief::trials
