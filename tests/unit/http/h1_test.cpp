// HTTP/1.1 as it looks on the wire.
#include "holdfast/http/upgrade.h"
#include "unit/http/harness.h"

namespace holdfast::http {
namespace {

using namespace std::chrono_literals;

class H1Test : public testing::Test {
 protected:
  /// What the server says to `input`, which may come in pieces of `piece` bytes.
  Task<std::string> say(std::string input, std::size_t piece = std::string::npos,
                        bool half_close = false) {
    auto pair = make_pair(io_.executor());
    ServerOptions options;
    options.handler = [this](std::shared_ptr<Exchange> exchange) { return handle(exchange); };
    (void)io_.serve(pair.server, "", std::move(options));
    for (std::size_t at = 0; at < input.size();) {
      const std::string part = input.substr(at, piece);
      at += part.size();
      const auto sent = co_await pair.client->write(Slice::copy(part));
      if (!sent) break;
      if (piece != std::string::npos) (void)co_await event_.wait_for(1us);
    }
    if (half_close) (void)co_await pair.client->shutdown();
    const auto answer = co_await read_all(std::shared_ptr<Transport>{pair.client});
    EXPECT_TRUE(answer);
    co_return answer ? *answer : "";
  }

  /// "METHOD target body" of each request.
  Task<> handle(std::shared_ptr<Exchange> exchange) {
    if (exchange->request().target == "/unread") {
      co_await respond_text(exchange, "never mind");
      co_return;
    }
    const auto body = co_await read_all(exchange);
    if (!body) {
      body_error_ = body.error();
      co_return;
    }
    std::string text = exchange->request().method + " " + exchange->request().target + " " + *body;
    for (const auto& field : exchange->request().headers) text += " " + field.name;
    ResponseHead head;
    head.headers.add("content-length", std::to_string(text.size()));
    (void)co_await exchange->respond(std::move(head), false);
    (void)co_await exchange->write(Slice::own(std::move(text)), true);
  }

  /// What our client makes of a server that answers `answer` and hangs up.
  Task<Result<Reply>> hear(std::string answer, std::string method = "GET") {
    auto pair = make_pair(io_.executor());
    auto client = io_.connect(pair.client, "http/1.1");
    (void)co_await pair.server->write(Slice::own(std::move(answer)));
    (void)co_await pair.server->shutdown();
    auto reply = co_await get(client, "/", std::move(method));
    pair.server->close();
    co_return reply;
  }

