#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>
#include <string>
#include <string_view>

#include "holdfast/base/openssl.h"
#include "holdfast/base/result.h"

namespace holdfast::tls {

using StorePtr = std::unique_ptr<X509_STORE, OpensslDeleter<X509_STORE_free>>;
using StoreContextPtr = std::unique_ptr<X509_STORE_CTX, OpensslDeleter<X509_STORE_CTX_free>>;
using X509ExtensionPtr = std::unique_ptr<X509_EXTENSION, OpensslDeleter<X509_EXTENSION_free>>;

/// What OpenSSL queued last, as an Error; empties the queue, so that no later call trips over it.
Error openssl_error(Errc code, std::string context);
/// A read-only BIO over `bytes`, which must outlive it.
BioPtr memory_bio(std::string_view bytes);
/// All that was written into a memory BIO.
std::string bio_text(BIO* bio);

}  // namespace holdfast::tls
