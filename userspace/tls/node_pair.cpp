#include "tls/node_pair.h"

#include <spdlog/spdlog.h>

#include <filesystem>

namespace holdfast::tls {

std::optional<ServingPair> NodePair::pair_for(const Endpoint& target, WallTime now) const {
  if (!pair_ || !target.is_loopback()) return std::nullopt;
  if (!pair_->validity.contains(now) || !pair_->names.has_address(target)) return std::nullopt;
  return pair_;
}

void NodePair::reload() {
  if (files_.certificate_path().empty() || !files_.changed()) return;
  auto texts = files_.read();
  auto pair = texts ? ServingPair::create(std::move(texts->certificate), std::move(texts->key),
                                          files_.names())
                    : Result<ServingPair>{std::move(texts).error()};
  if (pair) {
    complaint_.settled();
    pair_ = std::move(*pair);
    return;
  }
  // On other distributions they are not there, and that is all there is to it.
  if (!pair_ && !std::filesystem::exists(files_.certificate_path())) return;
  files_.retry();
  const auto problem = pair.error().to_string();
  if (complaint_.is_new(problem)) spdlog::warn("tls: the node's serving pair: {}", problem);
}

}  // namespace holdfast::tls
