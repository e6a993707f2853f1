#include <string>

#include "fuzz/fuzz.h"
#include "holdfast/kube/watch_event.h"
#include "watch/table.h"

using namespace holdfast;

/// Whatever Table was got, what a watch begins with is whole frames of a watch.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto start = watch::table_start(to_text(data, size));
  if (!start) return 0;
  claim(start->version != 0);
  const auto decoder = kube::WatchDecoder::create(kube::Encoding::kJson);
  decoder->feed(start->events);
  kube::WatchEvent event;
  while (true) {
    const auto more = decoder->next(event);
    claim(more.has_value());
    if (!*more) break;
    claim(event.type == kube::EventType::kAdded);
  }
  claim(decoder->pending() == 0);
  return 0;
}
