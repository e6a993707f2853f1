#include "read/inflate.h"

#include <string>

namespace holdfast::read {
namespace {
constexpr int kGzipOnly = 16 + MAX_WBITS;  // zlib.h: adding 16 decodes the gzip format alone
}

Inflater::Inflater() {
  inflateInit2(&stream_, kGzipOnly);
}
Inflater::~Inflater() {
  inflateEnd(&stream_);
}

Result<void> Inflater::feed(std::string_view packed, const std::function<void(Slice)>& sink) {
  stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
  stream_.avail_in = static_cast<uInt>(packed.size());
  bool full = false;
  // A full output block may hide more output behind an already empty input.
  while ((stream_.avail_in > 0 || full) && !finished_) {
    std::shared_ptr<char[]> block{new char[kBlock]};
    stream_.next_out = reinterpret_cast<Bytef*>(block.get());
    stream_.avail_out = kBlock;
    const int rc = inflate(&stream_, Z_NO_FLUSH);
    if (rc == Z_STREAM_END) {
      finished_ = true;
    } else if (rc != Z_OK && rc != Z_BUF_ERROR) {
      return make_error(Errc::kInvalidArgument, "the body is not gzip");
    }
    const auto size = kBlock - stream_.avail_out;
    full = stream_.avail_out == 0;
    const char* data = block.get();
    if (size > 0) sink(Slice{std::move(block), data, size});
    if (rc == Z_BUF_ERROR && size == 0) break;
  }
  return {};
}

}  // namespace holdfast::read
