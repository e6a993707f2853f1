#include "agent/signing_api.h"

#include <openssl/evp.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace holdfast::agent {
namespace {

using nlohmann::json;

constexpr std::string_view kPath = "/apis/certificates.k8s.io/v1/certificatesigningrequests";

std::string base64(std::string_view bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  const int size = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(bytes.data()),
                                   static_cast<int>(bytes.size()));
  out.resize(static_cast<std::size_t>(size));
  return out;
}

std::string from_base64(const std::string& text) {
  std::string out(text.size() / 4 * 3 + 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0) return {};
  // EVP_DecodeBlock counts the padding as zero bytes.
  out.resize(static_cast<std::size_t>(size - std::ranges::count(text, '=')));
  return out;
}

std::string text_at(const json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string{};
}

/// The sentence of a Status; its status code when there is none.
Error refusal(const upstream::ApiResponse& response) {
  const auto status = json::parse(response.body, nullptr, false);
  auto message = status.is_object() ? text_at(status, "message") : std::string{};
  if (message.empty()) message = "the API server answered " + std::to_string(response.status);
  return make_error(response.status == 404 ? Errc::kNotFound : Errc::kRefused, std::move(message));
}

class RealSigningApi final : public SigningApi {
 public:
  explicit RealSigningApi(std::unique_ptr<upstream::ApiClient> client)
      : client_{std::move(client)} {}

  Task<Result<SigningState>> create(upstream::Identity identity, std::string body) override {
    return ask(std::move(identity),
               {.method = "POST", .path = std::string{kPath}, .body = std::move(body)});
  }
  Task<Result<SigningState>> get(upstream::Identity identity, std::string name) override {
    return ask(std::move(identity), {.path = std::string{kPath} + "/" + name});
  }

 private:
  Task<Result<SigningState>> ask(upstream::Identity identity, upstream::ApiRequest request) {
    upstream::ApiAccess access{.identity = std::move(identity)};
    auto response = co_await client_->call(std::move(access), std::move(request));
    if (!response) co_return response.error();
    if (response->status != 200 && response->status != 201) co_return refusal(*response);
    co_return parse_signing_request(response->body);
  }

  std::unique_ptr<upstream::ApiClient> client_;
};

}  // namespace

Result<SigningState> parse_signing_request(std::string_view text) {
  const auto object = json::parse(text, nullptr, false);
  SigningState state;
  if (object.is_object() && object.contains("metadata") && object["metadata"].is_object()) {
    state.name = text_at(object["metadata"], "name");
    state.uid = text_at(object["metadata"], "uid");
  }
  if (state.name.empty() || state.uid.empty()) {
    return make_error(Errc::kCorrupt, "the answer is no CertificateSigningRequest");
  }
  const auto status = object.find("status");
  if (status == object.end() || !status->is_object()) return state;
  state.certificate_pem = from_base64(text_at(*status, "certificate"));
  const auto conditions = status->find("conditions");
  if (conditions == status->end() || !conditions->is_array()) return state;
  for (const auto& condition : *conditions) {
    if (!condition.is_object()) continue;
    const auto type = text_at(condition, "type");
    auto why = text_at(condition, "reason");
    if (const auto message = text_at(condition, "message"); !message.empty()) {
      why += (why.empty() ? "" : ": ") + message;
    }
    if (why.empty()) why = "no reason given";
    if (type == "Approved") state.approved = true;
    if (type == "Denied") state.denied = std::move(why);
    if (type == "Failed") state.failed = std::move(why);
  }
  return state;
}

std::string signing_request_json(const std::string& node, std::string_view request_pem,
                                 std::chrono::seconds lifetime) {
  const json object{{"apiVersion", "certificates.k8s.io/v1"},
                    {"kind", "CertificateSigningRequest"},
                    {"metadata", {{"generateName", "holdfast-" + node + "-"}}},
                    {"spec",
                     {{"signerName", "kubernetes.io/kubelet-serving"},
                      {"request", base64(request_pem)},
                      {"expirationSeconds", lifetime.count()},
                      // The signer's whole list: older API servers demand key encipherment, too.
                      {"usages", {"digital signature", "key encipherment", "server auth"}}}}};
  return object.dump();
}

std::unique_ptr<SigningApi> make_signing_api(std::unique_ptr<upstream::ApiClient> client) {
  return std::make_unique<RealSigningApi>(std::move(client));
}

}  // namespace holdfast::agent
