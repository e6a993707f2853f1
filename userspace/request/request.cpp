#include "request/request.h"

#include "holdfast/kube/selector.h"

namespace holdfast::request {

kube::Encoding Request::error_encoding() const {
  return accept.empty() ? kube::Encoding::kJson : accept.front().representation.encoding;
}

bool may_go_up(const Request& request) {
  if (!request.client->may_forward) request.client->close();
  return request.client->may_forward;
}

std::vector<kube::Representation> representations(const Request& request) {
  std::vector<kube::Representation> out;
  out.reserve(request.accept.size());
  for (const auto& choice : request.accept) out.push_back(choice.representation);
  return out;
}

Result<cache::Query> query_of(const Request& request, const identity::Principal& principal,
                              kube::Representation representation) {
  const auto& attributes = request.attributes;
  auto labels = kube::LabelSelector::parse(attributes.options.label_selector);
  if (!labels) return labels.error();
  auto fields = kube::FieldSelector::parse(attributes.options.field_selector);
  if (!fields) return fields.error();
  return cache::Query{.principal = principal.id(),
                      .representation = std::move(representation),
                      .gvr = attributes.gvr,
                      .ns = attributes.ns,
                      .name = attributes.name_from_selector ? std::string{} : attributes.name,
                      .subresource = attributes.subresource,
                      .label_selector = labels->canonical(),
                      .field_selector = fields->canonical()};
}

void note_credential(identity::Registry& registry, const identity::Credential& credential,
                     unsigned status) {
  switch (status) {
    case 401:
      registry.refused(credential);
      break;
    case 304:
    case 403:
    case 404:
    case 409:
    case 410:
    case 422:
      registry.accepted(credential);
      break;
    default:
      if (status == 101 || status / 100 == 2) registry.accepted(credential);
  }
}

http::RequestHead upstream_head(const http::RequestHead& head) {
  http::RequestHead out{.method = head.method,
                        .target = head.target,
                        .authority = head.authority,
                        .version = head.version,
                        .upgrade = head.upgrade};
  for (const auto& [name, value] : head.headers) {
    if (!name.starts_with("x-remote-")) out.headers.add(name, value);
  }
  return out;
}

}  // namespace holdfast::request
