#!/bin/sh
# Builds the Kubernetes of the tests (build/kube/hf-kube, hf-kubelet, hf-node), their client-go client (hf-client)
# and the cases of property tests (hf-cases).
# The first build compiles Kubernetes itself, which takes about ten minutes on two cores; without changes it
# is a matter of a second. With KUBEBUILDER_ASSETS set to a folder that holds kube-apiserver, etcd and
# kubectl, those are used in tests instead, and only the rest is built.
set -eu

cd "$(dirname "$0")/.."
out=$PWD/build/kube
mkdir -p "$out"

# Two runs at once would compile everything twice.
exec 9>"$out/.lock"
flock 9

commands="./cmd/hf-kube ./cmd/hf-kubelet ./cmd/hf-node ./cmd/hf-client ./cmd/hf-cases"
if [ -n "${KUBEBUILDER_ASSETS:-}" ] && [ -x "$KUBEBUILDER_ASSETS/kube-apiserver" ] && [ -x "$KUBEBUILDER_ASSETS/etcd" ]; then
  echo "build-test-kube: kube-apiserver and etcd come from $KUBEBUILDER_ASSETS"
  commands="./cmd/hf-kubelet ./cmd/hf-node ./cmd/hf-client ./cmd/hf-cases"
fi

stamp=$out/.built-from
sources=$({ echo "$commands"; go version; find tests/kube -name '*.go' -o -name 'go.*' | LC_ALL=C sort | xargs cat; } | sha256sum)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$sources" ]; then
  echo "build-test-kube: up to date"
  exit 0
fi

cd tests/kube
version=$(sed -n 's#^\tk8s.io/kubernetes \(v[^ ]*\).*#\1#p' go.mod)
flags="-X k8s.io/component-base/version.gitVersion=$version -X k8s.io/client-go/pkg/version.gitVersion=$version"
echo "build-test-kube: building Kubernetes $version (the first time takes about ten minutes)"
started=$(date +%s)
# -v names each package as it is compiled: every hundredth shows that the build is alive.
# shellcheck disable=SC2086
{
  code=0
  CGO_ENABLED=0 go build -v -trimpath -buildvcs=false -p 2 -ldflags "-s -w $flags" -o "$out/" $commands 2>&1 || code=$?
  echo "exit $code"
} | awk '
  /^exit [0-9]+$/ { code = $2; next }
  /^[A-Za-z0-9.\/_-]+$/ { if (++compiled % 100 == 0) { print "build-test-kube: " compiled " packages"; fflush() } next }
  { print }
  END { exit code }'
echo "$sources" > "$stamp"
echo "build-test-kube: done in $(($(date +%s) - started)) s"
