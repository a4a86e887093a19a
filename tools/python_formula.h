// SPDX-License-Identifier: MIT
// A rule's formula as Python, in operations that tensors, lists of tensors and floats all have. A rule runs on Symbol,
// once for each way through its bools, choices and comparisons.
#pragma once

#include <iomanip>

#include "adabelief/adabelief.h"
#include "source.h"

namespace adabelief::print {

// A name of C++ that is a word of Python gets a line below.
inline std::string python_name(std::string_view name) {
  static const std::set<std::string_view> taken{"and",      "as",   "async",  "await",  "def",   "del",  "elif",
                                                "except",   "from", "global", "import", "in",    "is",   "lambda",
                                                "nonlocal", "not",  "or",     "pass",   "raise", "with", "yield"};
  return std::string(name) + (taken.contains(name) ? "_" : "");
}

inline std::string python_number(double value) {
  if (std::isinf(value)) return "inf";
  const std::string digits = text(value);
  return digits.find_first_of(".e") == digits.npos ? digits + ".0" : digits;
}

inline std::string in_quotes(std::string_view text) {
  std::ostringstream all;
  all << std::quoted(text);
  return all.str();
}

// The words of a formula by what symbol.h calls them, and those that only this printer makes.
inline const std::map<std::string, std::string> python_words{{"\\sqrt{{}}", "sqrt"},
                                                             {"\\max\\left({}\\right)", "maximum"},
                                                             {"\\min\\left({}\\right)", "minimum"},
                                                             {"\\operatorname{sign}\\left({}\\right)", "sign"},
                                                             {"\\lVert {} \\rVert", "norm"}};

inline Node word(std::string name, std::vector<Node> arguments, std::vector<Node> more = {}) {
  return compound(Expression::function, std::move(name), std::numeric_limits<double>::quiet_NaN(), std::move(arguments),
                  std::move(more));
}

// yes or no, by a comparison (`where`, in any of its evaluators) or by an option (`if`).
inline Node choice(const Node& left, const std::string& sign, const Node& right, const Node& yes, const Node& no) {
  if (same(yes, no)) return yes;
  return word("where" + sign + "{}", {left, right}, {yes, no});
}
inline bool is_where(const Node& node) {
  return node->kind == Expression::function && node->latex.starts_with("where");
}

inline std::string local_name(const Node& node) { return python_name(node->place.substr(0, node->place.find(':'))); }

// Precedences of Python: 0 anything, 1 a sum, 2 a product, 3 a power, 4 an atom.
inline std::string python(const Node& node, int least, std::set<std::string>& words) {
  std::string line;
  int own = 4;
  switch (node->kind) {
    case Expression::number: line = text(node->value); break;
    case Expression::name: line = node->base.empty() ? node->latex : node->base; break;
    case Expression::local: line = local_name(node); break;
    case Expression::sum:
      own = 1;
      line = node->under.empty() ? python(node->over[0], 1, words) + " + " + python(node->over[1], 2, words)
                                 : python(node->over[0], 1, words) + " - " + python(node->under[0], 2, words);
      break;
    case Expression::product:
      own = 2;
      line = node->under.empty() ? python(node->over[0], 2, words) + " * " + python(node->over[1], 3, words)
                                 : python(node->over[0], 2, words) + " / " + python(node->under[0], 3, words);
      break;
    case Expression::power:
      own = 3;
      line = python(node->over[0], 4, words) + (is_atom(node->over[0]) && is_atom(node->under[0]) ? "**" : " ** ") +
             python(node->under[0], 3, words);
      break;
    case Expression::function: {
      const auto value = [&](const Node& n) {
        return n->kind == Expression::number ? python_number(n->value) : python(n, 0, words);
      };
      if (is_where(node)) {
        const std::string sign = node->latex.substr(5, node->latex.size() - 7);
        words.insert("where");
        line = "where(" + python(node->over[0], 1, words) + " " + sign + " " + python(node->over[1], 1, words) +
               ", lambda: " + value(node->under[0]) + ", lambda: " + value(node->under[1]) + ")";
      } else if (node->latex.starts_with("\\prod")) {
        words.insert("product");
        line = "product(" + python(node->under[0], 0, words) + ", lambda i: " + python(node->over[0], 0, words) + ")";
      } else {
        const std::string& name = python_words.at(node->latex);
        words.insert(name);
        std::vector<std::string> arguments;
        for (const Node& argument : node->over) arguments.push_back(value(argument));
        line = name + "(" + joined(arguments, ", ") + ")";
      }
    }
  }
  return own < least ? "(" + line + ")" : line;
}

// A product in lines of its own: one where that will do, else one for each factor.
inline std::string broken(const Node& node, const std::string& indent, std::set<std::string>& words) {
  const std::string line = indent + python(node, 0, words);
  if (line.size() <= 120 || node->kind != Expression::product || !node->under.empty()) return line + "\n";
  const std::function<std::string(const Node&)> factors = [&](const Node& left) {
    return left->kind == Expression::product && left->under.empty()
               ? factors(left->over[0]) + indent + "* " + python(left->over[1], 3, words) + "\n"
               : indent + python(left, 2, words) + "\n";
  };
  return factors(node);
}

// A value in parentheses, which may take lines of its own, each after `indent` and no longer than 120 columns where
// that can be done.
inline std::string python_value(const Node& node, const std::string& indent, std::set<std::string>& words) {
  if (node->kind == Expression::number) return python_number(node->value);
  const std::string line = python(node, 0, words);
  if (indent.size() + line.size() + 1 <= 120 || !is_where(node)) return line;
  const std::string sign = node->latex.substr(5, node->latex.size() - 7), inner = indent + "    ";
  std::string all =
      "where(\n" + inner + python(node->over[0], 1, words) + " " + sign + " " + python(node->over[1], 1, words) + ",\n";
  for (const Node& part : node->under) {
    std::string value = python_value(part, inner + "lambda: ", words);
    if (inner.size() + 9 + value.size() > 120) value = "(\n" + broken(part, inner + "    ", words) + inner + ")";
    all += inner + "lambda: " + value + ",\n";
  }
  return all + indent + ")";
}

// A statement or a call `head(part, part, ...)tail`, in lines of up to 120 columns.
inline std::string filled(const std::string& indent, const std::string& head, const std::vector<std::string>& parts,
                          const std::string& tail) {
  const std::string line = indent + head + joined(parts, ", ") + tail;
  if (line.size() <= 120 && line.find('\n') == line.npos) return line + "\n";
  const bool open = head.ends_with("(") || head.ends_with("{") || head.ends_with("[");
  std::string all = indent + head + (open ? "\n" : "(\n");
  for (const std::string& part : parts) all += indent + "    " + part + ",\n";
  return all + indent + (open ? "" : ")") + tail + "\n";
}

inline std::string returned(const std::vector<std::string>& results) {
  return results.size() == 1 ? "    return (" + results[0] + ",)\n" : filled("    ", "return ", results, "");
}

// Lines of Python in the order in which they depend on each other.
class PythonLines {
 public:
  PythonLines(std::string indent, std::set<std::string>& words) : words_(words), indent_(std::move(indent)) {}

