// SPDX-License-Identifier: MIT
// print_rules ROOT [--check]: writes ROOT/docs/rules, a page a rule and their list, and ROOT/python/adabelief/rules, a
// module a rule, from the rules themselves. With --check it writes nothing and says which are not what it would write.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <regex>
#include <sstream>
#include <stdexcept>

#include "adabelief/adabelief.h"
#include "python.h"
#include "source.h"
#include "symbol.h"

namespace adabelief::print {
namespace {

using Lines = std::vector<std::pair<std::string, std::string>>;  // left and right of =

// A definition before the first line that needs it.
void define(const Node& node, Lines& lines) {
  const bool local = node->kind == Expression::local;
  if (local && std::any_of(lines.begin(), lines.end(), [&](auto& line) { return line.first == node->latex; })) return;
  for (const auto* side : {&node->over, &node->under}) {
    for (const Node& part : *side) define(part, lines);
  }
  if (local) lines.emplace_back(node->latex, latex(node->over[0]));
}

// What is assigned, with the definitions that it needs.
Lines lines_of(const Trace& trace) {
  Lines lines;
  for (const auto& [base, formula] : trace.assigned) {
    if (is(formula, 0)) continue;  // a state that stays so
    define(formula, lines);
    lines.emplace_back(at_step(base, "t"), latex(formula));
  }
  return lines;
}

// One way through a rule: its bools and choices, and which of its comparisons go the other way than usual.
struct Case {
  std::vector<double> options;
  std::vector<bool> zero;  // which states stay 0
  std::vector<bool> turned;
  Trace trace;
  Lines lines;
};

std::string symbol(const RuleInfo& rule, std::string_view option) {
  // The papers' letter for lr, but where another option has that name.
  if (option != "lr") return letter(std::string(option));
  const auto& all = rule.options;
  return std::any_of(all.begin(), all.end(), [](auto& o) { return o.name == "alpha"; }) ? "\\eta" : "\\alpha";
}

template <class Rule>
class Runner {
 public:
  Runner(const fs::path& root, const Header& header) : root_(root), header_(header) {}

  /// Every way through the rule: those at the defaults first, and of these the usual one.
  std::vector<Case> cases() {
    std::vector<Case> all;
    for (const auto& options : variants()) {
      const std::vector<bool> zero = zeros(options);
      for (auto& one : paths(options, zero)) all.push_back(std::move(one));
    }
    // What is assigned more than once, and which locals are worth a line, is known after a first run.
    std::map<std::string, std::size_t> uses;
    std::map<std::string, Node> locals;
    for (const Case& one : all) count(one.trace, uses, locals);
    for (const auto& [place, local] : locals) {
      const bool correction = local->timed && !std::isnan(local->value);
      const int size = leaves(local->over[0]);
      if (size <= 2 || (size <= 4 && (uses[place] == 1 || correction))) inlined_.insert(place);
    }
    for (Case& one : all) {
      std::map<std::string, int> passing;
      for (const auto& [base, formula] : one.trace.assigned) ++passing[base];
      for (auto& [base, times] : passing) --times;
      run(one, passing);
      one.lines = lines_of(one.trace);
    }
    return all;
  }

 private:
  std::vector<std::vector<double>> variants() const {
    std::vector<std::vector<double>> all(1);
    for (const OptionInfo& option : info_.options) all[0].push_back(option.value);
    for (std::size_t k = 0; k < info_.options.size(); ++k) {
      const OptionInfo& option = info_.options[k];
      const std::size_t before = all.size(), values = option.is_bool ? 2 : option.choices.size();
      for (std::size_t i = 0; i < before; ++i) {
        for (std::size_t value = 0; value < values; ++value) {
          if (double(value) == option.value) continue;
          all.push_back(all[i]);
          all.back()[k] = double(value);
        }
      }
    }
    return all;
  }

