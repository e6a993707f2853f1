#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cache/kv.h"
#include "cache/sealer.h"

namespace holdfast::cache {

/// Changes that are not committed yet, and reads that see them. Values are sealed on their way in
/// and opened on their way out. Writer thread only.
class Txn {
 public:
  Txn(Kv& kv, const Sealer& sealer) : kv_{kv}, sealer_{sealer} {}

  void put(std::string key, std::string_view plain);
  /// For rows that hold numbers only: kept in clear.
  void put_clear(std::string key, std::string value);
  void erase(std::string key);
  Result<bool> get(const std::string& key, std::string& plain);
  Result<bool> get_clear(const std::string& key, std::string& value);
  /// Every row with the prefix, pending changes included; `visit` may change rows that it visited.
  /// It returns false to stop. A record that does not open is passed with `ok` false.
  Result<void> each(
      const std::string& prefix,
      const std::function<bool(const std::string& key, std::string_view plain, bool ok)>& visit);

  [[nodiscard]] std::size_t ops() const { return pending_.size(); }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] bool empty() const { return pending_.empty(); }
  /// Writes everything at once. On failure the changes stay, for the caller to look at and `clear`.
  Result<void> commit(bool sync);
  /// The keys with one prefix that are about to change.
  [[nodiscard]] std::vector<std::string> changed(std::string_view prefix) const;
  void clear();

 private:
  void set(std::string key, std::optional<std::string> value);
  Kv& kv_;
  const Sealer& sealer_;
  std::map<std::string, std::optional<std::string>, std::less<>> pending_;
  std::size_t bytes_ = 0;
};

}  // namespace holdfast::cache
