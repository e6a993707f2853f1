#include "approver/access.h"

#include <openssl/evp.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace holdfast::approver {
namespace {

constexpr const char* kAccount = "/var/run/secrets/kubernetes.io/serviceaccount";

Result<std::string> read_file(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  if (!file) return Error::from_errno("cannot read " + path);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::string decode_base64(std::string text) {
  std::erase_if(text, [](unsigned char c) { return std::isspace(c); });
  std::string out(text.size() / 4 * 3 + 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0) return {};
  // EVP_DecodeBlock counts the padding as zero bytes.
  out.resize(static_cast<std::size_t>(size - std::ranges::count(text, '=')));
  return out;
}

/// The part of a kubeconfig that is about the current context.
class Context {
 public:
  Context(const YAML::Node& root, std::string directory) : directory_{std::move(directory)} {
    const auto context = named(root["contexts"], text(root, "current-context"), "context");
    cluster_ = named(root["clusters"], text(context, "cluster"), "cluster");
    user_ = named(root["users"], text(context, "user"), "user");
  }

  std::string server() const { return text(cluster_, "server"); }
  Result<std::string> ca() const { return content(cluster_, "certificate-authority"); }
  Result<std::string> certificate() const { return content(user_, "client-certificate"); }
  Result<std::string> key() const { return content(user_, "client-key"); }
  std::string token() const { return text(user_, "token"); }
  std::string token_file() const { return absolute(text(user_, "tokenFile")); }

 private:
  static YAML::Node named(const YAML::Node& list, const std::string& name, const char* what) {
    for (const auto& item : list) {
      if (item["name"].as<std::string>("") == name) return item[what];
    }
    return YAML::Node{};
  }
  static std::string text(const YAML::Node& node, const std::string& key) {
    return node && node.IsMap() && node[key] ? node[key].as<std::string>("") : std::string{};
  }
  std::string absolute(const std::string& path) const {
    if (path.empty() || path.front() == '/') return path;
    return (std::filesystem::path{directory_} / path).string();
  }
  /// `key`-data wins over the file that `key` names, as for kubectl; empty when there is neither.
  Result<std::string> content(const YAML::Node& node, const std::string& key) const {
    if (const auto data = text(node, key + "-data"); !data.empty()) return decode_base64(data);
    const auto path = absolute(text(node, key));
    if (path.empty()) return std::string{};
    return read_file(path);
  }

  std::string directory_;
  YAML::Node cluster_, user_;
};

Result<Access> access_of(const Context& context) {
  Access access;
  auto server = upstream::Server::parse(context.server());
  if (!server) return server.error();
  access.servers.push_back(std::move(*server));
  auto ca = context.ca();
  if (!ca) return ca.error();
  access.ca_pem = std::move(*ca);
  access.credential.token = context.token();
  access.credential.token_file = context.token_file();
  const auto certificate = context.certificate();
  if (!certificate) return certificate.error();
  const auto key = context.key();
  if (!key) return key.error();
  if (!certificate->empty()) {
    auto identity = upstream::ClientIdentity::from_pem(*certificate, *key);
    if (!identity) return identity.error();
    access.credential.identity = std::move(*identity);
  }
  return access;
}

}  // namespace

Result<Access> access_from_kubeconfig(const std::string& path) {
  auto content = read_file(path);
  if (!content) return content.error();
  try {
    const Context context{YAML::Load(*content), std::filesystem::path{path}.parent_path().string()};
    auto access = access_of(context);
    if (access) return access;
    return make_error(Errc::kInvalidArgument, path + ": " + access.error().to_string());
  } catch (const YAML::Exception& e) {
    return make_error(Errc::kInvalidArgument, path + " is not a kubeconfig: " + e.what());
  }
}

Result<Access> access_in_cluster() {
  const char* host = std::getenv("KUBERNETES_SERVICE_HOST");
  const char* port = std::getenv("KUBERNETES_SERVICE_PORT");
  if (host == nullptr || port == nullptr) {
    return make_error(Errc::kNotFound, "this is no pod; give it a --kubeconfig");
  }
  const std::string name{host};
  const bool v6 = name.find(':') != std::string::npos;
  auto server = upstream::Server::parse("https://" + (v6 ? "[" + name + "]" : name) + ":" + port);
  if (!server) return server.error();
  auto ca = read_file(std::string{kAccount} + "/ca.crt");
  if (!ca) return ca.error();
  Access access;
  access.servers.push_back(std::move(*server));
  access.ca_pem = std::move(*ca);
  access.credential.token_file = std::string{kAccount} + "/token";
  return access;
}

}  // namespace holdfast::approver