  IoTest io_;
  Event event_{io_.executor()};
  std::optional<Error> body_error_;
};

TEST_F(H1Test, RefusesWhatCouldBeReadInTwoWays) {
  auto main = [&]() -> Task<> {
    for (const std::string input : {
             "GET / HTTP/1.1\r\n\r\n",  // no Host
             "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: "
             "chunked\r\n\r\n0\r\n\r\n",
             "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: "
             "3\r\n\r\n0\r\n\r\n",
             "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
             "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
             "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
             "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx",
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx",
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nx",
             "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\nx",
             "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nb@d: x\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n",
             "GET / HTTP/1.1\nHost: a\n\n\r\n\r\n",
             "GET / HTTP/1.1\r\nHost: a\r\nx: \r\r\n\r\n",
             "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET / HTTP/2.0\r\nHost: a\r\n\r\n",
             "G@T / HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET pods HTTP/1.1\r\nHost: a\r\n\r\n",
             "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
             "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
             "garbage garbage garbage\r\n\r\n",
         }) {
      const auto answer = co_await say(input);
      EXPECT_TRUE(answer.starts_with("HTTP/1.1 400 Bad Request\r\n")) << input << answer;
      EXPECT_NE(answer.find("connection: close\r\n"), std::string::npos);
      EXPECT_NE(answer.find(R"({"kind":"Status","apiVersion":"v1")"), std::string::npos);
    }
    std::string nul = "GET / HTTP/1.1\r\nHost: a\r\nx: a";
    nul += '\0';
    const auto answer = co_await say(nul + "b\r\n\r\n");
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 400")) << answer;
  };
  io_.run(main());
}

TEST_F(H1Test, AnswersPipelinedRequestsInTheirOrder) {
  auto main = [&]() -> Task<> {
    const std::string input =
        "\r\nPOST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none"
        "POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
        "3;x=y\r\ntwo\r\n5\r\n-more\r\n0\r\nX-Trailer: t\r\n\r\n"
        "GET http://h/c?d HTTP/1.1\r\nHost: h\r\nX-Hop: 1\r\nConnection: x-hop, close\r\n\r\n";
    for (const std::size_t piece : {std::string::npos, std::size_t{1}, std::size_t{7}}) {
      const auto answer = co_await say(input, piece);
      const auto a = answer.find("POST /a one");
      const auto b = answer.find("POST /b two-more");
      const auto c = answer.find("GET /c?d ");
      EXPECT_NE(c, std::string::npos) << answer;
      EXPECT_TRUE(a < b && b < c) << answer;
      EXPECT_EQ(answer.find("x-hop"), std::string::npos) << "named by Connection";
      EXPECT_EQ(answer.find("x-trailer"), std::string::npos);
    }
  };
  io_.run(main());
}

TEST_F(H1Test, SaysContinueWhenTheBodyIsWanted) {
  auto main = [&]() -> Task<> {
    auto pair = make_pair(io_.executor());
    ServerOptions options;
    options.handler = [this](std::shared_ptr<Exchange> exchange) { return handle(exchange); };
    (void)io_.serve(pair.server, "http/1.1", std::move(options));
    const std::string head =
        "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n";
    (void)co_await pair.client->write(Slice::own(head + "\r\n"));
    const auto go = co_await pair.client->read();
    EXPECT_EQ(go->view(), "HTTP/1.1 100 Continue\r\n\r\n");
    // The second client does not wait, and needs no answer to that.
    (void)co_await pair.client->write(Slice::own("one" + head + "Connection: close\r\n\r\ntwo"));
    const auto rest = (co_await read_all(std::shared_ptr<Transport>{pair.client})).value();
    EXPECT_NE(rest.find("POST / one"), std::string::npos) << rest;
    EXPECT_NE(rest.find("POST / two"), std::string::npos) << rest;
    EXPECT_EQ(rest.find("100 Continue"), std::string::npos) << rest;
    EXPECT_EQ(rest.find("expect"), std::string::npos) << rest;
  };
  io_.run(main());
}

TEST_F(H1Test, HalfARequestIsNoRequest) {
  auto main = [&]() -> Task<> {
    const auto head = co_await say("GET / HTTP/1.1\r\nHost", std::string::npos, true);
    EXPECT_EQ(head, "");
    for (const std::string body :
         {"Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"}) {
      body_error_.reset();
      const auto answer =
          co_await say("POST / HTTP/1.1\r\nHost: h\r\n" + body, std::string::npos, true);
      EXPECT_EQ(answer, "");
      // Cancelled before it could see it, or told.
      if (body_error_) {
        EXPECT_EQ(body_error_->code, make_error_code(Errc::kReset));
      }
    }
  };
  io_.run(main());
}

TEST_F(H1Test, TheClientTellsAWholeAnswerFromACutOne) {
  struct Case {
    const char* answer;
    bool whole;
    const char* body;
  };
  auto main = [&]() -> Task<> {
    for (const auto& [answer, whole, body] : {
             Case{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody", true, "body"},
             Case{"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
                  true, "body"},
             Case{"HTTP/1.1 200 OK\r\nTransfer-Encoding: "
                  "chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
                  true, "body"},
             Case{"HTTP/1.1 200 OK\r\n\r\nbody", true, "body"},
             Case{"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", true, ""},
             Case{"HTTP/1.1 204 No Content\r\n\r\n", true, ""},
             Case{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbody", false, ""},
             Case{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", false, ""},
             Case{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n", false,
                  ""},
             Case{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbod", false, ""},
             Case{"HTTP/1.1 200 OK\r\nContent-Le", false, ""},
             Case{"", false, ""},
             Case{"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nbody", false, ""},
             Case{"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nTransfer-Encoding: "
                  "chunked\r\n\r\n0\r\n\r\n",
                  false, ""},
             Case{"garbage\r\n\r\n", false, ""},
         }) {
      const auto reply = co_await hear(answer);
      EXPECT_EQ(reply.has_value(), whole) << answer;
      if (reply) {
        EXPECT_EQ(reply->body, body) << answer;
      }
    }
  };
  io_.run(main());
}

TEST_F(H1Test, NoLengthIsAnnouncedForABodyThatIsNotSent) {
  auto main = [&]() -> Task<> {
    for (const auto* method : {"GET", "POST"}) {
      auto pair = make_pair(io_.executor());
      auto client = io_.connect(pair.client, "http/1.1");
      auto head = request_head(method, "/");
      head.headers.add("content-length", "5");
      const auto stream = co_await client->open(std::move(head), true);
      EXPECT_TRUE(stream);
      const auto said = co_await pair.server->read();
      EXPECT_EQ(said->view().find("content-length: 5"), std::string::npos) << said->view();
      pair.server->close();
    }
  };
  io_.run(main());
}

TEST_F(H1Test, AnUpgradeHandsBothEndsOver) {
  Event done{io_.executor()};
  bool ended = false;
  auto handler = [&](std::shared_ptr<Exchange> exchange) -> Task<> {
    EXPECT_EQ(exchange->request().upgrade, "SPDY/3.1");
    EXPECT_EQ(exchange->request().headers.get("x-stream-protocol-version"), "v4.channel.k8s.io");
    EXPECT_FALSE(exchange->request().headers.has("connection"));
    if (exchange->request().target == "/refused") {
      ResponseHead head;
      head.status = 403;
      (void)co_await exchange->respond(std::move(head), false);
      (void)co_await exchange->write(Slice::own("no"), true);
      co_return;
    }
    ResponseHead head;
    head.headers.add("x-answer", "yes");
    auto upgraded = co_await exchange->upgrade(std::move(head));
    EXPECT_TRUE(upgraded);
    std::shared_ptr<Transport> transport = std::move(*upgraded);
    // Half-close is real: all of it is read, then answered.
    const auto all = co_await read_all(transport);
    EXPECT_TRUE(all);
    (void)co_await transport->write(Slice::own("got " + all.value()));
    (void)co_await transport->shutdown();
    const auto end = co_await transport->read();
    ended = true;
    done.notify_all();
  };
  auto main = [&]() -> Task<> {
    auto head = request_head("POST", "/exec");
    head.upgrade = "SPDY/3.1";
    head.headers.add("x-stream-protocol-version", "v4.channel.k8s.io");
    ServerOptions options;
    options.handler = handler;
    {
      auto pair = make_pair(io_.executor());
      (void)io_.serve(pair.server, "http/1.1", options);
      const auto outcome = co_await upgrade_request(pair.client, head);
      EXPECT_TRUE(outcome);
      EXPECT_EQ(outcome->head.status, 101u);
      EXPECT_EQ(outcome->head.headers.get("upgrade"), "SPDY/3.1");
      EXPECT_EQ(outcome->head.headers.get("x-answer"), "yes");
      // Through a tunnel, as the agent does it.
      auto outer = make_pair(io_.executor());
      TunnelTotals totals;
      auto relay = [](std::shared_ptr<Transport> a, std::shared_ptr<Transport> b,
                      TunnelTotals* to) -> Task<> { *to = co_await tunnel(a, b); };
      Nursery nursery{io_.executor()};
      nursery.spawn("tunnel", relay(outer.server, outcome->transport, &totals));
      (void)co_await outer.client->write(Slice::own(std::string(300'000, 'u')));
      (void)co_await outer.client->shutdown();
      const auto back = co_await read_all(std::shared_ptr<Transport>{outer.client});
      EXPECT_TRUE(back);
      EXPECT_EQ(back->size(), 300'004u);
      co_await nursery.join();
      EXPECT_EQ(totals.to_server, 300'000u);
      EXPECT_EQ(totals.to_client, 300'004u);
      while (!ended) co_await done.wait();
    }
    {
      auto pair = make_pair(io_.executor());
      (void)io_.serve(pair.server, "http/1.1", options);
      head.target = "/refused";
      const auto outcome = co_await upgrade_request(pair.client, head);
      EXPECT_TRUE(outcome);
      EXPECT_EQ(outcome->head.status, 403u);
      EXPECT_EQ(outcome->transport, nullptr);
      const auto body = co_await outcome->body->read();
      EXPECT_EQ(body->view(), "no");
      const auto end = co_await outcome->body->read();
      EXPECT_TRUE(end->empty());
    }
  };
  io_.run(main());
}

TEST_F(H1Test, DeadlinesEndConnectionsThatDoNothing) {
  auto main = [&]() -> Task<> {
    ServerOptions options;
    options.handler = [this](std::shared_ptr<Exchange> exchange) { return handle(exchange); };
    options.limits.first_byte_timeout = 1s;
    options.limits.header_timeout = 1s;
    options.limits.idle_timeout = 1s;
    std::vector<std::shared_ptr<TcpTransport>> clients;
    for (const std::string alpn : {"", "http/1.1", "h2"}) {
      for (const std::string& input :
           {std::string{}, std::string{"GET /"}, std::string{"PRI * HTTP/2.0\r\n"},
            std::string{"GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
            std::string{"PUT /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"}}) {
        auto pair = make_pair(io_.executor());
        (void)io_.serve(pair.server, alpn, options);
        if (!input.empty()) (void)co_await pair.client->write(Slice::copy(input));
        clients.push_back(pair.client);
      }
    }
    for (const auto& client : clients) {
      for (;;) {
        const auto bytes = co_await client->read();
        if (!bytes || bytes->empty()) break;
      }
      client->close();
    }
  };
  io_.run(main());
}

}  // namespace
}  // namespace holdfast::http
