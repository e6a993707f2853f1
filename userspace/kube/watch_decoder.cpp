#include <array>
#include <cstring>
#include <optional>

#include "holdfast/kube/watch_event.h"
#include "kube/json_scan.h"
#include "kube/parsed_object.h"

namespace holdfast::kube {
namespace {

Error invalid(std::string what) {
  return make_error(Errc::kInvalidArgument, "malformed watch event: " + std::move(what));
}

Result<EventType> parse_type(std::string_view text) {
  for (const auto type : {EventType::kAdded, EventType::kModified, EventType::kDeleted,
                          EventType::kBookmark, EventType::kError})
    if (text == to_string(type)) return type;
  return invalid("unknown type '" + std::string{text.substr(0, 32)} + "'");
}

Result<void> fill(WatchEvent& out, std::string_view type, Result<ParsedObject> parsed) {
  const auto parsed_type = parse_type(type);
  if (!parsed_type) return parsed_type.error();
  if (!parsed) return parsed.error();
  out.type = *parsed_type;
  out.object = std::move(parsed->object);
  out.status_code = out.type == EventType::kError ? parsed->status_code : 0;
  out.initial_events_end = out.type == EventType::kBookmark && parsed->initial_events_end;
  return {};
}

/// Bytes that came and were not cut into frames yet.
class Pending {
 public:
  void append(std::string_view bytes) {
    // What was used up is dropped here and not after each frame: a batch of frames moves once.
    if (start_ > 0) {
      bytes_.erase(0, start_);
      start_ = 0;
    }
    bytes_ += bytes;
  }
  [[nodiscard]] std::string_view view() const { return std::string_view{bytes_}.substr(start_); }
  void drop(std::size_t count) {
    start_ += count;
    if (start_ < bytes_.size()) return;
    bytes_.clear();
    start_ = 0;
    if (bytes_.capacity() > kKept) bytes_.shrink_to_fit();
  }

 private:
  static constexpr std::size_t kKept = 64 * 1024;  ///< an idle watch keeps no more
  std::string bytes_;
  std::size_t start_ = 0;
};

class DecoderBase : public WatchDecoder {
 public:
  void feed(std::string_view bytes) override {
    if (!dead_) pending_.append(bytes);
  }
  Result<bool> next(WatchEvent& out) override {
    if (dead_) return *dead_;
    auto read = read_frame(out);
    if (!read) dead_ = read.error();
    return read;
  }
  [[nodiscard]] std::size_t pending() const override { return pending_.view().size(); }

 protected:
  virtual Result<bool> read_frame(WatchEvent& out) = 0;
  static Error too_large() { return make_error(Errc::kTooLarge, "a watch event is too large"); }
  Pending pending_;

 private:
  std::optional<Error> dead_;
};

class JsonDecoder final : public DecoderBase {
  Result<bool> read_frame(WatchEvent& out) override {
    if (scanned_ == 0) {
      const auto start = pending_.view().find_first_not_of(" \t\r\n");
      if (start == std::string_view::npos) {
        pending_.drop(pending_.view().size());
        return false;
      }
      pending_.drop(start);
      if (pending_.view().front() != '{') return invalid("not an object");
    }
    const auto text = pending_.view();
    const auto end = scanner_.scan(text.substr(scanned_));
    const auto size = end == std::string_view::npos ? text.size() : scanned_ + end;
    if (size > kMaxFrame) return too_large();
    if (end == std::string_view::npos) {
      scanned_ = text.size();
      return false;
    }
    // The frame has a line end of its own: the server's may not be here yet.
    auto buffer = make_padded_buffer(size + 1);
    std::memcpy(buffer.get(), text.data(), size);
    buffer.get()[size] = '\n';
    pending_.drop(size);
    scanned_ = 0;
    const auto event = parse_json_event({buffer.get(), size});
    if (!event) return event.error();
    if (auto filled = fill(out, event->type, parse_json_object(event->object)); !filled)
      return filled.error();
    const char* data = buffer.get();
    out.frame = Slice{std::move(buffer), data, size + 1};
    return true;
  }

  JsonObjectScanner scanner_;
  std::size_t scanned_ = 0;  ///< bytes of the pending document that the scanner has seen
};

class ProtobufDecoder final : public DecoderBase {
  static constexpr std::size_t kPrefix = 4;

  Result<bool> read_frame(WatchEvent& out) override {
    const auto text = pending_.view();
    if (text.size() < kPrefix) return false;
    std::size_t size = 0;
    for (std::size_t i = 0; i < kPrefix; ++i)
      size = size << 8 | static_cast<unsigned char>(text[i]);
    if (size > kMaxFrame) return too_large();
    if (text.size() - kPrefix < size) return false;
    Slice frame = Slice::copy(text.substr(0, kPrefix + size));
    pending_.drop(frame.size());
    const auto event = read_protobuf_event(frame.sub(kPrefix));
    if (!event) return event.error();
    if (auto filled = fill(out, event->type, parse_protobuf_object(event->object)); !filled)
      return filled.error();
    out.frame = std::move(frame);
    return true;
  }
};

}  // namespace

std::string_view to_string(EventType type) {
  static constexpr std::array<std::string_view, 5> kNames{"ADDED", "MODIFIED", "DELETED",
                                                          "BOOKMARK", "ERROR"};
  return kNames[static_cast<std::size_t>(type)];
}

std::unique_ptr<WatchDecoder> WatchDecoder::create(Encoding encoding) {
  if (encoding == Encoding::kJson) return std::make_unique<JsonDecoder>();
  return std::make_unique<ProtobufDecoder>();
}

}  // namespace holdfast::kube
