#include "read/refusal.h"

#include <chrono>

#include "holdfast/kube/status_reasons.h"
#include "read/offline_answer.h"
#include "read/tee.h"
#include "request/denials.h"

namespace holdfast::read {
namespace {

using request::Request;
using request::ThreadContext;

// Clocks differ by moments: so near its end a credential is taken to be refused for its age.
constexpr std::int64_t kNearlyExpired = 60;  // seconds

bool expired(ThreadContext& thread, const identity::Credential& credential) {
  std::int64_t end = credential.certificate_not_after;
  if (credential.kind == identity::Credential::Kind::kBearer) {
    const auto claims = identity::read_claims(credential.token);
    end = claims ? claims->expires : 0;
  }
  const auto now = std::chrono::system_clock::to_time_t(thread.services.clock.wall());
  return end != 0 && end <= now + kNearlyExpired;
}

// "page not found" of a server that does not know the resource is a 404, too, but no Status.
std::optional<kube::Status> read_status(std::string_view content_type, const std::string& body) {
  kube::Encoding encoding{};
  bool stream = false;
  if (!kube::parse_content_type(content_type, encoding, stream)) return std::nullopt;
  const auto object = kube::parse_object(encoding, Slice::copy(body));
  if (!object || object->type.kind != "Status") return std::nullopt;
  return kube::read_status(encoding, object->body.view());
}

bool is_write(kube::Verb verb) {
  using kube::Verb;
  return verb == Verb::kCreate || verb == Verb::kUpdate || verb == Verb::kPatch ||
         verb == Verb::kDelete || verb == Verb::kDeleteCollection;
}

bool is_question(kube::Verb verb) {
  using kube::Verb;
  return verb == Verb::kGet || verb == Verb::kList || verb == Verb::kWatch;
}

bool is_of_many(kube::Verb verb) {
  using kube::Verb;
  return verb == Verb::kList || verb == Verb::kWatch || verb == Verb::kDeleteCollection;
}

}  // namespace

bool is_refusal(unsigned status) {
  return status == 401 || status == 403 || status == 404;
}

bool was_authorized(unsigned status) {
  return status < 500 && status != 400 && status != 401 && status != 403 && status != 429;
}

std::optional<identity::Principal> known_principal(ThreadContext& thread, const Request& request) {
  if (auto found = thread.services.identities.find(request.credential)) {
    return identity::with_impersonation(std::move(*found), request.attributes.impersonation);
  }
  auto who = offline_principal(thread, request);
  auto* known = std::get_if<identity::Principal>(&who);
  return known == nullptr ? std::nullopt : std::optional{std::move(*known)};
}

void note_status(ThreadContext& thread, Request& request, unsigned status) {
  auto& identities = thread.services.identities;
  if (status == 401 && !request.principal) {
    request.principal = known_principal(thread, request);
  }
  request::note_credential(identities, request.credential, status);
}

void note_allowed(ThreadContext& thread, const Request& request) {
  if (!request.principal) return;
  thread.services.denials.allowed(request.principal->id(), request.attributes);
}

void forget_refused(ThreadContext& thread, const Request& request, unsigned status,
                    std::string_view content_type, std::string body) {
  if (!is_refusal(status)) return;
  if (status == 401 && expired(thread, request.credential)) return;
  // Forgetting too much is safe: who it was by the last acceptance will do.
  const auto principal = request.principal ? request.principal : known_principal(thread, request);
  if (!principal) return;
  auto& store = thread.services.store;
  const auto& attributes = request.attributes;
  auto told = read_status(content_type, body);
  if (status == 403 && told && told->reason == "Forbidden" && is_question(attributes.verb)) {
    thread.services.denials.denied(
        principal->id(), attributes, store.era(),
        {.message = std::move(told->message), .at = thread.services.clock.wall()});
  }
  if (!attributes.resource_request) {
    store.forget_document(principal->id(), document_key(request));
    return;
  }
  auto query = request::query_of(request, *principal, {});
  if (!query) return;
  // Writes, and parts of an object such as its logs, are allowed apart from it.
  const bool read = attributes.is_read();
  if (status == 401 || (status == 403 && read)) return store.purge(std::move(*query));
  const bool write = is_write(attributes.verb);
  if (status == 403 || !(read || write)) return;
  if (!told || told->reason != "NotFound" || is_of_many(attributes.verb)) {
    if (read || attributes.subresource.empty()) {
      store.forget_resource(principal->id(), attributes.gvr);
    }
    return;
  }
  if (attributes.name.empty()) return;  // the namespace that it was to be created in
  if (write && !attributes.subresource.empty()) {
    // The object or what the write names beside it: the object is not served until it is seen.
    query->subresource.clear();
    return store.record_unseen_write(std::move(*query), 0);
  }
  kube::Encoding encoding{};
  bool stream = false;
  kube::parse_content_type(content_type, encoding, stream);
  if (encoding != kube::Encoding::kJson) {
    body = kube::render_status(kube::Encoding::kJson,
                               kube::not_found(request.attributes.gvr, request.attributes.name));
  }
  store.record_not_found(std::move(*query), std::move(body), request.record);
}

}  // namespace holdfast::read
