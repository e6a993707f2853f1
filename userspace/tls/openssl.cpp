#include "tls/openssl.h"

#include <openssl/err.h>

#include <array>

namespace holdfast::tls {

Error openssl_error(Errc code, std::string context) {
  const auto last = ERR_peek_last_error();
  ERR_clear_error();
  if (last == 0) return make_error(code, std::move(context));
  std::array<char, 256> text{};
  ERR_error_string_n(last, text.data(), text.size());
  return make_error(code, std::move(context) + ": " + text.data());
}

BioPtr memory_bio(std::string_view bytes) {
  return BioPtr{BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size()))};
}

std::string bio_text(BIO* bio) {
  char* data = nullptr;
  const auto size = BIO_get_mem_data(bio, &data);
  return size > 0 ? std::string(data, static_cast<std::size_t>(size)) : std::string{};
}

}  // namespace holdfast::tls
