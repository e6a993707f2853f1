#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"
#include "holdfast/kube/object.h"

namespace holdfast::kube {

enum class EventType : std::uint8_t { kAdded, kModified, kDeleted, kBookmark, kError };
std::string_view to_string(EventType type);

struct WatchEvent {
  EventType type = EventType::kAdded;
  Object object;             ///< for kError: a Status; only `status_code` of it is read
  unsigned status_code = 0;  ///< kError: Status.code, e.g. 410
  bool initial_events_end =
      false;    ///< BOOKMARK annotated k8s.io/initial-events-end: "true" (KEP-3157)
  Slice frame;  ///< the event's own bytes, framing included, to pass on untouched
};

/// Cuts a watch's body into frames: JSON documents one after another; protobuf with 4-byte
/// big-endian lengths. Holds at most one frame.
class WatchDecoder {
 public:
  static constexpr std::size_t kMaxFrame = 16 * 1024 * 1024;  ///< bytes; beyond: kTooLarge

  static std::unique_ptr<WatchDecoder> create(Encoding encoding);
  virtual ~WatchDecoder() = default;

  virtual void feed(std::string_view bytes) = 0;
  /// The next whole event; nullopt-like `false` when more bytes are needed. kTooLarge,
  /// kInvalidArgument.
  virtual Result<bool> next(WatchEvent& out) = 0;
  /// Bytes of an unfinished frame: a stream that ends here was cut short.
  [[nodiscard]] virtual std::size_t pending() const = 0;
};

/// One frame, ready for the wire. `body` is an object in canonical form.
std::string render_event(Encoding encoding, EventType type, const TypeMeta& object_type,
                         std::string_view body);
/// A BOOKMARK of that kind at `version`.
std::string render_bookmark(Encoding encoding, const TypeMeta& object_type, ResourceVersion version,
                            bool initial_events_end);
/// An ERROR event that carries `status`.
std::string render_error_event(Encoding encoding, const Status& status);

}  // namespace holdfast::kube
