// SPDX-License-Identifier: MIT
// Downloads with libcurl that survive broken connections, and the unpacking of archives with the system's tar.
#include "download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace adabelief::trials::data {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

constexpr int retries = 3;  // without a new byte; they wait 1, 2 and 4 seconds

template <class... T>
[[noreturn]] void fail(fmt::format_string<T...> text, T&&... values) {
  throw std::runtime_error(fmt::format(text, std::forward<T>(values)...));
}

std::string size_text(double bytes) {
  return bytes < 1e6 ? fmt::format("{:.1f} kB", bytes / 1e3) : fmt::format("{:.1f} MB", bytes / 1e6);
}
std::string size_text(std::uint64_t bytes) { return size_text(static_cast<double>(bytes)); }

/// Says on stderr how far a download is: a line that renews itself on a terminal, otherwise a line now and then.
class Progress final {
 public:
  Progress(std::string_view file, std::uint64_t total, bool quiet) : file_(file), total_(total), quiet_(quiet) {}

  /// A transfer begins with so many bytes there.
  void start(std::uint64_t bytes) {
    first_ = bytes;
    began_ = Clock::now();
  }

  void show(std::uint64_t bytes) {
    const Clock::time_point now = Clock::now();
    if (quiet_ || now - shown_ < (terminal_ ? std::chrono::milliseconds(100) : std::chrono::seconds(5))) return;
    shown_ = now;
    const double seconds = std::chrono::duration<double>(now - began_).count();
    const double rate = seconds > 0 ? static_cast<double>(bytes - std::min(first_, bytes)) / seconds : 0;  // bytes/s
    std::string text = fmt::format("{}: {} of {}, {} %", file_, size_text(bytes), size_text(total_),
                                   bytes * 100 / std::max<std::uint64_t>(total_, 1));
    if (rate > 0) {
      text += fmt::format(", {}/s, {:.0f} s left", size_text(rate), static_cast<double>(total_ - bytes) / rate);
    }
    fmt::print(stderr, "{}{}{}", terminal_ ? "\r" : "", text, terminal_ ? "\x1b[K" : "\n");
    live_ = terminal_;
  }

  /// A line of its own.
  void say(std::string_view text) {
    end_line();
    if (!quiet_) fmt::print(stderr, "{}: {}\n", file_, text);
  }

  void end_line() {
    if (std::exchange(live_, false)) fmt::print(stderr, "\r\x1b[K");
  }

 private:
  std::string file_;
  std::uint64_t total_, first_ = 0;
  Clock::time_point began_{}, shown_ = Clock::now();
  bool quiet_, terminal_ = isatty(STDERR_FILENO) != 0, live_ = false;
};

/// The file FILE.part that a download grows. It is locked: a second program would spoil it.
class Part final {
 public:
  explicit Part(fs::path path)
      : path_(std::move(path)), file_(open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666)) {
    if (file_ < 0) fail("{}: {}", path_.string(), std::strerror(errno));
    struct stat status {};
    std::string problem;
    if (flock(file_, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
      problem = "another program is downloading it";
    } else if (fstat(file_, &status) != 0) {
      problem = std::strerror(errno);
    }
    if (!problem.empty()) {
      close(file_);
      fail("{}: {}", path_.string(), problem);
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
  }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  ~Part() { close(file_); }

  const fs::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }

  /// False with errno if it could not; size() says how much was written.
  bool append(const char* data, std::size_t count) {
    while (count > 0) {
      const ssize_t n = pwrite(file_, data, count, static_cast<off_t>(size_));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return false;
      data += n;
      count -= static_cast<std::size_t>(n);
      size_ += static_cast<std::uint64_t>(n);
    }
    return true;
  }

  void clear() {
    if (ftruncate(file_, 0) != 0) fail("{}: {}", path_.string(), std::strerror(errno));
    size_ = 0;
  }

 private:
  fs::path path_;
  int file_;
  std::uint64_t size_ = 0;
};

std::string sha256_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) fail("{}: {}", path.string(), std::strerror(errno));
  Sha256 sha256;
  std::vector<std::uint8_t> buffer(1 << 20);
  do {
    in.read(reinterpret_cast<char*>(buffer.data()), static_cast<std::streamsize>(buffer.size()));
    sha256.update(std::span(buffer).first(static_cast<std::size_t>(in.gcount())));
  } while (in);
  if (in.bad()) fail("{}: could not be read", path.string());
  return sha256.digits();
}

