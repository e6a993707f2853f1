// What only HTTP/2 can do, or suffer.
#include "unit/http/harness.h"

namespace holdfast::http {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// An empty SETTINGS frame.
const std::string kSettings{"\0\0\0\4\0\0\0\0\0", 9};

class H2Test : public testing::Test {
 protected:
  Task<> answer(std::shared_ptr<Exchange> exchange) {
    if (exchange->request().target == "/wait") {
      ++waiting_;
      struct Guard {
        std::size_t& waiting;
        ~Guard() { --waiting; }
      } guard{waiting_};
      most_ = std::max(most_, waiting_);
      Event never{io_.executor()};
      for (;;) co_await never.wait();
    }
    if (exchange->request().target == "/refuse") {
      exchange->refuse();
      co_return;
    }
    co_await respond_text(exchange, "ok");
  }
  ServerOptions options() {
    ServerOptions options;
    options.handler = [this](std::shared_ptr<Exchange> exchange) { return answer(exchange); };
    return options;
  }
  /// What the server says to raw `input` until it hangs up.
  Task<std::string> say(std::string alpn, std::string input) {
    auto pair = make_pair(io_.executor());
    (void)io_.serve(pair.server, std::move(alpn), options());
    (void)co_await pair.client->write(Slice::own(std::move(input)));
    const auto said = co_await read_all(std::shared_ptr<Transport>{pair.client});
    EXPECT_TRUE(said) << said.error().to_string();
    co_return said ? *said : "";
  }
  static bool has_goaway(std::string_view bytes) {
    while (bytes.size() >= 9) {
      const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
      const std::size_t size = at(0) << 16 | at(1) << 8 | at(2);
      if (at(3) == 7) return true;
      if (bytes.size() < 9 + size) return false;
      bytes.remove_prefix(9 + size);
    }
    return false;
  }

