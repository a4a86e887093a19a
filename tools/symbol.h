// SPDX-License-Identifier: MIT
// Symbol: a value that records the arithmetic done with it, for printing a rule's formula as LaTeX. A rule runs on it
// as on double: scalars<Symbol>() and update() leave lines such as m_t = beta_1 m_{t-1} + (1 - beta_1) g_t.
//
// Products are kept as factors over and under a line, so that a bias correction is seen wherever the code has put its
// two halves, and is printed as a hat. A local such as `const V surprise = g - m` keeps its name where it is worth a
// line. A comparison is answered from a script, so that each branch of a rule can be run.
//
// While plain() is true, formulas are kept as the code has them, operation by operation, for printing as code.
#pragma once

#include <algorithm>
#include <cmath>
#include <concepts>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <source_location>
#include <string>
#include <utility>
#include <vector>

#include "adabelief/rule.h"
#include "adabelief/text.h"

namespace adabelief::print {

struct Expression;
using Node = std::shared_ptr<const Expression>;

/// A formula. What `over` and `under` hold: local: its definition; sum: added and taken away; product: multiplied and
/// divided by; power: base and exponent; function: its arguments.
struct Expression {
  enum Kind { number, name, local, sum, product, power, function } kind;
  std::string latex{};  ///< of a name, a local, or the function; `{}` stands for the arguments
  double value = 0;     ///< at the rule's defaults and a late step; NaN where it depends on weights
  std::vector<Node> over{}, under{};
  bool timed = false;   ///< whether it changes from step to step
  std::string base{};   ///< of a state: its name without the step
  std::string index{};  ///< and the step, "t" or "t - 1"
  std::string place{};  ///< of a local: where it is declared
};

inline Node make(Expression expression) { return std::make_shared<const Expression>(std::move(expression)); }
inline Node number(double value) { return make({.kind = Expression::number, .value = value}); }
inline bool is(const Node& node, double value) { return node->kind == Expression::number && node->value == value; }
inline bool is_atom(const Node& node) { return node->kind <= Expression::local; }

std::string latex(const Node& node);

/// As a factor, a base or an argument: in brackets where its parts would come apart.
inline std::string bracketed(const Node& node) {
  const bool loose = node->kind == Expression::sum || node->latex.starts_with("\\prod");
  return loose ? "\\left(" + latex(node) + "\\right)" : latex(node);
}

inline std::string factors(const std::vector<Node>& all) {
  if (all.empty()) return "1";
  if (all.size() == 1) return latex(all[0]);
  std::string line, before;
  for (const Node& factor : all) {
    const std::string next = bracketed(factor);
    const bool apart = before.starts_with("\\mathrm") || before.starts_with("\\sqrt") || next.starts_with("\\mathrm");
    if (!line.empty()) line += factor->kind == Expression::number ? " \\cdot " : apart ? " \\, " : " ";
    line += before = next;
  }
  return line;
}

inline std::string latex(const Node& node) {
  switch (node->kind) {
    case Expression::number: {
      const std::string digits = text(node->value);
      const auto e = digits.find('e');
      if (e == digits.npos) return digits;
      const std::string power = "10^{" + std::to_string(std::stoi(digits.substr(e + 1))) + "}";
      return e == 1 && digits[0] == '1' ? power : digits.substr(0, e) + " \\cdot " + power;
    }
    case Expression::name:
    case Expression::local: return node->latex;
    case Expression::sum: {
      std::string line;
      for (const Node& term : node->over) line += (line.empty() ? "" : " + ") + latex(term);
      for (const Node& term : node->under) line += (line.empty() ? "-" : " - ") + bracketed(term);
      return line;
    }
    case Expression::product:
      return node->under.empty() ? factors(node->over)
                                 : "\\frac{" + factors(node->over) + "}{" + factors(node->under) + "}";
    case Expression::power: {
      const std::string base = latex(node->over[0]);
      return (is_atom(node->over[0]) ? base : "\\left(" + base + "\\right)") + "^{" + latex(node->under[0]) + "}";
    }
    case Expression::function: {
      std::string arguments;
      for (const Node& argument : node->over) arguments += (arguments.empty() ? "" : ", ") + latex(argument);
      std::string line = node->latex;
      return line.replace(line.find("{}"), 2, arguments);
    }
  }
  return {};
}

inline bool same(const Node& a, const Node& b) { return a == b || latex(a) == latex(b); }

/// Names and numbers in it: how much there is to read.
inline int leaves(const Node& node) {
  if (is_atom(node)) return 1;
  int count = 0;
  for (const auto* side : {&node->over, &node->under}) {
    for (const Node& part : *side) count += leaves(part);
  }
  return count;
}

inline Node compound(Expression::Kind kind, std::string text, double value, std::vector<Node> over,
                     std::vector<Node> under = {}) {
  bool timed = false;
  for (const auto* side : {&over, &under}) {
    for (const Node& part : *side) timed |= part->timed;
  }
  return make({kind, std::move(text), value, std::move(over), std::move(under), timed, {}, {}, {}});
}

inline bool& plain() {
  static bool on = false;
  return on;
}

inline Node add(const Node& a, const Node& b, bool minus) {
  if (plain()) {
    if (is(b, 0)) return a;
    if (is(a, 0) && !minus) return b;
    const double value = minus ? a->value - b->value : a->value + b->value;
    return minus ? compound(Expression::sum, "", value, {a}, {b}) : compound(Expression::sum, "", value, {a, b});
  }
  std::vector<Node> over, under;
  const auto put = [&](const Node& node, bool away) {
    if (node->kind == Expression::sum && !away) {
      over.insert(over.end(), node->over.begin(), node->over.end());
      under.insert(under.end(), node->under.begin(), node->under.end());
    } else if (!is(node, 0)) {
      (away ? under : over).push_back(node);
    }
  };
  put(a, false);
  put(b, minus);
  if (under.empty() && over.size() <= 1) return over.empty() ? number(0) : over[0];
  const double value = minus ? a->value - b->value : a->value + b->value;
  return compound(Expression::sum, "", value, std::move(over), std::move(under));
}

inline Node power(const Node& base, const Node& exponent) {
  if (is(exponent, 1)) return base;
  return compound(Expression::power, "", std::pow(base->value, exponent->value), {base}, {exponent});
}

inline Node root(const Node& node) {
  if (is(node, 0) || is(node, 1)) return node;
  return compound(Expression::function, "\\sqrt{{}}", std::sqrt(node->value), {node});
}

inline bool is_root(const Node& node) { return node->kind == Expression::function && node->latex == "\\sqrt{{}}"; }

/// Whether `node` is 1 - beta^t for the t of a state.
inline bool corrects(const Node& node, const Node& state) {
  if (state->base.empty() || node->kind != Expression::sum || node->over.size() != 1 || !is(node->over[0], 1) ||
      node->under.size() != 1) {
    return false;
  }
  const Node& taken = node->under[0]->kind == Expression::local ? node->under[0]->over[0] : node->under[0];
  return taken->kind == Expression::power && latex(taken->under[0]) == state->index;
}

inline std::string at_step(const std::string& base, const std::string& index) {
  return base + (index == "t" ? "_t" : "_{t-1}");
}

inline Node local(std::string latex, const Node& definition, std::string place = {}) {
  return make({Expression::local,
               std::move(latex),
               definition->value,
               {definition},
               {},
               definition->timed,
               {},
               {},
               std::move(place)});
}

inline Node hat(const Node& state, const Node& correction) {
  const std::string sign = state->base.size() == 1 ? "\\hat{" : "\\widehat{";
  return local(at_step(sign + state->base + "}", state->index),
               compound(Expression::product, "", state->value, {state}, {correction}));
}

inline Node norm(const Node& node) { return compound(Expression::function, "\\lVert {} \\rVert", node->value, {node}); }

inline Node multiply(const Node& a, const Node& b, bool divide) {
  if (is(a, 0) || (is(b, 0) && !divide)) return number(0);
  if (plain()) {
    if (is(b, 1)) return a;
    if (is(a, 1) && !divide) return b;
    const double value = divide ? a->value / b->value : a->value * b->value;
    return divide ? compound(Expression::product, "", value, {a}, {b})
                  : compound(Expression::product, "", value, {a, b});
  }
  std::vector<Node> over, under;
  const auto put_one = [](std::vector<Node>& side, const Node& node) {
    if (is(node, 1)) return;
    const auto base = [](const Node& n) {
      return n->kind == Expression::power && n->under[0]->kind == Expression::number ? n->over[0] : n;
    };
    const auto exponent = [&](const Node& n) { return base(n) == n ? 1 : n->under[0]->value; };
    for (Node& factor : side) {
      if (factor->kind == Expression::number || !same(base(factor), base(node))) continue;
      factor = power(base(node), number(exponent(factor) + exponent(node)));
      return;
    }
    side.push_back(node);
  };
  const auto put = [&](const Node& node, bool below) {
    if (node->kind != Expression::product) return put_one(below ? under : over, node);
    for (const Node& factor : node->over) put_one(below ? under : over, factor);
    for (const Node& factor : node->under) put_one(below ? over : under, factor);
  };
  put(a, false);
  put(b, divide);

  // A state over 1 - beta^t is the state with a hat; so is a root of one over the root of the other.
  for (auto* side : {&over, &under}) {
    auto& other = side == &over ? under : over;
    for (Node& factor : *side) {
      for (std::size_t i = 0; i < other.size(); ++i) {
        const bool roots = is_root(factor) && is_root(other[i]);
        const Node& state = roots ? factor->over[0] : factor;
        const Node& correction = roots ? other[i]->over[0] : other[i];
        if (!corrects(correction, state)) continue;
        factor = roots ? root(hat(state, correction)) : hat(state, correction);
        other.erase(other.begin() + static_cast<std::ptrdiff_t>(i));
        break;
      }
    }
  }
  if (under.empty() && over.size() <= 1) return over.empty() ? number(1) : over[0];
  const double value = divide ? a->value / b->value : a->value * b->value;
  return compound(Expression::product, "", value, std::move(over), std::move(under));
}

/// A result that has no name yet. Apart from Symbol, so that a declaration, and nothing else, converts one to the
/// other.
struct Term {
  Node node;
  Term(Node node) : node(std::move(node)) {}
  Term(double value) : node(number(value)) {}
};

/// What one run of a rule leaves.
struct Trace {
  struct Condition {
    Node left, right;
    std::string holds, fails;  ///< the two signs, such as = and \neq
    bool outcome, usual;       ///< as scripted; at the defaults and a late step
    std::string latex() const {
      return print::latex(left) + " " + (outcome ? holds : fails) + " " + print::latex(right);
    }
  };
  std::vector<Condition> conditions{};
  std::vector<std::pair<std::string, Node>> assigned{};  ///< name without the step, formula; in order

