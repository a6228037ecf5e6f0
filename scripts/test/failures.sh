#!/bin/bash
# every allocation and system call of a scenario made to fail, each in a process of its own (--minutes: also at later calls)
set -euo pipefail
source scripts/test/common.sh

# What is used after its return is the unit tests' to find: thousands of runs here, and it costs a third of each.
export ASAN_OPTIONS=allow_user_segv_handler=1:handle_segv=0:detect_leaks=1:detect_stack_use_after_return=0
minutes=${PAGE_MAP_LAB_TEST_MINUTES:-0}
code=0
swept=()

sweep() { # preset, and which scenarios
    local preset=$1 folder="build/$1/failures" binary="build/$1/tests/failures/test_failures"
    build_preset "$preset" test_failures
    mkdir -p "$folder"
    echo "== $preset: sweeping"
    without_randomness "$binary" --minutes "$minutes" --scenarios "$2" --sites "$folder/sites" > "$folder/figures" || code=1
    swept+=("$binary" "$folder/sites" "$folder/figures")
}

sweep asan-ubsan ""
sweep dev "layout|placed" # there nodes come from jemalloc, and not from malloc
/usr/bin/python3 tests/failures/call_sites.py "${swept[@]}"
exit $code
