#!/bin/bash
# install-deps.sh [--check] [build] [test] [bench] [fuzz]: installs the Debian packages that Holdfast is built,
# tested and measured with (all but fuzz when none is named), only those that are missing, from the
# package sources that the machine is set up with. --check names what is missing and changes nothing.
# Needs root only when something is missing.
set -euo pipefail

declare -A packages
# BPF objects and skeletons need clang to linux-libc-dev.
packages[build]="cmake ninja-build g++ pkg-config ccache
  clang bpftool libbpf-dev libelf-dev zlib1g-dev libc6-dev linux-libc-dev
  libboost1.81-dev libssl-dev libnghttp2-dev librocksdb-dev libtss2-dev
  libspdlog-dev libfmt-dev nlohmann-json3-dev libyaml-cpp-dev libcli11-dev
  libprotozero-dev libsimdjson-dev prometheus-cpp-dev"
# By line: unit tests; namespaces and cut links; end-to-end tests; the kernel matrix; lint, Go modules.
packages[test]="libgtest-dev libgmock-dev
  iproute2 nftables util-linux procps
  curl jq openssl python3 python3-pytest python3-yaml
  busybox-static qemu-system-x86 xz-utils swtpm
  clang-format shellcheck git ca-certificates"
packages[bench]="nghttp2-client nghttp2-server"
packages[fuzz]="libclang-rt-14-dev"

check_only=false
groups=()
for argument in "$@"; do
  case $argument in
    --check) check_only=true ;;
    build | test | bench | fuzz) groups+=("$argument") ;;
    -h | --help) sed -n '2,5s/^# //p' "$0"; exit 0 ;;
    *) echo "install-deps: unknown argument $argument (try --help)" >&2; exit 2 ;;
  esac
done
[ ${#groups[@]} -gt 0 ] || groups=(build test bench)

if ! command -v dpkg-query > /dev/null || ! command -v apt-get > /dev/null; then
  echo "install-deps: this is no Debian; install what the lists in $0 name in your distribution's way" >&2
  exit 1
fi

missing=()
for group in "${groups[@]}"; do
  for package in ${packages[$group]}; do
    # shellcheck disable=SC2016 # dpkg-query's own variable
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2> /dev/null)" = installed ] || missing+=("$package")
  done
done

if [ ${#missing[@]} -gt 0 ]; then
  if $check_only; then
    echo "install-deps: missing: ${missing[*]}"
    exit 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    echo "install-deps: run as root to install: ${missing[*]}" >&2
    exit 1
  fi
  echo "install-deps: installing ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt_get() { apt-get -qq -o DPkg::Lock::Timeout=120 "$@"; }
  # Package lists may be absent (a fresh image) or outdated.
  apt_get install -y --no-install-recommends "${missing[@]}" > /dev/null 2>&1 || {
    apt_get update
    apt_get install -y --no-install-recommends "${missing[@]}"
  }
fi

# The API server of the tests is built from source, with a newer Go than Debian 12 has.
if [[ " ${groups[*]} " == *" test "* ]] && [ -z "${HOLDFAST_NO_GO:-}" ]; then
  # shellcheck source=scripts/go.sh
  . "$(dirname "$0")/go.sh"
  find_go || exit 1
fi
