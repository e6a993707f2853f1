#include "read/metadata_only.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace holdfast::read {
namespace {

using kube::Representation;

kube::TypeMeta partial_type(const Representation& representation, const char* kind) {
  return {"meta.k8s.io/" + representation.transform_version, kind};
}

Result<void> strip(kube::Object& object, const Representation& representation) {
  auto body = kube::metadata_only(object.body.view());
  if (!body) return body.error();
  object.body = std::move(*body);
  object.type = partial_type(representation, "PartialObjectMetadata");
  return {};
}

class MetadataList final : public cache::ListSnapshot {
 public:
  MetadataList(std::unique_ptr<cache::ListSnapshot> whole, Representation representation)
      : whole_{std::move(whole)},
        representation_{std::move(representation)},
        meta_{whole_->meta()} {
    meta_.type = partial_type(representation_, "PartialObjectMetadataList");
  }

  [[nodiscard]] const kube::ListMeta& meta() const override { return meta_; }
  [[nodiscard]] kube::ResourceVersion resource_version() const override {
    return whole_->resource_version();
  }
  [[nodiscard]] std::size_t size() const override { return whole_->size(); }
  /// More than it takes; JSON lists need no exact one.
  [[nodiscard]] std::size_t items_bytes() const override { return whole_->items_bytes(); }
  [[nodiscard]] bool derived() const override { return true; }
  [[nodiscard]] const Representation& representation() const override { return representation_; }
  [[nodiscard]] std::chrono::system_clock::time_point shown_at() const override {
    return whole_->shown_at();
  }
  [[nodiscard]] kube::TypeMeta object_type() const override {
    return partial_type(representation_, "PartialObjectMetadata");
  }
  Result<bool> next(kube::Object& out) override {
    auto more = whole_->next(out);
    if (!more || !*more) return more;
    if (auto stripped = strip(out, representation_); !stripped) return stripped.error();
    return true;
  }

 private:
  std::unique_ptr<cache::ListSnapshot> whole_;
  const Representation representation_;
  kube::ListMeta meta_;
};

/// The first that could be made of whole objects.
const Representation* partial_json(const std::vector<Representation>& accept) {
  const auto it = std::ranges::find_if(accept, [](const Representation& each) {
    return each.transform == kube::Transform::kPartialObjectMetadata &&
           each.encoding == kube::Encoding::kJson;
  });
  return it == accept.end() ? nullptr : &*it;
}

}  // namespace

cache::ListAnswer find_list(cache::Store& store, const cache::Query& query,
                            const std::vector<Representation>& accept,
                            kube::ResourceVersion at_least) {
  auto answer = store.list(query, accept, at_least);
  const auto* partial = partial_json(accept);
  if (answer.outcome != cache::Outcome::kMiss || partial == nullptr) return answer;
  auto whole = store.list(query, {Representation{.encoding = kube::Encoding::kJson}}, at_least);
  if (!whole.snapshot) return answer;
  answer.outcome = cache::Outcome::kDerived;
  answer.snapshot = std::make_unique<MetadataList>(std::move(whole.snapshot), *partial);
  return answer;
}

cache::ObjectAnswer find_object(cache::Store& store, const cache::Query& query,
                                const std::vector<Representation>& accept) {
  auto answer = store.get(query, accept, 0);
  const auto* partial = partial_json(accept);
  if (answer.outcome != cache::Outcome::kMiss || partial == nullptr) return answer;
  auto whole = store.get(query, {Representation{.encoding = kube::Encoding::kJson}}, 0);
  const bool found =
      whole.outcome == cache::Outcome::kHit || whole.outcome == cache::Outcome::kDerived;
  if (!found || !strip(whole.object, *partial)) return answer;
  whole.outcome = cache::Outcome::kDerived;
  return whole;
}

}  // namespace holdfast::read
