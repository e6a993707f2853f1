#include "agent/notes.h"

#include <utility>

#include "holdfast/telemetry/log.h"

namespace holdfast::agent {

Notes::Notes(identity::CredentialStore& store) : store_{store}, thread_{[this] { work(); }} {}

Notes::~Notes() {
  {
    const std::scoped_lock lock{mutex_};
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void Notes::keep(std::string name, std::string value) {
  {
    const std::scoped_lock lock{mutex_};
    waiting_.insert_or_assign(std::move(name), std::move(value));
  }
  wake_.notify_one();
}

void Notes::work() {
  std::unique_lock lock{mutex_};
  while (true) {
    wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    const auto note = waiting_.extract(waiting_.begin());
    lock.unlock();
    if (auto kept = store_.put_named(note.key(), note.mapped()); !kept) {
      telemetry::log(spdlog::level::warn, "a note for the next start was not kept",
                     {{"note", note.key()}, {"error", kept.error().to_string()}});
    }
    lock.lock();
  }
}

}  // namespace holdfast::agent
