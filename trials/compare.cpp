// SPDX-License-Identifier: MIT
// Trials as processes: a crash loses one trial, Ctrl-C none that is finished.
#include "compare.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "adabelief/text.h"
#include "clock.h"
#include "experiment.h"
#include "files.h"
#include "terminal.h"
#include "trial.h"
#include "tuning.h"

extern char** environ;

namespace adabelief::trials {
namespace {

namespace fs = std::filesystem;

volatile std::sig_atomic_t signals = 0;

// One trial of the plan, before, while and after its process runs.
struct Entry {
  Trial trial;
  fs::path folder;             // that holds its records/, log/ and checkpoints/
  bool needs_options = false;  // those that tuning is still to choose
  Json chosen;                 // of a trial of tuned options: what the plan says of them
  enum { waiting, running, finished, diverged, stopped, crashed } state = waiting;
  double share = 0, seconds = 0, loss = 0;
  std::optional<double> metric;
  std::string metric_name, unit, why;
  std::vector<std::string> notes;
  double before = 0;     // the share that was done before this process saw it
  bool refused = false;  // it ended in order, with a message, before its first step

  pid_t pid = 0;
  int pipe = -1;
  std::string line;  // what has come of an unfinished line

  bool done() const { return state == finished || state == diverged; }
  fs::path record() const { return folder / "records" / (trial.run() + ".jsonl"); }
  fs::path log() const { return folder / "log" / (trial.run() + ".txt"); }
};

// Starts a program in a group of its own, so that the terminal's Ctrl-C reaches this process alone. Returns an error
// number; destroys `files`.
int start(const char* program, std::vector<std::string>& words, posix_spawn_file_actions_t& files, pid_t& pid) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  const int error = posix_spawnp(&pid, program, &files, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&files);
  posix_spawnattr_destroy(&attributes);
  return error;
}

void spawn(Entry& e, const CompareOptions& options) {
  std::vector<std::string> words = e.trial.arguments();
  words.insert(words.begin(), "adabelief");
  words.insert(words.end(),
               {"--out", e.folder.string(), "--progress", "json", "--checkpoint", text(options.checkpoint_seconds)});
  if (!options.data_root.empty()) words.insert(words.end(), {"--data", options.data_root.string()});
  if (options.resume) words.emplace_back("--resume");

  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw Error(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
  const std::string log = e.log().string();
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, ends[1], 1);
  posix_spawn_file_actions_addopen(&files, 2, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  const int error = start("/proc/self/exe", words, files, e.pid);
  close(ends[1]);
  if (error != 0) {
    close(ends[0]);
    throw Error(fmt::format("cannot start a trial: {}", std::strerror(error)));
  }
  e.pipe = ends[0];
  e.state = Entry::running;
}

void take(Entry& e, const std::string& line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object()) return;
  if (json.contains("status")) {
    e.why = json.value("reason", "");
    const std::string status = json["status"];
    if (status != "failed")
      e.state = status == "finished" ? Entry::finished : status == "diverged" ? Entry::diverged : Entry::stopped;
    return;
  }
  if (json.contains("note")) return e.notes.push_back(json["note"]);
  const double share = json["step"].get<double>() / json["steps"].get<double>();
  if (e.share == 0) e.before = share;
  e.share = share;
  e.seconds = json["seconds"];
  if (json["loss"].is_number()) e.loss = json["loss"];
  if (json["metric"].is_number()) e.metric = json["metric"];
  e.metric_name = json["metric_name"];
  e.unit = json["unit"];
}

// Reads what has come; at the end of the stream collects the process. Returns whether it has ended.
bool read_from(Entry& e) {
  char buffer[4096];
  const ssize_t n = read(e.pipe, buffer, sizeof buffer);
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return false;
  if (n > 0) {
    e.line.append(buffer, static_cast<std::size_t>(n));
    for (std::size_t end; (end = e.line.find('\n')) != std::string::npos; e.line.erase(0, end + 1)) {
      take(e, e.line.substr(0, end));
    }
    return false;
  }
  close(e.pipe);
  e.pipe = -1;
  int status = 0;
  while (waitpid(e.pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (e.state == Entry::running) {
    e.state = Entry::crashed;
    e.refused = WIFEXITED(status) && WEXITSTATUS(status) == 1 && e.share == 0;
    std::string last = e.why;
    std::ifstream in(e.log());
    for (std::string line; e.why.empty() && std::getline(in, line);) {
      if (!line.empty()) last = line;
    }
    e.why = fmt::format("{}; {}",
                        WIFSIGNALED(status)
                            ? fmt::format("ended by signal {} ({})", WTERMSIG(status), strsignal(WTERMSIG(status)))
                            : fmt::format("exit status {}", WEXITSTATUS(status)),
                        last.empty() ? "no message" : last);
  }
  return true;
}

std::vector<std::string> report_words(const std::vector<fs::path>& folders) {
  const char* chosen = std::getenv("ADABELIEF_PYTHON");
  std::vector<std::string> words{chosen ? chosen : ADABELIEF_PYTHON, std::string(ADABELIEF_TRIALS_FOLDER) + "/report"};
  for (const fs::path& folder : folders) words.push_back(folder.string());
  return words;
}

std::string outcome(const Entry& e, bool live) {
  switch (e.state) {
    case Entry::finished: return terminal::paint("finished", 32, live);
    case Entry::diverged: return terminal::paint("diverged: " + e.why, 33, live);
    case Entry::crashed: return terminal::paint("crashed: " + e.why, 31, live);
    case Entry::stopped: return terminal::paint("stopped", 33, live);
    case Entry::waiting: return terminal::paint("waiting", 2, live);
    case Entry::running: break;
  }
  const double left = e.share > 0 ? e.seconds * (1 - e.share) / e.share : 0;
  return e.share > 0 ? terminal::duration(left) + " left" : "starting";
}

// The report, made again and again while trials run. It ends when its standard input does, so with this process,
// however that ends; of a run that was stopped it first makes the page once more.
class Follower {
 public:
  explicit Follower(const fs::path& folder) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return;  // a run without it is as good
    std::vector<std::string> words = report_words({folder});
    words.emplace_back("--follow");
    const std::string log = (folder / "log" / "report.txt").string();
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, ends[0], 0);
    posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (start(words[0].c_str(), words, files, pid_) != 0) pid_ = 0;
    close(ends[0]);
    input_ = ends[1];
  }
  Follower(const Follower&) = delete;
  ~Follower() {
    if (pid_ > 0 && !stop_wanted()) kill(pid_, SIGTERM);  // the last report is about to be made
    if (input_ >= 0) close(input_);
    while (pid_ > 0 && waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

 private:
  pid_t pid_ = 0;
  int input_ = -1;
};

class Display {
 public:
  Display(bool quiet) : live_(!quiet && terminal::live(1)), quiet_(quiet), board_(1) {}

  void draw(const std::vector<Entry>& entries, double left, bool last) {
    if (!live_ || (!last && drawn_ && drawn_->seconds() < 0.2)) return;
    drawn_ = Clock();
    std::size_t label = 0;
    for (const Entry& e : entries) label = std::max(label, e.trial.title().size());
    const int rows = board_.rows();
    const bool all = std::ssize(entries) + 2 < rows;
    std::vector<std::string> lines;
    for (const Entry& e : entries) {
      if (!all && (e.state != Entry::running || std::ssize(lines) + 2 >= rows)) continue;
      lines.push_back(
          fmt::format("{:{}}  seed {:<3} {}  {:<16} {:<18} {}", e.trial.title(), label, e.trial.seed,
                      terminal::paint(terminal::bar(e.share, 20), e.state == Entry::finished ? 32 : 36, true),
                      terminal::metric(e.metric_name, e.metric, e.unit),
                      e.share > 0 ? fmt::format("train loss {}", terminal::number(e.loss, 4)) : "", outcome(e, true)));
    }
    lines.push_back(terminal::paint(summary(entries, left), 1, true));
    board_.draw(lines);
  }

  void ended(const std::vector<Entry>& entries, const Entry& e, double left) {
    if (live_ || quiet_) return;
    const auto over = std::count_if(entries.begin(), entries.end(), [](const Entry& other) {
      return other.pipe < 0 && (other.done() || other.state == Entry::crashed);
    });
    const std::string metric = terminal::metric(e.metric_name, e.metric, e.unit);
    fmt::print("[{:>{}}/{}] {} seed {}: {}{}{}{}\n", over, std::to_string(entries.size()).size(), entries.size(),
               e.trial.title(), e.trial.seed, outcome(e, false), metric.empty() ? "" : ", " + metric,
               e.seconds > 0 ? ", trained for " + terminal::duration(e.seconds) : "",
               left > 0 ? "; " + terminal::duration(left) + " left" : "");
    std::fflush(stdout);
  }

 private:
  static std::string summary(const std::vector<Entry>& entries, double left) {
    const auto count = [&](auto... states) {
      return std::count_if(entries.begin(), entries.end(),
                           [&](const Entry& e) { return ((e.state == states) || ...); });
    };
    std::string text = fmt::format("{} of {} trials finished, {} running", count(Entry::finished, Entry::diverged),
                                   entries.size(), count(Entry::running));
    if (const auto n = count(Entry::crashed)) text += fmt::format(", {} crashed", n);
    return text + (left > 0 ? ", " + terminal::duration(left) + " left" : "") + "; Ctrl-C stops, --resume goes on";
  }

  bool live_, quiet_;
  std::optional<Clock> drawn_;  // since then
  terminal::Board board_;
};

// Seconds until all is done, from the share of the work that this process has seen done; 0 where not known yet.
double time_left(const std::vector<Entry>& entries, const Clock& started) {
  double share = 0, rest = 0;
  for (const Entry& e : entries) {
    const double reached = e.done() || e.state == Entry::crashed ? 1 : e.share;
    share += reached - e.before;
    rest += 1 - reached;
  }
  return share > 0.02 ? started.seconds() * rest / share : 0;
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// What a run was told by --only, by its plan.
std::set<std::string> part_of(const Json& plan) {
  return plan.is_object() ? plan.value("only", std::set<std::string>{}) : std::set<std::string>{};
}

// The folder of this run: a new one, or the one to go on with.
fs::path choose_folder(const CompareOptions& options, const std::string& name) {
  const fs::path home = fs::path("runs") / name;
  if (!options.resume) {
    if (!options.out.empty()) {
      if (fs::exists(options.out / "experiment.json")) {
        throw Error(fmt::format("{} holds a run already; go on with it by --resume, or give another --out",
                                options.out.string()));
      }
      if (fs::exists(options.out / "records") && !fs::is_empty(options.out / "records"))
        throw Error(fmt::format("{} holds records of something else; give another --out", options.out.string()));
      return options.out;
    }
    return new_run_folder(name);
  }
  if (!options.out.empty()) {
    if (!fs::exists(options.out / "experiment.json"))
      throw Error(fmt::format("{}: no run to resume there", options.out.string()));
    return options.out;
  }
  std::vector<fs::path> found;
  if (fs::is_directory(home)) {
    const std::set<std::string> wanted(options.only.begin(), options.only.end());
    for (const auto& entry : fs::directory_iterator(home)) {
      const fs::path plan = entry.path() / "experiment.json";
      if (!fs::exists(plan)) continue;
      if (wanted.empty() || part_of(Json::parse(read_text(plan), nullptr, false)) == wanted)
        found.push_back(entry.path());
    }
  }
  if (found.empty())
    throw Error(fmt::format("no run of {} under {} to resume; run: adabelief compare {}", name, home.string(), name));
  return *std::max_element(found.begin(), found.end());
}

// What is run: the experiment's trials, those of tuning, and those with the options that it chooses.
std::vector<Entry> entries_of(const Experiment& experiment, bool tune, const fs::path& folder) {
  std::vector<Entry> entries;
  const auto add = [&](const std::vector<Trial>& trials, const fs::path& place, bool needs_options) {
    fs::create_directories(place / "records");
    fs::create_directories(place / "log");
    for (const Trial& trial : trials) {
      Entry& e = entries.emplace_back();
      e.trial = trial, e.folder = place, e.needs_options = needs_options;
      if (fs::exists(e.record())) e.state = Entry::finished, e.share = e.before = 1;
    }
  };
  add(experiment.trials, folder, false);
  if (!tune) return entries;
  add(experiment.tuning->trials, folder / "tuning", false);
  add(experiment.tuning->tuned, folder, true);
  return entries;
}

// Gives the trials that wait for tuning their options, once all tuning trials of their rule and workload have ended,
// and writes into the plan what was chosen; returns whether that is news. Where a tuning trial crashed the budgets
// would not be equal, so nothing is chosen.
bool choose_options(std::vector<Entry>& entries, Json& plan) {
  for (Entry& tuned : entries) {
    if (!tuned.needs_options || tuned.state == Entry::crashed) continue;
    std::vector<Trial> trials;
    bool ended = true, crashed = false;
    fs::path records;
    for (const Entry& e : entries) {
      if (e.trial.point == 0 || e.trial.workload != tuned.trial.workload || tuned_label(e.trial) != tuned.trial.label)
        continue;
      ended &= e.done() || e.state == Entry::crashed;
      crashed |= e.state == Entry::crashed;
      trials.push_back(e.trial);
      records = e.folder / "records";
    }
    if (!ended) continue;
    const bool by_best = plan["tuning"].value("by", "last") == "best";
    const auto chosen = crashed ? std::nullopt : choose(trials, records, by_best);
    if (!chosen) {
      if (!tuned.done()) {
        tuned.state = Entry::crashed;
        tuned.why =
            crashed ? "not started, since a tuning trial crashed" : "not started, since all tuning trials diverged";
      }
      continue;
    }
    const Trial& best = trials[chosen->trial];
    tuned.trial.settings = best.settings, tuned.needs_options = false;
    tuned.chosen = {
        {"label", best.label}, {"workload", best.workload}, {"point", best.point}, {"metric", chosen->metric}};
    for (const auto& [name, value] : best.settings) tuned.chosen["options"][name] = value;
  }
  Json all = Json::array();
  for (const Entry& e : entries) {
    if (!e.chosen.is_null() && std::find(all.begin(), all.end(), e.chosen) == all.end()) all.push_back(e.chosen);
  }
  return std::exchange(plan["tuning"]["chosen"], all) != all;
}

}  // namespace

fs::path new_run_folder(const std::string& name) {
  std::tm local{};
  const std::time_t seconds = std::time(nullptr);
  char stamp[32];
  std::strftime(stamp, sizeof stamp, "%Y-%m-%dT%H-%M-%S", localtime_r(&seconds, &local));
  const fs::path home = fs::path("runs") / name;
  fs::path folder = home / stamp;
  for (int i = 2; fs::exists(folder); ++i) folder = home / fmt::format("{}-{}", stamp, i);
  return folder;
}

void catch_stop_signals(bool second_ends) {
  struct sigaction action {};
  action.sa_handler = [](int) { signals = signals + 1; };
  if (second_ends) action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool stop_wanted() { return signals > 0; }

int make_report(const std::vector<fs::path>& folders, const fs::path& out, bool quiet, bool index) {
  std::vector<std::string> words = report_words(folders);
  if (!out.empty()) words.insert(words.end(), {"--out", out.string()});
  if (quiet) words.emplace_back("--quiet");
  if (index) words.emplace_back("--index");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  std::fflush(stdout);
  pid_t pid = 0;
  if (const int error = posix_spawnp(&pid, arguments[0], nullptr, nullptr, arguments.data(), environ)) {
    throw Error(fmt::format("cannot run {}: {}; set ADABELIEF_PYTHON to a Python 3.11 with plotly, numpy and scipy",
                            words[0], std::strerror(error)));
  }
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int compare(const CompareOptions& options) {
  fs::path folder;
  Experiment experiment;
  Json plan;             // experiment.json
  if (options.resume) {  // the run keeps its own plan, whatever has become of the file since
    const std::string name = run_name(options.experiment, options.reduced);
    folder = choose_folder(options, name);
    const fs::path file = folder / "experiment.json";
    plan = Json::parse(read_text(file), nullptr, false);
    if (!plan.is_object() || !plan.contains("name") || !plan.contains("toml"))
      throw Error(fmt::format("{}: damaged; the run cannot go on", file.string()));
    if (plan["name"] != name)
      throw Error(fmt::format("{} holds a run of {}, not of {}", folder.string(), plan["name"].dump(), name));
    experiment = parse_experiment(run_name(options.experiment, false), plan["toml"], file.string(), options.reduced);
    experiment.given = options.experiment;
    if (!options.only.empty() && part_of(plan) != std::set<std::string>(options.only.begin(), options.only.end()))
      throw Error(fmt::format("{} holds a run of {}; leave --only", folder.string(),
                              plan.contains("only") ? "--only " + plan["only"].dump() : "all rules"));
    keep_only(experiment, plan.value("only", std::vector<std::string>{}));
  } else {
    experiment = read_experiment(options.experiment, options.reduced);
    keep_only(experiment, options.only);
    plan = experiment.json(false);
    folder = choose_folder(options, experiment.name);
  }
  const bool tune = options.tune || plan.contains("tuning");
  if (tune && !experiment.tuning)
    throw Error(fmt::format("{} has no table [tuning], so there is nothing to tune; leave --tune", options.experiment));
  if (tune && experiment.tuning->trials.empty())
    throw Error("no rule that --only leaves has a search space, so there is nothing to tune; leave --tune");
  fs::create_directories(folder / "records");
  // The trials inherit the lock: where this process is killed they end a moment later, and must not meet their
  // successors.
  const int lock = open((folder / "lock").c_str(), O_CREAT | O_RDWR, 0644);
  if (lock < 0) throw Error(fmt::format("{}: cannot write there: {}", folder.string(), std::strerror(errno)));
  for (int tries = 50; flock(lock, LOCK_EX | LOCK_NB) != 0; --tries) {
    if (tries == 0) throw Error(fmt::format("{}: another adabelief is running it", folder.string()));
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  const auto write_plan = [&] { write_whole(folder / "experiment.json", {plan.dump(1), "\n"}); };
  if (tune && !plan.contains("tuning")) {  // a run that went without it may be tuned later
    const Json tuned = experiment.json(true);
    for (const char* key : {"command", "trials", "tuning"}) plan[key] = tuned[key];
    write_plan();
  } else if (!options.resume) {
    write_plan();
  }

  std::vector<Entry> entries = entries_of(experiment, tune, folder);
  const auto already =
      static_cast<double>(std::count_if(entries.begin(), entries.end(), [](const Entry& e) { return e.done(); }));
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  const int jobs =
      options.jobs > 0 ? options.jobs : std::max(1, cores / std::max(1, experiment.trials.front().threads));
  if (!options.quiet) {
    fmt::print("{}\n{} trials, {} at once{}, in {}\n", experiment.title, entries.size(), jobs,
               already > 0 ? fmt::format(", {} finished before", already) : "", folder.string());
    std::fflush(stdout);
  }

  catch_stop_signals(false);
  const Clock started;
  std::optional<Clock> asked;  // since when the trials are asked to stop
  int seen = 0;                // signals acted upon
  bool give_up = false;
  {
    const Follower follower(folder);
    Display display(options.quiet);
    for (;;) {
      int running = 0;
      for (const Entry& e : entries) running += e.pipe >= 0;
      if (!stop_wanted()) {
        if (tune && choose_options(entries, plan)) write_plan();
        for (Entry& e : entries) {
          if (give_up || running >= jobs) break;
          if (e.state == Entry::waiting && !e.needs_options) spawn(e, options), ++running;
        }
      } else if (signals > seen || (asked && asked->seconds() > 60)) {
        // The first signal asks, which a trial hears after a step or an evaluation; a second one, or a minute without
        // an answer, ends them.
        for (const Entry& e : entries) {
          if (e.pipe >= 0) kill(e.pid, asked ? SIGKILL : SIGTERM);
        }
        seen = signals, asked = Clock();
      }
      if (running == 0) break;
      std::vector<pollfd> polled;
      for (const Entry& e : entries) {
        if (e.pipe >= 0) polled.push_back({e.pipe, POLLIN, 0});
      }
      poll(polled.data(), polled.size(), 200);
      for (Entry& e : entries) {
        const bool ready = std::any_of(polled.begin(), polled.end(),
                                       [&](const pollfd& p) { return p.fd == e.pipe && p.revents != 0; });
        if (e.pipe < 0 || !ready || !read_from(e)) continue;
        if (e.state == Entry::crashed && stop_wanted()) e.state = Entry::stopped;
        if (e.state == Entry::stopped && !stop_wanted())
          e.state = Entry::crashed, e.why = "asked to stop from outside; --resume goes on";
        // What the first trial refuses, such as a folder without data, all others would; but for its own checkpoint.
        give_up |= e.refused && !fs::exists(folder / "checkpoints") &&
                   std::none_of(entries.begin(), entries.end(),
                                [](const Entry& other) { return other.done() || other.share > 0; });
        display.ended(entries, e, stop_wanted() ? 0 : time_left(entries, started));
      }
      display.draw(entries, stop_wanted() ? 0 : time_left(entries, started), false);
    }
    display.draw(entries, 0, true);
  }

  const auto over = std::count_if(entries.begin(), entries.end(), [](const Entry& e) { return e.done(); });
  if (over == std::ssize(entries)) {  // of trials that were killed after their last line
    for (const Entry& e : entries) remove_checkpoints(e.folder, e.trial.run());
  }
  if (stop_wanted()) {
    fmt::print(
        stderr,
        "stopped: {} of {} trials are finished and kept in {}; go on with: adabelief compare {} --resume{}{}{}\n", over,
        entries.size(), folder.string(), options.experiment, options.reduced ? " --reduced" : "",
        options.out.empty() && options.only.empty() ? "" : " --out " + folder.string(),
        options.data_root.empty() ? "" : " --data " + options.data_root.string());
    return 130;
  }
  const int report = over > 0 ? make_report({folder}, {}, options.quiet, false) : 1;
  if (stop_wanted()) return 130;
  int status = report;
  for (const Entry& e : entries) {
    if (e.state != Entry::crashed) continue;
    status = 1;
    fmt::print(stderr, "adabelief: {} seed {} crashed: {} (whole log: {})\n", e.trial.title(), e.trial.seed, e.why,
               e.log().string());
  }
  for (const Entry& e : entries) {
    for (const std::string& note : e.notes)
      fmt::print(stderr, "adabelief: {} seed {}: {}\n", e.trial.title(), e.trial.seed, note);
  }
  if (give_up) fmt::print(stderr, "adabelief: the other trials were not started; go on by --resume\n");
  return status;
}

}  // namespace adabelief::trials
