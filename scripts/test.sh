#!/bin/bash
# test.sh [--long] [ctest arguments]: builds Holdfast and runs its tests on a fresh Debian 12 (as root, with Go).
#   1. installs what is missing (scripts/install-deps.sh)
#   2. builds the API server of the tests in the background (ten minutes the first time, else a second)
#   3. builds everything (preset release) and the unit tests with ASan and UBSan (preset asan)
#   4. runs the unit tests under the sanitizers, then everything but the label `long`
# --long takes that label, too, the unit tests under TSan, and a minute of each fuzz target. Other
# arguments go to ctest:
#   test.sh -L unit     test.sh -L 'unit|root'     test.sh -R e2e.main_job
# Tests make network namespaces and cgroups of their own; without root those that need them are skipped.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

long=false
arguments=()
for argument in "$@"; do
  case $argument in
    --long) long=true ;;
    -h | --help) sed -n '2,10s/^# //p' "$0"; exit 0 ;;
    *) arguments+=("$argument") ;;
  esac
done

started=$SECONDS
clock() { printf '%d:%02d' $(($1 / 60)) $(($1 % 60)); }
say() { echo "== $* ($(clock $((SECONDS - started))))"; }

# What took how long, printed at the end.
phases=()
phase=''
phase_started=$SECONDS
begin() { # begin PHASE: ends the one before; none: only ends it
  [ -z "$phase" ] || phases+=("$(printf '%7s  %s' "$(clock $((SECONDS - phase_started)))" "$phase")")
  phase=${1:-} phase_started=$SECONDS
  [ -z "$phase" ] || say "$phase"
}

# Two cores may share little memory: a translation unit takes up to 1.5 GB.
jobs=$(nproc)
by_memory=$(awk '/^MemTotal:/ {print int($2 / 1500000)}' /proc/meminfo)
[ "$by_memory" -ge "$jobs" ] || jobs=$((by_memory > 1 ? by_memory : 1))

# Not started by ctest's fixture, so that Kubernetes compiles while C++ does. A selection of tests may
# do without it; where it does not, the fixture builds it.
kube=
stop_kube() {
  [ -z "$kube" ] || kill -- "-$kube" 2> /dev/null || true
}
trap stop_kube EXIT
trap 'exit 130' INT TERM

start_kube() {
  [ ${#arguments[@]} -eq 0 ] && [ -x scripts/build-test-kube.sh ] && [ -z "${HOLDFAST_NO_GO:-}" ] || return 0
  set -m # a process group of its own, to be ended as one
  nice -n 5 scripts/build-test-kube.sh &
  kube=$!
  set +m
}

wait_for_kube() {
  [ -n "$kube" ] || return 0
  local code=0
  wait "$kube" || code=$?
  kube=
  [ "$code" -eq 0 ] || { echo "test.sh: the API server of the tests does not build (exit $code)" >&2; exit 1; }
}

build() { # build PRESET [TARGET]
  begin "building $1${2:+ ($2)} with $jobs jobs"
  [ -f "build/$1/build.ninja" ] || cmake --preset "$1" > "build/$1.configure.log" 2>&1 || {
    cat "build/$1.configure.log" >&2
    exit 1
  }
  cmake --build --preset "$1" ${2:+--target "$2"} -j "$jobs"
}

# What is labelled `long` runs in release alone: a sanitizer makes hours of it.
sanitized() { # sanitized PRESET: its unit tests; 0 when they pass
  begin "unit tests, $1"
  ctest --test-dir "build/$1" --output-on-failure --no-tests=ignore -j "$jobs" \
    -L '^unit$' -LE '^long$' "${arguments[@]}"
}

begin "packages"
scripts/install-deps.sh build test
if [ -z "${HOLDFAST_NO_GO:-}" ]; then
  # shellcheck source=scripts/go.sh
  . scripts/go.sh
  find_go
fi
[ "$(id -u)" -eq 0 ] || say "not root: what needs namespaces, cgroups or BPF will be skipped"
mkdir -p build

start_kube
sanitizers=(asan)
$long && sanitizers+=(tsan)
for preset in "${sanitizers[@]}"; do build "$preset" unit_tests; done
if $long; then
  scripts/install-deps.sh fuzz
  build fuzz fuzzers
fi
build release

failed=()
for preset in "${sanitizers[@]}"; do sanitized "$preset" || failed+=("$preset"); done
if $long; then
  begin "fuzz targets"
  ctest --test-dir build/fuzz --output-on-failure --no-tests=ignore -j "$jobs" \
    -L '^fuzz$' "${arguments[@]}" || failed+=(fuzz)
fi
begin "waiting for the API server of the tests"
wait_for_kube

begin "all tests, release"
selection=()
$long || selection=(-LE '^long$')
closing=$(mktemp)
trap 'rm -f "$closing"; stop_kube' EXIT
# ctest's closing lines are held back, so that they end the output. Not with awk: Debian's reads in blocks.
hold_closing_lines() {
  local line held=false
  while IFS= read -r line; do
    [[ ! $line =~ ^[0-9]+%\ tests\ passed ]] || held=true
    if $held; then echo "$line" >> "$closing"; else echo "$line"; fi
  done
}
ctest --test-dir build/release --output-on-failure --no-tests=error -j "$jobs" \
  "${selection[@]}" "${arguments[@]}" 2>&1 | hold_closing_lines || failed+=(release)
begin

# Why a test was skipped, which ctest keeps to itself.
grep -ahE '^skipped: |^\[  SKIPPED \] ' build/release/Testing/Temporary/LastTest.log || true
echo "== time by phase (minutes:seconds)"
printf '%s\n' "${phases[@]}"

code=0
if [ ${#failed[@]} -eq 0 ]; then
  say "test.sh: everything passed (${sanitizers[*]} unit tests, release)"
else
  say "test.sh: FAILED: ${failed[*]}"
  code=1
fi
cat "$closing"
exit $code
