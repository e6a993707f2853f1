#include "agent/open_flows.h"

#include <utility>

namespace holdfast::agent {

OpenFlows::Flows::iterator OpenFlows::erase(Flows::iterator it) {
  if (it->second.direct && it->second.established) --direct_;
  return flows_.erase(it);
}

void OpenFlows::connecting(kernel::ConnectionId id, pid_t pid, bool direct,
                           std::optional<identity::Process> process, Time now) {
  closed(id);  // the same socket, once more
  // Ids are socket cookies, which grow: the first is the oldest.
  if (flows_.size() >= kMost) erase(flows_.begin());
  flows_.emplace(id, Flow{.pid = pid,
                          .direct = direct,
                          .established = false,
                          .process = std::move(process),
                          .since = now});
}

void OpenFlows::established(kernel::ConnectionId id) {
  const auto it = flows_.find(id);
  if (it == flows_.end() || std::exchange(it->second.established, true)) return;
  if (it->second.direct) ++direct_;
}

void OpenFlows::closed(kernel::ConnectionId id) {
  if (const auto it = flows_.find(id); it != flows_.end()) erase(it);
}

void OpenFlows::tick(Time now) {
  if (now - pruned_ < kPrune) return;
  pruned_ = now;
  for (auto it = flows_.begin(); it != flows_.end();) {
    const auto& flow = it->second;
    const bool over = !flow.established && now - flow.since >= kHandshake;
    it = over || !alive_(flow.pid) ? erase(it) : std::next(it);
  }
}

const identity::Process* OpenFlows::find(kernel::ConnectionId id) const {
  const auto it = flows_.find(id);
  return it != flows_.end() && it->second.process ? &*it->second.process : nullptr;
}

}  // namespace holdfast::agent
