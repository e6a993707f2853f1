#include <exception>
#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>

#include "kube/parsed_object.h"

// Field numbers: k8s.io/apimachinery/pkg/runtime/generated.proto and
// k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto.
namespace holdfast::kube {
namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::tag_and_type;

constexpr auto kBytes = pbf_wire_type::length_delimited;
constexpr auto kVarint = pbf_wire_type::varint;

/// Runs a reader: protozero throws inside, nothing is thrown outside.
template <class Read>
Result<void> guarded(Read read) {
  try {
    read();
    return {};
  } catch (const protozero::exception& e) {
    return make_error(Errc::kInvalidArgument, std::string{"malformed protobuf: "} + e.what());
  }
}

pbf_reader reader(std::string_view bytes) {
  return pbf_reader{bytes.data(), bytes.size()};
}

std::string_view take_view(pbf_reader& message) {
  const auto view = message.get_view();
  return {view.data(), view.size()};
}

std::pair<std::string_view, std::string_view> read_map_entry(pbf_reader entry) {
  std::pair<std::string_view, std::string_view> out;
  while (entry.next()) {
    if (entry.tag_and_type() == tag_and_type(1, kBytes))
      out.first = take_view(entry);
    else if (entry.tag_and_type() == tag_and_type(2, kBytes))
      out.second = take_view(entry);
    else
      entry.skip();
  }
  return out;
}

void read_meta(pbf_reader meta, ObjectMeta& out, bool& initial_events_end) {
  while (meta.next()) {
    switch (meta.tag_and_type()) {
      case tag_and_type(1, kBytes):
        out.name = take_view(meta);
        break;
      case tag_and_type(3, kBytes):
        out.ns = take_view(meta);
        break;
      case tag_and_type(5, kBytes):
        out.uid = take_view(meta);
        break;
      case tag_and_type(6, kBytes):
        parse_resource_version(take_view(meta), out.resource_version);
        break;
      case tag_and_type(11, kBytes): {
        const auto [key, value] = read_map_entry(meta.get_message());
        out.labels.insert_or_assign(std::string{key}, std::string{value});
        break;
      }
      case tag_and_type(12, kBytes): {
        const auto [key, value] = read_map_entry(meta.get_message());
        if (key == kInitialEventsEnd) initial_events_end = value == "true";
        break;
      }
      default:
        meta.skip();
    }
  }
}

/// Field 1 of these is a ListMeta, whose numbers mean other things.
bool has_object_meta(const TypeMeta& type) {
  return type.kind != "Status" && !type.kind.ends_with("List");
}

unsigned read_status_code(std::string_view body) {
  unsigned code = 0;
  auto status = reader(body);
  while (status.next()) {
    if (status.tag_and_type() == tag_and_type(6, kVarint)) {
      const auto value = status.get_int32();
      code = value > 0 && value < 1000 ? static_cast<unsigned>(value) : 0;
    } else {
      status.skip();
    }
  }
  return code;
}

void check_message(std::string_view body) {
  for (auto message = reader(body); message.next();) message.skip();
}

}  // namespace

Result<ProtobufVersion> find_protobuf_resource_version(std::string_view body) {
  ProtobufVersion out;
  bool found = false;
  const auto remaining = [](const pbf_reader& message) {
    const auto left = message.data();
    return std::string_view{left.data(), left.size()};
  };
  const auto read = guarded([&] {
    auto message = reader(body);
    while (true) {
      const auto at = remaining(message);
      if (!message.next()) break;
      if (found || message.tag_and_type() != tag_and_type(1, kBytes)) {
        message.skip();
        continue;
      }
      const auto bytes = take_view(message);
      auto meta = reader(bytes);
      while (true) {
        const auto field = remaining(meta);
        if (!meta.next()) break;
        const bool version = meta.tag_and_type() == tag_and_type(6, kBytes);
        meta.skip();
        if (!version) continue;
        found = true;
        const auto rest = remaining(meta);
        out = {.before = body.substr(0, body.size() - at.size()),
               .meta_before = bytes.substr(0, bytes.size() - field.size()),
               .meta_after = rest,
               .after = remaining(message)};
      }
    }
  });
  if (!read) return read.error();
  if (!found) return make_error(Errc::kInvalidArgument, "no metadata.resourceVersion");
  return out;
}