/// One request, for what the part lacks.
class Transfer final {
 public:
  Transfer(const std::string& url, Part& part, std::uint64_t total, Progress& progress)
      : part_(part), total_(total), progress_(progress), curl_(curl_easy_init(), curl_easy_cleanup) {
    if (!curl_) fail("libcurl could not be started");
    set(CURLOPT_URL, url.c_str());
    set(CURLOPT_USERAGENT, "adabelief");
    set(CURLOPT_FOLLOWLOCATION, 1L);
    set(CURLOPT_FAILONERROR, 1L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_CONNECTTIMEOUT, 30L);
    set(CURLOPT_LOW_SPEED_LIMIT, 1L);
    set(CURLOPT_LOW_SPEED_TIME, 60L);
    set(CURLOPT_ERRORBUFFER, error_);
    set(CURLOPT_WRITEFUNCTION, &Transfer::write);
    set(CURLOPT_WRITEDATA, this);
    // CURLOPT_RESUME_FROM would fail where a server ignores it; with a range the answer 200 says so.
    if (part.size() > 0) set(CURLOPT_RANGE, fmt::format("{}-", part.size()).c_str());
    progress_.start(part.size());
  }

  CURLcode run() { return curl_easy_perform(curl_.get()); }

  long http() const { return get<long>(CURLINFO_RESPONSE_CODE); }
  /// Whether the answer said how long it is, so that a shorter one counts as broken.
  bool length_known() const { return get<curl_off_t>(CURLINFO_CONTENT_LENGTH_DOWNLOAD_T) >= 0; }

  /// Why run() didn't return CURLE_OK.
  std::string reason(CURLcode code) const {
    if (!problem_.empty()) return problem_;
    if (code == CURLE_HTTP_RETURNED_ERROR) return fmt::format("HTTP {}", http());
    return error_[0] ? error_ : curl_easy_strerror(code);
  }

  bool too_long() const { return too_long_; }

 private:
  template <class T>
  void set(CURLoption option, T value) {
    if (const CURLcode code = curl_easy_setopt(curl_.get(), option, value)) fail("{}", curl_easy_strerror(code));
  }

  template <class T>
  T get(CURLINFO info) const {
    T value{};
    curl_easy_getinfo(curl_.get(), info, &value);
    return value;
  }

  static std::size_t write(char* data, std::size_t, std::size_t count, void* self) {
    return static_cast<Transfer*>(self)->take(data, count) ? count : 0;
  }

  /// False ends the transfer, for the reason in problem_.
  bool take(const char* data, std::size_t count) {
    try {
      if (std::exchange(first_, false) && http() == 200 && part_.size() > 0) {
        progress_.say("the server doesn't resume, starting anew");
        part_.clear();
        progress_.start(0);
      }
      if (count > total_ - part_.size()) {
        too_long_ = true;
        return false;
      }
      if (!part_.append(data, count)) fail("{}: {}", part_.path().string(), std::strerror(errno));
      progress_.show(part_.size());
      return true;
    } catch (const std::exception& e) {  // it must not pass through libcurl's C
      problem_ = e.what();
      return false;
    }
  }

  Part& part_;
  std::uint64_t total_;
  Progress& progress_;
  std::unique_ptr<CURL, void (*)(CURL*)> curl_;
  char error_[CURL_ERROR_SIZE] = "";
  std::string problem_;
  bool first_ = true, too_long_ = false;
};

/// Whether the same request may succeed later.
bool may_pass(CURLcode code, long http) {
  switch (code) {
    case CURLE_HTTP_RETURNED_ERROR: return http == 408 || http == 416 || http == 429 || http >= 500;
    case CURLE_WRITE_ERROR:
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_FILE_COULDNT_READ_FILE:
    case CURLE_REMOTE_ACCESS_DENIED:
    case CURLE_REMOTE_FILE_NOT_FOUND:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE: return false;
    default: return true;
  }
}

/// Removes what was downloaded, so that the next try starts anew.
[[noreturn]] void refuse(const Part& part, std::string_view url, std::string_view what) {
  fs::remove(part.path());
  fail("{}: {}; the download was removed. Try again, or another address with --from", url, what);
}

/// Runs the system's tar, without a shell. The archive is its standard input: as a name it might be taken for another
/// machine's file, if there is a colon in it.
void unpack(const fs::path& archive, const fs::path& folder) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, archive.c_str(), O_RDONLY, 0);
  const std::string into = fs::absolute(folder).string();
  const char* arguments[] = {"tar", "-xzf", "-", "-C", into.c_str(), nullptr};
  pid_t child = 0;
  const int error = posix_spawnp(&child, "tar", &actions, nullptr, const_cast<char**>(arguments), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) fail("{}: could not run tar: {}", archive.string(), std::strerror(error));
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status)) fail("{}: tar was ended by signal {}", archive.string(), WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) {
    fail("{}: tar could not unpack it into {} (exit {})", archive.string(), into, WEXITSTATUS(status));
  }
}

