#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "holdfast/cache/query.h"

namespace holdfast::cache {

/// A keyed hash (HMAC-SHA256 cut to 128 bits) in place of a name.
struct Id {
  std::array<std::uint8_t, 16> bytes{};
  auto operator<=>(const Id&) const = default;
  [[nodiscard]] std::string_view view() const {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

struct IdHash {
  std::size_t operator()(const Id& id) const noexcept {
    std::size_t out;
    std::memcpy(&out, id.bytes.data(), sizeof out);
    return out;
  }
};

/// Documents have their principal's bookkeeping under resources that no API has: one for those of
/// each resource, and one for all others. Its floor is the oldest version that one of them shows.
inline kube::GroupVersionResource documents(const kube::GroupVersionResource& of) {
  return {of.group, of.version, "/documents/" + of.resource};
}

/// What a row of the store is: the first byte of its key.
enum class Row : char {
  kBody = 'B',        ///< body → object
  kReferences = 'R',  ///< body → count and size
  kCollection = 'C',  ///< group, rest → CollectionMeta
  kMember = 'M',      ///< rest, generation, object → Member
  kPending = 'P',     ///< rest, generation: members that belong to no committed collection
  kGet = 'G',         ///< group, object → GetRecord
  kGroup = 'F',       ///< group → floor, principal
  kDocument = 'D',    ///< principal, key → Document
  kCredential = 'K',  ///< hash → record
  kNamed = 'N',       ///< name → value
  kSetting = 'S',     ///< the store's own: format, cluster, accounting
};

/// Makes the store's keys. No name, namespace or value can be read from one, nor tested for without
/// the key file. Thread-safe.
class Keys {
 public:
  /// `secret`: 32 bytes.
  explicit Keys(std::string_view secret);

  [[nodiscard]] Id hash(std::string_view text) const;
  /// Principal and group/version/resource.
  [[nodiscard]] Id group(const identity::PrincipalId& principal,
                         const kube::GroupVersionResource& gvr) const;
  /// The whole query: a collection's own id.
  [[nodiscard]] Id collection(const Query& query) const;
  [[nodiscard]] Id object(std::string_view ns, std::string_view name) const;

  [[nodiscard]] static std::string row(Row row, std::string_view tail = {});
  [[nodiscard]] static std::string row(Row row, const Id& a) { return Keys::row(row, a.view()); }
  [[nodiscard]] static std::string row(Row row, const Id& a, const Id& b);
  /// Generations sort by age: big-endian.
  [[nodiscard]] static std::string members(const Id& collection, std::uint64_t generation);
  [[nodiscard]] static std::string member(const Id& collection, std::uint64_t generation,
                                          const Id& object);
  [[nodiscard]] static std::string pending(const Id& collection, std::uint64_t generation);

 private:
  std::string secret_;
  std::uint64_t instance_;
};

}  // namespace holdfast::cache