Result<void> read_protobuf_type_meta(std::string_view bytes, TypeMeta& out) {
  return guarded([&] {
    auto type = reader(bytes);
    while (type.next()) {
      if (type.tag_and_type() == tag_and_type(1, kBytes))
        out.api_version = take_view(type);
      else if (type.tag_and_type() == tag_and_type(2, kBytes))
        out.kind = take_view(type);
      else
        type.skip();
    }
  });
}

Result<void> read_protobuf_list_meta(std::string_view bytes, ListMeta& out) {
  return guarded([&] {
    auto meta = reader(bytes);
    while (meta.next()) {
      if (meta.tag_and_type() == tag_and_type(2, kBytes))
        out.resource_version = take_view(meta);
      else if (meta.tag_and_type() == tag_and_type(3, kBytes))
        out.continue_token = take_view(meta);
      else
        meta.skip();
    }
  });
}

Result<ProtobufEvent> read_protobuf_event(const Slice& bytes) {
  ProtobufEvent out;
  const auto read = guarded([&] {
    auto event = reader(bytes.view());
    while (event.next()) {
      if (event.tag_and_type() == tag_and_type(1, kBytes)) {
        out.type = take_view(event);
      } else if (event.tag_and_type() == tag_and_type(2, kBytes)) {
        auto extension = event.get_message();  // RawExtension{raw = 1}
        while (extension.next()) {
          if (extension.tag_and_type() != tag_and_type(1, kBytes)) {
            extension.skip();
            continue;
          }
          const auto raw = take_view(extension);
          out.object = bytes.sub(static_cast<std::size_t>(raw.data() - bytes.data()), raw.size());
        }
      } else {
        event.skip();
      }
    }
  });
  if (!read) return read.error();
  return out;
}

Result<ParsedObject> read_protobuf_message(Slice body) {
  ParsedObject out;
  const auto read = guarded([&] {
    auto message = reader(body.view());
    while (message.next()) {
      if (message.tag_and_type() == tag_and_type(1, kBytes))
        read_meta(message.get_message(), out.object.meta, out.initial_events_end);
      else
        message.skip();
    }
  });
  if (!read) return read.error();
  out.object.body = std::move(body);
  return out;
}

Result<ParsedObject> parse_protobuf_object(const Slice& bytes) {
  const auto text = bytes.view();
  if (!text.starts_with(kProtobufMagic))
    return make_error(Errc::kInvalidArgument, "not a Kubernetes protobuf message");
  TypeMeta type;
  std::string_view raw;
  bool has_raw = false;
  bool foreign = false;
  Result<void> type_read = {};
  const auto read = guarded([&] {
    auto unknown = reader(text.substr(kProtobufMagic.size()));
    while (unknown.next()) {
      if (unknown.tag_and_type() == tag_and_type(1, kBytes)) {
        if (type_read) type_read = read_protobuf_type_meta(take_view(unknown), type);
      } else if (unknown.tag_and_type() == tag_and_type(2, kBytes)) {
        raw = take_view(unknown);
        has_raw = true;
      } else if (unknown.tag_and_type() == tag_and_type(3, kBytes) ||
                 unknown.tag_and_type() == tag_and_type(4, kBytes)) {
        foreign = !take_view(unknown).empty() || foreign;
      } else {
        unknown.skip();
      }
    }
  });
  if (!read) return read.error();
  if (!type_read) return type_read.error();
  if (!has_raw) return make_error(Errc::kInvalidArgument, "a protobuf envelope without an object");
  // What is wrapped is not a message: contentEncoding, contentType.
  if (foreign)
    return make_error(Errc::kInvalidArgument, "a protobuf envelope around another encoding");

  Slice body = bytes.sub(static_cast<std::size_t>(raw.data() - text.data()), raw.size());
  ParsedObject out;
  if (has_object_meta(type)) {
    auto message = read_protobuf_message(std::move(body));
    if (!message) return message.error();
    out = std::move(*message);
  } else {
    const auto checked = guarded([&] {
      check_message(body.view());
      if (type.kind == "Status") out.status_code = read_status_code(body.view());
    });
    if (!checked) return checked.error();
    out.object.body = std::move(body);
  }
  out.object.type = std::move(type);
  return out;
}

}  // namespace holdfast::kube
