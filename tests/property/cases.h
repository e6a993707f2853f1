#pragma once

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>

namespace holdfast::property {

/// Runs hf-cases and hands over each case. Returns how many there were; -1 when it failed.
int for_each_case(const std::string& program, std::uint64_t seed, const std::string& count,
                  const std::function<void(const nlohmann::json&)>& check);

/// What encoding/json makes of a []byte.
std::string bytes_of(const nlohmann::json& base64);

}  // namespace holdfast::property
