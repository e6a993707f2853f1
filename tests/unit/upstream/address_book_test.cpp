#include "upstream/address_book.h"

#include <gtest/gtest.h>

#include <boost/asio/io_context.hpp>
#include <optional>

#include "holdfast/base/nursery.h"

namespace holdfast::upstream {
namespace {

using namespace std::chrono_literals;

class AddressBookTest : public testing::Test {
 protected:
  using Found = Result<std::vector<Endpoint>>;

  static Task<> find_into(AddressBook* book, std::string host, std::chrono::milliseconds limit,
                          std::optional<Found>* out) {
    auto found = co_await book->find(std::move(host), 6443, limit);
    out->emplace(std::move(found));
  }
  std::optional<Found> find(std::string host, std::chrono::milliseconds limit = 20ms) {
    std::optional<Found> found;
    tests_.spawn("find", find_into(&book_, std::move(host), limit, &found));
    io_.restart();
    io_.run();
    return found;
  }
  /// The resolver answers the oldest question.
  void answer(boost::system::error_code ec, std::vector<Endpoint> found) {
    ASSERT_FALSE(questions_.empty());
    const auto reply = std::move(questions_.front());
    questions_.erase(questions_.begin());
    reply(ec, std::move(found));
  }

  boost::asio::io_context io_;
  Nursery tests_{io_.get_executor()};
  std::vector<AddressBook::Answer> questions_;
  std::size_t asked_ = 0;
  std::optional<std::vector<Endpoint>> at_once_;
  AddressBook book_{io_.get_executor(),
                    [this](const std::string&, std::uint16_t, AddressBook::Answer reply) {
                      ++asked_;
                      if (at_once_) return reply({}, *at_once_);
                      questions_.push_back(std::move(reply));
                    }};
  const std::vector<Endpoint> here_{Endpoint::v4(0x7f000001, 6443)};
  const std::vector<Endpoint> there_{Endpoint::v4(0x7f000002, 6443)};
};

TEST_F(AddressBookTest, AnAddressNeedsNoQuestion) {
  EXPECT_EQ(find("127.0.0.1")->value(), here_);
  EXPECT_EQ(asked_, 0u);
}

TEST_F(AddressBookTest, AFreshAnswerIsTaken) {
  at_once_ = here_;
  EXPECT_EQ(find("api")->value(), here_);
  at_once_ = there_;
  EXPECT_EQ(find("api")->value(), there_);
}

TEST_F(AddressBookTest, AResolverThatHangsHoldsNobodyUp) {
  const auto nothing = find("api");
  ASSERT_TRUE(nothing && !*nothing);
  EXPECT_EQ(nothing->error().code, make_error_code(Errc::kTimeout));
  find("api");
  EXPECT_EQ(asked_, 1u) << "one question at a time";
  answer({}, here_);
  at_once_ = here_;
  EXPECT_TRUE(find("api")->has_value());
  at_once_.reset();
  EXPECT_EQ(find("api")->value(), here_) << "as last known";
  answer({}, there_);  // late, and still worth something
  EXPECT_EQ(find("api")->value(), there_);
}

TEST_F(AddressBookTest, AFailureLeavesTheLastAnswer) {
  at_once_ = std::vector<Endpoint>{};
  const auto nothing = find("api");
  EXPECT_FALSE(nothing->has_value());
  at_once_ = here_;
  EXPECT_TRUE(find("api")->has_value());
  at_once_ = std::vector<Endpoint>{};
  EXPECT_EQ(find("api")->value(), here_);
}

}  // namespace
}  // namespace holdfast::upstream
