# Sourced: finds the Go that builds the tests' API server and clients.
# shellcheck shell=bash

# find_go: puts a Go that can build tests/kube first in PATH, or says how to get one and fails.
find_go() {
  local wanted have major minor candidate
  wanted=$(sed -n 's/^go \([0-9]*\.[0-9]*\).*/\1/p' "$(dirname "${BASH_SOURCE[0]}")/../tests/kube/go.mod")
  for candidate in "$(command -v go || true)" /usr/local/go/bin/go /usr/lib/go-*/bin/go; do
    [ -x "$candidate" ] || continue
    have=$(GOTOOLCHAIN=local "$candidate" env GOVERSION 2> /dev/null | sed 's/^go//')
    IFS=. read -r major minor _ <<< "$have"
    # From 1.21 on, Go fetches the toolchain that go.mod asks for by itself, if it may.
    if [ "$(printf '%s\n' "$wanted" "$have" | sort -V | head -n 1)" = "$wanted" ] ||
      { [ "${major:-0}" -ge 1 ] && [ "${minor%%[!0-9]*}" -ge 21 ] &&
        [[ $("$candidate" env GOTOOLCHAIN) != *local* ]]; }; then
      PATH=$(dirname "$candidate"):$PATH
      export PATH
      return 0
    fi
  done
  cat >&2 << MESSAGE
Go $wanted or newer is needed in PATH (or in /usr/local/go): the tests run against a real API server that is
built from source. Debian 12's golang package is 1.19, too old. Either unpack the archive from Go's download
page (https://go.dev/dl) into /usr/local, or take golang-go from Debian's backports: 1.21 or newer fetches
Go $wanted by itself. Unit and kernel tests need no Go: HOLDFAST_NO_GO=1 scripts/test.sh -L 'unit|root'
MESSAGE
  return 1
}
