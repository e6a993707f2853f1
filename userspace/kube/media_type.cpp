#include "holdfast/kube/media_type.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <optional>

namespace holdfast::kube {
namespace {

constexpr std::string_view kJsonType = "application/json";
constexpr std::string_view kProtobufType = "application/vnd.kubernetes.protobuf";

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

bool same(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](unsigned char x, unsigned char y) {
    return std::tolower(x) == std::tolower(y);
  });
}

/// Takes the text up to `separator` off the front of `rest`.
std::string_view take_until(std::string_view& rest, char separator) {
  const auto end = std::min(rest.find(separator), rest.size());
  const auto part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return trim(part);
}

struct Clause {
  std::string_view text;  ///< as the client wrote it
  std::string_view type;
  double q = 1.0;
  std::string_view as, group, version, stream, schema_version;
  [[nodiscard]] bool wildcard() const { return type.find('*') != std::string_view::npos; }
};

double parse_q(std::string_view text) {
  const std::string copy{text.substr(0, 16)};
  char* end = nullptr;
  const double q = std::strtod(copy.c_str(), &end);
  return end == copy.c_str() + copy.size() && q >= 0 && q <= 1 ? q : 0;
}

Clause parse_clause(std::string_view text) {
  Clause out;
  out.text = trim(text);
  std::string_view rest = text;
  out.type = take_until(rest, ';');
  if (out.type == "*") out.type = "*/*";
  while (!rest.empty()) {
    auto value = take_until(rest, ';');
    const auto key = take_until(value, '=');
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
      value = value.substr(1, value.size() - 2);
    if (same(key, "q")) out.q = parse_q(value);
    if (key == "as") out.as = value;
    if (key == "g") out.group = value;
    if (key == "v") out.version = value;
    if (key == "stream") out.stream = value;
    if (key == "sv") out.schema_version = value;
  }
  return out;
}

std::vector<Clause> parse_clauses(std::string_view accept) {
  std::vector<Clause> out;
  while (!accept.empty()) {
    const auto part = take_until(accept, ',');
    if (!part.empty()) out.push_back(parse_clause(part));
  }
  return out;
}

/// What the API server would answer to this clause, if Holdfast can read that (negotiate.go
/// acceptMediaTypeOptions, rest.go AllowsMediaTypeTransform).
std::optional<Representation> understand(const Clause& clause) {
  Representation out;
  if (clause.q <= 0) return std::nullopt;
  if (same(clause.type, kJsonType) || clause.type == "*/*" || same(clause.type, "application/*"))
    out.encoding = Encoding::kJson;
  else if (same(clause.type, kProtobufType))
    out.encoding = Encoding::kProtobuf;
  else
    return std::nullopt;
  if (!clause.stream.empty() && clause.stream != "watch") return std::nullopt;
  if (!clause.schema_version.empty()) return std::nullopt;
  if (clause.as.empty() && clause.group.empty() && clause.version.empty()) return out;

  if (clause.group != "meta.k8s.io") return std::nullopt;
  if (clause.version != "v1" && clause.version != "v1beta1") return std::nullopt;
  if (clause.as == "Table")
    out.transform = Transform::kTable;
  else if (clause.as == "PartialObjectMetadata" || clause.as == "PartialObjectMetadataList")
    out.transform = Transform::kPartialObjectMetadata;
  else
    return std::nullopt;
  if (out.transform == Transform::kTable && out.encoding == Encoding::kProtobuf)
    return std::nullopt;
  out.transform_version = clause.version;
  return out;
}

}  // namespace

std::vector<AcceptChoice> parse_accept(std::string_view accept) {
  if (trim(accept).empty()) return {AcceptChoice{}};
  auto clauses = parse_clauses(accept);
  std::stable_sort(clauses.begin(), clauses.end(), [](const Clause& a, const Clause& b) {
    return a.q != b.q ? a.q > b.q : a.wildcard() < b.wildcard();
  });
  std::vector<AcceptChoice> out;
  for (const auto& clause : clauses) {
    auto representation = understand(clause);
    if (!representation) continue;
    AcceptChoice choice{std::move(*representation)};
    if (std::find(out.begin(), out.end(), choice) == out.end()) out.push_back(std::move(choice));
  }
  return out;
}

std::string restrict_accept(std::string_view accept) {
  if (trim(accept).empty()) return std::string{kJsonType};
  std::string out;
  for (const auto& clause : parse_clauses(accept)) {
    if (!understand(clause)) continue;
    if (!out.empty()) out += ',';
    // The API server may take CBOR for a wildcard; its first choice is JSON, which is meant.
    if (clause.wildcard()) {
      out += kJsonType;
      out += clause.text.substr(std::min(clause.text.find(';'), clause.text.size()));
    } else {
      out += clause.text;
    }
  }
  return out;
}

bool parse_content_type(std::string_view content_type, Encoding& encoding, bool& stream) {
  const auto clause = parse_clause(content_type);
  stream = clause.stream == "watch";
  if (same(clause.type, kJsonType))
    encoding = Encoding::kJson;
  else if (same(clause.type, kProtobufType))
    encoding = Encoding::kProtobuf;
  else
    return false;
  return true;
}

std::string content_type(Encoding encoding, bool watch) {
  if (encoding == Encoding::kJson) return std::string{kJsonType};
  return std::string{kProtobufType} + (watch ? ";stream=watch" : "");
}

}  // namespace holdfast::kube
