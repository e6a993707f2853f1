#include "read/version_rules.h"

namespace holdfast::read {

using Kind = VersionDemand::Kind;

VersionDemand version_demand(const kube::RequestAttributes& attributes) {
  const auto& options = attributes.options;
  if (!options.continue_token.empty()) return {Kind::kContinue, 0};
  if (options.resource_version.empty()) return {Kind::kMostRecent, 0};
  kube::ResourceVersion version = 0;
  if (!kube::parse_resource_version(options.resource_version, version)) return {Kind::kInvalid, 0};
  if (options.match == kube::ResourceVersionMatch::kExact) return {Kind::kExact, version};
  if (version == 0) return {Kind::kAny, 0};
  // A limited list at a resourceVersion without a match is an exact one, by the table's last row.
  const bool legacy_exact = attributes.verb == kube::Verb::kList && options.limit > 0 &&
                            options.match == kube::ResourceVersionMatch::kUnset;
  return {legacy_exact ? Kind::kExact : Kind::kNotOlderThan, version};
}

VersionVerdict judge_version(const VersionDemand& demand, kube::ResourceVersion have,
                             bool serve_consistent_reads) {
  switch (demand.kind) {
    case Kind::kMostRecent:
      return serve_consistent_reads ? VersionVerdict::kServe : VersionVerdict::kRefuse;
    case Kind::kAny:
      return VersionVerdict::kServe;
    case Kind::kNotOlderThan:
      return have >= demand.version ? VersionVerdict::kServe : VersionVerdict::kTooLarge;
    case Kind::kExact:
      return have == demand.version ? VersionVerdict::kServe : VersionVerdict::kExpired;
    case Kind::kContinue:
      return VersionVerdict::kExpired;
    case Kind::kInvalid:
      return VersionVerdict::kRefuse;
  }
  return VersionVerdict::kRefuse;
}

}  // namespace holdfast::read
