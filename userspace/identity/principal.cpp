#include "holdfast/identity/principal.h"

#include <openssl/sha.h>

#include <algorithm>
#include <string_view>

namespace holdfast::identity {
namespace {

// Each field carries its length: no two principals share a text, whatever their names contain.
void append_field(std::string& out, std::string_view field) {
  out += std::to_string(field.size());
  out += ':';
  out += field;
}

}  // namespace

PrincipalId Principal::id() const {
  std::string text;
  text.reserve(256);
  append_field(text, username);
  append_field(text, uid);
  append_field(text, std::to_string(groups.size()));
  for (const auto& group : groups) append_field(text, group);
  append_field(text, extra);
  append_field(text, impersonation);

  std::array<unsigned char, SHA256_DIGEST_LENGTH> digest;
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  PrincipalId id;
  std::copy_n(digest.begin(), id.bytes.size(), id.bytes.begin());
  return id;
}

bool Principal::is_node() const {
  return impersonation.empty() && username.starts_with("system:node:") &&
         std::find(groups.begin(), groups.end(), "system:nodes") != groups.end();
}

bool Principal::is_node_component() const {
  if (!impersonation.empty()) return false;
  return is_node() || username == "system:kube-proxy" || username == "system:k3s-controller" ||
         username == "system:serviceaccount:kube-system:kube-proxy";
}

}  // namespace holdfast::identity
