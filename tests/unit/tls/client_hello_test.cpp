#include "holdfast/tls/client_hello.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tls/openssl.h"

namespace holdfast::tls {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct HelloOptions {
  const char* name = nullptr;
  std::string alpn;  ///< wire format
  int version = TLS1_3_VERSION;
};

/// The first flight of a real client.
std::string capture_hello(const HelloOptions& options) {
  const ContextPtr context{SSL_CTX_new(TLS_client_method())};
  SSL_CTX_set_max_proto_version(context.get(), options.version);
  const SslPtr ssl{SSL_new(context.get())};
  if (options.name != nullptr) SSL_set_tlsext_host_name(ssl.get(), options.name);
  if (!options.alpn.empty()) {
    SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(options.alpn.data()),
                        static_cast<unsigned>(options.alpn.size()));
  }
  BIO* out = BIO_new(BIO_s_mem());
  SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), out);
  SSL_connect(ssl.get());
  return bio_text(out);
}

/// The same handshake bytes in records of `size` bytes each.
std::string split_records(const std::string& stream, std::size_t size) {
  const auto message = stream.substr(5);
  std::string result;
  for (std::size_t at = 0; at < message.size(); at += size) {
    const auto part = message.substr(at, size);
    result += std::string{"\x16\x03\x01", 3};
    result += static_cast<char>(part.size() >> 8);
    result += static_cast<char>(part.size() & 0xff);
    result += part;
  }
  return result;
}

/// A record with a ClientHello whose extensions are these bytes.
std::string hello_with(const std::string& extensions, bool with_extensions = true) {
  std::string body = std::string{"\x03\x03", 2} + std::string(32, 'r') + std::string(1, '\0') +
                     std::string{"\x00\x02\x13\x01", 4} + std::string{"\x01\x00", 2};
  const auto u16 = [](std::size_t n) {
    return std::string{static_cast<char>(n >> 8), static_cast<char>(n & 0xff)};
  };
  if (with_extensions) body += u16(extensions.size()) + extensions;
  const auto message = std::string{"\x01\x00", 2} + u16(body.size()) + body;
  return std::string{"\x16\x03\x01", 3} + u16(message.size()) + message;
}

std::string extension(int type, const std::string& body) {
  return std::string{static_cast<char>(type >> 8), static_cast<char>(type & 0xff),
                     static_cast<char>(body.size() >> 8), static_cast<char>(body.size() & 0xff)} +
         body;
}

TEST(ClientHelloTest, NameAndProtocolsOfARealClient) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const auto bytes = capture_hello({.name = "Kubernetes.Default.SVC",
                                      .alpn = std::string{"\x02h2\x08http/1.1"},
                                      .version = version});
    const auto result = parse_client_hello(bytes);
    ASSERT_EQ(result.status, PeekStatus::kHello);
    EXPECT_EQ(result.hello.server_name, "kubernetes.default.svc");
    EXPECT_THAT(result.hello.alpn, ElementsAre("h2", "http/1.1"));
  }
}

TEST(ClientHelloTest, WithoutNameOrProtocols) {
  const auto result = parse_client_hello(capture_hello({}));
  ASSERT_EQ(result.status, PeekStatus::kHello);
  EXPECT_EQ(result.hello.server_name, "");
  EXPECT_THAT(result.hello.alpn, IsEmpty());
}

TEST(ClientHelloTest, BytesAfterTheHelloDoNotMatter) {
  auto bytes = capture_hello({.name = "a.b"});
  bytes += "early data or whatever";
  EXPECT_EQ(parse_client_hello(bytes).status, PeekStatus::kHello);
}

TEST(ClientHelloTest, SplitIntoManyRecords) {
  const auto whole = capture_hello({.name = "kubernetes", .alpn = std::string{"\x02h2"}});
  for (const std::size_t size : {1, 3, 7, 64, 200}) {
    const auto result = parse_client_hello(split_records(whole, size));
    ASSERT_EQ(result.status, PeekStatus::kHello) << size;
    EXPECT_EQ(result.hello.server_name, "kubernetes");
    EXPECT_THAT(result.hello.alpn, ElementsAre("h2"));
  }
}

TEST(ClientHelloTest, EveryPrefixAsksForMoreAndNeverForLess) {
  for (const auto& stream : {capture_hello({.name = "kubernetes"}),
                             split_records(capture_hello({.name = "kubernetes"}), 11)}) {
    for (std::size_t size = 0; size < stream.size(); ++size) {
      const auto result = parse_client_hello(std::string_view{stream}.substr(0, size));
      ASSERT_EQ(result.status, PeekStatus::kNeedMore) << size;
      ASSERT_GT(result.need, size);
      ASSERT_LE(result.need, stream.size());
    }
  }
}

