#include "cases.h"

#include <openssl/evp.h>

#include <cstdio>
#include <cstdlib>

namespace holdfast::property {

int for_each_case(const std::string& program, std::uint64_t seed, const std::string& count,
                  const std::function<void(const nlohmann::json&)>& check) {
  const auto command = "'" + program + "' " + std::to_string(seed) + " " + count;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return -1;
  int cases = 0;
  char* line = nullptr;
  std::size_t room = 0;
  ssize_t length = 0;
  while ((length = ::getline(&line, &room, pipe)) > 0) {
    check(nlohmann::json::parse(line, line + length));
    ++cases;
  }
  ::free(line);
  return ::pclose(pipe) == 0 ? cases : -1;
}

std::string bytes_of(const nlohmann::json& base64) {
  const auto& text = base64.get_ref<const std::string&>();
  std::string bytes(text.size() / 4 * 3, '\0');
  const int length = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(bytes.data()),
                                     reinterpret_cast<const unsigned char*>(text.data()),
                                     static_cast<int>(text.size()));
  bytes.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
  // EVP_DecodeBlock counts the padding as bytes.
  for (auto at = text.rbegin(); at != text.rend() && *at == '=' && !bytes.empty(); ++at) {
    bytes.pop_back();
  }
  return bytes;
}

}  // namespace holdfast::property
