#!/bin/busybox sh
# The first process in the guest: runs the test binary, says how it ended, switches off.
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sysfs /sys
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t cgroup2 cgroup2 /sys/fs/cgroup
/bin/busybox insmod /veth.ko
/bin/busybox uname -r
/kernel_matrix_test
echo "matrix exit code: $?"
/bin/busybox poweroff -f
