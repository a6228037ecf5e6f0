#!/bin/bash
# From a fresh clone to tested: installs what is missing, builds, runs every test. `--only NAME` runs one part, for as long as
# `--minutes N` says where it scales. Times end only what hangs, but for kills that stress wants within its own. The parts:
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

# In the order they run; each is scripts/test/NAME.sh, which says what it is.
parts=(lint unit python model explorer linearise stress failures fuzz asan tsan)
on_request=(guest) # parts that only --only runs
known=("${parts[@]}" "${on_request[@]}")

usage() {
    echo "test.sh: $1: use scripts/test.sh [--only NAME [--minutes N]], NAME one of ${known[*]}" >&2
    exit 2
}
help() {
    sed -n '2,3s/^# \{0,1\}//p' scripts/test.sh
    local part
    for part in "${known[@]}"; do printf '  %-10s %s\n' "$part" "$(sed -n '2s/^# //p' "scripts/test/$part.sh")"; done
}

only=
minutes=
while [ $# -gt 0 ]; do
    case "$1" in
        --only) only=${2:-none}; shift ;;
        --only=*) only=${1#--only=} && only=${only:-none} ;;
        --minutes) minutes=${2:-none}; shift ;;
        --minutes=*) minutes=${1#--minutes=} ;;
        -h | --help) help; exit 0 ;;
        *) usage "unknown argument '$1'" ;;
    esac
    [ $# -eq 0 ] || shift
    [[ -z "$minutes" || "$minutes" =~ ^[1-9][0-9]*$ ]] || usage "'$minutes' is no number of minutes"
    [[ -z "$only" || " ${known[*]} " == *" $only "* ]] || usage "unknown part '$only'"
done

scripts/install.sh test
if [ ! -e /sys/kernel/tracing/events ] && [ "$(id -u)" = 0 ]; then
    mount -t tracefs nodev /sys/kernel/tracing 2> /dev/null || true
fi

failed=()
for part in ${only:-"${parts[@]}"}; do
    echo "== $part, after $SECONDS s"
    PAGE_MAP_LAB_TEST_MINUTES=$minutes "scripts/test/$part.sh" || failed+=("$part")
done
if [ ${#failed[@]} -gt 0 ]; then
    echo "test.sh: failed: ${failed[*]}: scripts/test.sh --only ${failed[0]} runs it alone" >&2
    exit 1
fi
