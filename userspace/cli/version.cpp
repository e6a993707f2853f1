#include <bpf/libbpf.h>
#include <nghttp2/nghttp2ver.h>
#include <openssl/crypto.h>
#include <rocksdb/version.h>
#include <spdlog/version.h>

#include <boost/version.hpp>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>

#include "cli/commands.h"
#include "holdfast/cli/cli.h"
#include "holdfast/telemetry/build_info.h"

namespace holdfast::cli {
namespace {

std::string dotted(int major, int minor, int patch) {
  return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch);
}

nlohmann::ordered_json libraries() {
  return {
      {"boost", dotted(BOOST_VERSION / 100'000, BOOST_VERSION / 100 % 1'000, BOOST_VERSION % 100)},
      {"openssl", OpenSSL_version(OPENSSL_VERSION_STRING)},
      {"nghttp2", NGHTTP2_VERSION},
      {"rocksdb", dotted(ROCKSDB_MAJOR, ROCKSDB_MINOR, ROCKSDB_PATCH)},
      {"libbpf", dotted(static_cast<int>(libbpf_major_version()),
                        static_cast<int>(libbpf_minor_version()), 0)},
      {"spdlog", dotted(SPDLOG_VER_MAJOR, SPDLOG_VER_MINOR, SPDLOG_VER_PATCH)}};
}

}  // namespace

int version(Format format, std::ostream& out) {
  const std::string name{telemetry::version()}, commit{telemetry::commit()};
  if (format == Format::kJson) {
    out << nlohmann::ordered_json{{"version", name}, {"commit", commit}, {"libraries", libraries()}}
               .dump()
        << "\n";
    return kHealthy;
  }
  out << "holdfast " << name << " (" << commit << ")\n";
  const auto all = libraries();
  for (const auto& [library, number] : all.items()) {
    out << "  " << library << " " << number.get<std::string>() << "\n";
  }
  return kHealthy;
}

}  // namespace holdfast::cli
