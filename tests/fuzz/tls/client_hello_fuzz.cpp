#include "fuzz/fuzz.h"
#include "holdfast/tls/client_hello.h"

using namespace holdfast::tls;

/// A prefix asks for more or says what the whole says: the verdict does not hang on how the bytes
/// arrive. What is asked for is always more than what is there, and bounded.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = to_text(data, size);
  const auto whole = parse_client_hello(bytes);
  for (std::size_t length = 0; length < size; length += 1 + length / 8) {
    const auto part = parse_client_hello(bytes.substr(0, length));
    if (part.status == PeekStatus::kNeedMore) {
      claim(part.need > length && part.need <= 128 * 1024);
    } else {
      claim(part.status == whole.status);
      claim(part.hello.server_name == whole.hello.server_name);
      claim(part.hello.alpn == whole.hello.alpn);
    }
  }
  if (whole.status == PeekStatus::kNeedMore) claim(whole.need > size);
  return 0;
}
