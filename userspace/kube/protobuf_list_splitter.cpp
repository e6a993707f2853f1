#include <algorithm>
#include <cstring>
#include <optional>

#include "kube/list_splitter.h"
#include "kube/parsed_object.h"

namespace holdfast::kube {
namespace {

Error invalid(std::string what) {
  return make_error(Errc::kInvalidArgument, "malformed protobuf list: " + std::move(what));
}

/// Reads the `k8s\0` envelope and the list inside it as they stream by. Lengths stand in front of
/// everything, so an item is copied once, into memory of its own size.
class ProtobufListSplitter final : public ListSplitter {
 public:
  explicit ProtobufListSplitter(OnItem on_item) : on_item_{std::move(on_item)} {}

  Result<void> feed(std::string_view bytes) override {
    if (dead_) return *dead_;
    while (!bytes.empty()) {
      std::size_t used = 0;
      if (auto read = step(bytes, used); !read) return die(read.error());
      bytes.remove_prefix(used);
      if (in_list_) list_left_ -= used;
      if (auto ended = end_list(); !ended) return die(ended.error());
    }
    return {};
  }

  Result<ListMeta> finish() override {
    if (dead_) return *dead_;
    if (state_ != State::kTag || shift_ != 0 || in_list_ || !has_list_)
      return die(invalid("it ends too early"));
    dead_ = make_error(Errc::kInvalidArgument, "the list is finished");
    return std::move(meta_);
  }

 private:
  enum class State { kMagic, kTag, kSkipVarint, kLength, kSkip, kCollect };

  Error die(Error error) {
    dead_ = error;
    field_.reset();
    return error;
  }

  /// Takes one step in the current message; `used` bytes belong to it.
  Result<void> step(std::string_view bytes, std::size_t& used) {
    if (in_list_) bytes = bytes.substr(0, list_left_);
    switch (state_) {
      case State::kMagic:
        used = 1;
        if (bytes.front() != kProtobufMagic[collected_]) return invalid("no envelope");
        if (++collected_ == kProtobufMagic.size()) state_ = State::kTag;
        return {};
      case State::kTag:
      case State::kSkipVarint:
      case State::kLength: {
        const auto done = read_varint(bytes.front());
        used = 1;
        if (!done) return done.error();
        return *done ? end_varint() : Result<void>{};
      }
      case State::kSkip:
        used = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
        left_ -= used;
        if (left_ == 0) state_ = State::kTag;
        return {};
      case State::kCollect:
        used = std::min(field_size_ - collected_, bytes.size());
        std::memcpy(field_.get() + collected_, bytes.data(), used);
        collected_ += used;
        return collected_ == field_size_ ? end_field() : Result<void>{};
    }
    return {};
  }

  Result<bool> read_varint(char c) {
    const auto byte = static_cast<unsigned char>(c);
    if (shift_ == 0) varint_ = 0;
    if (shift_ > 63 || (shift_ == 63 && byte > 1)) return invalid("a varint is too long");
    varint_ |= std::uint64_t{byte & 0x7fU} << shift_;
    shift_ += 7;
    if ((byte & 0x80) != 0) return false;
    shift_ = 0;
    return true;
  }

  Result<void> end_varint() {
    if (state_ == State::kTag) return begin_field();
    if (state_ == State::kLength) return begin_content();
    state_ = State::kTag;
    return {};
  }

  Result<void> begin_field() {
    number_ = varint_ >> 3;
    if (number_ == 0) return invalid("field number 0");
    switch (varint_ & 7) {
      case 0:
        state_ = State::kSkipVarint;
        return {};
      case 1:
      case 5:
        left_ = (varint_ & 7) == 1 ? 8 : 4;
        state_ = State::kSkip;
        return {};
      case 2:
        state_ = State::kLength;
        return {};
      default:
        return invalid("an unknown wire type");
    }
  }

  Result<void> begin_content() {
    // The bytes of this length field itself are still part of list_left_; hence "less than".
    if (in_list_ && varint_ >= list_left_) return invalid("a field is longer than the list");
    if (!in_list_ && number_ == 2) {  // runtime.Unknown.raw
      if (has_list_) return invalid("two objects in an envelope");
      has_list_ = true;
      in_list_ = true;
      list_left_ = varint_ + 1;  // this step's own byte is taken off by feed()
      state_ = State::kTag;
      return {};
    }
    // Envelope: typeMeta, contentEncoding, contentType. List: metadata, items.
    const bool wanted = in_list_ ? number_ <= 2 : number_ <= 4;
    if (!wanted) {
      left_ = varint_;
      state_ = left_ == 0 ? State::kTag : State::kSkip;
      return {};
    }
    if (varint_ > kMaxItem) return make_error(Errc::kTooLarge, "a list's item is too large");
    field_size_ = static_cast<std::size_t>(varint_);
    field_ = std::make_shared_for_overwrite<char[]>(field_size_);
    collected_ = 0;
    state_ = State::kCollect;
    return field_size_ == 0 ? end_field() : Result<void>{};
  }

  Result<void> end_field() {
    state_ = State::kTag;
    const char* data = field_.get();
    Slice content{std::move(field_), data, field_size_};
    if (!in_list_) {
      if (number_ == 1) return read_protobuf_type_meta(content.view(), meta_.type);
      if (!content.empty()) return invalid("an envelope around another encoding");
      return {};
    }
    if (number_ == 1) return read_protobuf_list_meta(content.view(), meta_);
    auto item = read_protobuf_message(std::move(content));
    if (!item) return item.error();
    if (item->object.meta.name.empty()) return invalid("an item has no metadata.name");
    return on_item_(std::move(item->object));
  }

  Result<void> end_list() {
    if (!in_list_ || list_left_ != 0) return {};
    if (state_ != State::kTag || shift_ != 0) return invalid("a field is longer than the list");
    in_list_ = false;
    return {};
  }

  OnItem on_item_;
  State state_ = State::kMagic;
  bool has_list_ = false;
  bool in_list_ = false;
  std::uint64_t list_left_ = 0;  ///< bytes of the list that did not come yet
  std::uint64_t varint_ = 0;
  unsigned shift_ = 0;  ///< not 0: inside a varint
  std::uint64_t number_ = 0;
  std::uint64_t left_ = 0;  ///< bytes to skip
  std::shared_ptr<char[]> field_;
  std::size_t field_size_ = 0, collected_ = 0;
  ListMeta meta_;
  std::optional<Error> dead_;
};

}  // namespace

std::unique_ptr<ListSplitter> create_protobuf_list_splitter(ListSplitter::OnItem on_item) {
  return std::make_unique<ProtobufListSplitter>(std::move(on_item));
}

}  // namespace holdfast::kube
