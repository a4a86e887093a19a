// SPDX-License-Identifier: MIT
// Experiments from TOML.
#include "experiment.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "adabelief/any.h"
#include "adabelief/text.h"
#include "tuning.h"

namespace adabelief::trials {
namespace {

// A table of which every key must be asked for: what is left over is a mistake, and is reported with the keys there
// are.
class Table {
 public:
  Table(const toml::table& table, std::string file, std::string where)
      : table_(table), file_(std::move(file)), where_(std::move(where)) {}

  [[noreturn]] void fail(const toml::node* node, const std::string& why) const {
    const toml::source_region& at = node ? node->source() : table_.source();
    const std::string& file = at.path ? *at.path : file_;  // another one where it was taken from there by `like`
    throw Error(fmt::format("{}:{}: {}", file, std::max<toml::source_index>(at.begin.line, 1), why));
  }

  const toml::node* find(std::string_view key) {
    known_.insert(std::string(key));
    return table_.get(key);
  }

  template <class T>
  std::optional<T> get(std::string_view key, std::string_view what) {
    const toml::node* node = find(key);
    if (node == nullptr) return {};
    const auto value = read<T>(*node);
    if (!value) fail(node, fmt::format("{}{} must be {}, got {}", where_, key, what, shown(*node)));
    return value;
  }

  template <class T>
  T need(std::string_view key, std::string_view what) {
    auto value = get<T>(key, what);
    if (!value) fail(nullptr, fmt::format("{}{} is missing: {}", where_, key, what));
    return *std::move(value);
  }

  template <class T>
  std::vector<T> list(std::string_view key, std::string_view what) {
    const toml::node* node = find(key);
    std::vector<T> values;
    if (node == nullptr) return values;
    const toml::array* array = node->as_array();
    if (array == nullptr) fail(node, fmt::format("{}{} must be a list of {}, got {}", where_, key, what, shown(*node)));
    for (const toml::node& element : *array) {
      const auto value = read<T>(element);
      if (!value)
        fail(&element, fmt::format("{}{} must be a list of {}, with {} in it", where_, key, what, shown(element)));
      values.push_back(*value);
    }
    return values;
  }

  // A text or a list of texts; an empty list where the key is missing.
  std::vector<std::string> texts(std::string_view key, std::string_view one, std::string_view several) {
    const toml::node* node = find(key);
    if (node == nullptr || node->is_array()) return list<std::string>(key, several);
    return {need<std::string>(key, fmt::format("{}, or a list of {}", one, several))};
  }

  void done() const {
    for (const auto& [key, node] : table_) {
      if (known_.contains(std::string(key.str()))) continue;
      const std::vector<std::string_view> names(known_.begin(), known_.end());
      fail(&node, where_ + unknown("key", key.str(), names));
    }
  }

  static std::string shown(const toml::node& node) {
    std::ostringstream out;
    node.visit([&](const auto& value) { out << value; });
    return out.str();
  }

 private:
  template <class T>
  static std::optional<T> read(const toml::node& node) {
    if constexpr (std::is_same_v<T, double>) {
      return node.is_number() ? node.value<double>() : std::nullopt;
    } else {
      return node.value_exact<T>();
    }
  }

