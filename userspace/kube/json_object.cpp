#include <simdjson.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "kube/parsed_object.h"

namespace holdfast::kube {
namespace {

namespace ondemand = simdjson::ondemand;

/// Documents up to this size share a parser per thread; a larger one brings its own, so that one
/// huge object does not leave its index (five times its size) behind.
constexpr std::size_t kKeptCapacity = 256 * 1024;

Error invalid(const std::string& what) {
  return make_error(Errc::kInvalidArgument, "malformed JSON object: " + what);
}

/// Runs `read(document)` over padded text. simdjson throws inside; nothing is thrown outside.
template <class Read>
Result<void> with_document(const char* text, std::size_t size, Read read) {
  const auto run = [&](ondemand::parser& parser) -> Result<void> {
    try {
      if (parser.capacity() < size) {
        const auto error = parser.allocate(std::bit_ceil(std::max<std::size_t>(size, 4096)));
        if (error != simdjson::SUCCESS) return invalid(simdjson::error_message(error));
      }
      ondemand::document document = parser.iterate(text, size, size + simdjson::SIMDJSON_PADDING);
      read(document);
      if (document.current_location().error() != simdjson::OUT_OF_BOUNDS)
        return invalid("text behind its end");
      return {};
    } catch (const simdjson::simdjson_error& e) {
      return invalid(e.what());
    }
  };
  if (size > kKeptCapacity) {
    ondemand::parser parser;
    return run(parser);
  }
  thread_local ondemand::parser kept;
  return run(kept);
}

/// null stands for absent, as for Go's decoder.
std::string read_string(ondemand::value value) {
  if (value.type() == ondemand::json_type::null) {
    if (!value.is_null()) throw simdjson::simdjson_error(simdjson::INCORRECT_TYPE);
    return {};
  }
  return std::string{std::string_view{value.get_string()}};
}

/// Calls `each(key, value)` for an object's fields; null has none.
template <class Each>
void for_fields(ondemand::value value, Each each) {
  if (value.type() == ondemand::json_type::null) {
    if (!value.is_null()) throw simdjson::simdjson_error(simdjson::INCORRECT_TYPE);
    return;
  }
  for (auto field : value.get_object()) {
    const std::string_view key = field.unescaped_key();
    each(key, field.value());
  }
}

void read_meta(ondemand::value value, ObjectMeta& meta, bool& initial_events_end) {
  for_fields(value, [&](std::string_view key, ondemand::value field) {
    if (key == "name") {
      meta.name = read_string(field);
    } else if (key == "namespace") {
      meta.ns = read_string(field);
    } else if (key == "uid") {
      meta.uid = read_string(field);
    } else if (key == "resourceVersion") {
      parse_resource_version(read_string(field), meta.resource_version);
    } else if (key == "labels") {
      for_fields(field, [&](std::string_view name, ondemand::value label) {
        meta.labels.insert_or_assign(std::string{name}, read_string(label));
      });
    } else if (key == "annotations") {
      for_fields(field, [&](std::string_view name, ondemand::value annotation) {
        if (name == kInitialEventsEnd) initial_events_end = read_string(annotation) == "true";
      });
    }
  });
}

/// Cuts top-level fields out of minified text while its fields are walked in order.
class FieldCutter {
 public:
  explicit FieldCutter(const char* text) : text_{text} {}

  /// `key` points behind the opening quote of a field's name.
  void at_field(const char* key, bool cut) {
    const auto start = static_cast<std::size_t>(key - 1 - text_);
    close(start);
    if (!cut) return;
    if (count_ == ranges_.size()) throw simdjson::simdjson_error(simdjson::TAPE_ERROR);
    ranges_[count_] = {start, 0};
    open_ = true;
  }

  /// Returns the new size.
  std::size_t apply(char* text, std::size_t size) {
    close(size - 1);
    std::size_t out = 0;
    std::size_t from = 0;
    for (std::size_t i = 0; i < count_; ++i) {
      std::memmove(text + out, text + from, ranges_[i].first - from);
      out += ranges_[i].first - from;
      from = ranges_[i].second;
    }
    std::memmove(text + out, text + from, size - from);
    out += size - from;
    // The last field went, its comma stayed.
    if (out >= 2 && text[out - 2] == ',') text[--out - 1] = '}';
    return out;
  }

 private:
  void close(std::size_t end) {
    if (open_) ranges_[count_++].second = end;
    open_ = false;
  }

