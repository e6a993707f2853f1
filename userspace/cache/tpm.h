#pragma once

#include <tss2/tss2_tcti.h>

#include <memory>
#include <string>
#include <string_view>

#include "holdfast/base/result.h"

namespace holdfast::cache {

/// Seals a secret to this machine's TPM 2.0: what is stored opens here and nowhere else. Bound to
/// no PCRs: an update of firmware or kernel must not cost a node its cache. So it protects disks
/// that leave the machine, not from who is root on it. What goes over the TPM's bus is encrypted.
class Tpm {
 public:
  /// The kernel's resource manager (Linux 4.12): others may use the TPM at the same time.
  static constexpr const char* kDevice = "/dev/tpmrm0";
  /// As the TCG's TCTI specification has it: Tss2_Tcti_Device_Init and its like.
  using Transport = TSS2_RC (*)(TSS2_TCTI_CONTEXT*, std::size_t*, const char*);

  /// kUnavailable: it is not there, or does not answer.
  static Result<std::unique_ptr<Tpm>> open(Transport transport, const char* where);
  static Result<std::unique_ptr<Tpm>> open_device(const char* path);
  virtual ~Tpm() = default;

  /// Under the owner's hierarchy, or where that has a password under the storage root key at
  /// 0x81000001 (TCG TPM v2.0 Provisioning Guidance, 7.8). `secret`: 128 bytes at most.
  virtual Result<std::string> seal(std::string_view secret) = 0;
  /// kCorrupt: nothing that this TPM sealed, or it was cleared since. kUnavailable: it can't say.
  virtual Result<std::string> unseal(std::string_view sealed) = 0;
};

}  // namespace holdfast::cache
