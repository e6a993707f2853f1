#include "holdfast/telemetry/build_info.h"

#include "commit.h"

namespace holdfast::telemetry {

std::string_view version() {
  return HOLDFAST_VERSION;
}
std::string_view commit() {
  return HOLDFAST_COMMIT;
}

}  // namespace holdfast::telemetry