  IoTest io_;
  Event event_{io_.executor()};
  std::size_t waiting_ = 0;
  std::size_t most_ = 0;
};

TEST_F(H2Test, GarbageIsAnsweredWithGoaway) {
  auto main = [&]() -> Task<> {
    const std::string preface = std::string{kPreface} + kSettings;
    const std::string junk(200, '\x5a');
    for (const std::string& input :
         {std::string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n"}, preface + junk,
          preface + std::string{"\0\0\4\1\5\0\0\0\1\xff\xff\xff\xff", 13},  // not HPACK
          preface + std::string{"\0\0\1\0\0\0\0\0\1x", 10},                 // DATA of no stream
          preface + std::string{"\xff\xff\xff\0\0\0\0\0\1", 9}}) {          // frame too large
      const auto said = co_await say("h2", input);
      EXPECT_TRUE(has_goaway(said)) << input;
    }
  };
  io_.run(main());
}

TEST_F(H2Test, APingFloodDoesNotGrowTheQueue) {
  auto main = [&]() -> Task<> {
    std::string flood = std::string{kPreface} + kSettings;
    for (int i = 0; i < 100'000; ++i) flood += std::string{"\0\0\x08\6\0\0\0\0\0abcdefgh", 17};
    auto pair = make_pair(io_.executor());
    auto server = io_.serve(pair.server, "h2", options());
    // The client never reads: the answers pile up, up to a bound. Then the server hangs up.
    const auto sent = co_await pair.client->write(Slice::own(std::move(flood)));
    for (;;) {
      const auto bytes = co_await pair.client->read();
      if (!bytes || bytes->empty()) break;
      if (sent) {
        pair.client->close();
        break;
      }
    }
  };
  io_.run(main());
}

TEST_F(H2Test, HalfAHeadHasADeadline) {
  auto main = [&]() -> Task<> {
    auto pair = make_pair(io_.executor());
    auto slow = options();
    slow.limits.header_timeout = 1s;
    (void)io_.serve(pair.server, "h2", slow);
    // HEADERS without END_HEADERS; the CONTINUATION never comes.
    (void)co_await pair.client->write(
        Slice::own(std::string{kPreface} + kSettings + std::string{"\0\0\1\1\1\0\0\0\1\x82", 10}));
    const auto said = co_await read_all(std::shared_ptr<Transport>{pair.client});
    EXPECT_TRUE(said);
    EXPECT_TRUE(has_goaway(*said));
  };
  io_.run(main());
}

TEST_F(H2Test, MalformedFieldsAre400) {
  auto main = [&]() -> Task<> {
    auto both = co_await io_.link("h2", false, options());
    for (const Header& bad : {Header{"bad name", "x"}, Header{"x", std::string{"a\0b", 3}}}) {
      auto head = request_head("GET", "/");
      head.headers.add(bad.name, bad.value);
      auto stream = co_await both.client->open(std::move(head), true);
      const auto reply = co_await (*stream)->response();
      EXPECT_TRUE(reply);
      EXPECT_EQ(reply->status, 400u);
    }
    const auto fine = co_await get(both.client, "/");
    EXPECT_TRUE(fine);
  };
  io_.run(main());
}

TEST_F(H2Test, AHugeFieldEndsThatConnectionAlone) {
  auto main = [&]() -> Task<> {
    auto victim = co_await io_.link("h2", true, options());
    auto other = co_await io_.link("h2", true, options());
    auto head = request_head("GET", "/");
    head.headers.add("x-huge", std::string(100'000, 'h'));
    auto stream = co_await victim.client->open(std::move(head), true);
    if (stream) {
      const auto reply = co_await (*stream)->response();
      if (reply) {
        EXPECT_EQ(reply->status, 431u);
      }
    }
    EXPECT_TRUE(co_await get(other.client, "/"));
  };
  io_.run(main());
}

TEST_F(H2Test, RapidResetsAreBounded) {
  auto main = [&]() -> Task<> {
    auto both = co_await io_.link("h2", false, options());
    std::size_t opened = 0;
    std::vector<std::unique_ptr<ClientStream>> batch;
    while (opened < 20'000 && both.client->usable()) {
      auto stream = co_await both.client->open(request_head("GET", "/wait"), true);
      if (!stream) break;
      batch.push_back(std::move(*stream));
      ++opened;
      if (batch.size() < 50) continue;
      const auto sent = co_await both.client->ping(5s);  // behind the requests
      if (!sent) break;
      batch.clear();
    }
    batch.clear();
    EXPECT_LT(opened, 20'000u) << "never stopped";
    EXPECT_LE(most_, 500u);
    while (waiting_ > 0) co_await event_.wait_for(1ms);
  };
  io_.run(main());
}

TEST_F(H2Test, AStalledUploadHoldsAWindow) {
  bool read_now = false;
  std::size_t received = 0;
  auto handler = [&](std::shared_ptr<Exchange> exchange) -> Task<> {
    if (exchange->request().method == "POST") {
      while (!read_now) co_await event_.wait();
      const auto body = co_await read_all(exchange);
      EXPECT_TRUE(body);
      received = body->size();
    }
    co_await respond_text(exchange, "ok");
  };
  auto main = [&]() -> Task<> {
    ServerOptions options;
    options.handler = handler;
    auto both = co_await io_.link("h2", true, options);
    auto stream = co_await both.client->open(request_head("POST", "/"), false);
    std::size_t sent = 0;
    auto upload = [](ClientStream* to, std::size_t* total) -> Task<> {
      for (int i = 0; i < 300; ++i) {
        const auto done = co_await to->write(Slice::own(std::string(10'000, 'x')), i == 299);
        EXPECT_TRUE(done);
        *total += 10'000;
      }
    };
    Nursery nursery{io_.executor()};
    nursery.spawn("upload", upload(stream->get(), &sent));
    for (int i = 0; i < 50; ++i) EXPECT_TRUE(co_await get(both.client, "/"));
    EXPECT_LE(sent, 600'000u);
    read_now = true;
    event_.notify_all();
    const auto reply = co_await (*stream)->response();
    EXPECT_TRUE(reply);
    EXPECT_EQ(received, 3'000'000u);
    co_await nursery.join();
  };
  io_.run(main());
}

TEST_F(H2Test, AnAnswerBeforeTheEndOfTheUploadArrives) {
  auto main = [&]() -> Task<> {
    auto both = co_await io_.link("h2", true, options());
    auto stream = co_await both.client->open(request_head("POST", "/"), false);
    const auto reply = co_await (*stream)->response();
    EXPECT_TRUE(reply);
    const auto body = co_await read_all(stream->get());
    EXPECT_TRUE(body);
    EXPECT_EQ(*body, "ok");
    // What was on its way is taken and dropped: some clients take a reset for a failure.
    const auto sent = co_await (*stream)->write(Slice::copy("rest"), true);
    EXPECT_TRUE(sent);
  };
  io_.run(main());
}

TEST_F(H2Test, ARefusedRequestMayBeSentAgain) {
  auto main = [&]() -> Task<> {
    auto both = co_await io_.link("h2", false, options());
    const auto refused = co_await get(both.client, "/refuse", "POST", "body");
    EXPECT_FALSE(refused);
    EXPECT_EQ(refused.error().code, make_error_code(Errc::kUnavailable));
    const auto other = co_await get(both.client, "/");
    EXPECT_TRUE(other);
  };
  io_.run(main());
}

TEST_F(H2Test, StreamsBeyondTheLimitAreRefusedUnsent) {
  auto main = [&]() -> Task<> {
    auto limited = options();
    limited.limits.max_streams = 3;
    auto both = co_await io_.link("h2", false, limited);
    EXPECT_TRUE(co_await both.client->ping(5s));  // its SETTINGS came before
    std::vector<std::unique_ptr<ClientStream>> open;
    for (int i = 0; i < 3; ++i) {
      auto stream = co_await both.client->open(request_head("GET", "/wait"), true);
      EXPECT_TRUE(stream);
      open.push_back(std::move(*stream));
    }
    EXPECT_FALSE(both.client->usable());
    const auto refused = co_await both.client->open(request_head("GET", "/wait"), true);
    EXPECT_FALSE(refused);
    EXPECT_EQ(refused.error().code, make_error_code(Errc::kUnavailable));
    open.clear();
    while (!both.client->usable()) co_await event_.wait_for(1ms);
  };
  io_.run(main());
}

// The shape in which wake-ups were once lost: several connections, many streams each, through a
// hop, with windows smaller than the bodies.
class ThroughAHop : public H2Test, public testing::WithParamInterface<const char*> {
 protected:
  Task<> forward(std::shared_ptr<Exchange> exchange, std::shared_ptr<ClientConnection> upstream) {
    auto head = exchange->request();
    auto stream = co_await upstream->open(std::move(head), true);
    if (!stream) co_return;
    auto reply = co_await (*stream)->response();
    if (!reply) co_return;
    (void)co_await exchange->respond(std::move(*reply), false);
    for (;;) {
      auto bytes = co_await (*stream)->read();
      if (!bytes) co_return;
      const bool end = bytes->empty();
      const auto sent = co_await exchange->write(std::move(*bytes), end);
      if (end || !sent) co_return;
    }
  }
  Task<> fetch(std::shared_ptr<ClientConnection> client, std::string target) {
    const auto reply = co_await get(std::move(client), std::move(target));
    EXPECT_TRUE(reply) << reply.error().to_string();
    if (reply && reply->body == std::string(200'000, 'b')) ++right_;
  }
  std::size_t right_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Windows, ThroughAHop, testing::Values("tls", "plain"));

TEST_P(ThroughAHop, NoWakeUpIsLost) {
  const bool tls = std::string_view{GetParam()} == "tls";
  auto main = [&]() -> Task<> {
    ServerOptions backend;
    backend.handler = [](std::shared_ptr<Exchange> exchange) -> Task<> {
      co_await respond_text(exchange, std::string(200'000, 'b'));
    };
    ClientLimits small;
    small.stream_window = 32 * 1024;
    auto upstream = co_await io_.link("h2", tls, backend, small);
    // 4 × 100 streams over 4 + 4 connections, 100 at a time on each.
    std::vector<std::shared_ptr<ClientConnection>> upstreams{upstream.client};
    for (int i = 0; i < 3; ++i) {
      const auto more = co_await io_.link("h2", tls, backend, small);
      upstreams.push_back(more.client);
    }
    Nursery nursery{io_.executor()};
    for (int i = 0; i < 4; ++i) {
      ServerOptions hop;
      hop.handler = [this, to = upstreams[static_cast<std::size_t>(i)]](
                        std::shared_ptr<Exchange> exchange) { return forward(exchange, to); };
      const auto front = co_await io_.link("h2", tls, hop, small);
      for (int j = 0; j < 100; ++j) nursery.spawn("fetch", fetch(front.client, "/x"));
    }
    co_await nursery.join();
    EXPECT_EQ(right_, 400u);
  };
  io_.run(main());
}

}  // namespace
}  // namespace holdfast::http
