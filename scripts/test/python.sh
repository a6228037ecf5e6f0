#!/bin/bash
# the tests of the scripts, but for what fuzz runs
set -euo pipefail
source scripts/test/common.sh

python_tests "not ($lint_tests or untrusted)"