  std::vector<Case> paths(const std::vector<double>& options, const std::vector<bool>& zero) const {
    std::vector<Case> all{{options, zero, {}, {}, {}}};
    for (std::size_t i = 0; i < all.size(); ++i) {
      run(all[i], {});
      const Case one = all[i];
      for (std::size_t k = one.turned.size(); k < one.trace.conditions.size(); ++k) {
        all.push_back({options, zero, one.turned, {}, {}});
        all.back().turned.resize(k + 1);
        all.back().turned[k] = true;
      }
    }
    return all;
  }

  // States start at zero: those that no path moves from there if none of them has moved.
  std::vector<bool> zeros(const std::vector<double>& options) const {
    std::vector<bool> zero(info_.states.size(), true), before;
    while (zero != before) {
      before = zero;
      for (const Case& one : paths(options, before)) {
        for (const auto& [base, formula] : one.trace.assigned) {
          for (std::size_t k = 0; k < zero.size(); ++k) {
            if (base == header_.letters[k] && !is(formula, 0)) zero[k] = false;
          }
        }
      }
    }
    return zero;
  }

  // The locals by their places, and how often each is read.
  static void count(const Trace& trace, std::map<std::string, std::size_t>& uses, std::map<std::string, Node>& locals) {
    std::map<std::string, std::size_t> here;
    const std::function<void(const Node&)> visit = [&](const Node& node) {
      if (!node->place.empty() && ++here[node->place] > 1) return;
      for (const auto* side : {&node->over, &node->under}) {
        for (const Node& part : *side) visit(part);
      }
      if (!node->place.empty()) locals[node->place] = node;
    };
    for (const auto& condition : trace.conditions) visit(condition.left), visit(condition.right);
    for (const auto& [base, formula] : trace.assigned) visit(formula);
    for (const auto& [place, times] : here) uses[place] = std::max(uses[place], times);
  }

  void run(Case& one, const std::map<std::string, int>& passing) const {
    one.trace = {};
    one.trace.turned = one.turned;
    one.trace.passing = passing;
    one.trace.inlined = inlined_;
    one.trace.declared = [&](const std::source_location& place) { return declared(root_, place); };
    Trace::current() = &one.trace;
    const auto list = Rule::options();
    const auto typed = [&]<class T>(const Option<Rule, T>& option, double value) {
      if constexpr (std::is_same_v<T, double>) {
        return Symbol(make({.kind = Expression::name, .latex = symbol(info_, option.name), .value = value}));
      } else {
        return static_cast<T>(value);
      }
    };
    const Symbol t(make({.kind = Expression::name, .latex = "t", .value = 1e6, .timed = true}));
    auto c = [&]<std::size_t... k>(std::index_sequence<k...>) {
      return Rule::template scalars<Symbol>(typed(std::get<k>(list), one.options[k])..., t);
    }
    (std::make_index_sequence<std::tuple_size_v<decltype(list)>>{});
    Symbol x(Symbol::at("x", "t - 1"));
    x.track("x");
    const Symbol g(Symbol::at("g", "t"));
    [&]<std::size_t... k>(std::index_sequence<k...>) {
      std::array<Symbol, sizeof...(k)> s{(void(k), 0.)...};
      for (std::size_t i = 0; i < s.size(); ++i) {
        if (!one.zero[i]) s[i] = Symbol(Symbol::at(header_.letters[i], "t - 1"));
        s[i].track(header_.letters[i]);
      }
      if constexpr (HasNorms<Rule>) {
        one.trace.copies = true;
        const auto measured = Rule::measure(c, x, g, s[k]...);
        one.trace.copies = false;
        one.trace.assigned.clear();  // update() does it again
        one.trace.passing = passing;
        std::vector<Symbol> norms;
        for (std::size_t i = 0; i < Rule::norms.size(); ++i) {
          Node node = measured[i].node();
          if (!is_atom(node)) one.trace.named.push_back(node = local(letter(std::string(Rule::norms[i])) + "_t", node));
          norms.emplace_back(norm(node));
        }
        c = [&]<std::size_t... n>(std::index_sequence<n...>) { return Rule::with_norms(c, std::array{norms[n]...}); }
        (std::make_index_sequence<Rule::norms.size()>{});
      }
      Rule::update(c, x, g, s[k]...);
    }
    (std::make_index_sequence<Rule::states.size()>{});
  }

