#!/bin/bash
# the C++ tests with every debug-only check on (preset dev), but those of the workloads: they are asan's and tsan's
set -euo pipefail
source scripts/test/common.sh

# Where a sanitizer supplies all memory itself, tests skip what is then not to be seen; none of them is a workload's.
unit_tests dev bench_workloads
