#!/bin/bash
# a QEMU guest with 8 processors and 4 memory nodes: the stress run, pinning plans, memory policies; and one that counts interrupts
set -euo pipefail
source scripts/test/common.sh

operations=${PAGE_MAP_LAB_GUEST_OPERATIONS:-200000} # a read path
folder=build/guest
skip() {
    echo "guest: skipped: $1"
    exit 0
}

# Debian's cloud kernel: downloaded and unpacked, never installed. Stays in build/guest.
fetch_kernel() {
    [ ! -e "$folder/vmlinuz" ] || return 0
    local package
    package=$(apt-cache depends linux-image-cloud-amd64 2> /dev/null | sed -n 's/^ *Depends: \(linux-image-[0-9].*\)/\1/p')
    [ -n "$package" ] || skip "apt knows no linux-image-cloud-amd64: apt-get update, then try again"
    rm -rf "$folder/kernel"
    mkdir -p "$folder/kernel"
    (cd "$folder/kernel" && apt-get download "$package" && dpkg-deb -x ./*.deb .) > "$folder/kernel.log" 2>&1 \
        || skip "$package cannot be had: see $folder/kernel.log"
    mv "$folder"/kernel/boot/vmlinuz-* "$folder/vmlinuz"
    rm -rf "$folder/kernel"
}

# make_image JOB BINARY…: busybox, the binaries with their libraries, and what runs them.
make_image() {
    local job=$1 root=$folder/root binary library
    rm -rf "$root"
    mkdir -p "$root/bin"
    cp "$(command -v busybox)" "$root/bin/busybox"
    cp tests/guest/init.sh "$root/init"
    cp "tests/guest/$job.sh" "$root/job"
    echo "$operations" > "$root/operations"
    for binary in "${@:2}"; do
        cp "$binary" "$root/"
        strip "$root/$(basename "$binary")"
        ldd "$binary" | grep -o '/[^ ]*' | while read -r library; do
            mkdir -p "$root$(dirname "$library")"
            cp -L -n "$library" "$root$library"
        done
    done
    chmod +x "$root/init"
    (cd "$root" && find . | busybox cpio -o -H newc 2> /dev/null) | gzip -1 > "$folder/$job.gz"
    rm -rf "$root"
}

# boot JOB SECONDS KERNEL_OPTIONS MACHINE…: with so many processors and so much memory, so long at most, against a guest that
# hangs; what it says is in JOB.log.
boot() {
    local job=$1 longest_seconds=$2
    rm -f "$folder/$job.log"
    timeout "$longest_seconds" qemu-system-x86_64 -accel tcg,thread=multi -cpu max "${@:4}" -nodefaults -display none -no-reboot \
        -kernel "$folder/vmlinuz" -initrd "$folder/$job.gz" \
        -append "console=ttyS0 quiet panic=-1 numa_balancing=disable mitigations=off tsc=reliable $3" \
        -serial "file:$folder/console.log" -serial "file:$folder/$job.log" \
        || echo "guest: QEMU ended with $?, after $longest_seconds seconds at the latest: see $folder/console.log" >&2
}

# Two processors, as the machine beneath has, which a disturbed machine takes away from the guest: what was not counted for
# that reason is counted once more, what does not agree is not.
count_interrupts() {
    local attempt code records=$folder/interrupts
    for attempt in 1 2 3; do
        echo "== guest: counting interrupts, attempt $attempt"
        boot interrupts 900 softlockup_panic=1 -m 1024M -smp 2
        rm -rf "$records" && mkdir -p "$records"
        code=0
        /usr/bin/python3 tests/guest/interrupts.py "$folder/interrupts.log" "$records" || code=$?
        [ $code = 75 ] || return $code # EX_TEMPFAIL of sysexits.h
    done
    return $code
}

boot_large() {
    local node nodes=()
    for node in 0 1 2 3; do
        nodes+=(-object "memory-backend-ram,size=384M,id=memory$node"
            -numa "node,nodeid=$node,memdev=memory$node,cpus=$((node * 2))-$((node * 2 + 1))")
    done
    boot stress 5400 '' -m 1536M -smp 8,sockets=4,cores=2,threads=1 "${nodes[@]}"
}

# What the large guest said, in one line; fails unless all of it was said and nothing is wrong.
judge() {
    tr -d '\r' < "$folder/stress.log" | awk -v operations="$operations" '
        function after(word,  place) {
            for (place = 1; place < NF; place++) if ($place == word) return $(place + 1) + 0
            return -1
        }
        $1 == "placement:" {
            cpus = after("cpus"); nodes = after("nodes")
            plans = after("plans"); plans_of = $(NF - 4) + 0
            policies = after("policies"); policies_of = $NF + 0
        }
        $2 == "seconds" {
            paths++; stale += after("stale"); lost += after("lost"); leaked += after("leaked"); kills += after("kills")
            least = paths == 1 || after("operations") < least ? after("operations") : least
            evictions = paths == 1 || after("evictions") < evictions ? after("evictions") : evictions
        }
        / of the kills, / { faults += after("fault"); writes += after("write"); shootdowns += after("shootdown") }
        $2 == "exit" { clean += $3 == "0" }
        /: seed [0-9]+: |check failed|hangs/ { print "guest: finding: " $0; findings++ }
        /^guest: ended/ { ended = 1 }
        END {
            if (!ended) print "guest: it did not come to its end"
            if (leaked) print "guest: " leaked " frames leaked"
            if (kills <= 0) print "guest: no worker process was killed"
            printf "guest: cpus %d, nodes %d, operations %d per read path, kills %d (in a fault %d, in a write %d, in a shootdown %d), ",
                cpus, nodes, least, kills, faults, writes, shootdowns
            printf "plans %d of %d, policies %d of %d, stale %d, lost %d\n", plans, plans_of, policies, policies_of, stale, lost
            exit !(ended && clean == 5 && findings == 0 && cpus == 8 && nodes == 4 && paths == 5 && least >= operations &&
                   evictions > 0 && kills > 0 && plans_of > 0 && plans == plans_of && policies == policies_of && stale + lost + leaked == 0)
        }'
}

[ "$(uname -m)" = x86_64 ] || skip "it is an x86-64 guest, and this machine is none"
scripts/install.sh guest || skip "its packages cannot be installed"
mkdir -p "$folder"
fetch_kernel
build_preset dev stress guest_placement
build_preset bench bench_shootdown bench_remove
make_image stress build/dev/tests/stress/stress build/dev/tests/guest/guest_placement
make_image interrupts build/bench/bench/bench_shootdown build/bench/bench/bench_remove

code=0
count_interrupts || code=1
echo "== guest: running"
boot_large
tr -d '\r' < "$folder/stress.log"
judge || code=1
exit $code
