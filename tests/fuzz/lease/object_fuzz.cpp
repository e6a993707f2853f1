#include "lease/object.h"

#include "fuzz/fuzz.h"

using namespace holdfast;
using namespace holdfast::lease;

/// An edit changes what it names and nothing else.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = to_text(data, size);
  for (const auto encoding : {kube::Encoding::kJson, kube::Encoding::kProtobuf}) {
    const auto lease = parse_lease(encoding, text);
    if (!lease) continue;
    const RenewTime later{std::chrono::seconds{1800000000} + std::chrono::microseconds{123456}};
    const auto renewed = with_renew_time(encoding, text, later);
    const auto versioned = with_resource_version(encoding, text, 4711);
    claim(renewed.has_value() && versioned.has_value());
    const auto one = parse_lease(encoding, *renewed);
    const auto other = parse_lease(encoding, *versioned);
    claim(one.has_value() && other.has_value());
    claim(one->renewed == later && one->resource_version == lease->resource_version);
    claim(other->renewed == lease->renewed && other->resource_version == 4711);
    for (const auto* edited : {&*one, &*other}) {
      claim(edited->uid == lease->uid && edited->holder == lease->holder);
      claim(edited->duration == lease->duration && edited->rest == lease->rest);
    }
  }
  return 0;
}