TEST(ClientHelloTest, OtherProtocolsAreNotTls) {
  const std::string ssl2{"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", 11};
  for (const auto& bytes :
       {std::string{"GET / HTTP/1.1\r\n"}, std::string{"G"}, ssl2, std::string{"SSH-2.0-OpenSSH"},
        std::string(100, '\0'), std::string{"\x16\x02\x00\x00\x05", 5}, std::string{"\x15\x03"}}) {
    EXPECT_EQ(parse_client_hello(bytes).status, PeekStatus::kNotTls)
        << testing::PrintToString(bytes);
  }
}

TEST(ClientHelloTest, HelloWithoutExtensions) {
  EXPECT_EQ(parse_client_hello(hello_with("", false)).status, PeekStatus::kHello);
  EXPECT_EQ(parse_client_hello(hello_with("")).status, PeekStatus::kHello);
}

TEST(ClientHelloTest, Malformed) {
  const std::string name{"\x00\x04\x00\x00\x01x", 6};
  struct Case {
    const char* what;
    std::string bytes;
  };
  const Case cases[] = {
      {"empty record", std::string{"\x16\x03\x01\x00\x00", 5}},
      {"record above 16 KiB", std::string{"\x16\x03\x01\x40\x01", 5}},
      {"a ServerHello", std::string{"\x16\x03\x01\x00\x04\x02\x00\x00\x00", 9}},
      {"hello above 64 KiB", std::string{"\x16\x03\x01\x00\x04\x01\x01\x00\x01", 9}},
      {"empty hello", std::string{"\x16\x03\x01\x00\x04\x01\x00\x00\x00", 9}},
      {"alert in between",
       std::string{"\x16\x03\x01\x00\x04\x01\x00\x00\x30\x15\x03\x01\x00\x02", 14}},
      {"name twice", hello_with(extension(0, name) + extension(0, name))},
      {"empty name", hello_with(extension(0, std::string{"\x00\x03\x00\x00\x00", 5}))},
      {"two names in one list",
       hello_with(extension(0, std::string{"\x00\x08\x00\x00\x01x\x00\x00\x01y", 10}))},
      {"name longer than its list",
       hello_with(extension(0, std::string{"\x00\x04\x00\x00\x09x", 6}))},
      {"ALPN with an empty entry", hello_with(extension(16, std::string{"\x00\x01\x00", 3}))},
      {"extension longer than the hello", hello_with(std::string{"\x00\x00\x00\x20xx", 6})},
      {"half an extension", hello_with(std::string{"\x00\x00\x00", 3})},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(parse_client_hello(c.bytes).status, PeekStatus::kMalformed) << c.what;
  }
}

TEST(ClientHelloTest, ManyTinyRecordsAreBounded) {
  // A hello of 60 KiB in records of one byte: 360 KiB on the wire.
  std::string stream;
  PeekResult result;
  const auto record = [&](char byte) { stream += std::string{"\x16\x03\x01\x00\x01", 5} + byte; };
  for (const char byte : {'\x01', '\x00', '\xf0', '\x00'}) record(byte);
  while ((result = parse_client_hello(stream)).status == PeekStatus::kNeedMore &&
         stream.size() < 1'000'000) {
    for (int i = 0; i < 1000; ++i) record('x');
  }
  EXPECT_EQ(result.status, PeekStatus::kMalformed);
  EXPECT_LT(stream.size(), 200'000U);
}

TEST(ClientHelloTest, AnyBytesAreSurvived) {
  std::mt19937 random{20260101};
  const auto seed = capture_hello({.name = "kubernetes", .alpn = std::string{"\x02h2"}});
  for (int round = 0; round < 50'000; ++round) {
    auto bytes = round % 3 == 0 ? split_records(seed, 1 + random() % 90) : seed;
    for (auto changes = random() % 5; changes > 0; --changes) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
    }
    bytes.resize(random() % 4 == 0 ? random() % (bytes.size() + 1) : bytes.size());
    const auto result = parse_client_hello(bytes);
    if (result.status == PeekStatus::kNeedMore) {
      ASSERT_GT(result.need, bytes.size());
    }
  }
}

}  // namespace
}  // namespace holdfast::tls
