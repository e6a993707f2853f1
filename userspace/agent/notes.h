#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "holdfast/identity/credential.h"

namespace holdfast::agent {

/// Keeps named values in the store from a thread of its own: a write may wait for the disk longer
/// than the control thread's heart may stand still. Thread-safe.
class Notes {
 public:
  /// `store` outlives this.
  explicit Notes(identity::CredentialStore& store);
  /// After everything was written.
  ~Notes();
  Notes(const Notes&) = delete;
  Notes& operator=(const Notes&) = delete;

  /// Of several values for a name the last one counts; one that can't be written is logged, no
  /// more.
  void keep(std::string name, std::string value);

 private:
  void work();

  identity::CredentialStore& store_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::map<std::string, std::string> waiting_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace holdfast::agent