  // The locals that a formula needs and that are not defined yet.
  void define(const Node& node) {
    if (node->kind == Expression::local) {
      const std::string name = local_name(node);
      const auto known = defined_.find(name);
      if (known != defined_.end()) {
        if (!same(known->second, node->over[0])) throw std::runtime_error(name + ": the name of two locals");
        return;
      }
      define(node->over[0]);
      defined_[name] = node->over[0];
      assign(name, node->over[0]);
      return;
    }
    if (node->index == "t - 1" && assigned_.contains(node->base)) {
      throw std::runtime_error(node->base + ": its old value is used after its new one is there");
    }
    // Inside of a comparison's outcomes are no locals: python_file() sees to that.
    for (const Node& part : node->over) define(part);
    for (const Node& part : node->under) define(part);
  }
  void assign(const std::string& name, const Node& formula) {
    lines_ += filled(indent_, name + " = ", {python(formula, 0, words_)}, "");
  }
  // Of x or a state.
  void advance(const std::string& base, const Node& formula) {
    define(formula);
    assign(base, formula);
    assigned_.insert(base);
  }
  void add(const std::string& lines) { lines_ += lines; }
  bool has(const std::string& name) const { return defined_.contains(name); }
  const std::string& text() const { return lines_; }
  PythonLines block() const {
    PythonLines inner(indent_ + "    ", words_);
    inner.defined_ = defined_;
    return inner;
  }
  std::string indent() const { return indent_; }

