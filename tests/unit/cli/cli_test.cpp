#include "holdfast/cli/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "holdfast/telemetry/build_info.h"
#include "unit/admin/fixtures.h"

namespace holdfast::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

class CliTest : public testing::Test {
 protected:
  CliTest() : directory_{testing::TempDir() + "hf-cli-" + std::to_string(getpid())} {
    std::filesystem::remove_all(directory_);
    std::filesystem::create_directories(directory_);
  }
  ~CliTest() override {
    if (thread_.joinable()) {
      boost::asio::post(io_, [this] { server_->stop(); });
      thread_.join();
    }
    server_.reset();
    std::filesystem::remove_all(directory_);
  }

  int call(std::vector<std::string> arguments) {
    std::vector<const char*> argv{"holdfast"};
    for (const auto& argument : arguments) argv.push_back(argument.c_str());
    out_.str({});
    err_.str({});
    return run(static_cast<int>(argv.size()), argv.data(),
               {.out = out_, .err = err_, .run_agent = [this](const agent::AgentOptions& options) {
                  agent_ = options;
                  return 7;
                }});
  }
  std::string socket() const { return directory_ + "/admin.sock"; }
  void start_server() {
    admin::ServerOptions options{.listen = Endpoint::from_address("127.0.0.1", 1).value(),
                                 .socket = socket()};
    options.listen.port = 0;
    server_ = std::move(admin::Server::create(io_.get_executor(), options, source_).value());
    boost::asio::co_spawn(io_.get_executor(), server_->run(), boost::asio::detached);
    thread_ = std::thread{[this] { io_.run(); }};
  }
  /// Publishes until the trace has enough.
  int trace(std::vector<std::string> arguments) {
    std::atomic<bool> done{false};
    std::thread publisher{[&] {
      while (!done) {
        telemetry::FlowEvent flow;
        flow.pod = telemetry::PodRef{"web", "web-1", "u"};
        source_.broadcast.publish(flow);
        telemetry::RequestEvent request;
        request.verb = "list";
        request.source = telemetry::Source::kCache;
        source_.broadcast.publish(request);
        std::this_thread::yield();
      }
    }};
    arguments.insert(arguments.begin(), {"trace", "--admin-socket", socket()});
    const int code = call(arguments);
    done = true;
    publisher.join();
    return code;
  }

  std::string directory_;
  std::ostringstream out_, err_;
  agent::AgentOptions agent_;
  admin::FakeSource source_;
  boost::asio::io_context io_;
  std::unique_ptr<admin::Server> server_;
  std::thread thread_;
};

TEST_F(CliTest, EveryCommandHasHelp) {
  EXPECT_EQ(call({"--help"}), 0);
  for (const char* command : {"agent", "status", "trace", "version"}) {
    EXPECT_THAT(out_.str(), HasSubstr(command));
  }
  for (const char* command : {"agent", "status", "trace", "version"}) {
    EXPECT_EQ(call({command, "--help"}), 0);
    EXPECT_THAT(out_.str(), HasSubstr("Exit status: 0")) << command;
  }
}

TEST_F(CliTest, UsageErrors) {
  const std::vector<std::string> rows[] = {{},
                                           {"frobnicate"},
                                           {"check"},
                                           {"status", "-o", "xml"},
                                           {"status", "extra"},
                                           {"status", "--config"},
                                           {"trace", "-n", "x"},
                                           {"trace", "-n", "-1"},
                                           {"trace", "--kind", "packet"},
                                           {"trace", "--verdict", "guilty"},
                                           {"version", "--config", "x"},
                                           {"agent", "-o", "json"}};
  for (const auto& row : rows) {
    EXPECT_EQ(call(row), 2) << testing::PrintToString(row);
    EXPECT_NE(err_.str(), "");
    EXPECT_EQ(out_.str(), "");
  }
}

TEST_F(CliTest, AgentGetsItsOptions) {
  EXPECT_EQ(call({"agent"}), 7);
  EXPECT_EQ(agent_.config_path, "/etc/holdfast/config.yaml");
  EXPECT_FALSE(agent_.config_given);
  EXPECT_EQ(agent_.admin_socket, "");
  EXPECT_EQ(call({"agent", "--config", "/c", "--admin-socket", "/s"}), 7);
  EXPECT_EQ(agent_.config_path, "/c");
  EXPECT_TRUE(agent_.config_given);
  EXPECT_EQ(agent_.admin_socket, "/s");
}

