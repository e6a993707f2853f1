#include "holdfast/tls/key_pair.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cctype>

#include "tls/file_watch.h"
#include "tls/openssl.h"

namespace holdfast::tls {
namespace {

std::string decode_base64(std::string text) {
  std::erase_if(text, [](unsigned char c) { return std::isspace(c); });
  std::string out(text.size() / 4 * 3, '\0');
  const int size = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                   reinterpret_cast<const unsigned char*>(text.data()),
                                   static_cast<int>(text.size()));
  if (size < 0) return {};
  // EVP_DecodeBlock counts the padding as zero bytes.
  const auto padding = std::ranges::count(text, '=');
  out.resize(static_cast<std::size_t>(size) - std::min<std::size_t>(padding, 2));
  return out;
}

YAML::Node named(const YAML::Node& list, const std::string& name, const char* what) {
  for (const auto& item : list) {
    if (item["name"].as<std::string>("") == name) return item[what];
  }
  return YAML::Node{YAML::NodeType::Undefined};
}

std::string text(const YAML::Node& node, const char* key) {
  return node && node[key] ? node[key].as<std::string>("") : std::string{};
}

}  // namespace

Result<KeyPairText> inline_key_pair(std::string_view kubeconfig, const std::string& origin) {
  try {
    const auto root = YAML::Load(std::string{kubeconfig});
    const auto context = named(root["contexts"], text(root, "current-context"), "context");
    const auto user = named(root["users"], text(context, "user"), "user");
    KeyPairText pair{.certificate = decode_base64(text(user, "client-certificate-data")),
                     .key = decode_base64(text(user, "client-key-data"))};
    if (pair.certificate.empty() || pair.key.empty()) {
      return make_error(Errc::kNotFound, origin + " holds no client certificate with its key");
    }
    return pair;
  } catch (const YAML::Exception& e) {
    return make_error(Errc::kInvalidArgument, origin + " is no kubeconfig: " + e.what());
  }
}

Result<KeyPairText> read_key_pair(const std::string& certificate_file,
                                  const std::string& key_file) {
  PairFiles files{certificate_file, key_file};
  return files.read();
}

}  // namespace holdfast::tls