  const RuleInfo& info_ = RuleEntry<Rule>::info();
  const fs::path& root_;
  const Header& header_;
  std::set<std::string> inlined_{};
};

std::string math(const std::string& latex) { return "$`" + latex + "`$"; }

std::string block(const Lines& lines) {
  std::string text = "```math\n\\begin{aligned}\n";
  for (const auto& [left, right] : lines)
    text += left + " &= " + right + (&right == &lines.back().second ? "\n" : " \\\\\n");
  return text + "\\end{aligned}\n```\n";
}

std::string linked(const std::string& text) {
  return std::regex_replace(text, std::regex("arXiv:([0-9]{4}\\.[0-9]{4,5})"), "[arXiv:$1](https://arxiv.org/abs/$1)");
}

// How a case departs from the usual one: "`nesterov` = true", "t = 1". Of what it shares with it on its way to there,
// what has other lines where it goes the other way is said too.
std::vector<std::string> departures(const RuleInfo& rule, const std::vector<Case>& cases, const Case& one) {
  std::vector<std::string> all;
  for (std::size_t k = 0; k < rule.options.size(); ++k) {
    if (one.options[k] == cases[0].options[k]) continue;
    const OptionInfo& option = rule.options[k];
    const auto value = static_cast<std::size_t>(one.options[k]);
    all.push_back(std::string("`") + std::string(option.name) + "` = " +
                  std::string(!option.is_bool ? option.choices[value]
                              : value != 0    ? "true"
                                              : "false"));
  }
  const auto turned = [](const Case& c, std::size_t k) { return k < c.turned.size() && c.turned[k]; };
  for (std::size_t k = 0; k < one.trace.conditions.size(); ++k) {
    const std::string condition = math(one.trace.conditions[k].latex());
    const auto& usual = cases[0].trace.conditions;
    const bool shared = k >= one.turned.size() && std::any_of(usual.begin(), usual.end(), [&](const auto& c) {
                          return math(c.latex()) == condition;
                        });
    std::vector<bool> other = one.turned;
    other.resize(k);
    other.push_back(true);
    const bool matters = std::any_of(cases.begin(), cases.end(), [&](const Case& c) {
      return c.options == one.options && c.turned == other && c.lines != one.lines;
    });
    if (turned(one, k) || (!shared && matters)) all.push_back(condition);
  }
  return all;
}

// The lines of the usual case, and of every other those that differ.
std::string update(const RuleInfo& rule, const std::vector<Case>& cases) {
  Lines printed;
  const auto missing = [](const Lines& lines, const Lines& from) {
    Lines all;
    std::copy_if(from.begin(), from.end(), std::back_inserter(all),
                 [&](const auto& line) { return std::find(lines.begin(), lines.end(), line) == lines.end(); });
    return all;
  };
  // Definitions are told once; those that only comparisons need come first where they do not depend on weights.
  const auto block_of = [&](const Lines& lines, const Trace& trace) {
    Lines definitions, all;
    for (const auto& [base, formula] : trace.assigned) define(formula, definitions);
    const auto compared = [&](bool weights) {
      for (const auto& condition : trace.conditions) {
        for (const Node& side : {condition.left, condition.right}) {
          if (std::isnan(side->value) == weights) define(side, all), define(side, definitions);
        }
      }
    };
    compared(false);
    const Lines more = missing(all, lines);
    all.insert(all.end(), more.begin(), more.end());
    compared(true);
    Lines told;
    std::copy_if(definitions.begin(), definitions.end(), std::back_inserter(told),
                 [&](const auto& line) { return std::find(printed.begin(), printed.end(), line) != printed.end(); });
    all = missing(told, all);
    printed.insert(printed.end(), all.begin(), all.end());
    return block(all);
  };
  std::string out = block_of(cases[0].lines, cases[0].trace);
  std::vector<std::string> usual;
  for (const auto& condition : cases[0].trace.conditions) usual.push_back(math(condition.latex()));
  if (!usual.empty()) out += "\n" + wrapped("where " + joined(usual, " and ") + ".");

  struct Other {
    Lines lines;
    const Trace* trace;
    std::vector<std::string> when;
    std::vector<std::set<std::string>> sets;
  };
  std::vector<Other> others;
  for (const Case& one : cases) {
    const Lines changed = missing(cases[0].lines, one.lines);
    const std::vector<std::string> parts = departures(rule, cases, one);
    const std::set<std::string> set(parts.begin(), parts.end());
    // What two departures change together is told already where each changes its own.
    std::set<std::pair<std::string, std::string>> told;
    for (const Other& other : others) {
      const auto within = [&](const auto& s) { return std::includes(set.begin(), set.end(), s.begin(), s.end()); };
      if (std::any_of(other.sets.begin(), other.sets.end(), within)) {
        told.insert(other.lines.begin(), other.lines.end());
      }
    }
    if (changed.empty() || told == std::set(changed.begin(), changed.end())) continue;
    auto known = std::find_if(others.begin(), others.end(), [&](const Other& other) { return other.lines == changed; });
    if (known == others.end()) known = others.insert(known, {changed, &one.trace, {}, {}});
    known->when.push_back(joined(parts, " and "));
    known->sets.push_back(set);
  }
  for (const Other& other : others) {
    out += "\n" + wrapped("With " + joined(other.when, ", or ") + ":") + "\n" + block_of(other.lines, *other.trace);
  }
  return out;
}

std::string eps_text(const Options& options) {
  const double eps = effective_eps(options);
  if (eps < 1e-100) return "0";  // measured with a gradient of 1e-150
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.3g", eps);
  return buffer;
}

template <class Rule>
std::string page(const fs::path& root) {
  const RuleInfo& info = RuleEntry<Rule>::info();
  const Header header(root, info);
  const std::string name(info.name);
  const Options defaults(info);

  std::string out = "# " + header.title + "\n\n" + wrapped("`" + name + "`: " + std::string(info.summary) + ".") +
                    "\n" + wrapped("Source: " + linked(std::string(info.source)) + ".");
  out += "\n## Update\n\n" + update(info, Runner<Rule>(root, header).cases());

  out += "\n## Options\n\n| option | | default | range | meaning |\n| --- | --- | --- | --- | --- |\n";
  for (const OptionInfo& option : defaults.list()) {
    const std::string sign = symbol(info, option.name);
    const bool shown = sign.find("mathrm") == sign.npos;  // else it is the name itself
    out += "| `" + std::string(option.name) + "` | " + (shown ? math(sign) : "") + " | " + defaults.text(option.name) +
           " | " +
           (option.is_bool            ? "false, true"
            : !option.choices.empty() ? join(option.choices)
                                      : text(option.range)) +
           " | " + std::string(option.meaning) + " |\n";
  }

  if (!info.presets.empty()) {
    out += "\n## Presets\n\n| preset | | options | effective eps |\n| --- | --- | --- | --- |\n";
    for (const PresetInfo& preset : info.presets) {
      const Options options(info, {{"preset", std::string(preset.name)}});
      std::vector<std::string> changes;
      for (const OptionInfo& option : defaults.list()) {
        if (options.get(option.name) == defaults.get(option.name)) continue;
        changes.push_back("`" + std::string(option.name) + "` = " + options.text(option.name));
      }
      out += "| `" + std::string(preset.name) + "` | " + std::string(preset.meaning) + " | " +
             (changes.empty() ? "the defaults" : joined(changes, ", ")) + " | " + eps_text(options) + " |\n";
    }
  }

  std::vector<std::string> states;
  for (std::size_t k = 0; k < info.states.size(); ++k) {
    states.push_back("`" + std::string(info.states[k]) + "` (" + math(header.letters[k]) + ")");
  }
  out += "\n## States\n\n" +
         wrapped(states.empty() ? "None."
                                : joined(states, ", ") + ": " + std::to_string(4 * states.size()) +
                                      " bytes a weight in float, " + std::to_string(8 * states.size()) + " in double.");
  if (info.norms.empty()) {
    out += "\n" + wrapped("The effective eps, the floor of what a step divides by ([numerics](../numerics.md)), is " +
                          eps_text(defaults) + " at the defaults.");
  }

  out += "\n## Notes\n";
  for (const std::string& paragraph : header.comment) out += "\n" + wrapped(linked(paragraph));
  return out + "\n" +
         wrapped("[Differences](../differences.md) from other implementations; [the code](../../" + header.file + ").");
}

std::string list(const fs::path& root) {
  std::string out = R"(# The rules

Printed from the rules' files by `make docs`: the equations are what a rule does with a value that records arithmetic.

| rule | | source |
| --- | --- | --- |
)";
  for (const RuleInfo* rule : rules()) {
    const std::string name(rule->name);
    out += "| [" + Header(root, *rule).title + "](" + name + ".md) | `" + name + "`: " + std::string(rule->summary) +
           " | " + linked(std::string(rule->source)) + " |\n";
  }
  return out + R"(
## How to read the equations

At step $`t = 1, 2, \dots`$ each weight $`x`$ with gradient $`g`$ goes from $`x_{t-1}`$ to $`x_t`$. $`\lVert x \rVert`$ is
the 2-norm over all weights of a tensor; where there is none, a weight moves independently of all others. States are 0
before step 1. Words are options or the code's own names.

Weight decay of strength $`w`$, the option `weight_decay`, comes before and is the same for every rule:

| `decay` | |
| --- | --- |
| coupled | $`g_t + w x_{t-1}`$ takes the place of $`g_t`$ |
| decoupled | $`x_{t-1} - \alpha w x_{t-1}`$ takes the place of $`x_{t-1}`$, with the learning rate $`\alpha`$ |
| fixed | $`x_{t-1} - w x_{t-1}`$ takes the place of $`x_{t-1}`$ |
)";
}