TEST_F(CliTest, Version) {
  EXPECT_EQ(call({"version"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("holdfast " + std::string{telemetry::version()}));
  EXPECT_THAT(out_.str(), HasSubstr("  openssl 3."));
  EXPECT_EQ(call({"version", "-o", "json"}), 0);
  const auto json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["commit"], telemetry::commit());
  EXPECT_TRUE(json["libraries"].contains("rocksdb"));
}

TEST_F(CliTest, StatusWithoutAnAgent) {
  EXPECT_EQ(call({"status", "--admin-socket", socket()}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("no agent listens on " + socket()));
}

TEST_F(CliTest, StatusSaysWhetherTheAgentServes) {
  start_server();
  EXPECT_EQ(call({"status", "--admin-socket", socket()}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("k3s agent: "));
  source_.readiness = {false, {}};
  EXPECT_EQ(call({"status", "--admin-socket", socket(), "-o", "json"}), 1);
  EXPECT_EQ(nlohmann::json::parse(out_.str())["ready"], false);
}

TEST_F(CliTest, TheSocketComesFromTheConfiguration) {
  start_server();
  const auto path = directory_ + "/c.yaml";
  std::ofstream{path} << "admin: {socket: " << socket() << "}\n";
  EXPECT_EQ(call({"status", "--config", path}), 0);
  std::ofstream{path} << "admin: {sockets: x}\n";
  EXPECT_EQ(call({"status", "--config", path}), 2);
  EXPECT_THAT(err_.str(), HasSubstr("c.yaml:1:9: admin.sockets: is unknown"));
  EXPECT_EQ(call({"status", "--config", directory_ + "/none.yaml"}), 2);
}

TEST_F(CliTest, TraceShowsATable) {
  start_server();
  EXPECT_EQ(trace({"-n", "4"}), 0) << err_.str();
  const auto text = out_.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5);
  EXPECT_THAT(text, HasSubstr("TIME "));
  EXPECT_THAT(text, HasSubstr("web/web-1"));
  EXPECT_THAT(text, HasSubstr(" list "));
}

TEST_F(CliTest, TraceShowsJsonAndFilters) {
  start_server();
  EXPECT_EQ(trace({"-o", "json", "--count", "3", "--kind", "request", "--verdict", "cache"}), 0);
  std::istringstream lines{out_.str()};
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_EQ(nlohmann::json::parse(line)["kind"], "request");
  }
  EXPECT_EQ(count, 3);
  EXPECT_EQ(trace({"-n1", "--pod", "web-1", "--namespace", "web"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("flow"));
}

TEST_F(CliTest, TraceWithoutAnAgent) {
  EXPECT_EQ(call({"trace", "--admin-socket", socket()}), 1);
}

TEST_F(CliTest, CacheAsksTheAgent) {
  start_server();
  source_.cache_reply.body =
      R"([{"id":"00112233445566778899aabbccddeeff","principal":"system:node:edge-1",)"
      R"("resource":"pods","version":"v1","namespace":"","name":"","label_selector":"",)"
      R"("field_selector":"spec.nodeName=edge-1","form":"protobuf","resource_version":"77",)"
      R"("items":3,"bytes":2048,"age_seconds":61,"state":"served"}])";
  ASSERT_EQ(call({"cache", "ls", "--principal", "system:node:edge-1", "--admin-socket", socket()}),
            0);
  EXPECT_EQ(source_.cache_asked.what, admin::CacheQuery::What::kLists);
  EXPECT_EQ(source_.cache_asked.principal, "system:node:edge-1");
  for (const char* text : {"001122334455 ", "spec.nodeName=edge-1", "protobuf", "77", "served"})
    EXPECT_THAT(out_.str(), HasSubstr(text));
  ASSERT_EQ(call({"cache", "ls", "-o", "json", "--admin-socket", socket()}), 0);
  EXPECT_EQ(out_.str(), source_.cache_reply.body);

  source_.cache_reply.body =
      R"([{"principal":"evil\u001b[2J","resource":"pods","lists":1,"items":2,"objects":3,)"
      R"("documents":4,"bytes":5,"partial":true}])";
  ASSERT_EQ(call({"cache", "usage", "--admin-socket", socket()}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("evil?[2J"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("\x1b")));

  source_.cache_reply.body = R"({"removed":2,"bytes":10})";
  EXPECT_EQ(call({"cache", "rm", "--resource", "pods", "--admin-socket", socket()}), 0);
  EXPECT_EQ(source_.cache_asked.what, admin::CacheQuery::What::kRemove);
  EXPECT_THAT(out_.str(), HasSubstr("removed"));
  // Not everything by mistake.
  EXPECT_EQ(call({"cache", "rm", "--admin-socket", socket()}), 2);

  source_.cache_reply = {403, "these are Secrets\n"};
  EXPECT_EQ(call({"cache", "get", "0011", "--admin-socket", socket()}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("these are Secrets"));
  EXPECT_EQ(source_.cache_asked.id, "0011");
  EXPECT_FALSE(source_.cache_asked.secrets);
  EXPECT_EQ(call({"cache", "get"}), 2);
  EXPECT_EQ(call({"cache"}), 2);
  EXPECT_EQ(call({"cache", "ls", "--help"}), 0);
}

TEST_F(CliTest, CacheWithoutAnAgentFails) {
  EXPECT_EQ(call({"cache", "ls", "--admin-socket", socket()}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("no agent listens"));
}

}  // namespace
}  // namespace holdfast::cli