  const toml::table& table_;
  std::string file_, where_;
  std::set<std::string> known_;
};

std::filesystem::path folder() { return std::filesystem::path(ADABELIEF_TRIALS_FOLDER) / "experiments"; }

std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw Error(fmt::format("{}: cannot read it", path.string()));
  return text.str();
}

template <class T>
T positive(Table& table, std::string_view key, T fallback) {
  const auto value = table.get<std::int64_t>(key, "a whole number of at least 1");
  if (value && *value < 1)
    table.fail(table.find(key), fmt::format("{} must be a whole number of at least 1, got {}", key, *value));
  return static_cast<T>(value.value_or(fallback));
}

std::vector<std::int64_t> read_seeds(Table& table) {
  auto seeds = table.list<std::int64_t>("seeds", "whole numbers");
  if (std::set(seeds.begin(), seeds.end()).size() != seeds.size())
    table.fail(table.find("seeds"), "seeds has one twice");
  return seeds;
}

// A rule's search = { lr = [1e-4, 1e-1, "log"], momentum = [0.8, 0.99, "linear"], decay = ["coupled", "decoupled"] },
// every point of which the rule must take.
std::vector<Search> read_search(Table& rule, const std::string& file, const Trial& entry) {
  std::vector<Search> space;
  const toml::node* node = rule.find("search");
  if (node == nullptr) return space;
  if (!node->is_table()) rule.fail(node, "rules.search must be a table, such as { lr = [1e-4, 1e-1, \"log\"] }");
  Table table(*node->as_table(), file, "rules.search.");
  for (const auto& [key, value] : *node->as_table()) {
    const auto refuse = [&] {
      table.fail(&value,
                 fmt::format("rules.search.{} must be [low, high, \"log\" or \"linear\"] or a list of texts, got {}",
                             key.str(), Table::shown(value)));
    };
    const toml::array* list = value.as_array();
    if (list == nullptr || list->empty()) refuse();
    Search search;
    search.option = std::string(key.str());
    if (list->size() == 3 && list->get(0)->is_number() && list->get(1)->is_number() && list->get(2)->is_string()) {
      search.low = *list->get(0)->value<double>(), search.high = *list->get(1)->value<double>();
      const auto scale = *list->get(2)->value<std::string>();
      search.log = scale == "log";
      if ((!search.log && scale != "linear") || !(search.low < search.high) || (search.log && !(search.low > 0)))
        refuse();
    } else {
      for (const toml::node& choice : *list) {
        if (!choice.is_string()) refuse();
        search.choices.push_back(*choice.value<std::string>());
      }
    }
    const auto words = search.choices.empty() ? std::vector{text(search.low), text(search.high)} : search.choices;
    for (const std::string& word : words) {
      try {
        Options(find_rule(entry.rule)).set(search.option, word);
      } catch (const std::invalid_argument& error) {
        table.fail(&value, error.what());
      }
    }
    space.push_back(std::move(search));
  }
  return space;
}

// As a shell takes it for one word.
std::string quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

}  // namespace

Json Experiment::json(bool tune) const {
  const bool several = workloads.size() > 1;
  Json all = Json::array();
  const auto list = [&](const std::vector<Trial>& trials, bool tuned) {
    for (const Trial& trial : trials) {
      Json one{{"run", trial.run()}, {"label", trial.label}, {"rule", trial.rule}, {"seed", trial.seed}};
      if (several) one["workload"] = trial.workload;
      if (tuned) one["tuned"] = true;
      all.push_back(one);
    }
  };
  list(trials, false);
  if (tune) list(tuning->tuned, true);
  std::string command =
      "adabelief compare " + given + (reduced.is_null() ? "" : " --reduced") + (tune ? " --tune" : "");
  if (!only.empty()) command += " --only";
  for (const std::string& name : only) command += " " + quoted(name);
  Json json{{"name", name},
            {"title", title},
            {"description", description},
            {"workload", several ? Json(workloads) : Json(workloads.front())},
            {"command", command}};
  if (!only.empty()) json["only"] = only;
  if (!baseline.empty()) json["baseline"] = baseline;
  if (!target.is_null()) json["target"] = target;
  if (!paper.is_null()) json["paper"] = paper;
  if (!published.is_null()) json["published"] = published;
  if (!claims.is_null()) json["claims"] = claims;
  if (!reduced.is_null()) json["reduced"] = reduced;
  if (tune) {
    json["tuning"] = {
        {"trials", tuning->budget}, {"seed", tuning->seed}, {"search", tuning->search}, {"chosen", Json::array()}};
    if (tuning->by_best) json["tuning"]["by"] = "best";
  }
  json["toml"] = toml;
  json["trials"] = all;
  return json;
}

