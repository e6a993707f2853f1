// What holds for both HTTP versions, plain and under TLS.
#include "unit/http/harness.h"

namespace holdfast::http {
namespace {

using namespace std::chrono_literals;

struct Mode {
  const char* alpn;
  bool tls;
};

class ExchangeTest : public testing::TestWithParam<Mode> {
 protected:
  [[nodiscard]] bool h2() const { return std::string_view{GetParam().alpn} == "h2"; }
  Task<IoTest::Both> link(Handler handler, ClientLimits limits = {}) {
    ServerOptions options;
    options.handler = std::move(handler);
    return io_.link(GetParam().alpn, GetParam().tls, std::move(options), limits);
  }
  IoTest io_;
  Event event_{io_.executor()};
};

INSTANTIATE_TEST_SUITE_P(Modes, ExchangeTest,
                         testing::Values(Mode{"h2", false}, Mode{"h2", true},
                                         Mode{"http/1.1", false}, Mode{"http/1.1", true}),
                         [](const auto& info) {
                           return std::string{info.param.alpn[1] == '2' ? "H2" : "H1"} +
                                  (info.param.tls ? "Tls" : "Plain");
                         });

Task<> echo(std::shared_ptr<Exchange> exchange) {
  ResponseHead head;
  head.headers = {{"x-method", exchange->request().method},
                  {"x-target", exchange->request().target},
                  {"x-authority", exchange->request().authority},
                  {"x-token", std::string{exchange->request().headers.get("authorization")}}};
  (void)co_await exchange->respond(std::move(head), false);
  for (;;) {
    auto bytes = co_await exchange->read();
    if (!bytes) co_return;
    const bool end = bytes->empty();
    const auto sent = co_await exchange->write(std::move(*bytes), end);
    if (end || !sent) co_return;
  }
}

TEST_P(ExchangeTest, AnswersGetAndPost) {
  auto main = [&]() -> Task<> {
    auto both = co_await link(echo);
    auto head = request_head("GET", "/api/v1/pods?limit=500&x=%2F");
    head.headers = {{"authorization", "Bearer x"}, {"accept", "application/json"}};
    auto stream = co_await both.client->open(std::move(head), true);
    EXPECT_TRUE(stream);
    const auto reply = co_await (*stream)->response();
    EXPECT_TRUE(reply);
    EXPECT_EQ(reply->status, 200u);
    EXPECT_EQ(reply->headers.get("x-method"), "GET");
    EXPECT_EQ(reply->headers.get("x-target"), "/api/v1/pods?limit=500&x=%2F");
    EXPECT_EQ(reply->headers.get("x-authority"), "localhost");
    EXPECT_EQ(reply->headers.get("x-token"), "Bearer x");
    EXPECT_FALSE(reply->headers.has("transfer-encoding"));
    EXPECT_EQ((co_await read_all(stream->get())).value(), "");
    for (int i = 0; i < 3; ++i) {
      const auto posted = co_await get(both.client, "/p", "POST", "hello " + std::to_string(i));
      EXPECT_TRUE(posted);
      EXPECT_EQ(posted->body, "hello " + std::to_string(i));
    }
    EXPECT_EQ(both.server->served(), 4u);
  };
  io_.run(main());
}

TEST_P(ExchangeTest, CarriesLargeBodiesBothWays) {
  auto main = [&]() -> Task<> {
    auto both = co_await link(echo);
    std::string body(10 << 20, 'x');
    for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 2654435761u >> 7);
    auto stream = co_await both.client->open(request_head("POST", "/"), false);
    EXPECT_TRUE(stream);
    Nursery writer{io_.executor()};
    ClientStream* raw = stream->get();
    auto send = [](ClientStream* to, const std::string* bytes) -> Task<> {
      for (std::size_t at = 0; at < bytes->size(); at += 100'000) {
        const auto part = std::string_view{*bytes}.substr(at, 100'000);
        const auto sent = co_await to->write(Slice::copy(part), at + part.size() == bytes->size());
        EXPECT_TRUE(sent) << sent.error().to_string();
      }
    };
    writer.spawn("writer", send(raw, &body));
    EXPECT_TRUE(co_await raw->response());
    const auto got = co_await read_all(raw);
    EXPECT_TRUE(got);
    EXPECT_TRUE(*got == body);
    co_await writer.join();
  };
  io_.run(main());
}

TEST_P(ExchangeTest, ASlowReaderStallsItselfWithinAWindow) {
  std::size_t written = 0;
  auto handler = [&](std::shared_ptr<Exchange> exchange) -> Task<> {
    if (exchange->request().target == "/small") {
      co_await respond_text(exchange, "small");
      co_return;
    }
    (void)co_await exchange->respond({}, false);
    for (int i = 0; i < 2000; ++i) {
      const auto sent = co_await exchange->write(Slice::own(std::string(16'000, 'x')), false);
      if (!sent) co_return;
      written += 16'000;
      event_.notify_all();
    }
    (void)co_await exchange->write({}, true);
  };
  auto main = [&]() -> Task<> {
    ClientLimits limits;
    limits.stream_window = 128 * 1024;
    auto both = co_await link(handler, limits);
    auto slow = co_await both.client->open(request_head("GET", "/big"), true);
    EXPECT_TRUE(co_await (*slow)->response());
    // Until nothing moves any more.
    while (co_await event_.wait_for(300ms)) {
    }
    const std::size_t stalled_at = written;
    if (h2()) {
      EXPECT_LE(stalled_at, 128 * 1024 + Exchange::kWriteWindow + 32'000);
      // Nobody else on this connection is disturbed.
      for (int i = 0; i < 20; ++i) {
        const auto reply = co_await get(both.client, "/small");
        EXPECT_TRUE(reply);
        EXPECT_EQ(reply->body, "small");
      }
      EXPECT_TRUE(co_await both.client->ping(5s));
    } else {
      EXPECT_LE(stalled_at, 16u << 20);  // the kernel's buffers
    }
    EXPECT_EQ(written, stalled_at);
    const auto rest = co_await read_all(slow->get());
    EXPECT_TRUE(rest);
    EXPECT_EQ(rest->size(), 2000u * 16'000);
  };
  io_.run(main());
}

TEST_P(ExchangeTest, AClientThatGivesUpCancelsItsHandler) {
  bool cancelled = false;
  bool waiting = false;
  auto handler = [&](std::shared_ptr<Exchange> exchange) -> Task<> {
    struct Guard {
      bool& cancelled;
      Event& event;
      ~Guard() {
        cancelled = true;
        event.notify_all();
      }
    } guard{cancelled, event_};
    (void)co_await exchange->respond({}, false);
    waiting = true;
    event_.notify_all();
    Event never{io_.executor()};
    for (;;) co_await never.wait();
  };
  auto main = [&]() -> Task<> {
    auto both = co_await link(handler);
    auto stream = co_await both.client->open(request_head("GET", "/watch"), true);
    EXPECT_TRUE(co_await (*stream)->response());
    while (!waiting) co_await event_.wait();
    stream->reset();
    while (!cancelled) co_await event_.wait();
    EXPECT_EQ(both.server->active(), 0u);
    if (h2()) {
      EXPECT_TRUE(both.client->usable());
    }
  };
  io_.run(main());
}

TEST_P(ExchangeTest, ACutResponseIsNeverTakenForAWholeOne) {
  auto handler = [&](std::shared_ptr<Exchange> exchange) -> Task<> {
    const auto& how = exchange->request().target;
    ResponseHead head;
    if (how.starts_with("/length")) head.headers.add("content-length", "1000");
    (void)co_await exchange->respond(std::move(head), false);
    (void)co_await exchange->write(Slice::own("some"), false);
    if (how.ends_with("abort")) exchange->abort();
    if (how.ends_with("throw")) throw std::runtime_error{"expected by the test"};
    if (how.ends_with("short")) {
      const auto sent = co_await exchange->write(Slice::own("end"), true);
      EXPECT_EQ(how.starts_with("/length"), !sent);
    }
  };
  auto main = [&]() -> Task<> {
    for (const char* how : {"/abort", "/length-abort", "/throw", "/length-throw", "/return",
                            "/length-return", "/length-short"}) {
      auto both = co_await link(handler);
      auto stream = co_await both.client->open(request_head("GET", how), true);
      const auto head = co_await (*stream)->response();
      const auto body = co_await read_all(stream->get());
      EXPECT_FALSE(body) << how;
      if (!body) {
        EXPECT_EQ(body.error().code, make_error_code(Errc::kReset)) << how;
      }
    }
  };
  io_.run(main());
}

TEST_P(ExchangeTest, BodilessAnswersStaySo) {
  auto handler = [&](std::shared_ptr<Exchange> exchange) -> Task<> {
    ResponseHead head;
    if (exchange->request().target == "/204") head.status = 204;
    if (exchange->request().target == "/304") head.status = 304;
    if (exchange->request().target == "/length") head.headers.add("content-length", "5");
    (void)co_await exchange->respond(std::move(head), false);
    EXPECT_TRUE(co_await exchange->write(Slice::own("12345"), true));
  };
  auto main = [&]() -> Task<> {
    auto both = co_await link(handler);
    for (const char* target : {"/204", "/304"}) {
      const auto reply = co_await get(both.client, target);
      EXPECT_TRUE(reply);
      EXPECT_EQ(reply->body, "");
    }
    for (const char* target : {"/length", "/"}) {
      const auto reply = co_await get(both.client, target, "HEAD");
      EXPECT_TRUE(reply);
      EXPECT_EQ(reply->body, "");
      EXPECT_EQ(reply->head.headers.has("content-length"), std::string{target} == "/length");
    }
    const auto full = co_await get(both.client, "/length");
    EXPECT_TRUE(full);
    EXPECT_EQ(full->body, "12345");
  };
  io_.run(main());
}

TEST_P(ExchangeTest, AHandlerThatSaysNothingYieldsAStatus) {
  auto handler = [](std::shared_ptr<Exchange>) -> Task<> { co_return; };
  auto main = [&]() -> Task<> {
    auto both = co_await link(handler);
    const auto reply = co_await get(both.client, "/");
    EXPECT_TRUE(reply);
    EXPECT_EQ(reply->head.status, 500u);
    EXPECT_NE(reply->body.find(R"("kind":"Status")"), std::string::npos);
    EXPECT_NE(reply->body.find(R"("code":500)"), std::string::npos);
  };
  io_.run(main());
}

TEST_P(ExchangeTest, TooManyHeaderBytesAre431) {
  auto handler = [](std::shared_ptr<Exchange> exchange) -> Task<> {
    co_await respond_text(exchange, "ok");
  };
  auto main = [&]() -> Task<> {
    auto both = co_await link(handler);
    auto head = request_head("GET", "/");
    for (int i = 0; i < 100; ++i)
      head.headers.add("x-" + std::to_string(i), std::string(1000, 'h'));
    auto stream = co_await both.client->open(std::move(head), true);
    const auto reply = co_await (*stream)->response();
    EXPECT_TRUE(reply);
    EXPECT_EQ(reply->status, 431u);
    const auto body = co_await read_all(stream->get());
    EXPECT_TRUE(body);
    EXPECT_NE(body->find(R"("kind":"Status")"), std::string::npos);
    if (h2()) {
      const auto next = co_await get(both.client, "/");
      EXPECT_TRUE(next) << "the connection is not to blame";
    }
  };
  io_.run(main());
}

TEST_P(ExchangeTest, DrainLetsRunningRequestsEnd) {
  bool go = false;
  auto handler = [&](std::shared_ptr<Exchange> exchange) -> Task<> {
    (void)co_await exchange->respond({}, false);
    while (!go) co_await event_.wait();
    (void)co_await exchange->write(Slice::own("late"), true);
  };
  auto main = [&]() -> Task<> {
    auto both = co_await link(handler);
    auto stream = co_await both.client->open(request_head("GET", "/"), true);
    EXPECT_TRUE(co_await (*stream)->response());
    both.server->drain();
    while (h2() && both.client->usable()) co_await event_.wait_for(1ms);
    go = true;
    event_.notify_all();
    const auto body = co_await read_all(stream->get());
    EXPECT_TRUE(body);
    EXPECT_EQ(*body, "late");
    while (both.client->usable()) co_await event_.wait_for(1ms);
    const auto refused = co_await both.client->open(request_head("GET", "/"), true);
    EXPECT_FALSE(refused);
    EXPECT_EQ(refused.error().code, make_error_code(Errc::kUnavailable));
  };
  io_.run(main());
}

TEST_P(ExchangeTest, TheOwnerCanCancelAConnection) {
  bool ended = false;
  auto handler = [&](std::shared_ptr<Exchange> exchange) -> Task<> {
    struct Guard {
      bool& ended;
      ~Guard() { ended = true; }
    } guard{ended};
    (void)co_await exchange->respond({}, false);
    (void)co_await exchange->read();
    Event never{io_.executor()};
    for (;;) co_await never.wait();
  };
  auto main = [&]() -> Task<> {
    auto both = co_await link(handler);
    auto stream = co_await both.client->open(request_head("GET", "/"), true);
    EXPECT_TRUE(co_await (*stream)->response());
    io_.nursery().cancel();
    co_await io_.nursery().join();
    EXPECT_TRUE(ended);
    EXPECT_EQ(both.server->active(), 0u);
    const auto body = co_await read_all(stream->get());
    EXPECT_FALSE(body);
  };
  io_.run(main());
}

}  // namespace
}  // namespace holdfast::http
