#include <optional>
#include <vector>

#include "fuzz/fuzz.h"
#include "holdfast/kube/list.h"

using namespace holdfast;
using namespace holdfast::kube;

namespace {

struct List {
  ListMeta meta;
  std::vector<Object> items;
};

std::optional<List> split(Encoding encoding, std::string_view text, std::size_t piece) {
  List out;
  const auto splitter = ListSplitter::create(encoding, [&](Object item) -> Result<void> {
    out.items.push_back(std::move(item));
    return {};
  });
  for (; !text.empty(); text.remove_prefix(std::min(piece, text.size())))
    if (!splitter->feed(text.substr(0, piece))) return std::nullopt;
  auto meta = splitter->finish();
  if (!meta) return std::nullopt;
  out.meta = std::move(*meta);
  return out;
}

}  // namespace

/// What could be split is the same in pieces of any size, and again after it was rendered.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto text = to_text(data, size);
  const auto piece = take_piece(text);
  const auto encoding = text.starts_with("k8s") ? Encoding::kProtobuf : Encoding::kJson;
  const auto whole = split(encoding, text, text.size() + 1);
  const auto pieces = split(encoding, text, piece);
  claim(whole.has_value() == pieces.has_value());
  if (!whole) return 0;
  claim(whole->items.size() == pieces->items.size());

  ListRenderer renderer{encoding, whole->meta};
  std::size_t bytes = 0;
  for (const auto& item : whole->items)
    bytes += ListRenderer::item_size(encoding, item.body.size());
  auto rendered = renderer.begin(bytes);
  for (const auto& item : whole->items) renderer.item(rendered, item.type, item.body.view());
  rendered += renderer.end();
  const auto again = split(encoding, rendered, piece);
  claim(again.has_value() && again->items.size() == whole->items.size());
  for (std::size_t i = 0; i < whole->items.size(); ++i) {
    claim(again->items[i].body.view() == whole->items[i].body.view());
    claim(again->items[i].meta.name == whole->items[i].meta.name);
    claim(again->items[i].type == whole->items[i].type);
  }
  return 0;
}