/// Fetches the archive and puts the folder that it holds under `root`.
void fetch_archive(const Dataset& dataset, const fs::path& root, const std::string& base, bool quiet) {
  const Remote& remote = dataset.remotes.front();
  const fs::path folder = root / dataset.folders.front(), archive = root / remote.file;
  if (fs::exists(folder) && !fs::is_empty(folder)) {
    fail("{}: it lacks some of the files; remove it and run this again", folder.string());
  }
  // An archive that was there before is the user's, and stays.
  const bool fetched = !fs::exists(archive);
  if (fetched) {
    download(base + std::string(remote.file), archive, remote, quiet);
  } else if (const std::string found = sha256_of(archive); found != remote.sha256) {
    fail("{}: SHA-256 expected {}, found {}; remove it and run this again", archive.string(), remote.sha256, found);
  }

  const fs::path temporary = folder.string() + ".part";
  fs::remove_all(temporary);
  fs::create_directory(temporary);
  try {
    unpack(archive, temporary);
    dataset.load(temporary / folder.filename());
    fs::rename(temporary / folder.filename(), folder);
  } catch (...) {
    fs::remove_all(temporary);
    throw;
  }
  fs::remove_all(temporary);
  if (fetched) fs::remove(archive);
}

void fetch_files(const Dataset& dataset, const fs::path& root, const std::string& base, bool quiet) {
  const fs::path folder = root / dataset.folders.front();
  fs::create_directories(folder);
  for (const Remote& remote : dataset.remotes) {
    const fs::path target = folder / remote.file;
    if (!fs::exists(target)) download(base + std::string(remote.file), target, remote, quiet);
  }
  dataset.load(folder);
}

}  // namespace

void download(const std::string& url, const fs::path& target, const Remote& expected, bool quiet) {
  [[maybe_unused]] static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  Part part(target.string() + ".part");
  Progress progress(expected.file, expected.bytes, quiet);
  if (part.size() > expected.bytes) part.clear();
  progress.say(part.size() > 0 ? fmt::format("resuming {} at {}", url, size_text(part.size())) : "from " + url);

  std::uint64_t most = part.size();
  for (int failures = 0; part.size() < expected.bytes;) {
    Transfer transfer(url, part, expected.bytes, progress);
    const CURLcode code = transfer.run();
    progress.end_line();
    if (transfer.too_long()) refuse(part, url, fmt::format("expected {} bytes, found more", expected.bytes));
    if (part.size() == expected.bytes) break;
    if (code == CURLE_OK && transfer.length_known()) {
      refuse(part, url, fmt::format("expected {} bytes, found {}", expected.bytes, part.size()));
    }
    const std::string reason = code == CURLE_OK ? "the connection ended early" : transfer.reason(code);
    if (transfer.http() == 416) part.clear();  // it was longer than the file there
    if (part.size() > most) failures = 0;
    most = std::max(most, part.size());
    if (failures == retries || !may_pass(code, transfer.http())) {
      if (part.size() == 0) {
        fs::remove(part.path());
        fail("{}: {}; another address can be given with --from", url, reason);
      }
      fail("{}: {}; {} are kept in {}: run this again to resume", url, reason, size_text(part.size()),
           part.path().string());
    }
    const int wait = 1 << failures++;  // seconds
    progress.say(fmt::format("{}; trying again in {} s at {}", reason, wait, size_text(part.size())));
    std::this_thread::sleep_for(std::chrono::seconds(wait));
  }

  if (const std::string found = sha256_of(part.path()); found != expected.sha256) {
    refuse(part, url, fmt::format("SHA-256 expected {}, found {}", expected.sha256, found));
  }
  fs::rename(part.path(), target);
  progress.say(fmt::format("{}, SHA-256 as expected", size_text(expected.bytes)));
}

void fetch(const Dataset& dataset, const FetchOptions& options) {
  try {
    std::vector<fs::path> places;
    for (const Root& root : roots(options.data_root)) places.push_back(root.path);
    if (places.empty()) fail("no place for it: give --data DIR");
    const fs::path root = places.front();
    if (options.data_root.empty()) {
      if (!dataset.debian_folder.empty()) places.emplace_back(dataset.debian_folder);
    } else {
      places.resize(1);
    }

    std::optional<fs::path> folder;
    for (const fs::path& place : places) {
      if (!folder) folder = find_under(place, dataset);
    }
    if (folder) {
      try {
        dataset.load(*folder);
      } catch (const std::exception& e) {
        fail("{}; remove or replace it, then run this again", e.what());
      }
    } else {
      std::string base = options.from.empty() ? std::string(dataset.base) : options.from;
      if (!base.ends_with('/')) base += '/';
      if (!options.quiet) fmt::print(stderr, "{}: {}\n", dataset.name, dataset.licence);
      if (fs::exists(root) && !fs::is_directory(root)) fail("{}: not a folder", root.string());
      fs::create_directories(root);
      const bool archive = dataset.remotes.front().file.ends_with(".tar.gz");
      (archive ? fetch_archive : fetch_files)(dataset, root, base, options.quiet);
      folder = find_under(root, dataset);
    }
    fmt::print("{}{}\n", options.quiet ? "" : fmt::format("{}: in ", dataset.name), folder->string());
  } catch (const std::exception& e) {
    const std::string prefix = fmt::format("{}: ", dataset.name), what = e.what();
    throw std::runtime_error(what.starts_with(prefix) ? what : prefix + what);
  }
}

}  // namespace adabelief::trials::data
