# The job of the large guest: every pinning plan and memory policy, then the stress run on each read path.
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
