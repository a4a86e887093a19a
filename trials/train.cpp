// SPDX-License-Identifier: MIT
// Runs a trial. Like the workloads, it is compiled with LibTorch, and does without fmt, of which LibTorch's headers
// bring another version.
#include <sys/file.h>
#include <sys/utsname.h>
#include <torch/torch.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <ctime>
#include <fstream>
#include <system_error>
#include <thread>

#include "adabelief/adabelief.h"
#include "adabelief/libtorch.h"
#include "adabelief/text.h"
#include "checkpoint.h"
#include "clock.h"
#include "commit.h"
#include "files.h"
#include "pictures.h"
#include "random.h"
#include "tensors.h"
#include "trial.h"
#include "workload.h"

namespace adabelief::trials {
namespace {

std::string after(const std::string& file, std::string_view key) {
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) {
    if (!line.starts_with(key)) continue;
    const auto start = line.find_first_of(":=");
    const auto value = line.substr(start == std::string::npos ? line.size() : start + 1);
    const auto first = value.find_first_not_of(" \t\""), last = value.find_last_not_of(" \t\"");
    return first == std::string::npos ? "" : value.substr(first, last - first + 1);
  }
  return "";
}

Json machine() {
  const double memory = static_cast<double>(sysconf(_SC_PHYS_PAGES)) * static_cast<double>(sysconf(_SC_PAGE_SIZE));
  utsname system{};
  uname(&system);
  std::string cpu = after("/proc/cpuinfo", "model name"), os = after("/etc/os-release", "PRETTY_NAME");
  return {{"cpu", cpu.empty() ? system.machine : cpu},
          {"cores", std::thread::hardware_concurrency()},
          {"memory_gib", std::round(memory / (1 << 30) * 10) / 10},
          {"os", os.empty() ? system.sysname : os},
          {"isa", cpu::isa_names[static_cast<std::size_t>(cpu::isa())]}};
}

std::string now() {
  std::tm utc{};
  const std::time_t seconds = std::time(nullptr);
  char buffer[32];
  return {buffer, std::strftime(buffer, sizeof buffer, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &utc))};
}

Json option_values(const Options& options) {
  Json json;
  for (const OptionInfo& option : options.list()) {
    const std::string name(option.name);
    if (!option.choices.empty()) {
      json[name] = options.text(name);
    } else if (option.is_bool) {
      json[name] = options.get(name) != 0;
    } else {
      json[name] = options.get(name);
    }
  }
  return json;
}

// A JSON number, or null where JSON has none.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(); }

void refuse_finished(const std::filesystem::path& record) {
  if (std::filesystem::exists(record))
    throw Error(record.string() + " is there already; give another --label or --out");
}

// Lines of JSON in FILE.part, which is renamed to FILE when the last line is written.
class Record {
 public:
  // Keeps other processes from the trial, and leaves the lines that are there until begin().
  explicit Record(std::filesystem::path path)
      : path_(std::move(path)), part_(path_.string() + ".part"), out_(in_its_folder(part_), 0) {
    if (flock(out_.number(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
      throw Error(part_.string() + ": another adabelief is training it; wait, or give another --label or --out");
    if (std::filesystem::exists(path_)) {  // by another process, just now: what is open here may be its file, or new
      std::error_code ignored;
      std::filesystem::remove(part_, ignored);
      refuse_finished(path_);
    }
  }

  // With these lines in place of those that are there.
  void begin(std::string text) {
    text_ = std::move(text);
    out_.clear();
    out_.write(text_);
  }

  // Written at once: a reader may follow, and a kill loses nothing. Text of the user's may be no UTF-8.
  void line(const Json& json) {
    const std::string line = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
    out_.write(line);
    text_ += line;
  }

  void end(const Json& json) {
    line(json);
    out_.rename(path_);
  }

  const std::filesystem::path& path() const { return path_; }
  const std::filesystem::path& part() const { return part_; }
  const std::string& text() const { return text_; }

 private:
  static const std::filesystem::path& in_its_folder(const std::filesystem::path& file) {
    std::filesystem::create_directories(file.parent_path());
    return file;
  }

  std::filesystem::path path_, part_;
  std::string text_;  // all lines so far
  OutputFile out_;
};

// Where a name that is there stands among names.
auto place(const auto& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) - names.begin();
}

// A network's weights as the optimizer keeps them. Where these have 16 bits the network computes with their values in
// float, and its gradients are rounded to the same type.
class Kept {
 public:
  Kept(std::vector<torch::Tensor> parameters, const std::string& form) : parameters_(std::move(parameters)) {
    const auto dash = form.find('-');
    if (dash == std::string::npos) return;
    type_ = Type(place(type_names, form.substr(0, dash)));
    rounding_ = Rounding(place(rounding_names, form.substr(dash + 1)));
    for (const torch::Tensor& p : parameters_)
      low_.push_back(p.detach().to(type_ == Type::float16 ? torch::kHalf : torch::kBFloat16));
    give_weights();
  }

  bool low() const { return !low_.empty(); }
  Type type() const { return type_; }
  Rounding rounding() const { return rounding_; }
  const std::vector<torch::Tensor>& weights() const { return low() ? low_ : parameters_; }

  void forget_gradients(torch::optim::Optimizer& optimizer) const {
    optimizer.zero_grad();
    for (std::size_t i = 0; i < low_.size(); ++i) parameters_[i].mutable_grad().reset();
  }
  void take_gradients() const {
    for (std::size_t i = 0; i < low_.size(); ++i) {
      const torch::Tensor g = parameters_[i].grad();
      low_[i].mutable_grad() = g.defined() ? g.to(low_[i].scalar_type()) : g;
    }
  }
  void give_weights() const {
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < low_.size(); ++i) parameters_[i].copy_(low_[i]);
  }
  /// After something else than a step has changed the network's.
  void take_weights() const {
    const torch::NoGradGuard no_grad;
    for (std::size_t i = 0; i < low_.size(); ++i) low_[i].copy_(parameters_[i]);
  }

 private:
  std::vector<torch::Tensor> parameters_, low_;
  Type type_ = Type::float32;
  Rounding rounding_ = Rounding::nearest;
};

constexpr std::uint64_t step_key = 101, evaluation_key = 102;  // those of the workloads are less

}  // namespace

