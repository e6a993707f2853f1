#include <algorithm>
#include <string>
#include <string_view>

#include "holdfast/identity/process.h"

namespace holdfast::identity {
namespace {

bool is_hex(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}

bool is_container_id(std::string_view text) {
  return text.size() == 64 && std::all_of(text.begin(), text.end(), is_hex);
}

// 8-4-4-4-12 hex digits from the API server, or 32 without dashes: the hash of a static pod's file.
bool is_pod_uid(std::string_view text) {
  if (text.size() == 32) return std::all_of(text.begin(), text.end(), is_hex);
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? text[i] != '-' : !is_hex(text[i])) return false;
  }
  return true;
}

// systemd slice names use '-' for nesting, so kubelet writes the UID's dashes as '_'.
std::string unescape_uid(std::string_view text) {
  std::string uid{text};
  std::replace(uid.begin(), uid.end(), '_', '-');
  return uid;
}

// What kubelet's cgroup driver and the runtime write for a container: "<id>",
// "cri-containerd-<id>.scope", "crio-<id>.scope", "docker-<id>.scope", "libpod-<id>.scope", and
// "<slice>:cri-containerd:<id>" where containerd and kubelet disagree on the driver.
std::string_view container_id_in(std::string_view component) {
  if (const auto colon = component.rfind(':'); colon != std::string_view::npos) {
    component.remove_prefix(colon + 1);
  } else if (component.ends_with(".scope")) {
    component.remove_suffix(6);
  }
  if (const auto dash = component.rfind('-'); dash != std::string_view::npos) {
    component.remove_prefix(dash + 1);
  }
  return is_container_id(component) ? component : std::string_view{};
}

/// Reads the components of a path from the root down.
class PathReader {
 public:
  void feed(std::string_view component) {
    if (!found_.pod_uid.empty()) {
      // Below the container: whatever it calls its own groups.
      if (in_pod_container_.empty()) in_pod_container_ = container_id_in(component);
      return;
    }
    const auto name = component.substr(0, component.find(':'));
    if (name.ends_with(".slice")) {
      feed_slice(name.substr(0, name.size() - 6));
    } else {
      feed_directory(name);
    }
    const auto id = container_id_in(component);
    if (!found_.pod_uid.empty()) {
      in_pod_container_ = id;
    } else if (!id.empty()) {
      outer_container_ = id;
    }
  }

  CgroupIdentity take() {
    if (found_.pod_uid.empty()) {
      found_.qos.clear();
      found_.container_id = outer_container_;
    } else {
      found_.container_id = in_pod_container_;
    }
    return std::move(found_);
  }

 private:
  // "kubepods", "kubepods-burstable", "kubepods-burstable-pod<uid>", with the names of the
  // kubelet's own cgroup root in front ("kubelet-kubepods-…", as in kind).
  void feed_slice(std::string_view slice) {
    const auto pods = slice.find("kubepods");
    if (pods == std::string_view::npos || (pods > 0 && slice[pods - 1] != '-')) return;
    below_kubepods_ = true;
    auto rest = slice.substr(pods + 8);
    for (const std::string_view qos : {"burstable", "besteffort"}) {
      if (rest.starts_with('-') && rest.substr(1).starts_with(qos)) {
        qos_ = qos;
        rest.remove_prefix(1 + qos.size());
      }
    }
    if (rest.starts_with("-pod")) set_pod(unescape_uid(rest.substr(4)));
  }

  void feed_directory(std::string_view name) {
    if (name == "kubepods") {
      below_kubepods_ = true;
    } else if (below_kubepods_ && (name == "burstable" || name == "besteffort")) {
      qos_ = name;
    } else if (below_kubepods_ && name.starts_with("pod")) {
      set_pod(std::string{name.substr(3)});
    }
  }

  void set_pod(std::string uid) {
    if (!is_pod_uid(uid)) return;
    found_.pod_uid = std::move(uid);
    found_.qos = qos_.empty() ? "guaranteed" : std::string{qos_};
  }

  CgroupIdentity found_;
  bool below_kubepods_ = false;
  std::string_view qos_;
  std::string_view outer_container_, in_pod_container_;
};

}  // namespace

// The first pod from the root down counts: what lies below a pod is named by the pod itself, which
// could otherwise pass for another one.
CgroupIdentity parse_cgroup_path(std::string_view path) {
  PathReader reader;
  while (!path.empty()) {
    const auto slash = path.find('/');
    const auto component = path.substr(0, slash);
    if (!component.empty()) reader.feed(component);
    path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
  }
  return reader.take();
}

std::string cgroup_path_of(std::string_view proc_cgroup) {
  constexpr std::string_view kDeleted = " (deleted)";
  std::string unified, naming_pod;
  while (!proc_cgroup.empty()) {
    const auto newline = proc_cgroup.find('\n');
    const auto line = proc_cgroup.substr(0, newline);
    proc_cgroup.remove_prefix(newline == std::string_view::npos ? proc_cgroup.size() : newline + 1);

    // "hierarchy:controllers:path"; the path may hold colons.
    const auto first = line.find(':');
    if (first == std::string_view::npos) continue;
    const auto second = line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    auto path = line.substr(second + 1);
    if (!path.starts_with('/')) continue;
    if (path.ends_with(kDeleted)) path.remove_suffix(kDeleted.size());

    const bool is_unified = line.starts_with("0::");
    const bool names_pod = !parse_cgroup_path(path).pod_uid.empty();
    if (is_unified && names_pod) return std::string{path};
    if (is_unified) unified = path;
    if (names_pod && naming_pod.empty()) naming_pod = path;
  }
  return naming_pod.empty() ? unified : naming_pod;
}

}  // namespace holdfast::identity
