#!/bin/bash
# the C++ tests of the harness, the benchmark programs, and the page map in jemalloc's memory, which sanitizers replace (preset dev)
set -euo pipefail
source scripts/test/common.sh

unit_tests dev impl_platform variants bench_harness bench
