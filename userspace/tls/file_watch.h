#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "holdfast/base/result.h"
#include "holdfast/tls/key_pair.h"

namespace holdfast::tls {

/// Notices that a file changed since it was last read: another inode behind a symbolic link, too,
/// which is how the kubelet rotates its certificate.
class FileWatch {
 public:
  explicit FileWatch(std::string path) : path_{std::move(path)} {}

  /// True until `read` has seen what is there now. A file that is missing, or came or went, counts.
  [[nodiscard]] bool changed() const;
  Result<std::string> read();
  /// Makes `changed` true again: what was read could not be used (perhaps it was half written).
  void retry() { seen_ = {}; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  using Signature = std::array<std::int64_t, 5>;
  [[nodiscard]] Signature signature() const;

  std::string path_;
  Signature seen_{};
};

/// A certificate file and the file of its key; one file may be both.
class PairFiles {
 public:
  PairFiles(std::string certificate, std::string key)
      : certificate_{std::move(certificate)}, key_{std::move(key)} {}

  using Texts = KeyPairText;
  [[nodiscard]] bool changed() const { return certificate_.changed() || key_.changed(); }
  /// Of a kubeconfig (the one file for both): what it has inline.
  Result<Texts> read();
  void retry();
  [[nodiscard]] const std::string& certificate_path() const { return certificate_.path(); }
  [[nodiscard]] const std::string& key_path() const { return key_.path(); }
  /// Both, for messages.
  [[nodiscard]] std::string names() const;

 private:
  FileWatch certificate_, key_;
};

/// Keeps a problem that is met again at each look from being told each time.
class Complaint {
 public:
  /// True when this is another problem than the last one.
  bool is_new(std::string problem) {
    if (problem == last_) return false;
    last_ = std::move(problem);
    return true;
  }
  void settled() { last_.clear(); }

 private:
  std::string last_;
};

}  // namespace holdfast::tls
