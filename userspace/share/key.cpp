#include "share/key.h"

#include "holdfast/kube/selector.h"

namespace holdfast::share {

std::string key_of(const request::Request& request, const kube::Representation& representation) {
  const auto& attributes = request.attributes;
  if (representation.transform == kube::Transform::kTable || attributes.options.unknown) return {};
  const auto labels = kube::LabelSelector::parse(attributes.options.label_selector);
  const auto fields = kube::FieldSelector::parse(attributes.options.field_selector);
  if (!labels || !fields) return {};
  std::string key = attributes.path;
  key.append("\n").append(labels->canonical()).append("\n").append(fields->canonical());
  key.append("\n").append(representation.encoding == kube::Encoding::kJson ? "json" : "protobuf");
  if (representation.transform != kube::Transform::kNone) {
    key.append(" partial ").append(representation.transform_version);
  }
  return key;
}

}  // namespace holdfast::share
