#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <string_view>

#include "holdfast/base/openssl.h"
#include "holdfast/base/result.h"

namespace holdfast::upstream {

/// A read-only BIO over `bytes`, which must outlive it.
inline BioPtr memory_bio(std::string_view bytes) {
  return BioPtr{BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size()))};
}

/// What OpenSSL said last; empties its queue, so that no later call trips over it.
inline Error openssl_error(Errc code, std::string context) {
  if (const auto number = ERR_peek_last_error(); number != 0) {
    if (const char* reason = ERR_reason_error_string(number)) {
      context += ": ";
      context += reason;
    }
  }
  ERR_clear_error();
  return make_error(code, std::move(context));
}

}  // namespace holdfast::upstream
