#!/bin/bash
# every variant under everything at once, checked for stale and lost values and leaked frames (--minutes)
set -euo pipefail
source scripts/test/common.sh

build_preset dev stress test_stress # dev: removed pages are poisoned after their flush
build/dev/tests/stress/test_stress --gtest_brief=1
seconds=$((${PAGE_MAP_LAB_TEST_MINUTES:-0} * 60))
build/dev/tests/stress/stress --seconds $((seconds > 0 ? seconds : 25))
