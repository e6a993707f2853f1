#include "read/list_body.h"

#include <spdlog/spdlog.h>

#include <boost/asio/post.hpp>

namespace holdfast::read {
namespace {
constexpr std::size_t kBatch = 64 * 1024;  // bytes per write
constexpr std::size_t kTurn = 8 * kBatch;  // then others on this thread get theirs
}  // namespace

Task<> write_list(request::ThreadContext& thread, std::shared_ptr<request::Request> request,
                  std::unique_ptr<cache::ListSnapshot> snapshot) {
  kube::ListRenderer renderer{snapshot->encoding(), snapshot->meta()};
  std::string batch = renderer.begin(snapshot->items_bytes());
  std::size_t turn = 0;
  while (true) {
    kube::Object object;
    const auto more = snapshot->next(object);
    if (!more) {
      spdlog::error("a cached list was dropped: {}", more.error().to_string());
      request->reply.abort();
      co_return;
    }
    if (!*more) break;
    renderer.item(batch, object.type, object.body.view());
    if (batch.size() < kBatch) continue;
    turn += batch.size();
    if (!co_await request->reply.write(Slice::own(std::exchange(batch, {})), false)) co_return;
    batch.reserve(kBatch + kBatch / 4);
    if (turn >= kTurn) {
      turn = 0;
      co_await boost::asio::post(thread.executor, use_task);
    }
  }
  batch += renderer.end();
  co_await request->reply.write(Slice::own(std::move(batch)), true);
}

}  // namespace holdfast::read
