#include <optional>
#include <utility>

#include "cache/engine.h"

namespace holdfast::cache {
namespace {

constexpr std::size_t kMaxObject = kube::ListSplitter::kMaxItem;

/// The writer thread's half of a recording.
class Recording {
 public:
  virtual ~Recording() = default;
  virtual void feed(std::string_view bytes) = 0;
  virtual bool finish() = 0;
  /// The client got no whole answer.
  virtual void abandon() = 0;
  /// The client got it, and it can't be kept: what was shown before it is outdated.
  virtual void lose() = 0;
};

class ListRecording final : public Recording {
 public:
  ListRecording(Archive& archive, Query query, std::string token, RecordOptions options)
      : archive_{archive}, query_{std::move(query)}, token_{std::move(token)}, options_{options} {}

  void feed(std::string_view bytes) override {
    if (!start()) return;
    if (!splitter_->feed(bytes)) give_up();
  }

  bool finish() override {
    if (keep()) return true;
    archive_.lost_many(query_);
    return false;
  }

  void abandon() override { give_up(); }
  void lose() override {
    give_up();
    archive_.lost_many(query_);
  }

 private:
  bool keep() {
    if (!start()) return false;
    auto meta = splitter_->finish();
    if (!meta) {
      give_up();
      return false;
    }
    splitter_.reset();
    return archive_.page(std::exchange(assembly_, nullptr), token_, *meta);
  }

  bool start() {
    if (failed_) return false;
    if (splitter_) return true;
    assembly_ = token_.empty() ? archive_.begin(query_, options_) : archive_.resume(query_, token_);
    if (!assembly_) {
      failed_ = true;
      return false;
    }
    splitter_ = kube::ListSplitter::create(
        query_.representation.encoding, [this](const kube::Object& object) -> Result<void> {
          if (archive_.add(*assembly_, object)) return {};
          return make_error(Errc::kUnavailable, "this list can't be stored");
        });
    return true;
  }

  void give_up() {
    failed_ = true;
    splitter_.reset();
    // The pages before this one wait on: the client may ask for it again.
    if (assembly_ && token_.empty()) archive_.abandon(*assembly_);
    assembly_.reset();
  }

  Archive& archive_;
  const Query query_;
  const std::string token_;
  const RecordOptions options_;
  std::unique_ptr<kube::ListSplitter> splitter_;
  std::shared_ptr<Assembly> assembly_;
  bool failed_ = false;
};

class GetRecording final : public Recording {
 public:
  GetRecording(Archive& archive, Query query, RecordOptions options)
      : archive_{archive}, query_{std::move(query)}, options_{options} {}

  void feed(std::string_view bytes) override {
    failed_ = failed_ || bytes_.size() + bytes.size() > kMaxObject;
    if (!failed_) bytes_.append(bytes);
  }
  bool finish() override {
    if (failed_) {
      lose();
      return false;
    }
    const auto object =
        kube::parse_object(query_.representation.encoding, Slice::own(std::move(bytes_)));
    // A Table or another thing under this name is not this object.
    if (!object || object->meta.name != query_.name || object->meta.ns != query_.ns) return false;
    archive_.shown(query_, options_, *object);
    return true;
  }
  void abandon() override { bytes_.clear(); }
  void lose() override {
    bytes_.clear();
    archive_.lost_sight(query_, 0);
  }

 private:
  Archive& archive_;
  const Query query_;
  const RecordOptions options_;
  std::string bytes_;
  bool failed_ = false;
};

/// The I/O thread's half: it queues.
class QueueingRecorder final : public Recorder {
 public:
  QueueingRecorder(const std::shared_ptr<Engine>& engine, std::shared_ptr<Recording> recording,
                   const Query& query, RecordOptions options)
      : engine_{engine},
        recording_{std::move(recording)},
        group_{engine->group(query)},
        era_{engine->archive->era()},
        sync_{options.durability == Durability::kWriteThrough} {}

  ~QueueingRecorder() override {
    if (!ended_) abandon();
  }

  void feed(Slice bytes) override {
    const auto engine = engine_.lock();
    if (ended_ || bytes.empty() || !engine) return;
    const auto size = bytes.size();
    auto run = [this_era = in_era(*engine), recording = recording_, bytes = std::move(bytes)] {
      if (this_era()) recording->feed(bytes.view());
      return true;
    };
    if (engine->writer->post({.run = std::move(run), .cost = size})) return;
    ++engine->counters.dropped;
    ended_ = true;
    auto lose = [this_era = in_era(*engine), recording = recording_] {
      if (this_era()) recording->lose();
      return false;
    };
    engine->writer->post({.run = std::move(lose), .sync = sync_, .group = group_});
  }

  void finish(std::function<void(bool)> on_done) override {
    const bool given_up = std::exchange(ended_, true);
    if (const auto engine = engine_.lock()) {
      auto run = [this_era = in_era(*engine), recording = recording_, given_up] {
        return !given_up && this_era() && recording->finish();
      };
      engine->writer->post({.run = std::move(run),
                            .cost = 0,
                            .sync = sync_,
                            .done = std::move(on_done),
                            .group = group_});
    } else if (on_done) {
      on_done(false);
    }
  }

 private:
  /// What began before another cluster, or another state of it, is of neither.
  [[nodiscard]] std::function<bool()> in_era(const Engine& engine) const {
    return [era = era_, archive = engine.archive.get()] { return archive->era() == era; };
  }
  void abandon() {
    ended_ = true;
    auto run = [recording = recording_] {
      recording->abandon();
      return false;
    };
    if (const auto engine = engine_.lock()) engine->writer->post({.run = std::move(run)});
  }

  std::weak_ptr<Engine> engine_;  // a recorder may outlive the store
  std::shared_ptr<Recording> recording_;
  const Id group_;
  const std::uint64_t era_;
  const bool sync_;
  bool ended_ = false;
};

}  // namespace

std::unique_ptr<Recorder> make_list_recorder(const std::shared_ptr<Engine>& engine, Query query,
                                             std::string continue_token, RecordOptions options) {
  auto recording =
      std::make_shared<ListRecording>(*engine->archive, query, std::move(continue_token), options);
  return std::make_unique<QueueingRecorder>(engine, std::move(recording), query, options);
}

std::unique_ptr<Recorder> make_get_recorder(const std::shared_ptr<Engine>& engine, Query query,
                                            RecordOptions options) {
  auto recording = std::make_shared<GetRecording>(*engine->archive, query, options);
  return std::make_unique<QueueingRecorder>(engine, std::move(recording), query, options);
}

}  // namespace holdfast::cache
