#include "agent/cluster_api.h"

#include <fmt/format.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "holdfast/kube/list.h"

namespace holdfast::agent {
namespace {

using nlohmann::json;

constexpr const char* kSystem = "/api/v1/namespaces/kube-system";
// Without a resourceVersion: the newest, whatever a server's own cache is at. Of one object, which
// the agent may see anyway.
constexpr const char* kList =
    "/api/v1/namespaces/default/services?fieldSelector=metadata.name%3Dkubernetes&limit=1";

std::string metadata(std::string_view text, const char* key) {
  const auto object = json::parse(text, nullptr, false);
  if (!object.is_object() || !object.contains("metadata")) return {};
  const auto& meta = object["metadata"];
  const bool there = meta.is_object() && meta.contains(key) && meta[key].is_string();
  return there ? meta[key].get<std::string>() : std::string{};
}

class RealClusterApi final : public ClusterApi {
 public:
  RealClusterApi(std::unique_ptr<upstream::ApiClient> client, OwnAccess access)
      : client_{std::move(client)}, access_{std::move(access)} {}

  Task<Result<std::string>> uid() override {
    auto body = co_await get(kSystem);
    if (!body) co_return body.error();
    auto uid = uid_of(*body);
    if (uid.empty()) co_return make_error(Errc::kCorrupt, "kube-system has no UID");
    co_return uid;
  }

  Task<Result<kube::ResourceVersion>> version() override {
    auto body = co_await get(kList);
    if (!body) co_return body.error();
    const auto version = version_of_list(*body);
    if (version == 0) co_return make_error(Errc::kCorrupt, "a list without a resourceVersion");
    co_return version;
  }

 private:
  Task<Result<std::string>> get(std::string path) {
    if (!access_.cert_file.empty()) {
      auto renewed = upstream::ClientIdentity::load(access_.cert_file, access_.key_file);
      if (renewed) access_.identity = std::move(*renewed);  // else it is half written
    }
    upstream::ApiAccess access{.identity = access_.identity, .token_file = access_.token_file};
    upstream::ApiRequest request{.path = path};
    auto response = co_await client_->call(std::move(access), std::move(request));
    if (!response) co_return response.error();
    if (response->status == 200) co_return std::move(response->body);
    const bool refused = response->status == 401 || response->status == 403;
    co_return make_error(refused ? Errc::kRefused : Errc::kUnavailable,
                         fmt::format("{} was answered with {}", path, response->status));
  }

  std::unique_ptr<upstream::ApiClient> client_;
  OwnAccess access_;
};

}  // namespace

std::string uid_of(std::string_view text) {
  return metadata(text, "uid");
}

kube::ResourceVersion version_of_list(std::string_view text) {
  kube::ResourceVersion out = 0;
  return kube::parse_resource_version(metadata(text, "resourceVersion"), out) ? out : 0;
}

std::string hash_of_roots(std::string_view ca_pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> bio{
      BIO_new_mem_buf(ca_pem.data(), static_cast<int>(ca_pem.size())), &BIO_free};
  std::string out;
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
    unsigned size = 0;
    X509_pubkey_digest(certificate, EVP_sha256(), digest.data(), &size);
    X509_free(certificate);
    if (!out.empty()) out += ',';
    out += fmt::format("{:02x}", fmt::join(digest.data(), digest.data() + size, ""));
  }
  return out;
}

std::unique_ptr<ClusterApi> make_cluster_api(std::unique_ptr<upstream::ApiClient> client,
                                             OwnAccess access) {
  return std::make_unique<RealClusterApi>(std::move(client), std::move(access));
}

}  // namespace holdfast::agent