int print_rules(const fs::path& root, bool check) {
  std::map<fs::path, std::string> pages{{"docs/rules/README.md", list(root)},
                                        {"python/adabelief/rules/__init__.py", python_list(root)}};
  Rules::for_each([&]<class Rule>() {
    const std::string name(Rule::name);
    pages["docs/rules/" + name + ".md"] = page<Rule>(root);
    pages["python/adabelief/rules/" + name + ".py"] = python_file<Rule>(root);
  });

  int wrong = 0;
  const auto say = [&](const fs::path& name, const char* what) { std::cout << name.string() << ": " << what << "\n"; };
  const auto refuse = [&](const fs::path& name, const char* what) { say(name, what), ++wrong; };
  for (const auto& [name, text] : pages) {
    const fs::path path = root / name, part = path.string() + ".part";
    const bool there = fs::exists(path);
    if (there && read(path) == text) continue;
    if (check) {
      refuse(name, there ? "not what the code says; run `make docs`" : "missing; run `make docs`");
      continue;
    }
    fs::create_directories(path.parent_path());
    std::ofstream(part, std::ios::binary) << text;
    if (read(part) != text) throw std::runtime_error(part.string() + ": cannot be written");
    fs::rename(part, path);
    say(name, "written");
  }
  for (const char* folder : {"docs/rules", "python/adabelief/rules"}) {
    std::error_code none;  // no folder: its pages are missing already
    for (const auto& entry : fs::directory_iterator(root / folder, none)) {
      const fs::path name = folder / entry.path().filename();
      if (entry.is_regular_file() && !pages.contains(name)) refuse(name, "no page of a rule; remove it");
    }
  }
  return wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace adabelief::print

int main(int count, char** arguments) try {
  const bool check = count == 3 && std::string_view(arguments[2]) == "--check";
  if (count != 2 && !check) {
    std::cerr << "usage: print_rules ROOT [--check]\n";
    return 2;
  }
  return adabelief::print::print_rules(arguments[1], check);
} catch (const std::exception& error) {
  std::cerr << "print_rules: " << error.what() << "\n";
  return 1;
}
