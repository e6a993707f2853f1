#include "agent/worker.h"

#include <openssl/rand.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "agent/admin_source.h"
#include "agent/admission_control.h"
#include "agent/adopter.h"
#include "agent/certificate_requester.h"
#include "agent/cluster_check.h"
#include "agent/discovery.h"
#include "agent/flow_pump.h"
#include "agent/io_thread.h"
#include "agent/notes.h"
#include "agent/self_test.h"
#include "agent/service_discovery.h"
#include "agent/serving_state.h"
#include "agent/store_opener.h"
#include "agent/target_keeper.h"
#include "holdfast/config/reloader.h"
#include "holdfast/kernel/listener_address.h"
#include "holdfast/kernel/own_traffic.h"
#include "holdfast/policy/decision.h"
#include "holdfast/telemetry/log.h"
#include "lease/book.h"
#include "request/denials.h"
#include "share/shared.h"
#include "writes/shared.h"

namespace holdfast::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kBeat = 250ms;
constexpr auto kDrain = 5s;
constexpr auto kRefresh = 60s;
constexpr auto kDiscover = 1h;
constexpr std::string_view kServiceTargets = "service-targets";  // a line each, in the store
constexpr std::string_view kLastOnline = "last-online";          // Unix seconds, in the store
constexpr std::string_view kSplices =
    "spliced-clients";  // as tls::Terminator wrote it, in the store

std::string random_path() {
  std::array<unsigned char, 16> bytes{};
  RAND_bytes(bytes.data(), bytes.size());
  std::string path = "/.well-known/holdfast/";
  for (const auto byte : bytes) path += fmt::format("{:02x}", byte);
  return path;
}

std::string_view source_name(config::TlsSource source) {
  switch (source) {
    case config::TlsSource::kAuto:
      return "auto";
    case config::TlsSource::kFiles:
      return "files";
    case config::TlsSource::kCsr:
      return "csr";
    case config::TlsSource::kCa:
      return "ca";
  }
  return "auto";
}

identity::IdentityOptions identity_options(const config::Config& config) {
  return {.opaque_token_ttl = config.cache.opaque_token_ttl,
          .expired_grace = config.cache.expired_grace,
          .node = config.node};
}

// Made by K3s for its agents; elsewhere there are none.
constexpr const char* kNodeCertificate = "/var/lib/rancher/k3s/agent/serving-kubelet.crt";
constexpr const char* kNodeKey = "/var/lib/rancher/k3s/agent/serving-kubelet.key";

bool requests_certificate(const config::Tls& tls) {
  return tls.source == config::TlsSource::kCsr ||
         (tls.source == config::TlsSource::kAuto && tls.cert.empty() && tls.ca_key.empty());
}

// The upstream roots as a file: a kubeconfig may hold them inline.
Result<std::string> ca_file(const Discovery& found, const std::string& directory) {
  if (!found.ca_file.empty()) return found.ca_file;
  std::error_code ec;
  std::filesystem::create_directories(directory, ec);
  const auto path = directory + "/upstream-ca.crt";
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (!file) return Error::from_errno("cannot write " + path);
  std::fwrite(found.ca_pem.data(), 1, found.ca_pem.size(), file);
  std::fclose(file);
  return path;
}

class WorkerImpl final : public Worker {
 public:
  WorkerImpl(const AgentOptions& options, std::shared_ptr<const config::Config> config)
      : options_{options}, config_{std::move(config)}, health_{config_->threads} {}
  ~WorkerImpl() override { threads_.clear(); }

  Result<void> build();
  int run(watchdog::Pulse& pulse) override;

 private:
  Result<void> build_store();
  Result<void> build_upstream();
  Result<void> build_interception();
  Result<void> build_discovery();
  Result<void> build_cluster_check(const OwnAccess& access);
  Result<void> build_requester();
  Result<void> build_threads();
  Result<void> build_admin();

