#include "agent/cluster_check.h"

#include <utility>

#include "holdfast/base/answer.h"
#include "holdfast/telemetry/log.h"

namespace holdfast::agent {
namespace {

using cache::ClusterVerdict;
using namespace std::chrono_literals;

/// The disk may take its time; the control thread does not wait for it.
Task<ClusterVerdict> confirm(cache::Store& store, cache::ClusterReport report, Executor executor) {
  Answer<ClusterVerdict> verdict{executor};
  store.confirm_cluster(std::move(report), verdict.callback());
  co_return co_await verdict.wait();
}

}  // namespace

void ClusterCheck::tell(const std::string& problem) {
  if (problem == told_) return;
  told_ = problem;
  if (problem.empty()) return;
  telemetry::log(spdlog::level::warn, "the cluster can't be told from another one for certain",
                 {{"why", problem}});
}

Task<ClusterCheck::Checked> ClusterCheck::check(Executor executor) {
  std::string problem;
  cache::ClusterReport report{.cluster = parts_.roots, .reached = parts_.store.reached()};
  const auto uid = co_await parts_.api->uid();
  if (!uid && uid.error().code != make_error_code(Errc::kRefused)) co_return Checked::kNo;
  if (uid) {
    report.cluster += " " + *uid;
  } else {
    problem = uid.error().to_string();
  }
  const auto version = co_await parts_.api->version();
  if (!version && version.error().code != make_error_code(Errc::kRefused)) co_return Checked::kNo;
  if (version) {
    report.current = *version;
  } else {
    problem += (problem.empty() ? "" : "; ") + version.error().to_string();
  }
  const bool refused = !problem.empty();
  // Told once it is so for good.
  if (!refused || ++refusals_ > kRefusals) tell(problem);
  const auto verdict = co_await confirm(parts_.store, std::move(report), executor);
  if (verdict == ClusterVerdict::kOther) parts_.on_other_cluster();
  if (verdict == ClusterVerdict::kFailed) co_return Checked::kNo;
  co_return refused ? Checked::kRefused : Checked::kYes;
}

Task<> ClusterCheck::tick(Executor executor) {
  if (!parts_.online() || clock_.now() < due_) co_return;
  due_ = clock_.now() + kEvery;
  const auto checked = co_await check(executor);
  // A transition meanwhile asked for another one: then it is due already.
  if (checked == Checked::kNo) due_ = std::min(due_, clock_.now() + kRetry);
  if (checked == Checked::kRefused && refusals_ <= kRefusals)
    due_ = std::min(due_, clock_.now() + kRetryRefused);
}

Task<> ClusterCheck::run(Executor executor) {
  Timer timer{executor};
  while (true) {
    co_await tick(executor);
    timer.expires_after(200ms);
    co_await timer.async_wait(use_task);
  }
}

}  // namespace holdfast::agent
