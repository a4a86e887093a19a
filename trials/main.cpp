// SPDX-License-Identifier: MIT
// The program adabelief: list, advise, train, compare, report, data.
#include <fmt/format.h>
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <climits>
#include <cstdio>
#include <optional>
#include <thread>

#include "adabelief/adabelief.h"
#include "adabelief/text.h"
#include "clock.h"
#include "commit.h"
#include "compare.h"
#include "data/dataset.h"
#include "data/download.h"
#include "experiment.h"
#include "terminal.h"
#include "trial.h"

namespace {

using namespace adabelief;
using namespace adabelief::trials;
namespace fs = std::filesystem;

constexpr const char* data_help = "Folder of the data sets; else $ADABELIEF_DATA, else the cache of this user";

// "rule adam    step by ..." for each, under a heading.
template <class List>
void print_list(std::string_view heading, const List& list) {
  std::size_t width = 0;
  for (const auto& [name, line] : list) width = std::max(width, name.size());
  fmt::print("{}\n", heading);
  for (const auto& [name, line] : list) fmt::print("  {:{}}  {}\n", name, width, line);
}

// "lr=0.001 beta1=0.9 ..." of the options that `which` holds for.
template <class Which>
std::string shown(const Options& options, Which which) {
  std::string text;
  for (std::size_t k = 0; k < options.list().size(); ++k) {
    const std::string name(options.list()[k].name);
    if (which(k)) text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, options.text(name));
  }
  return text;
}

int list(const std::string& what) {
  using Lines = std::vector<std::pair<std::string, std::string>>;
  Lines rule_lines, preset_lines, workload_lines, data_lines;
  for (const RuleInfo* rule : rules()) {
    const Options defaults(*rule);
    // Options that every rule has are shown where the rule has defaults of its own.
    const auto own = [&](std::size_t k) { return k < rule->options.size() || rule->common.weight_decay; };
    rule_lines.emplace_back(rule->name, fmt::format("{} ({})", rule->summary, shown(defaults, own)));
    for (const PresetInfo& preset : rule->presets) {
      const Options options(*rule, {{"preset", std::string(preset.name)}});
      const auto changed = [&](std::size_t k) { return options.values()[k] != defaults.values()[k]; };
      const std::string changes = shown(options, changed);
      preset_lines.emplace_back(fmt::format("{} {}", rule->name, preset.name),
                                fmt::format("{} ({}effective eps {:.3g})", preset.meaning,
                                            changes.empty() ? "" : changes + ", ", effective_eps(options)));
    }
  }
  for (const WorkloadInfo& workload : workloads()) workload_lines.emplace_back(workload.name, workload.summary);
  for (const auto& set : data::datasets()) data_lines.emplace_back(set.name, set.summary);
  constexpr std::array<std::string_view, 5> kinds{"rules", "presets", "workloads", "experiments", "data"};
  const bool all = what.empty();
  if (!all && std::find(kinds.begin(), kinds.end(), what) == kinds.end()) throw Error(unknown("list", what, kinds));
  static char buffer[1 << 16];  // for one write of everything, which a reader that leaves early does not break
  std::setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
  if (all || what == "rules") print_list("rules", rule_lines);
  if (all || what == "presets") print_list("presets", preset_lines);
  if (all || what == "workloads") print_list("workloads", workload_lines);
  if (all || what == "experiments") print_list("experiments", experiments());
  if (all || what == "data") print_list("data", data_lines);
  return 0;
}

// NAME=VALUE, as --set takes it.
std::pair<std::string, std::string> setting(const std::string& word) {
  const auto equals = word.find('=');
  if (equals == std::string::npos) throw Error(fmt::format("--set takes NAME=VALUE, such as lr=1e-3, got {}", word));
  return {word.substr(0, equals), word.substr(equals + 1)};
}

