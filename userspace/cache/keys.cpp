#include "cache/keys.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <atomic>
#include <memory>

#include "cache/codec.h"

namespace holdfast::cache {
namespace {

std::atomic<std::uint64_t> next_instance{1};

struct MacDeleter {
  void operator()(EVP_MAC_CTX* p) const { EVP_MAC_CTX_free(p); }
};

/// One keyed context per thread: keying anew costs more than hashing a short text.
struct MacSlot {
  std::uint64_t instance = 0;
  std::unique_ptr<EVP_MAC_CTX, MacDeleter> context;
};

EVP_MAC_CTX* keyed_context(std::uint64_t instance, const std::string& secret) {
  thread_local MacSlot slot;
  if (slot.instance == instance) {
    EVP_MAC_init(slot.context.get(), nullptr, 0, nullptr);
    return slot.context.get();
  }
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  slot.context.reset(EVP_MAC_CTX_new(mac));
  EVP_MAC_free(mac);
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                               OSSL_PARAM_construct_end()};
  EVP_MAC_init(slot.context.get(), reinterpret_cast<const unsigned char*>(secret.data()),
               secret.size(), params);
  slot.instance = instance;
  return slot.context.get();
}

void append_big_endian(std::string& out, std::uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

}  // namespace

Keys::Keys(std::string_view secret) : secret_{secret}, instance_{next_instance++} {}

Id Keys::hash(std::string_view text) const {
  EVP_MAC_CTX* context = keyed_context(instance_, secret_);
  std::array<unsigned char, EVP_MAX_MD_SIZE> full;
  std::size_t size = 0;
  EVP_MAC_update(context, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  EVP_MAC_final(context, full.data(), &size, full.size());
  Id out;
  std::memcpy(out.bytes.data(), full.data(), out.bytes.size());
  return out;
}

Id Keys::group(const identity::PrincipalId& principal,
               const kube::GroupVersionResource& gvr) const {
  const std::string_view who{reinterpret_cast<const char*>(principal.bytes.data()),
                             principal.bytes.size()};
  return hash(Encoder{}.u8('g').str(who).str(gvr.group).str(gvr.version).str(gvr.resource).take());
}

Id Keys::collection(const Query& query) const {
  Encoder out;
  out.u8('c').id(group(query.principal, query.gvr));
  out.u8(static_cast<std::uint8_t>(query.representation.encoding));
  out.u8(static_cast<std::uint8_t>(query.representation.transform));
  out.str(query.representation.transform_version).str(query.ns).str(query.name);
  out.str(query.subresource).str(query.label_selector).str(query.field_selector);
  return hash(out.take());
}

Id Keys::object(std::string_view ns, std::string_view name) const {
  return hash(Encoder{}.u8('o').str(ns).str(name).take());
}

std::string Keys::row(Row row, std::string_view tail) {
  std::string out(1, static_cast<char>(row));
  out.append(tail);
  return out;
}

std::string Keys::row(Row row, const Id& a, const Id& b) {
  std::string out = Keys::row(row, a.view());
  out.append(b.view());
  return out;
}

std::string Keys::members(const Id& collection, std::uint64_t generation) {
  std::string out = row(Row::kMember, collection);
  append_big_endian(out, generation);
  return out;
}

std::string Keys::member(const Id& collection, std::uint64_t generation, const Id& object) {
  std::string out = members(collection, generation);
  out.append(object.view());
  return out;
}

std::string Keys::pending(const Id& collection, std::uint64_t generation) {
  std::string out = row(Row::kPending, collection);
  append_big_endian(out, generation);
  return out;
}

}  // namespace holdfast::cache
