#include "fuzz/fuzz.h"
#include "holdfast/kube/watch_event.h"

using namespace holdfast;
using namespace holdfast::kube;

namespace {

std::size_t decode(Encoding encoding, std::string_view text, std::size_t piece) {
  const auto decoder = WatchDecoder::create(encoding);
  std::size_t events = 0;
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size()))) {
    decoder->feed(text.substr(0, piece));
    for (;;) {
      WatchEvent event;
      const auto got = decoder->next(event);
      if (!got) return events;
      if (!*got) break;
      claim(!event.frame.empty());
      ++events;
    }
  }
  return events;
}

}  // namespace

/// As many events are found in pieces of any size.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto text = to_text(data, size);
  const auto piece = take_piece(text);
  for (const auto encoding : {Encoding::kJson, Encoding::kProtobuf})
    claim(decode(encoding, text, text.size() + 1) == decode(encoding, text, piece));
  return 0;
}