int advise(const std::string& rule_name, const std::vector<std::string>& words) {
  Settings settings;
  for (const std::string& word : words) settings.emplace_back(setting(word));
  const RuleInfo& rule = find_rule(rule_name);
  const Options options(rule, settings);
  const auto line = [](std::string_view name, const std::string& value, std::string_view meaning) {
    fmt::print("  {:<18}{:<12}{}\n", name, value, meaning);
  };
  const auto number = [](double value) { return fmt::format("{:.5g}", value); };
  fmt::print("{}: {}\n  {}\n", rule.name, rule.summary, shown(options, [](std::size_t) { return true; }));
  const double floor = effective_eps(options);
  line("effective eps", floor < 1e-100 ? "none" : number(floor), "what a step divides by is never smaller");
  const double curvature = stable_curvature(options);
  if (curvature == 0) {
    line("stable curvature", "none", "steps do not shrink with the gradient, so that lr must");
  } else {
    line("stable curvature", number(curvature), "in a direction of more curvature the steps grow");
  }
  line("first step", number(first_step(options)), "of a weight at 1 with a gradient of 1");
  line("steady step", number(steady_step(options)), "the same after many steps with that gradient");
  line("memory", fmt::format("{} bytes", 4 * rule.states.size()), "a float weight, beside weight and gradient");
  for (const std::string& warning : warnings(rule, settings)) fmt::print("warning: {}\n", warning);
  return 0;
}

struct TrainOptions {
  Trial trial;
  std::vector<std::string> set;
  RunOptions run;  // its folder is empty where it is to be found or made
  std::string progress = "auto";
  bool quiet = false;
};

// The newest run of this trial that has not finished.
fs::path unfinished_run(const Trial& trial) {
  const fs::path home = fs::path("runs") / trial.workload;
  fs::path newest;
  if (fs::is_directory(home)) {
    for (const auto& entry : fs::directory_iterator(home)) {
      if (fs::exists(entry.path() / "records" / (trial.run() + ".jsonl.part"))) newest = std::max(newest, entry.path());
    }
  }
  if (newest.empty())
    throw Error(fmt::format("no unfinished training of {} under {} to resume; without --resume one begins", trial.run(),
                            home.string()));
  return newest;
}

