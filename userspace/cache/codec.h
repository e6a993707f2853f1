#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "cache/keys.h"

namespace holdfast::cache {

/// Appends fields to a record: little-endian integers, strings with a 32-bit length.
class Encoder {
 public:
  Encoder& u8(std::uint8_t v) { return raw(&v, sizeof v); }
  Encoder& u32(std::uint32_t v) { return raw(&v, sizeof v); }
  Encoder& u64(std::uint64_t v) { return raw(&v, sizeof v); }
  Encoder& str(std::string_view v) {
    u32(static_cast<std::uint32_t>(v.size()));
    out_.append(v);
    return *this;
  }
  Encoder& id(const Id& v) { return raw(v.bytes.data(), v.bytes.size()); }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  Encoder& raw(const void* data, std::size_t size) {
    out_.append(static_cast<const char*>(data), size);
    return *this;
  }
  std::string out_;
};

/// Reads fields back. After a field that is not there everything reads as zero and `ok()` is false,
/// so a record is checked once, at its end.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_{bytes} {}
  std::uint8_t u8() { return number<std::uint8_t>(); }
  std::uint32_t u32() { return number<std::uint32_t>(); }
  std::uint64_t u64() { return number<std::uint64_t>(); }
  std::string_view view() { return take(u32()); }
  std::string str() { return std::string{view()}; }
  Id id() {
    Id out;
    const auto bytes = take(out.bytes.size());
    if (ok_) std::memcpy(out.bytes.data(), bytes.data(), bytes.size());
    return out;
  }
  [[nodiscard]] std::string_view rest() const { return rest_; }
  [[nodiscard]] bool ok() const { return ok_; }

 private:
  template <class T>
  T number() {
    T out{};
    const auto bytes = take(sizeof out);
    if (ok_) std::memcpy(&out, bytes.data(), sizeof out);
    return out;
  }
  std::string_view take(std::size_t size) {
    if (!ok_ || size > rest_.size()) {
      ok_ = false;
      return {};
    }
    const auto out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  std::string_view rest_;
  bool ok_ = true;
};

}  // namespace holdfast::cache
