#include "cache/records.h"

#include "fuzz/fuzz.h"

using namespace holdfast::cache;

namespace {

// What could be read is written, and read as the same.
template <typename Decode>
void round_trip(std::string_view bytes, Decode decode) {
  const auto record = decode(bytes);
  if (!record) return;
  const auto written = encode(*record);
  const auto again = decode(written);
  claim(again.has_value() && encode(*again) == written);
}

}  // namespace

/// Records come from a disk that may be damaged.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = to_text(data, size);
  round_trip(bytes, decode_collection);
  round_trip(bytes, decode_member);
  round_trip(bytes, [](std::string_view text) { return decode_body(std::string{text}); });
  round_trip(bytes, decode_get);
  round_trip(bytes, decode_group);
  round_trip(bytes, decode_document);
  (void)encode(decode_references(bytes));
  return 0;
}
