#include "holdfast/agent/agent.h"

#include <spdlog/spdlog.h>

#include <cstdio>
#include <exception>

#include "agent/worker.h"
#include "holdfast/telemetry/log.h"

namespace holdfast::agent {
namespace {

constexpr int kFailed = 1;
constexpr int kBadConfiguration = 2;

int work(const AgentOptions& options, std::shared_ptr<const config::Config> config,
         watchdog::Pulse& pulse) {
  try {
    auto worker = Worker::create(options, std::move(config));
    if (!worker) {
      spdlog::critical("cannot start: {}", worker.error().to_string());
      return kFailed;
    }
    return (*worker)->run(pulse);
  } catch (const std::exception& e) {
    spdlog::critical("failed: {}", e.what());
    return kFailed;
  }
}

}  // namespace

int run(const AgentOptions& options) {
  auto loaded = config::load_file(options.config_path);
  if (!loaded && !options.config_given && loaded.error().code == Errc::kNotFound) {
    loaded = config::defaults(config::Environment::of_process());
  }
  if (!loaded) {
    std::fprintf(stderr, "holdfast: %s\n", loaded.error().to_string().c_str());
    return kBadConfiguration;
  }
  telemetry::setup_logging(loaded->log);
  const auto config = std::make_shared<const config::Config>(std::move(*loaded));
  // The file is read again by each worker that the parent starts: a reload outlives a crash.
  auto code = watchdog::run({}, [&options, config](watchdog::Pulse& pulse) {
    auto current = config::load_file(options.config_path);
    return work(options,
                current ? std::make_shared<const config::Config>(std::move(*current)) : config,
                pulse);
  });
  if (!code) {
    spdlog::critical("cannot start: {}", code.error().to_string());
    return kFailed;
  }
  return *code;
}

}  // namespace holdfast::agent
