#include "cache/tpm.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_mu.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tcti_device.h>

#include <algorithm>
#include <utility>
#include <vector>

namespace holdfast::cache {
namespace {

constexpr std::string_view kMagic = "holdfast tpm 1\n";
constexpr TPM2_HANDLE kStorageRootKey = 0x81000001;

enum class Parent : char { kOwner = 'o', kStorageRoot = 's' };

struct Free {
  void operator()(void* p) const { Esys_Free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Free>;

Error failure(Errc code, const char* what, TSS2_RC rc) {
  return make_error(code, fmt::format("the TPM: {}: {}", what, Tss2_RC_Decode(rc)));
}

/// The TPM's own verdict on what it was given (a "format one" response code), and which.
bool is_verdict(TSS2_RC rc) {
  return (rc & TSS2_RC_LAYER_MASK) == 0 && (rc & TPM2_RC_FMT1) != 0;
}
bool is_verdict(TSS2_RC rc, TPM2_RC code) {
  return is_verdict(rc) && (rc & 0xBFu) == code;
}
bool lacks_password(TSS2_RC rc) {
  return is_verdict(rc, TPM2_RC_BAD_AUTH) || is_verdict(rc, TPM2_RC_AUTH_FAIL);
}

constexpr TPMT_SYM_DEF kSessionCipher{
    .algorithm = TPM2_ALG_AES, .keyBits = {.aes = 128}, .mode = {.aes = TPM2_ALG_CFB}};

/// A storage root key, ECC P-256, much as the TCG has it. The same seed gives the same key each
/// time.
TPM2B_PUBLIC primary_template() {
  TPM2B_PUBLIC out{};
  auto& area = out.publicArea;
  area.type = TPM2_ALG_ECC;
  area.nameAlg = TPM2_ALG_SHA256;
  area.objectAttributes = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT |
                          TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH |
                          TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT;
  auto& ecc = area.parameters.eccDetail;
  ecc.symmetric = {
      .algorithm = TPM2_ALG_AES, .keyBits = {.aes = 128}, .mode = {.aes = TPM2_ALG_CFB}};
  ecc.scheme.scheme = TPM2_ALG_NULL;
  ecc.curveID = TPM2_ECC_NIST_P256;
  ecc.kdf.scheme = TPM2_ALG_NULL;
  return out;
}

TPM2B_PUBLIC sealed_template() {
  TPM2B_PUBLIC out{};
  auto& area = out.publicArea;
  area.type = TPM2_ALG_KEYEDHASH;
  area.nameAlg = TPM2_ALG_SHA256;
  area.objectAttributes =
      TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA;
  area.parameters.keyedHashDetail.scheme.scheme = TPM2_ALG_NULL;
  return out;
}

/// An object or a session in the TPM, which has room for three of each.
class Handle {
 public:
  explicit Handle(ESYS_CONTEXT* context) : context_{context} {}
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() {
    if (id_ == ESYS_TR_NONE) return;
    if (persistent_) {
      Esys_TR_Close(context_, &id_);
    } else {
      Esys_FlushContext(context_, id_);
    }
  }
  ESYS_TR* out() { return &id_; }
  [[nodiscard]] ESYS_TR id() const { return id_; }
  void set_persistent() { persistent_ = true; }

 private:
  ESYS_CONTEXT* context_;
  ESYS_TR id_ = ESYS_TR_NONE;
  bool persistent_ = false;
};

class EsysTpm final : public Tpm {
 public:
  ~EsysTpm() override {
    if (context_ != nullptr) Esys_Finalize(&context_);
    if (auto* transport = tcti()) Tss2_Tcti_Finalize(transport);
  }

  Result<void> connect(Transport transport, const char* where) {
    std::size_t size = 0;
    auto rc = transport(nullptr, &size, where);
    if (rc != TSS2_RC_SUCCESS) return failure(Errc::kUnavailable, where, rc);
    std::vector<std::uint64_t> memory((size + 7) / 8);
    rc = transport(reinterpret_cast<TSS2_TCTI_CONTEXT*>(memory.data()), &size, where);
    if (rc != TSS2_RC_SUCCESS) return failure(Errc::kUnavailable, where, rc);
    memory_ = std::move(memory);
    rc = Esys_Initialize(&context_, tcti(), nullptr);
    if (rc != TSS2_RC_SUCCESS) return failure(Errc::kUnavailable, where, rc);
    // One that is there answers this.
    Owned<TPM2B_DIGEST> random;
    rc = call<TPM2B_DIGEST>(random, [&](TPM2B_DIGEST** out) {
      return Esys_GetRandom(context_, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, 8, out);
    });
    if (rc != TSS2_RC_SUCCESS) return failure(Errc::kUnavailable, where, rc);
    return {};
  }

  Result<std::string> seal(std::string_view secret) override {
    Handle parent{context_}, session{context_};
    auto of = Parent::kOwner;
    auto loaded = load_parent(of, parent);
    if (!loaded && loaded.error().code == make_error_code(Errc::kRefused)) {
      of = Parent::kStorageRoot;
      if (load_parent(of, parent)) loaded = {};
    }
    if (!loaded) return make_error(Errc::kUnavailable, loaded.error().message);
    if (auto begun = begin_session(parent, session); !begun) return begun.error();

    TPM2B_SENSITIVE_CREATE sensitive{};
    auto& data = sensitive.sensitive.data;
    if (secret.size() > sizeof(data.buffer)) return make_error(Errc::kTooLarge, "the TPM: seal");
    data.size = static_cast<UINT16>(secret.size());
    std::copy(secret.begin(), secret.end(), data.buffer);
    const auto shape = sealed_template();
    const TPM2B_DATA nothing{};
    const TPML_PCR_SELECTION no_pcrs{};
    TPM2B_PRIVATE* priv = nullptr;
    TPM2B_PUBLIC* pub = nullptr;
    const auto rc =
        Esys_Create(context_, parent.id(), session.id(), ESYS_TR_NONE, ESYS_TR_NONE, &sensitive,
                    &shape, &nothing, &no_pcrs, &priv, &pub, nullptr, nullptr, nullptr);
    OPENSSL_cleanse(&sensitive, sizeof(sensitive));
    const Owned<TPM2B_PRIVATE> own_private{priv};
    const Owned<TPM2B_PUBLIC> own_public{pub};
    if (rc != TSS2_RC_SUCCESS) return failure(Errc::kUnavailable, "sealing a key", rc);

    std::string out(sizeof(*priv) + sizeof(*pub), '\0');
    auto* bytes = reinterpret_cast<std::uint8_t*>(out.data());
    std::size_t size = 0;
    if (Tss2_MU_TPM2B_PUBLIC_Marshal(pub, bytes, out.size(), &size) != TSS2_RC_SUCCESS ||
        Tss2_MU_TPM2B_PRIVATE_Marshal(priv, bytes, out.size(), &size) != TSS2_RC_SUCCESS) {
      return make_error(Errc::kUnavailable, "the TPM: what it sealed can't be written");
    }
    out.resize(size);
    return std::string{kMagic} + static_cast<char>(of) + out;
  }

  Result<std::string> unseal(std::string_view sealed) override {
    TPM2B_PUBLIC pub{};
    TPM2B_PRIVATE priv{};
    Parent of{};
    if (!read(sealed, of, pub, priv)) {
      return make_error(Errc::kCorrupt, "this is nothing that a TPM sealed");
    }
    Handle parent{context_}, session{context_}, object{context_};
    auto loaded = load_parent(of, parent);
    if (!loaded) {
      const bool refused = loaded.error().code == make_error_code(Errc::kRefused);
      return refused ? make_error(Errc::kUnavailable, loaded.error().message) : loaded.error();
    }
    if (auto begun = begin_session(parent, session); !begun) return begun.error();
    auto rc = Esys_Load(context_, parent.id(), session.id(), ESYS_TR_NONE, ESYS_TR_NONE, &priv,
                        &pub, object.out());
    if (rc != TSS2_RC_SUCCESS) {
      // About what was given to it, not about a handle or a session.
      const bool judged = is_verdict(rc) && (rc & TPM2_RC_P) != 0 && !lacks_password(rc);
      return failure(judged ? Errc::kCorrupt : Errc::kUnavailable, "loading the sealed key", rc);
    }
    Owned<TPM2B_SENSITIVE_DATA> data;
    rc = call<TPM2B_SENSITIVE_DATA>(data, [&](TPM2B_SENSITIVE_DATA** out) {
      return Esys_Unseal(context_, object.id(), session.id(), ESYS_TR_NONE, ESYS_TR_NONE, out);
    });
    if (rc != TSS2_RC_SUCCESS) return failure(Errc::kUnavailable, "unsealing the key", rc);
    std::string out{reinterpret_cast<const char*>(data->buffer), data->size};
    OPENSSL_cleanse(data.get(), sizeof(*data));
    return out;
  }

 private:
  TSS2_TCTI_CONTEXT* tcti() {
    return memory_.empty() ? nullptr : reinterpret_cast<TSS2_TCTI_CONTEXT*>(memory_.data());
  }

  template <class T, class F>
  static TSS2_RC call(Owned<T>& to, F&& f) {
    T* out = nullptr;
    const TSS2_RC rc = f(&out);
    to.reset(out);
    return rc;
  }

  /// kRefused: that hierarchy has a password. kUnavailable: that key is not there (it may come
  /// back).
  Result<void> load_parent(Parent which, Handle& parent) {
    if (which == Parent::kStorageRoot) {
      const auto rc = Esys_TR_FromTPMPublic(context_, kStorageRootKey, ESYS_TR_NONE, ESYS_TR_NONE,
                                            ESYS_TR_NONE, parent.out());
      if (rc == TSS2_RC_SUCCESS) {
        parent.set_persistent();
        return {};
      }
      return failure(Errc::kUnavailable, "its storage root key", rc);
    }
    const TPM2B_SENSITIVE_CREATE no_secret{};
    const auto shape = primary_template();
    const TPM2B_DATA nothing{};
    const TPML_PCR_SELECTION no_pcrs{};
    const auto rc = Esys_CreatePrimary(context_, ESYS_TR_RH_OWNER, ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                       ESYS_TR_NONE, &no_secret, &shape, &nothing, &no_pcrs,
                                       parent.out(), nullptr, nullptr, nullptr, nullptr);
    if (rc == TSS2_RC_SUCCESS) return {};
    return failure(lacks_password(rc) ? Errc::kRefused : Errc::kUnavailable,
                   "a key in the owner's hierarchy", rc);
  }

  /// Salted with the parent, so that nobody on the bus reads what goes through it.
  Result<void> begin_session(const Handle& parent, Handle& session) {
    auto rc = Esys_StartAuthSession(context_, parent.id(), ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE,
                                    ESYS_TR_NONE, nullptr, TPM2_SE_HMAC, &kSessionCipher,
                                    TPM2_ALG_SHA256, session.out());
    if (rc != TSS2_RC_SUCCESS) return failure(Errc::kUnavailable, "a session", rc);
    constexpr TPMA_SESSION kUse =
        TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT | TPMA_SESSION_CONTINUESESSION;
    rc = Esys_TRSess_SetAttributes(context_, session.id(), kUse, 0xff);
    if (rc != TSS2_RC_SUCCESS) return failure(Errc::kUnavailable, "a session", rc);
    return {};
  }

  static bool read(std::string_view sealed, Parent& of, TPM2B_PUBLIC& pub, TPM2B_PRIVATE& priv) {
    if (!sealed.starts_with(kMagic) || sealed.size() == kMagic.size()) return false;
    of = static_cast<Parent>(sealed[kMagic.size()]);
    sealed.remove_prefix(kMagic.size() + 1);
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(sealed.data());
    std::size_t at = 0;
    return (of == Parent::kOwner || of == Parent::kStorageRoot) &&
           Tss2_MU_TPM2B_PUBLIC_Unmarshal(bytes, sealed.size(), &at, &pub) == TSS2_RC_SUCCESS &&
           Tss2_MU_TPM2B_PRIVATE_Unmarshal(bytes, sealed.size(), &at, &priv) == TSS2_RC_SUCCESS &&
           at == sealed.size();
  }

  std::vector<std::uint64_t> memory_;  // of the TCTI; aligned for anything
  ESYS_CONTEXT* context_ = nullptr;
};

}  // namespace

Result<std::unique_ptr<Tpm>> Tpm::open(Transport transport, const char* where) {
  auto tpm = std::make_unique<EsysTpm>();
  if (auto connected = tpm->connect(transport, where); !connected) return connected.error();
  return std::unique_ptr<Tpm>{std::move(tpm)};
}

Result<std::unique_ptr<Tpm>> Tpm::open_device(const char* path) {
  return open(Tss2_Tcti_Device_Init, path);
}

}  // namespace holdfast::cache
