#include "lease/object.h"

#include "lease/codec.h"

namespace holdfast::lease {
namespace {

Result<kube::Object> parse(kube::Encoding encoding, std::string_view bytes) {
  auto object = kube::parse_object(encoding, Slice::copy(bytes));
  if (!object) return object.error();
  if (object->type.kind != "Lease" ||
      !object->type.api_version.starts_with("coordination.k8s.io/")) {
    return make_error(Errc::kInvalidArgument, "not a Lease but a " + object->type.kind);
  }
  return object;
}

Result<std::string> edit(kube::Encoding encoding, std::string_view bytes, const Edit& change) {
  const auto object = parse(encoding, bytes);
  if (!object) return object.error();
  auto body = encoding == kube::Encoding::kJson ? edit_json(object->body.view(), change)
                                                : edit_protobuf(object->body.view(), change);
  if (!body) return body.error();
  return kube::render_object(encoding, object->type, *body);
}

}  // namespace

Result<LeaseObject> parse_lease(kube::Encoding encoding, std::string_view bytes) {
  const auto object = parse(encoding, bytes);
  if (!object) return object.error();
  LeaseObject lease;
  lease.uid = object->meta.uid;
  lease.resource_version = object->meta.resource_version;
  const auto read = encoding == kube::Encoding::kJson ? read_json(object->body.view(), lease)
                                                      : read_protobuf(object->body.view(), lease);
  if (!read) return read.error();
  return lease;
}

Result<std::string> with_resource_version(kube::Encoding encoding, std::string_view bytes,
                                          kube::ResourceVersion version) {
  return edit(encoding, bytes, {.resource_version = version, .renewed = {}});
}

Result<std::string> with_renew_time(kube::Encoding encoding, std::string_view bytes,
                                    RenewTime renewed) {
  return edit(encoding, bytes, {.resource_version = {}, .renewed = renewed});
}

}  // namespace holdfast::lease