  Task<> heartbeat(watchdog::Pulse* pulse);
  Task<> maintenance();
  Task<> discover_targets();
  void use_targets(std::vector<Endpoint> discovered);
  Task<> wait_for_signal();
  void beat_or_not(SteadyClock::time_point now);
  void sweep_unclaimed(SteadyClock::time_point now);
  void reload(Result<config::Config> changed);
  void on_link(upstream::LinkTransition transition);
  void keep_last_online();
  void keep_splices();
  void count_bytes(std::size_t sent, std::size_t received);
  [[nodiscard]] const std::string& socket_path() const {
    return options_.admin_socket.empty() ? config_->admin.socket : options_.admin_socket;
  }
  [[nodiscard]] kernel::Interceptor* interceptor() {
    return interceptor_ ? &*interceptor_ : nullptr;
  }

  const AgentOptions options_;
  std::shared_ptr<const config::Config> config_;
  const Clock& clock_ = system_clock();
  boost::asio::io_context control_{1};
  Nursery nursery_{control_.get_executor()};

  telemetry::Metrics metrics_;
  telemetry::Broadcast trace_;
  ServingState serving_;
  Health health_;
  RecentPeers peers_;
  Discovery found_;
  StoreOpener opener_;
  std::unique_ptr<cache::Store> store_;
  std::unique_ptr<Notes> notes_;
  std::unique_ptr<identity::Registry> identities_;
  std::unique_ptr<identity::PodDirectory> pods_ = identity::PodDirectory::create();
  std::shared_ptr<upstream::LinkMonitor> link_;
  std::shared_ptr<void> link_subscription_;
  std::shared_ptr<tls::RequestedCertificate> requested_;  ///< null: from files or a CA
  std::unique_ptr<tls::Terminator> terminator_;
  std::optional<kernel::Interceptor> interceptor_;
  std::vector<kernel::ListenerAddress> addresses_;
  std::unique_ptr<LearnedRules> rules_;
  SplicedFlows spliced_{trace_};
  std::unique_ptr<AdmissionControl> admission_;
  std::unique_ptr<FlowPump> flows_;
  std::unique_ptr<Adopter> adopter_;  ///< null: not asked for, or done in this boot
  std::unique_ptr<TargetKeeper> targets_;
  std::unique_ptr<CertificateRequester> requester_;  ///< null as requested_
  std::unique_ptr<ServiceDiscovery> discovery_;
  std::unique_ptr<ClusterCheck> cluster_;
  upstream::Identity own_identity_;        ///< null: none
  std::vector<Endpoint> service_targets_;  ///< what the API server last said
  bool discover_now_ = true;
  lease::Book leases_{clock_};
  std::unique_ptr<writes::Shared> writes_;
  share::Shared shared_;
  request::Denials denials_;
  std::unique_ptr<request::Services> services_;
  std::vector<std::unique_ptr<IoThread>> threads_;
  std::vector<Endpoint> listening_;
  std::string self_test_path_ = random_path();
  std::unique_ptr<AdminSource> admin_source_;
  std::unique_ptr<admin::Server> admin_;
  std::unique_ptr<config::Reloader> reloader_;
  std::optional<std::chrono::system_clock::time_point> kept_online_;
  bool beating_ = false;
  bool restarting_ = false;  ///< the parent starts another worker
};

Result<void> WorkerImpl::build() {
  raise_descriptor_limit();
  using Step = Result<void> (WorkerImpl::*)();
  for (const Step step :
       {&WorkerImpl::build_store, &WorkerImpl::build_upstream, &WorkerImpl::build_interception,
        &WorkerImpl::build_requester, &WorkerImpl::build_threads, &WorkerImpl::build_admin}) {
    if (auto built = (this->*step)(); !built) return built;
  }
  return {};
}

Result<void> WorkerImpl::build_store() {
  auto store = opener_.open({.directory = config_->cache.dir,
                             .budget = config_->cache.budget,
                             .key_source = config_->cache.key.to_string()},
                            clock_);
  if (!store) return store.error();
  store_ = std::move(*store);
  serving_.update([&](ServingState::View& view) { view.cache_problem = opener_.problem(); });
  notes_ = std::make_unique<Notes>(store_->credentials());
  identities_ = identity::Registry::create(identity_options(*config_), store_->hmac_key(),
                                           store_->credentials(), clock_);
  return {};
}

