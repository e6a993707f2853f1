#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "holdfast/base/result.h"
#include "holdfast/base/task.h"
#include "holdfast/config/config.h"

namespace holdfast::config {

/// The seam to the file system. Thread-compatible.
class FileView {
 public:
  /// Changes when another file, or other content, is behind the path. Symbolic links are followed,
  /// so the swap of `..data` in a mounted ConfigMap shows as another inode.
  struct Stamp {
    std::uint64_t device = 0, inode = 0, size = 0;
    std::int64_t modified_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  virtual ~FileView() = default;
  virtual std::optional<Stamp> stamp(const std::string& path) = 0;
  virtual Result<std::string> read(const std::string& path) = 0;
};
FileView& real_files();

/// Notices when the configuration file changes. One thread.
class Reloader {
 public:
  /// Gets the new configuration, or the error: then the last good one stays in force. Not called
  /// for a change that leaves the text as it was.
  using OnChange = std::function<void(Result<Config>)>;

  /// What is there now counts as known: `poll` reports what comes after. So make it before loading
  /// the file for the first time, or a change in between is missed.
  Reloader(std::string path, Environment environment, OnChange on_change,
           FileView& files = real_files());

  /// Once a second. A change is taken at the poll after the one that saw it, if the file has not
  /// changed again: a file is so never read while an editor is half way through writing it.
  void poll();

 private:
  std::string path_;
  Environment environment_;
  OnChange on_change_;
  FileView& files_;
  std::optional<FileView::Stamp> taken_;                   ///< of what `text_` was read from
  std::optional<std::optional<FileView::Stamp>> pending_;  ///< seen once
  std::optional<std::string> text_;
};

/// Polls until cancelled. `reloader` must outlive the coroutine.
Task<> watch_file(Reloader& reloader, Executor executor,
                  std::chrono::milliseconds interval = std::chrono::milliseconds{1000});

}  // namespace holdfast::config
