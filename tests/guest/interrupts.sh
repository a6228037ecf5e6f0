# The job of the small guest, whose processors do interrupt each other: shootdowns and removals beside a victim, and their
# records as text.
for launch in 1 2 3; do
    for workload in shootdown remove; do
        case $workload in
            shootdown) set -- --variant shootdown:per_page --variant shootdown:batched --pages 1,2,8,33,64,512 --threads 2 ;;
            remove) set -- --variant layout:radix/read:rcu_qsbr/shootdown:batched/frames:keep --pages 512 ;;
        esac
        record=/tmp/$workload-$launch.json
        /bench_$workload "$@" --repetitions 10 --min-time-ms 100 --seed $launch --record $record > /tmp/said 2>&1
        code=$?
        [ $code = 0 ] || /bin/busybox tail -n 3 /tmp/said
        echo "$workload-$launch: exit $code"
        /bin/busybox gzip -c $record > /tmp/packed
        echo "$workload-$launch: record"
        /bin/busybox base64 /tmp/packed
        echo "$workload-$launch: ended"
    done
done