Result<void> WorkerImpl::build_upstream() {
  auto found = discover(*config_, this_machine());
  if (!found) return found.error();
  found_ = std::move(*found);
  for (const auto& source : found_.sources) spdlog::info("discovered {}", source);
  telemetry::log(spdlog::level::info, "this node",
                 {{"is", found_.node.name()}, {"why", found_.node.reason()}});
  metrics_.node_info(to_string(found_.node.distribution));
  upstream::LinkOptions link{.servers = found_.servers.size()};
  if (const auto kept = store_->credentials().get_named(kLastOnline)) {
    const std::time_t seconds = std::strtoll(kept->c_str(), nullptr, 10);
    if (seconds > 0) link.last_online = std::chrono::system_clock::from_time_t(seconds);
  }
  // Another CA than before is another cluster, online or not.
  if (auto bound = store_->bind_cluster(hash_of_roots(found_.ca_pem)); !bound) {
    telemetry::log(spdlog::level::err, "cache", {{"error", bound.error().to_string()}});
  }
  link_ = upstream::LinkMonitor::create(link, clock_);
  link_subscription_ = link_->subscribe(
      control_.get_executor(), [this](upstream::LinkTransition change) { on_link(change); });

  const auto state = config_->cache.dir + "/tls";
  auto ca = ca_file(found_, state);
  // On a disk that is full or read-only.
  if (!ca) ca = ca_file(found_, std::filesystem::path{socket_path()}.parent_path().string());
  if (!ca) return ca.error();
  tls::TerminatorOptions options{
      .source = std::string{source_name(config_->tls.source)},
      .cert_file = config_->tls.cert,
      .key_file = config_->tls.key,
      .ca_cert_file = config_->tls.ca_cert,
      .ca_key_file = config_->tls.ca_key,
      .upstream_ca_file = *ca,
      .lifetime = config_->tls.lifetime,
      .state_directory = state,
      .identity_files = found_.identities,
      .node_cert_file = kNodeCertificate,
      .node_key_file = kNodeKey,
      .kept_splices = store_->credentials().get_named(kSplices).value_or("")};
  tls::Names listener;
  for (const auto& listen : config_->intercept.listen) {
    options.listener_addresses.push_back(listen.address_string());
    listener.add_address(listen);
  }
  if (requests_certificate(config_->tls)) {
    requested_ = std::make_shared<tls::RequestedCertificate>(state, listener, clock_.wall());
    options.requested = requested_;
  }
  auto terminator = tls::Terminator::create(std::move(options), clock_);
  if (!terminator) return terminator.error();
  terminator_ = std::move(*terminator);
  return {};
}

Result<void> WorkerImpl::build_interception() {
  kernel::InterceptorOptions options{.cgroup_path = config_->intercept.cgroup};
  for (const auto& listen : config_->intercept.listen) {
    auto address = kernel::ListenerAddress::add(listen);
    if (!address) {
      // A node without IPv6 serves IPv4; without either it can't serve at all.
      spdlog::warn("not listening on {}: {}", listen.to_string(), address.error().to_string());
      continue;
    }
    addresses_.push_back(std::move(*address));
    listening_.push_back(listen);
    (listen.is_v4() ? options.listen_v4 : options.listen_v6) = listen;
  }
  if (listening_.empty()) {
    return make_error(Errc::kUnavailable, "none of the addresses in intercept.listen can be used");
  }
  if (config_->intercept.enabled && !found_.stay_out.empty()) {
    telemetry::log(spdlog::level::warn, "interception stays off", {{"why", found_.stay_out}});
  }
  if (config_->intercept.enabled && found_.stay_out.empty()) {
    auto interceptor = kernel::Interceptor::create(options);
    if (!interceptor) return interceptor.error();
    interceptor_.emplace(std::move(*interceptor));
  }
  if (auto discovery = build_discovery(); !discovery) return discovery;
  rules_ = std::make_unique<LearnedRules>(interceptor());
  admission_ = std::make_unique<AdmissionControl>(interceptor(), *link_, peers_, listening_);
  if (interceptor_) {
    flows_ =
        std::make_unique<FlowPump>(*interceptor_, *admission_, *pods_, metrics_, trace_, spliced_);
  }
  if (interceptor_ && config_->intercept.adopt) {
    const auto& socket =
        options_.admin_socket.empty() ? config_->admin.socket : options_.admin_socket;
    adopter_ = Adopter::create(
        {.interceptor = *interceptor_,
         .admission = *admission_,
         .terminator = *terminator_,
         .pods = *pods_,
         .cgroup = config_->intercept.cgroup,
         .marker = (std::filesystem::path{socket}.parent_path() / "adopted").string(),
         .rules = config_->intercept.rules});
  }
  targets_ = std::make_unique<TargetKeeper>(*terminator_, interceptor(), found_.targets, serving_);
  use_targets(service_targets_);
  return {};
}