 private:
  std::set<std::string>& words_;
  std::string indent_, lines_{};
  std::map<std::string, Node> defined_{};
  std::set<std::string> assigned_{};
};

// A rule's scalars by the options that are no numbers: one field's formula for each of their values.
struct Field {
  std::string name;
  Node node{};             // where it depends on none of them
  std::size_t option = 0;  // else: on which
  std::vector<Node> by_value{};
};

template <class Rule>
class PythonPrinter {
 public:
  PythonPrinter(const fs::path& root, const Header& header) : root_(root), header_(header) {
    plain() = true;
    find_fields();
  }
  ~PythonPrinter() { plain() = false; }
  PythonPrinter(const PythonPrinter&) = delete;
  PythonPrinter& operator=(const PythonPrinter&) = delete;

  std::string scalars() {
    std::vector<std::string> parameters{"t: Value"};
    for (const OptionInfo& option : info_.options) {
      parameters.push_back(python_name(option.name) + (option.is_bool            ? ": bool"
                                                       : !option.choices.empty() ? ": str"
                                                                                 : ": Value"));
    }
    PythonLines lines("    ", words_);
    const std::vector<Field> fields = this->fields();
    std::vector<std::string> results, changed;
    std::vector<std::string> formulas;
    // What every way needs, or more than one.
    std::map<std::string, int> needed;
    for (const Field& field : fields) {
      for (std::size_t v = 0; v < field.by_value.size(); ++v) {
        for (const std::string& name : locals_of(field.by_value[v])) needed[name] |= 1 << v;
      }
    }
    for (const Field& field : fields) {
      if (field.node != nullptr) {
        lines.define(field.node);
      } else {
        for (const Node& node : field.by_value) define_shared(node, needed, lines);
      }
    }
    std::map<std::size_t, std::vector<const Field*>> by_option;
    for (const Field& field : fields) {
      if (field.node == nullptr) {
        by_option[field.option].push_back(&field);
        results.push_back(field.name);
      } else if (is_where(field.node)) {
        changed.push_back(field.name);
        formulas.push_back(python_value(field.node, "        ", words_));
        results.push_back(field.name);
      } else {
        results.push_back(python_value(field.node, "        ", words_));
      }
    }
    if (!changed.empty()) lines.add(filled("    ", joined(changed, ", ") + " = ", formulas, ""));
    for (const auto& [option, all] : by_option) lines.add(branches(option, all, lines));
    std::string text = filled("", "def scalars(", parameters, ") -> tuple[Value, ...]:");
    text += "    \"\"\"What all weights share in step t = 1, 2, ...\"\"\"\n" + lines.text();
    return text + returned(results);
  }

