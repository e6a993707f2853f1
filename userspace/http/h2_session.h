#pragma once

#include <nghttp2/nghttp2.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "holdfast/base/event.h"
#include "holdfast/base/result.h"
#include "holdfast/http/message.h"
#include "holdfast/http/transport.h"
#include "http/block.h"
#include "http/children.h"
#include "http/slice_queue.h"

namespace holdfast::http {

/// What both ends keep of one HTTP/2 stream. Outlives the stream while somebody reads from it.
struct H2Stream {
  explicit H2Stream(Executor executor) : changed{executor} {}
  virtual ~H2Stream() = default;

  std::int32_t id = 0;
  Event changed;  ///< something below changed; few wait, so one event serves all

  SliceQueue in;               ///< received, not yet read
  std::size_t unreturned = 0;  ///< read, window not given back
  bool in_end = false;         ///< END_STREAM received, and the message is whole

  SliceQueue out;         ///< to be sent
  bool out_end = false;   ///< nothing is added to `out` any more
  bool out_sent = false;  ///< END_STREAM is on its way
  bool deferred = false;  ///< nghttp2 waits for more of `out`

  std::optional<Error> failure;  ///< no more will come or go
  [[nodiscard]] bool complete() const { return in_end && out_sent; }
};

/// An HTTP/2 connection without knowing which end it is: drives nghttp2, gathers its output in
/// blocks, accounts for windows. One coroutine reads, one writes; everything else only changes
/// nghttp2's state and calls `wake_writer`.
class H2Session {
 public:
  H2Session(const H2Session&) = delete;
  H2Session& operator=(const H2Session&) = delete;

 protected:
  /// DATA and its frame header fill one TLS record.
  static constexpr std::size_t kMaxData = 16 * 1024 - 9;
  /// The most that nghttp2 hands out at once: a full frame.
  static constexpr std::size_t kMaxFrame = 16 * 1024 + 9;

  explicit H2Session(std::shared_ptr<Transport> transport);
  virtual ~H2Session();

  /// Makes the nghttp2 session; the options common to both ends are set in here.
  void start(bool server, std::size_t header_bytes);

  /// Reads and writes until the connection ends or the owner cancels, then joins all children.
  /// `self` keeps this session alive for them.
  Task<> read_and_join(std::shared_ptr<void> self);
  Task<> read_loop();
  Task<> write_loop();
  /// After any change of nghttp2's state, or what it has to say may never leave.
  void wake_writer();
  /// Ends the connection now: all streams fail, the loops end.
  void fail(Error error);
  [[nodiscard]] bool failed() const { return failure_.has_value(); }
  /// GOAWAY with `code`; the connection ends once it is sent. A peer that does not read keeps it
  /// from being sent: `terminated_since` is for the owner's deadline.
  void terminate(std::uint32_t code);
  [[nodiscard]] const std::optional<SteadyClock::time_point>& terminated_since() const {
    return terminated_;
  }

  Task<Result<Slice>> read_body(std::shared_ptr<H2Stream> stream);
  Task<Result<void>> write_body(std::shared_ptr<H2Stream> stream, Slice bytes, bool end,
                                std::size_t window);
  void reset(H2Stream& stream, std::uint32_t code);
  /// Keeps `stream` until it closes, and finds it for callbacks.
  void attach(std::shared_ptr<H2Stream> stream);
  H2Stream* find(std::int32_t id) const;
  static nghttp2_data_provider provider(H2Stream& stream);
  static nghttp2_nv nv(std::string_view name, std::string_view value);

  // What nghttp2 tells. Nothing here may resume a coroutine or send.
  virtual void on_begin_headers(const nghttp2_frame& frame) = 0;
  virtual void on_header(const nghttp2_frame& frame, std::string_view name, std::string_view value,
                         bool valid) = 0;
  virtual void on_headers(const nghttp2_frame& frame) = 0;
  virtual void on_ping_ack(const std::uint8_t*) {}
  virtual void on_not_sent(const nghttp2_frame&) {}
  virtual void on_goaway(const nghttp2_frame&) {}
  virtual void on_end_sent(H2Stream&) {}
  /// The stream left the session; `failure` says why if it was cut short.
  virtual void on_closed(H2Stream& stream) = 0;
  /// After each batch of input.
  virtual void after_input() {}
  /// After each batch of output.
  virtual void after_output() {}
  virtual void on_failed() {}
  /// What a cut-short stream fails with.
  [[nodiscard]] virtual Error closed_error(std::uint32_t code) const = 0;

  std::shared_ptr<Transport> transport_;
  nghttp2_session* session_ = nullptr;
  std::unordered_map<std::int32_t, std::shared_ptr<H2Stream>> streams_;
  Children children_;
  SteadyClock::time_point last_received_ = SteadyClock::now();
  bool finishing_ = false;  ///< everything was said; waiting for the peer to hang up

 private:
  friend struct H2Callbacks;

  void receive(const Slice& bytes);
  [[nodiscard]] bool gather(Block& block);
  Task<> linger();
  void give_back(H2Stream& stream);
  [[nodiscard]] bool done() const;

  Event wake_;
  const Slice* incoming_ = nullptr;  // what nghttp2 is being fed with
  Block* gathering_ = nullptr;
  bool dirty_ = true;
  bool paused_ = false;
  std::optional<SteadyClock::time_point> terminated_;
  std::optional<Error> failure_;
};

}  // namespace holdfast::http
