#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::identity {

/// Names a principal in keys; SHA-256 over its canonical text, cut to 128 bits.
struct PrincipalId {
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const PrincipalId&) const = default;
};

/// Who the API server says a credential is (authentication.k8s.io/v1 SelfSubjectReview), and whom
/// it acts as. Two requests are equal in what they may see only if their principals are equal.
struct Principal {
  std::string username;
  std::string uid;                  ///< of the user; a recreated service account has another one
  std::vector<std::string> groups;  ///< sorted
  std::string extra;  ///< canonical JSON of `extra` but for credential-id and pod/node keys, which
                      ///< change with every token of the same account
  std::string impersonation;  ///< canonical text of the request's Impersonate-* headers

  [[nodiscard]] PrincipalId id() const;
  /// A kubelet: `system:node:NAME` in the group `system:nodes`, not impersonating.
  [[nodiscard]] bool is_node() const;
  /// Kubelet, kube-proxy, K3s controller: evicted last, and allowed to keep Secrets on disk.
  [[nodiscard]] bool is_node_component() const;
  bool operator==(const Principal&) const = default;
};

}  // namespace holdfast::identity
