#pragma once

#include <map>
#include <protozero/pbf_writer.hpp>
#include <string>

#include "holdfast/kube/object.h"

// Kubernetes protobuf messages, written with another writer than the one under test.
namespace holdfast::kube::testing {

inline std::string protobuf_body(const std::string& name, const std::string& version,
                                 const std::map<std::string, std::string>& labels = {},
                                 const std::map<std::string, std::string>& annotations = {},
                                 const std::string& ns = "default") {
  std::string out;
  protozero::pbf_writer message{out};
  {
    protozero::pbf_writer meta{message, 1};
    if (!name.empty()) meta.add_string(1, name);
    meta.add_string(2, "");
    meta.add_string(3, ns);
    meta.add_string(5, "uid-" + name);
    meta.add_string(6, version);
    meta.add_int64(7, 0);
    for (const auto& [key, value] : labels) {
      protozero::pbf_writer entry{meta, 11};
      entry.add_string(1, key);
      entry.add_string(2, value);
    }
    for (const auto& [key, value] : annotations) {
      protozero::pbf_writer entry{meta, 12};
      entry.add_string(1, key);
      entry.add_string(2, value);
    }
  }
  message.add_string(2, "spec of " + name);
  return out;
}

inline std::string envelope(const TypeMeta& type, const std::string& raw) {
  std::string out;
  protozero::pbf_writer unknown{out};
  {
    protozero::pbf_writer meta{unknown, 1};
    meta.add_string(1, type.api_version);
    meta.add_string(2, type.kind);
  }
  unknown.add_bytes(2, raw);
  unknown.add_string(3, "");
  unknown.add_string(4, "");
  return std::string("k8s\0", 4) + out;
}

}  // namespace holdfast::kube::testing
