#include "tls/source.h"

#include <spdlog/spdlog.h>

#include "tls/file_watch.h"
#include "tls/requested_certificate.h"

namespace holdfast::tls {
namespace {

/// `tls.source: files`: the operator's pair, for every target whose names it has.
class FilesSource final : public CertificateSource {
 public:
  explicit FilesSource(PairFiles files) : files_{std::move(files)} {}

  Result<void> load() {
    auto texts = files_.read();
    if (!texts) return std::move(texts).error();
    auto pair =
        ServingPair::create(std::move(texts->certificate), std::move(texts->key), files_.names());
    if (!pair) return std::move(pair).error();
    pair_ = std::move(*pair);
    return {};
  }
  Result<ServingPair> pair_for(const Names& /*names*/, WallTime /*now*/,
                               const std::optional<ServingPair>& /*current*/) override {
    return pair_;
  }
  void reload() override {
    if (!files_.changed()) return;
    if (auto loaded = load(); loaded) {
      complaint_.settled();
    } else {
      files_.retry();
      const auto problem = loaded.error().to_string();
      if (complaint_.is_new(problem)) {
        spdlog::warn("tls: still serving the former certificate: {}", problem);
      }
    }
  }
  [[nodiscard]] bool mints() const override { return false; }

 private:
  PairFiles files_;
  Complaint complaint_;
  ServingPair pair_;
};

/// `tls.source: ca`: a CA key on this node.
class CaSource final : public CertificateSource {
 public:
  CaSource(PairFiles files, std::chrono::seconds lifetime)
      : files_{std::move(files)}, lifetime_{lifetime} {}

  Result<void> load() {
    auto texts = files_.read();
    if (!texts) return std::move(texts).error();
    auto authority = CertificateAuthority::create(texts->certificate, texts->key, files_.names());
    if (!authority) return std::move(authority).error();
    authority_.emplace(std::move(*authority));
    return {};
  }
  Result<ServingPair> pair_for(const Names& names, WallTime now,
                               const std::optional<ServingPair>& current) override {
    if (current && good(*current, names, now)) return *current;
    return authority_->mint(names, now, lifetime_);
  }
  void reload() override {
    if (!files_.changed()) return;
    if (auto loaded = load(); loaded) {
      complaint_.settled();
    } else {
      files_.retry();
      const auto problem = loaded.error().to_string();
      if (complaint_.is_new(problem)) {
        spdlog::warn("tls: still minting with the former CA: {}", problem);
      }
    }
  }
  [[nodiscard]] bool mints() const override { return true; }

 private:
  [[nodiscard]] bool good(const ServingPair& pair, const Names& names, WallTime now) const {
    if (pair.names != names || !pair.validity.contains(now)) return false;
    auto chain = parse_pem_chain(pair.chain_pem, "the kept pair");
    if (!chain || !authority_->signed_by_us(chain->front().get())) return false;
    const auto renew_at =
        pair.validity.not_before + (pair.validity.not_after - pair.validity.not_before) * 2 / 3;
    // Near the CA's own end a new leaf would not last longer than this one.
    return now < renew_at || authority_->end_of(now, lifetime_) <= pair.validity.not_after;
  }

  PairFiles files_;
  Complaint complaint_;
  std::chrono::seconds lifetime_;
  std::optional<CertificateAuthority> authority_;
};

/// `tls.source: csr`: what the cluster issued to this node. The agent asks for it.
class CsrSource final : public CertificateSource {
 public:
  explicit CsrSource(std::shared_ptr<RequestedCertificate> requested)
      : requested_{std::move(requested)} {}

  Result<ServingPair> pair_for(const Names& names, WallTime /*now*/,
                               const std::optional<ServingPair>& /*current*/) override {
    if (auto pair = requested_->pair_for(names)) return std::move(*pair);
    return make_error(Errc::kUnavailable, requested_->pair()
                                              ? "the node's certificate has none of its names"
                                              : "the node's certificate is not issued yet");
  }
  void seen(const Names& names, WallTime now) override { requested_->seen(names, now); }
  void reload() override {}
  /// It is the agent's own, but whoever requests it keeps it.
  [[nodiscard]] bool mints() const override { return false; }

 private:
  std::shared_ptr<RequestedCertificate> requested_;
};

template <class Source>
Result<std::unique_ptr<CertificateSource>> loaded(std::unique_ptr<Source> source) {
  if (auto done = source->load(); !done) return std::move(done).error();
  return std::unique_ptr<CertificateSource>{std::move(source)};
}

}  // namespace

Result<std::unique_ptr<CertificateSource>> CertificateSource::create(
    const TerminatorOptions& options) {
  auto source = options.source;
  if (source == "auto") {
    source = !options.cert_file.empty() ? "files" : options.ca_key_file.empty() ? "csr" : "ca";
  }
  if (source == "ca") {
    if (options.ca_key_file.empty() || options.ca_cert_file.empty()) {
      return make_error(Errc::kInvalidArgument, "tls.source: ca needs tls.ca_cert and tls.ca_key");
    }
    return loaded(std::make_unique<CaSource>(PairFiles{options.ca_cert_file, options.ca_key_file},
                                             options.lifetime));
  }
  if (source == "files") {
    if (options.cert_file.empty() || options.key_file.empty()) {
      return make_error(Errc::kInvalidArgument, "tls.source: files needs tls.cert and tls.key");
    }
    return loaded(std::make_unique<FilesSource>(PairFiles{options.cert_file, options.key_file}));
  }
  if (source == "csr") {
    if (!options.requested) {
      return make_error(Errc::kUnsupported, "tls.source: csr: nobody asks for certificates here");
    }
    return std::unique_ptr<CertificateSource>{std::make_unique<CsrSource>(options.requested)};
  }
  return make_error(Errc::kInvalidArgument,
                    "tls.source: \"" + source + "\" is none of auto, files, csr, ca");
}

}  // namespace holdfast::tls
