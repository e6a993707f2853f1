#include "tls/certificate_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/pem.h>

#include <functional>

#include "tls/certificate.h"
#include "tls/openssl.h"

namespace holdfast::tls {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Names some_names() {
  Names names;
  names.dns = {"kubernetes", "kubernetes.default.svc"};
  names.add_address(*Endpoint::from_address("198.18.0.1", 0));
  names.add_address(*Endpoint::from_address("fd77::1", 0));
  return names;
}

X509_REQ* read(const std::string& pem) {
  const auto bio = memory_bio(pem);
  return PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr);
}

/// A request as `change` makes it, signed afterwards.
std::string custom(const std::function<void(X509_REQ*)>& change, EVP_PKEY* signer = nullptr) {
  const KeyPtr key{EVP_EC_gen("P-256")};
  X509_REQ* request = X509_REQ_new();
  X509_REQ_set_pubkey(request, key.get());
  change(request);
  X509_REQ_sign(request, signer != nullptr ? signer : key.get(), EVP_sha256());
  const BioPtr bio{BIO_new(BIO_s_mem())};
  PEM_write_bio_X509_REQ(bio.get(), request);
  X509_REQ_free(request);
  return bio_text(bio.get());
}

void add_entry(X509_REQ* request, const char* field, const char* value, int type = MBSTRING_UTF8) {
  X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), field, type,
                             reinterpret_cast<const unsigned char*>(value), -1, -1, 0);
}

void add_subject(X509_REQ* request) {
  add_entry(request, "O", "system:nodes");
  add_entry(request, "CN", "system:node:n1");
}

void add_extensions(X509_REQ* request, const std::vector<std::pair<int, const char*>>& extensions,
                    int attribute = NID_ext_req) {
  STACK_OF(X509_EXTENSION)* list = sk_X509_EXTENSION_new_null();
  for (const auto& [nid, value] : extensions) {
    sk_X509_EXTENSION_push(list, X509V3_EXT_conf_nid(nullptr, nullptr, nid, value));
  }
  X509_REQ_add_extensions_nid(request, list, attribute);
  sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
}

TEST(CertificateRequestTest, AsksForWhatTheSignerDemandsAndNoMore) {
  const auto made = make_certificate_request("edge-1", some_names());
  ASSERT_TRUE(made) << made.error().to_string();
  auto* request = read(made->request_pem);
  ASSERT_NE(request, nullptr);
  const BioPtr text{BIO_new(BIO_s_mem())};
  X509_NAME_print_ex(text.get(), X509_REQ_get_subject_name(request), 0, XN_FLAG_RFC2253);
  EXPECT_EQ(bio_text(text.get()), "CN=system:node:edge-1,O=system:nodes");
  auto* key = X509_REQ_get0_pubkey(request);
  EXPECT_EQ(X509_REQ_verify(request, key), 1);
  EXPECT_EQ(EVP_PKEY_get_bits(key), 256);
  EXPECT_EQ(EVP_PKEY_get_base_id(key), EVP_PKEY_EC);
  auto* extensions = X509_REQ_get_extensions(request);
  ASSERT_EQ(sk_X509_EXTENSION_num(extensions), 1);
  const BioPtr names{BIO_new(BIO_s_mem())};
  X509V3_EXT_print(names.get(), sk_X509_EXTENSION_value(extensions, 0), 0, 0);
  EXPECT_EQ(bio_text(names.get()),
            "DNS:kubernetes, DNS:kubernetes.default.svc, IP Address:198.18.0.1, "
            "IP Address:FD77:0:0:0:0:0:0:1");
  const auto own = *parse_pem_key(made->key_pem, "key");
  EXPECT_EQ(EVP_PKEY_eq(own.get(), key), 1);
  sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
  X509_REQ_free(request);
}

TEST(CertificateRequestTest, EachHasAKeyOfItsOwn) {
  EXPECT_NE(make_certificate_request("n", some_names())->key_pem,
            make_certificate_request("n", some_names())->key_pem);
}