std::span<const WorkloadInfo> workloads() {
  static const auto infos = [] {
    std::vector<WorkloadInfo> infos;
    for (const Maker& maker : makers()) infos.push_back({maker.name, maker.summary});
    return infos;
  }();
  return infos;
}

namespace {

Outcome train(const Trial& trial, const RunOptions& run) {
  // All that a user may have got wrong is found before anything is written.
  const auto all = makers();
  const auto made = std::find_if(all.begin(), all.end(), [&](const Maker& m) { return m.name == trial.workload; });
  if (made == all.end()) {
    std::vector<std::string_view> names;
    for (const WorkloadInfo& workload : workloads()) names.push_back(workload.name);
    throw Error(unknown("workload", trial.workload, names));
  }
  trial.check();
  Options options(find_rule(trial.rule), Settings(trial.settings.begin(), trial.settings.end()));

  at::set_num_threads(trial.threads);
  torch::manual_seed(trial.seed);
  const auto workload = made->make({.data_root = run.data_root,
                                    .seed = trial.seed,
                                    .epochs = trial.epochs,
                                    .batch = trial.batch,
                                    .bfloat16 = trial.precision == "bfloat16",
                                    .channels_last = trial.channels_last,
                                    .tuning = trial.tuning,
                                    .train = trial.train,
                                    .width = trial.width,
                                    .average = trial.average});
  workload->check(options.rule());
  const auto parameters = workload->parameters();
  if (trial.average && !workload->averages())
    throw Error(trial.workload + " has no averages of its weights; leave average");
  const bool in_double = parameters.front().scalar_type() == torch::kDouble;
  const Kept kept(parameters, trial.weights);
  const Storage storage{.states = StateType(place(state_type_names, trial.states)),
                        .weights = kept.rounding(),
                        .seed = static_cast<std::uint64_t>(trial.seed)};
  for (const auto& [what, form, usual] : {std::tuple("states", trial.states, storage.states == StateType::full),
                                          std::tuple("weights", trial.weights, !kept.low())}) {
    if (usual || !in_double) continue;
    throw Error(std::string(what) + " in " + form + " are for weights that are computed in float, " + trial.workload +
                " is computed in double; leave " + what);
  }
  const auto optimizer = libtorch::make(kept.weights(), options, storage);
  std::size_t weights = 0, state_bytes = 0;  // as the adapter keeps them, once every weight has had a gradient
  for (const auto& p : parameters) {
    const auto n = static_cast<std::size_t>(p.numel());
    const Type type = in_double ? Type::float64 : kept.type();
    weights += n;
    state_bytes += cpu::state_bytes(storage.states_of(type, n), type, n) * options.rule().states.size();
    if (storage.keeps_rest(type)) state_bytes += 2 * n;
  }
  const std::int64_t per_epoch = workload->steps_per_epoch(), steps = per_epoch * workload->epochs(),
                     last = trial.max_steps > 0 ? std::min(steps, trial.max_steps) : steps;
  const Metric metric = workload->metric();

  const std::filesystem::path path = run.folder / "records" / (trial.run() + ".jsonl");
  refuse_finished(path);
  Json config(
      {{"type", "config"},
       {"record", 1},
       {"run", trial.run()},
       {"experiment", trial.experiment},
       {"workload", trial.workload},
       {"label", trial.label},
       {"rule", trial.rule},
       {"options", option_values(options)},
       {"effective_eps", effective_eps(options)},
       {"schedule", trial.schedule.json()},
       {"seed", trial.seed},
       {"epochs", workload->epochs()},
       {"batch", workload->batch()},
       {"steps", last},
       {"steps_per_epoch", per_epoch},
       {"metric",
        {{"name", metric.name}, {"unit", metric.unit}, {"better", metric.higher_is_better ? "higher" : "lower"}}},
       {"parameters", weights},
       {"state_bytes", state_bytes},
       {"precision", in_double ? "float64" : trial.precision},
       {"states", trial.states},
       {"channels_last", trial.channels_last},
       {"threads", trial.threads},
       {"command", trial.arguments()},
       {"version", version},
       {"commit", commit},
       {"compiler", ADABELIEF_COMPILER},
       {"torch", TORCH_VERSION},
       {"machine", machine()},
       {"data", {{"name", workload->data_name()}, {"sha256", workload->data_sha256()}}},
       {"started", now()}});
  if (trial.tuning) config["tuning"] = true;
  if (trial.point > 0) config["point"] = trial.point;
  if (trial.reduced) config["reduced"] = true;
  if (trial.train > 0) config["train"] = trial.train;
  if (trial.width != 1) config["width"] = trial.width;
  if (trial.average) config["average"] = true;
  if (kept.low()) config["weights"] = trial.weights;
  if (metric.split != "test") config["metric"]["split"] = metric.split;
  if (metric.goal) config["metric"]["goal"] = *metric.goal;
  if (const Json details = workload->details(); !details.is_null()) config.update(details);
  if (const Json surface = workload->surface(); !surface.is_null()) config["surface"] = surface;
  const auto note = [&](const std::string& what) {
    if (run.note) run.note(what);
  };
  Record record(path);  // and its lock, before checkpoints are looked at
  Checkpoints checkpoints(run.folder, trial.run(), note);
  std::optional<Checkpoint> begun;
  if (run.resume) {
    begun = checkpoints.load(config, *workload, *optimizer);
    if (!begun && checkpoints.newest() > 0) {
      note(path.string() + ".part: no good checkpoint; the trial begins anew");
      remove_checkpoints(run.folder, trial.run());  // of later steps, they would be kept in place of the new ones
    }
  } else if (checkpoints.newest() > 0) {
    throw Error(path.string() + ".part has a checkpoint after step " + std::to_string(checkpoints.newest()) +
                "; go on from it by --resume, or give another --label or --out");
  }
  kept.take_weights();
  record.begin(begun ? begun->record : "");
  if (!begun) record.line(config);

  double seconds = 0, optimizer_seconds = 0, data_seconds = 0, loss_sum = 0, recent = NAN;
  std::int64_t loss_count = 0, t = 0;
  std::optional<double> last_metric;
  if (begun) {
    const Json& counters = begun->counters;
    t = begun->step;
    seconds = counters["seconds"], optimizer_seconds = counters["optimizer_seconds"];
    data_seconds = counters["data_seconds"];
    loss_sum = counters["loss_sum"], loss_count = counters["loss_count"];
    if (!counters["recent"].is_null()) recent = counters["recent"];
    if (!counters["metric"].is_null()) last_metric = counters["metric"];
  }
  const auto save = [&] {
    const Json counters{{"seconds", seconds},
                        {"optimizer_seconds", optimizer_seconds},
                        {"data_seconds", data_seconds},
                        {"loss_sum", loss_sum},
                        {"loss_count", loss_count},
                        {"recent", number(recent)},
                        {"metric", last_metric ? Json(*last_metric) : Json()}};
    checkpoints.save({t, counters, record.text()}, *workload, *optimizer);
  };
  // What a step draws depends on the seed and the step alone, as in a trial that began there.
  const auto seed_generator = [&](std::uint64_t purpose) {
    torch::manual_seed(Random(static_cast<std::uint64_t>(trial.seed), purpose, static_cast<std::uint64_t>(t)).next());
  };
  const auto evaluate = [&] {
    seed_generator(evaluation_key);
    const Workload::Evaluation test = workload->evaluate();
    last_metric = std::isfinite(test.metric) ? std::optional(test.metric) : std::nullopt;
    Json line({{"type", "evaluation"},
               {"step", t},
               {"epoch", static_cast<double>(t) / static_cast<double>(per_epoch)},
               {"seconds", seconds},
               {"optimizer_seconds", optimizer_seconds},
               {"data_seconds", data_seconds},
               {"lr", options.get("lr") * trial.schedule(std::max<std::int64_t>(t, 1), steps, per_epoch)},
               {"train_loss", loss_count > 0 ? number(loss_sum / static_cast<double>(loss_count)) : Json()},
               {"test_loss", number(test.loss)},
               {"test_metric", number(test.metric)}});
    if (test.valid_loss) line["valid_loss"] = number(*test.valid_loss);
    if (test.valid_metric) line["valid_metric"] = number(*test.valid_metric);
    for (const double weight : test.point) line["point"].push_back(number(weight));
    for (const auto& [name, value] : test.more) line["more"][name] = number(value);
    record.line(line);
    if (const Workload::Samples samples = workload->samples(); samples.images.defined()) {
      const std::string file = "samples/" + trial.run() + "/" + six_digits(t) + ".png";
      write_grid(run.folder / file, samples.images, samples.columns);
      record.line({{"type", "samples"}, {"step", t}, {"file", file}, {"columns", samples.columns}});
    }
    loss_sum = 0, loss_count = 0;
    return test.loss;
  };
  const auto end = [&](std::string status, std::string reason) {
    Json line{{"type", "end"}, {"status", status}};
    if (!reason.empty()) line["reason"] = reason;
    line.update({{"step", t}, {"weights_sha256", sha256_of(parameters)}, {"seconds", seconds}, {"ended", now()}});
    record.end(line);
    remove_checkpoints(run.folder, trial.run());
    return Outcome{record.path(), status, reason, t};
  };

  const auto diverged = [&](std::string_view what, double loss) {
    return end("diverged", "the " + std::string(what) + " loss is " + (std::isnan(loss) ? "nan" : text(loss)) +
                               " at step " + std::to_string(t));
  };

  if (!begun) evaluate();
  Clock since;  // the last checkpoint
  const std::int64_t first = t;
  const double lr = options.get("lr"), decay = trial.schedule.beta1_decay;
  const bool decays = decay < 1 && options.has("beta1");
  while (t < last) {
    const bool stopped = run.stop && run.stop();
    if (t > first && (stopped || since.seconds() >= run.checkpoint_seconds)) save(), since = {};
    if (stopped) return {record.part(), "stopped", "asked to stop", t};
    ++t;
    const Clock step;
    optimizer->options().set_lr(lr * trial.schedule(t, steps, per_epoch) * workload->lr_factor(t));
    if (decays) optimizer->options().set("beta1", options.get("beta1") * std::pow(decay, static_cast<double>(t)));
    kept.forget_gradients(*optimizer);
    seed_generator(step_key);
    const double loss = workload->backward(t);
    data_seconds += workload->data_seconds();
    if (!std::isfinite(loss)) {
      seconds += step.seconds();
      return diverged("training", loss);
    }
    const Clock update;
    kept.take_gradients();
    optimizer->step();
    kept.give_weights();
    optimizer_seconds += update.seconds();
    workload->after(*optimizer);
    kept.take_weights();
    seconds += step.seconds();
    loss_sum += loss, ++loss_count;
    recent = std::isnan(recent) ? loss : 0.95 * recent + 0.05 * loss;
    if (run.report && t < last) run.report({t, last, seconds, recent, last_metric, metric.name, metric.unit});
    if (workload->evaluates_after(t) || t == last) {
      const double loss = evaluate();
      if (!std::isfinite(loss)) return diverged("test", loss);
      const bool there = metric.goal && last_metric &&
                         (metric.higher_is_better ? *last_metric >= *metric.goal : *last_metric <= *metric.goal);
      if (there) break;
    }
  }
  if (run.report) run.report({t, t, seconds, recent, last_metric, metric.name, metric.unit});
  return end("finished", "");
}

}  // namespace

Outcome run(const Trial& trial, const RunOptions& options) {
  try {
    return train(trial, options);
  } catch (const c10::Error& error) {  // what() would bring the stack of calls too
    throw Error(error.what_without_backtrace());
  }
}

}  // namespace adabelief::trials
