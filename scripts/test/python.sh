#!/bin/bash
# the tests of the scripts
set -euo pipefail
source scripts/test/common.sh

python_tests "not ($lint_tests)"
