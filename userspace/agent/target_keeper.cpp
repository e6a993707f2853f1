#include "agent/target_keeper.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "agent/chain_fetch.h"
#include "holdfast/kernel/own_traffic.h"
#include "holdfast/telemetry/log.h"

namespace holdfast::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kTimeout = 3000ms;
constexpr auto kTick = 2s;
constexpr std::chrono::seconds kRetryMin = 2s, kRetryMax = 60s;
constexpr std::chrono::seconds kRepeat = 1h;

}  // namespace

TargetKeeper::TargetKeeper(tls::Terminator& terminator, kernel::Interceptor* interceptor,
                           std::vector<Endpoint> candidates, ServingState& serving)
    : terminator_{terminator},
      interceptor_{interceptor},
      candidates_{std::move(candidates)},
      serving_{serving} {}

Task<> TargetKeeper::run(Executor executor) {
  Timer timer{executor};
  publish();  // what an earlier run left on disk serves at once, also offline
  auto retry = kRetryMin;
  while (true) {
    if (std::exchange(recheck_, false)) retry = kRetryMin;
    const auto candidates = candidates_;  // a reload may replace them meanwhile
    for (const auto& target : candidates) co_await look_at(executor, target);
    publish();
    const auto checked = SteadyClock::now();
    const auto all_ready = [&] {
      return std::ranges::all_of(candidates_,
                                 [&](const Endpoint& target) { return terminator_.ready(target); });
    };
    // A certificate may be waited for for days: the servers are not asked every two seconds then.
    const auto patience = [&] { return all_ready() ? kRepeat : retry; };
    do {
      timer.expires_after(kTick);
      co_await timer.async_wait(use_task);
      publish();
    } while (!recheck_ && SteadyClock::now() - checked < patience());
    retry = all_ready() ? kRetryMin : std::min(2 * retry, kRetryMax);
  }
}

void TargetKeeper::replace(std::vector<Endpoint> candidates) {
  if (candidates == candidates_) return;
  candidates_ = std::move(candidates);
  publish();
  recheck_ = true;
}

Task<> TargetKeeper::look_at(Executor executor, Endpoint target) {
  auto chain = co_await fetch_chain(executor, target, kernel::kOwnMark, kTimeout);
  std::string problem;
  if (!chain) {
    problem = chain.error().to_string();
  } else if (auto learned = terminator_.learn_target(target, *chain); !learned) {
    problem = learned.error().to_string();
  }
  const auto line = target.to_string() + ": " + problem;
  if (problem.empty()) {
    std::erase_if(told_, [&](const std::string& told) {
      return told.starts_with(target.to_string() + ": ");
    });
  } else if (!terminator_.ready(target) && told_.insert(line).second) {
    telemetry::log(spdlog::level::warn, "a target stays direct",
                   {{"target", target.to_string()}, {"why", problem}});
  }
}

void TargetKeeper::publish() {
  std::vector<Endpoint> ready;
  for (const auto& target : candidates_) {
    if (terminator_.ready(target)) ready.push_back(target);
  }
  if (ready == published_) return;
  if (interceptor_) {
    if (auto set = interceptor_->set_targets(ready); !set) {
      telemetry::log(spdlog::level::err, "the kernel did not take the targets",
                     {{"error", set.error().to_string()}});
      return;
    }
  }
  published_ = ready;
  std::vector<std::string> names;
  for (const auto& target : ready) names.push_back(target.to_string());
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
  telemetry::log(spdlog::level::info, "targets", {{"redirected", list}});
  serving_.update([&](ServingState::View& view) { view.targets = std::move(names); });
}

}  // namespace holdfast::agent
