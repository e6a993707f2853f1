#include "agent/io_thread.h"

#include <pthread.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>

#include "lease/courier.h"

namespace holdfast::agent {
namespace {

using namespace std::chrono_literals;

constexpr auto kTick = 100ms;
constexpr std::chrono::milliseconds kLastAccepts{1000};

}  // namespace

IoThread::IoThread(IoThreadOptions options) : options_{std::move(options)} {}

Result<std::unique_ptr<IoThread>> IoThread::start(IoThreadOptions options) {
  std::unique_ptr<IoThread> self{new IoThread{std::move(options)}};
  auto& o = self->options_;
  const auto executor = self->io_.get_executor();
  auto dialer = upstream::Dialer::create(executor, o.dial);
  if (!dialer) return dialer.error();
  self->pool_ =
      upstream::Pool::create(executor, o.pool, o.link, std::move(*dialer), o.services.clock);
  self->principals_ = std::make_unique<request::PrincipalResolver>(executor, o.services.identities,
                                                                   *self->pool_, self->background_);
  self->reviews_ = std::make_unique<request::AccessReviews>(executor, o.services.identities,
                                                            *self->pool_, self->background_);
  self->context_.reset(new request::ThreadContext{executor, o.services, *self->pool_,
                                                  self->background_, *self->principals_,
                                                  *self->reviews_, self->link_changed_, o.config});
  self->services_.reset(new proxy::ConnectionServices{
      .thread = *self->context_,
      .terminator = o.terminator,
      .admission = o.admission,
      .take_tag = {},
      .own_mark = o.dial.mark,
      .self_test_path = o.self_test_path,
      .identities = {},
      .on_bypass = [rules = &o.rules](pid_t pid) { rules->bypass(pid); },
      .on_splice = [flows = &o.spliced](
                       const request::Client& client,
                       telemetry::ConnectionReason reason) { flows->add(client, reason); },
      .draining = false,
      .on_serving =
          [raw = self.get()](std::shared_ptr<http::ServerConnection> connection) {
            raw->serving(std::move(connection));
          }});
  if (o.interceptor) {
    self->services_->take_tag = [kernel = o.interceptor](const Endpoint& peer,
                                                         const Endpoint& local) {
      return kernel->take_tag(peer, local);
    };
  }
  self->link_subscription_ = o.link->subscribe(
      executor, [raw = self.get()](upstream::LinkTransition) { raw->link_changed_.notify_all(); });

  self->background_.spawn("upstream pool", self->pool_->run());
  self->background_.spawn("tick", self->tick());
  self->background_.spawn("lease courier", lease::run_courier(*self->context_));
  for (auto& acceptor : o.acceptors) {
    self->listening_.spawn(
        "listener", acceptor.run(
                        executor, [raw = self.get()](Fd socket) { raw->accept(std::move(socket)); },
                        [raw = self.get()] { raw->exhausted(); }));
  }
  self->thread_ = std::thread{[raw = self.get()] {
    pthread_setname_np(pthread_self(), ("io-" + std::to_string(raw->options_.index)).c_str());
    raw->io_.run();
  }};
  return self;
}

IoThread::~IoThread() {
  if (thread_.joinable()) {
    drain(0ms);
    join();
  }
}

Task<> IoThread::tick() {
  Timer timer{io_.get_executor()};
  while (true) {
    options_.health.ticked(options_.index, SteadyClock::now());
    timer.expires_after(kTick);
    co_await timer.async_wait(use_task);
  }
}

void IoThread::accept(Fd socket) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (getpeername(socket.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    options_.peers.add(endpoint_of(address));
  }
  connections_.spawn("connection", proxy::serve_connection(*services_, std::move(socket)));
}

// At once, not at the next heartbeat: a workload that is reset twice would have its circuit opened.
void IoThread::exhausted() {
  options_.health.exhausted(SteadyClock::now());
  if (options_.interceptor) options_.interceptor->stop_beating();
}

void IoThread::serving(std::shared_ptr<http::ServerConnection> connection) {
  if (draining_) connection->drain();
  // Forget those that ended, now and then: the list stays within twice the open ones.
  if (serving_.size() >= 2 * (connections_.size() + 8)) {
    std::erase_if(serving_, [](const auto& weak) { return weak.expired(); });
  }
  serving_.push_back(std::move(connection));
}

void IoThread::configure(std::shared_ptr<const config::Config> config) {
  boost::asio::post(io_, [this, config = std::move(config)] { context_->config = config; });
}

void IoThread::drain(std::chrono::milliseconds grace) {
  boost::asio::co_spawn(io_.get_executor(), stop(grace), boost::asio::detached);
}

Task<> IoThread::stop(std::chrono::milliseconds grace) {
  // The kernel redirects nothing any more, but handshakes may be under way, or done and waiting.
  Timer timer{io_.get_executor()};
  timer.expires_after(std::min(kLastAccepts, grace));
  co_await timer.async_wait(use_task);
  draining_ = true;
  services_->draining = true;
  listening_.cancel();
  co_await listening_.join();
  for (const auto& weak : serving_) {
    if (const auto connection = weak.lock()) connection->drain();
  }
  const auto deadline = SteadyClock::now() + grace;
  while (connections_.size() > 0 && SteadyClock::now() < deadline) {
    timer.expires_after(20ms);
    co_await timer.async_wait(use_task);
  }
  for (const auto& weak : serving_) {
    if (const auto connection = weak.lock()) connection->close();
  }
  connections_.cancel();
  co_await connections_.join();
  background_.cancel();
  co_await pool_->shutdown();
  co_await background_.join();
  link_subscription_.reset();
}

void IoThread::join() {
  if (thread_.joinable()) thread_.join();
}

double IoThread::backlog() const {
  double fullest = 0;
  for (const auto& acceptor : options_.acceptors) fullest = std::max(fullest, acceptor.backlog());
  return fullest;
}

}  // namespace holdfast::agent
