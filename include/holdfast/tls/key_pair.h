#pragma once

#include <string>
#include <string_view>

#include "holdfast/base/result.h"

namespace holdfast::tls {

/// A client certificate chain and its key as PEM texts; both may be in each.
struct KeyPairText {
  std::string certificate, key;
};

/// The pair that a kubeconfig's current user has inline (client-certificate-data, client-key-data).
/// kNotFound when it has none, kInvalidArgument when this is no kubeconfig; `origin` is for
/// messages.
Result<KeyPairText> inline_key_pair(std::string_view kubeconfig, const std::string& origin);

/// From two files, which may be one: PEM with both, as kubelet-client-current.pem, or a kubeconfig
/// that has the pair inline.
Result<KeyPairText> read_key_pair(const std::string& certificate_file, const std::string& key_file);

}  // namespace holdfast::tls