Result<void> WorkerImpl::build_discovery() {
  auto dialer = upstream::Dialer::create(control_.get_executor(),
                                         {.ca_pem = found_.ca_pem, .mark = kernel::kOwnMark});
  if (!dialer) return dialer.error();
  OwnAccess access{.identity = nullptr, .token_file = found_.own_token_file};
  if (!found_.own_cert_file.empty()) {
    auto identity = upstream::ClientIdentity::load(found_.own_cert_file, found_.own_key_file);
    // Without it, clients are served all the same.
    access.cert_file = found_.own_cert_file;
    access.key_file = found_.own_key_file;
    if (identity) {
      access.identity = std::move(*identity);
      own_identity_ = access.identity;
    } else {
      spdlog::warn("the agent's own access: {}", identity.error().to_string());
    }
  }
  if (auto check = build_cluster_check(access); !check) return check;
  discovery_ = std::make_unique<ServiceDiscovery>(found_.servers, std::move(*dialer),
                                                  std::move(access), found_.balanced, nursery_);
  if (const auto kept = store_->credentials().get_named(kServiceTargets)) {
    std::istringstream lines{*kept};
    for (std::string line; std::getline(lines, line);) {
      if (const auto endpoint = Endpoint::parse(line)) service_targets_.push_back(*endpoint);
    }
  }
  return {};
}

Result<void> WorkerImpl::build_cluster_check(const OwnAccess& access) {
  auto dialer = upstream::Dialer::create(control_.get_executor(),
                                         {.ca_pem = found_.ca_pem, .mark = kernel::kOwnMark});
  if (!dialer) return dialer.error();
  auto client = std::make_unique<upstream::ApiClient>(found_.servers, std::move(*dialer), nursery_);
  cluster_ = std::make_unique<ClusterCheck>(
      ClusterCheck::Parts{.api = make_cluster_api(std::move(client), access),
                          .store = *store_,
                          .roots = hash_of_roots(found_.ca_pem),
                          .online = [this] { return link_->state() == upstream::Link::kOnline; },
                          .on_other_cluster =
                              [this] {
                                identities_->clear();
                                writes_->tokens.clear();
                                leases_.clear();
                              }},
      clock_);
  return {};
}

Result<void> WorkerImpl::build_requester() {
  if (!requested_) return {};
  auto dialer = upstream::Dialer::create(control_.get_executor(),
                                         {.ca_pem = found_.ca_pem, .mark = kernel::kOwnMark});
  if (!dialer) return dialer.error();
  auto client = std::make_unique<upstream::ApiClient>(found_.servers, std::move(*dialer), nursery_);
  requester_ = std::make_unique<CertificateRequester>(
      CertificateRequester::Parts{
          .certificate = requested_,
          .api = make_signing_api(std::move(client)),
          .node = config_->node,
          .lifetime = config_->tls.lifetime,
          .identities = [this] { return terminator_->identities(); },
          .online = [this] { return link_->state() == upstream::Link::kOnline; },
          .on_issued = [this] { terminator_->refresh(); },
          .on_state =
              [this](std::string state) {
                serving_.update([&](auto& view) { view.certificate = std::move(state); });
              }},
      clock_);
  return {};
}

