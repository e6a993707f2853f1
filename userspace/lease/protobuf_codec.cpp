#include <protozero/exception.hpp>
#include <protozero/pbf_reader.hpp>
#include <protozero/pbf_writer.hpp>

#include "lease/codec.h"

// Field numbers: k8s.io/api/coordination/v1/generated.proto and
// k8s.io/apimachinery/pkg/apis/meta/v1/generated.proto.
namespace holdfast::lease {
namespace {

using protozero::pbf_reader;
using protozero::pbf_wire_type;
using protozero::pbf_writer;

constexpr std::uint32_t kMetadata = 1, kSpec = 2;
constexpr std::uint32_t kResourceVersion = 6, kManagedFields = 17;
constexpr std::uint32_t kHolder = 1, kDuration = 2, kRenewTime = 4;

struct Field {
  std::uint32_t number;
  std::string_view whole;    ///< tag included
  std::string_view content;  ///< of a length-delimited one
  std::uint64_t value = 0;   ///< of a varint
  bool empty = false;
};

/// Calls `each` for every field; throws protozero's exceptions.
template <class Each>
void walk(std::string_view message, Each each) {
  pbf_reader reader{message.data(), message.size()};
  std::size_t begin = 0;
  while (reader.next()) {
    Field field{.number = reader.tag(), .whole = {}, .content = {}};
    if (reader.wire_type() == pbf_wire_type::length_delimited) {
      const auto view = reader.get_view();
      field.content = {view.data(), view.size()};
      field.empty = field.content.empty();
    } else if (reader.wire_type() == pbf_wire_type::varint) {
      field.value = reader.get_uint64();
      field.empty = field.value == 0;
    } else {
      reader.skip();
    }
    const std::size_t end = message.size() - reader.length();
    field.whole = message.substr(begin, end - begin);
    begin = end;
    each(field);
  }
}

template <class Run>
Result<void> guarded(Run run) {
  try {
    run();
    return {};
  } catch (const protozero::exception& e) {
    return make_error(Errc::kInvalidArgument, std::string{"not a Lease in protobuf: "} + e.what());
  }
}

// metav1.MicroTime: seconds = 1, nanos = 2.
RenewTime read_time(std::string_view message) {
  std::int64_t seconds = 0, nanos = 0;
  walk(message, [&](const Field& field) {
    if (field.number == 1) seconds = static_cast<std::int64_t>(field.value);
    if (field.number == 2) nanos = static_cast<std::int64_t>(field.value);
  });
  return RenewTime{std::chrono::seconds{seconds} + std::chrono::microseconds{nanos / 1000}};
}

std::string write_time(RenewTime time) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  const std::chrono::nanoseconds rest = time - seconds;
  std::string out;
  pbf_writer writer{out};
  writer.add_int64(1, seconds.time_since_epoch().count());
  writer.add_int32(2, static_cast<std::int32_t>(rest.count()));
  return out;
}

// Appends what `skipped` does not name, and nothing that says nothing.
void append_rest(std::string& out, std::string_view message, std::uint32_t skipped,
                 std::uint32_t skipped_too) {
  walk(message, [&](const Field& field) {
    const bool skip = field.number == skipped || field.number == skipped_too;
    if (!skip && !field.empty) out += field.whole;
  });
}

/// `message` with one length-delimited field replaced, or added at the end.
std::string replace(std::string_view message, std::uint32_t number, std::string_view content) {
  std::string out;
  pbf_writer writer{out};
  bool done = false;
  walk(message, [&](const Field& field) {
    if (field.number != number) {
      out += field.whole;
    } else if (!std::exchange(done, true)) {
      writer.add_bytes(number, content.data(), content.size());
    }
  });
  if (!done) writer.add_bytes(number, content.data(), content.size());
  return out;
}

std::string_view part(std::string_view message, std::uint32_t number) {
  std::string_view found;
  walk(message, [&](const Field& field) {
    if (field.number == number) found = field.content;
  });
  return found;
}

}  // namespace

Result<void> read_protobuf(std::string_view body, LeaseObject& out) {
  return guarded([&] {
    const auto spec = part(body, kSpec);
    walk(spec, [&](const Field& field) {
      if (field.number == kHolder) out.holder = field.content;
      if (field.number == kDuration) {
        out.duration = std::chrono::seconds{static_cast<std::int32_t>(field.value)};
      }
      if (field.number == kRenewTime) out.renewed = read_time(field.content);
    });
    append_rest(out.rest, part(body, kMetadata), kResourceVersion, kManagedFields);
    out.rest += '\0';
    append_rest(out.rest, spec, kRenewTime, kRenewTime);
    out.rest += '\0';
    append_rest(out.rest, body, kMetadata, kSpec);
  });
}

Result<std::string> edit_protobuf(std::string_view body, const Edit& edit) {
  std::string out{body};
  const auto done = guarded([&] {
    if (edit.resource_version) {
      const auto version = std::to_string(*edit.resource_version);
      out = replace(out, kMetadata, replace(part(out, kMetadata), kResourceVersion, version));
    }
    if (edit.renewed) {
      out = replace(out, kSpec, replace(part(out, kSpec), kRenewTime, write_time(*edit.renewed)));
    }
  });
  if (!done) return done.error();
  return out;
}

}  // namespace holdfast::lease