  std::string update() {
    std::vector<std::string> parameters{"c: tuple[Value, ...]", "x: Value", "g: Value"};
    for (const std::string& name : header_.names) parameters.push_back(python_name(name) + ": Value");
    std::vector<Node> c;
    for (const std::string& name : field_names_) c.push_back(name_node(python_name(name)));

    PythonLines lines("    ", words_);
    Trace trace = fresh();
    trace.declared = [&](const std::source_location& place) { return declared(root_, place); };
    if constexpr (HasNorms<Rule>) c = with_norms(c, trace);
    trace.assigned.clear();
    run_update(c, trace);
    for (const auto& [base, formula] : trace.assigned) lines.advance(base, formula);

    std::string text = filled("", "def update(", parameters, ") -> tuple[Value, ...]:");
    text += "    \"\"\"x and the states after a step with the gradient g.\"\"\"\n";
    std::vector<std::string> names, results{"x"};
    for (const std::string& name : field_names_) names.push_back(python_name(name));
    for (const std::string& name : header_.names) results.push_back(python_name(name));
    text += filled("    ", joined(names, ", ") + " = ", {"c"}, "") + lines.text();
    return text + returned(results);
  }

  const std::set<std::string>& words() const { return words_; }

 private:
  static Node name_node(std::string name) {
    return make(
        {.kind = Expression::name, .latex = std::move(name), .value = std::numeric_limits<double>::quiet_NaN()});
  }
  static constexpr auto list() { return Rule::options(); }
  static constexpr std::size_t count = std::tuple_size_v<decltype(Rule::options())>;

  Trace fresh() const {
    Trace trace;
    trace.declared = [](const std::source_location&) { return std::string(); };
    return trace;
  }

  // The members of Scalars, which may be another rule's.
  void find_fields() {
    std::string text = read(root_ / header_.file);
    std::smatch found;
    if (std::regex_search(text, found, std::regex("using Scalars = (\\w+)::Scalars<S>"))) {
      const std::string type = found[1];
      for (const RuleInfo* rule : rules()) {
        const std::string other = read(root_ / ("include/adabelief/rules/" + std::string(rule->name) + ".h"));
        if (other.find("\nstruct " + type + " final") != other.npos) text = other;
      }
    }
    if (!std::regex_search(text, found, std::regex("struct Scalars \\{\\s*S ([^;]+);"))) {
      throw std::runtime_error(header_.file + ": no `struct Scalars { S name, ...; }`");
    }
    const std::string names = found[1];
    const std::regex one("\\w+");
    for (std::sregex_iterator it(names.begin(), names.end(), one), end; it != end; ++it)
      field_names_.push_back(it->str());
    constexpr std::size_t size = sizeof(typename Rule::template Scalars<double>) / sizeof(double);
    if (field_names_.size() != size) throw std::runtime_error(header_.file + ": Scalars is not S name, ...; alone");
  }

  static std::vector<Node> nodes(typename Rule::template Scalars<Symbol>& c) {
    std::vector<Node> all;
    const auto* first = reinterpret_cast<const Symbol*>(&c);
    for (std::size_t i = 0; i < sizeof c / sizeof(Symbol); ++i) all.push_back(first[i].node());
    return all;
  }
  static void set(typename Rule::template Scalars<Symbol>& c, const std::vector<Node>& nodes) {
    auto* first = reinterpret_cast<Symbol*>(&c);
    for (std::size_t i = 0; i < nodes.size(); ++i) first[i] = Symbol(nodes[i]);
  }

  // Runs f with its comparisons answered by `outcomes`, and of those that follow both ways.
  template <class F>
  std::vector<Node> explored(const F& f, const Trace& start, std::vector<bool> turned = {}) const {
    Trace trace = start;
    trace.turned = turned;
    // After a comparison nothing gets a name, since it is not to be computed where the comparison fails.
    trace.declared = [&](const std::source_location& place) {
      return Trace::current()->conditions.empty() ? declared(root_, place) : std::string();
    };
    Trace::current() = &trace;
    const std::vector<Node> here = f();
    if (trace.conditions.size() == turned.size()) return here;
    const auto condition = trace.conditions[turned.size()];
    turned.push_back(false);
    const std::vector<Node> usual = explored(f, start, turned);
    turned.back() = true;
    const std::vector<Node> other = explored(f, start, turned);
    static const std::map<std::string, std::string> signs{
        {"=", "=="}, {">", ">"}, {"<", "<"}, {"\\geq", ">="}, {"\\leq", "<="}};
    std::vector<Node> all;
    for (std::size_t i = 0; i < usual.size(); ++i) {
      const Node &yes = condition.usual ? usual[i] : other[i], &no = condition.usual ? other[i] : usual[i];
      all.push_back(choice(condition.left, signs.at(condition.holds), condition.right, yes, no));
    }
    return all;
  }

