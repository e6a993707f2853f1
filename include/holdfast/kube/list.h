#pragma once

#include <functional>
#include <memory>
#include <string>

#include "holdfast/base/result.h"
#include "holdfast/kube/object.h"

namespace holdfast::kube {

/// What a list says about itself.
struct ListMeta {
  TypeMeta type;  ///< e.g. {"v1", "PodList"}
  std::string resource_version;
  std::string continue_token;  ///< not empty: more pages follow
};

/// Splits a list's body into its items while it streams by, holding at most one item: a 200 MB list
/// costs no more than its largest object. JSON (minified or pretty) and protobuf.
class ListSplitter {
 public:
  static constexpr std::size_t kMaxItem = 16 * 1024 * 1024;  ///< bytes; beyond: kTooLarge

  using OnItem = std::function<Result<void>(Object)>;
  static std::unique_ptr<ListSplitter> create(Encoding encoding, OnItem on_item);
  virtual ~ListSplitter() = default;

  /// The next piece of the body. kInvalidArgument, kTooLarge or what `on_item` returned; the
  /// splitter is dead afterwards.
  virtual Result<void> feed(std::string_view bytes) = 0;
  /// At the body's end: kInvalidArgument when the list was cut short.
  virtual Result<ListMeta> finish() = 0;
};

/// Renders a list answer piece by piece: begin, items, end. Items follow without separators of the
/// caller's own. Protobuf needs the total size of all items' bodies in advance (the envelope's
/// length prefix): the sum of `item_size`.
class ListRenderer {
 public:
  ListRenderer(Encoding encoding, ListMeta meta);
  /// The bytes that an item of that body size takes up in the output (protobuf: tag and length).
  [[nodiscard]] static std::size_t item_size(Encoding encoding, std::size_t body_size);
  /// `items_bytes`: the sum of item_size over all items; not used for JSON.
  [[nodiscard]] std::string begin(std::size_t items_bytes) const;
  /// Appends one item. `type` is written into JSON items only when it is not empty (custom
  /// resources' list items carry theirs, typed lists' don't).
  void item(std::string& out, const TypeMeta& type, std::string_view body);
  [[nodiscard]] std::string end() const;

 private:
  Encoding encoding_;
  ListMeta meta_;
  bool first_ = true;
};

}  // namespace holdfast::kube