Result<void> WorkerImpl::build_threads() {
  writes_.reset(new writes::Shared{.tokens = {store_->hmac_key(), store_->credentials(), clock_},
                                   .events = {}});
  // Those of before another configuration, too.
  const bool sealed = store_->key_place() == cache::KeyPlace::kTpm;
  if (!policy::may_keep_tokens(*config_, sealed)) writes_->tokens.clear();
  services_.reset(new request::Services{*store_, *identities_, *pods_, *link_, metrics_, trace_,
                                        clock_, leases_, *writes_, shared_, denials_});
  const auto& probe = config_->upstream.probe;
  for (std::size_t i = 0; i < config_->threads; ++i) {
    std::vector<Acceptor> acceptors;
    for (const auto& listen : listening_) {
      auto acceptor = Acceptor::listen(listen);
      if (!acceptor) return acceptor.error();
      acceptors.push_back(std::move(*acceptor));
    }
    auto thread = IoThread::start(
        {.index = i,
         .services = *services_,
         .terminator = *terminator_,
         .admission = *admission_,
         .interceptor = interceptor(),
         .health = health_,
         .peers = peers_,
         .rules = *rules_,
         .spliced = spliced_,
         .pool = {.servers = found_.servers,
                  .ping_interval = probe.interval,
                  .suspect_interval = probe.suspect_interval,
                  .ping_timeout = probe.timeout,
                  .probe_max = 3s,
                  .prober = i == 0,
                  .on_request = [this] { metrics_.upstream_request(); },
                  .probe_identity = own_identity_},
         .dial = {.ca_pem = found_.ca_pem,
                  .mark = kernel::kOwnMark,
                  .on_bytes = [this](std::size_t sent,
                                     std::size_t received) { count_bytes(sent, received); }},
         .link = link_,
         .config = config_,
         .self_test_path = self_test_path_,
         .acceptors = std::move(acceptors)});
    if (!thread) return thread.error();
    threads_.push_back(std::move(*thread));
  }
  return {};
}

Result<void> WorkerImpl::build_admin() {
  std::vector<std::string> servers, listen;
  for (const auto& server : found_.servers) servers.push_back(server.authority());
  for (const auto& endpoint : listening_) listen.push_back(endpoint.to_string());
  admin_source_ =
      std::make_unique<AdminSource>(AdminSource::Parts{.config = *config_,
                                                       .config_path = options_.config_path,
                                                       .store = *store_,
                                                       .identities = *identities_,
                                                       .link = *link_,
                                                       .terminator = *terminator_,
                                                       .metrics = metrics_,
                                                       .trace = trace_,
                                                       .serving = serving_,
                                                       .interceptor = interceptor(),
                                                       .flows = flows_.get(),
                                                       .node = found_.node,
                                                       .stay_out = found_.stay_out,
                                                       .servers = std::move(servers),
                                                       .listen = std::move(listen)});
  const auto& socket =
      options_.admin_socket.empty() ? config_->admin.socket : options_.admin_socket;
  auto server = admin::Server::create(
      control_.get_executor(), {.listen = config_->admin.listen, .socket = socket}, *admin_source_);
  if (!server) return server.error();
  admin_ = std::move(*server);
  return {};
}

void WorkerImpl::count_bytes(std::size_t sent, std::size_t received) {
  if (sent > 0) metrics_.upstream_bytes(telemetry::Direction::kSent, sent);
  if (received > 0) metrics_.upstream_bytes(telemetry::Direction::kReceived, received);
}

// A node that restarts offline can so still say since when.
void WorkerImpl::keep_last_online() {
  const auto when = link_->snapshot().last_online;
  if (!when || when == kept_online_) return;
  const auto seconds = std::chrono::system_clock::to_time_t(*when);
  notes_->keep(std::string{kLastOnline}, std::to_string(seconds));
  kept_online_ = when;
}

// So that a client which can't be terminated pays for it once, and not after each restart.
void WorkerImpl::keep_splices() {
  if (const auto kept = terminator_->splices_to_keep()) {
    notes_->keep(std::string{kSplices}, *kept);
  }
}

void WorkerImpl::on_link(upstream::LinkTransition transition) {
  const auto now = clock_.wall();
  metrics_.link_state(label_of(transition.to), now);
  serving_.update([now](ServingState::View& view) { view.link_since = now; });
  telemetry::log(
      transition.to == upstream::Link::kOffline ? spdlog::level::warn : spdlog::level::info,
      "link to the API server",
      {{"from", upstream::to_string(transition.from)},
       {"to", upstream::to_string(transition.to)},
       {"cause", upstream::to_string(transition.cause)}});
  if (transition.to == upstream::Link::kOnline) {
    targets_->recheck();
    cluster_->recheck();
    discover_now_ = true;
  }
  if (transition.to == upstream::Link::kOffline) keep_last_online();
}

