#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "holdfast/tls/terminator.h"
#include "unit/tls/pki.h"

namespace holdfast::tls {

/// A cluster CA whose key is on this node, a real server behind 198.18.0.1:443.
class TerminatorFixture : public testing::Test {
 protected:
  static constexpr const char* kServerNames =
      "DNS:kubernetes,DNS:kubernetes.default.svc,IP:198.18.0.1,IP:192.0.2.10";

  test::Pair server_certificate(const test::Pair& ca, const std::string& names = kServerNames) {
    return test::issue({.name = "kube-apiserver", .names = names, .usage = "serverAuth"}, &ca);
  }
  TerminatorOptions options() {
    return {.source = "auto",
            .cert_file = {},
            .key_file = {},
            .ca_cert_file = directory_.file("ca.crt"),
            .ca_key_file = directory_.file("ca.key"),
            .upstream_ca_file = directory_.file("ca.crt"),
            .state_directory = directory_.file("state"),
            .listener_addresses = {"169.254.77.1", "fd77::1"},
            .identity_files = {}};
  }
  std::unique_ptr<Terminator> make(TerminatorOptions options) {
    auto made = Terminator::create(std::move(options), clock_);
    EXPECT_TRUE(made) << made.error().to_string();
    return made ? std::move(*made) : nullptr;
  }
  PeekDecision decide(Terminator& terminator, const std::string& name = {},
                      std::vector<std::string> alpn = {"h2"}) {
    PeekResult peek{.status = PeekStatus::kHello, .need = 0, .hello = {name, std::move(alpn)}};
    return terminator.decide(peek, target_, client_);
  }

  test::FakeClock clock_;
  test::TemporaryDirectory directory_;
  test::Pair ca_ = test::make_ca("cluster");
  Endpoint target_ = *Endpoint::parse("198.18.0.1:443");
  ClientKey client_{.workload = "pod 7", .executable = "/app", .target = target_};

  void SetUp() override {
    directory_.write("ca.crt", ca_.cert_pem);
    directory_.write("ca.key", ca_.key_pem);
  }
};

}  // namespace holdfast::tls
