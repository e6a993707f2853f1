#pragma once

#include <chrono>
#include <string>

#include "holdfast/base/result.h"
#include "tls/certificate.h"
#include "tls/names.h"

namespace holdfast::tls {

/// What is served: a chain and its key as PEM, and what is known about the leaf.
struct ServingPair {
  std::string chain_pem, key_pem;
  Validity validity;
  Names names;

  /// kInvalidArgument when the texts are no pair.
  static Result<ServingPair> create(std::string chain_pem, std::string key_pem,
                                    std::string_view origin);
  bool operator==(const ServingPair& other) const { return chain_pem == other.chain_pem; }
};

/// A CA key on this node. It signs for the agent's own listener, never for a client.
class CertificateAuthority {
 public:
  /// Clocks of clients may run behind the node's.
  static constexpr std::chrono::minutes kBackdated{5};

  /// `chain_pem`: the CA's certificate, then those above it.
  static Result<CertificateAuthority> create(std::string_view chain_pem, std::string_view key_pem,
                                             std::string_view origin);

  /// A P-256 leaf for these names, EKU serverAuth alone: on kubeadm the same CA signs clients.
  /// It ends after `lifetime`, or with the CA. kUnavailable when the CA itself is not valid now.
  [[nodiscard]] Result<ServingPair> mint(const Names& names, WallTime now,
                                         std::chrono::seconds lifetime) const;
  /// When a leaf minted now would end.
  [[nodiscard]] WallTime end_of(WallTime now, std::chrono::seconds lifetime) const;
  /// Whether this CA's key signed that leaf.
  [[nodiscard]] bool signed_by_us(X509* leaf) const;

 private:
  CertificateAuthority(Chain chain, KeyPtr key) : chain_{std::move(chain)}, key_{std::move(key)} {}

  Chain chain_;
  KeyPtr key_;
};

}  // namespace holdfast::tls
