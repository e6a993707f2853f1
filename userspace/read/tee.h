#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "holdfast/base/task.h"
#include "holdfast/cache/store.h"
#include "holdfast/http/message.h"
#include "read/inflate.h"
#include "request/context.h"
#include "request/request.h"

namespace holdfast::read {

/// How the answer to a read is kept.
enum class Keep : std::uint8_t {
  kNothing,
  kObject,    ///< a GET of a resource
  kList,      ///< items as bodies of their own
  kDocument,  ///< the bytes as they are: discovery, OpenAPI, Tables
};
Keep keep_of(const request::Request& request);

/// Names a document among those of one principal: what was asked, and in which forms.
std::string document_key(const request::Request& request);
std::string document_key(std::string_view target, std::string_view accept);

/// Copies a 200's body into the cache while it streams to the client. Never delays the client,
/// except where a kubelet acts on the answer (RecordOptions::durability).
class Tee {
 public:
  /// How long a client waits for its answer to be on disk (kWriteThrough). What is not written by
  /// then is not served either: readers wait for the store's queue, and then say that they don't
  /// know.
  static constexpr std::chrono::seconds kDiskLimit{2};

  /// Null when this answer is not one to remember.
  static std::unique_ptr<Tee> create(request::ThreadContext& thread,
                                     const request::Request& request,
                                     const http::ResponseHead& head);
  Tee(const Tee&) = delete;
  Tee& operator=(const Tee&) = delete;
  ~Tee();
  void feed(const Slice& bytes);
  /// Once finished: what a list is recorded as the answer to; empty for anything else, and for
  /// pages.
  [[nodiscard]] std::optional<cache::Query> list_query() const;
  /// The body ended in order. Returns at once, or when it is on disk if the request wants that.
  Task<> finish();

 private:
  static constexpr std::size_t kMaxDocument = 32 * 1024 * 1024;  ///< bytes; larger: not kept

  void take(Slice plain);
  void begin(std::string_view body);
  void begin_with_start();
  bool reserve(std::size_t size);

  cache::Store* store_ = nullptr;
  Executor executor_;
  std::unique_ptr<cache::Recorder> recorder_;  // kObject, kList
  cache::Query query_;
  std::string metadata_version_, continue_token_, start_;
  bool is_list_ = false;
  std::optional<cache::Document> document_;  // kDocument
  std::string document_body_, document_key_;
  identity::PrincipalId principal_;
  cache::RecordOptions options_;
  std::unique_ptr<Inflater> inflater_;
  std::size_t reserved_ = 0;  ///< bytes of the process's budget for documents in flight
  bool failed_ = false;

  explicit Tee(Executor executor) : executor_{executor} {}
};

}  // namespace holdfast::read
