#include "read/inflate.h"

#include <gtest/gtest.h>

#include <string>

namespace holdfast::read {
namespace {

std::string gzip(const std::string& text) {
  z_stream stream{};
  deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = text.size();
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = out.size();
  deflate(&stream, Z_FINISH);
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

class InflateChunks : public testing::TestWithParam<std::size_t> {};

TEST_P(InflateChunks, GivesTheTextBack) {
  std::string text;
  for (int i = 0; i < 50'000; ++i) text += "item " + std::to_string(i * 7919) + "\n";
  const auto packed = gzip(text);
  Inflater inflater;
  std::string out;
  for (std::size_t at = 0; at < packed.size(); at += GetParam()) {
    const auto part = std::string_view{packed}.substr(at, GetParam());
    ASSERT_TRUE(inflater.feed(part, [&](Slice block) {
      EXPECT_LE(block.size(), Inflater::kBlock);
      out += block.view();
    }));
  }
  EXPECT_TRUE(inflater.finished());
  EXPECT_EQ(out, text);
}
INSTANTIATE_TEST_SUITE_P(Sizes, InflateChunks, testing::Values(1, 7, 4096, 1 << 20));

TEST(Inflate, TellsACutBodyFromAWholeOne) {
  const auto packed = gzip(std::string(100'000, 'x'));
  Inflater inflater;
  const auto ignore = [](Slice) {};
  ASSERT_TRUE(inflater.feed(std::string_view{packed}.substr(0, packed.size() - 4), ignore));
  EXPECT_FALSE(inflater.finished());
}

TEST(Inflate, RefusesWhatIsNotGzip) {
  Inflater inflater;
  EXPECT_FALSE(inflater.feed("{\"kind\":\"PodList\"}", [](Slice) {}));
}

}  // namespace
}  // namespace holdfast::read
