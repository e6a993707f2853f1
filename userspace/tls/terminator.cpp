#include "holdfast/tls/terminator.h"

#include <spdlog/fmt/chrono.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "tls/context.h"
#include "tls/file_watch.h"
#include "tls/identities.h"
#include "tls/node_pair.h"
#include "tls/serving.h"
#include "tls/source.h"
#include "tls/splice_memory.h"
#include "tls/target_files.h"

namespace holdfast::tls {
namespace {

/// What decisions read: replaced whole, never changed.
struct Snapshot {
  Servings servings;
};

class TerminatorImpl final : public Terminator {
 public:
  TerminatorImpl(TerminatorOptions options, const Clock& clock,
                 std::unique_ptr<CertificateSource> source, FileWatch trust_file)
      : clock_{clock},
        source_{std::move(source)},
        node_pair_{PairFiles{options.node_cert_file, options.node_key_file}},
        trust_file_{std::move(trust_file)},
        files_{std::move(options.state_directory)},
        identities_{options.identity_files},
        splices_{clock} {
    splices_.restore(options.kept_splices);
  }

  Result<void> start(const std::vector<std::string>& listener_addresses);

  Result<void> learn_target(const Endpoint& target,
                            const std::vector<std::string>& chain_der) override;
  [[nodiscard]] bool ready(const Endpoint& target) const override;
  [[nodiscard]] std::vector<Endpoint> ready_targets() const override;
  PeekDecision decide(const PeekResult& peek, const std::optional<Endpoint>& target,
                      const ClientKey& client) override;
  SSL* new_server_ssl(const std::optional<Endpoint>& target) override;
  void handshake_failed(const ClientKey& client, Reason reason) override {
    splices_.failed(client, reason);
  }
  void handshake_succeeded(const ClientKey& client) override { splices_.succeeded(client); }
  void certificate_unknown(const ClientKey& client, const std::string& fingerprint) override {
    splices_.failed(client, Reason::kUnknownClientCert, fingerprint);
  }
  [[nodiscard]] bool is_spliced(const ClientKey& client) const override {
    return splices_.is_spliced(client);
  }
  [[nodiscard]] std::vector<SplicedClient> spliced() const override { return splices_.spliced(); }
  std::optional<std::string> splices_to_keep() override { return splices_.changes(); }
  [[nodiscard]] Visits& visits() override { return visits_; }
  std::optional<PeerCertificate> peer_certificate(SSL* ssl) override;
  void refresh() override;
  [[nodiscard]] std::vector<std::shared_ptr<const ClientIdentity>> identities() const override {
    return identities_.all();
  }

