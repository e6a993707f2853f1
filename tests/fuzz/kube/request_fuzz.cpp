#include "fuzz/fuzz.h"
#include "holdfast/kube/media_type.h"
#include "holdfast/kube/request_attributes.h"

using namespace holdfast::kube;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = to_text(data, size);
  for (const char* method : {"GET", "POST", "DELETE"}) {
    const auto request = parse_request(method, text);
    claim(!request || !request->path.empty());
    claim(!request || !request->is_read() || request->resource_request);
  }
  // What is left of an Accept header means the same; nothing is left of what means nothing.
  claim(parse_accept(text).empty() == restrict_accept(text).empty());
  return 0;
}
