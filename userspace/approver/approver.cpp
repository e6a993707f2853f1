#include "holdfast/approver/approver.h"

#include <spdlog/spdlog.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "approver/access.h"
#include "approver/controller.h"
#include "holdfast/base/nursery.h"
#include "holdfast/telemetry/log.h"

namespace holdfast::approver {
namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 2;

void add_name(tls::Names& names, const std::string& text) {
  if (const auto address = Endpoint::from_address(text, 0)) {
    names.add_address(*address);
  } else {
    names.dns.insert(text);
  }
}

Result<Policy> policy_of(const ApproverOptions& options) {
  const auto equals = options.node_label.find('=');
  if (equals == 0 || equals == std::string::npos) {
    return make_error(Errc::kInvalidArgument,
                      "--node-label \"" + options.node_label + "\" is not KEY=VALUE");
  }
  Policy policy{.names = {},
                .max_lifetime = options.max_lifetime,
                .label_key = options.node_label.substr(0, equals),
                .label_value = options.node_label.substr(equals + 1)};
  for (const auto& text : options.listeners) {
    const auto address = Endpoint::from_address(text, 0);
    if (!address) {
      return make_error(Errc::kInvalidArgument, "--listener " + address.error().message);
    }
    policy.names.add_address(*address);
  }
  for (const auto& name : options.allow_names) add_name(policy.names, name);
  return policy;
}

Task<> stop_on_signal(boost::asio::io_context* io, Nursery* nursery) {
  boost::asio::basic_signal_set<Executor> signals{io->get_executor(), SIGTERM, SIGINT};
  co_await signals.async_wait(use_task);
  nursery->cancel();
  co_await nursery->join();
  io->stop();
}

Result<void> serve(const ApproverOptions& options, Policy policy) {
  auto access =
      options.kubeconfig.empty() ? access_in_cluster() : access_from_kubeconfig(options.kubeconfig);
  if (!access) return access.error();
  auto trust = tls::TrustStore::create(access->ca_pem, "the cluster's CA");
  if (!trust) return trust.error();
  boost::asio::io_context io{1};
  Nursery nursery{io.get_executor()};
  auto dialer = upstream::Dialer::create(io.get_executor(), {.ca_pem = access->ca_pem});
  if (!dialer) return dialer.error();
  telemetry::log(spdlog::level::info, "holdfast approver started",
                 {{"server", access->servers.front().authority()},
                  {"label", options.node_label},
                  {"max_lifetime_seconds", options.max_lifetime.count()}});
  Controller controller{{.client = std::make_unique<upstream::ApiClient>(
                             access->servers, std::move(*dialer), nursery),
                         .access = access->credential,
                         .mirror = Mirror{access->servers, std::move(*trust)},
                         .policy = std::move(policy)}};
  nursery.spawn("approver", controller.run(io.get_executor()));
  boost::asio::co_spawn(io.get_executor(), stop_on_signal(&io, &nursery), boost::asio::detached);
  io.run();
  return {};
}

}  // namespace

int run(const ApproverOptions& options) {
  auto policy = policy_of(options);
  if (!policy) {
    std::fprintf(stderr, "holdfast approver: %s\n", policy.error().to_string().c_str());
    return kUsage;
  }
  telemetry::setup_logging({});
  try {
    if (auto served = serve(options, std::move(*policy)); !served) {
      spdlog::critical("cannot start: {}", served.error().to_string());
      return kFailed;
    }
  } catch (const std::exception& e) {
    spdlog::critical("failed: {}", e.what());
    return kFailed;
  }
  return 0;
}

}  // namespace holdfast::approver
