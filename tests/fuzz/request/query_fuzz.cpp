#include <algorithm>
#include <string>

#include "fuzz/fuzz.h"
#include "request/query_string.h"

using namespace holdfast;

/// What is set is there once and in front, what is removed is gone, and doing it again changes
/// nothing.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto target = to_text(data, size);
  const auto rewrite = [](std::string_view text) {
    return request::rewrite_query(text, {{"watch", ""}, {"resourceVersion", "7"}});
  };
  const auto once = rewrite(target);
  claim(rewrite(once) == once);
  const auto path = target.substr(0, target.find('?'));
  claim(once.starts_with(std::string{path} + "?resourceVersion=7"));
  auto rest = std::string_view{once}.substr(path.size() + 1);
  int versions = 0;
  while (!rest.empty()) {
    const auto pair = rest.substr(0, rest.find('&'));
    const auto name = pair.substr(0, pair.find('='));
    claim(name != "watch");
    if (name == "resourceVersion") ++versions;
    rest.remove_prefix(std::min(pair.size() + 1, rest.size()));
  }
  claim(versions == 1);
  return 0;
}
