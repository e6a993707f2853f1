#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace holdfast::http {

enum class Version : std::uint8_t { kHttp11, kHttp2 };

/// One header field. Names are lower-case everywhere (RFC 9113 §8.2), whatever came in.
struct Header {
  std::string name;
  std::string value;
  bool operator==(const Header&) const = default;
};

/// The header fields of a message in their order, without pseudo headers and without hop-by-hop
/// fields (RFC 9110 §7.6.1), which the sessions consume.
class Headers {
 public:
  Headers() = default;
  Headers(std::initializer_list<Header> fields) : fields_{fields} {}

  /// The first field of that (lower-case) name.
  [[nodiscard]] std::optional<std::string_view> find(std::string_view name) const;
  /// As `find`, empty when there is none.
  [[nodiscard]] std::string_view get(std::string_view name) const;
  [[nodiscard]] bool has(std::string_view name) const { return find(name).has_value(); }
  /// All values of that name joined with ", " (RFC 9110 §5.3).
  [[nodiscard]] std::string joined(std::string_view name) const;
  void add(std::string name, std::string value);
  /// Replaces every field of that name by one.
  void set(std::string_view name, std::string value);
  void remove(std::string_view name);

  [[nodiscard]] auto begin() const { return fields_.begin(); }
  [[nodiscard]] auto end() const { return fields_.end(); }
  [[nodiscard]] std::size_t size() const { return fields_.size(); }

 private:
  std::vector<Header> fields_;
};

struct RequestHead {
  std::string method;
  std::string target;     ///< origin form: path and query, as sent (percent-encoding untouched)
  std::string authority;  ///< `:authority` or Host
  Headers headers;
  Version version = Version::kHttp2;
  /// HTTP/1.1 `Upgrade` token list, e.g. "websocket" or "SPDY/3.1"; empty for all other requests.
  std::string upgrade;
};

struct ResponseHead {
  unsigned status = 200;
  Headers headers;
};

}  // namespace holdfast::http
