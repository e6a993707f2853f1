#include "fuzz/fuzz.h"
#include "writes/event_object.h"
#include "writes/token_request.h"

using namespace holdfast;
using namespace holdfast::writes;

/// A TokenRequest has one canonical text, and what is kept of its answer is what was given. An
/// Event that is taken is an object again, under the name that its client was told.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = to_text(data, size);
  for (const auto encoding : {kube::Encoding::kJson, kube::Encoding::kProtobuf}) {
    if (const auto spec = read_token_spec(encoding, Slice::copy(text))) {
      claim(spec->canonical() == read_token_spec(encoding, Slice::copy(text))->canonical());
    }
    if (const auto answer = read_token_answer(encoding, Slice::copy(text))) {
      const auto kept = TokenAnswer::unpack(answer->pack());
      claim(kept.has_value() && kept->body == answer->body && kept->expires == answer->expires);
      claim(!replay(*answer, answer->expires).has_value());
      if (const auto replayed = replay(*answer, 0)) {
        claim(read_token_answer(encoding, Slice::copy(*replayed)).has_value());
      }
    }
    const Invented invented{.suffix = "abcde", .uid = "u", .created = 1800000000};
    const auto taken =
        take_event(encoding, Slice::copy(text), {"", "v1", "events"}, "default", invented);
    if (!taken) continue;
    const auto answer = kube::parse_object(encoding, Slice::copy(taken->answer));
    claim(answer.has_value() && answer->meta.name == taken->name && answer->meta.ns == "default");
    const auto upload = kube::parse_object(encoding, Slice::copy(taken->upload));
    claim(upload.has_value() && upload->meta.name == taken->name);
  }
  (void)TokenAnswer::unpack(text);
  return 0;
}
