#!/bin/bash
# run.sh SERIES TEST_BINARY CACHE: boots Debian's kernel of that series in QEMU and runs the static
# test binary as its only program. Exit code 77 means that it could not be tried here.
set -euo pipefail
series=$1
binary=$2
cache=$3
here=$(dirname "$(readlink -f "$0")")
readonly kSkipped=77
# Seconds when idle; generous for a busy machine without KVM.
readonly kDownloadSeconds=240
readonly kLimitSeconds=480

for tool in qemu-system-x86_64 busybox flock xz; do
  command -v "$tool" > /dev/null || { echo "skipped: $tool is not installed"; exit $kSkipped; }
done
mkdir -p "$cache"
# The cache is shared by all builds; apt takes its turn.
if ! timeout $kDownloadSeconds flock "$cache/lock" "$here/fetch_kernel.sh" "$series" "$cache/$series"; then
  echo "skipped: Linux $series cannot be downloaded"
  exit $kSkipped
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/root/bin"
cp "$(command -v busybox)" "$work/root/bin/busybox"
cp "$here/guest_init.sh" "$work/root/init"
chmod 755 "$work/root/init"
cp "$cache/$series/veth.ko" "$work/root/veth.ko"
strip -o "$work/root/kernel_matrix_test" "$binary"
(cd "$work/root" && find . | busybox cpio -o -H newc) 2> /dev/null | gzip -1 > "$work/initramfs"

timeout $kLimitSeconds qemu-system-x86_64 -machine q35 -m 512 -smp 2 -nographic -no-reboot \
  -nic none -kernel "$cache/$series/vmlinuz" -initrd "$work/initramfs" \
  -append "console=ttyS0 quiet panic=-1" < /dev/null | tee "$work/log"
grep -q "matrix exit code: 0" "$work/log"