  // What the run is given.
  std::vector<bool> turned{};            ///< whether condition 0, 1, ... goes the other way than usual
  std::set<std::string> inlined{};       ///< places of locals that get no line of their own
  std::map<std::string, int> passing{};  ///< how many assignments of a name are not its last in a step
  std::vector<Node> named{};             ///< locals that have a name already
  bool copies = false;                   ///< whether copies of a state are states too
  std::function<std::string(const std::source_location&)> declared = [](auto&&) { return std::string(); };

  static Trace*& current() {
    static Trace* trace = nullptr;
    return trace;
  }

  bool compare(const Node& left, const Node& right, const char* holds, const char* fails, bool usual) {
    if (left->kind == Expression::number && right->kind == Expression::number) return usual;
    for (const Condition& known : conditions) {
      if (same(known.left, left) && same(known.right, right) && known.holds == holds) return known.outcome;
    }
    const bool turn = conditions.size() < turned.size() && turned[conditions.size()];
    conditions.push_back({left, right, holds, fails, usual != turn, usual});
    return usual != turn;
  }
};

/// LaTeX of a name in C++: beta1 -> \beta_1, rho_inf -> \rho_\infty, base_lr -> \mathrm{base\_lr}, m -> m.
inline std::string letter(const std::string& name) {
  static const std::set<std::string> greek{"alpha", "beta",  "gamma",  "delta", "epsilon", "zeta", "eta",
                                           "theta", "kappa", "lambda", "mu",    "nu",      "xi",   "pi",
                                           "rho",   "sigma", "tau",    "phi",   "chi",     "psi",  "omega"};
  if (name.size() == 1) return name;
  if (name == "eps") return "\\epsilon";
  if (name.ends_with("_inf")) return letter(name.substr(0, name.size() - 4)) + "_\\infty";
  const auto digit = std::min(name.find_first_of("0123456789"), name.size());
  if (greek.contains(name.substr(0, digit))) {
    return "\\" + name.substr(0, digit) + (digit == name.size() ? "" : "_" + name.substr(digit));
  }
  std::string word;
  for (const char c : name) word += c == '_' ? std::string("\\_") : std::string(1, c);
  return "\\mathrm{" + word + "}";
}

/// See the head of this file.
class Symbol {
 public:
  Symbol(double value) : node_(number(value)) {}
  explicit Symbol(Node node) : node_(std::move(node)) {}
  Symbol(const Symbol& other) : node_(other.node_), base_(Trace::current()->copies ? other.base_ : "") {}
  /// Of `const S name = term` the name is read in the source, at the place that the compiler tells.
  Symbol(const Term& term, const std::source_location& place = std::source_location::current()) : node_(term.node) {
    for (const Node& known : Trace::current()->named) {
      if (same(known->over[0], node_)) node_ = known;
    }
    const std::string name = Trace::current()->declared(place);
    const std::string key = name + ":" + std::to_string(place.line()) + ":" + place.file_name();
    if (name.empty() || is_atom(node_) || Trace::current()->inlined.contains(key)) return;
    node_ = local(letter(name) + (node_->timed ? "_t" : ""), node_, key);
  }
  /// Of x or a state: records assignments from here on.
  void track(std::string base) { base_ = std::move(base); }

