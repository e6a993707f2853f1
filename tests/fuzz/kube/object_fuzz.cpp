#include <nlohmann/json.hpp>

#include "fuzz/fuzz.h"
#include "holdfast/kube/object.h"

using namespace holdfast;
using namespace holdfast::kube;

namespace {

bool same(const ObjectMeta& one, const ObjectMeta& other) {
  return one.name == other.name && one.ns == other.ns && one.uid == other.uid &&
         one.resource_version == other.resource_version && one.labels == other.labels;
}

}  // namespace

/// What could be read is rendered as the same object, again and again.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  for (const auto encoding : {Encoding::kJson, Encoding::kProtobuf}) {
    const auto object = parse_object(encoding, Slice::copy(to_text(data, size)));
    if (!object) continue;
    // What is skipped is not checked (simdjson's On Demand): text that is no JSON may be taken.
    if (encoding == Encoding::kJson && !nlohmann::json::accept(to_text(data, size))) continue;
    const auto again = parse_object(
        encoding, Slice::own(render_object(encoding, object->type, object->body.view())));
    claim(again.has_value());
    claim(again->type == object->type && same(again->meta, object->meta));
    claim(again->body.view() == object->body.view());
  }
  return 0;
}
