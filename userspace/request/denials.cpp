#include "request/denials.h"

#include <algorithm>
#include <utility>

namespace holdfast::request {
namespace {

// What the API server's authorizers look at (k8s.io/apiserver authorizer.Attributes).
std::string question(const identity::PrincipalId& principal,
                     const kube::RequestAttributes& attributes) {
  std::string out{reinterpret_cast<const char*>(principal.bytes.data()), principal.bytes.size()};
  out.append(kube::to_string(attributes.verb)).append("\n").append(attributes.path);
  out.append("\n").append(attributes.options.label_selector);
  return out.append("\n").append(attributes.options.field_selector);
}

}  // namespace

void Denials::denied(const identity::PrincipalId& principal,
                     const kube::RequestAttributes& attributes, std::uint64_t era, Denial denial) {
  auto key = question(principal, attributes);
  if (key.size() > kMaxBytes || denial.message.size() > kMaxBytes) return;
  const std::lock_guard lock{mutex_};
  entries_.insert_or_assign(std::move(key), Entry{std::move(denial), era});
  if (entries_.size() > kMax) {
    entries_.erase(std::ranges::min_element(
        entries_, {}, [](const auto& item) { return item.second.denial.at; }));
  }
  size_ = entries_.size();
}

void Denials::allowed(const identity::PrincipalId& principal,
                      const kube::RequestAttributes& attributes) {
  if (size_ == 0) return;
  const auto key = question(principal, attributes);
  const std::lock_guard lock{mutex_};
  entries_.erase(key);
  size_ = entries_.size();
}

std::optional<Denials::Denial> Denials::find(const identity::PrincipalId& principal,
                                             const kube::RequestAttributes& attributes,
                                             std::uint64_t era) const {
  const auto key = question(principal, attributes);
  const std::lock_guard lock{mutex_};
  const auto it = entries_.find(key);
  if (it == entries_.end() || it->second.era != era) return std::nullopt;
  return it->second.denial;
}

}  // namespace holdfast::request
