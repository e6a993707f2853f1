#include "fuzz/fuzz.h"
#include "holdfast/kube/selector.h"

using namespace holdfast::kube;

/// A selector's canonical text is a selector, and its own canonical text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto text = to_text(data, size);
  if (const auto labels = LabelSelector::parse(text)) {
    const auto again = LabelSelector::parse(labels->canonical());
    claim(again.has_value() && again->canonical() == labels->canonical());
    const LabelSelector::Labels set{{"a", "1"}, {"b", ""}};
    claim(again->matches(set) == labels->matches(set));
  }
  if (const auto fields = FieldSelector::parse(text)) {
    const auto again = FieldSelector::parse(fields->canonical());
    claim(again.has_value() && again->canonical() == fields->canonical());
    claim(again->matches_metadata("a", "b") == fields->matches_metadata("a", "b"));
  }
  return 0;
}
