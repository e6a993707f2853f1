#include "read/refusal.h"

#include <chrono>

#include "holdfast/kube/status_reasons.h"
#include "read/tee.h"

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
bool says_not_found(std::string_view content_type, const std::string& body) {
  kube::Encoding encoding{};
  bool stream = false;
  if (!kube::parse_content_type(content_type, encoding, stream)) return false;
  const auto object = kube::parse_object(encoding, Slice::copy(body));
  return object && object->type.kind == "Status" &&
         kube::status_reason(encoding, object->body.view()) == "NotFound";
}

}  // namespace

bool is_refusal(unsigned status) {
  return status == 401 || status == 403 || status == 404;
}

void note_status(ThreadContext& thread, Request& request, unsigned status) {
  auto& identities = thread.services.identities;
  if (status == 401 && !request.principal) {
    if (auto known = identities.find(request.credential)) {
      request.principal =
          identity::with_impersonation(std::move(*known), request.attributes.impersonation);
    }
  }
  request::note_credential(identities, request.credential, status);
}

void forget_refused(ThreadContext& thread, const Request& request, unsigned status,
                    std::string_view content_type, std::string body) {
  if (!request.principal || !is_refusal(status)) return;
  if (status == 401 && expired(thread, request.credential)) return;
  auto& store = thread.services.store;
  if (!request.attributes.resource_request) {
    store.forget_document(request.principal->id(), document_key(request));
    return;
  }
  auto query = request::query_of(request, *request.principal, {});
  if (!query) return;
  if (status != 404 || request.attributes.verb != kube::Verb::kGet ||
      !says_not_found(content_type, body)) {
    store.purge(std::move(*query));
    return;
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
