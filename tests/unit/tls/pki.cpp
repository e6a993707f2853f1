#include "unit/tls/pki.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include <fstream>
#include <stdexcept>

#include "tls/certificate.h"

namespace holdfast::tls::test {
namespace {

void add_extension(X509* leaf, X509V3_CTX* context, int nid, const std::string& value) {
  const X509ExtensionPtr extension{X509V3_EXT_conf_nid(nullptr, context, nid, value.c_str())};
  if (!extension) throw std::runtime_error{"bad extension " + value};
  X509_add_ext(leaf, extension.get(), -1);
}

void add_name(X509_NAME* name, int nid, const std::string& value) {
  if (value.empty()) return;
  X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(value.data()),
                             static_cast<int>(value.size()), -1, 0);
}

std::string to_der(X509* certificate) {
  std::string der(static_cast<std::size_t>(i2d_X509(certificate, nullptr)), '\0');
  auto* at = reinterpret_cast<unsigned char*>(der.data());
  i2d_X509(certificate, &at);
  return der;
}

}  // namespace

Pair issue(const Request& request, const Pair* issuer) {
  static long serial = 1;
  const KeyPtr key{EVP_EC_gen("P-256")};
  Chain chain;
  chain.emplace_back(X509_new());
  auto* leaf = chain.front().get();
  X509Ptr issuer_certificate;
  KeyPtr issuer_key;
  if (issuer != nullptr) {
    issuer_certificate = std::move(parse_pem_chain(issuer->cert_pem, "issuer")->front());
    issuer_key = std::move(*parse_pem_key(issuer->key_pem, "issuer"));
  }
  X509_set_version(leaf, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(leaf), serial++);
  ASN1_TIME_set(X509_getm_notBefore(leaf), std::chrono::system_clock::to_time_t(request.from));
  ASN1_TIME_set(X509_getm_notAfter(leaf), std::chrono::system_clock::to_time_t(request.to));
  X509_set_pubkey(leaf, key.get());
  add_name(X509_get_subject_name(leaf), NID_organizationName, request.organization);
  add_name(X509_get_subject_name(leaf), NID_commonName, request.name);
  auto* signer = issuer_certificate ? issuer_certificate.get() : leaf;
  X509_set_issuer_name(leaf, X509_get_subject_name(signer));
  X509V3_CTX context{};
  X509V3_set_ctx(&context, signer, leaf, nullptr, nullptr, 0);
  add_extension(leaf, &context, NID_basic_constraints,
                request.ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  add_extension(leaf, &context, NID_subject_key_identifier, "hash");
  if (!request.names.empty()) add_extension(leaf, &context, NID_subject_alt_name, request.names);
  if (!request.usage.empty()) add_extension(leaf, &context, NID_ext_key_usage, request.usage);
  X509_sign(leaf, issuer_key ? issuer_key.get() : key.get(), EVP_sha256());
  return {.cert_pem = to_pem(chain), .key_pem = to_pem(key.get()), .der = to_der(leaf)};
}

Pair make_ca(const std::string& name) {
  return issue({.name = name, .ca = true});
}

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = std::filesystem::temp_directory_path() / "holdfast-tls-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error{"mkdtemp"};
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ec;
  std::filesystem::remove_all(path_, ec);
}

std::string TemporaryDirectory::write(const std::string& name, const std::string& content) const {
  const auto path = file(name);
  std::ofstream{path + ".tmp", std::ios::binary} << content;
  std::filesystem::rename(path + ".tmp", path);
  return path;
}

std::string TemporaryDirectory::read(const std::string& name) const {
  std::ifstream in{file(name), std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

}  // namespace holdfast::tls::test
