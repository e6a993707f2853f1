#!/bin/sh
# Writes the golden files anew, with the Kubernetes version that the test cluster uses.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/../../../kube/go.mod" "$here/../../../kube/go.sum" "$here/main.go" "$work"
cd "$work"
go run -mod=mod -p 2 . "$here"
