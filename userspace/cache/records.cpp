#include "cache/records.h"

#include "cache/codec.h"

namespace holdfast::cache {
namespace {

void write(Encoder& out, const identity::PrincipalId& principal) {
  out.str({reinterpret_cast<const char*>(principal.bytes.data()), principal.bytes.size()});
}
identity::PrincipalId read_principal(Decoder& in) {
  identity::PrincipalId out;
  const auto bytes = in.view();
  if (bytes.size() == out.bytes.size()) std::memcpy(out.bytes.data(), bytes.data(), bytes.size());
  return out;
}

void write(Encoder& out, const kube::GroupVersionResource& gvr) {
  out.str(gvr.group).str(gvr.version).str(gvr.resource);
}
kube::GroupVersionResource read_gvr(Decoder& in) {
  kube::GroupVersionResource out;
  out.group = in.str();
  out.version = in.str();
  out.resource = in.str();
  return out;
}

void write(Encoder& out, const kube::Representation& representation) {
  out.u8(static_cast<std::uint8_t>(representation.encoding));
  out.u8(static_cast<std::uint8_t>(representation.transform));
  out.str(representation.transform_version);
}
kube::Representation read_representation(Decoder& in) {
  kube::Representation out;
  out.encoding = static_cast<kube::Encoding>(in.u8());
  out.transform = static_cast<kube::Transform>(in.u8());
  out.transform_version = in.str();
  return out;
}

void write(Encoder& out, const std::map<std::string, std::string, std::less<>>& labels) {
  out.u32(static_cast<std::uint32_t>(labels.size()));
  for (const auto& [key, value] : labels) out.str(key).str(value);
}
std::map<std::string, std::string, std::less<>> read_labels(Decoder& in) {
  std::map<std::string, std::string, std::less<>> out;
  for (auto left = in.u32(); left > 0 && in.ok(); --left) {
    auto key = in.str();
    out.emplace_hint(out.end(), std::move(key), in.str());
  }
  return out;
}

template <class T>
std::optional<T> checked(const Decoder& in, T value) {
  if (!in.ok()) return std::nullopt;
  return value;
}

}  // namespace

std::string encode(const CollectionMeta& m) {
  Encoder out;
  out.id(m.group).id(m.id);
  write(out, m.query.principal);
  write(out, m.query.representation);
  write(out, m.query.gvr);
  out.str(m.query.ns).str(m.query.name).str(m.query.subresource);
  out.str(m.query.label_selector).str(m.query.field_selector);
  out.str(m.list.type.api_version).str(m.list.type.kind).str(m.list.resource_version);
  out.u64(m.version).u64(m.wanted).u64(m.removed).u64(m.generation);
  out.u8(m.broken).u8(m.node_component).u8(m.typed_items);
  out.u64(m.members).u64(m.gone).u64(m.bytes);
  out.u64(static_cast<std::uint64_t>(m.shown_ms));
  out.u64(static_cast<std::uint64_t>(m.used_ms));
  return out.take();
}

std::optional<CollectionMeta> decode_collection(std::string_view bytes) {
  Decoder in{bytes};
  CollectionMeta m;
  m.group = in.id();
  m.id = in.id();
  m.query.principal = read_principal(in);
  m.query.representation = read_representation(in);
  m.query.gvr = read_gvr(in);
  m.query.ns = in.str();
  m.query.name = in.str();
  m.query.subresource = in.str();
  m.query.label_selector = in.str();
  m.query.field_selector = in.str();
  m.list.type.api_version = in.str();
  m.list.type.kind = in.str();
  m.list.resource_version = in.str();
  m.version = in.u64();
  m.wanted = in.u64();
  m.removed = in.u64();
  m.generation = in.u64();
  m.broken = in.u8() != 0;
  m.node_component = in.u8() != 0;
  m.typed_items = in.u8() != 0;
  m.members = in.u64();
  m.gone = in.u64();
  m.bytes = in.u64();
  m.shown_ms = static_cast<std::int64_t>(in.u64());
  m.used_ms = static_cast<std::int64_t>(in.u64());
  return checked(in, std::move(m));
}

std::string encode(const Member& m) {
  Encoder out;
  out.id(m.body).u64(m.version).u64(m.gone).u32(m.size).str(m.ns).str(m.name);
  write(out, m.labels);
  return out.take();
}

std::optional<Member> decode_member(std::string_view bytes) {
  Decoder in{bytes};
  Member m;
  m.body = in.id();
  m.version = in.u64();
  m.gone = in.u64();
  m.size = in.u32();
  m.ns = in.str();
  m.name = in.str();
  m.labels = read_labels(in);
  return checked(in, std::move(m));
}

std::string encode(const kube::Object& object) {
  Encoder out;
  out.str(object.type.api_version).str(object.type.kind);
  out.str(object.meta.name).str(object.meta.ns).str(object.meta.uid);
  out.u64(object.meta.resource_version);
  write(out, object.meta.labels);
  out.str(object.body.view());
  return out.take();
}

std::optional<kube::Object> decode_body(std::string bytes) {
  const auto owned = Slice::own(std::move(bytes));
  Decoder in{owned.view()};
  kube::Object object;
  object.type.api_version = in.str();
  object.type.kind = in.str();
  object.meta.name = in.str();
  object.meta.ns = in.str();
  object.meta.uid = in.str();
  object.meta.resource_version = in.u64();
  object.meta.labels = read_labels(in);
  const auto body = in.view();
  if (!in.ok()) return std::nullopt;
  object.body = owned.sub(static_cast<std::size_t>(body.data() - owned.data()), body.size());
  return object;
}

std::string encode(const References& r) {
  return Encoder{}.u32(r.count).u32(r.size).take();
}

References decode_references(std::string_view bytes) {
  Decoder in{bytes};
  References out;
  out.count = in.u32();
  out.size = in.u32();
  return out;
}

std::string encode(const GetRecord& record) {
  Encoder out;
  out.u32(static_cast<std::uint32_t>(record.shown.size()));
  for (const auto& s : record.shown) {
    write(out, s.representation);
    out.str(s.subresource).id(s.body).u64(s.version).u64(static_cast<std::uint64_t>(s.shown_ms));
  }
  out.u8(static_cast<std::uint8_t>(record.absence)).str(record.status).u64(record.absent_since);
  return out.take();
}

std::optional<GetRecord> decode_get(std::string_view bytes) {
  Decoder in{bytes};
  GetRecord record;
  for (auto left = in.u32(); left > 0 && in.ok(); --left) {
    GetRecord::Shown s;
    s.representation = read_representation(in);
    s.subresource = in.str();
    s.body = in.id();
    s.version = in.u64();
    s.shown_ms = static_cast<std::int64_t>(in.u64());
    record.shown.push_back(std::move(s));
  }
  record.absence = static_cast<GetRecord::Absence>(in.u8());
  record.status = in.str();
  record.absent_since = in.u64();
  return checked(in, std::move(record));
}

std::string encode(const GroupRecord& record) {
  Encoder out;
  write(out, record.principal);
  write(out, record.gvr);
  out.u64(record.floor).u8(record.node_component);
  out.u64(static_cast<std::uint64_t>(record.used_ms));
  return out.take();
}

std::optional<GroupRecord> decode_group(std::string_view bytes) {
  Decoder in{bytes};
  GroupRecord record;
  record.principal = read_principal(in);
  record.gvr = read_gvr(in);
  record.floor = in.u64();
  record.node_component = in.u8() != 0;
  record.used_ms = static_cast<std::int64_t>(in.u64());
  return checked(in, std::move(record));
}

std::string encode(const DocumentRecord& record) {
  Encoder out;
  out.u8(record.node_component).u64(static_cast<std::uint64_t>(record.shown_ms));
  out.str(record.content_type).str(record.etag).str(record.body);
  return out.take();
}

std::optional<DocumentRecord> decode_document(std::string_view bytes) {
  Decoder in{bytes};
  DocumentRecord record;
  record.node_component = in.u8() != 0;
  record.shown_ms = static_cast<std::int64_t>(in.u64());
  record.content_type = in.str();
  record.etag = in.str();
  record.body = in.str();
  return checked(in, std::move(record));
}

}  // namespace holdfast::cache
