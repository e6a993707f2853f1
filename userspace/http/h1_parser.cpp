#include "http/h1_parser.h"

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/status.hpp>
#include <limits>
#include <utility>

#include "http/block.h"
#include "http/fields.h"

namespace holdfast::http {
namespace {

namespace beast = boost::beast;
using beast::string_view;
using ErrorCode = beast::error_code;

// Chunk headers and trailers: what is kept of a line that has not ended.
constexpr std::size_t kMaxLine = 16 * 1024;
// Enough to end a chunk header that was cut, without copying the body behind it.
constexpr std::size_t kLinePiece = 64;
// "0\r\n\r\n": Beast takes for granted that it is not shown less of it twice
// (basic_parser.ipp, 1.81).
constexpr std::size_t kShortestEnd = 5;

std::string lower(string_view text) {
  std::string out{text.data(), text.size()};
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

std::string str(string_view text) {
  return {text.data(), text.size()};
}

bool may_be_last_chunk(std::string_view bytes) {
  if (bytes.starts_with("\r\n")) bytes.remove_prefix(2);  // the end of the chunk before
  return bytes.starts_with('0');
}

template <bool kRequest>
class Parser final : public H1Parser, private beast::http::basic_parser<kRequest> {
  using Base = beast::http::basic_parser<kRequest>;

 public:
  Parser(std::size_t header_bytes, bool to_head) : header_bytes_{header_bytes} {
    Base::eager(true);
    Base::skip(to_head);
    Base::body_limit(boost::none);
    Base::header_limit(static_cast<std::uint32_t>(
        std::min<std::size_t>(header_bytes, std::numeric_limits<std::uint32_t>::max() / 2)));
  }

  Result<std::size_t> feed(const Slice& bytes, SliceQueue& body) override {
    body_ = &body;
    const std::string_view all = bytes.view();
    std::size_t used = 0;
    if (!started_) {
      while (used < all.size() && (all[used] == '\r' || all[used] == '\n')) ++used;  // §2.2
      if (used == all.size()) return used;
      started_ = true;
    }
    while (used < all.size() && !done()) {
      const std::string_view rest = all.substr(used);
      if (pending_.empty()) {
        whole_ = &bytes;
        auto taken = put(rest);
        whole_ = nullptr;
        if (!taken) return taken.error();
        if (done()) return used + *taken;
        pending_.assign(rest.substr(*taken));
        return all.size();
      }
      const std::size_t before = pending_.size();
      const std::size_t piece = head_done() ? std::min(rest.size(), kLinePiece) : rest.size();
      pending_.append(rest.substr(0, piece));
      if (head_done() && pending_.size() < kShortestEnd && may_be_last_chunk(pending_)) {
        used += piece;
        continue;
      }
      auto taken = put(pending_);
      if (!taken) return taken.error();
      if (done()) return used + *taken - before;
      used += piece;
      pending_.erase(0, *taken);
      if (head_done() && pending_.size() > kMaxLine) {
        return make_error(Errc::kTooLarge, "chunk header or trailer too long");
      }
    }
    return used;
  }

  Result<void> finish() override {
    if (done()) return {};
    ErrorCode ec;
    if (started_ && head_done()) {
      Base::put_eof(ec);
      if (!ec) return {};
    }
    return make_error(Errc::kReset, "the connection ended within a message");
  }

  bool head_done() const override { return Base::is_header_done(); }
  bool done() const override { return Base::is_done(); }
  const H1Framing& framing() const override { return framing_; }

  Result<RequestHead> take_request() override {
    const auto bad = [](const char* why) { return make_error(Errc::kProtocol, why); };
    if (bad_coding_) return bad("unsupported Transfer-Encoding");
    if (hosts_ > 1 || (hosts_ == 0 && !framing_.http10)) return bad("not exactly one Host field");
    RequestHead& head = request_;
    head.version = Version::kHttp11;
    if (head.method == "CONNECT") return bad("CONNECT is not supported");
    if (head.target != "*" && !head.target.starts_with('/') && !to_origin_form(head)) {
      return bad("malformed request target");
    }
    const bool upgrade = list_has_token(head.headers.joined("connection"), "upgrade");
    // h2c is an offer that every server may ignore (RFC 9113 §3.1 has dropped it).
    std::string protocols = head.headers.joined("upgrade");
    if (upgrade && !framing_.http10 && !list_has_token(protocols, "h2c")) {
      head.upgrade = std::move(protocols);
    }
    strip_hop_by_hop(head.headers);
    return std::move(head);
  }

  ResponseHead take_response() override {
    std::string protocol{response_.headers.get("upgrade")};
    strip_hop_by_hop(response_.headers);
    if (response_.status == 101) response_.headers.add("upgrade", std::move(protocol));
    return std::move(response_);
  }

 private:
  Result<std::size_t> put(std::string_view bytes) {
    ErrorCode ec;
    const std::size_t taken = Base::put({bytes.data(), bytes.size()}, ec);
    if (ec == beast::http::error::header_limit) {
      return make_error(Errc::kTooLarge, "the head is too large");
    }
    if (ec && ec != beast::http::error::need_more) return make_error(Errc::kProtocol, ec.message());
    if (head_done() && bad_coding_) {
      return make_error(Errc::kProtocol, "unsupported Transfer-Encoding");
    }
    return taken;
  }

  // "http://host/path" (RFC 9112 §3.2.2): its host counts, not the field.
  static bool to_origin_form(RequestHead& head) {
    const auto scheme = head.target.find("://");
    if (scheme == std::string::npos) return false;
    const auto name = lower({head.target.data(), scheme});
    if (name != "http" && name != "https") return false;
    const auto host = scheme + 3;
    const auto path = head.target.find_first_of("/?", host);
    head.authority = head.target.substr(host, path - host);
    if (head.authority.empty()) return false;
    std::string target = path == std::string::npos ? "" : head.target.substr(path);
    head.target = target.starts_with('/') ? target : "/" + target;
    return true;
  }

  Headers& headers() {
    if constexpr (kRequest) {
      return request_.headers;
    } else {
      return response_.headers;
    }
  }

  void on_request_impl(beast::http::verb, string_view method, string_view target, int version,
                       ErrorCode& ec) override {
    ec = {};
    request_.method = str(method);
    request_.target = str(target);
    framing_.http10 = version == 10;
  }

  void on_response_impl(int code, string_view, int version, ErrorCode& ec) override {
    ec = {};
    response_.status = static_cast<unsigned>(code);
    framing_.http10 = version == 10;
  }

  void on_field_impl(beast::http::field, string_view name, string_view value,
                     ErrorCode& ec) override {
    ec = {};
    if (fields_done_) return;  // trailers are dropped
    // Beast's own limit holds for what it has not taken yet, a line or a few.
    taken_ += name.size() + value.size() + 4;
    if (taken_ > header_bytes_) {
      ec = beast::http::error::header_limit;
      return;
    }
    std::string key = lower(name);
    if (key == "transfer-encoding") {
      // Beast skips codings that it does not know, and so would take the body for the next head.
      if (lower(value) != "chunked" || framing_.http10) bad_coding_ = true;
      return;
    }
    if (kRequest && key == "host") {
      ++hosts_;
      request_.authority = str(value);
      return;
    }
    if (kRequest && key == "expect") {
      framing_.expects_continue = list_has_token({value.data(), value.size()}, "100-continue");
      return;
    }
    // A list of equal lengths passes the parser; one goes on.
    if (key == "content-length" && headers().has(key)) return;
    headers().add(std::move(key), str(value));
  }

  void on_header_impl(ErrorCode& ec) override {
    ec = {};
    fields_done_ = true;
    if (headers().has("content-length")) {
      headers().set("content-length", std::to_string(Base::content_length().value_or(0)));
    }
    framing_.keep_alive = Base::keep_alive();
    framing_.until_eof = Base::need_eof();
  }

  void on_body_init_impl(boost::optional<std::uint64_t> const&, ErrorCode& ec) override { ec = {}; }

  std::size_t on_body_impl(string_view part, ErrorCode& ec) override {
    ec = {};
    const std::string_view bytes{part.data(), part.size()};
    body_->push(whole_ != nullptr ? keep(*whole_, bytes) : Slice::copy(bytes));
    return part.size();
  }

  void on_chunk_header_impl(std::uint64_t, string_view, ErrorCode& ec) override { ec = {}; }

  std::size_t on_chunk_body_impl(std::uint64_t, string_view part, ErrorCode& ec) override {
    return on_body_impl(part, ec);
  }

  void on_finish_impl(ErrorCode& ec) override { ec = {}; }

  RequestHead request_;
  ResponseHead response_;
  H1Framing framing_;
  std::string pending_;  // a head or a line that has not ended
  SliceQueue* body_ = nullptr;
  const Slice* whole_ = nullptr;  // what is being parsed, if it can be shared
  std::size_t header_bytes_;
  std::size_t taken_ = 0;  // of them
  unsigned hosts_ = 0;
  bool started_ = false;
  bool fields_done_ = false;
  bool bad_coding_ = false;
};

}  // namespace

std::unique_ptr<H1Parser> H1Parser::request(std::size_t header_bytes) {
  return std::make_unique<Parser<true>>(header_bytes, false);
}

std::unique_ptr<H1Parser> H1Parser::response(std::size_t header_bytes, bool to_head) {
  return std::make_unique<Parser<false>>(header_bytes, to_head);
}

std::string_view reason_phrase(unsigned status) {
  const auto phrase = beast::http::obsolete_reason(static_cast<beast::http::status>(status));
  return {phrase.data(), phrase.size()};
}

}  // namespace holdfast::http
