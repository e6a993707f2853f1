#include "agent/service_discovery.h"

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "holdfast/base/deadline.h"

namespace holdfast::agent {
namespace {

using nlohmann::json;
using Resolver = boost::asio::ip::basic_resolver<boost::asio::ip::tcp, Executor>;

constexpr std::string_view kService = "/api/v1/namespaces/default/services/kubernetes";
constexpr std::string_view kSlice =
    "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes";
constexpr std::size_t kMaxBody = 1 << 20;  // bytes
constexpr std::chrono::seconds kTimeout{5};
constexpr std::chrono::seconds kResolveTimeout{2};

const json& member(const json& object, const char* name) {
  static const json kNothing;
  return object.is_object() && object.contains(name) ? object.at(name) : kNothing;
}

std::uint16_t first_port(const json& ports) {
  if (!ports.is_array() || ports.empty()) return 0;
  const auto& port = member(ports.front(), "port");
  if (!port.is_number_integer()) return 0;
  const auto number = port.get<std::int64_t>();
  return number > 0 && number < 65536 ? static_cast<std::uint16_t>(number) : 0;
}

void add(std::vector<Endpoint>& out, const json& addresses, std::uint16_t port) {
  if (!addresses.is_array() || port == 0) return;
  for (const auto& address : addresses) {
    if (!address.is_string()) continue;
    // "None" is no address: a headless Service has nothing to redirect.
    if (auto endpoint = Endpoint::from_address(address.get<std::string>(), port)) {
      out.push_back(*endpoint);
    }
  }
}

// Ends the connection, and so its run(), on every way out.
class Closing {
 public:
  explicit Closing(std::shared_ptr<http::ClientConnection> connection)
      : connection_{std::move(connection)} {}
  Closing(const Closing&) = delete;
  Closing& operator=(const Closing&) = delete;
  ~Closing() { connection_->close(); }
  [[nodiscard]] const std::shared_ptr<http::ClientConnection>& get() const { return connection_; }

 private:
  std::shared_ptr<http::ClientConnection> connection_;
};

}  // namespace

std::vector<Endpoint> service_addresses(std::string_view text) {
  std::vector<Endpoint> out;
  const auto object = json::parse(text, nullptr, false);
  const auto& spec = member(object, "spec");
  add(out, member(spec, "clusterIPs"), first_port(member(spec, "ports")));
  return out;
}

std::vector<Endpoint> slice_addresses(std::string_view text) {
  std::vector<Endpoint> out;
  const auto object = json::parse(text, nullptr, false);
  const auto port = first_port(member(object, "ports"));
  for (const auto& endpoint : member(object, "endpoints")) {
    add(out, member(endpoint, "addresses"), port);
  }
  return out;
}

ServiceDiscovery::ServiceDiscovery(std::vector<upstream::Server> servers,
                                   std::unique_ptr<upstream::Dialer> dialer, OwnAccess access,
                                   bool balanced, Nursery& nursery)
    : servers_{std::move(servers)},
      dialer_{std::move(dialer)},
      access_{std::move(access)},
      balanced_{balanced},
      nursery_{nursery} {}

Task<Result<std::vector<Endpoint>>> ServiceDiscovery::ask() {
  Error last = make_error(Errc::kUnavailable, "no API server is known");
  if (!access_.cert_file.empty()) {
    auto renewed = upstream::ClientIdentity::load(access_.cert_file, access_.key_file);
    if (renewed) access_.identity = std::move(*renewed);  // else it is half written
  }
  for (const auto& server : servers_) {
    auto dialed =
        co_await dialer_->dial(server, access_.identity, upstream::Dialer::Protocol::kAny);
    if (!dialed) {
      last = dialed.error();
      continue;
    }
    const Closing connection{dialer_->connection(std::move(*dialed), http::ClientLimits{})};
    nursery_.spawn("service discovery", connection.get()->run());
    const Deadline deadline{nursery_.executor(), kTimeout,
                            [late = connection.get()] { late->close(); }};
    const auto service = co_await get(connection.get(), server.authority(), std::string{kService});
    const auto slice = co_await get(connection.get(), server.authority(), std::string{kSlice});
    if (!service && !slice) {
      last = service.error();
      continue;
    }
    std::vector<Endpoint> found;
    if (service) found = service_addresses(*service);
    if (balanced_) co_return found;
    if (slice) {
      for (const auto& endpoint : slice_addresses(*slice)) found.push_back(endpoint);
    }
    for (const auto& endpoint : co_await named_servers()) found.push_back(endpoint);
    co_return found;
  }
  co_return last;
}

Task<std::vector<Endpoint>> ServiceDiscovery::named_servers() {
  std::vector<Endpoint> found;
  for (const auto& server : servers_) {
    if (Endpoint::from_address(server.host, server.port)) continue;
    Resolver resolver{nursery_.executor()};
    const Deadline deadline{nursery_.executor(), kResolveTimeout,
                            [&resolver] { resolver.cancel(); }};
    const auto [failed, entries] = co_await resolver.async_resolve(
        server.host, std::to_string(server.port), Resolver::numeric_service, use_result);
    if (failed) continue;
    for (const auto& entry : entries) {
      const auto endpoint =
          Endpoint::from_address(entry.endpoint().address().to_string(), server.port);
      if (endpoint) found.push_back(*endpoint);
    }
  }
  std::ranges::sort(found);  // name servers change the order, and that would look like a change
  co_return found;
}

Task<Result<std::string>> ServiceDiscovery::get(std::shared_ptr<http::ClientConnection> connection,
                                                std::string authority, std::string path) {
  http::RequestHead head{
      .method = "GET", .target = std::move(path), .authority = std::move(authority)};
  head.headers.add("accept", "application/json");
  if (!access_.token_file.empty()) {
    std::ifstream file{access_.token_file};
    std::string token;
    file >> token;
    if (!token.empty()) head.headers.add("authorization", "Bearer " + token);
  }
  const std::string what = head.target;
  auto stream = co_await connection->open(std::move(head), true);
  if (!stream) co_return stream.error();
  const auto response = co_await (*stream)->response();
  if (!response) co_return response.error();
  std::string body;
  while (true) {
    const auto piece = co_await (*stream)->read();
    if (!piece) co_return piece.error();
    if (piece->empty()) break;
    if (body.size() + piece->size() > kMaxBody) co_return make_error(Errc::kTooLarge, what);
    body += piece->view();
  }
  if (response->status != 200) {
    co_return make_error(Errc::kRefused,
                         what + " was answered with " + std::to_string(response->status));
  }
  co_return body;
}

}  // namespace holdfast::agent
