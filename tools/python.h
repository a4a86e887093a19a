// SPDX-License-Identifier: MIT
// The rules as Python modules: each rule's formula, its options as data, and its class.
#pragma once

#include "python_formula.h"

namespace adabelief::print {

// A rule's other form, which its class takes where amsgrad=True.
inline std::string largest_form(std::string_view rule) {
  static const std::map<std::string_view, std::string> forms{
      {"adabelief", "amsbelief"}, {"adabound", "amsbound"}, {"adam", "amsgrad"}, {"adamw", "amsgrad"}};
  const auto found = forms.find(rule);
  return found == forms.end() || std::ranges::none_of(rules(), [&](auto* r) { return r->name == found->second; })
             ? ""
             : found->second;
}

// Of an option in a signature, without its default, which is the preset's.
inline std::string annotation(const OptionInfo& option) {
  if (option.name == "lr") return "float | Tensor | None";
  if (option.is_bool) return "bool | None";
  if (option.choices.empty()) return "float | None";
  std::vector<std::string> choices;
  for (const std::string_view one : option.choices) choices.push_back(in_quotes(one));
  return "Literal[" + joined(choices, ", ") + "] | bool | None";
}

inline std::string python_value(const OptionInfo& option, double value) {
  if (option.is_bool) return value != 0 ? "True" : "False";
  if (!option.choices.empty()) return in_quotes(option.choices[static_cast<std::size_t>(value)]);
  return python_number(value);
}

// The options of a rule and of its largest form, each once, in the signature's order.
inline std::vector<OptionInfo> class_options(const RuleInfo& rule) {
  std::vector<OptionInfo> all(rule.options.begin(), rule.options.end());
  const std::string largest = largest_form(rule.name);
  if (largest.empty()) return all;
  for (const OptionInfo& option : find_rule(largest).options) {
    if (std::none_of(all.begin(), all.end(), [&](auto& o) { return o.name == option.name; })) all.push_back(option);
  }
  return all;
}

// Words in lines of up to 120 columns.
inline std::string paragraph(const std::string& text, const std::string& indent, const std::string& hanging = "") {
  std::string all, line = indent;
  std::istringstream in(text);
  for (std::string word; in >> word;) {
    if (line.size() + 1 + word.size() > 120) all += std::exchange(line, indent + hanging) + "\n";
    if (line.find_first_not_of(' ') != line.npos) line += " ";
    line += word;
  }
  return all + line + "\n";
}

inline std::string docstring(const fs::path& root, const RuleInfo& rule, const std::vector<OptionInfo>& options) {
  const Options defaults(rule);
  const Header header(root, rule);
  std::string text = "    \"\"\"" + header.title + ": " + std::string(rule.summary) + ".\n\n";
  for (const std::string& one : header.comment) text += paragraph(one, "    ") + "\n";
  text += "    Args:\n        params: the weights, or groups of them with options of their own\n";
  std::vector<std::string> betas;
  for (const OptionInfo& option : options) {
    const bool beta = option.name == "beta1" || option.name == "beta2";
    std::string value = option.is_bool            ? python_value(option, option.value)
                        : !option.choices.empty() ? in_quotes(option.choices[static_cast<std::size_t>(option.value)])
                                                  : adabelief::text(option.value);
    if (beta && option.name == "beta2") continue;
    std::string name = python_name(option.name), meaning(option.meaning);
    if (beta) {
      const auto second = std::find_if(options.begin(), options.end(), [](auto& o) { return o.name == "beta2"; });
      if (second != options.end()) {
        name = "betas", meaning += "; " + std::string(second->meaning);
        value += ", " + adabelief::text(second->value);
      }
    }
    text += paragraph(name + ": " + meaning + " (" + value + ")", "        ", "    ");
  }
  text += paragraph("weight_decay: strength of the weight decay (" + defaults.text("weight_decay") + ")", "        ",
                    "    ");
  return text;
}

template <class Rule>
std::string python_file(const fs::path& root) {
  const RuleInfo& info = RuleEntry<Rule>::info();
  const Header header(root, info);
  PythonPrinter<Rule> printer(root, header);
  const std::string scalars = printer.scalars(), update = printer.update();
  const Options defaults(info);
  const std::string largest = largest_form(info.name);
  const std::vector<OptionInfo> options = class_options(info);
  const auto has = [&](std::string_view name) {
    return std::any_of(options.begin(), options.end(), [&](auto& o) { return o.name == name; });
  };
  const bool pair = has("beta1") && has("beta2"),
             chooses = std::any_of(options.begin(), options.end(), [](auto&o) { return !o.choices.empty(); });

  std::string text = "# SPDX-License-Identifier: MIT\n\"\"\"" + header.title + ", printed from " + header.file +
                     " by `make docs`.\"\"\"\n\nfrom __future__ import annotations\n\n";
  const bool infinite =
      std::any_of(info.options.begin(), info.options.end(), [](auto& o) { return std::isinf(o.range.high); });
  if (infinite) text += "from math import inf\n";
  if (chooses) text += "from typing import Literal\n";
  if (text.ends_with("import inf\n") || text.ends_with("Literal\n")) text += "\n";
  text += "from torch import Tensor\nfrom torch.optim.optimizer import ParamsT\n\n";
  text += "from .._optimizer import Optimizer, StateDtype\nfrom .._rule import Option, Rule\n";
  std::set<std::string> words = printer.words();
  words.insert("Value");
  text += filled("", "from .._words import ", {words.begin(), words.end()}, "");
  if (!largest.empty()) text += "from ." + largest + " import RULE as LARGEST\n";
  text += "\n\n" + scalars + "\n\n" + update + "\n\nRULE = Rule(\n    name=" + in_quotes(info.name) + ",\n    states=(";
  for (const std::string_view state : info.states)
    text += in_quotes(state) + (info.states.size() == 1 ? "," : state == info.states.back() ? "" : ", ");
  text += "),\n    options=(";
  std::string lines;
  for (const OptionInfo& option : info.options) {
    std::vector<std::string> parts{in_quotes(python_name(option.name)), python_value(option, option.value)};
    if (!option.is_bool && option.choices.empty()) {
      parts.insert(parts.end(), {python_number(option.range.low), python_number(option.range.high)});
      if (!option.range.holds_low) parts.push_back("holds_low=False");
      if (option.range.holds_high) parts.push_back("holds_high=True");
    }
    if (!option.choices.empty()) {
      std::vector<std::string> choices;
      for (const std::string_view one : option.choices) choices.push_back(in_quotes(one));
      parts.push_back("choices=(" + joined(choices, ", ") + ")");
    }
    lines += filled("        ", "Option(", parts, "),");
  }
  const bool one = info.options.size() == 1 && lines.size() < 80;
  text += one ? lines.substr(8, lines.size() - 9) : "\n" + lines + "    ";
  text += "),\n    weight_decay=" + python_number(defaults.get("weight_decay")) +
          ",\n    decay=" + in_quotes(defaults.text("decay")) + ",\n    presets={";
  for (const PresetInfo& preset : info.presets) {
    const Options options(info, {{"preset", std::string(preset.name)}});
    std::vector<std::string> changes;
    for (const OptionInfo& option : defaults.list()) {
      const double value = options.get(option.name);
      if (value == defaults.get(option.name)) continue;
      changes.push_back(in_quotes(python_name(option.name)) + ": " + python_value(option, value));
    }
    text += "\n        " + in_quotes(preset.name) + ": {" + joined(changes, ", ") + "},";
  }
  text += std::string(info.presets.empty() ? "" : "\n    ") + "},\n    scalars=scalars,\n    update=update,\n" +
          (info.norms.empty() ? "" : "    norms=True,\n") + ")\n\n\n";

  text += "class " + header.type + "(Optimizer):\n" + docstring(root, info, options);
  if (!info.presets.empty()) {
    text += "        preset: an implementation whose options are those not given here:\n";
    for (const PresetInfo& preset : info.presets) {
      text += paragraph(std::string(preset.name) + ": " + std::string(preset.meaning), "            ", "    ");
    }
  }
  if (!largest.empty())
    text += "        amsgrad: step by the rule of `" + Header(root, find_rule(largest)).type + "`\n";
  text += "\n    What all rules have is told by :class:`adabelief.Optimizer`.\n    \"\"\"\n\n    rule = RULE\n";
  if (!largest.empty()) text += "    largest = LARGEST\n";

  std::vector<std::string> parameters{"self", "params: ParamsT"}, named, given;
  const auto put = [&](std::vector<std::string>& list, const std::string& name, const std::string& type) {
    list.push_back(name + ": " + type);
    given.push_back(name + "=" + name);
  };
  for (const OptionInfo& option : options) {
    const std::string name = python_name(option.name);
    if (name == "lr") {
      put(parameters, name, annotation(option) + " = None");
      if (pair) put(parameters, "betas", "tuple[float | Tensor, float | Tensor] | None = None");
    } else if (pair && name == "eps") {
      put(parameters, name, "float | None = None");
    } else if (!pair || (name != "beta1" && name != "beta2")) {
      put(named, name, annotation(option) + " = None");
    }
  }
  put(pair ? parameters : named, "weight_decay", "float | None = None");
  if (!largest.empty()) put(parameters, "amsgrad", "bool = False");
  parameters.push_back("*");
  parameters.insert(parameters.end(), named.begin(), named.end());
  put(parameters, "decoupled_decay", "bool | None = None");
  put(parameters, "fixed_decay", "bool | None = None");
  if (!info.presets.empty()) {
    put(parameters, "preset", "str | None = None");
  }
  put(parameters, "state_dtype", "StateDtype = None");
  put(parameters, "foreach", "bool | None = None");
  for (const char* flag : {"maximize", "capturable", "differentiable"}) put(parameters, flag, "bool = False");
  put(parameters, "fused", "bool | None = None");
  text += "\n    def __init__(\n";
  for (const std::string& parameter : parameters) text += "        " + parameter + ",\n";
  text += "    ) -> None:\n" + filled(
                                   "        ", "super().__init__(",
                                   [&] {
                                     std::vector<std::string> all{"params"};
                                     all.insert(all.end(), given.begin(), given.end());
                                     return all;
                                   }(),
                                   ")");
  return text;
}

inline std::string python_list(const fs::path& root) {
  std::string text =
                  "# SPDX-License-Identifier: MIT\n\"\"\"The rules, printed from include/adabelief/rules by `make "
                  "docs`.\"\"\"\n\n",
              all;
  std::map<std::string, std::string> by_name;
  std::set<std::pair<bool, std::string>> types;  // names in capitals first, as linters sort them
  for (const RuleInfo* rule : rules()) {
    const std::string type = by_name[std::string(rule->name)] = Header(root, *rule).type;
    types.emplace(std::any_of(type.begin(), type.end(), [](char c) { return c >= 'a' && c <= 'z'; }), type);
  }
  for (const auto& [small, type] : types) all += "    " + in_quotes(type) + ",\n";
  for (const auto& [name, type] : by_name) text += "from ." + name + " import " + type + "\n";
  return text + "\n__all__ = [\n" + all + "]\n";
}

}  // namespace adabelief::print
