#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "agent/discovery.h"

namespace holdfast::agent {

/// A machine that is made of what a test puts into it. Names resolve to nothing.
class FakeMachine final : public Surroundings {
 public:
  std::map<std::string, std::string> variables, files;
  std::vector<Endpoint> listening;

  std::string environment(const std::string& name) const override {
    const auto it = variables.find(name);
    return it == variables.end() ? "" : it->second;
  }
  Result<std::string> read_file(const std::string& path) const override {
    const auto it = files.find(path);
    if (it == files.end()) return make_error(Errc::kNotFound, path);
    return it->second;
  }
  std::vector<Endpoint> resolve(const std::string& host, std::uint16_t port) const override {
    const auto endpoint = Endpoint::from_address(host, port);
    return endpoint ? std::vector{*endpoint} : std::vector<Endpoint>{};
  }
  bool is_listening(const Endpoint& endpoint) const override {
    return std::ranges::find(listening, endpoint) != listening.end();
  }
};

}  // namespace holdfast::agent
