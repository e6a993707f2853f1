#include <optional>

#include "kube/json_scan.h"
#include "kube/list_splitter.h"
#include "kube/parsed_object.h"

namespace holdfast::kube {
namespace {

Error invalid(std::string what) {
  return make_error(Errc::kInvalidArgument, "malformed JSON list: " + std::move(what));
}

/// Cuts the list in two: the items, each handed on as soon as its closing brace is here, and the
/// envelope, which is the list's text with an empty items array and is read at the end.
class JsonListSplitter final : public ListSplitter {
 public:
  explicit JsonListSplitter(OnItem on_item) : on_item_{std::move(on_item)} {}

  Result<void> feed(std::string_view bytes) override {
    if (dead_) return *dead_;
    while (!bytes.empty()) {
      auto used = state_ == State::kEnvelope ? read_envelope(bytes)
                  : state_ == State::kItem   ? read_item(bytes)
                                             : read_between(bytes);
      if (!used) return die(used.error());
      bytes.remove_prefix(*used);
    }
    return {};
  }

  Result<ListMeta> finish() override {
    if (dead_) return *dead_;
    if (state_ != State::kEnvelope || depth_ != 0 || envelope_.empty())
      return die(invalid("it ends too early"));
    if (!has_items_ && !has_null_items()) return die(invalid("it has no items"));
    auto meta = parse_json_list_meta(envelope_);
    if (!meta) return die(meta.error());
    dead_ = make_error(Errc::kInvalidArgument, "the list is finished");
    return meta;
  }

 private:
  enum class State { kEnvelope, kItem, kFirstOrEnd, kCommaOrEnd, kNext };

  Error die(Error error) {
    dead_ = error;
    carry_ = {};
    return error;
  }

  /// Everything outside the items array: small, so byte by byte.
  Result<std::size_t> read_envelope(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
      const char c = bytes[i];
      envelope_ += c;
      if (envelope_.size() > kMaxItem)
        return make_error(Errc::kTooLarge, "a list's own metadata is too large");
      if (in_string_) {
        if (escaped_)
          escaped_ = false;
        else if (c == '\\')
          escaped_ = true;
        else if (c == '"')
          end_string();
      } else if (c == '"') {
        in_string_ = true;
        string_start_ = envelope_.size();
      } else if (c == '{' || c == '[') {
        if (c == '[' && depth_ == 1 && key_is_items_) {
          if (has_items_) return invalid("it has items twice");
          has_items_ = true;
          envelope_ += ']';
          state_ = State::kFirstOrEnd;
          return i + 1;
        }
        ++depth_;
      } else if (c == '}' || c == ']') {
        if (depth_ == 0) return invalid("a bracket too many");
        --depth_;
      }
    }
    return bytes.size();
  }

  void end_string() {
    in_string_ = false;
    if (depth_ != 1) return;
    const std::string_view text{envelope_};
    key_is_items_ = text.substr(string_start_, text.size() - 1 - string_start_) == "items";
    if (key_is_items_) items_key_end_ = envelope_.size();
  }

  /// `"items":null` is how Go writes a nil slice.
  [[nodiscard]] bool has_null_items() const {
    if (items_key_end_ == 0) return false;
    std::string_view rest{envelope_};
    rest.remove_prefix(items_key_end_);
    const auto at = rest.find_first_not_of(" \t\r\n:");
    return at != std::string_view::npos && rest.substr(at).starts_with("null");
  }

  Result<std::size_t> read_between(std::string_view bytes) {
    const auto at = bytes.find_first_not_of(" \t\r\n");
    if (at == std::string_view::npos) return bytes.size();
    const char c = bytes[at];
    if (c == ']' && state_ != State::kNext) {
      state_ = State::kEnvelope;
      key_is_items_ = false;
      return at + 1;
    }
    if (c == ',' && state_ == State::kCommaOrEnd) {
      state_ = State::kNext;
      return at + 1;
    }
    if (c == '{' && state_ != State::kCommaOrEnd) {
      state_ = State::kItem;
      return at;
    }
    return invalid("an item is not an object");
  }

  Result<std::size_t> read_item(std::string_view bytes) {
    const auto end = scanner_.scan(bytes);
    const auto part = bytes.substr(0, end);
    if (carry_.size() + part.size() > kMaxItem)
      return make_error(Errc::kTooLarge, "a list's item is too large");
    if (end == std::string_view::npos) {
      carry_ += part;
      return part.size();
    }
    state_ = State::kCommaOrEnd;
    Result<void> handed = {};
    if (carry_.empty()) {
      handed = hand_on(part);
    } else {
      carry_ += part;
      handed = hand_on(carry_);
      carry_.clear();
      if (carry_.capacity() > kKeptCarry) carry_ = {};
    }
    if (!handed) return handed.error();
    return end;
  }

  Result<void> hand_on(std::string_view text) {
    auto parsed = parse_json_object(text);
    if (!parsed) return parsed.error();
    if (parsed->object.meta.name.empty()) return invalid("an item has no metadata.name");
    return on_item_(std::move(parsed->object));
  }

  static constexpr std::size_t kKeptCarry = 256 * 1024;

  OnItem on_item_;
  State state_ = State::kEnvelope;
  JsonObjectScanner scanner_;
  std::string carry_;     ///< an item that began in an earlier piece
  std::string envelope_;  ///< the list without its items
  std::size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
  std::size_t string_start_ = 0;
  bool key_is_items_ = false;  ///< the last string at depth 1 was "items"
  std::size_t items_key_end_ = 0;
  bool has_items_ = false;
  std::optional<Error> dead_;
};

}  // namespace

std::unique_ptr<ListSplitter> create_json_list_splitter(ListSplitter::OnItem on_item) {
  return std::make_unique<JsonListSplitter>(std::move(on_item));
}

std::unique_ptr<ListSplitter> ListSplitter::create(Encoding encoding, OnItem on_item) {
  return encoding == Encoding::kJson ? create_json_list_splitter(std::move(on_item))
                                     : create_protobuf_list_splitter(std::move(on_item));
}

}  // namespace holdfast::kube
