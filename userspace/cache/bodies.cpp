#include "cache/codec.h"
#include "cache/shelf.h"

namespace holdfast::cache {

/// The content is part of the id: an aggregated API may show two principals different bytes under
/// one resourceVersion, or have none at all, and neither may ever see the other's.
Id Shelf::body_id(const kube::Representation& representation, const kube::GroupVersionResource& gvr,
                  const kube::Object& object) const {
  Encoder out;
  out.u8('b').u8(static_cast<std::uint8_t>(representation.encoding));
  out.u8(static_cast<std::uint8_t>(representation.transform));
  out.str(representation.transform_version);
  out.str(gvr.group).str(gvr.version).str(gvr.resource);
  out.str(object.meta.ns).str(object.meta.name).str(object.meta.uid);
  // A typed list's items do not say their kind, a GET of the same object does.
  out.str(object.type.api_version).str(object.type.kind);
  out.u64(object.meta.resource_version).str(object.body.view());
  return keys_.hash(out.take());
}

void Shelf::hold_body(const Id& id, const kube::Object& object) {
  const auto count_key = Keys::row(Row::kReferences, id);
  std::string text;
  References references;
  if (auto found = txn_.get_clear(count_key, text); found && *found)
    references = decode_references(text);
  if (references.count == 0) {
    const auto plain = encode(object);
    references.size = static_cast<std::uint32_t>(plain.size());
    txn_.put(Keys::row(Row::kBody, id), plain);
    charge(2 * count_key.size(), plain.size() + sizeof(References));
    ++totals_.bodies;
  }
  ++references.count;
  txn_.put_clear(count_key, encode(references));
}

void Shelf::hold_body(const Id& id) {
  const auto count_key = Keys::row(Row::kReferences, id);
  std::string text;
  if (auto found = txn_.get_clear(count_key, text); !found || !*found) return;
  auto references = decode_references(text);
  ++references.count;
  txn_.put_clear(count_key, encode(references));
}

void Shelf::release_body(const Id& id) {
  const auto count_key = Keys::row(Row::kReferences, id);
  std::string text;
  if (auto found = txn_.get_clear(count_key, text); !found || !*found) return;
  auto references = decode_references(text);
  if (references.count > 1) {
    --references.count;
    txn_.put_clear(count_key, encode(references));
    return;
  }
  txn_.erase(count_key);
  txn_.erase(Keys::row(Row::kBody, id));
  credit(2 * count_key.size(), references.size + sizeof(References));
  --totals_.bodies;
}

}  // namespace holdfast::cache
