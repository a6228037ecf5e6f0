#!/bin/bash
# histories of real threads on every variant, checked for linearisability (--minutes)
set -euo pipefail
source scripts/test/common.sh

build_preset dev linearise test_linearise
build/dev/tests/linearise/test_linearise --gtest_brief=1
seconds=$((${PAGE_MAP_LAB_TEST_MINUTES:-0} * 60))
build/dev/tests/linearise/linearise --seconds $((seconds > 0 ? seconds : 15))
