#include "cache/cluster.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <sstream>
#include <vector>

#include "cache/codec.h"

namespace holdfast::cache {
namespace {

const std::string kClusterKey = Keys::row(Row::kSetting, "cluster");
const std::string kReachedKey = Keys::row(Row::kSetting, "reached");
const std::string kElsewhereKey = Keys::row(Row::kSetting, "elsewhere");

struct Name {
  std::vector<std::string> roots;
  std::string uid;  ///< empty: not known
};

Name parse(std::string_view text) {
  Name out;
  const auto space = text.find(' ');
  if (space != std::string_view::npos) out.uid = text.substr(space + 1);
  std::istringstream roots{std::string{text.substr(0, space)}};
  for (std::string root; std::getline(roots, root, ',');) out.roots.push_back(root);
  return out;
}

/// A CA is renewed by way of a bundle of the old and the new one.
bool same(const Name& a, const Name& b) {
  if (!a.uid.empty() && !b.uid.empty() && a.uid != b.uid) return false;
  return std::ranges::any_of(
      a.roots, [&](const std::string& root) { return std::ranges::count(b.roots, root) > 0; });
}

/// Built-in kinds. What an aggregated API server shows has versions of its own, custom resources
/// can't be told from it, and Events are often kept in a second etcd (--etcd-servers-overrides).
bool is_built_in(const kube::GroupVersionResource& gvr) {
  if (gvr.resource == "events" || gvr.resource.starts_with('/')) return false;
  for (const char* group : {"", "apps", "batch", "policy", "autoscaling", "discovery.k8s.io",
                            "networking.k8s.io", "rbac.authorization.k8s.io", "storage.k8s.io"})
    if (gvr.group == group) return true;
  return false;
}

std::string text_of(const kube::GroupVersionResource& gvr) {
  return gvr.resource + "." + gvr.group;
}

}  // namespace

Cluster::Cluster(Archive& archive, Shelf& disk, Shelf& memory)
    : archive_{archive}, disk_{disk}, memory_{memory} {
  std::string text;
  if (auto found = disk_.txn().get(kReachedKey, text); found && *found)
    noted_ = Decoder{text}.u64();
  if (auto found = disk_.txn().get(kElsewhereKey, text); found && *found) {
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);) elsewhere_.insert(line);
  }
}

Cluster::Resources Cluster::shown_between(kube::ResourceVersion from,
                                          kube::ResourceVersion to) const {
  Resources out;
  const std::lock_guard lock{mutex_};
  for (const auto* shelf : {&disk_, &memory_})
    shelf->view()->index.each([&](const Id&, const std::shared_ptr<const GroupState>& group) {
      const auto& record = group->record;
      if (record.floor <= from || record.floor > to || !is_built_in(record.gvr)) return;
      if (const auto name = text_of(record.gvr); !elsewhere_.contains(name)) out.insert(name);
    });
  return out;
}

kube::ResourceVersion Cluster::reached() const {
  kube::ResourceVersion out = noted_;
  const std::lock_guard lock{mutex_};
  for (const auto* shelf : {&disk_, &memory_})
    shelf->view()->index.each([&](const Id&, const std::shared_ptr<const GroupState>& group) {
      const auto& record = group->record;
      if (record.floor > out && is_built_in(record.gvr) &&
          !elsewhere_.contains(text_of(record.gvr)))
        out = record.floor;
    });
  return out;
}

ClusterVerdict Cluster::confirm(const ClusterReport& report) {
  const auto bound = bind(report.cluster);
  if (bound == ClusterVerdict::kFailed || report.current == 0) return bound;
  if (bound == ClusterVerdict::kSame) return follow(report);
  note(report.current);
  return bound;
}

bool Cluster::start_afresh(Shelf::Wipe what) {
  archive_.expire(true);
  const bool memory = memory_.wipe(what);
  const bool disk = disk_.wipe(what);
  archive_.begin_era();
  return memory && disk;
}

ClusterVerdict Cluster::bind(std::string_view cluster) {
  std::string text;
  const auto found = disk_.txn().get(kClusterKey, text);
  const auto before = parse(text);
  auto now = parse(cluster);
  const bool known = found && *found;
  auto out = ClusterVerdict::kSame;
  if (known && same(before, now)) {
    // Who may not ask for the UID any more knows no less for it.
    if (now.uid.empty()) now.uid = before.uid;
  } else if (!found || known || disk_.collections() > 0 || disk_.bodies() > 0) {
    spdlog::warn("cache: this is another cluster than before, starting afresh");
    out = ClusterVerdict::kOther;
    if (!start_afresh(Shelf::Wipe::kAll)) return ClusterVerdict::kFailed;
    noted_ = 0;
    const std::lock_guard lock{mutex_};
    elsewhere_.clear();
  }
  std::string next;
  for (const auto& root : now.roots) next += (next.empty() ? "" : ",") + root;
  if (!now.uid.empty()) next += " " + now.uid;
  if (next == text) return out;
  disk_.txn().put(kClusterKey, next);
  return disk_.commit(true) ? out : ClusterVerdict::kFailed;
}

ClusterVerdict Cluster::follow(const ClusterReport& report) {
  const auto noted = noted_.load();
  const bool own = report.current < noted;
  Resources newer;
  if (!own && report.current < report.reached)
    newer = shown_between(report.current, report.reached);
  if (!own && newer.empty()) {
    note(report.current);
    return ClusterVerdict::kSame;
  }
  spdlog::warn(
      "cache: the API server's resourceVersions ran backwards, from {} to {}: etcd was restored; "
      "what was shown before does not count any more",
      std::max(noted, report.reached), report.current);
  // If these have versions of their own, that must not happen every time.
  keep_elsewhere(newer);
  if (!start_afresh(Shelf::Wipe::kShown)) return ClusterVerdict::kFailed;
  note(report.current);
  return ClusterVerdict::kRestored;
}

/// Not worth a sync: the next one says it, too.
void Cluster::note(kube::ResourceVersion current) {
  if (noted_ == current) return;
  noted_ = current;
  disk_.txn().put(kReachedKey, Encoder{}.u64(current).take());
  disk_.commit(false);
}

void Cluster::keep_elsewhere(const Resources& more) {
  if (more.empty()) return;
  std::string text;
  {
    const std::lock_guard lock{mutex_};
    elsewhere_.insert(more.begin(), more.end());
    for (const auto& name : elsewhere_) text += name + "\n";
  }
  disk_.txn().put(kElsewhereKey, text);
  disk_.commit(false);
}

}  // namespace holdfast::cache
