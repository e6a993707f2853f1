#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "holdfast/telemetry/log.h"

namespace holdfast::telemetry {

/// Message and fields as one spdlog payload.
std::string format_payload(std::string_view message, std::initializer_list<Field> fields);

/// The whole line, redacted, with its newline. `payload` is one of format_payload, or any text.
std::string format_line(config::LogFormat format, std::string_view time, std::string_view level,
                        std::string_view payload);

}  // namespace holdfast::telemetry
