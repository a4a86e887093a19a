// SPDX-License-Identifier: MIT
// What a person at a terminal sees.
#include "terminal.h"

#include <fmt/format.h>
#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <clocale>
#include <cmath>
#include <cstdlib>

namespace adabelief::trials::terminal {
namespace {

winsize size(int descriptor) {
  winsize size{};
  if (ioctl(descriptor, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) size.ws_row = 24, size.ws_col = 80;
  return size;
}

bool utf8() {
  static const bool yes = [] {
    std::setlocale(LC_CTYPE, "");
    return std::string_view(nl_langinfo(CODESET)) == "UTF-8";
  }();
  return yes;
}

void write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = write(descriptor, text.data(), text.size());
    if (n <= 0) return;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
}

// The first `width` columns; escape sequences take none.
std::string cut(std::string_view line, int width) {
  std::string out;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\033') {
      const std::size_t end = std::min(line.find('m', i), line.size() - 1);
      out += line.substr(i, end - i + 1);
      i = end;
    } else {
      const bool continues = (static_cast<unsigned char>(line[i]) & 0xc0) == 0x80;  // UTF-8: the rest of a character
      if (!continues && width-- <= 0) break;
      out += line[i];
    }
  }
  return out + (out.find('\033') != std::string::npos ? "\033[0m" : "");
}

}  // namespace

bool live(int descriptor) {
  const char* term = std::getenv("TERM");
  return isatty(descriptor) && term != nullptr && std::string_view(term) != "dumb";
}

std::string paint(std::string_view text, int colour, bool live) {
  const char* no_color = std::getenv("NO_COLOR");
  if (!live || (no_color != nullptr && *no_color != '\0')) return std::string(text);
  return fmt::format("\033[{}m{}\033[0m", colour, text);
}

std::string bar(double share, int width) {
  const int filled = static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * width));
  std::string out;
  for (int i = 0; i < width; ++i) out += i < filled ? (utf8() ? "━" : "#") : (utf8() ? "┄" : ".");
  return out;
}

std::string number(double value, int decimals) {
  const double size = std::abs(value);
  const bool fits = size == 0 || (size >= std::pow(10, 1 - decimals) && size < 1e6);
  return fits ? fmt::format("{:.{}f}", value, decimals) : fmt::format("{:.3g}", value);
}

std::string metric(std::string_view name, std::optional<double> value, std::string_view unit) {
  if (!value) return "";
  return fmt::format("{} {}{}{}", name, number(*value, 2), unit.empty() ? "" : " ", unit);
}

std::string duration(double seconds) {
  const long s = std::max(0L, std::lround(seconds));
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{}:{:02} min", s / 60, s % 60);
  return fmt::format("{}:{:02} h", s / 3600, s / 60 % 60);
}

int Board::rows() const { return size(descriptor_).ws_row; }

void Board::draw(const std::vector<std::string>& lines) {
  std::string out = drawn_ == 0 ? "\033[?25l" : fmt::format("\033[{}A", drawn_);
  for (const std::string& line : lines) out += "\r\033[K" + cut(line, size(descriptor_).ws_col) + "\n";
  if (std::ssize(lines) < drawn_) out += "\033[J";
  drawn_ = static_cast<int>(lines.size());
  write_all(descriptor_, out);
}

Board::~Board() {
  if (drawn_ > 0) write_all(descriptor_, "\033[?25h");
}

}  // namespace adabelief::trials::terminal
