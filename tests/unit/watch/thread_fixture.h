#pragma once

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <string>
#include <vector>

#include "lease/book.h"
#include "request/context.h"
#include "request/denials.h"
#include "request/request.h"
#include "share/shared.h"
#include "unit/cache/store_fixture.h"
#include "unit/watch/fakes.h"
#include "writes/shared.h"

namespace holdfast::watch {

/// An I/O thread over a real store and registry, with an API server, a link and a client that the
/// test plays.
class ThreadTest : public cache::StoreTest {
 protected:
  ThreadTest() {
    config_->cache.patience = std::chrono::seconds{5};
    registry_->learn(credential_, principal_);
    registry_->accepted(credential_);
  }
  ~ThreadTest() override {
    // On the loop itself: from outside, Asio posts the cancellation, which a child may not survive.
    boost::asio::post(io_, [this] { nursery_.cancel(); });
    run_until([&] { return nursery_.size() == 0; });
    // The writer still has answers for this loop.
    store_->drain();
  }

  /// Lets everything run until `done`; a test that hangs fails.
  template <class Done>
  void run_until(Done done) {
    const auto deadline = SteadyClock::now() + std::chrono::seconds{20};
    while (!done()) {
      ASSERT_LT(SteadyClock::now(), deadline)
          << "hangs; delivered so far: " << (exchange_ ? exchange_->body : "");
      io_.run_one_for(std::chrono::milliseconds{20});
    }
  }
  void run_until_body_has(const std::string& text) {
    run_until([&] { return exchange_->body.find(text) != std::string::npos; });
  }
  void run_until_over() {
    run_until([&] { return exchange_->ended || exchange_->aborted; });
  }

  /// The next upstream stream.
  std::shared_ptr<Script> script(unsigned status = 200) {
    auto made = std::make_shared<Script>(io_.get_executor());
    made->head.status = status;
    pool_.scripts.push_back(made);
    return made;
  }
  void link(upstream::Link state) {
    link_.now = state;
    link_changed_.notify_all();
  }

  /// What comes in, as `exchange_`.
  std::shared_ptr<request::Client> make_exchange(const std::string& method,
                                                 const std::string& target,
                                                 const std::string& accept) {
    auto client = std::make_shared<request::Client>();
    client->close = [this] { closed_ = true; };
    http::RequestHead head{.method = method, .target = target};
    head.headers.add("accept", accept);
    if (method != "GET") head.headers.add("content-type", "application/json");
    head.headers.add("authorization", "Bearer " + credential_.token);
    exchange_ = std::make_shared<FakeExchange>(head, client);
    return client;
  }
  std::shared_ptr<request::Request> make_request(const std::string& target,
                                                 const std::string& accept = "application/json") {
    const auto client = make_exchange("GET", target, accept);
    return std::make_shared<request::Request>(
        request::Request{.exchange = exchange_,
                         .client = client,
                         .reply = request::Reply{exchange_},
                         .attributes = kube::parse_request("GET", target).value(),
                         .accept = kube::parse_accept(accept),
                         .credential = credential_,
                         .principal = {},
                         .record = {},
                         .started = SteadyClock::now() - age_});
  }
  /// What the principal asks for with that path.
  cache::Query query_for(const std::string& target,
                         const kube::Representation& representation = cache::json()) {
    const auto before = exchange_;
    auto query = request::query_of(*make_request(target), principal_, representation).value();
    exchange_ = before;
    return query;
  }
  /// The principal was shown this list.
  void shown(const std::string& target, kube::ResourceVersion version,
             const std::vector<cache::Item>& items) {
    ASSERT_TRUE(record_list(query_for(target), version, items));
  }

  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<Executor> work_{io_.get_executor()};
  Nursery nursery_{io_.get_executor()};
  Event link_changed_{io_.get_executor()};
  FakeLink link_;
  FakePool pool_;
  identity::Credential credential_{.kind = identity::Credential::Kind::kBearer, .token = "token"};
  identity::Principal principal_{.username = "reader", .uid = "1"};
  std::unique_ptr<identity::Registry> registry_ =
      identity::Registry::create({}, std::string(32, 'k'), store_->credentials(), clock_);
  std::unique_ptr<identity::PodDirectory> pods_ = identity::PodDirectory::create();
  telemetry::Metrics metrics_;
  telemetry::Broadcast trace_;
  lease::Book leases_{clock_};
  writes::Shared writes_{.tokens = {store_->hmac_key(), store_->credentials(), clock_},
                         .events = {}};
  share::Shared shared_;
  request::Denials denials_;
  request::Services services_{*store_, *registry_, *pods_,  link_,   metrics_, trace_,
                              clock_,  leases_,    writes_, shared_, denials_};
  request::PrincipalResolver principals_{io_.get_executor(), *registry_, pool_, nursery_};
  std::shared_ptr<config::Config> config_ = std::make_shared<config::Config>();
  request::AccessReviews reviews_{io_.get_executor(), *registry_, pool_, nursery_};
  request::ThreadContext thread_{io_.get_executor(), services_, pool_,         nursery_,
                                 principals_,        reviews_,  link_changed_, config_};
  std::shared_ptr<FakeExchange> exchange_;
  SteadyClock::duration age_{0};  // of the requests that are made
  bool closed_ = false;           // the client's connection
};

}  // namespace holdfast::watch
