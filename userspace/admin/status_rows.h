#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "holdfast/admin/status.h"

namespace holdfast::admin {

/// What a person reads about the agent, as label and text: the one source of both the terminal's
/// table and the page.
struct StatusRow {
  std::string label;
  std::string text;
  bool bad = false;  ///< worth a look
};
struct StatusSection {
  std::string title;
  std::vector<StatusRow> rows;
};
enum class Readers : std::uint8_t { kSocket, kPage };  ///< the page's readers are shown no pods
std::vector<StatusSection> status_sections(const Status& status, Readers readers);

}  // namespace holdfast::admin
