#include "tls/requested_certificate.h"

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

using nlohmann::json;

constexpr const char* kPairFile = "serving.pem";
constexpr const char* kRequestFile = "request.json";
constexpr int kFormat = 1;

json to_json(const Names& names) {
  json addresses = json::array();
  for (const auto& address : names.addresses) addresses.push_back(address.address_string());
  return {{"dns", names.dns}, {"addresses", std::move(addresses)}};
}

Names names_from(const json& object) {
  Names names;
  for (const auto& name : object.at("dns")) names.dns.insert(name.get<std::string>());
  for (const auto& text : object.at("addresses")) {
    if (const auto address = Endpoint::from_address(text.get<std::string>(), 0)) {
      names.addresses.insert(*address);
    }
  }
  return names;
}

Result<PendingRequest> parse_pending(const std::string& text) {
  try {
    const auto object = json::parse(text);
    if (object.at("format") != kFormat) return make_error(Errc::kCorrupt, "another version's");
    return PendingRequest{.name = object.at("name"),
                          .uid = object.at("uid"),
                          .key_pem = object.at("key"),
                          .names = names_from(object.at("names"))};
  } catch (const json::exception&) {
    return make_error(Errc::kCorrupt, "it is not what was written");
  }
}

/// Certificate and key out of one text.
Result<ServingPair> parse_pair(const std::string& text, const std::string& origin) {
  const auto chain = parse_pem_chain(text, origin);
  if (!chain) return chain.error();
  const auto key = parse_pem_key(text, origin);
  if (!key) return key.error();
  return ServingPair::create(to_pem(*chain), to_pem(key->get()), origin);
}

/// Makes the directory that holds keys.
Result<void> prepare(const std::string& directory) {
  std::error_code ec;
  std::filesystem::create_directories(directory, ec);
  if (::chmod(directory.c_str(), 0700) != 0) return Error::from_errno(directory);
  return {};
}

}  // namespace

WallTime renewal_time(const Validity& validity) {
  return validity.not_before + (validity.not_after - validity.not_before) * 2 / 3;
}

RequestedCertificate::RequestedCertificate(std::string directory, Names listener, WallTime now)
    : directory_{std::move(directory)}, listener_{std::move(listener)} {
  if (!directory_.empty()) load(now);
}

void RequestedCertificate::load(WallTime now) {
  if (const auto file = path(kPairFile); std::filesystem::exists(file)) {
    auto text = FileWatch{file}.read();
    auto pair = text ? parse_pair(*text, file) : Result<ServingPair>{std::move(text).error()};
    if (pair) {
      pair_ = std::move(*pair);
    } else {
      spdlog::warn("tls: not using the kept certificate: {}", pair.error().to_string());
    }
  }
  if (const auto file = path(kRequestFile); std::filesystem::exists(file)) {
    auto text = FileWatch{file}.read();
    auto request = text ? parse_pending(*text) : Result<PendingRequest>{std::move(text).error()};
    if (request) {
      pending_ = std::move(*request);
    } else {
      spdlog::warn("tls: forgetting the request in {}: {}", file, request.error().to_string());
    }
  }
  // Until the servers are seen again.
  if (pair_) seen_.add(pair_->names, now);
}

void RequestedCertificate::seen(const Names& names, WallTime now) {
  const std::scoped_lock lock{mutex_};
  seen_.add(names, now);
}

Names RequestedCertificate::wanted(WallTime now) {
  const std::scoped_lock lock{mutex_};
  auto names = seen_.names(now);
  if (!names.empty()) names.add(listener_);
  return names;
}

std::optional<ServingPair> RequestedCertificate::pair() const {
  const std::scoped_lock lock{mutex_};
  return pair_;
}

std::optional<ServingPair> RequestedCertificate::pair_for(const Names& names) const {
  const std::scoped_lock lock{mutex_};
  if (!pair_) return std::nullopt;
  const bool useful =
      std::ranges::any_of(names.dns, [&](const auto& n) { return pair_->names.dns.contains(n); }) ||
      std::ranges::any_of(names.addresses, [&](const auto& address) {
        return pair_->names.has_address(address) && !listener_.has_address(address);
      });
  return useful ? pair_ : std::nullopt;
}

Result<void> RequestedCertificate::adopt(ServingPair pair) {
  // Certificate and key in one file: they change together.
  const auto text = pair.chain_pem + pair.key_pem;
  {
    const std::scoped_lock lock{mutex_};
    pair_ = std::move(pair);
  }
  if (directory_.empty()) return {};
  if (auto prepared = prepare(directory_); !prepared) return prepared;
  return write_private_file(path(kPairFile), text);
}

std::optional<PendingRequest> RequestedCertificate::pending() const {
  const std::scoped_lock lock{mutex_};
  return pending_;
}

Result<void> RequestedCertificate::set_pending(std::optional<PendingRequest> request) {
  std::string text;
  {
    const std::scoped_lock lock{mutex_};
    pending_ = std::move(request);
    if (pending_) {
      text = json{{"format", kFormat},
                  {"name", pending_->name},
                  {"uid", pending_->uid},
                  {"key", pending_->key_pem},
                  {"names", to_json(pending_->names)}}
                 .dump(1) +
             "\n";
    }
  }
  if (directory_.empty()) return {};
  if (text.empty()) {
    std::error_code ec;
    std::filesystem::remove(path(kRequestFile), ec);
    return {};
  }
  if (auto prepared = prepare(directory_); !prepared) return prepared;
  return write_private_file(path(kRequestFile), text);
}

}  // namespace holdfast::tls