  const char* text_;
  std::array<std::pair<std::size_t, std::size_t>, 4> ranges_{};
  std::size_t count_ = 0;
  bool open_ = false;
};

}  // namespace

std::shared_ptr<char[]> make_padded_buffer(std::size_t size) {
  return std::make_shared_for_overwrite<char[]>(size + simdjson::SIMDJSON_PADDING);
}

namespace {

/// Runs `read(metadata, copy)` over a padded copy of canonical text.
template <class Read>
Result<void> with_metadata(std::string_view text, Read read) {
  const auto buffer = make_padded_buffer(text.size());
  std::memcpy(buffer.get(), text.data(), text.size());
  return with_document(buffer.get(), text.size(), [&](ondemand::document& document) {
    for (auto field : document.get_object()) {
      const std::string_view key = field.unescaped_key();
      if (key == "metadata") read(field.value(), buffer.get());
    }
  });
}

}  // namespace

Result<ParsedObject> parse_json_object(std::string_view text) {
  auto buffer = make_padded_buffer(text.size());
  std::size_t size = 0;
  // A copy that drops the white space outside strings and changes nothing else.
  if (const auto error = simdjson::minify(text.data(), text.size(), buffer.get(), size);
      error != simdjson::SUCCESS)
    return invalid(simdjson::error_message(error));

  ParsedObject out;
  FieldCutter cutter{buffer.get()};
  const auto read = with_document(buffer.get(), size, [&](ondemand::document& document) {
    for (auto field : document.get_object()) {
      const ondemand::raw_json_string key = field.key();
      ondemand::value value = field.value();
      const bool kind = key == "kind";
      const bool version = key == "apiVersion";
      cutter.at_field(key.raw(), kind || version);
      if (kind) {
        out.object.type.kind = read_string(value);
      } else if (version) {
        out.object.type.api_version = read_string(value);
      } else if (key == "metadata") {
        read_meta(value, out.object.meta, out.initial_events_end);
      } else if (key == "code" && value.type() == ondemand::json_type::number) {
        std::uint64_t code = 0;
        if (value.get_uint64().get(code) == simdjson::SUCCESS && code < 1000)
          out.status_code = static_cast<unsigned>(code);
      }
    }
  });
  if (!read) return read.error();
  const bool was_pretty = size < text.size() / 4 * 3;
  size = cutter.apply(buffer.get(), size);
  const char* data = buffer.get();
  // What was pretty has shrunk: give the rest of its buffer back.
  out.object.body = was_pretty ? Slice::copy({data, size}) : Slice{std::move(buffer), data, size};
  return out;
}

Result<std::string_view> find_json_resource_version(std::string_view text) {
  std::string_view found;
  const auto read = with_metadata(text, [&](ondemand::value metadata, const char* copy) {
    for_fields(metadata, [&](std::string_view name, ondemand::value meta) {
      if (name != "resourceVersion") return;
      const std::string_view token = meta.raw_json_token();
      const auto at = static_cast<std::size_t>(token.data() - copy);
      // The token reaches up to the next one.
      found = text.substr(at, token.rfind('"') + 1);
    });
  });
  if (!read) return read.error();
  if (found.size() < 2) return invalid("no metadata.resourceVersion");
  return found;
}

Result<std::string> find_json_metadata(std::string_view text) {
  std::string found;
  const auto read = with_metadata(text, [&](ondemand::value value, const char*) {
    ondemand::object metadata = value.get_object();
    const std::string_view raw = metadata.raw_json();
    found = raw;
  });
  if (!read) return read.error();
  if (found.empty()) return invalid("no metadata");
  return found;
}

Result<ListMeta> parse_json_list_meta(std::string_view text) {
  const auto buffer = make_padded_buffer(text.size());
  std::memcpy(buffer.get(), text.data(), text.size());
  ListMeta out;
  const auto read = with_document(buffer.get(), text.size(), [&](ondemand::document& document) {
    for (auto field : document.get_object()) {
      const std::string_view key = field.unescaped_key();
      ondemand::value value = field.value();
      if (key == "kind") {
        out.type.kind = read_string(value);
      } else if (key == "apiVersion") {
        out.type.api_version = read_string(value);
      } else if (key == "metadata") {
        for_fields(value, [&](std::string_view name, ondemand::value meta) {
          if (name == "resourceVersion") out.resource_version = read_string(meta);
          if (name == "continue") out.continue_token = read_string(meta);
        });
      }
    }
  });
  if (!read) return read.error();
  return out;
}

Result<JsonEvent> parse_json_event(std::string_view text) {
  JsonEvent out;
  const auto read = with_document(text.data(), text.size(), [&](ondemand::document& document) {
    for (auto field : document.get_object()) {
      const std::string_view key = field.unescaped_key();
      ondemand::value value = field.value();
      if (key == "type") {
        out.type = read_string(value);
      } else if (key == "object") {
        ondemand::object object = value.get_object();
        out.object = object.raw_json();
      }
    }
  });
  if (!read) return read.error();
  if (out.object.empty()) return invalid("a watch event without an object");
  return out;
}

}  // namespace holdfast::kube
