#include <optional>
#include <string>

#include "fuzz/fuzz.h"
#include "http/h1_parser.h"

using namespace holdfast;
using namespace holdfast::http;

namespace {

constexpr std::size_t kHeaderBytes = 64 * 1024;

struct Message {
  bool refused = false, head = false, done = false;
  std::size_t used = 0;
  std::string start, fields, body;
};

std::string fields_of(const Headers& headers) {
  std::string all;
  for (const auto& field : headers) {
    // Nothing that could end a field early reaches the other side.
    claim(field.value.find_first_of(std::string_view{"\r\n\0", 3}) == std::string::npos);
    claim(!field.name.empty());
    all += field.name + ":" + field.value + "\n";
  }
  return all;
}

Message parse(std::unique_ptr<H1Parser> parser, bool request, std::string_view text,
              std::size_t piece) {
  Message out;
  SliceQueue body;
  while (!text.empty() && !parser->done()) {
    const auto part = text.substr(0, piece);
    const auto used = parser->feed(Slice::copy(part), body);
    if (!used) {
      out.refused = true;
      break;
    }
    claim(*used <= part.size() && (*used == part.size() || parser->done()));
    out.used += *used;
    text.remove_prefix(*used);
  }
  if (!out.refused && parser->head_done()) {
    out.head = true;
    if (request) {
      if (auto head = parser->take_request()) {
        out.start = head->method + " " + head->target + " " + head->authority;
        out.fields = fields_of(head->headers);
      } else {
        out.refused = true;
      }
    } else {
      const auto head = parser->take_response();
      out.start = std::to_string(head.status);
      out.fields = fields_of(head.headers);
    }
  }
  out.done = !out.refused && parser->done();
  while (!body.empty()) out.body += body.pop().view();
  return out;
}

}  // namespace

/// A message is the same however its bytes arrive: there is no cut at which two readers would
/// disagree.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  auto text = to_text(data, size);
  const auto piece = take_piece(text);
  for (const bool request : {true, false}) {
    const auto make = [request] {
      return request ? H1Parser::request(kHeaderBytes) : H1Parser::response(kHeaderBytes, false);
    };
    const auto whole = parse(make(), request, text, text.size() + 1);
    const auto pieces = parse(make(), request, text, piece);
    // An unfinished message may be refused sooner in one way than in the other; a whole one is
    // whole in both.
    claim(whole.done == pieces.done);
    if (whole.refused || pieces.refused) continue;
    claim(whole.head == pieces.head);
    claim(whole.start == pieces.start && whole.fields == pieces.fields &&
          whole.body == pieces.body);
    claim(!whole.done || whole.used == pieces.used);
  }
  return 0;
}