  std::vector<Node> scalars_with(const std::vector<double>& options) const {
    const auto typed = [&]<class T>(const Option<Rule, T>& option, double value) {
      if constexpr (std::is_same_v<T, double>) {
        return Symbol(make({.kind = Expression::name, .latex = python_name(option.name), .value = value}));
      } else {
        return static_cast<T>(value);
      }
    };
    return explored(
        [&] {
          const Symbol t(make({.kind = Expression::name, .latex = "t", .value = 1e6}));
          return [&]<std::size_t... k>(std::index_sequence<k...>) {
            auto c = Rule::template scalars<Symbol>(typed(std::get<k>(list()), options[k])..., t);
            return nodes(c);
          }
          (std::make_index_sequence<count>{});
        },
        fresh());
  }

  std::vector<Field> fields() const {
    std::vector<double> options;
    for (const OptionInfo& option : info_.options) options.push_back(option.value);
    const std::vector<Node> usual = scalars_with(options);
    std::vector<Field> all;
    for (const std::string& name : field_names_) all.push_back({python_name(name)});
    for (std::size_t k = 0; k < options.size(); ++k) {
      const OptionInfo& option = info_.options[k];
      const std::size_t values = option.is_bool ? 2 : option.choices.size();
      std::vector<std::vector<Node>> by_value;
      for (std::size_t v = 0; v < values; ++v) {
        std::vector<double> changed = options;
        changed[k] = double(v);
        by_value.push_back(scalars_with(changed));
      }
      for (std::size_t i = 0; i < all.size(); ++i) {
        const auto differs = [&](const std::vector<Node>& nodes) { return !same(nodes[i], usual[i]); };
        if (std::none_of(by_value.begin(), by_value.end(), differs)) continue;
        if (!all[i].by_value.empty()) {
          throw std::runtime_error(header_.file + ": scalar " + all[i].name + " depends on two options; give it two");
        }
        all[i].option = k;
        for (const auto& nodes : by_value) all[i].by_value.push_back(nodes[i]);
      }
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].by_value.empty()) all[i].node = usual[i];
    }
    return all;
  }

  static std::set<std::string> locals_of(const Node& node) {
    std::set<std::string> all;
    if (node->kind == Expression::local) all.insert(local_name(node));
    for (const auto* side : {&node->over, &node->under}) {
      for (const Node& part : *side) all.merge(locals_of(part));
    }
    return all;
  }

  // The locals that more than one value of an option needs.
  static void define_shared(const Node& node, const std::map<std::string, int>& needed, PythonLines& lines) {
    for (const auto* side : {&node->over, &node->under}) {
      for (const Node& part : *side) define_shared(part, needed, lines);
    }
    if (node->kind != Expression::local) return;
    const auto values = static_cast<unsigned>(needed.at(local_name(node)));
    if ((values & (values - 1)) != 0) lines.define(node);
  }

  std::string branches(std::size_t k, const std::vector<const Field*>& fields, const PythonLines& before) {
    const OptionInfo& option = info_.options[k];
    const std::string name = python_name(option.name);
    const auto formula = [&](const Node& node) { return python_value(node, "            ", words_); };
    std::string text;
    if (option.is_bool) {
      for (const Field* field : fields) {
        text += "    " + field->name + " = " + formula(field->by_value[1]) + " if " + name + " else " +
                formula(field->by_value[0]) + "\n";
      }
      return text;
    }
    for (std::size_t v = 0; v < option.choices.size(); ++v) {
      const bool last = v + 1 == option.choices.size();
      PythonLines lines = before.block();
      for (const Field* field : fields) lines.define(field->by_value[v]);
      std::vector<std::string> names, formulas;
      for (const Field* field : fields) {
        const std::string value = formula(field->by_value[v]);
        if (value != field->name) names.push_back(field->name), formulas.push_back(value);
      }
      text +=
          last ? "    else:  # " + in_quotes(option.choices[v]) + "\n"
               : "    " + std::string(v == 0 ? "if " : "elif ") + name + " == " + in_quotes(option.choices[v]) + ":\n";
      text += lines.text() + filled("        ", joined(names, ", ") + " = ", formulas, "");
    }
    return text;
  }

  void run_update(const std::vector<Node>& c, Trace& trace) const {
    with_states(trace, [&](auto& x, const auto& g, auto&... s) {
      typename Rule::template Scalars<Symbol> scalars = empty_scalars();
      set(scalars, c);
      Rule::update(scalars, x, g, s...);
    });
  }

  template <class F>
  void with_states(Trace& trace, const F& f) const {
    Trace::current() = &trace;
    Symbol x(Symbol::at("x", "t - 1"));
    x.track("x");
    const Symbol g(name_node("g"));
    [&]<std::size_t... k>(std::index_sequence<k...>) {
      std::array<Symbol, sizeof...(k)> s{(void(k), 0.)...};
      for (std::size_t i = 0; i < s.size(); ++i) {
        s[i] = Symbol(Symbol::at(python_name(header_.names[i]), "t - 1"));
        s[i].track(python_name(header_.names[i]));
      }
      f(x, g, s[k]...);
    }
    (std::make_index_sequence<Rule::states.size()>{});
  }

  static typename Rule::template Scalars<Symbol> empty_scalars() {
    constexpr std::size_t size = sizeof(typename Rule::template Scalars<double>) / sizeof(double);
    return []<std::size_t... i>(std::index_sequence<i...>) {
      return typename Rule::template Scalars<Symbol>{(void(i), Symbol(0.))...};
    }
    (std::make_index_sequence<size>{});
  }

  // The scalars after the norms, of which those that the norms change are locals; and the names of what is measured.
  std::vector<Node> with_norms(const std::vector<Node>& c, Trace& trace) const {
    std::vector<Node> norms;
    trace.copies = true;
    with_states(trace, [&](auto& x, const auto& g, auto&... s) {
      typename Rule::template Scalars<Symbol> scalars = empty_scalars();
      set(scalars, c);
      const auto measured = Rule::measure(scalars, x, g, s...);
      for (std::size_t i = 0; i < measured.size(); ++i) {
        const std::string name(Rule::norms[i]);
        Node node = measured[i].node();
        if (!is_atom(node)) trace.named.push_back(node = local(name, node, name + ":"));
        norms.push_back(local("norm_" + name, norm(node), "norm_" + name + ":"));
      }
    });
    trace.copies = false;
    Trace quiet = fresh();
    const std::vector<Node> after = explored(
        [&] {
          typename Rule::template Scalars<Symbol> scalars = empty_scalars();
          set(scalars, c);
          auto changed = [&]<std::size_t... n>(std::index_sequence<n...>) {
            return Rule::with_norms(scalars, std::array{Symbol(norms[n])...});
          }
          (std::make_index_sequence<Rule::norms.size()>{});
          return nodes(changed);
        },
        quiet);
    std::vector<Node> all;
    for (std::size_t i = 0; i < c.size(); ++i) {
      const bool kept = same(after[i], c[i]);
      all.push_back(kept ? c[i] : local("norm scaled " + c[i]->latex, after[i], c[i]->latex + ":"));
    }
    return all;
  }

  const RuleInfo& info_ = RuleEntry<Rule>::info();
  const fs::path& root_;
  const Header& header_;
  std::vector<std::string> field_names_{};
  std::set<std::string> words_{};
};

}  // namespace adabelief::print