int train(TrainOptions o) {
  for (const std::string& word : o.set) o.trial.settings.push_back(setting(word));
  if (o.trial.label.empty()) {
    o.trial.label = o.trial.rule;
    for (const std::string& word : o.set) o.trial.label += " " + word;
  }
  const bool named = !o.run.folder.empty();
  if (!named) o.run.folder = o.run.resume ? unfinished_run(o.trial) : new_run_folder(o.trial.workload);
  const bool json = o.progress == "json", live = !json && !o.quiet && terminal::live(1);
  if (json) {  // a trial of a comparison ends with it, however that ended, but by a checkpoint and not by its pipe
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
  }
  const auto tell = [](const Json& line) {  // whoever still listens
    std::fputs((line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n").c_str(), stdout);
    std::fflush(stdout);
  };
  catch_stop_signals(!json);

  const Clock started;
  std::optional<Clock> shown;  // since then
  std::int64_t before = -1;    // the steps of earlier processes
  double metric_shown = NAN;
  terminal::Board board(1);
  o.run.stop = stop_wanted;
  o.run.note = [&](const std::string& note) {
    if (json) tell({{"note", note}});
    fmt::print(stderr, "adabelief: {}\n", note);
  };
  o.run.report = [&](const Progress& p) {
    const bool last = p.step == p.steps, news = p.metric && *p.metric != metric_shown;
    if (before < 0) before = p.step - 1;
    if (!last && shown && shown->seconds() < (live || json ? 0.2 : 10) && !(news && !live)) return;
    shown = Clock();
    if (json) {
      Json line{{"step", p.step}, {"steps", p.steps}, {"seconds", p.seconds}, {"loss", p.loss}};
      line["metric"] = p.metric ? Json(*p.metric) : Json();
      line["metric_name"] = p.metric_name;
      line["unit"] = p.unit;
      tell(line);
      metric_shown = p.metric.value_or(NAN);
      return;
    }
    if (o.quiet) return;
    const double share = static_cast<double>(p.step) / static_cast<double>(p.steps);
    const double left =
        started.seconds() * static_cast<double>(p.steps - p.step) / static_cast<double>(p.step - before);
    const std::string metric = terminal::metric(p.metric_name, p.metric, p.unit);
    const std::string loss = terminal::number(p.loss, 4);
    if (live) {
      board.draw(
          {fmt::format("{}  step {}/{}  train loss {}  {}  {}", terminal::paint(terminal::bar(share, 20), 36, true),
                       p.step, p.steps, loss, metric, last ? "" : terminal::duration(left) + " left")});
    } else {
      fmt::print("step {}/{}  train loss {}  {}{}\n", p.step, p.steps, loss, metric,
                 last ? "" : "  " + terminal::duration(left) + " left");
      std::fflush(stdout);
    }
    metric_shown = p.metric.value_or(NAN);
  };

  Outcome outcome;
  try {
    outcome = run(o.trial, o.run);
  } catch (const std::exception& error) {  // the log may lie on the full disk that it would tell of
    if (json) tell({{"status", "failed"}, {"reason", error.what()}});
    throw;
  }
  if (json) {
    tell({{"status", outcome.status}, {"reason", outcome.reason}});
    return 0;
  }
  if (outcome.status == "stopped") {
    fmt::print(stderr, "stopped after step {}; go on by --resume{}; what was recorded is in {}\n", outcome.step,
               named ? " --out " + o.run.folder.string() : "", outcome.record.string());
    return 130;
  }
  if (outcome.status == "diverged") fmt::print(stderr, "diverged: {}\n", outcome.reason);
  fmt::print("{}\n", outcome.record.string());
  return 0;
}

std::vector<std::string_view> names_of(const std::vector<CLI::App*>& commands) {
  std::vector<std::string_view> names;
  for (const CLI::App* command : commands) names.push_back(command->get_name());
  return names;
}

// What CLI11 says of a mistake, with the nearest known name where a word was not known.
int refuse(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) return app.exit(error);
  const auto chosen = app.get_subcommands();
  const CLI::App& command = chosen.empty() ? app : *chosen.front();
  std::string message = error.what();
  for (const std::string& word : command.remaining(true)) {
    if (!word.starts_with("--")) continue;
    std::vector<std::string> known;
    for (const CLI::Option* option : command.get_options()) {
      if (option->get_group().empty()) continue;  // not for users
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    }
    const std::vector<std::string_view> views(known.begin(), known.end());
    message = unknown("option", word.substr(0, word.find('=')), views);
    break;
  }
  fmt::print(stderr, "adabelief: {}\nRun `adabelief{} --help` to see what there is.\n", message,
             chosen.empty() ? "" : " " + command.get_name());
  return 2;
}

// CLI11's own checks answer with the largest double written out.
CLI::Validator whole(std::int64_t least, std::int64_t most = 1'000'000'000) {
  return {[=](std::string& word) -> std::string {
            std::int64_t value = 0;
            const char* end = word.data() + word.size();
            const auto [read, error] = std::from_chars(word.data(), end, value);
            if (error == std::errc{} && read == end && least <= value && value <= most) return "";
            return fmt::format("must be a whole number in [{}, {}], got {}", least, most, word);
          },
          ""};
}

const CLI::Validator seconds{[](std::string& word) -> std::string {
                               double value = 0;
                               const char* end = word.data() + word.size();
                               const auto [read, error] = std::from_chars(word.data(), end, value);
                               if (error == std::errc{} && read == end && 0 <= value && value < INFINITY) return "";
                               return fmt::format("must be a number of seconds in [0, inf), got {}", word);
                             },
                             ""};

int program(int argc, char** argv) {
  CLI::App app{"AdaBelief and its rivals: train, compare, report.", "adabelief"};
  app.set_version_flag("--version", fmt::format("adabelief {} ({})", version, trials::commit));
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);

  std::string what;
  CLI::App* list_command = app.add_subcommand("list", "Show the rules, presets, workloads, experiments and data sets");
  list_command->add_option("KIND", what, "rules, presets, workloads, experiments or data; all of them if left out");

  std::string advise_rule;
  std::vector<std::string> advise_set;
  CLI::App* advise_command =
      app.add_subcommand("advise", "Say what a rule does with its options: floors, limits, memory, and what to mind");
  advise_command->add_option("RULE", advise_rule, "The optimizer (adabelief list rules)")->required();
  const char* set_help = "An option of the rule, as lr=1e-3, decay=decoupled, preset=pytorch-0.2.1; again for more";
  advise_command->add_option("--set", advise_set, set_help)->type_name("NAME=VALUE")->allow_extra_args(false);

  TrainOptions t;
  CLI::App* train_command = app.add_subcommand("train", "Train one workload with one rule and write its record");
  train_command->add_option("WORKLOAD", t.trial.workload, "What to train (adabelief list workloads)")->required();
  train_command->add_option("--rule", t.trial.rule, "The optimizer (adabelief list rules)")->required();
  train_command->add_option("--set", t.set, set_help)->type_name("NAME=VALUE")->allow_extra_args(false);
  train_command->add_option("--schedule", t.trial.schedule.kind, "Learning rate over time: " + join(Schedule::kinds))
      ->capture_default_str();
  train_command->add_option("--warmup", t.trial.schedule.warmup, "Epochs of linear rise of the learning rate from 0")
      ->capture_default_str();
  train_command
      ->add_option("--at", t.trial.schedule.at, "An epoch at which --schedule steps multiplies the learning rate")
      ->type_name("EPOCH")
      ->allow_extra_args(false);
  train_command->add_option("--factor", t.trial.schedule.factor, "By what --schedule steps multiplies it")
      ->capture_default_str();
  train_command
      ->add_option("--beta1-decay", t.trial.schedule.beta1_decay,
                   "In (0, 1]: step t has beta1 times its power t, where the rule has a beta1")
      ->capture_default_str();
  train_command->add_option("--seed", t.trial.seed, "Of weights, order of data and augmentation")
      ->capture_default_str();
  train_command->add_option("--epochs", t.trial.epochs, "Passes over the training data; 0: the workload's own")
      ->check(whole(0));
  train_command->add_option("--batch", t.trial.batch, "Examples a step; 0: the workload's own")->check(whole(0));
  train_command->add_option("--steps", t.trial.max_steps, "End after so many steps; 0: after --epochs")
      ->check(whole(0));
  t.trial.threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  train_command->add_option("--threads", t.trial.threads, "Threads; results depend on their number")
      ->capture_default_str()
      ->check(whole(1, 1024));
  train_command->add_option("--precision", t.trial.precision, "float32, or bfloat16 for autocast with float32 weights")
      ->capture_default_str();
  train_command
      ->add_option("--states", t.trial.states, "How the optimizer's states are kept: " + join(state_type_names))
      ->capture_default_str();
  train_command
      ->add_option("--weights", t.trial.weights,
                   "How weights are kept between steps, and rounded: " + join(Trial::weight_forms) +
                       "; the network computes with what they are in float32, gradients are as the weights")
      ->capture_default_str();
  train_command->add_flag("--channels-last", t.trial.channels_last,
                          "Keep images as (N, H, W, C) in memory: often faster");
  train_command
      ->add_option("--train", t.trial.train, "Examples to train on, the first of a fixed permutation; 0: all of them")
      ->check(whole(0));
  train_command->add_option("--width", t.trial.width, "Multiple of the width of the model's layers")
      ->capture_default_str();
  train_command->add_flag("--average", t.trial.average,
                          "Evaluate averages of the weights once validation gets no better");
  train_command->add_flag("--tuning", t.trial.tuning,
                          "Keep a part of the training data apart, and evaluate on it in place of the test data");
  train_command->add_option("--label", t.trial.label, "Name in reports; else made of the rule and --set");
  const char* every_help = "Seconds between the checkpoints that --resume goes on from; 0: one after every step";
  train_command->add_flag("--resume", t.run.resume, "Go on with the newest such training that was stopped or killed");
  train_command->add_option("--checkpoint", t.run.checkpoint_seconds, every_help)
      ->type_name("SECONDS")
      ->capture_default_str()
      ->check(seconds);
  train_command->add_option("--out", t.run.folder, "Folder for the record; else runs/WORKLOAD/TIME");
  train_command->add_option("--data", t.run.data_root, data_help);
  train_command->add_flag("--quiet", t.quiet, "Print the record's path only");
  train_command->add_option("--experiment", t.trial.experiment)->group("");
  train_command->add_flag("--reduced", t.trial.reduced)->group("");
  train_command->add_option("--point", t.trial.point)->group("");
  train_command->add_flag("--name-workload", t.trial.names_workload)->group("");
  train_command->add_option("--progress", t.progress)->group("");

  CompareOptions c;
  CLI::App* compare_command =
      app.add_subcommand("compare", "Run an experiment's trials side by side and make the report");
  compare_command
      ->add_option("EXPERIMENT", c.experiment, "A name (adabelief list experiments), or a path that ends in .toml")
      ->required();
  compare_command->add_flag("--reduced", c.reduced, "Smaller and shorter, as the experiment's table [reduced] has it");
  compare_command
      ->add_option("--only", c.only, "These of its workloads, and its rules with these labels, in place of all")
      ->type_name("NAME");
  compare_command->add_flag("--tune", c.tune,
                            "Tune the rules by as many trials each, and train them with the options found too");
  compare_command->add_flag("--resume", c.resume, "Go on with the experiment's newest run, or with that in --out");
  compare_command->add_option("--checkpoint", c.checkpoint_seconds, every_help)
      ->type_name("SECONDS")
      ->capture_default_str()
      ->check(seconds);
  compare_command->add_option("--out", c.out, "The run's folder; else runs/EXPERIMENT/TIME");
  compare_command->add_option("--jobs", c.jobs, "Trials at once; 0: as many as the cores hold")->check(whole(0));
  compare_command->add_option("--data", c.data_root, data_help);
  compare_command->add_flag("--quiet", c.quiet, "Print the report's path only");

  std::vector<fs::path> folders;
  fs::path report_out;
  bool report_quiet = false, report_index = false;
  CLI::App* report_command = app.add_subcommand("report", "Make the report of one or several run folders again");
  report_command->add_option("FOLDER", folders, "Folders that hold records/");
  report_command->add_flag("--index", report_index, "List all runs in FOLDER, else in runs/, in its index.html");
  report_command->add_option("--out", report_out, "Where to write it; else into the first folder");
  report_command->add_flag("--quiet", report_quiet, "Print the report's path only");

  data::FetchOptions d;
  std::string data_name;
  CLI::App* data_command = app.add_subcommand("data", "Say where a data set is, or download it");
  data_command->add_option("NAME", data_name, "A data set (adabelief list data)")->required();
  data_command->add_option("--data", d.data_root, data_help);
  data_command->add_option("--from", d.from, "A mirror's address in place of the official one");
  data_command->add_flag("--quiet", d.quiet, "Print the folder only");

  const auto commands = app.get_subcommands({});
  if (argc > 1 && argv[1][0] != '-') {
    const auto names = names_of(commands);
    if (std::find(names.begin(), names.end(), argv[1]) == names.end()) {
      fmt::print(stderr, "adabelief: {}\n", unknown("command", argv[1], names));
      return 2;
    }
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return refuse(app, error);
  }
  if (*list_command) return list(what);
  if (*advise_command) return advise(advise_rule, advise_set);
  if (*train_command) return train(std::move(t));
  if (*compare_command) return compare(c);
  if (*report_command) {
    if (folders.empty() && !report_index) throw Error("FOLDER is missing: a folder that holds records/, or --index");
    return make_report(folders, report_out, report_quiet, report_index);
  }
  std::vector<std::string_view> names;
  for (const data::Dataset& set : data::datasets()) {
    if (set.name == data_name) return data::fetch(set, d), 0;
    names.push_back(set.name);
  }
  throw Error(unknown("data set", data_name, names));
}

}  // namespace

int main(int argc, char** argv) {
#if defined(__GLIBC__)
  // Each step's tensors are freed and made again: by default glibc gives their pages back to the system every time, and
  // the page faults take up to half of a trial.
  mallopt(M_MMAP_THRESHOLD, INT_MAX);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
#endif
  try {
    return program(argc, argv);
  } catch (const fs::filesystem_error& error) {
    std::fprintf(stderr, "adabelief: %s: %s\n", error.path1().c_str(), error.code().message().c_str());
    return 1;
  } catch (const std::exception& error) {  // without fmt::print, which throws where it cannot write
    const bool named = std::string_view(error.what()).starts_with("adabelief: ");
    std::fprintf(stderr, "%s%s\n", named ? "" : "adabelief: ", error.what());
    return 1;
  }
}
