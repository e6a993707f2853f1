#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "holdfast/kube/object.h"
#include "holdfast/kube/request_attributes.h"

namespace holdfast::writes {

/// What the API server would have filled in: the one thing that this agent ever makes up.
struct Invented {
  std::string suffix;        ///< of a name, where the client gave only a generateName
  std::string uid;           ///< that of the answer; the API server gives its own later
  std::int64_t created = 0;  ///< Unix seconds
  static Invented now(std::int64_t seconds);
};

/// An Event that is taken in the API server's place.
struct TakenEvent {
  std::string answer;  ///< body of the 201: the client's object with name, namespace, uid, time
  std::string upload;  ///< body of the later create: the client's object, with the name it was told
  std::string name;
};

/// Empty when the body is not an Event of that group and version that the API server could take: no
/// name and no generateName, another namespace than the request's, another kind.
std::optional<TakenEvent> take_event(kube::Encoding encoding, const Slice& body,
                                     const kube::GroupVersionResource& gvr, const std::string& ns,
                                     const Invented& invented);

}  // namespace holdfast::writes