void keep_only(Experiment& experiment, const std::vector<std::string>& names) {
  if (names.empty()) return;
  std::vector<std::string_view> known(experiment.workloads.begin(), experiment.workloads.end());
  for (const Trial& trial : experiment.trials) {
    if (std::find(known.begin(), known.end(), trial.label) == known.end()) known.push_back(trial.label);
  }
  std::set<std::string> labels, workloads;
  for (const std::string& name : names) {
    const auto place = std::find(known.begin(), known.end(), name) - known.begin();
    if (place == std::ssize(known)) throw Error("--only: " + unknown("workload or rule's label", name, known));
    (place < std::ssize(experiment.workloads) ? workloads : labels).insert(name);
  }
  if (labels.empty()) {
    for (const Trial& trial : experiment.trials) labels.insert(trial.label);
  }
  if (workloads.empty()) workloads.insert(experiment.workloads.begin(), experiment.workloads.end());
  const auto keep_trials = [&](std::vector<Trial>& trials, const std::set<std::string>& labels) {
    std::erase_if(trials, [&](const Trial& t) { return !labels.contains(t.label) || !workloads.contains(t.workload); });
  };
  keep_trials(experiment.trials, labels);
  if (experiment.trials.empty()) throw Error("--only: no rule that it names trains a workload that it names");
  if (experiment.tuning) {
    std::set<std::string> tuned;
    for (const Trial& trial : experiment.trials) tuned.insert(tuned_label(trial));
    keep_trials(experiment.tuning->trials, labels);
    keep_trials(experiment.tuning->tuned, tuned);
    Json kept = Json::array();
    for (const Json& one : experiment.tuning->search) {
      if (labels.contains(one["label"]) && (!one.contains("workload") || workloads.contains(one["workload"])))
        kept.push_back(one);
    }
    experiment.tuning->search = kept;
  }
  std::erase_if(experiment.workloads, [&](const std::string& workload) {
    return std::none_of(experiment.trials.begin(), experiment.trials.end(),
                        [&](const Trial& trial) { return trial.workload == workload; });
  });
  if (!labels.contains(experiment.baseline)) experiment.baseline.clear();
  experiment.only = names;
}

std::string run_name(const std::string& name_or_path, bool reduced) {
  const bool path = name_or_path.ends_with(".toml");
  return (path ? std::filesystem::path(name_or_path).stem().string() : name_or_path) + (reduced ? "-reduced" : "");
}

namespace {

toml::table parse(const std::string& text, const std::string& file) {
  try {
    return toml::parse(text, file);
  } catch (const toml::parse_error& error) {
    throw Error(fmt::format("{}:{}: {}", file, error.source().begin.line, error.description()));
  }
}

// Where an experiment's file is, by name or path; a path is that from the folder `from`.
std::filesystem::path find_file(const std::string& name_or_path, const std::filesystem::path& from) {
  if (name_or_path.ends_with(".toml")) return from / name_or_path;
  const auto path = folder() / (name_or_path + ".toml");
  if (std::filesystem::exists(path)) return path;
  const auto known = experiments();
  std::vector<std::string_view> names;
  for (const auto& [name, title] : known) names.push_back(name);
  throw Error(unknown("experiment", name_or_path, names) +
              ". An experiment of your own is given by its path, which ends in .toml");
}

// With `like` the keys that the table lacks are those of that experiment. True where there is one.
bool take_from_like(toml::table& table, const std::string& file) {
  const toml::node* like = table.get("like");
  if (like == nullptr) return false;
  const Table root(table, file, "");
  const auto name = like->value_exact<std::string>();
  if (!name) root.fail(like, "like must be the name or the path of an experiment, got " + Table::shown(*like));
  std::filesystem::path path;
  std::string text;
  try {
    path = find_file(*name, std::filesystem::path(file).parent_path());
    text = read_file(path);
  } catch (const Error& error) {
    root.fail(like, error.what());
  }
  toml::table other = parse(text, path.string());
  if (other.contains("like"))
    root.fail(like, fmt::format("{} is itself like another experiment; name that one", path.string()));
  table.erase("like");
  for (auto&& [key, node] : other) {
    node.visit([&](auto& value) { table.insert(key, std::move(value)); });  // moved, it keeps its line
  }
  return true;
}

}  // namespace

