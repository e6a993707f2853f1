#include "tls/target_files.h"

#include <spdlog/spdlog.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "holdfast/base/private_file.h"
#include "tls/file_watch.h"

namespace holdfast::tls {
namespace {

constexpr std::string_view kPrefix = "target-";
constexpr std::string_view kSuffix = ".json";
constexpr int kFormat = 1;

Result<TargetRecord> parse(const std::string& text, const std::string& origin) {
  const auto json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object() || json.value("format", 0) != kFormat) {
    return make_error(Errc::kCorrupt, origin + " is not a target record");
  }
  const auto field = [&](const char* name) {
    const auto it = json.find(name);
    return it != json.end() && it->is_string() ? it->get<std::string>() : std::string{};
  };
  auto target = Endpoint::parse(field("target"));
  if (!target) return std::move(target).error();
  TargetRecord record{.target = *target, .server_chain_pem = field("server_chain"), .pair = {}};
  if (auto chain = field("certificate"); !chain.empty()) {
    auto pair = ServingPair::create(std::move(chain), field("key"), origin);
    if (!pair) return std::move(pair).error();
    record.pair = std::move(*pair);
  }
  return record;
}

}  // namespace

std::string TargetFiles::path_of(const Endpoint& target) const {
  auto name = target.to_string();
  std::ranges::replace_if(
      name, [](char c) { return c == ':' || c == '[' || c == ']'; }, '_');
  return directory_ + "/" + std::string{kPrefix} + name + std::string{kSuffix};
}

std::vector<TargetRecord> TargetFiles::load() const {
  std::vector<TargetRecord> records;
  if (directory_.empty()) return records;
  std::error_code ec;
  for (const auto& entry : std::filesystem::directory_iterator{directory_, ec}) {
    const auto name = entry.path().filename().string();
    if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) continue;
    FileWatch file{entry.path().string()};
    auto text = file.read();
    auto record =
        text ? parse(*text, entry.path().string()) : Result<TargetRecord>{std::move(text).error()};
    if (record) {
      records.push_back(std::move(*record));
    } else {
      spdlog::warn("tls: not using a kept certificate: {}", record.error().to_string());
    }
  }
  std::ranges::sort(records, {}, &TargetRecord::target);
  return records;
}

Result<void> TargetFiles::save(const TargetRecord& record) const {
  if (directory_.empty()) return {};
  std::error_code ec;
  std::filesystem::create_directories(directory_, ec);
  if (::chmod(directory_.c_str(), 0700) != 0) return Error::from_errno(directory_);
  nlohmann::json json{{"format", kFormat},
                      {"target", record.target.to_string()},
                      {"server_chain", record.server_chain_pem}};
  if (record.pair) {
    json["certificate"] = record.pair->chain_pem;
    json["key"] = record.pair->key_pem;
  }
  return write_private_file(path_of(record.target), json.dump(1) + "\n");
}

void TargetFiles::remove(const Endpoint& target) const {
  if (directory_.empty()) return;
  std::error_code ec;
  std::filesystem::remove(path_of(target), ec);
}

}  // namespace holdfast::tls
