#!/bin/bash
# every variant under everything at once, checked for stale and lost values and leaked frames (--minutes)
set -euo pipefail
source scripts/test/common.sh

build_preset dev stress test_stress # dev: removed pages are poisoned after their flush
build/dev/tests/stress/test_stress --gtest_brief=1
minutes=${PAGE_MAP_LAB_TEST_MINUTES:-0}
bound=(--seconds 25)
[ "$minutes" -eq 0 ] || bound=(--seconds $((60 * minutes)) --least-kills 200 --least-kills-in-each 50)
build/dev/tests/stress/stress "${bound[@]}"
