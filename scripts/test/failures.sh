#!/bin/bash
# every allocation and system call of a scenario made to fail, each in a process of its own (--minutes: also at later calls)
set -euo pipefail
source scripts/test/common.sh

export ASAN_OPTIONS=allow_user_segv_handler=1:handle_segv=0:detect_leaks=1
minutes=${PAGE_MAP_LAB_TEST_MINUTES:-0}
build_preset asan-ubsan test_failures

work=build/asan-ubsan/failures
mkdir -p "$work"
code=0
without_randomness build/asan-ubsan/tests/failures/test_failures --minutes "$minutes" --sites "$work/sites" > "$work/figures" \
    || code=1
/usr/bin/python3 tests/failures/call_sites.py build/asan-ubsan/tests/failures/test_failures "$work/sites" "$work/figures"
exit $code
