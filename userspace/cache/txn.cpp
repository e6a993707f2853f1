#include "cache/txn.h"

namespace holdfast::cache {

void Txn::set(std::string key, std::optional<std::string> value) {
  bytes_ += key.size() + (value ? value->size() : 0);
  pending_.insert_or_assign(std::move(key), std::move(value));
}

void Txn::put(std::string key, std::string_view plain) {
  auto sealed = sealer_.seal(key, plain);
  set(std::move(key), std::move(sealed));
}

void Txn::put_clear(std::string key, std::string value) {
  set(std::move(key), std::move(value));
}

void Txn::erase(std::string key) {
  set(std::move(key), std::nullopt);
}

Result<bool> Txn::get_clear(const std::string& key, std::string& value) {
  if (const auto it = pending_.find(key); it != pending_.end()) {
    if (!it->second) return false;
    value = *it->second;
    return true;
  }
  return kv_.get(key, value, nullptr);
}

Result<bool> Txn::get(const std::string& key, std::string& plain) {
  std::string sealed;
  auto found = get_clear(key, sealed);
  if (!found || !*found) return found;
  if (auto opened = sealer_.open(key, sealed, plain); !opened) return opened.error();
  return true;
}

Result<void> Txn::each(
    const std::string& prefix,
    const std::function<bool(const std::string& key, std::string_view plain, bool ok)>& visit) {
  auto stored = kv_.scan(prefix, nullptr);
  auto changed = pending_.lower_bound(prefix);
  const auto in_range = [&] {
    return changed != pending_.end() && changed->first.starts_with(prefix);
  };
  std::string plain;
  for (;;) {
    const bool have_stored = stored->valid(), have_changed = in_range();
    if (!have_stored && !have_changed) break;
    if (have_changed && (!have_stored || changed->first <= stored->key())) {
      if (have_stored && changed->first == stored->key()) stored->next();
      const auto here = changed++;
      if (!here->second) continue;
      // A copy: `visit` may replace the row.
      const std::string sealed = *here->second;
      const bool ok = sealer_.open(here->first, sealed, plain).has_value();
      if (!visit(here->first, plain, ok)) return {};
      continue;
    }
    const std::string key{stored->key()};
    const bool ok = sealer_.open(key, stored->value(), plain).has_value();
    stored->next();
    if (!visit(key, plain, ok)) return {};
    // The visit may have changed this row; the cursor over the changes must not meet it again.
    changed = pending_.upper_bound(key);
  }
  return stored->status();
}

Result<void> Txn::commit(bool sync) {
  std::vector<KvOp> ops;
  ops.reserve(pending_.size());
  for (const auto& [key, value] : pending_)
    ops.push_back({key, value ? std::optional<std::string_view>{*value} : std::nullopt});
  auto written = kv_.write(ops, sync);
  if (written) clear();
  return written;
}

std::vector<std::string> Txn::changed(std::string_view prefix) const {
  std::vector<std::string> out;
  for (auto it = pending_.lower_bound(prefix);
       it != pending_.end() && it->first.starts_with(prefix); ++it)
    out.push_back(it->first);
  return out;
}

void Txn::clear() {
  pending_.clear();
  bytes_ = 0;
}

}  // namespace holdfast::cache
