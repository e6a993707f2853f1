#include "agent/adoption.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace holdfast::agent {
namespace {

using namespace std::chrono_literals;
using Step = Adoption::Step;

TEST(WorthAReset, OnlyWhatWillBeServedAfterwards) {
  EXPECT_TRUE(worth_a_reset({}));
  for (const AdoptionFacts& facts :
       {AdoptionFacts{.own = true}, AdoptionFacts{.owner_known = false},
        AdoptionFacts{.intercepted = false}, AdoptionFacts{.netns_admitted = false},
        AdoptionFacts{.circuit_open = true}, AdoptionFacts{.spliced = true},
        AdoptionFacts{.bypassed = true}, AdoptionFacts{.balancer = true}}) {
    EXPECT_FALSE(worth_a_reset(facts));
  }
}

TEST(IsKubelet, ByTheExecutablesThatDistributionsHave) {
  for (const char* path :
       {"/usr/bin/kubelet", "/usr/local/bin/k3s", "kubelet",
        "/var/lib/rancher/rke2/data/v1/bin/kubelet", "/snap/microk8s/1/kubelite"}) {
    EXPECT_TRUE(is_kubelet(path)) << path;
  }
  for (const char* path : {"", "/", "/usr/bin/kubectl", "/kubelet/app", "/opt/kubelet-exporter"}) {
    EXPECT_FALSE(is_kubelet(path)) << path;
  }
}

TEST(Balances, K3sToItsServersButNotToItself) {
  const auto server = Endpoint::parse("198.18.0.1:6443").value();
  EXPECT_TRUE(balances("/usr/local/bin/k3s", server));
  EXPECT_FALSE(balances("/usr/local/bin/k3s", Endpoint::parse("127.0.0.1:6444").value()));
  EXPECT_FALSE(balances("/usr/bin/kubelet", server));
}

class AdoptionTest : public testing::Test {
 protected:
  static constexpr Adoption::Conditions kUp{.serving = true, .online = true};
  static constexpr Adoption::Conditions kOffline{.serving = true, .online = false};
  static constexpr Adoption::Conditions kDown{.serving = false, .online = true};

  static std::vector<Adoptable> found(std::initializer_list<const char*> executables) {
    std::vector<Adoptable> out;
    for (const char* executable : executables) {
      Adoptable connection;
      connection.process.executable = executable;
      out.push_back(std::move(connection));
    }
    return out;
  }
  Step step(Adoption::Conditions conditions, std::chrono::milliseconds after = 500ms) {
    now_ += after;
    return adoption_.step(conditions, now_);
  }
  /// Until the list is asked for.
  void settle() {
    for (int i = 0; i < 20; ++i) {
      if (step(kUp) == Step::kList) return;
    }
    FAIL() << "never asked for the list";
  }
  /// What is reset within so much time.
  std::string pass(Adoption::Conditions conditions, std::chrono::milliseconds time) {
    std::string out;
    for (auto t = 0ms; t < time; t += 500ms) {
      if (step(conditions) != Step::kReset) continue;
      for (const auto& connection : adoption_.due()) out += connection.process.executable;
    }
    return out;
  }

  Adoption adoption_;
  Adoption::Time now_{1h};
};

TEST_F(AdoptionTest, NothingBeforeItServedForAWhile) {
  EXPECT_EQ(step(kDown), Step::kWait);
  EXPECT_EQ(step(kUp), Step::kWait);
  EXPECT_EQ(step(kUp, 2s), Step::kWait);
  EXPECT_EQ(step(kDown), Step::kWait);
  EXPECT_EQ(step(kUp), Step::kWait) << "it starts anew";
  EXPECT_EQ(step(kUp, 2s), Step::kWait);
  EXPECT_EQ(step(kUp, 1s), Step::kResetHanging);
  EXPECT_EQ(step(kUp), Step::kList);
  EXPECT_EQ(step(kUp), Step::kList) << "until it is given";
}

TEST_F(AdoptionTest, OfflineOnlyWhatHangs) {
  EXPECT_EQ(step(kOffline), Step::kWait);
  EXPECT_EQ(step(kOffline, 3s), Step::kResetHanging);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(step(kOffline), Step::kWait);
  EXPECT_EQ(step(kUp), Step::kList);
}

TEST_F(AdoptionTest, SpreadWithTheKubeletLast) {
  settle();
  adoption_.begin(found({"/bin/kubelet", "a", "b", "c"}));
  EXPECT_EQ(adoption_.left(), 4u);
  EXPECT_EQ(pass(kUp, 1s), "a");
  EXPECT_EQ(pass(kUp, 9s), "b");
  EXPECT_EQ(pass(kUp, 10s), "c");
  EXPECT_EQ(pass(kUp, 9s), "");
  EXPECT_EQ(pass(kUp, 2s), "/bin/kubelet");
  EXPECT_EQ(step(kUp), Step::kDone);
}

TEST_F(AdoptionTest, ManyWithinTheSameTime) {
  settle();
  std::vector<Adoptable> many(1000);
  adoption_.begin(std::move(many));
  std::size_t most = 0;
  for (auto t = 0ms; t < 31s; t += 500ms) {
    if (step(kUp) == Step::kReset) most = std::max(most, adoption_.due().size());
  }
  EXPECT_EQ(adoption_.left(), 0u);
  EXPECT_LE(most, 18u);
}

TEST_F(AdoptionTest, ItPausesWhileTheLinkIsAwayOrNothingIsServed) {
  settle();
  adoption_.begin(found({"a", "b", "c"}));
  EXPECT_EQ(pass(kUp, 1s), "a");
  EXPECT_EQ(pass(kOffline, 5min), "");
  EXPECT_EQ(pass(kUp, 10s), "");
  EXPECT_EQ(pass(kDown, 5min), "");
  EXPECT_EQ(pass(kUp, 10s), "b") << "after it served for a while again";
  EXPECT_EQ(pass(kUp, 20s), "c");
}

TEST_F(AdoptionTest, NothingToAdoptIsDoneAtOnce) {
  settle();
  adoption_.begin({});
  EXPECT_EQ(step(kUp), Step::kDone);
  EXPECT_EQ(step(kOffline), Step::kDone);
}

TEST(AdoptionMarker, OncePerBoot) {
  const auto path =
      std::filesystem::temp_directory_path() / ("holdfast-adopted-" + std::to_string(::getpid()));
  std::filesystem::remove(path);
  EXPECT_FALSE(adopted_in_boot(path, "boot-1"));
  EXPECT_TRUE(mark_adopted(path, "boot-1"));
  EXPECT_TRUE(adopted_in_boot(path, "boot-1"));
  EXPECT_FALSE(adopted_in_boot(path, "boot-2")) << "not every /run is emptied";
  std::filesystem::remove(path);
  EXPECT_FALSE(mark_adopted("/nonexistent/adopted", "boot-1"));
  EXPECT_EQ(current_boot_id().size(), 36u);
}

}  // namespace
}  // namespace holdfast::agent