Experiment parse_experiment(const std::string& name, const std::string& source, const std::string& file, bool reduced) {
  toml::table parsed = parse(source, file);
  const bool merged = take_from_like(parsed, file);
  Table root(parsed, file, "");
  Experiment e;
  e.name = run_name(name, reduced);
  e.given = name;
  e.toml = source;
  if (merged) {
    std::ostringstream text;
    text << parsed << '\n';
    e.toml = text.str();
  }
  e.title = root.need<std::string>("title", "a line that says what is compared");
  e.description = root.get<std::string>("description", "text").value_or("");
  // A name or a list of names, each one of `known`; an empty list where the key is missing.
  const auto workload_names = [](Table& table, const std::vector<std::string_view>& known) {
    const auto names = table.texts("workload", "the name of a workload (adabelief list)", "such names");
    for (const std::string& name : names) {
      if (std::find(known.begin(), known.end(), name) == known.end())
        table.fail(table.find("workload"), unknown("workload", name, known));
      if (std::count(names.begin(), names.end(), name) > 1)
        table.fail(table.find("workload"), fmt::format("workload has {} twice", name));
    }
    return names;
  };
  std::vector<std::string_view> known;
  for (const WorkloadInfo& workload : workloads()) known.push_back(workload.name);
  e.workloads = workload_names(root, known);
  if (e.workloads.empty())
    root.fail(root.find("workload"), "workload is missing: the name of a workload (adabelief list), or a list of them");
  known.assign(e.workloads.begin(), e.workloads.end());

  Trial base;
  base.names_workload = e.workloads.size() > 1;
  base.experiment = e.name;
  base.epochs = positive<std::int64_t>(root, "epochs", 0);
  base.batch = positive<std::int64_t>(root, "batch", 0);
  base.threads = positive<int>(root, "threads", 1);
  base.max_steps = positive<std::int64_t>(root, "steps", 0);
  base.channels_last = root.get<bool>("channels_last", "true or false").value_or(false);
  const auto read_precision = [](Table& table, const std::string& fallback) {
    const auto read = table.get<std::string>("precision", "one of " + join(Trial::precisions)).value_or(fallback);
    if (std::find(Trial::precisions.begin(), Trial::precisions.end(), read) == Trial::precisions.end())
      table.fail(table.find("precision"), unknown("precision", read, Trial::precisions));
    return read;
  };
  base.precision = read_precision(root, base.precision);
  base.train = positive<std::int64_t>(root, "train", 0);
  const auto read_width = [](Table& table, double fallback) {
    const auto width = table.get<double>("width", "a number above 0");
    if (width && !(*width > 0)) table.fail(table.find("width"), fmt::format("width must be above 0, got {}", *width));
    return width.value_or(fallback);
  };
  base.width = read_width(root, 1);
  auto seeds = read_seeds(root);
  if (seeds.empty()) root.fail(root.find("seeds"), "seeds is missing: a list of whole numbers, such as [1, 2, 3]");

  const std::int64_t full_epochs = base.epochs;
  std::map<std::string, Trial> less_of;  // each workload in the reduced profile
  if (const toml::node* node = root.find("reduced")) {
    if (!node->is_table())
      root.fail(node, "reduced must be a table, [reduced], with epochs, train, width, batch, precision, seeds");
    Table table(*node->as_table(), file, "reduced.");
    const auto lessen = [&](Table& table, Trial less) {
      less.epochs = positive(table, "epochs", less.epochs);
      less.train = positive(table, "train", less.train);
      less.batch = positive(table, "batch", less.batch);
      less.width = read_width(table, less.width);
      less.precision = read_precision(table, less.precision);
      if (less.epochs != base.epochs && base.epochs == 0)
        table.fail(table.find("epochs"),
                   "reduced.epochs needs the experiment's own epochs, by which schedules are scaled");
      return less;
    };
    Trial less = lessen(table, base);
    less.reduced = true;
    const auto fewer = read_seeds(table);
    for (const std::string& workload : e.workloads) {
      const toml::node* own = table.find(workload);
      if (own == nullptr) continue;
      if (!own->is_table()) table.fail(own, fmt::format("reduced.{} must be a table, as [reduced] is", workload));
      Table given(*own->as_table(), file, fmt::format("reduced.{}.", workload));
      less_of[workload] = lessen(given, less);
      given.done();
    }
    table.done();
    if (reduced) {
      for (const std::string& workload : e.workloads) less_of.try_emplace(workload, less);
      base = less;
      if (!fewer.empty()) seeds = fewer;
      std::ostringstream json;
      json << toml::json_formatter(*node->as_table());
      e.reduced = Json::parse(json.str());
    }
  } else if (reduced) {
    root.fail(nullptr, "no table [reduced], so there is no reduced profile; leave --reduced");
  }
  const auto read_form = [&](Table& table, const std::string& of, std::span<const std::string_view> forms,
                             std::string& into) {
    into = table.get<std::string>(of, "one of " + join(forms)).value_or(into);
    if (std::find(forms.begin(), forms.end(), into) == forms.end())
      table.fail(table.find(of), unknown("form of " + of, into, forms));
  };
  const auto read_forms = [&](Table& table, Trial& into) {
    read_form(table, "states", state_type_names, into.states);
    read_form(table, "weights", Trial::weight_forms, into.weights);
  };
  read_forms(root, base);
  const auto read_schedule = [&](Table& table, Schedule& into) {
    const toml::node* node = table.find("schedule");
    if (node == nullptr) return;
    if (!node->is_table()) table.fail(node, "schedule must be a table, such as { kind = \"cosine\" }");
    Table given(*node->as_table(), file, "schedule.");
    into = {};
    into.kind = given.need<std::string>("kind", "one of " + join(Schedule::kinds));
    into.warmup = given.get<double>("warmup", "a number of epochs").value_or(0);
    into.at = given.list<double>("at", "epochs");
    into.factor = given.get<double>("factor", "a number").value_or(into.factor);
    into.beta1_decay = given.get<double>("beta1_decay", "a number").value_or(1);
    given.done();
    try {
      into.check();
    } catch (const Error& error) {
      table.fail(node, error.what());
    }
  };
  read_schedule(root, base.schedule);

  if (const toml::node* node = root.find("tuning")) {
    if (!node->is_table()) root.fail(node, "tuning must be a table, [tuning], with trials = a number");
    Table table(*node->as_table(), file, "tuning.");
    if (table.find("trials") == nullptr) table.fail(nullptr, "tuning.trials is missing: how many each rule has");
    constexpr std::array<std::string_view, 2> ways{"last", "best"};
    const auto by = table.get<std::string>("by", "one of " + join(ways)).value_or("last");
    if (std::find(ways.begin(), ways.end(), by) == ways.end())
      table.fail(table.find("by"), unknown("tuning.by", by, ways));
    e.tuning = Tuning{.budget = positive(table, "trials", 1),
                      .seed = table.get<std::int64_t>("seed", "a whole number").value_or(0),
                      .by_best = by == "best",
                      .search = Json::array(),
                      .trials = {},
                      .tuned = {}};
    table.done();
    if (std::find(seeds.begin(), seeds.end(), e.tuning->seed) != seeds.end())
      table.fail(table.find("seed"),
                 fmt::format("tuning.seed must be none of the experiment's seeds, got {}", e.tuning->seed));
  }
  std::vector<std::vector<Search>> spaces;  // of the entries below

  const toml::node* rules = root.find("rules");
  if (rules == nullptr || !rules->is_array_of_tables()) {
    root.fail(rules, "rules is missing: one [[rules]] table with rule = \"...\" for each curve");
  }
  std::vector<Trial> entries;
  for (const toml::node& node : *rules->as_array()) {
    Table table(*node.as_table(), file, "rules.");
    Trial entry = base;
    entry.rule = table.need<std::string>("rule", "the name of a rule (adabelief list)");
    entry.label = table.get<std::string>("label", "a text").value_or(entry.rule);
    try {
      Options options(find_rule(entry.rule));
      if (const toml::node* settings = table.find("options")) {
        if (!settings->is_table()) table.fail(settings, "rules.options must be a table, such as { lr = 1e-3 }");
        for (const auto& [key, value] : *settings->as_table()) {
          const std::string word = value.is_string()   ? *value.value<std::string>()
                                   : value.is_number() ? text(*value.value<double>())
                                                       : Table::shown(value);
          try {
            options.set(key.str(), word);
          } catch (const std::invalid_argument& error) {
            table.fail(&value, error.what());
          }
          entry.settings.emplace_back(key.str(), word);
        }
      }
    } catch (const std::invalid_argument& error) {
      table.fail(table.find("rule"), error.what());
    }
    const std::vector<Search> space = read_search(table, file, entry);
    if (!space.empty() && !e.tuning)
      table.fail(table.find("search"), "rules.search needs the table [tuning] with trials = a number");
    read_schedule(table, entry.schedule);  // in place of the experiment's
    read_forms(table, entry);
    entry.average = table.get<bool>("average", "true or false").value_or(false);
    auto trained = workload_names(table, known);
    if (trained.empty()) trained = e.workloads;
    table.done();
    try {
      entry.check();
    } catch (const Error& error) {
      table.fail(&node, error.what());
    }
    for (const std::string& workload : trained) {
      Trial one = entry;
      one.workload = workload;
      if (reduced) {
        const Trial& less = less_of.at(workload);
        one.epochs = less.epochs, one.train = less.train, one.batch = less.batch, one.width = less.width;
        one.precision = less.precision;
        const double share = full_epochs > 0 ? static_cast<double>(less.epochs) / static_cast<double>(full_epochs) : 1;
        one.schedule.warmup *= share;
        for (double& epoch : one.schedule.at) epoch *= share;
      }
      for (const Trial& other : entries) {
        if (other.run() == one.run())
          table.fail(&node, fmt::format("the labels {} and {} name one record, {}; give each rule its own label",
                                        other.label, one.label, one.run()));
      }
      entries.push_back(one);
      spaces.push_back(space);
    }
  }
  for (const std::string& workload : e.workloads) {
    if (std::none_of(entries.begin(), entries.end(), [&](const Trial& entry) { return entry.workload == workload; }))
      root.fail(root.find("workload"), fmt::format("no rule trains {}", workload));
  }
  const auto seed_by_seed = [&](const std::vector<Trial>& entries) {
    std::vector<Trial> trials;
    for (const std::int64_t seed : seeds) {
      for (const std::string& workload : e.workloads) {
        for (Trial trial : entries) {
          if (trial.workload != workload) continue;
          trial.seed = seed;
          trials.push_back(std::move(trial));
        }
      }
    }
    return trials;
  };
  e.trials = seed_by_seed(entries);
  if (e.tuning) {
    std::vector<Trial> tuned;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (spaces[i].empty()) continue;
      Json one{{"label", entries[i].label}, {"rule", entries[i].rule}};
      if (base.names_workload) one["workload"] = entries[i].workload;
      for (const Search& search : spaces[i]) one["search"][search.option] = search.json();
      e.tuning->search.push_back(one);
      tuned.push_back(entries[i]);
      tuned.back().label = tuned_label(entries[i]);
      for (const Trial& other : entries) {
        if (other.run() == tuned.back().run())
          root.fail(root.find("tuning"),
                    fmt::format("the label {} is that of a tuned rule; give it another", other.label));
      }
    }
    for (int point = 1; point <= e.tuning->budget; ++point) {
      for (std::size_t i = 0; i < entries.size(); ++i) {
        if (spaces[i].empty()) continue;
        Trial& trial = e.tuning->trials.emplace_back(entries[i]);
        trial.tuning = true, trial.point = point, trial.seed = e.tuning->seed;
        change(trial, settings_at(spaces[i], point));
      }
    }
    e.tuning->tuned = seed_by_seed(tuned);
    if (tuned.empty())
      root.fail(root.find("tuning"), "no rule has a search space: search = { lr = [1e-4, 1e-1, \"log\"] }");
  }

  const auto labelled = [&](Table& table, std::string_view key, const std::string& label) {
    std::vector<std::string_view> labels;
    for (const Trial& entry : entries) labels.push_back(entry.label);
    if (std::find(labels.begin(), labels.end(), label) == labels.end()) {
      table.fail(table.find(key), unknown("label", label, labels));
    }
  };
  e.baseline = root.get<std::string>("baseline", "a rule's label").value_or("");
  if (!e.baseline.empty()) labelled(root, "baseline", e.baseline);
  if (const auto target = root.get<double>("target", "a value of the test metric")) e.target = {{"value", *target}};
  if (const toml::node* paper = root.find("paper")) {
    if (!paper->is_array_of_tables()) root.fail(paper, "paper must be [[paper]] tables with label, value and source");
    e.paper = Json::array();
    for (const toml::node& node : *paper->as_array()) {
      Table row(*node.as_table(), file, "paper.");
      const auto label = row.need<std::string>("label", "a rule's label");
      labelled(row, "label", label);
      Json line{{"label", label},
                {"value", row.need<double>("value", "the number that the paper gives")},
                {"source", row.need<std::string>("source", "where it stands")}};
      if (base.names_workload) {
        const auto of = workload_names(row, known);
        if (of.size() != 1)
          row.fail(row.find("workload"), "paper.workload is missing: which of the workloads it is of");
        line["workload"] = of.front();
      }
      e.paper.push_back(std::move(line));
      row.done();
    }
  }
  if (const toml::node* published = root.find("published")) {
    const toml::table results = toml::parse_file(std::string(ADABELIEF_TRIALS_FOLDER) + "/paper/results.toml");
    std::vector<std::string_view> keys;
    for (const auto& [key, value] : results) keys.push_back(key.str());
    const auto read = [&](Table& table, const std::string& key, const std::string& workload) {
      const auto of =
          table.need<std::string>(key, "a key of trials/paper/results.toml, or a table of one per workload");
      if (std::find(keys.begin(), keys.end(), of) == keys.end())
        table.fail(table.find(key), unknown("published results", of, keys));
      e.published[workload] = of;
    };
    if (const toml::table* each = published->as_table()) {
      Table table(*each, file, "published.");
      for (const std::string& workload : e.workloads) {
        if (table.find(workload) != nullptr) read(table, workload, workload);
      }
      table.done();
    } else {
      for (const std::string& workload : e.workloads) read(root, "published", workload);
    }
  }
  if (const toml::node* claims = root.find("claims")) {
    if (!claims->is_array_of_tables()) root.fail(claims, "claims must be [[claims]] tables with text, rule and versus");
    e.claims = Json::array();
    for (const toml::node& node : *claims->as_array()) {
      Table row(*node.as_table(), file, "claims.");
      Json line{{"text", row.need<std::string>("text", "the claim in words")}};
      for (const char* side : {"rule", "versus"}) {
        const auto label = row.need<std::string>(side, "a rule's label");
        labelled(row, side, label);
        line[side] = label;
      }
      const auto one_of = [&](const char* key, const std::vector<std::string_view>& words) {
        const auto word = row.need<std::string>(key, "one of " + join(words));
        if (std::find(words.begin(), words.end(), word) == words.end())
          row.fail(row.find(key), unknown(key, word, words));
        line[key] = word;
      };
      one_of("metric", {"test", "best test", "setback", "train loss"});
      one_of("kind", {"better", "not worse"});
      const double margin = row.get<double>("margin", "a difference of the metric").value_or(0);
      if (!(margin >= 0)) row.fail(row.find("margin"), "claims.margin must be at least 0");
      line["margin"] = margin;
      const auto of = workload_names(row, known);
      row.done();
      if (of.empty()) e.claims.push_back(line);
      for (const std::string& workload : of) {
        line["workload"] = workload;
        e.claims.push_back(line);
      }
    }
  }
  root.done();
  return e;
}

Experiment read_experiment(const std::string& name_or_path, bool reduced) {
  const std::filesystem::path path = find_file(name_or_path, "");
  Experiment e = parse_experiment(path.stem(), read_file(path), path.string(), reduced);
  e.given = name_or_path;
  return e;
}

std::vector<std::pair<std::string, std::string>> experiments() {
  std::vector<std::pair<std::string, std::string>> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder())) {
    if (entry.path().extension() != ".toml") continue;
    std::string title = "(cannot be read)";
    try {
      title = toml::parse_file(entry.path().string())["title"].value_or("(no title)");
    } catch (const toml::parse_error&) {
    }
    found.emplace_back(entry.path().stem(), title);
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace adabelief::trials
