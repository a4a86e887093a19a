// SPDX-License-Identifier: MIT
// What the printers of rules read in a rule's file: its comment, and the names that the compiler does not tell.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <source_location>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "adabelief/registry.h"
#include "symbol.h"

namespace adabelief::print {

namespace fs = std::filesystem;

inline std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream all;
  all << in.rdbuf();
  if (!in) throw std::runtime_error(path.string() + ": cannot be read");
  return all.str();
}

inline std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

// What a rule's file says beside the formula.
struct Header {
  std::string file;                  // include/adabelief/rules/radam.h
  std::string title;                 // RAdam
  std::vector<std::string> comment;  // the struct's, by paragraphs
  std::string type;                  // the struct's name
  std::vector<std::string> names;    // of the states in update()
  std::vector<std::string> letters;  // and their LaTeX

  Header(const fs::path& root, const RuleInfo& rule)
      : file("include/adabelief/rules/" + std::string(rule.name) + ".h") {
    const std::string text = read(root / file);
    std::smatch found;
    if (!std::regex_search(text, found, std::regex("\n// ([^:\n]+): ")))
      fail("no second line `// TITLE: what it does.`");
    title = found[1];
    for (const std::string& line : lines_of(text)) {
      if (line.starts_with("struct ")) break;
      if (!line.starts_with("///")) {
        comment.clear();
      } else if (comment.empty() || line == "///") {
        comment.push_back(line.substr(std::min<std::size_t>(4, line.size())));
      } else {
        comment.back() += line.substr(3);
      }
    }
    if (comment.empty()) fail("no comment `/// ...` before its struct");
    if (!std::regex_search(text, found, std::regex("\nstruct (\\w+) final"))) fail("no line `struct NAME final`");
    type = found[1];
    if (!std::regex_search(text, found, std::regex("static void update\\(([^)]*)\\)"))) fail("no update(...)");
    const std::string parameters = found[1];
    const std::regex last("(\\w+)\\s*(,|$)");
    for (std::sregex_iterator it(parameters.begin(), parameters.end(), last), end; it != end; ++it) {
      names.push_back((*it)[1]);
    }
    if (names.size() != 3 + rule.states.size()) fail("update() does not take c, x, g and the states");
    names.erase(names.begin(), names.begin() + 3);
    for (const std::string& name : names) letters.push_back(letter(name));
  }

 private:
  [[noreturn]] void fail(const char* what) const { throw std::runtime_error(file + ": " + what); }
};

// The name in `const S name = ...` at a place in a file under include/, or "". GCC's place is where the name starts.
inline std::string declared(const fs::path& root, const std::source_location& place) {
  static std::map<std::string, std::vector<std::string>> files;
  const std::string file = place.file_name();
  const auto start = file.rfind("include/adabelief/");
  if (start == file.npos) return {};
  const std::string path = root / file.substr(start);
  if (!files.contains(path)) files[path] = lines_of(read(path));
  const std::string line = files[path].at(place.line() - 1),
                    rest = line.substr(std::min<std::size_t>(place.column() - 1, line.size()));
  std::smatch name;
  return std::regex_search(rest, name, std::regex("^(\\w+) =[^=]")) ? std::string(name[1]) : "";
}

inline std::string wrapped(const std::string& paragraph) {
  std::string text, line;
  std::istringstream in(paragraph);
  for (std::string word; in >> word;) {
    if (!line.empty() && line.size() + 1 + word.size() > 120) text += std::exchange(line, "") + "\n";
    line += (line.empty() ? "" : " ") + word;
  }
  return text + line + "\n";
}

inline std::string joined(const std::vector<std::string>& parts, const char* between) {
  std::string all;
  for (const std::string& part : parts) all += (all.empty() ? "" : between) + part;
  return all;
}

}  // namespace adabelief::print
