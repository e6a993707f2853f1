#include "agent/certificate_requester.h"

#include <spdlog/fmt/chrono.h>

#include <algorithm>
#include <string_view>

#include "holdfast/telemetry/log.h"
#include "tls/certificate_request.h"

namespace holdfast::agent {
namespace {

using spdlog::level::info;
using spdlog::level::warn;

CertificateRequester::Duration doubled(CertificateRequester::Duration& value,
                                       CertificateRequester::Duration most) {
  const auto now = value;
  value = std::min(2 * value, most);
  return now;
}

std::string date(tls::WallTime time) {
  return fmt::format("{:%FT%TZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(time)));
}

}  // namespace

std::string node_of_subject(const std::string& subject) {
  constexpr std::string_view kName = "CN=system:node:", kGroup = "O=system:nodes";
  std::string_view rest = subject;
  if (rest.ends_with("," + std::string{kGroup})) {
    rest.remove_suffix(kGroup.size() + 1);
  } else if (rest.starts_with(std::string{kGroup} + ",")) {
    rest.remove_prefix(kGroup.size() + 1);
  } else {
    return {};
  }
  if (!rest.starts_with(kName) || rest.find_first_of(",+\\") != std::string_view::npos) return {};
  return std::string{rest.substr(kName.size())};
}

std::shared_ptr<const tls::ClientIdentity> node_identity(
    const std::vector<std::shared_ptr<const tls::ClientIdentity>>& identities,
    const std::string& node, std::chrono::system_clock::time_point now) {
  std::shared_ptr<const tls::ClientIdentity> found;
  for (const auto& identity : identities) {
    const auto name = node_of_subject(identity->subject);
    if (name.empty() || identity->not_after < now) continue;
    if (name == node) return identity;
    if (!found) found = identity;
  }
  return found;
}

CertificateRequester::CertificateRequester(Parts parts, const Clock& clock)
    : parts_{std::move(parts)}, clock_{clock} {}

Task<> CertificateRequester::run(Executor executor) {
  Timer timer{executor};
  while (true) {
    const auto wait = co_await step();
    timer.expires_after(wait);
    co_await timer.async_wait(use_task);
  }
}

void CertificateRequester::tell(spdlog::level::level_enum level, std::string sentence) {
  if (sentence == told_) return;
  told_ = std::move(sentence);
  telemetry::log(level, "serving certificate", {{"state", told_}});
  parts_.on_state(told_);
}

std::string CertificateRequester::need(const tls::Names& wanted) const {
  const auto pair = parts_.certificate->pair();
  if (!pair) return "there is none";
  if (!pair->names.covers(wanted)) return "the API servers have names that it lacks";
  if (!wanted.covers(pair->names)) return "it has names that no API server has any more";
  if (clock_.wall() >= tls::renewal_time(pair->validity)) return "it ends soon";
  return {};
}

upstream::Identity CertificateRequester::access() {
  const auto identity = node_identity(parts_.identities(), parts_.node, clock_.wall());
  if (!identity) return nullptr;
  auto loaded = upstream::ClientIdentity::from_pem(identity->chain_pem, identity->key_pem);
  if (!loaded) return nullptr;
  node_ = node_of_subject(identity->subject);
  return std::move(*loaded);
}

Task<CertificateRequester::Duration> CertificateRequester::step() {
  const auto wanted = parts_.certificate->wanted(clock_.wall());
  if (wanted.empty()) {
    tell(info, "none; waiting for the API server to show which names it needs");
    co_return kIdle;
  }
  const auto why = need(wanted);
  if (why.empty()) {
    tell(info, "valid until " + date(parts_.certificate->pair()->validity.not_after));
    co_return kIdle;
  }
  if (!parts_.online()) co_return kIdle;
  if (const auto pending = parts_.certificate->pending()) {
    if (pending->names.covers(wanted)) co_return co_await look_at_pending();
    tell(info, "no longer waiting for " + pending->name + ": the API servers have more names now");
    drop_pending();
  }
  co_return co_await request(wanted);
}

Task<CertificateRequester::Duration> CertificateRequester::request(tls::Names wanted) {
  const auto identity = access();
  if (!identity) {
    tell(warn,
         "cannot be requested: no valid client certificate of this node (O=system:nodes, "
         "CN=system:node:NAME) was found; set upstream.kubeconfig, or tls.cert and tls.key");
    co_return doubled(retry_, kPollMax);
  }
  auto made = tls::make_certificate_request(node_, wanted);
  if (!made) co_return failed("making the request", made.error());
  auto created = co_await parts_.api->create(
      identity, signing_request_json(node_, made->request_pem, parts_.lifetime));
  if (!created) co_return failed("requesting it", created.error());
  tls::PendingRequest pending{.name = created->name,
                              .uid = created->uid,
                              .key_pem = std::move(made->key_pem),
                              .names = std::move(wanted)};
  if (auto kept = parts_.certificate->set_pending(std::move(pending)); !kept) {
    telemetry::log(warn, "a restart would request another certificate",
                   {{"error", kept.error().to_string()}});
  }
  poll_ = kPollFirst;
  retry_ = kRetryFirst;
  tell(info, "awaiting approval of CertificateSigningRequest " + created->name +
                 " by `holdfast approver`, or by: kubectl certificate approve " + created->name);
  co_return doubled(poll_, kPollMax);
}

Task<CertificateRequester::Duration> CertificateRequester::look_at_pending() {
  const auto pending = *parts_.certificate->pending();
  const auto identity = access();
  if (!identity) co_return doubled(retry_, kPollMax);
  auto state = co_await parts_.api->get(identity, pending.name);
  if (!state && state.error().code != Errc::kNotFound) {
    co_return failed("looking at " + pending.name, state.error());
  }
  if (!state || state->uid != pending.uid) {
    tell(info, pending.name + " is gone; another one is requested");
    drop_pending();
    co_return doubled(refused_, kRetryMax);
  }
  retry_ = kRetryFirst;
  if (!state->denied.empty()) co_return refused(pending.name + " was denied", state->denied);
  if (!state->failed.empty()) co_return refused(pending.name + " failed", state->failed);
  if (!state->certificate_pem.empty()) co_return issued(pending, state->certificate_pem);
  if (state->approved) {
    tell(info, pending.name + " is approved; awaiting its certificate from the signer");
  } else {
    // Said again after a restart.
    tell(info, "awaiting approval of CertificateSigningRequest " + pending.name +
                   " by `holdfast approver`, or by: kubectl certificate approve " + pending.name);
  }
  co_return doubled(poll_, kPollMax);
}

CertificateRequester::Duration CertificateRequester::issued(const tls::PendingRequest& pending,
                                                            const std::string& chain_pem) {
  auto pair = tls::ServingPair::create(chain_pem, pending.key_pem, "what was issued");
  if (!pair) return refused(pending.name + " is of no use", pair.error().to_string());
  if (!pair->names.covers(pending.names)) {
    return refused(pending.name + " is of no use", "names are missing in what was issued");
  }
  if (clock_.wall() >= tls::renewal_time(pair->validity)) {
    return refused(
        pending.name + " is of no use",
        "what was issued ends " + date(pair->validity.not_after) + "; is this node's clock right?");
  }
  const auto until = date(pair->validity.not_after);
  if (auto kept = parts_.certificate->adopt(std::move(*pair)); !kept) {
    telemetry::log(warn, "an offline restart could not serve",
                   {{"error", kept.error().to_string()}});
  }
  drop_pending();
  retry_ = kRetryFirst;
  refused_ = kRefusedFirst;
  tell(info, "valid until " + until);
  parts_.on_issued();
  return kIdle;
}

// The signer or a person said no: asking again at once would only make noise.
CertificateRequester::Duration CertificateRequester::refused(std::string what, std::string why) {
  drop_pending();
  tell(warn, std::move(what) + " (" + std::move(why) + "); it will be requested again");
  return doubled(refused_, kRetryMax);
}

CertificateRequester::Duration CertificateRequester::failed(const std::string& what,
                                                            const Error& error) {
  tell(warn, what + " failed: " + error.to_string());
  // A server that says no will hardly change its mind soon; one that is away will be back.
  return doubled(retry_, error.code == Errc::kRefused ? kRetryMax : kPollMax);
}

void CertificateRequester::drop_pending() {
  if (parts_.certificate->pending()) (void)parts_.certificate->set_pending(std::nullopt);
}

}  // namespace holdfast::agent
