#include <cstdio>

#include "unit/cache/store_fixture.h"

namespace holdfast::cache {
namespace {

/// Figures, not verdicts: run by hand with --gtest_also_run_disabled_tests --gtest_filter=Timing*.
class TimingTest : public StoreTest {
 protected:
  template <class F>
  static double microseconds(int times, F&& body) {
    const auto began = std::chrono::steady_clock::now();
    for (int i = 0; i < times; ++i) body(i);
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - began;
    return took.count() / times;
  }
};

TEST_F(TimingTest, DISABLED_Figures) {
  std::vector<Item> pods;
  for (int i = 0; i < 5000; ++i)
    pods.push_back({"a", "pod-" + std::to_string(i), static_cast<kube::ResourceVersion>(i + 1),
                    "web", std::string(2000, 'x')});
  const auto body = json_list(6000, pods);
  const auto record = [&](const Query& q) {
    ASSERT_TRUE(feed(*store_->record_list(q, "", {}), body));
  };
  std::printf("record 5,000 objects: %.1f ms\n",
              microseconds(1, [&](int) { record(query("a")); }) / 1e3);
  std::printf("again:                %.1f ms\n",
              microseconds(1, [&](int) { record(query("a")); }) / 1e3);
  std::printf("another principal:    %.1f ms\n",
              microseconds(1, [&](int) { record(query("a", "", 2)); }) / 1e3);
  for (int round = 0; round < 3; ++round) {
    ListAnswer answer;
    std::printf("open snapshot:        %.1f ms\n",
                microseconds(1, [&](int) { answer = list(query("a")); }) / 1e3);
    kube::Object object;
    std::printf("iterate 5,000:        %.1f ms\n", microseconds(1, [&](int) {
                                                     while (*answer.snapshot->next(object)) {
                                                     }
                                                   }) / 1e3);
  }
  for (int i = 0; i < 100; ++i)
    record_get(query("g", "o" + std::to_string(i)),
               {"g", "o" + std::to_string(i), 5, "web", std::string(1000, 'y')});
  const auto hot = query("g", "o7");
  const std::vector<kube::Representation> accept{protobuf(), json()};
  std::printf("get, one hot object:  %.2f us\n",
              microseconds(100'000, [&](int) { store_->get(hot, accept, 0); }));
  std::vector<Query> hundred;
  for (int i = 0; i < 100; ++i) hundred.push_back(query("g", "o" + std::to_string(i)));
  std::printf("get, of 100:          %.2f us\n", microseconds(100'000, [&](int i) {
                store_->get(hundred[static_cast<std::size_t>(i % 100)], accept, 0);
              }));
  const auto derived = query("a", "pod-77");
  std::printf("get out of a list:    %.2f us\n",
              microseconds(100'000, [&](int) { store_->get(derived, accept, 0); }));
  auto watch = store_->record_watch(query("a"), {.from = 6000}, {});
  auto event = make_event(kube::EventType::kModified, pods[5]);
  std::printf("queue an event:       %.2f us\n", microseconds(1000, [&](int i) {
                event.object.meta.resource_version = 6001u + static_cast<unsigned>(i);
                watch->event(event, {});
              }));
  std::printf("until written:        %.2f us each\n",
              microseconds(1, [&](int) { store_->drain(); }) / 1000);
}

}  // namespace
}  // namespace holdfast::cache
