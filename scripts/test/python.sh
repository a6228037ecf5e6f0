#!/bin/bash
# the tests of the scripts, one of which profiles a real benchmark
set -euo pipefail
source scripts/test/common.sh

build_preset bench bench_remove
python_tests "not ($lint_tests)"
