#!/usr/bin/env bash
# Shows the main job against a real API server on this machine: an unmodified client is redirected,
# cached, cut off, served from the node, and reconnected. Needs root; touches nothing outside
# network namespaces and cgroups of its own, and removes them afterwards.
set -euo pipefail
cd "$(dirname "$0")/.."

if [[ ${1:-} == --help || ${1:-} == -h ]]; then
  sed -n '2,4s/^# //p' "$0"
  echo "usage: sudo scripts/demo.sh [--cut refused|reset|dropped]"
  exit 0
fi
if [[ $EUID -ne 0 ]]; then
  echo "scripts/demo.sh needs root: it makes network namespaces and attaches eBPF programs." >&2
  exit 1
fi

echo "== Installing what is missing"
scripts/install-deps.sh
echo "== Building the API server that is talked to (the first time: about ten minutes)"
scripts/build-test-kube.sh
echo "== Building Holdfast"
cmake --preset release >/dev/null
cmake --build --preset release --target holdfast -j "$(nproc)"
exec /usr/bin/python3 scripts/demo.py "$@"
