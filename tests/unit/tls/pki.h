#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "holdfast/base/clock.h"

namespace holdfast::tls::test {

/// 2026-01-01T00:00:00Z: certificates of the tests are valid around it, whenever the tests run.
inline constexpr std::chrono::system_clock::time_point kEpoch{std::chrono::seconds{1767225600}};

/// A clock that tests move by hand.
class FakeClock final : public Clock {
 public:
  [[nodiscard]] std::chrono::steady_clock::time_point now() const override {
    return std::chrono::steady_clock::time_point{} + elapsed_;
  }
  [[nodiscard]] std::chrono::system_clock::time_point wall() const override {
    return kEpoch + elapsed_;
  }
  void advance(std::chrono::seconds by) { elapsed_ += by; }

 private:
  std::chrono::seconds elapsed_{0};
};

struct Pair {
  std::string cert_pem, key_pem, der;
};

struct Request {
  std::string name = "test";
  std::string organization;
  std::string names;  ///< as OpenSSL's configuration has it: "DNS:a,IP:1.2.3.4"
  std::string usage;  ///< extended key usage
  bool ca = false;
  std::chrono::system_clock::time_point from = kEpoch - std::chrono::hours{24};
  std::chrono::system_clock::time_point to = kEpoch + std::chrono::hours{24 * 365};
};

/// Signed by `issuer`, or by itself.
Pair issue(const Request& request, const Pair* issuer = nullptr);
Pair make_ca(const std::string& name);

/// A directory that is gone with this object.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory();
  /// The path of `name` in it.
  [[nodiscard]] std::string file(const std::string& name) const { return (path_ / name).string(); }
  /// Writes a file (a new inode each time, as rotations do) and returns its path.
  std::string write(const std::string& name, const std::string& content) const;
  [[nodiscard]] std::string read(const std::string& name) const;

 private:
  std::filesystem::path path_;
};

}  // namespace holdfast::tls::test
