#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/keys.h"
#include "holdfast/kube/list.h"
#include "holdfast/kube/object.h"

namespace holdfast::cache {

/// A list that was shown whole, and what became of it.
struct CollectionMeta {
  Id group, id;
  Query query;
  kube::ListMeta list;
  kube::ResourceVersion version = 0;
  /// An object of it was seen newer by other means than its own and could not be brought up to
  /// date: not served while `version` is below this.
  kube::ResourceVersion wanted = 0;
  /// What whoever follows its own watch has of an object was overwritten by other means: as long as
  /// `version` is below this, nobody can tell what became of it since.
  kube::ResourceVersion removed = 0;
  std::uint64_t generation = 0;
  bool broken = false;  ///< a write was lost
  bool node_component = false;
  bool typed_items = false;  ///< items carry kind and apiVersion of their own
  std::uint64_t members = 0, bytes = 0;
  std::uint64_t gone = 0;                  ///< members that are kept for the list's own watch alone
  std::int64_t shown_ms = 0, used_ms = 0;  ///< Unix time

  /// May be served.
  [[nodiscard]] bool whole() const { return !broken && version >= wanted; }
  /// Members that are served.
  [[nodiscard]] std::uint64_t items() const { return members - gone; }
  /// Nothing but the namespace narrows it.
  [[nodiscard]] bool unselected() const {
    return query.label_selector.empty() && query.field_selector.empty() && query.name.empty() &&
           query.subresource.empty();
  }
  /// What it lacks does not exist: nothing but namespace and name narrows it.
  [[nodiscard]] bool all_of(std::string_view object) const {
    return unselected() ||
           (query.label_selector.empty() && query.subresource.empty() && !query.name.empty() &&
            query.name == object && query.field_selector == "metadata.name=" + query.name);
  }
  [[nodiscard]] bool covers(std::string_view ns, std::string_view name) const {
    return query.subresource.empty() && (query.ns.empty() || query.ns == ns) &&
           (query.name.empty() || query.name == name);
  }
};
std::string encode(const CollectionMeta& meta);
std::optional<CollectionMeta> decode_collection(std::string_view bytes);

/// One object's place in a collection.
struct Member {
  /// `gone`, when nobody said at which version.
  static constexpr kube::ResourceVersion kUnknown = ~kube::ResourceVersion{0};

  Id body;
  kube::ResourceVersion version = 0;
  /// Seen deleted, or not selected any more, as of this version and by other means than the list's
  /// own watch, which has yet to say so. It is served no more. 0: it is there.
  kube::ResourceVersion gone = 0;
  std::uint32_t size = 0;  ///< of the object's bytes
  std::string ns, name;
  std::map<std::string, std::string, std::less<>> labels;
};
std::string encode(const Member& member);
std::optional<Member> decode_member(std::string_view bytes);

/// An object with its metadata. `decode_body` shares `bytes`.
std::string encode(const kube::Object& object);
std::optional<kube::Object> decode_body(std::string bytes);

/// How often a body is used; kept in clear, it holds numbers only.
struct References {
  std::uint32_t count = 0, size = 0;
};
std::string encode(const References& references);
References decode_references(std::string_view bytes);

/// What is known of one object beside the lists that hold it.
struct GetRecord {
  struct Shown {
    kube::Representation representation;
    std::string subresource;
    Id body;
    kube::ResourceVersion version = 0;
    std::int64_t shown_ms = 0;
  };
  enum class Absence : std::uint8_t {
    kNone,
    kNotFound,  ///< the server said 404
    kWithheld,  ///< the server said 401 or 403: nothing seen before counts
  };
  std::vector<Shown> shown;
  Absence absence = Absence::kNone;
  std::string status;                      ///< kNotFound: the server's own words
  kube::ResourceVersion absent_since = 0;  ///< what the principal had seen by then
};
std::string encode(const GetRecord& record);
std::optional<GetRecord> decode_get(std::string_view bytes);

/// A principal's view of one resource.
struct GroupRecord {
  identity::PrincipalId principal;
  kube::GroupVersionResource gvr;
  kube::ResourceVersion floor = 0;
  bool node_component = false;
  std::int64_t used_ms = 0;
};
std::string encode(const GroupRecord& record);
std::optional<GroupRecord> decode_group(std::string_view bytes);

struct DocumentRecord {
  std::string content_type, etag, body;
  bool node_component = false;
  std::int64_t shown_ms = 0;
};
std::string encode(const DocumentRecord& record);
std::optional<DocumentRecord> decode_document(std::string_view bytes);

}  // namespace holdfast::cache
