#include <nlohmann/json.hpp>

#include "holdfast/telemetry/time_text.h"
#include "lease/codec.h"

namespace holdfast::lease {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

Error malformed() {
  return make_error(Errc::kInvalidArgument, "not a Lease in JSON");
}

bool says_nothing(const json& value) {
  return value.is_null() || (value.is_string() && value.get_ref<const std::string&>().empty()) ||
         (value.is_structured() && value.empty());
}

void drop_empty(json& object) {
  for (auto it = object.begin(); it != object.end();) {
    it = says_nothing(*it) ? object.erase(it) : std::next(it);
  }
}

}  // namespace

Result<void> read_json(std::string_view body, LeaseObject& out) {
  auto lease = json::parse(body, nullptr, false);
  if (!lease.is_object()) return malformed();
  auto& meta = lease["metadata"];
  auto& spec = lease["spec"];
  if (!meta.is_object() || (!spec.is_object() && !spec.is_null())) return malformed();
  if (spec.is_object()) {
    if (const auto& holder = spec["holderIdentity"]; holder.is_string()) {
      out.holder = holder.get<std::string>();
    }
    if (const auto& duration = spec["leaseDurationSeconds"]; duration.is_number_integer()) {
      out.duration = std::chrono::seconds{duration.get<std::int64_t>()};
    }
    if (const auto& renewed = spec["renewTime"]; renewed.is_string()) {
      // As metav1.MicroTime is written: in UTC, with six digits.
      out.renewed = telemetry::from_rfc3339(renewed.get_ref<const std::string&>());
      if (!out.renewed) return malformed();
    }
    spec.erase("renewTime");
    drop_empty(spec);
  }
  meta.erase("resourceVersion");
  meta.erase("managedFields");
  drop_empty(meta);
  drop_empty(lease);
  out.rest = lease.dump(-1, ' ', false, json::error_handler_t::replace);
  return {};
}

Result<std::string> edit_json(std::string_view body, const Edit& edit) {
  auto lease = ordered_json::parse(body, nullptr, false);
  if (!lease.is_object() || !lease["metadata"].is_object()) return malformed();
  if (edit.resource_version) {
    lease["metadata"]["resourceVersion"] = std::to_string(*edit.resource_version);
  }
  if (edit.renewed) lease["spec"]["renewTime"] = telemetry::to_rfc3339(*edit.renewed);
  return lease.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace holdfast::lease
