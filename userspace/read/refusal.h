#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "holdfast/identity/credential.h"
#include "request/context.h"
#include "request/request.h"

namespace holdfast::read {

/// True for a refusal that ends what was shown before: 401, 403 and 404.
bool is_refusal(unsigned status);

/// True for a status that only comes from behind the API server's authorization.
bool was_authorized(unsigned status);

/// What an answer's status says about the credential it was given to. On a 401 the principal that
/// the credential had stays in the request, for `forget_refused`.
void note_status(request::ThreadContext& thread, request::Request& request, unsigned status);

/// The API server answers this question of this principal: a refusal of before counts no more.
void note_allowed(request::ThreadContext& thread, const request::Request& request);

/// Who asks, as far as it is known without asking the API server once more.
std::optional<identity::Principal> known_principal(request::ThreadContext& thread,
                                                   const request::Request& request);

/// The API server refused a request just now: what its principal was shown of that scope goes at
/// once, or, for an object's 404, the absence is remembered. A 401 to an expired credential is
/// about the credential alone: its holder comes back with a fresh one. A 403 to a write says
/// nothing of what may be read.
void forget_refused(request::ThreadContext& thread, const request::Request& request,
                    unsigned status, std::string_view content_type, std::string body);

}  // namespace holdfast::read
