#pragma once

#include <boost/asio/io_context.hpp>
#include <memory>
#include <set>
#include <thread>
#include <vector>

#include "agent/acceptor.h"
#include "agent/health.h"
#include "agent/learned_rules.h"
#include "agent/recent_peers.h"
#include "agent/spliced_flows.h"
#include "holdfast/base/nursery.h"
#include "proxy/connection.h"
#include "request/context.h"

namespace holdfast::agent {

/// What an I/O thread is made from; all of it outlives the thread.
struct IoThreadOptions {
  std::size_t index = 0;
  request::Services& services;
  tls::Terminator& terminator;
  proxy::Admission& admission;
  kernel::Interceptor* interceptor = nullptr;  ///< null: no eBPF, connections are untagged
  Health& health;
  RecentPeers& peers;
  LearnedRules& rules;
  SplicedFlows& spliced;
  upstream::PoolOptions pool;
  upstream::DialOptions dial;
  std::shared_ptr<upstream::LinkMonitor> link;
  std::shared_ptr<const config::Config> config;
  std::string self_test_path;
  std::vector<Acceptor> acceptors;
};

/// One thread with its io_context and everything that lives on it: its share of the listener, its
/// connections, its upstream pool. Nothing here is shared but what IoThreadOptions names.
class IoThread {
 public:
  static Result<std::unique_ptr<IoThread>> start(IoThreadOptions options);
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  void configure(std::shared_ptr<const config::Config> config);
  /// Once nothing is redirected here any more: accepts what is under way for a second more, then no
  /// new connections and requests; those running may end within `grace`, then all are closed.
  void drain(std::chrono::milliseconds grace);
  /// After `drain`: waits for the thread to end.
  void join();
  [[nodiscard]] double backlog() const;

 private:
  explicit IoThread(IoThreadOptions options);
  Task<> tick();
  Task<> stop(std::chrono::milliseconds grace);
  void accept(Fd socket);
  void exhausted();
  void serving(std::shared_ptr<http::ServerConnection> connection);

  IoThreadOptions options_;
  boost::asio::io_context io_{1};
  Nursery connections_{io_.get_executor()};
  Nursery background_{io_.get_executor()};
  Nursery listening_{io_.get_executor()};
  std::unique_ptr<upstream::Pool> pool_;
  std::unique_ptr<request::PrincipalResolver> principals_;
  std::unique_ptr<request::AccessReviews> reviews_;
  Event link_changed_{io_.get_executor()};
  std::shared_ptr<void> link_subscription_;
  std::unique_ptr<request::ThreadContext> context_;
  std::unique_ptr<proxy::ConnectionServices> services_;
  std::vector<std::weak_ptr<http::ServerConnection>> serving_;
  bool draining_ = false;
  std::thread thread_;
};

}  // namespace holdfast::agent
