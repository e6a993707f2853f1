#include "tls/certificate_request.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <memory>

#include "tls/certificate.h"
#include "tls/openssl.h"

namespace holdfast::tls {
namespace {

using RequestPtr = std::unique_ptr<X509_REQ, OpensslDeleter<X509_REQ_free>>;
using Extensions = STACK_OF(X509_EXTENSION);
struct FreeExtensions {
  void operator()(Extensions* list) const noexcept {
    sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free);
  }
};
using ExtensionsPtr = std::unique_ptr<Extensions, FreeExtensions>;

Error bad(std::string what) {
  ERR_clear_error();
  return make_error(Errc::kInvalidArgument, std::move(what));
}

bool add_entry(X509_NAME* name, int nid, const std::string& value) {
  return X509_NAME_add_entry_by_NID(name, nid, MBSTRING_UTF8,
                                    reinterpret_cast<const unsigned char*>(value.data()),
                                    static_cast<int>(value.size()), -1, 0) == 1;
}

bool add_names(X509_REQ* request, const Names& names) {
  const auto list = general_names(names);
  Extensions* raw = nullptr;
  const bool added = X509V3_add1_i2d(&raw, NID_subject_alt_name, list.get(), 0, 0) == 1;
  const ExtensionsPtr extensions{raw};
  return added && X509_REQ_add_extensions(request, extensions.get()) == 1;
}

/// Without this OpenSSL would ask for a passphrase on the terminal.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*user*/) {
  return -1;
}

std::string pem_of(X509_REQ* request) {
  const BioPtr bio{BIO_new(BIO_s_mem())};
  PEM_write_bio_X509_REQ(bio.get(), request);
  return bio_text(bio.get());
}

std::string_view trimmed(std::string_view text) {
  const auto end = text.find_last_not_of(" \r\n\t");
  return text.substr(0, end == std::string_view::npos ? 0 : end + 1);
}

Result<void> read_subject(X509_REQ* request, RequestContent& out) {
  const auto* subject = X509_REQ_get_subject_name(request);
  std::size_t common_names = 0;
  for (int i = 0; i < X509_NAME_entry_count(subject); ++i) {
    const auto* entry = X509_NAME_get_entry(subject, i);
    const auto* value = X509_NAME_ENTRY_get_data(entry);
    const int nid = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
    if (nid != NID_commonName && nid != NID_organizationName) {
      return bad("the subject has more than a common name and organizations");
    }
    if (value->type != V_ASN1_UTF8STRING && value->type != V_ASN1_PRINTABLESTRING) {
      return bad("the subject is in an unusual encoding");
    }
    std::string text{reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)),
                     static_cast<std::size_t>(ASN1_STRING_length(value))};
    if (nid == NID_organizationName) {
      out.organizations.push_back(std::move(text));
    } else {
      out.common_name = std::move(text);
      ++common_names;
    }
  }
  if (common_names != 1) return bad("the subject does not have one common name");
  return {};
}

Result<void> read_names(X509_REQ* request, RequestContent& out) {
  // One attribute, with one list of extensions in it: parsers differ about what a second one means.
  if (X509_REQ_get_attr_count(request) != 1) return bad("it has other attributes than extensions");
  auto* attribute = X509_REQ_get_attr(request, 0);
  if (OBJ_obj2nid(X509_ATTRIBUTE_get0_object(attribute)) != NID_ext_req ||
      X509_ATTRIBUTE_count(attribute) != 1) {
    return bad("it has other attributes than extensions");
  }
  const ExtensionsPtr extensions{X509_REQ_get_extensions(request)};
  if (!extensions || sk_X509_EXTENSION_num(extensions.get()) != 1) {
    return bad("it asks for other extensions than subject alternative names");
  }
  auto* extension = sk_X509_EXTENSION_value(extensions.get(), 0);
  if (OBJ_obj2nid(X509_EXTENSION_get_object(extension)) != NID_subject_alt_name) {
    return bad("it asks for other extensions than subject alternative names");
  }
  const GeneralNamesPtr list{static_cast<GENERAL_NAMES*>(X509V3_EXT_d2i(extension))};
  if (!list) return bad("its subject alternative names are malformed");
  std::size_t others = 0;
  out.names = names_of(list.get(), others);
  if (others > 0) return bad("it asks for names that are neither DNS names nor addresses");
  return {};
}

}  // namespace

Result<NewRequest> make_certificate_request(const std::string& node, const Names& names) {
  const KeyPtr key{EVP_EC_gen("P-256")};
  const RequestPtr request{X509_REQ_new()};
  if (!key || !request) return openssl_error(Errc::kUnsupported, "making a certificate request");
  auto* subject = X509_REQ_get_subject_name(request.get());
  if (X509_REQ_set_version(request.get(), X509_REQ_VERSION_1) != 1 ||
      !add_entry(subject, NID_organizationName, "system:nodes") ||
      !add_entry(subject, NID_commonName, "system:node:" + node) ||
      X509_REQ_set_pubkey(request.get(), key.get()) != 1 || !add_names(request.get(), names) ||
      X509_REQ_sign(request.get(), key.get(), EVP_sha256()) <= 0) {
    return openssl_error(Errc::kUnsupported, "making a certificate request");
  }
  return NewRequest{.request_pem = pem_of(request.get()), .key_pem = to_pem(key.get())};
}

Result<RequestContent> parse_certificate_request(std::string_view pem) {
  const auto bio = memory_bio(pem);
  const RequestPtr request{PEM_read_bio_X509_REQ(bio.get(), nullptr, no_passphrase, nullptr)};
  if (!request) return bad("it is no PEM certificate request");
  // Other blocks, headers, or DER that another parser may read in another way.
  if (trimmed(pem_of(request.get())) != trimmed(pem)) return bad("it is not in canonical form");
  auto* key = X509_REQ_get0_pubkey(request.get());
  if (key == nullptr || X509_REQ_verify(request.get(), key) != 1) {
    return bad("it is not signed by its own key");
  }
  RequestContent content;
  if (auto read = read_subject(request.get(), content); !read) return std::move(read).error();
  if (auto read = read_names(request.get(), content); !read) return std::move(read).error();
  ERR_clear_error();
  return content;
}

}  // namespace holdfast::tls
