// How a watch begins that is opened while the link is down.
#include <spdlog/spdlog.h>

#include "read/metadata_only.h"
#include "read/offline_answer.h"
#include "read/tee.h"
#include "read/version_rules.h"
#include "request/denials.h"
#include "request/query_string.h"
#include "watch/session.h"

namespace holdfast::watch {

using telemetry::Source;

cache::ListAnswer Session::find_list() {
  auto query = request::query_of(*request_, *request_->principal, {});
  if (!query) return {};
  return read::find_list(thread_.services.store, *query, request::representations(*request_), 0);
}

bool Session::could_begin() {
  return !identify() && !read::refused_before(thread_, *request_) && find_list().snapshot;
}

std::optional<kube::Status> Session::identify() {
  if (request_->principal) return std::nullopt;
  auto who = read::offline_principal(thread_, *request_);
  if (auto* status = std::get_if<kube::Status>(&who)) return std::move(*status);
  request_->principal = std::get<identity::Principal>(std::move(who));
  return std::nullopt;
}

// As kubectl asks with the same Accept before it watches from "0": for one object by its name, or
// for a list in pages of 500 (unless it is told otherwise).
std::optional<TableStart> Session::find_table() const {
  if (!table_ || initial_events_ || !request_->principal) return std::nullopt;
  const auto& head = request_->head();
  const auto& attributes = request_->attributes;
  const auto& options = attributes.options;
  std::vector<std::string> asked;
  // Selected by its name alone: else what it is now decides whether it is shown.
  if (attributes.name_from_selector && options.label_selector.empty() &&
      options.field_selector == "metadata.name=" + attributes.name) {
    asked.push_back(attributes.path + "/" + attributes.name);
  }
  for (const char* limit : {"500", ""}) {
    asked.push_back(request::rewrite_query(head.target, {{"watch", ""},
                                                         {"allowWatchBookmarks", ""},
                                                         {"resourceVersion", ""},
                                                         {"resourceVersionMatch", ""},
                                                         {"timeoutSeconds", ""},
                                                         {"limit", limit}}));
  }
  for (const auto& target : asked) {
    const auto key = read::document_key(target, head.headers.joined("accept"));
    const auto document =
        thread_.services.store.document(request_->principal->id(), key, attributes.gvr);
    auto start = document ? table_start(document->body.view()) : std::nullopt;
    if (start) return start;
  }
  return std::nullopt;
}

// One that begins with the state is judged as a list of it would be.
std::optional<kube::Status> Session::judge_age(kube::ResourceVersion have) const {
  const auto demand = read::version_demand(request_->attributes);
  const auto verdict = read::judge_version(
      demand, have, thread_.config->cache.consistent_reads == config::ConsistentReads::kServe);
  if (verdict == read::VersionVerdict::kServe) return std::nullopt;
  return read::version_status(verdict, demand, have, thread_);
}

Task<bool> Session::begin_offline() {
  auto& metrics = thread_.services.metrics;
  if (auto unknown = identify()) {
    metrics.cache_read(telemetry::CacheResult::kDenied);
    co_return co_await refuse(std::move(*unknown));
  }
  if (auto refusal = read::refused_before(thread_, *request_)) {
    metrics.cache_read(telemetry::CacheResult::kMiss);
    co_return co_await refuse(std::move(*refusal));
  }
  if (!from_the_start()) co_return co_await hold();
  const auto table = find_table();
  cache::ListAnswer base;
  if (!table) base = find_list();
  if (!table && !base.snapshot) {
    metrics.cache_read(telemetry::CacheResult::kMiss);
    co_return co_await refuse(read::not_served(thread_, *request_, base.outcome));
  }
  const auto have = table ? table->version : base.snapshot->resource_version();
  if (auto refusal = judge_age(have)) co_return co_await refuse(std::move(*refusal));
  metrics.cache_read(base.outcome == cache::Outcome::kDerived ? telemetry::CacheResult::kDerived
                                                              : telemetry::CacheResult::kHit);
  if (table) {
    representation_ = request_->accept.front().representation;
    const bool begun = co_await send_head(Source::kCache);
    if (!begun) co_return false;
    delivered_ = table->version;
    initial_done_ = true;
    co_return co_await deliver(table->events);
  }
  representation_ = base.snapshot->representation();
  table_ = false;  // whole objects, which it takes as well
  const bool begun = co_await send_head(Source::kCache);
  if (!begun) co_return false;
  co_return co_await send_snapshot(std::move(base.snapshot));
}

// The client has the state already, from wherever: nothing is told here, and what is new since
// comes from the API server. Without the agent it would try again until the link is back, and not
// list again; a refusal would make it.
Task<bool> Session::hold() {
  if (delivered_ == 0) {
    co_return co_await refuse(read::version_status(
        read::VersionVerdict::kRefuse, read::version_demand(request_->attributes), 0, thread_));
  }
  std::unique_ptr<cache::ListSnapshot> base;
  if (!table_) base = find_list().snapshot;
  guessed_ = !base;
  representation_ = base ? base->representation() : request_->accept.front().representation;
  const bool begun = co_await send_head(Source::kCache);
  if (!begun) co_return false;
  // A list that ends below what its client has is not served to it any more.
  if (!base || base->resource_version() < delivered_) begin_recording();
  recorder_.reset();
  co_return true;
}

Task<bool> Session::refuse(kube::Status status) {
  co_await request_->reply.status(request_->error_encoding(), std::move(status), Source::kLocal);
  co_return false;
}

Task<bool> Session::send_snapshot(std::unique_ptr<cache::ListSnapshot> snapshot) {
  const auto version = snapshot->resource_version();
  const auto kind = snapshot->object_type();
  std::string batch;
  while (true) {
    kube::Object object;
    const auto more = snapshot->next(object);
    if (!more) {
      spdlog::error("a cached list was dropped: {}", more.error().to_string());
      request_->reply.abort();
      co_return false;
    }
    if (!*more) break;
    const auto& type = object.type.kind.empty() ? kind : object.type;
    batch += kube::render_event(representation_.encoding, kube::EventType::kAdded, type,
                                object.body.view());
    if (batch.size() < kBatch) continue;
    const bool delivered = co_await deliver(std::exchange(batch, {}));
    if (!delivered) co_return false;
  }
  if (initial_events_) {
    batch += kube::render_bookmark(representation_.encoding, kind, version, true);
  }
  delivered_ = version;
  initial_done_ = true;
  co_return co_await deliver(std::move(batch));
}

}  // namespace holdfast::watch
