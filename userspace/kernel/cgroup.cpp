#include "kernel/cgroup.h"

#include <sys/stat.h>

#include <fstream>
#include <sstream>

#include "holdfast/kernel/features.h"

namespace holdfast::kernel {

namespace {

std::string read_file(const char* path) {
  std::ifstream in{path};
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

/// /proc/self/mounts writes blanks in octal (fstab(5)).
std::string unescape(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto is_octal = [&](std::size_t at) {
      return at < text.size() && text[at] >= '0' && text[at] <= '7';
    };
    if (text[i] == '\\' && is_octal(i + 1) && is_octal(i + 2) && is_octal(i + 3)) {
      out += static_cast<char>((text[i + 1] - '0') * 64 + (text[i + 2] - '0') * 8 +
                               (text[i + 3] - '0'));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

}  // namespace

Result<std::string> find_cgroup2_root_in(const std::string& mounts) {
  std::istringstream in{mounts};
  for (std::string line; std::getline(in, line);) {
    std::istringstream fields{line};
    std::string device, folder, type;
    if (fields >> device >> folder >> type && type == "cgroup2") return unescape(folder);
  }
  return make_error(Errc::kUnsupported, "no cgroup2 is mounted; mount it or boot with it");
}

Result<std::string> find_cgroup2_root() {
  return find_cgroup2_root_in(read_file("/proc/self/mounts"));
}

std::string cgroup2_path_in(std::string_view proc_cgroup) {
  while (!proc_cgroup.empty()) {
    const auto end = proc_cgroup.find('\n');
    const auto line = proc_cgroup.substr(0, end);
    if (line.starts_with("0::")) return std::string{line.substr(3)};
    if (end == std::string_view::npos) break;
    proc_cgroup.remove_prefix(end + 1);
  }
  return {};
}

Result<CgroupId> cgroup_id_of(const std::string& folder) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) return Error::from_errno("cannot look at " + folder);
  // kernfs: the inode number is the id since Linux 5.5, on 64-bit machines.
  return CgroupId{info.st_ino};
}

CgroupId own_cgroup_id() {
  const auto root = find_cgroup2_root();
  const auto path = cgroup2_path_in(read_file("/proc/self/cgroup"));
  if (!root || path.empty()) return CgroupId{};
  const auto id = cgroup_id_of(*root + path);
  return id ? *id : CgroupId{};
}

}  // namespace holdfast::kernel
