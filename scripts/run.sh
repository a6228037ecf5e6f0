#!/bin/bash
# From a fresh clone to a report: installs what is missing, builds, runs the quick matrix, and prints the report's path last.
# Further arguments go to `scripts/lab run`, for example `scripts/run.sh full` on a server.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

say() { echo "run.sh: $*" >&2; }

scripts/install.sh run

# What a machine without root, or without a PMU, cannot show is left out of the records with the reason; say so once.
if [ ! -e /sys/kernel/tracing/events ]; then
    if [ "$(id -u)" = 0 ]; then
        mount -t tracefs nodev /sys/kernel/tracing 2> /dev/null \
            || say "tracefs cannot be mounted: no flushes and interrupts by tracepoint"
    elif sudo -n mount -t tracefs nodev /sys/kernel/tracing 2> /dev/null; then
        :
    else
        say "tracefs is not mounted and there is no root: no flushes and interrupts by tracepoint" \
            "(sudo mount -t tracefs nodev /sys/kernel/tracing)"
    fi
fi
if [ "$(id -u)" != 0 ] && [ "$(cat /proc/sys/kernel/perf_event_paranoid 2> /dev/null || echo 4)" -gt 1 ]; then
    say "without root the kernel's own counters are denied: sudo sysctl kernel.perf_event_paranoid=-1 allows them"
fi

say "building the benchmarks (some minutes the first time)"
scripts/lab list --quiet > /dev/null

# A first look should not fail on a governor: the findings go into the records and onto the report's first page.
say "measuring"
code=0
said=$(scripts/lab run --waive all "$@") || code=$?
folder=${said##*$'\n'}
if [ ! -d "$folder" ]; then
    # Nothing was measured: a refusal has said why, and what --help or --dry-run has to say is the answer.
    [ -z "$said" ] || printf '%s\n' "$said"
    exit "$code"
fi
printf '%s\n' "$said" >&2
say "writing the report"
scripts/lab report "$folder"
exit "$code"
