#include "upstream/address_book.h"

#include <boost/asio/ip/tcp.hpp>
#include <utility>

namespace holdfast::upstream {
namespace {

namespace asio = boost::asio;
using Resolver = asio::ip::basic_resolver<asio::ip::tcp, Executor>;

}  // namespace

std::shared_ptr<AddressBook> AddressBook::create(Executor executor) {
  const auto resolver = std::make_shared<Resolver>(executor);
  return std::make_shared<AddressBook>(
      executor, [resolver](const std::string& host, std::uint16_t port, Answer answer) {
        resolver->async_resolve(
            host, std::to_string(port), Resolver::numeric_service,
            [port, answer = std::move(answer)](boost::system::error_code ec,
                                               const Resolver::results_type& entries) {
              std::vector<Endpoint> found;
              for (const auto& entry : entries) {
                const auto address = entry.endpoint().address().to_string();
                if (auto endpoint = Endpoint::from_address(address, port)) {
                  found.push_back(*endpoint);
                }
              }
              answer(ec, std::move(found));
            });
      });
}

void AddressBook::ask(const Lookup& lookup, const std::string& host, std::uint16_t port,
                      std::shared_ptr<Name> name) {
  name->asked = true;
  lookup(host, port, [name](boost::system::error_code ec, std::vector<Endpoint> found) {
    name->asked = false;
    name->failure = ec;
    if (!found.empty()) name->known = std::move(found);
    name->answered.notify_all();
  });
}

Task<Result<std::vector<Endpoint>>> AddressBook::find(std::string host, std::uint16_t port,
                                                      std::chrono::milliseconds limit) {
  if (const auto numeric = Endpoint::from_address(host, port)) {
    co_return std::vector<Endpoint>{*numeric};
  }
  auto& slot = names_[{host, port}];
  if (!slot) slot = std::make_shared<Name>(executor_);
  const auto name = slot;
  const auto until = SteadyClock::now() + limit;
  if (!name->asked) ask(lookup_, host, port, name);
  while (name->asked && SteadyClock::now() < until) {
    (void)co_await name->answered.wait_for(until - SteadyClock::now());
  }
  if (!name->known.empty()) co_return name->known;
  if (name->asked) co_return make_error(Errc::kTimeout, "resolving " + host);
  co_return Error{name->failure, "resolving " + host};
}

}  // namespace holdfast::upstream