  static Node at(const std::string& base, const std::string& index) {
    Expression name{Expression::name, at_step(base, index), std::numeric_limits<double>::quiet_NaN()};
    name.timed = true;
    name.base = base;
    name.index = index;
    return make(std::move(name));
  }

  Symbol& operator=(double value) { return assign(number(value)); }
  Symbol& operator=(const Symbol& other) { return assign(other.node_); }
  Symbol& operator=(const Term& term) { return assign(term.node); }

  const Node& node() const { return node_; }

 private:
  Symbol& assign(const Node& node) {
    if (base_.empty() || same(node, node_)) {
      node_ = node;
      return *this;
    }
    Trace& trace = *Trace::current();
    if (trace.passing[base_] > 0) {
      --trace.passing[base_];
      node_ = node;
    } else {
      trace.assigned.emplace_back(base_, node);
      node_ = is(node, 0) ? node : at(base_, "t");
    }
    return *this;
  }

  Node node_;
  std::string base_{};
};

template <class A>
concept Operand = std::same_as<A, Symbol> || std::same_as<A, Term> || std::is_arithmetic_v<A>;

/// Operators take operands as they are, since a conversion from Term to Symbol is to mean a declaration.
template <class A, class B>
concept Operands = Operand<A> && Operand<B> && !(std::is_arithmetic_v<A> && std::is_arithmetic_v<B>);

inline Node node_of(const Symbol& symbol) { return symbol.node(); }
inline Node node_of(const Term& term) { return term.node; }
inline Node node_of(double value) { return number(value); }

template <class A, class B>
requires Operands<A, B> Term operator+(const A& a, const B& b) { return add(node_of(a), node_of(b), false); }
template <class A, class B>
requires Operands<A, B> Term operator-(const A& a, const B& b) { return add(node_of(a), node_of(b), true); }
template <class A, class B>
requires Operands<A, B> Term operator*(const A& a, const B& b) { return multiply(node_of(a), node_of(b), false); }
template <class A, class B>
requires Operands<A, B> Term operator/(const A& a, const B& b) { return multiply(node_of(a), node_of(b), true); }
template <class A>
requires Operands<A, Symbol> Term operator-(const A& a) { return add(number(0), node_of(a), true); }

template <class A, class B>
requires Operands<A, B>
bool operator==(const A& a, const B& b) {
  const Node l = node_of(a), r = node_of(b);
  return Trace::current()->compare(l, r, "=", "\\neq", l->value == r->value);
}
template <class A, class B>
requires Operands<A, B>
bool operator>(const A& a, const B& b) {
  const Node l = node_of(a), r = node_of(b);
  return Trace::current()->compare(l, r, ">", "\\leq", l->value > r->value);
}
template <class A, class B>
requires Operands<A, B>
bool operator<(const A& a, const B& b) {
  const Node l = node_of(a), r = node_of(b);
  return Trace::current()->compare(l, r, "<", "\\geq", l->value < r->value);
}
template <class A, class B>
requires Operands<A, B>
bool operator>=(const A& a, const B& b) {
  const Node l = node_of(a), r = node_of(b);
  return Trace::current()->compare(l, r, "\\geq", "<", l->value >= r->value);
}
template <class A, class B>
requires Operands<A, B>
bool operator<=(const A& a, const B& b) {
  const Node l = node_of(a), r = node_of(b);
  return Trace::current()->compare(l, r, "\\leq", ">", l->value <= r->value);
}

// The words of a rule (rule.h), found by argument-dependent lookup.
template <class A>
requires Operands<A, Symbol> Term sqrt(const A& a) { return root(node_of(a)); }
template <class A, class B>
requires Operands<A, B> Term pow(const A& a, const B& b) { return power(node_of(a), node_of(b)); }
template <class A, class B>
requires Operands<A, B> Term powr(const A& a, const B& b) { return power(node_of(a), node_of(b)); }
template <class A, class B>
requires Operands<A, B> Term max(const A& a, const B& b) {
  const Node l = node_of(a), r = node_of(b);
  return compound(Expression::function, "\\max\\left({}\\right)", std::fmax(l->value, r->value), {l, r});
}
template <class A, class B>
requires Operands<A, B> Term min(const A& a, const B& b) {
  const Node l = node_of(a), r = node_of(b);
  return compound(Expression::function, "\\min\\left({}\\right)", std::fmin(l->value, r->value), {l, r});
}
template <class A>
requires Operands<A, Symbol> Term sign(const A& a) {
  return compound(Expression::function, "\\operatorname{sign}\\left({}\\right)",
                  std::numeric_limits<double>::quiet_NaN(), {node_of(a)});
}
template <class A, class F>
requires Operand<A> Term product(const A& t, F factor) {
  const Node index = make({.kind = Expression::name, .latex = "i", .value = std::numeric_limits<double>::quiet_NaN()});
  const Node last = node_of(t), body = node_of(factor(Symbol(index)));
  Expression all = *compound(Expression::function, "\\prod_{i=1}^{" + latex(last) + "} {}", body->value, {body});
  all.timed |= last->timed;
  if (plain()) all.under = {last};
  return make(std::move(all));
}

}  // namespace adabelief::print