TEST(CertificateRequestTest, WhatIsMadeIsRead) {
  const auto made = make_certificate_request("edge-1", some_names());
  const auto content = parse_certificate_request(made->request_pem);
  ASSERT_TRUE(content) << content.error().to_string();
  EXPECT_EQ(content->common_name, "system:node:edge-1");
  EXPECT_THAT(content->organizations, ElementsAre("system:nodes"));
  EXPECT_EQ(content->names, some_names());
}

TEST(CertificateRequestTest, WhateverElseIsAskedForIsRefused) {
  const KeyPtr stranger{EVP_EC_gen("P-256")};
  const auto good = custom([](X509_REQ* r) {
    add_subject(r);
    add_extensions(r, {{NID_subject_alt_name, "DNS:kubernetes"}});
  });
  ASSERT_TRUE(parse_certificate_request(good));
  struct Case {
    std::string pem, why;
  };
  const std::vector<Case> cases{
      {"", "no PEM"},
      {"-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n", "no PEM"},
      {good + good, "canonical"},
      {"text before\n" + good, "canonical"},
      {custom([](X509_REQ* r) { add_subject(r); }), "other attributes"},
      {custom([](X509_REQ* r) {
         add_subject(r);
         add_extensions(r, {{NID_subject_alt_name, "DNS:kubernetes"}});
         add_extensions(r, {{NID_subject_alt_name, "DNS:evil"}}, NID_ms_ext_req);
       }),
       "other attributes"},
      {custom([](X509_REQ* r) {
         add_subject(r);
         add_extensions(r, {{NID_subject_alt_name, "DNS:kubernetes"}}, NID_ms_ext_req);
       }),
       "other attributes"},
      {custom([](X509_REQ* r) {
         add_subject(r);
         add_extensions(
             r, {{NID_subject_alt_name, "DNS:kubernetes"}, {NID_subject_alt_name, "DNS:evil"}});
       }),
       "other extensions"},
      {custom([](X509_REQ* r) {
         add_subject(r);
         add_extensions(r, {{NID_basic_constraints, "critical,CA:TRUE"}});
       }),
       "other extensions"},
      {custom([](X509_REQ* r) {
         add_subject(r);
         add_extensions(r, {{NID_subject_alt_name, "DNS:kubernetes,URI:spiffe://x"}});
       }),
       "neither DNS names nor addresses"},
      {custom([](X509_REQ* r) {
         add_subject(r);
         add_extensions(r, {{NID_subject_alt_name, "email:a@example.org"}});
       }),
       "neither DNS names nor addresses"},
      {custom([](X509_REQ* r) {
         add_subject(r);
         add_entry(r, "CN", "system:masters");
         add_extensions(r, {{NID_subject_alt_name, "DNS:kubernetes"}});
       }),
       "one common name"},
      {custom([](X509_REQ* r) {
         add_entry(r, "O", "system:nodes");
         add_extensions(r, {{NID_subject_alt_name, "DNS:kubernetes"}});
       }),
       "one common name"},
      {custom([](X509_REQ* r) {
         add_subject(r);
         add_entry(r, "OU", "more");
         add_extensions(r, {{NID_subject_alt_name, "DNS:kubernetes"}});
       }),
       "more than a common name"},
      {custom([](X509_REQ* r) {
         add_entry(r, "O", "system:nodes");
         add_entry(r, "CN", "system:node:n1", V_ASN1_T61STRING);
         add_extensions(r, {{NID_subject_alt_name, "DNS:kubernetes"}});
       }),
       "encoding"},
      {custom(
           [](X509_REQ* r) {
             add_subject(r);
             add_extensions(r, {{NID_subject_alt_name, "DNS:kubernetes"}});
           },
           stranger.get()),
       "not signed by its own key"},
  };
  for (const auto& c : cases) {
    const auto content = parse_certificate_request(c.pem);
    ASSERT_FALSE(content) << c.why;
    EXPECT_THAT(content.error().message, HasSubstr(c.why));
  }
}

}  // namespace
}  // namespace holdfast::tls
