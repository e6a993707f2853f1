#!/bin/bash
# bench.sh [--quick] [--rounds N] [--only NAME] [--output FILE]: measures, side by side in one run, the API
# server directly, through Holdfast online, Holdfast offline, and nghttpd with the same bytes as files (the
# limit): GETs, LISTs, watches, memory, CPU per request, the run time of the eBPF hooks.
#   --quick     fewer requests, 3 rounds: about 3 minutes in all, once everything is built
#   --rounds N  interleaved runs, of which medians are taken (default: 7; with --quick: 3)
#   --only NAME only cases whose name contains NAME: get, list-501, list-5000, watch
#   --output F  the JSON file (default: build/bench/DATE-TIME.json)
# Prints a table and writes all samples as JSON; docs/benchmarks.md says how to read them. Needs root, and
# touches nothing outside network namespaces and cgroups of its own. HOLDFAST_BIN measures another binary.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

for argument in "$@"; do
  case $argument in
    -h | --help) sed -n '2,10s/^# //p' scripts/bench.sh; exit 0 ;;
  esac
done
if [ "$(id -u)" -ne 0 ]; then
  echo "bench.sh needs root: it makes network namespaces and attaches eBPF programs." >&2
  exit 1
fi

say() { printf '== %s\n' "$*" >&2; }

# The API server and the harness are the end-to-end tests' own.
scripts/install-deps.sh build test bench >&2
# shellcheck source=scripts/go.sh
. scripts/go.sh
find_go
say "building the API server (the first time: about ten minutes) and the load generator"
scripts/build-test-kube.sh >&2
mkdir -p build/bench
(cd tests/bench/load && CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags "-s -w" -o ../../../build/bench/hf-load .)
if [ -z "${HOLDFAST_BIN:-}" ]; then
  say "building Holdfast"
  [ -f build/release/build.ninja ] || cmake --preset release > /dev/null
  cmake --build --preset release --target holdfast -j "$(nproc)" >&2
fi
exec /usr/bin/python3 tests/bench/bench.py "$@"
