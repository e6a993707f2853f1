#pragma once

#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <tss2/tss2_tcti_swtpm.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include "cache/store_key.h"
#include "holdfast/base/fd.h"

namespace holdfast::cache {

/// A TPM 2.0 in software (swtpm): all of it but the chip. Its state lies in a folder, as a chip's
/// does in the chip: another folder is another TPM.
class Swtpm {
 public:
  explicit Swtpm(std::filesystem::path state) : state_{std::move(state)} {
    std::filesystem::create_directories(state_);
    // Two ports side by side: for commands and for the machine's own signals.
    for (int attempt = 0; attempt < 20 && pid_ <= 0; ++attempt) start(free_port());
  }
  Swtpm(const Swtpm&) = delete;
  Swtpm& operator=(const Swtpm&) = delete;
  ~Swtpm() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGTERM);
    ::waitpid(pid_, nullptr, 0);
  }

  [[nodiscard]] bool running() const { return pid_ > 0; }
  [[nodiscard]] std::string where() const { return "host=127.0.0.1,port=" + std::to_string(port_); }
  [[nodiscard]] TpmOpener opener() const {
    return [where = where()] { return Tpm::open(Tss2_Tcti_Swtpm_Init, where.c_str()); };
  }

 private:
  static int free_port() {
    const Fd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    ::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size);
    ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size);
    return ntohs(address.sin_port);
  }
  static bool answers(int port) {
    const Fd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return ::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
  }

  void start(int port) {
    const auto end = [](const char* kind, int p) {
      return std::string{kind} + std::to_string(p) + ",bindaddr=127.0.0.1";
    };
    std::string argv[] = {"swtpm",
                          "socket",
                          "--tpm2",
                          "--tpmstate",
                          "dir=" + state_.string(),
                          "--server",
                          end("type=tcp,port=", port),
                          "--ctrl",
                          end("type=tcp,port=", port + 1),
                          "--flags",
                          "not-need-init,startup-clear"};
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(1);
      std::vector<char*> arguments;
      for (auto& each : argv) arguments.push_back(each.data());
      arguments.push_back(nullptr);
      ::execvp(arguments[0], arguments.data());
      ::_exit(127);
    }
    for (int i = 0; i < 500; ++i) {
      if (::waitpid(child, nullptr, WNOHANG) == child) return;
      // The control channel: a connection to the other one would count as the machine's.
      if (answers(port + 1)) {
        pid_ = child;
        port_ = port;
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds{10});
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
  }

  std::filesystem::path state_;
  pid_t pid_ = -1;
  int port_ = 0;
};

}  // namespace holdfast::cache