void WorkerImpl::beat_or_not(SteadyClock::time_point now) {
  double backlog = 0;
  for (const auto& thread : threads_) backlog = std::max(backlog, thread->backlog());
  health_.resources(descriptor_usage(), backlog);
  auto problems = health_.problems(now);
  if (!targets_->any_ready()) {
    const auto state = serving_.view().certificate;
    problems.push_back("no certificate can be served yet" + (state.empty() ? "" : ": " + state));
  }
  // Where nothing is intercepted nothing has to be served: leaving the node alone is the job.
  if (!found_.stay_out.empty()) problems.clear();
  const auto well = [&] {
    if (problems.empty() && found_.stay_out.empty()) problems = health_.problems(now);
    return problems.empty();
  };
  const bool serves = beat_if_well(
      well,
      [&] {
        if (interceptor_) interceptor_->beat(now);
      },
      [&] {
        if (interceptor_) interceptor_->stop_beating();
      });
  if (serves != beating_) {
    beating_ = serves;
    std::string why;
    for (const auto& problem : problems) why += (why.empty() ? "" : "; ") + problem;
    telemetry::log(serves ? spdlog::level::info : spdlog::level::warn,
                   !serves        ? "not serving: connections go direct"
                   : interceptor_ ? "serving: connections are redirected"
                                  : "serving, but interception is off",
                   {{"why", why}});
    // Not to wait for the heartbeat to grow stale.
    if (!serves && interceptor_) interceptor_->stop_beating();
  }
  serving_.update([&](ServingState::View& view) {
    view.problems = std::move(problems);
    if (serves) view.last_beat = now;
  });
}

// While a thread of ours is late, its connections' tags wait to be claimed; those that nobody
// claims afterwards were given up by clients that we kept waiting.
void WorkerImpl::sweep_unclaimed(SteadyClock::time_point now) {
  const auto pace = health_.pace(now);
  if (!interceptor_ || pace == Health::Pace::kLate) return;
  interceptor_->sweep_unclaimed(now, pace == Health::Pace::kSteady);
}

Task<> WorkerImpl::heartbeat(watchdog::Pulse* pulse) {
  Timer timer{control_.get_executor()};
  while (true) {
    const auto now = SteadyClock::now();
    beat_or_not(now);
    sweep_unclaimed(now);
    // The parent watches the process, not the service: a missing certificate is no reason to die.
    if (health_.threads_alive(now)) pulse->beat();
    timer.expires_after(kBeat);
    co_await timer.async_wait(use_task);
  }
}

Task<> WorkerImpl::maintenance() {
  Timer timer{control_.get_executor()};
  auto refreshed = SteadyClock::now();
  while (true) {
    timer.expires_after(1s);
    co_await timer.async_wait(use_task);
    const auto now = SteadyClock::now();
    admission_->tick(now);
    reloader_->poll();
    keep_splices();
    if (opener_.usable_again() && !restarting_) {
      telemetry::log(spdlog::level::info,
                     "the cache's disk and key can be used again: starting anew with them");
      restarting_ = true;
      ::kill(::getpid(), SIGTERM);
    }
    if (adopter_) {
      adopter_->tick({.serving = beating_, .online = link_->state() == upstream::Link::kOnline},
                     targets_->published());
    }
    if (now - refreshed >= kRefresh) {
      refreshed = now;
      terminator_->refresh();
      keep_last_online();
      rules_->prune();
    }
  }
}

// What the API server said adds to what was found on this node; an address that a local process
// serves is the API server itself.
void WorkerImpl::use_targets(std::vector<Endpoint> discovered) {
  auto all = found_.targets;
  for (const auto& endpoint : discovered) {
    const bool known = std::ranges::find(all, endpoint) != all.end();
    if (!known && !this_machine().is_listening(endpoint)) all.push_back(endpoint);
  }
  targets_->replace(std::move(all));
}

