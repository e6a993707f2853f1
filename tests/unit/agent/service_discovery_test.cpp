#include "agent/service_discovery.h"

#include <gtest/gtest.h>

namespace holdfast::agent {
namespace {

std::vector<std::string> texts(const std::vector<Endpoint>& endpoints) {
  std::vector<std::string> out;
  for (const auto& endpoint : endpoints) out.push_back(endpoint.to_string());
  return out;
}

TEST(ServiceDiscovery, TakesEveryClusterIp) {
  EXPECT_EQ(texts(service_addresses(R"({"kind":"Service","spec":{"clusterIP":"198.18.0.1",
                "clusterIPs":["198.18.0.1","fd98::1"],"ports":[{"name":"https","port":443}]}})")),
            (std::vector<std::string>{"198.18.0.1:443", "[fd98::1]:443"}));
}

TEST(ServiceDiscovery, TakesEveryEndpoint) {
  EXPECT_EQ(texts(slice_addresses(R"({"kind":"EndpointSlice","addressType":"IPv4","endpoints":
                [{"addresses":["198.19.0.2"]},{"addresses":["198.19.0.3"]}],
                "ports":[{"name":"https","port":6443}]})")),
            (std::vector<std::string>{"198.19.0.2:6443", "198.19.0.3:6443"}));
}

TEST(ServiceDiscovery, TakesNothingFromWhatIsNotOne) {
  for (const char* text : {"", "null", "[]", "{", R"({"spec":1})", R"({"endpoints":{}})",
                           R"({"spec":{"clusterIPs":["None"],"ports":[{"port":443}]}})",
                           R"({"spec":{"clusterIPs":["198.18.0.1"],"ports":[]}})",
                           R"({"spec":{"clusterIPs":["198.18.0.1"],"ports":[{"port":70000}]}})",
                           R"({"endpoints":[{"addresses":"x"}],"ports":[{"port":443}]})",
                           R"({"endpoints":[{"addresses":["::1"]}],"ports":[{"port":"443"}]})"}) {
    EXPECT_TRUE(service_addresses(text).empty()) << text;
    EXPECT_TRUE(slice_addresses(text).empty()) << text;
  }
}

}  // namespace
}  // namespace holdfast::agent