 private:
  [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const;
  [[nodiscard]] std::shared_ptr<const Serving> find(const Snapshot& snapshot,
                                                    const std::optional<Endpoint>& target) const;
  Result<void> load_trust();
  Result<void> build(Serving& serving, const Chain& server_chain, TrustStore::Time time);
  Result<void> fill(Serving& serving, const Chain& server_chain, TrustStore::Time time);
  Result<ServingPair> pair_for(const Serving& serving, const std::string& server_root,
                               TrustStore::Time time);
  void keep(Serving& serving);
  void publish(Servings servings);

  const Clock& clock_;

  std::mutex update_mutex_;  ///< one learns or refreshes at a time; guards these
  std::unique_ptr<CertificateSource> source_;
  NodePair node_pair_;
  FileWatch trust_file_;
  Complaint trust_complaint_;
  std::optional<TrustStore> trust_;
  Names listener_names_;
  TargetFiles files_;

  Identities identities_;
  SpliceMemory splices_;
  Visits visits_;

  mutable std::mutex snapshot_mutex_;  ///< held to copy the pointer only
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<const Snapshot>();
};

std::shared_ptr<const Snapshot> TerminatorImpl::snapshot() const {
  const std::scoped_lock lock{snapshot_mutex_};
  return snapshot_;
}

void TerminatorImpl::publish(Servings servings) {
  auto next = std::make_shared<const Snapshot>(Snapshot{.servings = std::move(servings)});
  const std::scoped_lock lock{snapshot_mutex_};
  snapshot_.swap(next);
}

Result<void> TerminatorImpl::load_trust() {
  auto pem = trust_file_.read();
  if (!pem) return std::move(pem).error();
  auto trust = TrustStore::create(*pem, trust_file_.path());
  if (!trust) return std::move(trust).error();
  trust_.emplace(std::move(*trust));
  return {};
}

Result<void> TerminatorImpl::start(const std::vector<std::string>& listener_addresses) {
  for (const auto& text : listener_addresses) {
    auto address = Endpoint::from_address(text, 0);
    if (!address) address = Endpoint::parse(text);
    if (!address) return std::move(address).error();
    listener_names_.add_address(*address);
  }
  if (auto loaded = load_trust(); !loaded) return loaded;
  Servings servings;
  for (auto& record : files_.load()) {
    auto chain = parse_pem_chain(record.server_chain_pem, "a kept server chain");
    if (!chain) continue;
    Serving serving{.target = record.target,
                    .server_chain_pem = std::move(record.server_chain_pem),
                    .pair = std::move(record.pair)};
    // The real server may have renewed its certificate while nobody could look.
    if (auto built = build(serving, *chain, TrustStore::Time::kIgnored); !built) {
      spdlog::warn("tls: {} stays direct: {}", serving.target.to_string(),
                   built.error().to_string());
    }
    servings.push_back(std::make_shared<const Serving>(std::move(serving)));
  }
  publish(std::move(servings));
  return {};
}

/// Fills in what is served for `serving.target`; on failure `serving.problem` says why.
Result<void> TerminatorImpl::build(Serving& serving, const Chain& server_chain,
                                   TrustStore::Time time) {
  const auto former = serving.pair ? serving.pair->chain_pem : std::string{};
  const auto former_server = serving.server_chain_pem;
  serving.problem = Reason::kNoCertificate;
  auto filled = fill(serving, server_chain, time);
  if (!filled) {
    serving.context.reset();
    return filled;
  }
  serving.problem = Reason::kNone;
  const bool changed =
      former_server != serving.server_chain_pem || former != serving.pair->chain_pem;
  if (changed) {
    const auto until = std::chrono::system_clock::to_time_t(serving.pair->validity.not_after);
    spdlog::info("tls: serving {} until {:%FT%TZ}", serving.target.to_string(), fmt::gmtime(until));
  }
  if (changed || !serving.kept) keep(serving);
  return {};
}

Result<void> TerminatorImpl::fill(Serving& serving, const Chain& server_chain,
                                  TrustStore::Time time) {
  const auto now = clock_.wall();
  serving.server_chain_pem = to_pem(server_chain);
  serving.server_names = names_of(server_chain.front().get());
  const auto server_root = trust_->root_of(server_chain, now, time);
  if (!server_root) {
    serving.problem = Reason::kChainMismatch;
    return server_root.error();
  }
  auto pair = pair_for(serving, *server_root, time);
  if (!pair) return std::move(pair).error();

  auto chain = parse_pem_chain(pair->chain_pem, "the serving certificate");
  if (!chain) return std::move(chain).error();
  // Its validity is looked at whenever it is about to be served.
  const auto our_root = trust_->root_of(*chain, now, TrustStore::Time::kIgnored);
  if (!our_root || *our_root != *server_root) {
    serving.problem = Reason::kChainMismatch;
    return make_error(
        Errc::kRefused,
        "our certificate leads to " +
            (our_root ? *our_root : "no trusted root (" + our_root.error().message + ")") +
            ", the server's to " + *server_root);
  }
  if (!serving.context || serving.pair != *pair) {
    auto context = make_server_context(*pair);
    if (!context) return std::move(context).error();
    serving.context = std::shared_ptr<SSL_CTX>{std::move(*context)};
  }
  serving.pair = std::move(*pair);
  return {};
}

Result<ServingPair> TerminatorImpl::pair_for(const Serving& serving, const std::string& server_root,
                                             TrustStore::Time time) {
  const auto now = clock_.wall();
  if (auto pair = node_pair_.pair_for(serving.target, now)) {
    const auto chain = parse_pem_chain(pair->chain_pem, "the node's serving pair");
    const auto root = chain ? trust_->root_of(*chain, now, TrustStore::Time::kIgnored)
                            : Result<std::string>{chain.error()};
    if (root && *root == server_root) return std::move(*pair);
  }
  // Only what was presented just now counts: what was kept may be another server's by now.
  if (time == TrustStore::Time::kChecked) source_->seen(serving.server_names, now);
  auto wanted = serving.server_names;
  wanted.add(listener_names_);
  return source_->pair_for(wanted, now, serving.pair);
}

/// Writes down what a restart needs. What failed is tried again at each refresh, and told once.
void TerminatorImpl::keep(Serving& serving) {
  auto saved = files_.save(
      {.target = serving.target,
       .server_chain_pem = serving.server_chain_pem,
       .pair = source_->mints() && !node_pair_.is(serving.pair) ? serving.pair : std::nullopt});
  if (!saved && serving.kept) {
    spdlog::warn("tls: an offline restart could not serve {}: {}", serving.target.to_string(),
                 saved.error().to_string());
  }
  serving.kept = saved.has_value();
}

Result<void> TerminatorImpl::learn_target(const Endpoint& target,
                                          const std::vector<std::string>& chain_der) {
  auto chain = parse_der_chain(chain_der);
  if (!chain) return std::move(chain).error();

  const std::scoped_lock lock{update_mutex_};
  auto servings = snapshot()->servings;
  const auto it = std::ranges::find(servings, target, &Serving::target);
  auto next = it == servings.end() ? Serving{.target = target} : **it;
  auto built = build(next, *chain, TrustStore::Time::kChecked);
  if (!built && next.problem == Reason::kChainMismatch) {
    // Seen with our own eyes: the next start must not take it for what it was before.
    files_.remove(target);
    next.kept = false;
  }
  auto serving = std::make_shared<const Serving>(std::move(next));
  if (it == servings.end()) {
    servings.push_back(std::move(serving));
  } else {
    *it = std::move(serving);
  }
  publish(std::move(servings));
  return built;
}

void TerminatorImpl::refresh() {
  identities_.reload();
  splices_.forget_certificates([this](const std::string& print) { return identities_.has(print); });
  const std::scoped_lock lock{update_mutex_};
  source_->reload();
  node_pair_.reload();
  if (trust_file_.changed()) {
    if (auto loaded = load_trust(); loaded) {
      trust_complaint_.settled();
    } else {
      trust_file_.retry();
      const auto problem = loaded.error().to_string();
      if (trust_complaint_.is_new(problem)) {
        spdlog::warn("tls: still trusting the former CA: {}", problem);
      }
    }
  }
  auto servings = snapshot()->servings;
  for (auto& serving : servings) {
    auto chain = parse_pem_chain(serving->server_chain_pem, "a server chain");
    if (!chain) continue;
    auto next = *serving;
    auto built = build(next, *chain, TrustStore::Time::kIgnored);
    if (!built && serving->problem != next.problem) {
      spdlog::warn("tls: {} goes direct: {}", next.target.to_string(), built.error().to_string());
    }
    serving = std::make_shared<const Serving>(std::move(next));
  }
  publish(std::move(servings));
}

std::shared_ptr<const Serving> TerminatorImpl::find(const Snapshot& snapshot,
                                                    const std::optional<Endpoint>& target) const {
  const auto now = clock_.wall();
  const auto it = std::ranges::find_if(snapshot.servings, [&](const auto& serving) {
    return target ? serving->target == *target : serving->usable(now) == Reason::kNone;
  });
  return it == snapshot.servings.end() ? nullptr : *it;
}

bool TerminatorImpl::ready(const Endpoint& target) const {
  const auto serving = find(*snapshot(), target);
  return serving && serving->usable(clock_.wall()) == Reason::kNone;
}

std::vector<Endpoint> TerminatorImpl::ready_targets() const {
  const auto now = clock_.wall();
  const auto current = snapshot();
  std::vector<Endpoint> result;
  for (const auto& serving : current->servings) {
    if (serving->usable(now) == Reason::kNone) result.push_back(serving->target);
  }
  return result;
}

PeekDecision TerminatorImpl::decide(const PeekResult& peek, const std::optional<Endpoint>& target,
                                    const ClientKey& client) {
  const auto splice = [](Reason reason) {
    return PeekDecision{.verdict = Verdict::kSplice, .reason = reason};
  };
  if (peek.status == PeekStatus::kNotTls) return splice(Reason::kNotTls);
  // A hello that never became whole is the real server's to complain about.
  if (peek.status != PeekStatus::kHello) return splice(Reason::kMalformedHello);
  const auto serving = find(*snapshot(), target);
  if (!serving) return splice(Reason::kNoCertificate);
  if (const auto reason = serving->usable_for(peek.hello, clock_.wall()); reason != Reason::kNone) {
    return splice(reason);
  }
  // Last, so that only a connection which will really be terminated counts as the re-test.
  if (const auto reason = splices_.lookup(client)) return splice(*reason);
  return {.verdict = Verdict::kTerminate, .reason = Reason::kNone};
}

SSL* TerminatorImpl::new_server_ssl(const std::optional<Endpoint>& target) {
  const auto serving = find(*snapshot(), target);
  if (!serving || serving->usable(clock_.wall()) != Reason::kNone) return nullptr;
  SSL* ssl = SSL_new(serving->context.get());
  if (ssl != nullptr) SSL_set_accept_state(ssl);
  return ssl;
}

std::optional<Terminator::PeerCertificate> TerminatorImpl::peer_certificate(SSL* ssl) {
  const X509Ptr certificate{SSL_get1_peer_certificate(ssl)};
  if (!certificate) return std::nullopt;
  auto print = fingerprint(certificate.get());
  auto identity = identities_.find(print);
  return PeerCertificate{.fingerprint = std::move(print), .identity = std::move(identity)};
}

}  // namespace

std::string_view to_string(Reason reason) {
  switch (reason) {
    case Reason::kNone:
      return "none";
    case Reason::kNotTls:
      return "not_tls";
    case Reason::kMalformedHello:
      return "malformed_hello";
    case Reason::kOtherName:
      return "other_name";
    case Reason::kNoCertificate:
      return "no_certificate";
    case Reason::kChainMismatch:
      return "chain_mismatch";
    case Reason::kHandshakeFailed:
      return "handshake_failed";
    case Reason::kOtherProtocol:
      return "other_protocol";
    case Reason::kUnknownClientCert:
      return "unknown_client_certificate";
    case Reason::kRule:
      return "rule";
  }
  return "none";
}

Result<std::unique_ptr<Terminator>> Terminator::create(TerminatorOptions options,
                                                       const Clock& clock) {
  auto source = CertificateSource::create(options);
  if (!source) return std::move(source).error();
  const auto& trust =
      options.upstream_ca_file.empty() ? options.ca_cert_file : options.upstream_ca_file;
  if (trust.empty()) {
    return make_error(Errc::kInvalidArgument,
                      "no CA to verify the API server with: set upstream.ca");
  }
  const auto listener_addresses = options.listener_addresses;
  auto terminator = std::make_unique<TerminatorImpl>(std::move(options), clock, std::move(*source),
                                                     FileWatch{trust});
  if (auto started = terminator->start(listener_addresses); !started) {
    return std::move(started).error();
  }
  return std::unique_ptr<Terminator>{std::move(terminator)};
}

}  // namespace holdfast::tls