Task<> WorkerImpl::discover_targets() {
  Timer timer{control_.get_executor()};
  std::string told;
  auto asked = SteadyClock::time_point{};
  while (true) {
    const auto now = SteadyClock::now();
    const bool up = link_->state() == upstream::Link::kOnline;
    if (up && (discover_now_ || now - asked >= kDiscover)) {
      asked = now;
      auto found = co_await discovery_->ask();
      discover_now_ = !found && found.error().code != Errc::kRefused;
      if (!found && told != found.error().to_string()) {
        told = found.error().to_string();
        telemetry::log(spdlog::level::warn, "the Service kubernetes was not found out",
                       {{"error", told}});
      }
      if (found && *found != service_targets_) {
        service_targets_ = std::move(*found);
        std::string lines;
        for (const auto& endpoint : service_targets_) lines += endpoint.to_string() + "\n";
        notes_->keep(std::string{kServiceTargets}, std::move(lines));
        use_targets(service_targets_);
      }
    }
    timer.expires_after(discover_now_ ? 5s : 1s);
    co_await timer.async_wait(use_task);
  }
}

void WorkerImpl::reload(Result<config::Config> changed) {
  if (!changed) {
    telemetry::log(spdlog::level::err, "configuration refused, the last good one stays in force",
                   {{"error", changed.error().to_string()}});
    serving_.update(
        [&](ServingState::View& view) { view.config_error = changed.error().to_string(); });
    return;
  }
  auto restart = config::restart_needed(*config_, *changed);
  const auto next = std::make_shared<const config::Config>(std::move(*changed));
  telemetry::setup_logging(next->log);
  identities_->configure(identity_options(*next));
  store_->set_budget(next->cache.budget);
  for (const auto& thread : threads_) thread->configure(next);
  rules_->clear();
  if (auto found = discover(*next, this_machine())) {
    found_.targets = std::move(found->targets);
    use_targets(service_targets_);
  }
  std::string keys;
  for (const auto& key : restart) keys += (keys.empty() ? "" : ", ") + key;
  telemetry::log(spdlog::level::info, "configuration reloaded", {{"restart_needed_for", keys}});
  serving_.update([&](ServingState::View& view) {
    view.config_error.clear();
    view.restart_needed = std::move(restart);
  });
}

Task<> WorkerImpl::wait_for_signal() {
  boost::asio::basic_signal_set<Executor> signals{control_.get_executor(), SIGTERM, SIGINT};
  const int signal = co_await signals.async_wait(use_task);
  telemetry::log(spdlog::level::info, "stopping", {{"signal", signal}});
  // New connections go direct before anything else ends.
  if (interceptor_) interceptor_->stop_beating();
  adopter_.reset();
  admin_->stop();
  nursery_.cancel();
  for (const auto& thread : threads_) thread->drain(kDrain);
  for (const auto& thread : threads_) thread->join();
  co_await nursery_.join();
  control_.stop();
}

int WorkerImpl::run(watchdog::Pulse& pulse) {
  reloader_ = std::make_unique<config::Reloader>(
      options_.config_path, config::Environment::of_process(),
      [this](Result<config::Config> changed) { reload(std::move(changed)); });
  const auto executor = control_.get_executor();
  nursery_.spawn("heartbeat", heartbeat(&pulse));
  nursery_.spawn("maintenance", maintenance());
  nursery_.spawn("targets", targets_->run(executor));
  if (requester_) nursery_.spawn("certificate", requester_->run(executor));
  nursery_.spawn("discovery", discover_targets());
  nursery_.spawn("cluster", cluster_->run(executor));
  if (flows_) nursery_.spawn("flow events", flows_->run(executor));
  nursery_.spawn("self-test", run_self_test(executor, listening_.front(), self_test_path_, health_,
                                            kernel::kOwnMark));
  nursery_.spawn("admin", admin_->run());
  boost::asio::co_spawn(executor, wait_for_signal(), boost::asio::detached);
  telemetry::log(spdlog::level::info, "holdfast agent started",
                 {{"node", config_->node},
                  {"listen", listening_.front().to_string()},
                  {"admin", admin_->listening().to_string()}});
  control_.run();
  keep_splices();
  notes_.reset();
  store_->drain();
  // To the parent, a death that nobody asked for.
  if (restarting_) ::raise(SIGKILL);
  return 0;
}

}  // namespace

Result<std::unique_ptr<Worker>> Worker::create(const AgentOptions& options,
                                               std::shared_ptr<const config::Config> config) {
  auto worker = std::make_unique<WorkerImpl>(options, std::move(config));
  if (auto built = worker->build(); !built) return built.error();
  return std::unique_ptr<Worker>{std::move(worker)};
}

}  // namespace holdfast::agent
