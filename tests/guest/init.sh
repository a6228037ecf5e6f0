#!/bin/busybox sh
# The guest's first process: runs what it was given, says what came of it on the second serial port, and turns itself off.
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox mount -t tmpfs none /tmp
exec > /dev/ttyS1 2>&1 < /dev/null
/guest_placement
operations=$(/bin/busybox cat /operations)
for read_path in spinlock rcu_memb rcu_qsbr rcu_mb rcu_bp; do
    # A shootdown takes milliseconds here, on every processor that is busy: few of them for many operations.
    /stress --variant "read:$read_path/shootdown:batched" --operations "$operations" --workers 5 --processes 1 --disturb-one-in 400 \
        --frames-percent 100 --least-kills-in-each 0 --hang-seconds 600 > /tmp/said 2>&1
    code=$?
    /bin/busybox sed "s/^/$read_path: /; s/^$read_path: stress: seconds/$read_path: seconds/" /tmp/said
    echo "$read_path: exit $code"
done
echo "guest: ended"
/bin/busybox poweroff -f
