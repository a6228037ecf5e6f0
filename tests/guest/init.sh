#!/bin/busybox sh
# The guest's first process: does the job that it was given, says what came of it on the second serial port, and turns itself
# off.
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t tmpfs none /tmp
/bin/busybox mount -t tracefs none /sys/kernel/tracing
exec > /dev/ttyS1 2>&1 < /dev/null
/bin/busybox sh /job
echo "guest: ended"
/bin/busybox poweroff -f
